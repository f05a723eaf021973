// What is generally true of each request type: where it goes, what it may do, whether it is well-formed. One table for everyone who
// routes, authorises or evaluates requests.
#ifndef INSULA_KV_API_REQUEST_H_
#define INSULA_KV_API_REQUEST_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

inline constexpr size_t kMaxKeyBytes = 16 << 10;
inline constexpr size_t kMaxSplitKeyBytes = kMaxKeyBytes - 2;  // the keys of its address and of that one's are keys, too
inline constexpr size_t kMaxValueBytes = 24 << 20;
// What one batch writes on each replica (keys, values, locks), as one entry of the range's log; and what it reads. Both fit into a message.
inline constexpr size_t kMaxBatchWrites = 32 << 20;
inline constexpr size_t kMaxBatchReads = 32 << 20;
inline constexpr size_t kMaxRequestsPerBatch = 100'000;
inline constexpr uint32_t kBatchVersion = 1;

// An empty batch of this version.
v1::BatchRequest NewBatch();
// The range of `key` is split there: `key` becomes the right side's start.
v1::BatchRequest SplitBatch(std::string key);
// The range of `key` takes in its right neighbour.
v1::BatchRequest MergeBatch(std::string key);

// [key, end_key), or the single key when end_key is empty. Views into the request.
struct KeySpan {
  std::string_view key;
  std::string_view end_key;
};

enum RequestFlag : uint32_t {
  kReads = 1,          // looks at versions at the batch's timestamp
  kWrites = 2,         // writes versions or locks of its span
  kLocks = 4,          // takes locks on (parts of) its span
  kNeedsTxn = 8,       // makes no sense without a transaction
  kTxnState = 16,      // is about a transaction's record; its key is an anchor
  kAdmin = 32,         // changes ranges
  kMayBeSplit = 64,    // has a span that may cover several ranges, and parts of it answer parts of the request
  kInternal = 128,     // between nodes only, as a rule
};

// Name as in the field of proto Request: "conditional_put".
std::string_view NameOf(const v1::Request& request);
uint32_t FlagsOf(const v1::Request& request);
// What addresses the request. For EndTxn: its key, or else its transaction's anchor.
KeySpan SpanOf(const v1::Request& request, const v1::BatchHeader& header);

// The key whose range gets the request: the first of its span, or of a lookup the meta key where it looks first.
std::string RoutingKey(const v1::Request& request, const v1::BatchHeader& header);

// Of descriptors whose ranges end above `key`, as the meta ranges have them, the newest that holds it comes first (kv/replica/replica_address.cc, M2).
void PutNewestFirst(std::string_view key, google::protobuf::RepeatedPtrField<v1::RangeDescriptor>* ranges);

// That the rows parse, rise, and lie in the request's span. Whoever checks the span alone must know that the rows are inside.
absl::Status ValidateRows(const v1::InsertRowsRequest& request);

// Invalid error (kv/api/error.h) with the request's index: unknown version, no or too many requests, a request without kind, empty or
// oversized keys and values, inverted or empty spans, transactional requests without a transaction, a misplaced EndTxn, company for a request
// that comes alone.
absl::Status Validate(const v1::BatchRequest& batch);

}  // namespace insula::kv

#endif  // INSULA_KV_API_REQUEST_H_
