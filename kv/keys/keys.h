// Where everything lies: the key spaces of the whole cluster, and the rows of the `range` column family of one store.
//
//   replicated keys, by first byte          | holds
//   ----------------------------------------+------------------------------------------------------------
//   0x02 ‖ end key                          | meta1: descriptor of the meta range that ends at `end key`
//   0x03 ‖ end key                          | meta2: descriptor of the other range that ends at `end key`
//   0x04 ‖ table ‖ …                        | system: node addresses, registry, settings, counters
//   0xFE ‖ ordered(keyspace id) ‖ …         | keyspaces (tenant/tenant.h)
//
//   rows of the `range` column family       | holds
//   ----------------------------------------+------------------------------------------------------------
//   'i' ‖ range id (8, big-endian) ‖ field  | what belongs to a range as a whole: applied state, descriptor, …
//   'k' ‖ ordered(anchor key) ‖ field ‖ id  | what belongs to a key: transaction records, outcome keys. These follow their
//                                           | key when a range splits, so a split moves nothing.
//
// A range is [start, end); an empty end is the end of all keys.
//
// How a key is found: the range of its meta2 row is found in meta1, and all of meta1 is in range 1, which everybody knows.
#ifndef INSULA_KV_KEYS_KEYS_H_
#define INSULA_KV_KEYS_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace insula::kv {

using RangeId = uint64_t;
using ReplicaId = uint64_t;
using StoreId = uint64_t;

namespace keys {

inline constexpr char kMeta1Tag = '\x02';
inline constexpr char kMeta2Tag = '\x03';
inline constexpr char kSystemTag = '\x04';

// -- Ranges that every cluster begins with --
inline constexpr RangeId kMetaRange = 1;    // ["", 0x04): all of meta1, and meta2 until that is split off
inline constexpr RangeId kSystemRange = 2;  // [0x04, first tenant keyspace) until split; its leaseholder serves the registry, and it keeps the counters
inline constexpr uint64_t kFirstKeyspace = 2;
inline constexpr uint64_t kInitialKeyspaces = 64;
std::string Meta2Start();                           // 0x03: range 1 reaches at least as far
std::string SystemStart();                          // 0x04: where the meta ranges end
inline std::string_view AllKeysEnd() { return ""; }

// -- Addressing --
// The keys of the rows of ranges that end at `end_key` (empty: the end of all keys; SystemStart() is the end of all that meta1 speaks of).
std::string Meta2Key(std::string_view end_key);
std::string Meta1Key(std::string_view end_key);
// The key of the address of [start, end): in meta1 if it begins with a meta key, else in meta2.
std::string AddressKey(std::string_view start, std::string_view end);
// The key of the address that ends where a range begins with `start`; empty: that is where the addresses of its level begin.
std::string AddressKeyBefore(std::string_view start);
// The descriptor of the range that holds `key` is the first value in [LookupStart(key), LookupEnd(key)): meta1 for a meta key, else meta2.
std::string LookupStart(std::string_view key);
std::string LookupEnd(std::string_view key);
// Of meta1 or meta2.
inline bool IsMetaKey(std::string_view key) { return key.empty() || static_cast<unsigned char>(key[0]) < static_cast<unsigned char>(kSystemTag); }

// -- What ranges are made of --
// Ranges that begin with these keys may be one: both are of the meta ranges, both of the system's, or both of one keyspace.
bool MayJoin(std::string_view a, std::string_view b);
// Whether a range may begin with `key`: anywhere but inside meta1, or below the end of the counters (which range 2 keeps).
bool MaySplitAt(std::string_view key);
// The least key above `key` that a range may begin with.
std::string NextSplitKey(std::string_view key);

// -- System tables --
enum class SystemTable : char {
  kNodeAddress = 'a',      // ‖ ordered(node id)
  kCounter = 'c',          // ‖ name
  kSetting = 'g',          // ‖ name
  kKeyspace = 'k',         // ‖ ordered(keyspace id)
  kStoreLiveness = 'l',    // ‖ ordered(store id)
  kProtectedTimestamp = 'p',
  kTenant = 't',           // ‖ ordered(tenant id)
  kTenantName = 'n',       // ‖ name ‖ ordered(tenant id)
  kUsage = 'u',
  kClusterVersion = 'v',
};
std::string SystemKey(SystemTable table);
std::string SystemKey(SystemTable table, std::string_view name);
std::string SystemKey(SystemTable table, uint64_t id);
// How long old versions are kept (kv/store/gc_policy.h): the settings of these names.
inline constexpr std::string_view kGcTtlSetting = "gc-ttl/";
std::string GcTtlSetting(uint64_t keyspace_id);
std::string GcTtlSettings();  // the prefix of all of them
// Counters, read and raised by Increment.
std::string RangeIdCounter();     // last range id given out
std::string KeyspaceCounter();    // keyspaces given to tenants so far: the first is kFirstKeyspace
std::string TenantCounter();      // tenant ids given out so far: the first is kFirstTenant

// -- Bounds --
// Whether `key` lies in [start, end); an empty end is the end of all keys.
inline bool InBounds(std::string_view start, std::string_view end, std::string_view key) {
  return key >= start && (end.empty() || key < end);
}
// Whether the span [key, end_key) (empty end_key: the single key) lies within [start, end).
bool SpanInBounds(std::string_view start, std::string_view end, std::string_view key, std::string_view end_key);
// Whether [a_start, a_end) and [b_start, b_end) have a key in common (ranges; empty ends are the end of all keys).
bool RangesOverlap(std::string_view a_start, std::string_view a_end, std::string_view b_start, std::string_view b_end);
// The first key after `key`.
std::string Next(std::string_view key);

// -- The `range` column family --
enum class RangeField : char {
  kAppliedState = 'a',   // kv/multiraft/range_state.h
  kDescriptor = 'd',     // RangeDescriptor
  kFrozen = 'f',         // the range is about to be taken in by its left neighbour (kv/replica/replica_merge.cc)
  kGcThreshold = 'g',
  kPublished = 'p',      // which of its generations' address is known to be written (kv/replica/address.h)
  kRemoved = 'r',        // replicas that were removed and whose stores do not know it yet (kv/replica/removed.h)
  kAborted = 'x',        // with a transaction's id behind it: others took away what it had written here (kv/replica/aborted.h)
};
std::string RangeIdKey(RangeId range, RangeField field);
std::string RangeIdPrefix(RangeId range);
// All 'i' rows: [RangeIdSpaceStart(), RangeIdSpaceEnd()).
std::string RangeIdSpaceStart();
std::string RangeIdSpaceEnd();
struct RangeIdKeyParts {
  RangeId range = 0;
  RangeField field = RangeField::kAppliedState;
};
std::optional<RangeIdKeyParts> DecodeRangeIdKey(std::string_view row);

enum class AnchorField : char {
  kOutcome = 'o',      // what became of a transaction
  kTransaction = 't',  // its record
};
std::string AnchorKey(std::string_view anchor, AnchorField field, std::string_view txn_id);
struct AnchorKeyParts {
  std::string anchor;
  AnchorField field = AnchorField::kTransaction;
  std::string txn_id;
};
std::optional<AnchorKeyParts> DecodeAnchorKey(std::string_view row);
// Bounds of the rows whose anchor lies in [start, end) (empty end: the end of all keys).
std::string AnchorSpanStart(std::string_view start);
std::string AnchorSpanEnd(std::string_view end);

// -- For people --
// "/Meta2/…", "/System/c/range-id", "/Keyspace/7/…"; bytes that are not printable as \xNN.
std::string Pretty(std::string_view key);
std::string PrettyRange(std::string_view start, std::string_view end);

}  // namespace keys
}  // namespace insula::kv

#endif  // INSULA_KV_KEYS_KEYS_H_
