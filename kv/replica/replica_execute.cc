#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/replica/gc_threshold.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

// A batch that is tried again this often meets something that evaluation and waiting do not agree about.
constexpr int kMaxAttempts = 10'000;

// Whether a READ COMMITTED batch takes the newest versions and locks them. What was locked before stays what it was.
bool LocksNewest(const v1::BatchRequest& batch) {
  return std::any_of(batch.requests().begin(), batch.requests().end(),
                     [](const v1::Request& r) { return (FlagsOf(r) & kLocks) != 0 && r.lock().since() == 0; });
}

std::string_view AsId(const v1::Transaction& txn, bool has_txn) { return has_txn ? std::string_view(txn.meta().id()) : std::string_view(); }

}  // namespace

Task<v1::BatchResponse> Replica::Execute(Context ctx, v1::BatchRequest batch) {
  auto self = shared_from_this();
  v1::BatchResponse response;
  absl::Status status = Validate(batch);
  if (status.ok()) {
    if ((FlagsOf(batch.requests(0)) & kAdmin) != 0) {
      status = co_await RunAdmin(ctx, batch, &response);
    } else {
      status = co_await Run(ctx, batch, &response);
    }
  }
  if (!status.ok()) {
    response.Clear();
    *response.mutable_error() = ToKvError(status);
    CountError(response.error());
  }
  metrics_->batches += 1;
  if (group_ != nullptr) {
    response.set_now(group_->clock().Peek().bits);
    const v1::RangeDescriptor& range = group_->descriptor();
    const uint64_t known = batch.header().range_generation();
    // Range 1 is what a client begins with, knowing nothing of it.
    if (known < range.generation() && (known != 0 || range_id_ == keys::kMetaRange)) *response.add_updated_ranges() = range;
  }
  co_return response;
}

void Replica::CountError(const v1::Error& error) {
  auto restart = [this](RestartReason reason) { metrics_->restarts[static_cast<size_t>(reason)] += 1; };
  if (error.has_txn_aborted()) metrics_->aborts += 1;
  if (error.has_uncertainty()) restart(RestartReason::kUncertain);
  if (!error.has_txn_retry()) return;
  switch (error.txn_retry().reason()) {
    case v1::Error::TxnRetry::WRITE_TOO_OLD: return restart(RestartReason::kWriteTooOld);
    case v1::Error::TxnRetry::READ_REFRESH_FAILED: return restart(RestartReason::kRefreshFailed);
    case v1::Error::TxnRetry::PUSHED: return restart(RestartReason::kPushed);
    case v1::Error::TxnRetry::LOCK_LOST: return restart(RestartReason::kLockLost);
    case v1::Error::TxnRetry::ASYNC_WRITE_FAILED: return restart(RestartReason::kAsyncWriteFailed);
    case v1::Error::TxnRetry::DEADLINE: return restart(RestartReason::kDeadline);
    default: return;
  }
}

absl::Status Replica::Mismatch(std::string_view key, std::string_view end_key) const {
  auto current = deps_.local_ranges(key, end_key);
  // Where range 1 ends now is what nobody can look up.
  if (group_ != nullptr && (current.empty() || range_id_ == keys::kMetaRange)) current.push_back(group_->descriptor());
  return RangeMismatchError(current, "the range does not hold the keys of the batch (any more)");
}

absl::Status Replica::CheckBounds(const v1::BatchRequest& batch) const {
  if (group_ == nullptr) return RangeMismatchError({}, "the replica is gone");
  const v1::RangeDescriptor& range = group_->descriptor();
  for (int i = 0; i < batch.requests_size(); ++i) {
    const v1::Request& request = batch.requests(i);
    if (request.has_range_lookup()) {
      const std::string from = RoutingKey(request, batch.header());
      if (!IsInside(range, from, {})) return WithRequestIndex(Mismatch(from, {}), i);
      continue;
    }
    KeySpan span = SpanOf(request, batch.header());
    if (!IsInside(range, span.key, span.end_key)) return WithRequestIndex(Mismatch(span.key, span.end_key), i);
  }
  // What a commit in one phase checks again lies here, too: others' rows in this store's engine may be older than what their leaseholder serves.
  for (const v1::Span& span : batch.header().refresh_spans()) {
    if (!IsInside(range, span.key(), span.end_key())) return WithRequestIndex(Mismatch(span.key(), span.end_key()), batch.requests_size() - 1);
  }
  return absl::OkStatus();
}

absl::Status Replica::CheckLease(Work& work, Timestamp t) {
  work.lease = group_->CheckLease(t);
  if (work.lease.valid()) {
    // The group says so before it tells us.
    if (work.lease.lease.sequence != lease_.sequence) LeaseAcquired(work.lease.lease);
    return absl::OkStatus();
  }
  if (work.lease.state == LeaseCheck::State::kElsewhere) {
    return NotLeaseholderError(work.lease.holder_node, deps_.node_address(work.lease.holder_node));
  }
  return NotLeaseholderError(0, {});
}

Task<absl::Status> Replica::EnsureLease(const Context& ctx, Work& work, Timestamp t) {
  Context limited = ctx.WithTimeout(deps_.lease_wait);
  auto acquired = co_await group_->AcquireLease(limited, t);
  if (group_ == nullptr) co_return Mismatch({}, {});
  if (!acquired.ok()) {
    if (!ctx.status().ok()) co_return ctx.status();
    co_return UnavailableKvError("nobody leads the range, or not with enough support", 50ms);
  }
  co_return CheckLease(work, t);
}

// The transaction as it is to be seen here, and the timestamps to try first.
absl::Status Replica::ChooseTimestamps(Work& work) {
  HybridClock& clock = group_->clock();
  const v1::BatchHeader& header = work.batch->header();
  const int64_t offset = std::chrono::duration_cast<std::chrono::microseconds>(clock.max_offset()).count();
  const Timestamp now = clock.Now();
  work.ts.now = now;
  work.first_now = now;
  work.first_lease = work.lease.lease.sequence;
  if (!work.has_txn) {
    // A value that another node's clock put a little ahead of ours may be from before a read of the present.
    work.ts.read = work.ts.write = header.timestamp() != 0 ? Timestamp{header.timestamp()} : now;
    work.ts.limit = header.timestamp() != 0 ? work.ts.read : now.AddMicros(offset);
  } else {
    v1::Transaction& txn = work.txn;
    if (txn.read_ts() == 0) {
      txn.set_read_ts(std::max(now.bits, txn.meta().write_ts()));
      txn.set_uncertainty_limit(now.AddMicros(offset).bits);
      txn.set_observed_ts(now.bits);
      txn.set_observed_range(range_id_);
      txn.set_observed_lease_sequence(work.lease.lease.sequence);
    }
    if (txn.meta().min_ts() == 0) txn.mutable_meta()->set_min_ts(txn.read_ts());
    txn.mutable_meta()->set_write_ts(std::max(txn.meta().write_ts(), txn.read_ts()));
    work.ts.read = Timestamp{txn.read_ts()};
    work.ts.write = Timestamp{txn.meta().write_ts()};
    work.ts.limit = std::max(Timestamp{txn.uncertainty_limit()}, work.ts.read);
  }
  Observe(work);
  // That a transaction is over is remembered against its start, which another node's clock may have given (CanCreateRecord).
  Timestamp started;
  for (const v1::Request& request : work.batch->requests()) {
    if (request.has_push_txn()) started = std::max(started, Timestamp{request.push_txn().pushee().min_ts()});
    if (request.has_end_txn() && !request.end_txn().commit()) started = std::max(started, Timestamp{work.txn.meta().min_ts()});
  }
  work.ts.now = std::max(work.ts.now, started);
  // A timestamp that no clock within the maximum offset can have given: refuse it rather than push everybody up to it.
  if (std::max({work.ts.read, work.ts.write, started}) > clock.Peek().AddMicros(3 * offset)) {
    return InvalidError("a timestamp is further in the future than clocks may differ");
  }
  return absl::OkStatus();
}

// Only the word of the present lease about when it wrote something counts: earlier ones, and those of a range that was merged into this one,
// wrote by other clocks, which may have been ahead of ours, up to where this lease begins.
void Replica::Observe(Work& work) const {
  const Lease& lease = work.lease.lease;
  Timestamp seen;
  if (!work.has_txn) {
    if (work.first_lease == lease.sequence) seen = work.first_now;
  } else if (work.txn.observed_range() == range_id_ && work.txn.observed_lease_sequence() == lease.sequence) {
    seen = Timestamp{work.txn.observed_ts()};
  }
  work.ts.observed = seen >= std::max(lease.start, observed_floor_) ? seen : Timestamp();
}

// Writes go above what others have read.
void Replica::RaiseForReads(Work& work) const {
  if (fault::On(fault::Mutation::kDropTimestampCache)) return;
  const std::string_view id = AsId(work.txn, work.has_txn);
  for (const v1::Request& request : work.batch->requests()) {
    uint32_t flags = FlagsOf(request);
    if (!(flags & kWrites) || (flags & (kTxnState | kInternal)) || request.has_resolve_intent() || request.has_lock()) continue;
    KeySpan span = SpanOf(request, work.batch->header());
    Timestamp seen = span.end_key.empty() ? reads_.Max(span.key, id) : reads_.MaxInRange(span.key, span.end_key, id);
    work.ts.write = std::max(work.ts.write, seen.Next());
  }
}

// Whether the batch looks at versions below `threshold`, or would have to see a deletion from there.
bool Replica::ReadsBelow(const Work& work, Timestamp threshold) const {
  if (threshold.empty()) return false;
  if ((work.flags & kReads) && work.ts.read < threshold) return true;
  const Timestamp refresh_from{work.batch->header().refresh_from()};
  if (!refresh_from.empty() && refresh_from < threshold) return true;
  for (const v1::Request& request : work.batch->requests()) {
    const uint32_t flags = FlagsOf(request);
    if (request.has_refresh() && Timestamp{request.refresh().from()} < threshold) return true;
    if ((flags & kWrites) && !(flags & (kTxnState | kInternal)) && !request.has_resolve_intent() && work.ts.write < threshold) return true;
  }
  return false;
}

bool Replica::ForwardRead(Work& work, Timestamp to) const {
  if (to <= work.ts.read) return true;
  if (work.has_txn) {
    const bool takes_newest = work.txn.meta().isolation() == v1::READ_COMMITTED && (work.flags & (kLocks | kWrites));
    if (!takes_newest && !work.batch->header().can_forward_read_ts()) return false;
    work.txn.set_read_ts(to.bits);
  } else if (work.batch->header().timestamp() != 0) {
    return false;
  }
  work.ts.read = to;
  work.ts.write = std::max(work.ts.write, to);
  return true;
}

bool Replica::GrewSince(const Work& work) const {
  const std::string& end = group_->descriptor().end_key();
  return !work.declared_end.empty() && (end.empty() || end > work.declared_end);
}

void Replica::NoteLoad(const Work& work) {
  const MonoTime now = deps_.executor->Now();
  batches_.Add(now);
  if (work.flags & kWrites) writes_.Add(now);
  if (!splitter_.enabled()) return;
  for (const v1::Request& request : work.batch->requests()) {
    if (FlagsOf(request) & (kTxnState | kInternal)) continue;
    const std::string at = RoutingKey(request, work.batch->header());
    if (auto key = splitter_.Note(now, batches_.PerSecond(now), at, SpanOf(request, work.batch->header()).end_key)) deps_.on_busy(range_id_, *std::move(key));
    return;  // one stands for the batch
  }
}

Task<absl::Status> Replica::Run(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  Work work;
  work.batch = &batch;
  work.response = response;
  work.has_txn = batch.header().has_txn();
  work.one_phase = IsOnePhase(batch);
  if (work.has_txn) work.txn = batch.header().txn();
  for (const v1::Request& request : batch.requests()) work.flags |= FlagsOf(request);

  CO_RETURN_IF_ERROR(CheckBounds(batch));
  absl::Status leased = CheckLease(work, group_->clock().Peek());
  if (!leased.ok() && work.lease.state == LeaseCheck::State::kNone) leased = co_await EnsureLease(ctx, work, group_->clock().Peek());
  CO_RETURN_IF_ERROR(leased);
  CO_RETURN_IF_ERROR(CheckServing());
  NoteLoad(work);
  CO_RETURN_IF_ERROR(ChooseTimestamps(work));

  work.declared_end = group_->descriptor().end_key();
  work.declared = Declare(batch, {.range = &group_->descriptor(), .read_ts = work.ts.read, .read_limit = work.ts.limit, .push_above = work.push_above(), .write_ts = work.ts.write});
  Sequencer::Spec spec;
  if (work.has_txn) spec.txn = &work.txn.meta();
  spec.policy = batch.header().wait_policy();
  spec.lock_timeout = std::chrono::microseconds(batch.header().lock_timeout_us());
  spec.latches = std::move(work.declared.latches);
  spec.locks = std::move(work.declared.locks);
  Sequencer::Ticket ticket(std::move(spec));
  if (!sequencer_.TrySequence(ticket)) CO_RETURN_IF_ERROR(co_await sequencer_.Sequence(ctx, ticket));

  while (true) {
    if (++work.attempts > kMaxAttempts) co_return absl::InternalError("a batch is tried again and again without end");
    if ((work.flags & kWrites) && group_ != nullptr && group_->ProposalsPileUp()) {
      PROBE("a write waited until earlier ones of its range were replicated");
      CO_RETURN_IF_ERROR(co_await group_->AwaitProposalRoom(ctx));
    }
    // Time may have passed since the last look: waiting for latches, locks, or an entry.
    CO_RETURN_IF_ERROR(CheckBounds(batch));
    // What it clips to the range may lie in a neighbour that was taken in: no latch is held there.
    if (GrewSince(work)) co_return UnavailableKvError("the range was merged meanwhile");
    if (work.flags & kWrites) {
      if (absl::Status disk = group_->disk_status(); !disk.ok()) co_return FullError(Sv(disk.message()));
      RaiseForReads(work);
    }
    if (work.has_txn && work.txn.meta().isolation() == v1::READ_COMMITTED && LocksNewest(batch)) ForwardRead(work, group_->clock().Now());
    work.ts.now = std::max(work.ts.now, group_->clock().Now());
    leased = CheckLease(work, std::max({work.ts.read, work.ts.write, work.ts.now}));
    if (leased.ok() && ReadsBelow(work, gc_threshold_)) co_return TooOldError(gc_threshold_);
    if (!leased.ok() && work.lease.state == LeaseCheck::State::kNone) {
      CO_RETURN_IF_ERROR(co_await EnsureLease(ctx, work, std::max({work.ts.read, work.ts.write, work.ts.now})));
      continue;
    }
    CO_RETURN_IF_ERROR(leased);
    CO_RETURN_IF_ERROR(CheckServing());
    if (work.has_txn && !(work.flags & kTxnState) && IsAborted(work.txn.meta().id())) {
      PROBE("an aborted transaction was kept from reading on");
      co_return TxnAbortedError("another transaction pushed it, and what it wrote may be gone");
    }
    Observe(work);

    response->clear_responses();
    if (work.has_txn) *response->mutable_txn() = work.txn;
    EvalEnv env{group_, work.lease.lease, &locks_, &reads_, &releases_, &markers_, &pushes_, ticket.request(), gc_threshold_, gc_policy_floor_};
    Evaluator evaluator(env, batch, work.has_txn ? response->mutable_txn() : nullptr, work.ts, response);
    const uint64_t damage = group_->engine().damage_met();
    EvalResult result = evaluator.Run();
    metrics_->evaluations += 1;
    if (group_->engine().damage_met() != damage) {
      PROBE("a replica stopped as a row of it could not be read");
      group_->StopDamaged(absl::DataLossError(StrCat("range ", range_id_, ": a row cannot be read: ", Sv(result.status.message()))));
      co_return NotLeaseholderError(0, {});
    }
    if (!result.ok()) {
      CO_RETURN_IF_ERROR(co_await TryAgain(ctx, work, ticket, std::move(result)));
      continue;
    }
    if (evaluator.has_writes()) {
      gc_threshold_ = std::max(gc_threshold_, evaluator.effects().gc_threshold);
      Command command;
      command.write_set = evaluator.TakeWriteSet();
      command.stats_delta = evaluator.stats();
      command.lease_sequence = work.lease.lease.sequence;
      absl::Status proposed = co_await Propose(std::move(command));
      if (proposed.code() == absl::StatusCode::kAborted && !GetKvError(proposed)) continue;  // not applied, never will be
      CO_RETURN_IF_ERROR(proposed);
    } else {
      Lease evaluated_under = work.lease.lease;
      CO_RETURN_IF_ERROR(CheckLease(work, std::max(work.ts.read, work.ts.now)));
      if (work.lease.lease.sequence != evaluated_under.sequence) continue;
    }
    if (group_ == nullptr) co_return AmbiguousError("the replica went away while the batch was applied");
    Apply(work, evaluator.effects());
    FinishResponse(work);
    ticket.Finish();
    const Timestamp settled = evaluator.effects().settled;
    co_return co_await AwaitClock(ctx, Acknowledged(work, settled), evaluator.has_writes() || !settled.empty());
  }
}

// OK: evaluate anew.
Task<absl::Status> Replica::TryAgain(const Context& ctx, Work& work, Sequencer::Ticket& ticket, EvalResult result) {
  switch (result.kind) {
    case EvalResult::kLocked: {
      Timestamp limit = std::max({work.ts.read, work.ts.limit, work.one_phase ? work.ts.write : Timestamp()});
      for (const DiscoveredLock& lock : result.locks) limit = std::max(limit, Timestamp{lock.holder.write_ts()});
      co_return co_await sequencer_.WaitForDiscovered(ctx, ticket, std::move(result.locks), limit, work.push_above());
    }
    case EvalResult::kWriteTooOld:
      if (result.reads_too && !ForwardRead(work, result.ts)) {
        co_return WithRequestIndex(
            TxnRetryError(v1::Error::TxnRetry::WRITE_TOO_OLD, result.ts, result.key, "the key was written since the transaction's snapshot"),
            result.request_index);
      }
      work.ts.write = std::max({work.ts.write, result.ts.Next(), work.ts.read});
      co_return absl::OkStatus();
    case EvalResult::kUncertain:
      PROBE("a read met an uncertain value");
      if (ForwardRead(work, result.ts)) co_return absl::OkStatus();
      co_return WithRequestIndex(UncertaintyError(result.ts, work.ts.limit), result.request_index);
    case EvalResult::kPushWait: {
      const v1::PushTxnRequest& push = work.batch->requests(result.request_index).push_txn();
      if (!push.wait()) co_return WithRequestIndex(LockConflictError(result.key, /*timed_out=*/false), result.request_index);
      ticket.Finish();
      CO_RETURN_IF_ERROR(co_await WaitAtRecord(ctx, push, result.ts));
      work.attempts = 0;  // it waits for as long as the other transaction lives
      if (!sequencer_.TrySequence(ticket)) co_return co_await sequencer_.Sequence(ctx, ticket);
      co_return absl::OkStatus();
    }
    case EvalResult::kError:
      co_return result.status;
    case EvalResult::kOk:
      break;
  }
  co_return absl::InternalError("an evaluation of no known result");
}

// kAborted without a KV error inside: certainly not applied, evaluate anew.
Task<absl::Status> Replica::Propose(Command command) {
  if (frozen_) co_return absl::AbortedError("the range is about to become a part of its left neighbour");
  co_return co_await ProposeNow(std::move(command));
}

Task<absl::Status> Replica::ProposeNow(Command command) {
  if (command.split) {
    // Whoever proposes a split holds latches over the whole range: nothing is locked or collected meanwhile.
    const v1::RangeDescriptor& right = command.split->right;
    const mvcc::Stats before = command.stats_delta;
    auto kept = KeepLocks(right.start_key(), &command);
    if (!kept.ok()) co_return kept.status();
    command.split->right_stats.locks += command.stats_delta.locks - before.locks;
    if (!gc_threshold_.empty()) {
      CO_ASSIGN_OR_RETURN(auto rows, storage::WriteBatch::FromBytes(command.write_set));
      rows.Put(storage::ColumnFamily::kRange, GcThresholdKey(right.range_id()), EncodeGcThreshold(gc_threshold_));
      command.write_set = rows.TakeBytes();
    }
  }
  auto applied = co_await group_->Propose(ctx_, std::move(command));
  if (applied.ok()) co_return absl::OkStatus();
  switch (applied.status().code()) {
    case absl::StatusCode::kAborted:
      PROBE("a batch was evaluated again after its proposal was refused");
      co_return absl::AbortedError("the lease was lost before the batch was applied");
    case absl::StatusCode::kInvalidArgument:
      co_return InvalidError(Sv(applied.status().message()));
    case absl::StatusCode::kResourceExhausted:
      co_return FullError(Sv(applied.status().message()));
    case absl::StatusCode::kUnavailable:
      co_return NotLeaseholderError(0, {});
    default:
      co_return AmbiguousError(StrCat("it is not known whether the batch was applied: ", applied.status().message()));
  }
}

void Replica::Released(std::string_view key, Timestamp ts) {
  releases_.AddPoint(key, ts, {});
  reads_.AddPoint(key, ts, {});
}

void Replica::Apply(const Work& work, Effects& effects) {
  const std::string_view id = AsId(work.txn, work.has_txn);
  for (const Effects::Read& read : effects.reads) {
    std::string_view reader = read.anonymous ? std::string_view() : id;
    if (read.end_key.empty()) {
      reads_.AddPoint(read.key, read.ts, reader);
    } else {
      reads_.AddRange(read.key, read.end_key, read.ts, reader);
    }
  }
  if (fault::On(fault::Mutation::kForgetLock)) effects.acquired.clear();
  for (const auto& lock : effects.acquired) locks_.Acquire(lock.key, work.txn.meta(), lock.strength, work.ts.read);
  if (!effects.replicated.empty()) {
    v1::TxnMeta meta = work.txn.meta();
    meta.set_write_ts(work.ts.write.bits);
    for (const auto& write : effects.replicated) locks_.OnReplicated(write.key, meta, write.intent, write.strength);
  }
  auto release = [&](std::string_view key) { Released(key, work.ts.now); };
  for (const auto& [key, txn] : effects.lost) {
    locks_.Release(key, {}, txn, release);
    Released(key, work.ts.now);
  }
  for (const Effects::Resolved& resolved : effects.resolved) {
    const std::string& txn = resolved.txn.meta().id();
    if (!IsFinished(resolved.txn.status())) {
      if (resolved.end_key.empty()) locks_.OnIntentMoved(resolved.key, txn);
      continue;
    }
    sequencer_.OnFinished(resolved.txn);
    locks_.Release(resolved.key, resolved.end_key, txn, release);
  }
  for (std::string& txn_id : effects.aborted) aborted_.emplace(std::move(txn_id), work.ts.now);
  if (aborted_.size() >= sweep_aborted_at_) background_.Spawn(SweepAborted());
  if (!effects.markers.empty()) marked_ = std::max(marked_, work.ts.now);
  for (const auto& [name, ts] : effects.markers) markers_.AddPoint(name, ts, {});
  for (const auto& changed : effects.changed_txns) pushes_.Notify(changed);
  gc_policy_floor_ = std::max(gc_policy_floor_, effects.gc_policy_floor);
  if (effects.tidy && resolver_ != nullptr && !tidying_) background_.Spawn(Tidy(lease_.sequence));
  if (effects.ended) ApplyEnded(*effects.ended, work.ts.now);
}

void Replica::ApplyEnded(Effects::Ended& ended, Timestamp now) {
  const std::string id = ended.txn.meta().id();
  (ended.txn.status() == v1::COMMITTED ? metrics_->commits : metrics_->rollbacks) += 1;
  const Timestamp released = std::max(now, Timestamp{ended.txn.meta().write_ts()});
  sequencer_.OnFinished(ended.txn);
  locks_.ReleaseAll(id, [&](std::string_view key) { Released(key, released); });
  pushes_.Notify(id);
  if (ended.wrote_outcome && ++outcomes_written_ % 64 == 0 && !sweeping_) background_.Spawn(SweepOutcomes());
  if (ended.remote.empty() || resolver_ == nullptr) return;
  resolver_->Resolve(ended.txn, std::move(ended.remote), [this, anchor = ended.anchor, id, has_record = ended.has_record](absl::Status status) -> Task<void> {
    // What could not be resolved keeps the record; the next lease tries again.
    if (status.ok() && has_record) co_await ForgetRecord(anchor, id);
  });
}

void Replica::NameNodes(v1::RangeLookupResponse* lookup) const {
  std::set<uint64_t> nodes;
  for (const auto& range : lookup->ranges()) {
    for (const auto& replica : range.replicas()) nodes.insert(replica.node_id());
  }
  for (uint64_t node : nodes) {
    const std::string address = deps_.node_address(node);
    if (address.empty()) continue;
    lookup->add_nodes()->set_node_id(node);
    lookup->mutable_nodes(lookup->nodes_size() - 1)->set_address(address);
  }
}

void Replica::FinishResponse(Work& work) {
  v1::BatchResponse& response = *work.response;
  for (v1::Response& one : *response.mutable_responses()) {
    if (one.has_range_lookup()) NameNodes(one.mutable_range_lookup());
  }
  response.set_timestamp(std::max(work.ts.read, work.flags & kWrites ? work.ts.write : Timestamp()).bits);
  if (!work.has_txn) return;
  v1::Transaction& txn = *response.mutable_txn();
  const bool wrote = (work.flags & kWrites) && !(work.flags & kTxnState);
  if (wrote) txn.mutable_meta()->set_write_ts(std::max(txn.meta().write_ts(), work.ts.write.bits));
  // The coordinator knows the rest.
  txn.mutable_meta()->clear_id();
  txn.mutable_meta()->clear_anchor_key();
  txn.clear_lock_spans();
  txn.clear_in_flight();
  txn.clear_ignored();
}

}  // namespace insula::kv
