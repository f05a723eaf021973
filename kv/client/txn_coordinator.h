// One transaction as its client drives it: buffers writes, remembers what it read and locked, commits in one phase or two.
//
//   Put, Delete ─► buffer ───────────────────────────────────┐ Commit
//   Get, Scan ◄─ buffer over what the ranges answer          ├─ one range, nothing sent yet: Check + Lock + Put… + EndTxn, one batch
//   over 8 MB, of large inserts what there is (in the back- ─┤
//   ground, one flush at a time), DeleteRange ─► intents ────┼─ else in parallel: Put…, Lock… and a STAGING record side by side: committed
//                                                            │  when all are there, at or below its timestamp; EndTxn follows unseen
//                                                            └─ what that cannot do (more than 1,000 writes, a write moved up): flush,
//                                                               refresh, EndTxn; the record's leaseholder resolves
//
//   state       | means                                            | leaves by
//   ------------+--------------------------------------------------+--------------------------------------------
//   kActive     | takes everything                                 | an error, Commit, Rollback
//   kFailed     | an operation failed; what came before holds      | RollbackTo -> kActive, Rollback
//   kAborted    | the transaction is lost (deadlock, pushed)       | Rollback
//   kCommitted, kRolledBack, kUnknown: over
//
// Invariants:
//   T1  All reads since `refresh_from_` would read the same at txn_.read_ts (reads were made there, or refreshed to it), except that
//       locking READ COMMITTED reads took what was newest.
//   T2  A key in `locks_` was locked at `since`, and is not flushed: its write carries "exclusive since".
//   T3  Everything that may be locked or written on the nodes lies in `lock_spans_`, and then there is an anchor.
//   T4  While registered for heartbeats there is an anchor; whoever waited a second before its first lock makes a record first, or
//       others would take it for abandoned.
//   T5  A record is made STAGING at most once by a transaction that is not sent again: what does not commit at that timestamp is ended
//       explicitly. Whether it is committed is never guessed: an attempt of unknown fate is settled at the record, and so is one that is
//       given up after it may have been STAGING.
//   T6  What is in in_flight_ is on its way to the nodes, and is not read past: whoever reads its keys, rolls back or commits waits for it.
//       At most max_buffer_bytes / 2 are, in flush_parallelism batches at a time: whoever writes more waits, too.
//   T7  Rows that are to be new are only sent by flushes, and a commit begins when all of them are there.
// Under SERIALIZABLE the reads in read_spans_ are checked at the commit timestamp. Under the weaker levels locks on keys that are not
// written are checked with the commit (one phase), or replicated with it (in parallel) or before it (two).
// Loop thread only.
#ifndef INSULA_KV_CLIENT_TXN_COORDINATOR_H_
#define INSULA_KV_CLIENT_TXN_COORDINATOR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/random.h"
#include "kv/api/txn.h"
#include "kv/client/direct_writes.h"
#include "kv/client/dist_sender.h"
#include "kv/client/span_set.h"
#include "kv/client/write_buffer.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct CoordinatorOptions {
  size_t max_buffer_bytes = 16 << 20;       // of what is not sent, and of what is under way: half of it each
  size_t max_one_phase_bytes = 8 << 20;     // a larger commit takes two phases
  size_t write_through_bytes = 256 << 10;   // inserts of more are checked as they go out as intents, and not before
  size_t flush_batch_bytes = 1 << 20;       // and, once a transaction spills, so much is enough for a flush
  size_t flush_parallelism = 4;
  size_t max_tracked_locks = 64 << 10;
  size_t max_one_phase_refresh_spans = 1000;
  size_t max_in_flight = 1000;              // writes and locks that a STAGING record names; with more the commit takes two phases
  Duration heartbeat_interval = 1s;
};

class TxnCoordinator;

// What the transactions of one database share.
struct ClientCore {
  ClientCore(Context ctx, Random* random, DistSender* sender, CoordinatorOptions options)
      : executor(&ctx.executor()), random(random), sender(sender), options(options), background(ctx) {}

  // From now on `txn` is kept alive on the nodes, until Unregister.
  uint64_t Register(TxnCoordinator* txn);
  void Unregister(uint64_t id) { beating.erase(id); }
  Task<void> Beat();
  Task<void> BeatOne(uint64_t id, v1::BatchRequest batch);
  // Ends a transaction that nobody waits for any more.
  Task<void> EndInBackground(v1::BatchRequest end);

  Executor* executor;
  Random* random;
  DistSender* sender;
  CoordinatorOptions options;
  uint64_t last_id = 0;
  size_t most_held_bytes = 0;  // by any one transaction at a time
  std::map<uint64_t, TxnCoordinator*> beating;
  bool beat_running = false;
  TaskGroup background;  // last: its tasks use the rest
};

class TxnCoordinator final : public Txn {
 public:
  TxnCoordinator(std::shared_ptr<ClientCore> core, TxnOptions options);
  ~TxnCoordinator() override;

  Task<absl::Status> BeginStatement(const Context& ctx) override;
  Task<absl::StatusOr<std::optional<std::string>>> Get(const Context& ctx, std::string key, ReadOptions options) override;
  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> GetMany(const Context& ctx, std::vector<std::string> keys, ReadOptions options) override;
  Task<absl::StatusOr<ScanPage>> Scan(const Context& ctx, ScanSpec spec) override;
  void Put(std::string key, std::string value) override;
  void Delete(std::string key) override;
  Task<absl::StatusOr<std::optional<size_t>>> InsertMany(const Context& ctx, std::vector<KeyValue> rows) override;
  Task<absl::Status> InsertAhead(const Context& ctx, std::vector<KeyValue> rows, std::shared_ptr<const RowTaken> taken) override;
  Task<absl::Status> AwaitInserts(const Context& ctx) override;
  Task<absl::StatusOr<uint64_t>> DeleteRange(const Context& ctx, std::string start, std::string end) override;
  Task<absl::Status> FlushIfLarge(const Context& ctx) override;
  void DeclareFresh(std::string prefix, std::function<Task<absl::Status>(const Context&)> prepare) override;
  void CloseFresh() override { direct_.Close(); }
  void SetFence(std::string key, std::optional<std::string> expected) override;
  Savepoint CreateSavepoint() override { return sequence_; }
  Task<absl::Status> RollbackTo(const Context& ctx, Savepoint savepoint) override;
  Task<absl::Status> Commit(const Context& ctx) override;
  Task<absl::Status> Rollback(const Context& ctx) override;

  Isolation isolation() const override { return options_.isolation; }
  bool has_writes() const override { return flushed_ || !buffer_.empty(); }
  Timestamp read_timestamp() const override { return Timestamp{txn_.read_ts()}; }
  Timestamp commit_timestamp() const override { return commit_ts_; }
  const TxnStats& stats() const override { return stats_; }

  // For ClientCore.
  v1::BatchRequest HeartbeatBatch();
  void OnHeartbeat(v1::TxnStatus status);

 private:
  enum class State { kActive, kFailed, kAborted, kCommitted, kRolledBack, kUnknown };
  struct HeldLock {
    LockStrength strength;
    Timestamp since;
  };
  using Locks = std::map<std::string, HeldLock, std::less<>>;
  enum class Inserted { kDone, kToBeSeen };

  // txn_coordinator.cc
  absl::Status Enter() const;
  enum class Snapshot { kFollows, kStays };
  Task<absl::StatusOr<v1::BatchResponse>> Send(const Context& ctx, v1::BatchRequest batch, Snapshot snapshot = Snapshot::kFollows);
  void FillHeader(const Context& ctx, v1::BatchRequest* batch) const;
  void Absorb(const v1::BatchResponse& response, Snapshot snapshot);
  Task<absl::Status> RefreshTo(const Context& ctx, Timestamp to);
  absl::Status Fail(const v1::Error& error);
  absl::Status FailedFence();
  bool weak() const { return options_.isolation != Isolation::kSerializable; }
  // This transaction changed the fence's key itself, under its lock: nobody else can.
  bool wrote_fence() const { return fence_written_ != 0; }
  bool read_committed() const { return options_.isolation == Isolation::kReadCommitted; }

  // txn_read.cc
  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> Read(const Context& ctx, const std::vector<std::string>& keys, const ReadOptions& options,
                                                                     bool key_only, bool only_locks);
  bool AddFence(v1::BatchRequest* batch);
  void NoteFence();
  void NoteRead(std::string_view key, std::string_view end_key);
  void NoteLock(std::string_view key, LockStrength strength);
  Task<absl::Status> PrepareToLock(const Context& ctx, std::string_view first_key);
  const HeldLock* FindLock(std::string_view key) const;
  ScanPage Merge(const ScanSpec& spec, v1::ScanResponse&& response);

  // txn_write.cc
  void Write(std::string key, std::optional<std::string> value);
  static void AddWrite(v1::BatchRequest* batch, const std::string& key, const WriteBuffer::Version& version, const Locks& locks);
  static void AddReplicatedLock(v1::BatchRequest* batch, const std::string& key, const HeldLock& held);
  Task<absl::StatusOr<Inserted>> Insert(const Context& ctx, std::vector<KeyValue>& rows, std::shared_ptr<const RowTaken> taken, std::optional<size_t>* present);
  void Ignore(uint32_t from, uint32_t to);

  // txn_flush.cc
  Task<absl::Status> Flush(const Context& ctx);
  Task<absl::StatusOr<bool>> StartFlush(const Context& ctx);
  Task<absl::Status> AwaitFlush(const Context& ctx);
  Task<absl::Status> AwaitFlushOf(const Context& ctx, std::string_view start, std::string_view end);
  Task<void> FlushInBackground();
  Task<absl::Status> SendFlight(const Context& ctx);
  v1::BatchRequest NextOfFlight();
  void Land(absl::Status sent, uint64_t statement);
  Task<absl::Status> FindTaken(const Context& ctx, std::string key);
  void NoteHeld();

  // direct_writes.cc
  std::shared_ptr<DirectWrites::Place> DirectPlace(const std::vector<KeyValue>& rows, size_t bytes);
  Task<absl::StatusOr<std::optional<size_t>>> InsertDirectly(const Context& ctx, std::shared_ptr<DirectWrites::Place> place, const std::vector<KeyValue>& rows);
  Task<absl::Status> SeeDirectWrites(const Context& ctx, std::string_view start, std::string_view end);
  Task<absl::Status> RenewTrust(const Context& ctx);

  // txn_commit.cc
  Task<absl::StatusOr<bool>> CommitInOnePhase(const Context& ctx);
  Task<absl::StatusOr<std::optional<v1::RangeDescriptor>>> OnePhaseRange(const Context& ctx);
  v1::BatchRequest OnePhaseBatch(const v1::RangeDescriptor& range);
  Task<absl::StatusOr<bool>> CommitInParallel(const Context& ctx);
  v1::BatchRequest ParallelBatch(const std::vector<std::string>& unwritten, bool together);
  Task<absl::StatusOr<bool>> InAnchorRange(const Context& ctx, const std::vector<std::string>& unwritten);
  Task<absl::Status> CommitInTwoPhases(const Context& ctx);
  Task<absl::Status> FixCommitTimestamp(const Context& ctx);
  v1::EndTxnRequest* AddEnd(v1::BatchRequest* batch);
  Task<absl::Status> CheckFenceAt(const Context& ctx, Timestamp ts);
  Task<absl::StatusOr<std::optional<Timestamp>>> AskOutcome(const Context& ctx);
  Task<absl::Status> SettleUnknown(const Context& ctx, std::string_view why);
  Task<absl::Status> SettleStaged(const Context& ctx, absl::Status refused);
  void Committed(const v1::BatchResponse& response);
  void CommittedAt(Timestamp ts);
  absl::Status Unknown(std::string_view why);
  std::vector<std::string> UnwrittenLocks() const;
  v1::BatchRequest AbortBatch();
  bool NeedsCleanUp();
  Task<void> CleanUp(const Context& ctx);
  void CleanUpInBackground();
  void StopHeartbeats();

  std::shared_ptr<ClientCore> core_;
  TxnOptions options_;
  State state_ = State::kActive;
  absl::Status failure_;   // why not kActive
  absl::Status deferred_;  // of a Put or Delete that cannot be
  v1::Transaction txn_;
  Savepoint sequence_ = 0;  // of the last write
  uint32_t flushed_sequence_ = 0;
  WriteBuffer buffer_;
  bool flushed_ = false;  // there may be intents
  bool flushing_ = false;
  WriteBuffer in_flight_;  // what is being flushed
  std::vector<std::string> unwritten_in_flight_;  // keys that are only locked
  WriteBuffer::Map::const_iterator next_in_flight_;
  size_t next_unwritten_ = 0;
  size_t sending_bytes_ = 0;  // of the batches that are made of it at present
  Condition flush_ended_;
  absl::Status flush_failure_;
  uint64_t statement_ = 0, flush_failed_in_ = 0;
  uint32_t taken_ = 0;  // sequence of the row that was not new, if the flush failed for one
  Locks locks_, locks_in_flight_;
  SpanSet lock_spans_;
  SpanSet read_spans_;
  Timestamp refresh_from_;
  bool has_read_ = false;  // something was read under the present snapshot
  uint64_t reads_noted_ = 0;
  bool choosing_ = false;  // a first batch is out to choose the snapshot
  Condition chosen_;
  std::optional<std::pair<std::string, std::optional<std::string>>> fence_;
  bool fence_checked_ = false;     // at the present snapshot
  Timestamp fence_held_at_;        // where it was last seen to hold with nobody about to change it; empty: nowhere
  uint32_t fence_written_ = 0;     // sequence of its own first write of the fence's key; 0: none
  uint64_t beat_id_ = 0;
  bool may_have_record_ = false;
  bool may_be_staged_ = false;   // the commit goes on in two phases after it was tried in parallel
  bool committing_ = false;  // what heartbeats find is the commit's business
  MonoTime snapshot_at_{};  // when the snapshot was chosen
  MonoTime trusted_since_{};  // the fence's key was as the snapshot says at least until then
  DirectWrites direct_;
  std::string outcome_key_;
  Timestamp commit_ts_;
  TxnStats stats_;
  std::optional<TaskGroup> flushes_;  // last: its task uses the rest
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_TXN_COORDINATOR_H_
