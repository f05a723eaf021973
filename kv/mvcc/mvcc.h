// Versions, intents and replicated locks: what one request does to the keys of a range at a timestamp. Pure functions over a
// storage::Reader (reads) or a storage::ReadWriter (writes); nothing waits, nothing is decided about other transactions.
//
//   data:  a@30  a@20  b@25(deletion)  b@10        lock:  a -> txn 7, intent at 30
//
//   Get(a) at 25              -> a@20           (an intent above the read is not in the way)
//   Get(a) at 35              -> kLocked by txn 7; for txn 7 itself -> a@30
//   Get(a) at 15, limit 20    -> kUncertain, 20
//   Put(a) at 28 by txn 8     -> kLocked by txn 7
//   Put(b) at 25              -> kWriteTooOld, 25: evaluate again above it
//
// An operation that does not end with kOk changed nothing that its batch may keep: throw the ReadWriter away.
//
// Unreplicated locks are kv/concurrency's; the caller has checked them.
#ifndef INSULA_KV_MVCC_MVCC_H_
#define INSULA_KV_MVCC_MVCC_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "kv/api/txn.h"
#include "kv/mvcc/lock_record.h"
#include "kv/mvcc/stats.h"
#include "kv/storage/engine.h"
#include "kv/storage/read_writer.h"
#include "proto/kv/api.pb.h"

namespace insula::kv::mvcc {

// -- How an operation ended --

struct FoundLock {
  std::string key;
  LockHolder holder;
};

class [[nodiscard]] Outcome {
 public:
  enum class Kind {
    kOk,
    kLocked,           // locks(): foreign locks in the way, at most kMaxFoundLocks (there may be more)
    kWriteTooOld,      // timestamp(): of the newest version, at or above the write's timestamp; also locking reads (fail_if_newer)
    kUncertain,        // timestamp(): of a version that may be from before the read began
    kConditionFailed,  // actual(): the present value
    kLockLost,         // "exclusive since" does not hold: key() has a newer version or a foreign lock
    kStaleTxn,         // the transaction has a newer epoch here than the request
    kError,            // status(): the engine, or damaged data; or kInvalidArgument
  };

  Outcome() = default;
  static Outcome Ok() { return Outcome(); }
  static Outcome Locked(std::vector<FoundLock> locks);
  static Outcome At(Kind kind, std::string_view key, Timestamp ts);
  static Outcome ConditionFailed(std::string_view key, std::optional<std::string> actual);
  static Outcome Error(absl::Status status);

  bool ok() const { return details_ == nullptr; }
  Kind kind() const { return details_ ? details_->kind : Kind::kOk; }
  const std::vector<FoundLock>& locks() const { return details_->locks; }
  const std::string& key() const { return details_->key; }
  Timestamp timestamp() const { return details_->ts; }
  const std::optional<std::string>& actual() const { return details_->actual; }
  const absl::Status& status() const { return details_->status; }
  std::string ToString() const;

 private:
  struct Details {
    Kind kind = Kind::kError;
    std::vector<FoundLock> locks;
    std::string key;
    Timestamp ts;
    std::optional<std::string> actual;
    absl::Status status;
  };
  explicit Outcome(std::unique_ptr<Details> details) : details_(std::move(details)) {}
  std::unique_ptr<Details> details_;
};
inline constexpr size_t kMaxFoundLocks = 64;

// -- Reads --

struct ReadParams {
  Timestamp ts{};
  // Sees its own intents (up to meta.sequence, without the ignored ones), whatever their timestamp. May be null.
  const v1::Transaction* txn = nullptr;
  // Versions in (ts, uncertainty_limit] end the read with kUncertain, unless their local timestamp lies above local_limit.
  Timestamp uncertainty_limit{};  // empty: none
  Timestamp local_limit{};        // clock of this leaseholder that the transaction observed; empty: none observed
  // kNone: foreign intents at or below ts (or the limit) are in the way. kShared: foreign exclusive locks. kExclusive: all foreign.
  LockStrength lock = LockStrength::kNone;
  // A version above ts ends the read with kWriteTooOld (reads that lock under SERIALIZABLE and SNAPSHOT).
  bool fail_if_newer = false;
  // Keys with a foreign lock in the way are left out instead of ending the read; `skip` (may be null) says the same of keys
  // locked elsewhere (the lock table).
  bool skip_locked = false;
  const std::function<bool(std::string_view key)>* skip = nullptr;
  // Committed versions only, whatever is locked (meta lookups, statistics).
  bool ignore_locks = false;
  // Of a batch that commits what it writes: its changes so far, and the timestamp that it writes at. A key's version in there is seen,
  // whatever the read's timestamp. Null: the batch has written nothing, or intents.
  const storage::ReadWriter* own = nullptr;
  Timestamp own_ts{};
};

struct GetResult {
  bool found = false;
  std::string value;
  Timestamp ts{};
};
// `out` may be reused; its memory is.
Outcome Get(storage::Reader& reader, std::string_view key, const ReadParams& params, GetResult* out);

struct ScanLimits {
  uint64_t max_rows = 0;   // 0: none
  uint64_t max_bytes = 0;  // 0: none; the row that reaches it is still returned
};
struct ScanResult {
  std::string rows;  // as ScanResponse.rows: (varint key length, key, varint value length, value)*
  uint64_t row_count = 0;
  // What is left when a limit ended the scan. Forward: [*resume, end). Reverse: [start, *resume).
  std::optional<std::string> resume;
};
// All live keys in [start, end) (empty end: the end of all keys), ascending or descending.
Outcome Scan(storage::Reader& reader, std::string_view start, std::string_view end, bool reverse, const ReadParams& params,
             const ScanLimits& limits, ScanResult* out);

// Walks ScanResult::rows. Next() is false at the end and on damage (then ok() is false).
class RowsCursor {
 public:
  explicit RowsCursor(std::string_view rows) : rest_(rows) {}
  bool Next(std::string_view* key, std::string_view* value);
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// The first version of another transaction in (from, to] among the keys of [start, end) (empty end: the single key), or a foreign
// intent there: kWriteTooOld or kLocked. kOk: what was read at `from` holds at `to`.
Outcome Refresh(storage::Reader& reader, std::string_view start, std::string_view end, Timestamp from, Timestamp to, const v1::Transaction* txn);

// Locks on keys of [start, end) (empty end: the single key) in key order, at most `max`. The caller's own too.
Outcome FindLocks(storage::Reader& reader, std::string_view start, std::string_view end, size_t max, std::vector<FoundLock>* out);

// -- Writes --
// A batch that commits what it writes (no transaction, or one phase) may write a key several times: all at the same timestamp, later
// requests see what earlier ones left, and the last one's version is the key's.

// Tells of keys, asked about in rising order, that they have no versions, with few seeks: one iterator goes along, and while it stands
// beyond a key there is nothing to look for. For many conditional writes of one batch.
class AbsenceCursor {
 public:
  // True: there is no version of `key`, nor a change of it in `rw`'s batch. The same `rw` every time.
  bool IsAbsent(storage::ReadWriter& rw, std::string_view key);

 private:
  std::unique_ptr<storage::Iterator> it_;
  std::string from_;  // where the last seek began: nothing lies between it and where the iterator stands
};

struct WriteParams {
  // The version's timestamp. For a transaction that leaves intents: meta.write_ts.
  Timestamp ts{};
  // Null: not transactional, a committed version. Set: leaves an intent, or with one_phase a committed version.
  const v1::Transaction* txn = nullptr;
  bool one_phase = false;
  uint32_t sequence = 0;  // of this write within the transaction
  // Conditions, increments and range deletions read here; empty: at ts. Newer versions are kWriteTooOld in any case.
  Timestamp read_ts{};
  Timestamp exclusive_since{};  // "exclusive since t": newer versions and foreign locks are kLockLost; empty: not asked
  Timestamp local_now{};        // this leaseholder's clock; empty: no local timestamps
  Stats* stats = nullptr;     // gets the difference; may be null
  Timestamp* began = nullptr;  // lowered to when the transaction began as it knew then, where it has an intent or lock; may be null
  AbsenceCursor* absence = nullptr;  // ConditionalPut: asked first; may be null
};

Outcome Put(storage::ReadWriter& rw, std::string_view key, std::string_view value, const WriteParams& params);
// `existed` (may be null): whether there was a live value before.
Outcome Delete(storage::ReadWriter& rw, std::string_view key, const WriteParams& params, bool* existed);
// `value` nullopt: delete. `expected` nullopt: there must be none.
Outcome ConditionalPut(storage::ReadWriter& rw, std::string_view key, std::optional<std::string_view> value,
                       std::optional<std::string_view> expected, const WriteParams& params);
// Puts if there is no value, or the same (then it does nothing).
Outcome InitPut(storage::ReadWriter& rw, std::string_view key, std::string_view value, const WriteParams& params);
// The value is the 8 bytes, big-endian, of an int64; a missing key counts from 0. kError(kOutOfRange) on overflow.
Outcome Increment(storage::ReadWriter& rw, std::string_view key, int64_t by, const WriteParams& params, int64_t* value);

struct DeleteRangeResult {
  uint64_t deleted = 0;
  std::optional<std::string> resume;  // [*resume, end) is left
};
Outcome DeleteRange(storage::ReadWriter& rw, std::string_view start, std::string_view end, uint64_t max_rows, const WriteParams& params,
                    DeleteRangeResult* out);

// -- Whole spans (mvcc_bulk.cc) --

// Puts rows (as ScanResult::rows, keys rising, all in [start, end)) whose keys must have no live value: kConditionFailed with the first
// that has. One pass over the span; locks in it are in the way. Not transactional.
Outcome InsertRows(storage::ReadWriter& rw, std::string_view start, std::string_view end, std::string_view rows, const WriteParams& params);

struct ClearResult {
  uint64_t versions = 0;
  std::optional<std::string> resume;  // [*resume, end) is left
};
// Takes all versions in [start, end) away, as if nothing had ever been there; about `max_versions` of them. Locks in the span are in the
// way: what stands provisionally may be a part of a commit. The batch does nothing else.
Outcome ClearSpan(storage::ReadWriter& rw, std::string_view start, std::string_view end, uint64_t max_versions, Stats* stats, ClearResult* out);

// A replicated lock without a write. Held already at least as strongly: nothing to do. With params.exclusive_since the lock is known to
// have been held since then, and the record says so (in its meta.write_ts, which means nothing else there).
Outcome AcquireLock(storage::ReadWriter& rw, std::string_view key, LockStrength strength, const WriteParams& params);

// Whether `txn` has an intent here with at least meta.sequence, in meta.epoch, at or below meta.write_ts. With a `lock`: whether it
// has a replicated lock of at least that strength (an intent is one, too).
Outcome QueryIntent(storage::Reader& reader, std::string_view key, const v1::TxnMeta& txn, LockStrength lock, bool* found);
// Since when `txn_id` holds a replicated lock of at least `strength` without a break; an intent: ever. nullopt: it does not.
Outcome HeldSince(storage::Reader& reader, std::string_view key, std::string_view txn_id, LockStrength strength, std::optional<Timestamp>* since);

// -- What became of a transaction --

struct ResolveParams {
  v1::TxnMeta txn;      // id, epoch; write_ts: the commit timestamp, or where a pending intent is pushed to
  v1::TxnStatus status = v1::ABORTED;
  std::vector<std::pair<uint32_t, uint32_t>> ignored{};  // rolled-back sequences, inclusive
  // PENDING: a reading of this leaseholder's clock at which the transaction had not committed. Whoever observed the clock before
  // then knows that the value is not from before its start. Empty: none.
  Timestamp pending_since{};
  Stats* stats = nullptr;
};
// Commits, removes or (PENDING) moves up what `txn` has on `key`. Nothing there: nothing done. `changed` may be null.
Outcome ResolveKey(storage::ReadWriter& rw, std::string_view key, const ResolveParams& params, bool* changed);
// The same for [start, end), at most `max_keys` changed (0: all); `resume`: [*resume, end) is left.
Outcome ResolveSpan(storage::ReadWriter& rw, std::string_view start, std::string_view end, const ResolveParams& params, uint64_t max_keys,
                    uint64_t* changed, std::optional<std::string>* resume);

// -- Garbage --

// Where a walk over versions stands: at the keys from `key` on; of `key` itself only versions older than `below` (empty: all).
struct GarbagePosition {
  std::string key;
  Timestamp below{};
};
struct GarbageResult {
  uint64_t removed = 0;
  std::optional<GarbagePosition> resume;  // what is left, up to the end
};
// Removes the versions of keys of [from, end) (empty end: the end of all keys) that nobody who reads at or above `threshold` can see:
// of each key all older than its newest version at or below `threshold`, and that one too if it is a deletion. Provisional versions
// stay. Ends when `max_versions` were removed or ten times as many looked at, in the middle of a key if need be; then that key's
// deletion stays until another walk.
Outcome CollectGarbage(storage::ReadWriter& rw, const GarbagePosition& from, std::string_view end, Timestamp threshold, uint64_t max_versions, Stats* stats,
                       GarbageResult* out);

// Counts a range's rows, given in the order of their column families.
class StatsCounter {
 public:
  // A version; newest first of each key.
  Outcome AddVersion(std::string_view user_key, std::string_view encoded);
  // A row of the `lock` column family.
  Outcome AddLock(std::string_view encoded);
  const Stats& stats() const { return stats_; }

 private:
  Stats stats_;
  std::optional<std::string> key_;  // of the last version
};
// Counts [start, end) anew.
Outcome ComputeStats(storage::Reader& reader, std::string_view start, std::string_view end, Stats* out);
// Of a part of it that begins at `start` and has about `max_versions` versions: added to `*out`. `*resume` is the first key after the part;
// empty: that was all.
Outcome ComputeStatsPart(storage::Reader& reader, std::string_view start, std::string_view end, int64_t max_versions, Stats* out, std::string* resume);

// -- The engine below, for stores that are being set up --

// A committed version, without any check.
void PutCommitted(storage::WriteBatch* batch, std::string_view key, std::string_view value, Timestamp ts, Stats* stats);

}  // namespace insula::kv::mvcc

#endif  // INSULA_KV_MVCC_MVCC_H_
