#include "kv/store/replicate_queue.h"

#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"

namespace insula::kv {
namespace {

constexpr size_t kLooksPerTurn = 128;
constexpr Duration kLeaseWait = std::chrono::seconds(5);
constexpr Duration kTransferTimeout = std::chrono::seconds(10);

using Kind = placement::Action::Kind;
static_assert(static_cast<int>(placement::Action::Why::kLoad) + 1 == kPlacementReasons);

// The key by which a range is asked for: the empty one is nobody's.
std::string KeyOf(const v1::RangeDescriptor& range) { return range.start_key().empty() ? std::string(1, '\0') : range.start_key(); }

// Leases that must go go side by side; those that only had better go one by one, so that each is decided on what the one before has done.
bool GoesAtOnce(const placement::Action& action) {
  using Why = placement::Action::Why;
  return action.kind == Kind::kTransferLease && action.why != Why::kLoad && action.why != Why::kDiversity;
}

// Of those that could, one asks for the lease.
StoreId FirstLiveVoter(const v1::RangeDescriptor& range, const placement::ClusterView& view) {
  for (const auto& r : range.replicas()) {
    const placement::StoreView* s = view.Find(r.store_id());
    if (!r.learner() && s != nullptr && s->liveness == placement::Liveness::kLive && s->state != v1::NODE_DRAINING) return r.store_id();
  }
  return 0;
}

void NoteDone(const placement::Action& action) {
  using Why = placement::Action::Why;
  if (action.why == Why::kDead) PROBE("a replica of a dead store was replaced");
  if (action.why == Why::kStopped) PROBE("a replica that had stopped itself was replaced");
  if (action.why == Why::kLeaseUnwanted) PROBE("a draining store gave a lease away");
  if (action.why == Why::kLoad && action.kind == Kind::kChange) PROBE("a replica was moved for load");
  if (action.why == Why::kLoad && action.kind == Kind::kTransferLease) PROBE("a lease was moved for load");
}

}  // namespace

void ReplicateQueue::Touch(RangeId range) {
  if (!options_.enabled) return;
  touched_.insert(range);
  pool_->changed().NotifyAll();
}

void ReplicateQueue::WalkNow() {
  walk_wanted_ = true;
  pool_->changed().NotifyAll();
}

void ReplicateQueue::Drop(RangeId range) {
  auto it = entries_.find(range);
  if (it == entries_.end()) return;
  queue_.erase({static_cast<int>(it->second.action.why), it->second.number, range});
  entries_.erase(it);
  CountPending();
}

void ReplicateQueue::CountPending() { metrics_->queue(QueueKind::kReplicate).pending = static_cast<int64_t>(queue_.size() + busy_.size()); }

void ReplicateQueue::Enqueue(RangeId range, placement::Action action) {
  auto it = entries_.find(range);
  const uint64_t number = it == entries_.end() ? ++next_number_ : it->second.number;
  Drop(range);
  queue_.insert({static_cast<int>(action.why), number, range});
  entries_[range] = {.action = std::move(action), .number = number};
  CountPending();
}

bool ReplicateQueue::Settled(const v1::RangeDescriptor& descriptor) {
  const bool open = std::any_of(descriptor.replicas().begin(), descriptor.replicas().end(), [](const auto& r) { return r.learner() || r.incoming() || r.outgoing(); });
  if (!open) {
    unsettled_.erase(descriptor.range_id());
    return true;
  }
  Unsettled& u = unsettled_[descriptor.range_id()];
  if (u.since == MonoTime{} || u.generation != descriptor.generation()) u = {.generation = descriptor.generation(), .since = executor_->Now()};
  return executor_->Now() - u.since >= options_.unsettled_for;
}

void ReplicateQueue::LookAt(RangeId range, const placement::ClusterView& view) {
  ++counters_.looks;
  if (busy_.contains(range)) return;
  std::optional<PlacedRanges::Look> look = ranges_->LookAt(range);
  if (!look || !look->leads) {
    Drop(range);
    trouble_.erase(range);
    unsettled_.erase(range);
    return;
  }
  look->view.settled = Settled(*look->view.descriptor);
  placement::Action action = Decide(view, look->view, options_.placement);
  if (action.kind == Kind::kNone) {
    Drop(range);
    trouble_.erase(range);
    if (auto open = unsettled_.find(range); open != unsettled_.end() && look->view.settled) open->second.since = executor_->Now();
    return;
  }
  Enqueue(range, std::move(action));
}

bool ReplicateQueue::NeedsALeader(const PlacedRanges::Look& look, const placement::ClusterView& view) const {
  if (FirstLiveVoter(*look.view.descriptor, view) != pool_->self()) return false;
  placement::RangeView led = look.view;
  led.leaseholder = pool_->self();
  const placement::Action action = Decide(view, led, options_.placement);
  return action.kind != Kind::kNone && action.why != placement::Action::Why::kLeaseUnwanted;  // a lease that nobody has is no trouble
}

Task<void> ReplicateQueue::Walk(Context ctx) {
  walking_ = true;
  ++counters_.walks;
  walk_wanted_ = false;
  return_at_.reset();
  last_walk_ = executor_->Now();
  seen_urgent_ = pool_->urgent();
  seen_drifted_ = pool_->drifted();
  pool_->MarkSeen();
  const std::vector<RangeId> ranges = ranges_->Ranges();
  std::vector<RangeId> leaderless;
  placement::ClusterView view = pool_->View();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (i % kLooksPerTurn == kLooksPerTurn - 1) {
      if (!(co_await ctx.Yield()).ok()) co_return;
      view = pool_->View();
    }
    std::optional<PlacedRanges::Look> look = ranges_->LookAt(ranges[i]);
    if (!look) continue;
    if (look->leads) {
      LookAt(ranges[i], view);
    } else if (!look->leader_is_live && NeedsALeader(*look, view)) {
      leaderless.push_back(ranges[i]);
    }
  }
  walking_ = false;
  pool_->changed().NotifyAll();
  bool all_led = true;
  // One after the other: elections of ten thousand sleeping ranges shall not stand in the way of those that are in use.
  for (RangeId range : leaderless) {
    const std::optional<PlacedRanges::Look> look = ranges_->LookAt(range);
    // What was moved meanwhile may be enough.
    if (!look || look->leads || look->leader_is_live || !NeedsALeader(*look, pool_->View())) continue;
    ++counters_.woken;
    absl::Status led = co_await ranges_->AskForLease(ctx.WithTimeout(kLeaseWait), range);
    if (ctx.done()) co_return;
    if (!led.ok()) LOG_DEBUG("a range that is to be moved has no leader yet", {"range", range}, {"why", led});
    all_led = all_led && led.ok();
    Touch(range);
  }
  if (all_led) {
    unled_walks_ = 0;
    return_at_.reset();
  } else if (++unled_walks_ <= options_.max_failures) {
    return_at_ = executor_->Now() + options_.drift_rest * (1 << std::min(unled_walks_ - 1, 5));
    pool_->changed().NotifyAll();
  }
}

Task<absl::Status> ReplicateQueue::Carry(const Context& ctx, const v1::RangeDescriptor& range, const placement::Action& action, const placement::ClusterView& view) {
  Sender* sender = sender_();
  if (sender == nullptr) co_return absl::UnavailableError("there is no way to the ranges yet");
  v1::BatchRequest batch = NewBatch();
  if (action.kind == Kind::kTransferLease) {
    auto* transfer = batch.add_requests()->mutable_admin_transfer_lease();
    transfer->set_key(KeyOf(range));
    transfer->set_store_id(action.lease_to);
  } else {
    auto* change = batch.add_requests()->mutable_admin_change_replicas();
    change->set_key(KeyOf(range));
    change->set_expected_generation(range.generation());
    auto target = [&](StoreId store, v1::ReplicaTarget* to) {
      to->set_store_id(store);
      if (const placement::StoreView* s = view.Find(store); s != nullptr) to->set_node_id(s->node_id);
    };
    for (StoreId s : action.add) target(s, change->add_add());
    for (StoreId s : action.remove) target(s, change->add_remove());
  }
  const Duration timeout = action.kind == Kind::kTransferLease ? kTransferTimeout : options_.change_timeout;
  v1::BatchResponse response = co_await sender->Send(ctx.WithTimeout(timeout), std::move(batch));
  co_return response.has_error() ? FromKvError(response.error()) : absl::OkStatus();
}

Task<void> ReplicateQueue::Act(Context ctx, RangeId range, bool at_once) {
  std::optional<PlacedRanges::Look> look = ranges_->LookAt(range);
  const MonoTime began = executor_->Now();
  const placement::ClusterView cluster = pool_->View();
  placement::Action action;
  if (look && look->leads) {
    // Decided once more: it may have waited for long.
    look->view.settled = Settled(*look->view.descriptor);
    action = Decide(cluster, look->view, options_.placement);
  }
  absl::Status done;
  if (action.kind != Kind::kNone && GoesAtOnce(action) == at_once) {
    placement::RangeView view = look->view;
    const v1::RangeDescriptor descriptor = *look->view.descriptor;
    view.descriptor = &descriptor;
    done = co_await Carry(ctx, descriptor, action, cluster);
    metrics_->queue(QueueKind::kReplicate).processed += 1;
    metrics_->queue(QueueKind::kReplicate).seconds.Observe(ToSeconds(executor_->Now() - began));
    if (done.ok()) {
      ++(action.kind == Kind::kTransferLease ? counters_.transfers : counters_.changes);
      metrics_->placement_actions[static_cast<size_t>(action.why)] += 1;
      NoteDone(action);
      pool_->Done(action, view);
      LOG_INFO("placement", {"range", range}, {"did", Describe(action)});
    }
  }
  busy_.erase(range);
  --(at_once ? transferring_ : changing_);
  CountPending();
  if (ctx.done()) co_return;
  if (done.ok()) {
    trouble_.erase(range);
    touched_.insert(range);
  } else {
    Failed(range, action, done);
  }
  pool_->changed().NotifyAll();
}

void ReplicateQueue::Failed(RangeId range, const placement::Action& action, const absl::Status& why) {
  ++counters_.failures;
  metrics_->queue(QueueKind::kReplicate).failed += 1;
  last_failure_ = StrCat(Describe(action), ": ", Sv(why.message()));
  LOG_DEBUG("placement failed", {"range", range}, {"did", Describe(action)}, {"why", why});
  Trouble& t = trouble_[range];
  if (++t.failures > options_.max_failures) {
    trouble_.erase(range);
  } else {
    t.next = executor_->Now() + options_.first_retry * (1 << std::min(t.failures - 1, 5));
  }
}

void ReplicateQueue::Start(TaskGroup& group) {
  const MonoTime now = executor_->Now();
  for (auto it = queue_.begin(); it != queue_.end();) {
    const RangeId range = std::get<2>(*it);
    const bool at_once = GoesAtOnce(entries_[range].action);
    auto trouble = trouble_.find(range);
    const bool rests = trouble != trouble_.end() && trouble->second.next > now;
    const bool room = at_once ? transferring_ < options_.transfers_at_once : changing_ == 0;  // R2
    if (rests || !room) {
      ++it;
      if (transferring_ >= options_.transfers_at_once && changing_ > 0) return;
      continue;
    }
    busy_.insert(range);
    ++(at_once ? transferring_ : changing_);
    group.Spawn(Act(group.ctx(), range, at_once));
    it = queue_.erase(it);
    entries_.erase(range);
  }
}

bool ReplicateQueue::WalkWanted() const {
  if (walking_ || sender_() == nullptr) return false;
  const MonoTime now = executor_->Now();
  if (last_walk_ != MonoTime{} && now - last_walk_ < options_.walk_rest) return false;
  if (walk_wanted_ || pool_->urgent() != seen_urgent_ || (return_at_ && now >= *return_at_)) return true;
  return pool_->drifted() != seen_drifted_ && now - last_walk_ >= options_.drift_rest;  // R4
}

std::optional<MonoTime> ReplicateQueue::NextWake() const {
  const MonoTime now = executor_->Now();
  std::optional<MonoTime> next = pool_->NextDeath();
  // What is due already waits for something else: a way to the ranges, the end of a walk, its turn.
  auto at = [&](MonoTime when) {
    if (when > now) next = next ? std::min(*next, when) : when;
  };
  if (walk_wanted_ || pool_->urgent() != seen_urgent_) at(last_walk_ + options_.walk_rest);
  if (pool_->drifted() != seen_drifted_) at(last_walk_ + options_.drift_rest);
  if (return_at_) at(*return_at_);
  for (const auto& [range, t] : trouble_) at(t.next);
  for (const auto& [range, u] : unsettled_) at(u.since + options_.unsettled_for);
  return next;
}

Task<void> ReplicateQueue::Run(Context ctx) {
  if (!options_.enabled) co_return;
  TaskGroup group(ctx);
  while (!ctx.done()) {
    const MonoTime now = executor_->Now();
    pool_->NoticeDeaths();
    // What waited for its time: looked at anew, as the world has moved on.
    for (const auto& [range, t] : trouble_) {
      if (t.next <= now && !entries_.contains(range) && !busy_.contains(range)) touched_.insert(range);
    }
    for (auto& [range, u] : unsettled_) {
      if (now - u.since >= options_.unsettled_for && !entries_.contains(range) && !busy_.contains(range)) touched_.insert(range);
    }
    if (WalkWanted()) group.Spawn(Walk(group.ctx()));
    if (!touched_.empty() && sender_() != nullptr) {
      const placement::ClusterView view = pool_->View();
      for (RangeId range : std::exchange(touched_, {})) LookAt(range, view);
    }
    Start(group);
    std::optional<MonoTime> wake = NextWake();
    if (!touched_.empty() && sender_() != nullptr) continue;
    Context until = wake ? ctx.WithDeadline(std::max(*wake, now + std::chrono::milliseconds(1))) : ctx;
    if (!(co_await pool_->changed().Wait(until)).ok() && ctx.done()) co_return;
  }
}

}  // namespace insula::kv
