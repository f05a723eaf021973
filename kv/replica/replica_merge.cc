// Merges: a range takes in its right neighbour, which has its replicas on the same stores.
//
//   left leaseholder                                      right leaseholder
//   AdminMerge: latch the whole range
//   Subsume ────────────────────────────────────────────► latch the whole range: nothing is under way
//                                                         everybody's log is whole? else Unavailable
//                                                         entry: locks as replicated ones, the frozen row (frozen.h)
//                                                         every replica has it in its log
//           ◄──────────────────────────────────────────── applied index, served, statistics, GC threshold
//   entry with the MergeTrigger, and the merge's outcome at the left side's first key
//   on each store: the right side's replica is as far, then it is a part of the left one (kv/store/store_merge.cc)
//   address of the merged range; the right side's old row goes
//
// What if the left leaseholder dies, or gives up? The frozen side does not serve: after a moment it asks for the outcome of the merge,
// where the left side's first key is by then. QueryOutcome waits behind the latches of an AdminMerge that is under way, and either finds the
// outcome or leaves an abort: a proposal of an earlier lease that is not applied by then never will be (command.h, C1), and a new attempt
// has a new id. So the answer holds for ever, and the range goes on, or is known to have ended.
//
// What travels: unreplicated locks of the right side as replicated ones; transaction records and outcomes lie with their keys; the
// timestamp cache as one span at `served`, below which no transaction gets a record in the merged range any more; the higher GC threshold;
// removed replicas that are still to be told so (removed.h); transactions that were aborted while they had written there (aborted.h).
// What the merged range's leaseholder observed before says nothing about values that the right one wrote, so transactions that began before
// have their uncertainty there.
#include <algorithm>
#include <set>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/conf_change.h"
#include "kv/replica/frozen.h"
#include "kv/replica/gc_threshold.h"
#include "kv/replica/removed.h"
#include "kv/replica/replica.h"
#include "kv/txn/record.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr Duration kCatchUpPatience = 2s;   // with replicas that are behind, before anything is frozen
constexpr Duration kSubsumePatience = 4s;
constexpr Duration kAddressPatience = 5s;
constexpr Duration kFateDelay = 2s;         // a merge is over long before
constexpr Duration kFateTimeout = 5s;
constexpr Duration kLastFateDelay = 5s;
constexpr Duration kFrozenRetry = 10ms;
constexpr int64_t kOutcomeYears = 10;       // how long a side that nobody hears of may take to ask

std::set<uint64_t> StoresOf(const v1::RangeDescriptor& range) {
  std::set<uint64_t> stores;
  for (const auto& r : range.replicas()) stores.insert(r.store_id());
  return stores;
}

absl::Status CheckNeighbours(const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  auto keyspace = KeyspaceOf(left.start_key());
  const bool one_keyspace = keyspace && KeyspaceOf(right.start_key()) == keyspace && !right.end_key().empty() && right.end_key() <= KeyspacePrefix(*keyspace + 1);
  if (!one_keyspace) return InvalidError("only ranges of one keyspace are merged");
  if (left.base_keyspace() != right.base_keyspace() || left.base_timestamp() != right.base_timestamp()) return InvalidError("the neighbours have different bases");
  if (!IsSettled(left) || !IsSettled(right)) return UnavailableKvError("replicas of one of the ranges are being changed");
  if (StoresOf(left) != StoresOf(right)) return UnavailableKvError("the neighbours have their replicas on different stores");
  return absl::OkStatus();
}

bool SameRange(const v1::RangeDescriptor& a, const v1::RangeDescriptor& b) {
  return a.range_id() == b.range_id() && a.generation() == b.generation() && a.start_key() == b.start_key() && a.end_key() == b.end_key();
}

// No two attempts have one: clocks of one range's leaseholders never show the same time twice.
std::string NewMergeId(RangeId left, Timestamp now) {
  std::string id;
  AppendFixed64(&id, left);
  AppendFixed64(&id, now.bits);
  return id;
}

// Refused, and never applied: not the caller's fault, and another try may find things otherwise.
absl::Status Refused(const absl::Status& proposed) {
  return proposed.code() == absl::StatusCode::kAborted && !GetKvError(proposed) ? NotLeaseholderError(0, {}) : proposed;
}

}  // namespace

// --------------------------------------------------------------------------------------------------------------- the left side

// Somebody leads the right side, and this node knows where, before anything here has to wait for it.
Task<absl::Status> Replica::WakeNeighbour(const Context& ctx, std::string key) {
  if (key.empty()) co_return InvalidError("the last range has no right neighbour");
  v1::BatchRequest wake = NewBatch();
  wake.add_requests()->mutable_range_stats()->set_key(std::move(key));
  v1::BatchResponse response = co_await deps_.sender->Send(ctx.WithTimeout(kCatchUpPatience), std::move(wake));
  if (response.has_error()) co_return FromKvError(response.error());
  co_return group_ == nullptr ? Mismatch({}, {}) : absl::OkStatus();
}

Task<absl::Status> Replica::AdminMerge(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  if (deps_.sender == nullptr) co_return InvalidError("this replica cannot merge: it has no way to other ranges");
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  CO_RETURN_IF_ERROR(co_await WakeNeighbour(ctx, group_->descriptor().end_key()));
  // A replica that is away is found out before the range has to wait for it.
  CO_RETURN_IF_ERROR(co_await HoldLease(ctx));
  CO_RETURN_IF_ERROR(CaughtUp(co_await group_->AwaitReplicated(ctx.WithTimeout(kCatchUpPatience), group_->applied_index())));
  if (group_ == nullptr) co_return Mismatch({}, {});
  WholeRange whole;
  Work work;
  CO_RETURN_IF_ERROR(co_await LeadWhole(ctx, whole, work));
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  CO_RETURN_IF_ERROR(CheckServing());

  MergeTrigger merge;
  const v1::RangeDescriptor left = group_->descriptor();
  // Where the stores are the same, a replica of it is here.
  for (v1::RangeDescriptor& range : deps_.local_ranges(left.end_key(), {})) {
    if (range.start_key() == left.end_key()) merge.right = std::move(range);
  }
  if (merge.right.range_id() == 0) co_return UnavailableKvError("the right neighbour has no replica on this store");
  CO_RETURN_IF_ERROR(CheckNeighbours(left, merge.right));
  CO_RETURN_IF_ERROR(CaughtUp(co_await group_->AwaitReplicated(ctx.WithTimeout(kCatchUpPatience), group_->applied_index())));

  const std::string merge_id = NewMergeId(left.range_id(), group_->clock().Now());
  v1::BatchRequest subsume = NewBatch();
  v1::SubsumeRequest* request = subsume.add_requests()->mutable_subsume();
  request->set_key(merge.right.start_key());
  *request->mutable_left() = left;
  *request->mutable_right() = merge.right;
  request->set_merge_id(merge_id);
  v1::BatchResponse frozen = co_await deps_.sender->Send(ctx.WithTimeout(kSubsumePatience), std::move(subsume));
  if (frozen.has_error()) co_return FromKvError(frozen.error());
  if (group_ == nullptr || !SameRange(group_->descriptor(), left)) co_return UnavailableKvError("the range changed meanwhile");

  const v1::SubsumeResponse& right = frozen.responses(0).subsume();
  merge.left = left;
  merge.left.set_end_key(merge.right.end_key());
  merge.left.set_generation(std::max(left.generation(), merge.right.generation()) + 1);
  merge.right_applied = right.applied_index();
  merge.served = Timestamp{right.served()};
  std::string_view stats(right.stats());
  if (!mvcc::TakeStats(&stats, &merge.right_stats)) co_return absl::DataLossError("the right side's statistics do not parse");
  const Timestamp now = group_->clock().Now();
  storage::ReadWriter rw(group_->engine().NewReader());
  StoreOutcome(rw, left.start_key(), merge_id, {v1::COMMITTED, now, now.AddMicros(kOutcomeYears * 365 * 86'400 * int64_t{1'000'000})});
  const Timestamp threshold = std::max(gc_threshold_, Timestamp{right.gc_threshold()});
  if (!threshold.empty()) rw.Put(storage::ColumnFamily::kRange, GcThresholdKey(range_id_), EncodeGcThreshold(threshold));
  Command command;
  command.write_set = rw.ToBatch().TakeBytes();
  command.lease_sequence = work.lease.lease.sequence;
  command.merge = std::move(merge);
  CO_RETURN_IF_ERROR(Refused(co_await Propose(std::move(command))));
  whole.ticket->Finish();
  if (group_ == nullptr) co_return AmbiguousError("the replica went away while the merge was applied");
  *response->add_responses()->mutable_admin_merge()->mutable_range() = group_->descriptor();
  absl::Status published = co_await AwaitPublished(ctx.WithTimeout(kAddressPatience));
  if (!published.ok()) LOG_DEBUG("a range was merged, its address is still to be written", {"range", range_id_}, {"why", published.ToString()});
  co_return absl::OkStatus();
}

void Replica::AfterMerge(const MergeTrigger& merge) {
  if (lease_.sequence == 0) return;  // a lease that comes starts above `served`
  const std::string& start = merge.right.start_key();
  const std::string& end = merge.right.end_key();
  reads_.AddRange(start, end, merge.served, {});
  releases_.AddRange(start, end, merge.served, {});
  // Not as a span: markers above the low-water mark are taken for what became of a transaction itself.
  markers_.RaiseLowWater(merge.served);
  observed_floor_ = group_->clock().Now();
  auto threshold = LoadGcThreshold(*group_->engine().NewReader(), range_id_);
  gc_threshold_ = std::max(gc_threshold_, threshold.ok() ? *threshold : observed_floor_);
  gc_policy_floor_ = std::max({gc_policy_floor_, observed_floor_, merge.served});
  settled_since_ = deps_.executor->Now();
  splitter_.Reset(settled_since_);
  LoadAbortedTxns();
  if (resolver_ != nullptr) background_.Spawn(FinishRecords(lease_.sequence, start));
  EvictRemoved();
  PublishSoon();
}

// -------------------------------------------------------------------------------------------------------------- the right side

absl::Status Replica::CheckServing() const {
  if (!frozen_) return absl::OkStatus();
  if (frozen_->merged) return Mismatch({}, {});
  return UnavailableKvError("the range is about to become a part of its left neighbour", kFrozenRetry);
}

absl::Status Replica::CaughtUp(const absl::Status& awaited) {
  if (awaited.ok()) return awaited;
  if (absl::IsFailedPrecondition(awaited)) return NotLeaseholderError(0, {});
  return UnavailableKvError("a replica of the range is behind or away");
}

Task<absl::Status> Replica::Subsume(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  const v1::SubsumeRequest& request = batch.requests(0).subsume();
  if (request.merge_id().size() != kMergeIdBytes || request.left().start_key().empty()) co_return InvalidError("a merge without an id or an anchor");
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  CO_RETURN_IF_ERROR(co_await HoldLease(ctx));
  CO_RETURN_IF_ERROR(CaughtUp(co_await group_->AwaitReplicated(ctx.WithTimeout(kCatchUpPatience), group_->applied_index())));
  if (group_ == nullptr) co_return Mismatch(request.key(), {});
  WholeRange whole;
  Work work;
  CO_RETURN_IF_ERROR(co_await LeadWhole(ctx, whole, work));
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  if (!SameRange(group_->descriptor(), request.right())) co_return ConditionFailedError(request.key(), std::nullopt);
  CO_RETURN_IF_ERROR(CheckNeighbours(request.left(), group_->descriptor()));
  CO_RETURN_IF_ERROR(CaughtUp(co_await group_->AwaitReplicated(ctx.WithTimeout(kCatchUpPatience), group_->applied_index())));
  if (group_ == nullptr) co_return Mismatch(request.key(), {});
  CO_RETURN_IF_ERROR(co_await Freeze({.merge_id = request.merge_id(), .anchor = request.left().start_key()}));
  if (group_ == nullptr) co_return AmbiguousError("the replica went away while it was frozen");
  CO_RETURN_IF_ERROR(CaughtUp(co_await group_->AwaitReplicated(ctx.WithTimeout(kCatchUpPatience), group_->applied_index())));
  if (group_ == nullptr) co_return Mismatch(request.key(), {});
  CO_RETURN_IF_ERROR(CheckLease(work, group_->clock().Now()));
  if (!frozen_ || frozen_->merge_id != request.merge_id() || !SameRange(group_->descriptor(), request.right())) {
    co_return UnavailableKvError("the range was set free meanwhile");
  }
  v1::SubsumeResponse* out = response->add_responses()->mutable_subsume();
  out->set_applied_index(group_->applied_index());
  out->set_served(std::max({group_->clock().Now(), reads_.highest(), marked_}).bits);
  mvcc::AppendStats(out->mutable_stats(), group_->stats());
  out->set_gc_threshold(gc_threshold_.bits);
  co_return absl::OkStatus();
}

// From the moment it is proposed on, nothing else is. The caller holds latches over everything.
Task<absl::Status> Replica::Freeze(Frozen frozen) {
  Command command;
  auto kept = KeepLocks(group_->descriptor().start_key(), &command);
  if (!kept.ok()) co_return kept.status();
  CO_ASSIGN_OR_RETURN(storage::WriteBatch rows, storage::WriteBatch::FromBytes(command.write_set));
  rows.Put(storage::ColumnFamily::kRange, FrozenKey(range_id_), EncodeFrozen(frozen));
  command.write_set = rows.TakeBytes();
  command.lease_sequence = lease_.sequence;
  std::optional<Frozen> before = std::exchange(frozen_, frozen);
  absl::Status proposed = co_await ProposeNow(std::move(command));
  if (proposed.code() == absl::StatusCode::kAborted && !GetKvError(proposed)) {
    // Not applied; and the lease is over, or this one and its memory go on as before.
    if (frozen_ && frozen_->merge_id == frozen.merge_id) frozen_ = std::move(before);
    co_return NotLeaseholderError(0, {});
  }
  // Whoever waits here is told to ask again, and finds the merged range.
  locks_.Clear();
  pushes_.NotifyAll();
  if (frozen_) background_.Spawn(FindFate(std::move(frozen.merge_id), kFateDelay));
  co_return proposed;
}

// Until this replica goes, or it is known that the merge never will happen.
Task<void> Replica::FindFate(std::string merge_id, Duration wait) {
  auto undecided = [this, &merge_id] { return group_ != nullptr && frozen_ && !frozen_->merged && frozen_->merge_id == merge_id; };
  while (undecided()) {
    if (wait > Duration::zero() && !(co_await Sleep(ctx_, wait)).ok()) co_return;
    if (!undecided()) co_return;
    v1::BatchRequest ask = NewBatch();
    auto* query = ask.add_requests()->mutable_query_outcome();
    query->set_key(frozen_->anchor);
    query->set_txn_id(merge_id);
    v1::BatchResponse answer = co_await deps_.sender->Send(ctx_.WithTimeout(kFateTimeout), std::move(ask));
    if (ctx_.done() || !undecided()) co_return;
    wait = std::clamp<Duration>(2 * wait, kFateDelay, kLastFateDelay);
    if (answer.has_error()) {
      LOG_DEBUG("it is not known yet whether a range was merged", {"range", range_id_}, {"why", answer.error().message()});
      continue;
    }
    if (answer.responses(0).query_outcome().committed()) {
      PROBE("a frozen range found out that it was merged");
      frozen_->merged = true;
      co_return;
    }
    WholeRange whole;
    if (!(co_await LatchWhole(ctx_, whole)).ok() || !undecided()) co_return;
    Command command;
    storage::WriteBatch rows;
    rows.Delete(storage::ColumnFamily::kRange, FrozenKey(range_id_));
    command.write_set = rows.TakeBytes();
    command.lease_sequence = lease_.sequence;
    if (!(co_await ProposeNow(std::move(command))).ok()) continue;  // the next leaseholder finds the row, or not
    PROBE("a frozen range found out that it was not merged");
    if (frozen_ && frozen_->merge_id == merge_id) frozen_.reset();
    co_return;
  }
}

void Replica::LoadFrozenState() {
  auto frozen = LoadFrozen(*group_->engine().NewReader(), range_id_);
  if (!frozen.ok()) {
    LOG_ERROR("it cannot be read whether the range is being merged: it does not serve", {"range", range_id_}, {"why", frozen.status().ToString()});
    frozen_ = Frozen();
    return;
  }
  frozen_ = *std::move(frozen);
  if (frozen_ && resolver_ != nullptr) background_.Spawn(FindFate(frozen_->merge_id, Duration::zero()));
}

}  // namespace insula::kv
