#include "kv/multiraft/multiraft.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/raft_convert.h"

namespace insula::kv {
namespace {

constexpr int kGroupsPerTurn = 32;  // between yields
constexpr Duration kElectionFor = std::chrono::seconds(5);
constexpr Duration kElectionEvery = std::chrono::milliseconds(150);
constexpr Duration kElectionLeast = std::chrono::milliseconds(100);  // between two of a range, however often somebody wants one
constexpr size_t kMostEarly = 1024;
// How far a hybrid clock may be ahead of our physical one, in maximum offsets: one for what clocks differ, one for what a transaction that
// was pushed above uncertain reads was served at, and one for a restart, whose clock starts at the bound of the life before.
constexpr int64_t kMaxLeadOffsets = 3;
constexpr Duration kRefusalCounts = std::chrono::seconds(1);  // several heartbeats: whoever refuses our clock says so at each

// Types that may reach a store that has no replica yet: they carry the descriptor.
bool CarriesDescriptor(raft::MessageType type) {
  return type == raft::MessageType::kHeartbeat || type == raft::MessageType::kVote || type == raft::MessageType::kPreVote || type == raft::MessageType::kSnap;
}

}  // namespace

MultiRaft::MultiRaft(const Runtime& runtime, Transport* transport, HybridClock* clock, MultiRaftOptions options)
    : runtime_(runtime),
      clock_(clock),
      options_(std::move(options)),
      streams_(runtime, transport, options_.store_id, clock, options_.resolver, options_.peer_check, options_.metrics),
      snapshots_(this, transport, options_.store_id, options_.resolver, options_.peer_check),
      tasks_(Context::Background(runtime.executor)) {}

MultiRaft::~MultiRaft() {
  for (auto& [range, group] : groups_) group->Dismantle();
}

absl::Status MultiRaft::Open(storage::Engine* engine, LogEngine* log, RangeLifecycle* lifecycle) {
  engine_ = engine;
  log_ = log;
  lifecycle_ = lifecycle;
  incarnations_.emplace(log);
  truncation_ = std::make_unique<Truncation>(this, options_.truncation);
  ASSIGN_OR_RETURN(liveness_, LivenessDriver::Make(runtime_, options_.store_id, options_.stores, clock_, log, &streams_, options_.metrics,
                                                   [this](const std::set<StoreId>& stores) { OnSupportChanged(stores); }));
  return absl::OkStatus();
}

void MultiRaft::Start() {
  started_ = true;
  streams_.SetLoadSource([this](StoreId to) { return lifecycle_->LoadFor(to); });
  liveness_->Start();
  streams_.Start(this, incarnations_->own());
  snapshots_.Start();
  tasks_.Spawn(ReadyLoop());
  tasks_.Spawn(Ticker());
  tasks_.Spawn(truncation_->Loop(tasks_.ctx()));
}

void MultiRaft::Stop(const absl::Status& why) {
  started_ = false;
  streams_.Stop();
  snapshots_.Stop();
  if (liveness_) liveness_->Stop();
  tasks_.Cancel();
  for (auto& [range, group] : groups_) group->Stop(why);
}

void MultiRaft::AddStore(StoreId store) {
  if (store == 0 || std::find(options_.stores.begin(), options_.stores.end(), store) != options_.stores.end()) return;
  options_.stores.push_back(store);
  liveness_->AddPeer(store);
}

void MultiRaft::RemoveStore(StoreId store) {
  if (std::erase(options_.stores, store) == 0) return;
  clocks_ahead_.erase(store);
  clocks_behind_.erase(store);
  liveness_->RemovePeer(store);
}

void MultiRaft::Add(std::shared_ptr<RaftGroup> group) {
  RangeId range = group->range_id();
  CHECK(groups_.emplace(range, std::move(group)).second) << "range " << range << " is here already";
}

void MultiRaft::Remove(RangeId range, const absl::Status& why) {
  auto it = groups_.find(range);
  if (it == groups_.end()) return;
  it->second->Stop(why);
  awake_.erase(range);
  resting_.erase(range);
  elections_.erase(range);
  tasks_.Spawn(Bury(std::move(it->second)));
  groups_.erase(it);
}

// What runs for a group holds it, and is owned by its state machine: so that is to end before the last hold on the group is given up.
Task<void> MultiRaft::Bury(std::shared_ptr<RaftGroup> group) { co_await group->Close(); }

std::shared_ptr<RaftGroup> MultiRaft::Find(RangeId range) const {
  auto it = groups_.find(range);
  return it == groups_.end() ? nullptr : it->second;
}

// ------------------------------------------------------------------------------------------------------- what there is to do

void MultiRaft::MarkDirty(RaftGroup* group) {
  if (group->in_dirty_list) return;
  group->in_dirty_list = true;
  dirty_.push_back(group->weak_from_this());
  has_dirty_.NotifyAll();
}

Task<void> MultiRaft::ReadyLoop() {
  for (int n = 0;;) {
    while (dirty_.empty()) {
      if (!(co_await has_dirty_.Wait(tasks_.ctx())).ok()) co_return;
    }
    std::shared_ptr<RaftGroup> group = dirty_.front().lock();
    dirty_.pop_front();
    if (group == nullptr) continue;
    group->in_dirty_list = false;
    group->ProcessReady();
    if (++n % kGroupsPerTurn == 0 && !(co_await tasks_.ctx().Yield()).ok()) co_return;
  }
}

void MultiRaft::Wake(RaftGroup* group) {
  if (group->awake || group->stopped()) return;
  if (auto it = resting_.find(group->range_id()); it != resting_.end()) {
    if (StillRests(*group, it->second)) return;
    resting_.erase(it);
  }
  group->awake = true;
  awake_.try_emplace(group->range_id());
  has_awake_.NotifyAll();
}

Task<void> MultiRaft::Ticker() {
  for (;;) {
    while (awake_.empty() && elections_.empty()) {
      const std::optional<MonoTime> next = NextAsking();
      (void)co_await has_awake_.Wait(next ? tasks_.ctx().WithDeadline(*next) : tasks_.ctx());
      if (tasks_.ctx().done()) co_return;
      AskTheSilent(runtime_.executor->Now());
    }
    if (!(co_await Sleep(tasks_.ctx(), options_.tick)).ok()) co_return;
    const MonoTime now = runtime_.executor->Now();
    TryElections(now);
    AskTheSilent(now);
    std::vector<RangeId> awake;
    for (const auto& [range, seen] : awake_) awake.push_back(range);
    for (size_t i = 0; i < awake.size(); ++i) {
      auto group = Find(awake[i]);
      if (group == nullptr || group->stopped() || !group->NeedsTicks()) {
        awake_.erase(awake[i]);
        if (group != nullptr) group->awake = false;
        continue;
      }
      group->Tick();
      if (auto it = awake_.find(awake[i]); it != awake_.end() && BeginsToRest(group.get(), it->second, now)) {
        awake_.erase(it);
        group->awake = false;
      }
      if (i % 256 == 255 && !(co_await tasks_.ctx().Yield()).ok()) co_return;
    }
  }
}

// --------------------------------------------------------------------------------------------------------------- elections

void MultiRaft::WantElection(RaftGroup* group, Duration delay) {
  EndRest(group->range_id());
  MonoTime now = runtime_.executor->Now();
  Election& e = elections_[group->range_id()];
  const MonoTime soonest = e.asked ? std::max(now + delay, *e.asked + kElectionLeast) : now + delay;
  if (e.give_up == MonoTime{} || soonest < e.next) e.next = soonest;
  e.give_up = now + kElectionFor;
  if (delay == Duration::zero() && e.next <= now) {
    e.next = now + kElectionEvery;
    if (Elects(group, e, now)) {
      elections_.erase(group->range_id());
      return;
    }
  }
  has_awake_.NotifyAll();
}

// True: somebody leads.
bool MultiRaft::Elects(RaftGroup* group, Election& e, MonoTime now) {
  const uint64_t before = metrics().elections;
  const bool led = group->TryElection();
  if (metrics().elections != before) e.asked = now;
  return led;
}

void MultiRaft::TryElections(MonoTime now) {
  for (auto it = elections_.begin(); it != elections_.end();) {
    auto group = Find(it->first);
    if (group == nullptr || now >= it->second.give_up) {
      it = elections_.erase(it);
      continue;
    }
    if (now < it->second.next) {
      ++it;
      continue;
    }
    // Spread, so that two candidates do not meet again and again.
    it->second.next = now + kElectionEvery + std::chrono::milliseconds(runtime_.random->Uniform(150));
    it = Elects(group.get(), it->second, now) ? elections_.erase(it) : std::next(it);
  }
}

bool MultiRaft::TakeElectionPermit() {
  MonoTime now = runtime_.executor->Now();
  double rate = options_.elections_per_second;
  double elapsed = std::chrono::duration<double>(now - permits_at_).count();
  election_permits_ = std::min(rate, election_permits_ + elapsed * rate);
  permits_at_ = now;
  if (election_permits_ < 1) return false;
  election_permits_ -= 1;
  return true;
}

void MultiRaft::OnSupportChanged(const std::set<StoreId>& stores) {
  support_changed_.NotifyAll();
  if (!started_) return;
  lifecycle_->SupportChanged(stores);
  tasks_.Spawn(SupportChanged(stores));
}

// Groups that sleep hear of it when they are next asked for something.
Task<void> MultiRaft::SupportChanged(std::set<StoreId> stores) {
  std::vector<RangeId> ranges;
  for (const auto& [range, group] : groups_) ranges.push_back(range);
  const MonoTime now = runtime_.executor->Now();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (i % 256 == 255 && !(co_await tasks_.ctx().Yield()).ok()) co_return;
    auto group = Find(ranges[i]);
    if (group == nullptr || group->stopped()) continue;
    if (std::none_of(stores.begin(), stores.end(), [&](StoreId s) { return group->HasReplicaOn(s); })) continue;
    const bool recent = group->last_active() != MonoTime{} && now - group->last_active() <= options_.recent;
    if (!group->awake && !recent && !group->holds_lease()) continue;
    EndRest(ranges[i]);
    group->OnSupportChange();
    if (!recent || group->LeaderLooksAlive()) continue;
    // One after the other, the first of them at once.
    int rank = 0;
    for (const auto& r : group->descriptor().replicas()) {
      if (r.replica_id() < group->replica_id() && liveness_->SupportFor(r.store_id()).supported) ++rank;
    }
    WantElection(group.get(), rank * std::chrono::milliseconds(60));
  }
}

// ---------------------------------------------------------------------------------------------------------------- messages

void MultiRaft::SendRaft(RaftGroup* group, raft::Message message) {
  if (message.type == raft::MessageType::kSnap) {
    tasks_.Spawn(snapshots_.Send(group->shared_from_this(), std::move(message)));
    return;
  }
  std::optional<StoreId> to = group->StoreOf(message.to);
  if (!to.has_value()) return;
  v1::RaftEnvelope envelope;
  envelope.set_range_id(group->range_id());
  ToProto(message, envelope.mutable_message());
  if (group->initialized() && CarriesDescriptor(message.type)) *envelope.mutable_range() = group->descriptor();
  streams_.Send(*to, std::move(envelope));
}

// Hybrid clocks say little about physical ones: a message carries both. A physical clock that is too far ahead makes its store one that
// is apart from us; a hybrid one is refused, and nothing is made of it, whoever's clock it came from.
bool MultiRaft::IsTooFarAhead(Timestamp t) const {
  const auto offset = std::chrono::duration_cast<std::chrono::microseconds>(clock_->max_offset()).count();
  return static_cast<int64_t>(t.micros()) - clock_->Physical().time_since_epoch().count() > kMaxLeadOffsets * offset;
}

bool MultiRaft::IsSameStore(const v1::StoreMessages& messages) {
  if (messages.refused_incarnation() == incarnations_->own()) {
    PROBE("a store stopped itself as it is not the one that it was");
    lifecycle_->Fatal(absl::FailedPreconditionError(
        StrCat("store ", messages.from_store(), " knows store ", options_.store_id,
               " by another disk than this one, whose replicas have forgotten what they promised: decommission that node, and let this machine join as a new one")));
    return false;
  }
  if (incarnations_->Accept(messages.from_store(), messages.incarnation())) return true;
  PROBE("a store that was made anew was refused");
  LOG_ERROR("messages of a store are refused: it has another disk than the one that was known by its number", {"store", messages.from_store()});
  streams_.RefuseIncarnation(messages.from_store(), messages.incarnation());
  return false;
}

bool MultiRaft::ClockIsSane(const v1::StoreMessages& messages) {
  const int64_t ahead = static_cast<int64_t>(messages.wall_us()) - clock_->Physical().time_since_epoch().count();
  metrics().clock_ahead_seconds[messages.from_store()] = static_cast<double>(ahead) * 1e-6;
  if (ahead <= std::chrono::duration_cast<std::chrono::microseconds>(clock_->max_offset()).count()) {
    clocks_ahead_.erase(messages.from_store());
    const Timestamp now{messages.now()};
    if (IsTooFarAhead(now)) {
      PROBE("a hybrid clock too far ahead was refused");
      LOG_WARNING("messages of a store are refused: its timestamps are too far ahead", {"store", messages.from_store()}, {"now", now.ToString()}, {"its_clock_ahead_us", ahead});
      return false;
    }
    clock_->RaiseTo(now);
    if (messages.refused_wall_us() != 0) ClockRefused(messages.from_store(), messages.refused_wall_us(), messages.wall_us());
    return true;
  }
  PROBE("a physical clock too far ahead was refused");
  LOG_WARNING("messages of a store are refused: its clock is too far ahead of ours", {"store", messages.from_store()}, {"ahead_us", ahead});
  streams_.RefuseClock(messages.from_store(), messages.wall_us());
  clocks_ahead_.insert(messages.from_store());
  StopIfClockIsWrong();
  return false;
}

// A message alone does not say that the other's clock is behind: it may have been long on its way. An answer does: it was sent after what it
// answers, so if its clock shows less than ours showed then, less the maximum offset, the clocks are that far apart.
void MultiRaft::ClockRefused(StoreId by, uint64_t our_wall_us, uint64_t its_wall_us) {
  const uint64_t offset = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(clock_->max_offset()).count());
  const bool is_past = our_wall_us <= static_cast<uint64_t>(clock_->Physical().time_since_epoch().count());  // it was not set back meanwhile
  if (!is_past || its_wall_us + offset >= our_wall_us) return;
  LOG_WARNING("a store refuses our messages: our clock is too far ahead of its", {"store", by}, {"ahead_us_at_least", our_wall_us - its_wall_us});
  clocks_behind_[by] = runtime_.executor->Now();
  StopIfClockIsWrong();
}

// Against one other store, or half of all, nobody knows who is wrong; against most of them it is this one.
void MultiRaft::StopIfClockIsWrong() {
  const MonoTime now = runtime_.executor->Now();
  std::erase_if(clocks_behind_, [now](const auto& said) { return now - said.second > kRefusalCounts; });
  std::set<StoreId> apart = clocks_ahead_;
  for (const auto& [store, at] : clocks_behind_) apart.insert(store);
  if (options_.stores.size() < 3 || apart.size() * 2 <= options_.stores.size()) return;
  PROBE("a node stopped itself for its clock");
  lifecycle_->Fatal(absl::FailedPreconditionError("this node's clock is further than the maximum offset from those of most other stores: check the time synchronisation"));
}

void MultiRaft::ReceiveMessages(v1::StoreMessages messages) {
  if (!started_ || !IsSameStore(messages) || !ClockIsSane(messages)) return;
  AddStore(messages.from_store());
  for (const v1::LivenessMessage& m : messages.liveness()) {
    LivenessMessage parsed;
    if (FromProto(m, &parsed).ok()) liveness_->Receive(parsed);
  }
  if (messages.has_load()) lifecycle_->LoadHeard(messages.load());
  for (v1::RaftEnvelope& envelope : *messages.mutable_raft()) ReceiveRaft(std::move(envelope));
  for (v1::ReplicaGone& gone : *messages.mutable_gone()) {
    if (!gone.done()) {
      lifecycle_->ReplicaGone(messages.from_store(), std::move(gone));
    } else if (auto group = Find(gone.asked_by()); group != nullptr) {
      group->NoteEvicted(messages.from_store(), gone.range_id(), gone.next_replica());
    }
  }
}

std::shared_ptr<RaftGroup> MultiRaft::FindOrCreate(const v1::RaftEnvelope& envelope) {
  if (auto group = Find(envelope.range_id()); group != nullptr) {
    if (envelope.has_range() && envelope.message().to() > group->replica_id()) lifecycle_->ReplicaReplaced(envelope);
    return group;
  }
  if (!envelope.has_range()) return nullptr;
  auto group = lifecycle_->CreateForMessage(envelope);
  if (group == nullptr) return nullptr;
  Add(group);
  group->StartConsensus();
  return group;
}

void MultiRaft::KeepEarly(const v1::RaftEnvelope& envelope) {
  const auto type = static_cast<raft::MessageType>(envelope.message().type());
  if (!CarriesDescriptor(type) || type == raft::MessageType::kSnap) return;
  auto [it, fresh] = early_.insert_or_assign(envelope.range_id(), envelope);
  if (!fresh) return;
  early_order_.push_back(it->first);
  if (early_order_.size() <= kMostEarly) return;
  early_.erase(early_order_.front());  // of some, the split never comes
  early_order_.pop_front();
}

void MultiRaft::TakeEarly(RaftGroup* group) {
  auto it = early_.find(group->range_id());
  if (it == early_.end()) return;
  v1::RaftEnvelope envelope = std::move(it->second);
  early_.erase(it);
  early_order_.erase(std::find(early_order_.begin(), early_order_.end(), group->range_id()));
  if (envelope.message().to() != group->replica_id()) return;
  PROBE("a message that came before its split was kept");
  ReceiveRaft(std::move(envelope));
}

void MultiRaft::ReceiveRaft(v1::RaftEnvelope envelope) {
  raft::Message message;
  const StoreId from = envelope.from_store();
  auto group = FindOrCreate(envelope);
  if (absl::Status s = FromProto(std::move(*envelope.mutable_message()), &message); !s.ok()) {
    LOG_WARNING("a raft message was refused", {"store", from}, {"why", s.ToString()});
    return;
  }
  if (IsTooFarAhead(Timestamp{message.hlc}) || message.type == raft::MessageType::kSnap) return;
  if (group == nullptr || group->stopped() || group->replica_id() != message.to) {
    // The replica that was asked is not here, or leads no more for good: whoever bound itself to it is free.
    if (message.type == raft::MessageType::kFortifyResp && (group == nullptr || group->stopped() || group->replica_id() > message.to)) {
      raft::Message release = raft::RawNode::ReleaseFor(message, std::max(clock_->Now(), served_).bits);
      v1::RaftEnvelope answer;
      answer.set_range_id(envelope.range_id());
      ToProto(release, answer.mutable_message());
      streams_.Send(from, std::move(answer));
    }
    return;
  }
  Heard(group->range_id(), message.from);
  group->Step(std::move(message), from);
}

void MultiRaft::Undelivered(StoreId store, const std::vector<RangeId>& ranges) {
  for (RangeId range : ranges) {
    auto group = Find(range);
    if (group == nullptr) continue;
    if (auto it = resting_.find(range); it != resting_.end()) {
      const v1::ReplicaDescriptor* r = ReplicaOn(group->descriptor(), store);
      if (r != nullptr && !it->second.silent.contains(r->replica_id())) resting_.erase(it);
    }
    group->Undelivered(store);
  }
}

}  // namespace insula::kv
