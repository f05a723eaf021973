// Evaluates one batch against the engine at fixed timestamps: answers, a write set, and effects. Looks, decides, changes nothing
// outside itself; what does not work at these timestamps is said, and the replica tries again.
//
//   Evaluator e(env, batch, timestamps, &response);
//   EvalResult r = e.Run();
//     kOk            e.write_set(), e.stats(), e.effects() are to be applied
//     kLocked        wait for r.locks, then evaluate anew
//     kWriteTooOld   evaluate anew with writes above r.ts (and reads at or above it, if r.reads_too)
//     kUncertain     evaluate anew with reads at r.ts, or tell the coordinator
//     kPushWait      PushTxn: the pushee lives; until r.ts it does not expire
//     kError         r.status
//
// Each request type has its own small function, in the file of its kind: eval_reads.cc, eval_writes.cc, eval_bulk.cc,
// eval_end_txn.cc, eval_txn.cc, eval_gc.cc.
#ifndef INSULA_KV_REPLICA_EVALUATOR_H_
#define INSULA_KV_REPLICA_EVALUATOR_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "kv/concurrency/lock_table.h"
#include "kv/concurrency/sequencer.h"
#include "kv/multiraft/range_group.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/effects.h"
#include "kv/storage/read_writer.h"
#include "kv/txn/push_queue.h"
#include "kv/txn/record.h"
#include "kv/txn/timestamp_cache.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// What evaluating needs of the replica. All of it stays as it is meanwhile.
struct EvalEnv {
  RangeGroup* group = nullptr;
  Lease lease;
  const LockTable* locks = nullptr;
  const TimestampCache* reads = nullptr;     // when keys were read
  const TimestampCache* releases = nullptr;  // when unreplicated locks were released
  const TimestampCache* markers = nullptr;   // transactions that can have no record any more, or were moved
  const PushQueue* pushes = nullptr;
  const LockTable::Request* request = nullptr;  // the batch's place in the lock table; null: it has none
  Timestamp gc_threshold;                       // of the range: versions that only reads below it see may be gone
  Timestamp gc_policy_floor;                    // GC that minds only timestamps protected before it is refused
};

struct EvalTimestamps {
  Timestamp read;
  Timestamp write;
  Timestamp now;       // a reading of the leaseholder's clock
  Timestamp limit;     // values in (read, limit] may be from before the read began
  Timestamp observed;  // except those that this lease wrote after its clock said this; empty: not known
};

struct EvalResult {
  enum Kind { kOk, kLocked, kWriteTooOld, kUncertain, kPushWait, kError } kind = kOk;
  std::vector<DiscoveredLock> locks;
  Timestamp ts;
  bool reads_too = false;
  int request_index = -1;
  std::string key;
  absl::Status status;

  bool ok() const { return kind == kOk; }
  static EvalResult Ok() { return {}; }
  static EvalResult Error(absl::Status status) {
    EvalResult r;
    r.kind = kError;
    r.status = std::move(status);
    return r;
  }
};

// Names of a transaction in the cache of markers.
std::string NoRecordMarker(std::string_view anchor, std::string_view txn_id);
std::string MovedMarker(std::string_view anchor, std::string_view txn_id);

class Evaluator {
 public:
  // `response` gets one response per request. `txn`: the batch's transaction as the server sees it (null: none); may be changed.
  Evaluator(const EvalEnv& env, const v1::BatchRequest& batch, v1::Transaction* txn, const EvalTimestamps& ts, v1::BatchResponse* response);

  EvalResult Run();

  bool has_writes() const { return !rw_.empty(); }
  std::string TakeWriteSet() { return rw_.ToBatch().TakeBytes(); }
  const mvcc::Stats& stats() const { return stats_; }
  Effects& effects() { return effects_; }

 private:
  // eval_reads.cc
  EvalResult Get(const v1::GetRequest& request, v1::GetResponse* out);
  EvalResult Scan(const v1::ScanRequest& request, v1::ScanResponse* out);
  EvalResult Check(const v1::CheckRequest& request);
  EvalResult Refresh(const v1::RefreshRequest& request);
  EvalResult QueryLocks(const v1::QueryLocksRequest& request, v1::QueryLocksResponse* out);
  EvalResult RangeLookup(const v1::RangeLookupRequest& request, v1::RangeLookupResponse* out);
  EvalResult RefreshSpan(std::string_view key, std::string_view end_key, Timestamp from, Timestamp to);
  mvcc::ReadParams ReadParamsFor(v1::LockStrength lock);
  // eval_writes.cc
  EvalResult Put(const v1::PutRequest& request);
  EvalResult Delete(const v1::DeleteRequest& request, v1::DeleteResponse* out);
  EvalResult ConditionalPut(const v1::ConditionalPutRequest& request);
  EvalResult Increment(const v1::IncrementRequest& request, v1::IncrementResponse* out);
  EvalResult DeleteRange(const v1::DeleteRangeRequest& request, v1::DeleteRangeResponse* out);
  EvalResult Lock(const v1::LockRequest& request);
  // eval_bulk.cc
  EvalResult ClearRange(const v1::ClearRangeRequest& request, v1::ClearRangeResponse* out);
  EvalResult InsertRows(const v1::InsertRowsRequest& request);
  EvalResult CheckExclusive(std::string_view key, Timestamp since, LockStrength strength);
  mvcc::WriteParams WriteParamsFor(uint32_t sequence, bool conditional);
  EvalResult FromWrite(const mvcc::Outcome& outcome, const mvcc::WriteParams& params) const;
  void Wrote(std::string_view key);
  // eval_end_txn.cc
  EvalResult ReplayCommit(bool* replayed);
  EvalResult EndTxn(const v1::EndTxnRequest& request, v1::EndTxnResponse* out);
  EvalResult Commit(const v1::EndTxnRequest& request, std::string_view anchor, const std::optional<v1::Transaction>& record, v1::EndTxnResponse* out);
  EvalResult Abort(const v1::EndTxnRequest& request, std::string_view anchor, const std::optional<v1::Transaction>& record, v1::EndTxnResponse* out);
  EvalResult CheckCommitTimestamp(Timestamp commit_ts, const v1::EndTxnRequest& request);
  EvalResult ResolveOwn(const v1::EndTxnRequest& request, std::string_view anchor, v1::TxnStatus status, Timestamp commit_ts);
  // eval_txn.cc
  EvalResult HeartbeatTxn(const v1::HeartbeatTxnRequest& request, v1::HeartbeatTxnResponse* out);
  EvalResult PushTxn(const v1::PushTxnRequest& request, v1::PushTxnResponse* out);
  EvalResult QueryTxn(const v1::QueryTxnRequest& request, v1::QueryTxnResponse* out);
  EvalResult QueryOutcome(const v1::QueryOutcomeRequest& request, v1::QueryOutcomeResponse* out);
  EvalResult RecoverTxn(const v1::RecoverTxnRequest& request, v1::RecoverTxnResponse* out);
  EvalResult QueryIntent(const v1::QueryIntentRequest& request, v1::QueryIntentResponse* out);
  EvalResult ResolveIntent(const v1::ResolveIntentRequest& request, v1::ResolveIntentResponse* out);
  bool CanCreateRecord(std::string_view anchor, const v1::TxnMeta& meta) const;
  void ForbidRecord(std::string_view anchor, std::string_view txn_id);
  // eval_gc.cc
  EvalResult Gc(const v1::GcRequest& request, v1::GcResponse* out);
  EvalResult HoldGc(const v1::GcRequest& request, v1::GcResponse* out);
  // evaluator.cc
  EvalResult One(const v1::Request& request, v1::Response* out);
  EvalResult FromOutcome(const mvcc::Outcome& outcome) const;
  // Whether what the batch reads and writes still fits into a message (kv/api/request.h).
  EvalResult CheckSize() const;
  EvalResult RangeStats(v1::RangeStatsResponse* out);
  EvalResult LeaseInfo(v1::LeaseInfoResponse* out);
  // The bytes outlive the evaluation (or lie in effects_.owned).
  void Read(std::string_view key, std::string_view end_key, Timestamp ts, bool anonymous = false);
  const std::string& txn_id() const;
  const v1::RangeDescriptor& range() const { return env_.group->descriptor(); }

  const EvalEnv& env_;
  const v1::BatchRequest& batch_;
  v1::Transaction* txn_;
  const EvalTimestamps& ts_;
  v1::BatchResponse* response_;
  storage::ReadWriter rw_;
  mvcc::AbsenceCursor absence_;
  mvcc::Stats stats_;
  Timestamp began_ = Timestamp::Max();  // the transaction, as its intents and locks say that the batch has met
  Effects effects_;
  bool one_phase_;
  uint64_t rows_left_;   // of the batch's limits; meaningful if there is one
  uint64_t bytes_left_;
  uint64_t answer_bytes_ = 0;  // of what was read, so far
  std::function<bool(std::string_view)> skip_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_EVALUATOR_H_
