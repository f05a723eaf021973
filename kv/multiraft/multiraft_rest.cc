// Groups that would be ticked for as long as a follower does not answer, though its store lives: it has stopped, or nobody can make it.
//
//   awake, and like that for 2 s: all is committed, whoever answers has all of it ──► rests: no ticks; the silent ones are asked
//                                                                                     after 1, 2, 4 … 32 s, with one heartbeat
//   rests ──a word from a silent follower, anything that changes the group, support that came or went──► awake
//
// Ticks make nothing safe: a group that rests is like one that sleeps (raft_fortify.cc), but for somebody whom it owes entries. What may make
// that one answer comes as an event: its store starts anew (support), its replica is replaced (a change), or can be made (a message that
// came for it is kept, KeepEarly, until nothing here has its keys any more, and its answer is heard here). The heartbeats are for answers that were lost.
#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "kv/multiraft/conf_change.h"
#include "kv/multiraft/multiraft.h"

namespace insula::kv {
namespace {
constexpr Duration kQuiet = std::chrono::seconds(2);
constexpr int kAnswers = 3;  // within it, to heartbeats that say what is committed
constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLastPause = std::chrono::seconds(32);
}  // namespace

MultiRaft::Standing MultiRaft::StandingOf(const RaftGroup& group) {
  const raft::BasicStatus status = group.status();
  return {.term = status.hard_state.term, .last_index = status.last_index, .commit = status.hard_state.commit, .generation = group.descriptor().generation()};
}

bool MultiRaft::StillRests(const RaftGroup& group, const Rest& rest) const {
  return group.holds_lease() && group.status().lead_transferee == raft::kNone && StandingOf(group) == rest.standing;
}

bool MultiRaft::BeginsToRest(RaftGroup* group, Awake& awake, MonoTime now) {
  if (!group->holds_lease()) return false;
  const Standing standing = StandingOf(*group);
  if (standing != awake.standing) awake = {.standing = standing, .since = now, .heard = {}};
  if (now - awake.since < kQuiet) return false;
  Rest rest{.standing = standing, .silent = {}, .pause = kFirstPause, .next = now + kFirstPause};
  size_t voters = 0, voters_heard = 0;
  bool all_else_done = standing.commit == standing.last_index && group->idle() && !IsJoint(group->descriptor());
  all_else_done = all_else_done && group->status().lead_transferee == raft::kNone;
  for (const auto& r : group->descriptor().replicas()) {
    const bool self = r.replica_id() == group->replica_id();
    voters += r.learner() ? 0 : 1;
    voters_heard += !r.learner() && (self || awake.heard.contains(r.replica_id())) ? 1 : 0;
    if (self) continue;
    if (auto heard = awake.heard.find(r.replica_id()); heard != awake.heard.end()) {
      all_else_done = all_else_done && heard->second >= kAnswers && group->IsCaughtUp(r.replica_id());
    } else if (const auto support = liveness_->SupportFrom(r.store_id()); support.epoch != 0 && support.expiration > clock_->Peek()) {
      rest.silent.insert(r.replica_id());
    }
  }
  // Without a quorum it is to step down, by its ticks.
  if (!all_else_done || rest.silent.empty() || 2 * voters_heard <= voters) {
    awake.since = now;
    awake.heard.clear();
    return false;
  }
  PROBE("a group rested for a follower that did not answer");
  LOG_DEBUG("a range rests: a follower does not answer", {"range", group->range_id()}, {"replica", *rest.silent.begin()});
  resting_[group->range_id()] = std::move(rest);
  return true;
}

std::optional<MonoTime> MultiRaft::NextAsking() const {
  std::optional<MonoTime> next;
  for (const auto& [range, rest] : resting_) next = next ? std::min(*next, rest.next) : rest.next;
  return next;
}

void MultiRaft::AskTheSilent(MonoTime now) {
  for (auto it = resting_.begin(); it != resting_.end();) {
    if (now < it->second.next) {
      ++it;
      continue;
    }
    auto group = Find(it->first);
    if (group == nullptr || !group->NeedsTicks() || !StillRests(*group, it->second)) {
      it = resting_.erase(it);
      if (group != nullptr && group->NeedsTicks()) Wake(group.get());
      continue;
    }
    it->second.pause = std::min(2 * it->second.pause, kLastPause);
    it->second.next = now + it->second.pause;
    for (int i = 0; i < options_.heartbeat_ticks; ++i) group->Tick();
    ++it;
  }
}

void MultiRaft::Heard(RangeId range, ReplicaId from) {
  if (auto it = awake_.find(range); it != awake_.end()) {
    ++it->second.heard[from];
  } else if (auto rest = resting_.find(range); rest != resting_.end() && rest->second.silent.contains(from)) {
    resting_.erase(rest);
  }
}

void MultiRaft::RetryEarly() {
  if (early_.empty() || std::exchange(delivering_early_, true)) return;
  tasks_.Spawn(DeliverEarly());  // whoever calls is in the middle of something
}

Task<void> MultiRaft::DeliverEarly() {
  delivering_early_ = false;
  const std::deque<RangeId> order = early_order_;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i % 64 == 63 && !(co_await tasks_.ctx().Yield()).ok()) co_return;
    auto it = early_.find(order[i]);
    if (!started_ || it == early_.end() || !lifecycle_->MayHold(it->second.range()).ok()) continue;
    v1::RaftEnvelope envelope = std::move(it->second);
    early_.erase(it);
    std::erase(early_order_, order[i]);
    PROBE("a message that came for a replica that could not be made was kept");
    ReceiveRaft(std::move(envelope));
  }
}

}  // namespace insula::kv
