// The KV interface as its users see it: transactions over a tenant's ordered keys.
//
//   auto txn = db.Begin({.isolation = Isolation::kReadCommitted});
//   CO_RETURN_IF_ERROR(co_await txn->BeginStatement(ctx));
//   CO_ASSIGN_OR_RETURN(auto value, co_await txn->Get(ctx, key, {.lock = LockStrength::kExclusive}));
//   txn->Put(key, "new");                     // buffered: no RPC; the transaction reads its own writes
//   CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
//
// Errors are PgErrors (base/pgerror) where a SQL client may see them:
//   40001  the transaction must be retried as a whole (what can be retried unseen was)
//   40P01  it was chosen to break a deadlock
//   55P03  WaitPolicy::kError met a lock, or the lock timeout passed
//   08007  Commit: the outcome is unknown
//   53100  the store's disk is full
//   57014  the context was cancelled; other transport trouble is retried until the context's deadline (or 30 s), then 08006
// After an error other than 55P03 from a read the transaction only takes Rollback (or RollbackTo).
//
// READ COMMITTED, and what a statement sees. Plain reads of a statement see one snapshot. A locking read (lock != kNone) takes the
// newest committed version, waiting for its writers, and moves the statement's snapshot up to it: what PostgreSQL reaches by
// re-evaluating the row (EvalPlanQual). So filters must be evaluated on what the locking read returned. UPDATE and DELETE that read
// their rows under an exclusive lock never fail for a concurrent write. Where a statement's plain reads do not hold at the newer
// snapshot (rare: clocks of nodes apart), the error is 40001 with IsStatementRetry: undo the statement's writes (RollbackTo a savepoint
// from before it), BeginStatement, run it again unseen, if nothing of it was returned to the client; else pass the error on.
// Not thread-safe; one operation at a time per transaction, except that Scan pages of different cursors may interleave.
#ifndef INSULA_KV_API_TXN_H_
#define INSULA_KV_API_TXN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"

namespace insula::kv {

enum class Isolation { kSerializable, kSnapshot, kReadCommitted };
enum class LockStrength { kNone, kShared, kExclusive };
enum class WaitPolicy { kBlock, kError, kSkipLocked };

struct ReadOptions {
  LockStrength lock = LockStrength::kNone;
  WaitPolicy wait = WaitPolicy::kBlock;
  Duration lock_timeout = Duration::zero();  // zero: none
};

// A span of keys [start, end), read in pages.
struct ScanSpec {
  std::string start;
  std::string end;
  bool reverse = false;
  uint64_t max_rows = 0;                // per page; 0: no limit
  uint64_t max_bytes = 1 << 20;         // per page, about
  ReadOptions options = {};
};

// Rows of one page, in one flat buffer.
class ScanPage {
 public:
  struct Row {
    std::string_view key;
    std::string_view value;
  };
  const std::vector<Row>& rows() const { return rows_; }
  // What is left to scan; nullopt: nothing. Same direction as the spec.
  const std::optional<ScanSpec>& rest() const { return rest_; }

  // For implementations: rows point into the buffers given here.
  void AddBuffer(std::unique_ptr<std::string> buffer) { buffers_.push_back(std::move(buffer)); }
  void AddRow(std::string_view key, std::string_view value) { rows_.push_back({key, value}); }
  std::vector<Row>& mutable_rows() { return rows_; }
  void set_rest(std::optional<ScanSpec> rest) { rest_ = std::move(rest); }

 private:
  std::vector<std::unique_ptr<std::string>> buffers_;
  std::vector<Row> rows_;
  std::optional<ScanSpec> rest_;
};

struct KeyValue {
  std::string key;
  std::string value;
};

// What to say of a row that was to be new and is there already.
using RowTaken = std::function<absl::Status(const KeyValue& row)>;

// What a transaction has cost so far (EXPLAIN ANALYZE, metering).
struct TxnStats {
  uint64_t batches = 0;
  uint64_t requests = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
};

struct TxnOptions {
  Isolation isolation = Isolation::kSerializable;
  bool read_only = false;
  int priority = 0;
};

class Txn {
 public:
  using Savepoint = uint32_t;

  // Destroying an unfinished transaction rolls it back in the background.
  virtual ~Txn() = default;

  // A statement begins: READ COMMITTED takes a new snapshot; others keep theirs.
  virtual Task<absl::Status> BeginStatement(const Context& ctx) = 0;

  virtual Task<absl::StatusOr<std::optional<std::string>>> Get(const Context& ctx, std::string key, ReadOptions options = {}) = 0;
  // One batch; results in the order of `keys`.
  virtual Task<absl::StatusOr<std::vector<std::optional<std::string>>>> GetMany(const Context& ctx, std::vector<std::string> keys, ReadOptions options = {}) = 0;
  virtual Task<absl::StatusOr<ScanPage>> Scan(const Context& ctx, ScanSpec spec) = 0;

  // Buffered writes. A key that was not read under an exclusive lock is written blindly: the last committer wins.
  virtual void Put(std::string key, std::string value) = 0;
  virtual void Delete(std::string key) = 0;

  // Puts rows whose keys must not exist yet. nullopt: all are buffered (or flushed); else the index of the first that exists, and
  // nothing of `rows` was written. Other transactions' uncommitted inserts of the same key are waited for.
  virtual Task<absl::StatusOr<std::optional<size_t>>> InsertMany(const Context& ctx, std::vector<KeyValue> rows) = 0;

  // The same for one of many calls: a large one is not waited for, and what it finds is told later. If a row exists, the transaction
  // fails with what `taken` says of the first one: here, with a later operation, with AwaitInserts, or with the commit at the latest.
  // `taken` must stand for itself: it may outlive whoever called. Call FlushIfLarge in between.
  virtual Task<absl::Status> InsertAhead(const Context& ctx, std::vector<KeyValue> rows, std::shared_ptr<const RowTaken> taken) = 0;
  // Until it is known that all rows so far were new.
  virtual Task<absl::Status> AwaitInserts(const Context& ctx) = 0;

  // Deletes all keys in [start, end), the buffered ones too.
  virtual Task<absl::StatusOr<uint64_t>> DeleteRange(const Context& ctx, std::string start, std::string end) = 0;

  // Writes out the buffer when it is large; call between batches of a bulk statement. Keeps memory bounded (16 MB).
  virtual Task<absl::Status> FlushIfLarge(const Context& ctx) = 0;

  // Every statement and the commit check that `key` still holds `expected` (nullopt: is absent); the operation fails with
  // kFailedPrecondition (not a PgError) otherwise: the catalog changed, take it anew. Costs no round trip of its own.
  // Compared with what is committed: the transaction's own write of `key` (buffered or flushed, after an exclusive read of it)
  // does not break its fence. Setting it again for the same key replaces `expected`.
  virtual void SetFence(std::string key, std::optional<std::string> expected) = 0;

  // READ COMMITTED only, nothing otherwise: until this transaction commits, nobody else reads or writes keys with `prefix`, and none
  // exists yet. A large InsertMany there may then write at once, outside the transaction, which costs a third. `prepare` is called
  // before the first such write; after it, somebody must see to it that the keys are cleared unless the transaction commits.
  // A RollbackTo that would have to undo such a write fails (40001); one to before this call does not.
  virtual void DeclareFresh(std::string prefix, std::function<Task<absl::Status>(const Context&)> prepare) = 0;
  // There is a savepoint now that somebody may return to: no such writes any more.
  virtual void CloseFresh() = 0;

  virtual Savepoint CreateSavepoint() = 0;
  // Undoes writes (buffered or flushed) since `savepoint`; locks stay. Works in a failed transaction, unless it was aborted.
  virtual Task<absl::Status> RollbackTo(const Context& ctx, Savepoint savepoint) = 0;

  virtual Task<absl::Status> Commit(const Context& ctx) = 0;
  virtual Task<absl::Status> Rollback(const Context& ctx) = 0;

  virtual Isolation isolation() const = 0;
  virtual bool has_writes() const = 0;
  virtual Timestamp read_timestamp() const = 0;    // empty until the first read
  virtual Timestamp commit_timestamp() const = 0;  // empty until committed (or read-only)
  virtual const TxnStats& stats() const = 0;
};

// What a fence guards may be cleared this long after the fence's key has changed. Transactions rely on a snapshot for kSnapshotTrust,
// and then look at the fence's present value after every read until they know better; the difference is for clocks that differ.
inline constexpr Duration kClearingGrace = 20s;
inline constexpr Duration kSnapshotTrust = 15s;

class Database {
 public:
  virtual ~Database() = default;
  virtual std::unique_ptr<Txn> Begin(TxnOptions options) = 0;
  // Adds to a counter outside any transaction (sequences): gaps happen, repeats do not. A missing key counts from 0.
  virtual Task<absl::StatusOr<int64_t>> Increment(const Context& ctx, std::string key, int64_t by) = 0;
  // Takes everything in [start, end) away for good, outside any transaction. Nobody may need the keys any more: a transaction that
  // could still read them is one that began before a change of its fence, less than kClearingGrace ago.
  virtual Task<absl::Status> ClearRange(const Context& ctx, std::string start, std::string end) = 0;
};

// Whether running the statement again (see above) may succeed, within the same transaction.
bool IsStatementRetry(const absl::Status& status);
absl::Status MarkStatementRetry(absl::Status status);

}  // namespace insula::kv

#endif  // INSULA_KV_API_TXN_H_
