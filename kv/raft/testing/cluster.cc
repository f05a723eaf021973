#include "kv/raft/testing/cluster.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/strings.h"
#include "kv/raft/describe.h"

namespace insula::raft::testing {

namespace {

uint64_t Mix(uint64_t a, uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2);
  return a * 0xff51afd7ed558ccdull;
}

uint64_t HashEntry(const Entry& e) {
  uint64_t h = Mix(e.index, e.term);
  for (unsigned char c : e.data.view()) h = Mix(h, c);
  return Mix(h, static_cast<uint64_t>(e.type));
}

uint64_t Bits(uint64_t micros) { return Timestamp::FromMicros(micros).bits; }

bool Contains(const std::vector<NodeId>& ids, NodeId id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }
bool Member(const ConfState& c, NodeId id) {
  return Contains(c.voters, id) || Contains(c.voters_outgoing, id) || Contains(c.learners, id) ||
         Contains(c.learners_next, id);
}

}  // namespace

// One store's promises, in terms of the group's replicas.
class Cluster::View : public StoreLivenessView {
 public:
  View(Cluster* cluster, Store* store) : cluster_(cluster), store_(store) {}

  Given SupportFor(NodeId replica) const override {
    auto given = store_->liveness->SupportFor(cluster_->home_.at(replica));
    if (cluster_->options_.mutation == Mutation::kWithdrawEarly && cluster_->random_.Chance(0.02))
      given.supported = false;
    return {.epoch = given.epoch, .supported = given.supported};
  }
  Received SupportFrom(NodeId replica) const override {
    auto received = store_->liveness->SupportFrom(cluster_->home_.at(replica));
    return {.epoch = received.epoch, .expiration = received.expiration.bits};
  }
  bool Expired(uint64_t expiration) const override { return cluster_->Hlc(store_) > expiration; }
  uint64_t Hlc() const override { return std::max(cluster_->Hlc(store_), store_->served); }
  void ObserveHlc(uint64_t hlc) override { store_->hlc = std::max(store_->hlc, hlc); }

 private:
  Cluster* cluster_;
  Store* store_;
};

void Cluster::Tracer::Line(LogLevel level, std::string_view text) {
  std::fprintf(stderr, "%8llu %.*s\n", static_cast<unsigned long long>((cluster_->now_us_ - 1'000'000'000) / kMs),
               static_cast<int>(text.size()), text.data());
}

absl::StatusOr<SnapshotPtr> Cluster::GroupStorage::GetSnapshot(NodeId to) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata = {.conf_state = state->conf, .index = state->applied, .term = state->term};
  snapshot->data = StrCat(state->digest);
  return SnapshotPtr(snapshot);
}

Cluster::Cluster(ClusterOptions options) : options_(options), random_(options.seed) {
  ConfState conf;
  for (int i = 1; i <= options_.voters; ++i) conf.voters.push_back(static_cast<NodeId>(i));
  newest_conf_ = conf;
  members_ever_.insert(conf.voters.begin(), conf.voters.end());
  for (StoreId id = 1; id <= static_cast<StoreId>(options_.stores); ++id) {
    Store& s = stores_[id];
    s.id = id;
    // Often the worst there can be.
    s.skew_us = random_.Chance(0.3)   ? 0
                : random_.Chance(0.5) ? (kMaxOffsetMs - 1) * kMs
                                      : random_.Uniform(kMaxOffsetMs * kMs);
    if (id <= conf.voters.size()) {
      CreateReplica(&s, next_replica_++);
      Replica& r = *s.replica;
      Snapshot start;
      start.metadata = {.conf_state = conf, .index = 10, .term = 1};
      auto snapshot = std::make_shared<const Snapshot>(start);
      r.state = r.flushed = {.applied = 10, .term = 1, .digest = 0, .conf = conf};
      r.durable.ApplySnapshot(snapshot);
      r.current.ApplySnapshot(snapshot);
      r.durable.SetHardState({.term = 1, .commit = 10});
      r.current.SetHardState({.term = 1, .commit = 10});
    }
  }
  for (auto& [id, s] : stores_) StartStore(&s);
}

Cluster::~Cluster() = default;

// ---- Time ----

void Cluster::Push(uint64_t delay_us, StoreId store, std::function<void()> run) {
  const uint64_t incarnation = store ? stores_.at(store).incarnation : 0;
  events_.push({now_us_ + delay_us, sequence_++, store, incarnation, std::move(run)});
}

void Cluster::RunUntil(uint64_t end_us) {
  while (!events_.empty() && events_.top().at <= end_us && violations_.empty()) {
    Event e = events_.top();
    events_.pop();
    now_us_ = std::max(now_us_, e.at);
    if (e.store != 0) {
      const Store& s = stores_.at(e.store);
      if (s.incarnation != e.incarnation || !s.up) continue;
      if (now_us_ < s.paused_until) {
        e.at = s.paused_until;
        events_.push(std::move(e));
        continue;
      }
    }
    e.run();
  }
  now_us_ = std::max(now_us_, end_us);
}

uint64_t Cluster::Hlc(Store* s) { return s->hlc = std::max(s->hlc, Bits(now_us_ + s->skew_us)); }

// ---- Stores ----

void Cluster::StartStore(Store* s) {
  s->up = true;
  ++s->incarnation;
  s->paused_until = 0;
  if (options_.mutation == Mutation::kForgetSupport) s->liveness_disk.given.clear();
  s->liveness = std::make_unique<kv::SupportManager>(kv::SupportManager::Options{.self = s->id}, s->liveness_disk,
                                                     Timestamp{Hlc(s)});
  for (const auto& [peer, other] : stores_) s->liveness->AddPeer(peer);
  if (s->replica) StartReplica(s);
  OnStore(s, random_.Uniform(50 * kMs), [this, s] { TickStore(s); });
  OnStore(s, random_.Uniform(100 * kMs), [this, s] { TickReplica(s); });
}

void Cluster::Crash(Store* s) {
  ++stats_.crashes;
  s->up = false;
  ++s->incarnation;
  s->liveness = nullptr;
  s->served = 0;  // the clock's upper bound is on disk, this is not
  if (!s->replica) return;
  Replica& r = *s->replica;
  r.raw = nullptr;
  r.append_queue.clear();
  r.apply_queue.clear();
  r.appending = r.applying = false;
  r.proposed.clear();
  r.led_term = 0;
  // Some of the writes that were not synced made it, in order.
  const size_t kept = random_.Uniform(r.unsynced.size() + 1);
  for (size_t i = 0; i < kept; ++i) {
    if (r.unsynced[i].hard_state) r.durable.SetHardState(*r.unsynced[i].hard_state);
    r.durable.Append(r.unsynced[i].entries);
  }
  r.unsynced.clear();
  static_cast<MemoryStorage&>(r.current) = r.durable;
  r.durable_term = r.durable.hard_state().term;
  r.state = r.flushed;
}

void Cluster::TickStore(Store* s) {
  s->liveness->LogSynced(Timestamp{Hlc(s)});
  s->liveness->Tick(Timestamp{Hlc(s)});
  HandleLiveness(s);
  OnStore(s, 50 * kMs, [this, s] { TickStore(s); });
}

void Cluster::HandleLiveness(Store* s) {
  auto out = s->liveness->TakeOutput();
  if (out.write) {
    OnStore(s, random_.Uniform(10 * kMs), [this, s, write = *out.write] {
      write.ApplyTo(&s->liveness_disk);
      s->liveness->Written(write.sequence, Timestamp{Hlc(s)});
      HandleLiveness(s);
    });
  }
  for (const auto& m : out.messages) SendLiveness(m, Hlc(s));
  if (out.changed.empty() || !s->replica || !s->replica->raw) return;
  s->replica->raw->OnSupportChange();
  if (options_.fortified && s->replica->raw->MayCampaign() && random_.Chance(0.6)) (void)s->replica->raw->Campaign();
  Pump(s);
}

void Cluster::TickReplica(Store* s) {
  if (s->replica && s->replica->raw && s->replica->raw->NeedsTicks()) {
    s->replica->raw->Tick();
    Pump(s);
  }
  OnStore(s, 100 * kMs, [this, s] { TickReplica(s); });
}

// ---- Replicas ----

void Cluster::CreateReplica(Store* s, NodeId id) {
  s->replica = std::make_unique<Replica>();
  s->replica->id = id;
  s->replica->current.state = &s->replica->state;
  home_[id] = s->id;
}

void Cluster::StartReplica(Store* s) {
  Replica& r = *s->replica;
  r.view = std::make_unique<View>(this, s);
  Config c;
  c.id = r.id;
  c.storage = &r.current;
  c.applied = r.state.applied;
  c.async_storage_writes = options_.async;
  c.max_size_per_msg = 400;
  c.max_committed_size_per_ready = 300;
  c.max_inflight_msgs = 4;
  c.check_quorum = options_.fortified || options_.seed % 2 == 0;
  c.pre_vote = true;  // without, a removed or lagging replica of a higher term may disturb, or be deaf, for ever
  c.random = [this](uint64_t bound) { return random_.Uniform(bound); };
  c.synced_conf_changes = true;
  c.step_down_on_removal = true;
  c.log = &tracer_;
  if (options_.fortified) c.liveness = r.view.get();
  r.raw = std::make_unique<RawNode>(c);
  Pump(s);
}

void Cluster::DestroyReplica(Store* s) {
  destroyed_.insert(s->replica->id);
  s->replica = nullptr;
  ++s->incarnation;  // its events
  OnStore(s, 50 * kMs, [this, s] { TickStore(s); });
  OnStore(s, 100 * kMs, [this, s] { TickReplica(s); });
  if (s->liveness) {
    // A write of the liveness state may have been under way; its event is gone.
    s->liveness = std::make_unique<kv::SupportManager>(kv::SupportManager::Options{.self = s->id}, s->liveness_disk,
                                                       Timestamp{Hlc(s)});
    for (const auto& [peer, other] : stores_) s->liveness->AddPeer(peer);
  }
}

void Cluster::Pump(Store* s) {
  while (s->replica && s->replica->raw && s->replica->raw->HasReady() && violations_.empty()) HandleReady(s);
  if (s->replica && s->replica->raw) Look(s);
}

void Cluster::HandleReady(Store* s) {
  Replica& r = *s->replica;
  Ready rd = r.raw->TakeReady();
  if (!options_.async) {
    WriteOne(&r, rd.hard_state ? &*rd.hard_state : nullptr, rd.entries, rd.snapshot);
    if (rd.must_sync) SyncDisk(&r);
  }
  for (Message& m : rd.messages) {
    if (m.to == kLocalAppendThread) {
      r.append_queue.push_back(std::move(m));
      if (std::exchange(r.appending, true)) continue;
      OnStore(s, random_.Uniform(8 * kMs), [this, s] { RunAppends(s); });
    } else if (m.to == kLocalApplyThread) {
      r.apply_queue.push_back(std::move(m));
      if (std::exchange(r.applying, true)) continue;
      OnStore(s, random_.Uniform(5 * kMs), [this, s] { RunApplies(s); });
    } else {
      Send(std::move(m), s->id);
    }
  }
  if (!options_.async) {
    Apply(s, rd.committed_entries);
    r.raw->Advance();
  }
}

void Cluster::WriteOne(Replica* r, const HardState* state, const std::vector<Entry>& entries,
                       const SnapshotPtr& snapshot) {
  DiskWrite w;
  if (state) {
    if (state->term < r->durable_term) Violation(StrCat("R4: the term of ", r->id, " falls to ", state->term));
    r->durable_term = state->term;
    w.hard_state = *state;
    if (options_.mutation == Mutation::kForgetVote) w.hard_state->vote = kNone;
    if (options_.mutation == Mutation::kForgetBond) w.hard_state->lead = w.hard_state->lead_epoch = 0;
    r->current.SetHardState(*w.hard_state);
  }
  w.entries = entries;
  r->current.Append(entries);
  r->unsynced.push_back(std::move(w));
  if (!snapshot) return;
  // State engine and log engine change together (a redo record makes it so).
  ++stats_.snapshots;
  SyncDisk(r);
  r->current.ApplySnapshot(snapshot);
  r->durable.ApplySnapshot(snapshot);
  const SnapshotMetadata& meta = snapshot->metadata;
  uint64_t digest = 0;
  for (char c : snapshot->data.view()) digest = digest * 10 + static_cast<uint64_t>(c - '0');
  r->state = r->flushed = {.applied = meta.index, .term = meta.term, .digest = digest, .conf = meta.conf_state};
}

void Cluster::SyncDisk(Replica* r) {
  if (options_.mutation == Mutation::kSyncLies) return;
  for (const DiskWrite& w : r->unsynced) {
    if (w.hard_state) r->durable.SetHardState(*w.hard_state);
    r->durable.Append(w.entries);
  }
  r->unsynced.clear();
}

void Cluster::RunAppends(Store* s) {
  Replica& r = *s->replica;
  r.appending = false;
  std::vector<Message> responses;
  for (Message& m : std::exchange(r.append_queue, {})) {
    const HardState state{
        .term = m.term, .vote = m.vote, .commit = m.commit, .lead = m.lead, .lead_epoch = m.lead_epoch};
    WriteOne(&r, m.term ? &state : nullptr, m.entries, m.snapshot);
    for (Message& response : m.responses) responses.push_back(std::move(response));
  }
  if (!responses.empty()) SyncDisk(&r);
  for (Message& m : responses) {
    if (m.to == r.id) {
      (void)r.raw->Step(std::move(m));
    } else {
      Send(std::move(m), s->id);
    }
  }
  Pump(s);
}

void Cluster::RunApplies(Store* s) {
  Replica& r = *s->replica;
  r.applying = false;
  for (Message& m : std::exchange(r.apply_queue, {})) {
    Apply(s, m.entries);
    for (Message& response : m.responses) (void)r.raw->Step(std::move(response));
  }
  Pump(s);
}

void Cluster::Apply(Store* s, const std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    if (e.index <= s->replica->state.applied) continue;  // a snapshot came in between
    ApplyEntry(s, e);
  }
  if (random_.Chance(0.02)) s->replica->flushed = s->replica->state;
  if (random_.Chance(0.01)) Compact(s);
}

void Cluster::ApplyEntry(Store* s, const Entry& e) {
  Replica& r = *s->replica;
  if (e.index != r.state.applied + 1)
    Violation(StrCat("replica ", r.id, " applies ", e.index, " after ", r.state.applied));
  const std::pair<uint64_t, uint64_t> what{e.term, HashEntry(e)};
  auto [it, first] = committed_.emplace(e.index, what);
  if (it->second != what) {
    Violation(StrCat("R3: replica ", r.id, " applies another entry at ", e.index, ": ", Describe(e)));
  }
  r.state.applied = e.index;
  r.state.term = e.term;
  r.state.digest = Mix(r.state.digest, what.second);
  if (e.type == EntryType::kNormal) {
    if (e.data.empty()) return;
    applied_values_.insert(e.data.str());
    if (r.proposed.erase(e.data.str())) {
      acknowledged_[e.data.str()] = e.index;
      ++stats_.acknowledged;
    }
    return;
  }
  ConfChangeV2 change;
  CHECK(DecodeConfChange(e.data.view(), &change));
  if (options_.trace) tracer_.Line(LogLevel::kInfo, StrCat("replica ", r.id, " applies ", Describe(e)));
  r.state.conf = r.raw->ApplyConfChange(change);
  if (e.index > newest_conf_index_) {
    newest_conf_index_ = e.index;
    newest_conf_ = r.state.conf;
    for (const auto* ids : {&newest_conf_.voters, &newest_conf_.learners})
      members_ever_.insert(ids->begin(), ids->end());
    ++stats_.conf_changes;
  }
}

void Cluster::Compact(Store* s) {
  Replica& r = *s->replica;
  // The state engine is flushed before the log forgets.
  SyncDisk(&r);
  r.flushed = r.state;
  const uint64_t index = r.state.applied - std::min<uint64_t>(r.state.applied, random_.Uniform(20));
  if (index < r.current.FirstIndex() || index > r.durable.LastIndex()) return;
  CHECK_OK(r.current.Compact(index));
  CHECK_OK(r.durable.Compact(index));
}

// ---- Network ----

bool Cluster::Blocked(StoreId from, StoreId to) const {
  auto it = blocked_until_.find({from, to});
  return it != blocked_until_.end() && now_us_ < it->second;
}

std::optional<uint64_t> Cluster::Transit(StoreId from, StoreId to) {
  if (Blocked(from, to)) return std::nullopt;
  if (!chaos_ || !options_.faults) return 500 + random_.Uniform(1500);
  if (random_.Chance(0.03)) return std::nullopt;
  if (random_.Chance(0.03)) return random_.Uniform(800 * kMs);  // overtaken by many
  return 500 + random_.Uniform(5 * kMs);
}

void Cluster::Send(Message m, StoreId from) {
  ++messages_sent_;
  if (options_.mutation == Mutation::kNoHlc) m.hlc = 0;
  auto home = home_.find(m.to);
  CHECK(home != home_.end()) << "a message to nobody: " << Describe(m);
  const StoreId to = home->second;
  const int copies = chaos_ && options_.faults && random_.Chance(0.03) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (auto delay = Transit(from, to)) After(*delay, [this, m, to] { Deliver(&stores_.at(to), m); });
  }
  if (m.type == MessageType::kSnap) {
    // The stream ends, well or not.
    Store* sender = &stores_.at(from);
    OnStore(sender, 30 * kMs, [this, sender, to = m.to, ok = random_.Chance(0.8)] {
      if (!sender->replica || !sender->replica->raw) return;
      sender->replica->raw->ReportSnapshot(to, ok);
      Pump(sender);
    });
  }
}

void Cluster::Deliver(Store* s, Message m) {
  if (!s->up) return;
  if (now_us_ < s->paused_until) {
    After(s->paused_until - now_us_, [this, s, m] { Deliver(s, m); });
    return;
  }
  if (!s->replica || s->replica->id != m.to) {
    // The replica was removed from this store, and others may still be bound to it.
    if (m.type == MessageType::kFortifyResp && destroyed_.count(m.to)) {
      Send(RawNode::ReleaseFor(m, std::max(Hlc(s), s->served)), s->id);
    }
    return;
  }
  if (!s->replica->raw) return;
  (void)s->replica->raw->Step(std::move(m));  // strangers' answers are refused
  Pump(s);
}

void Cluster::SendLiveness(const kv::LivenessMessage& m, uint64_t hlc) {
  auto delay = Transit(m.from, m.to);
  if (!delay) return;
  After(*delay, [this, m, hlc] {
    Store* s = &stores_.at(m.to);
    if (!s->up || now_us_ < s->paused_until) return;
    if (options_.mutation != Mutation::kNoHlc) s->hlc = std::max(s->hlc, hlc);
    s->liveness->Receive(m, Timestamp{Hlc(s)});
    HandleLiveness(s);
  });
}

// ---- The world ----

void Cluster::Propose(Store* s) {
  Replica& r = *s->replica;
  const std::string value = StrCat("value ", next_value_++, std::string(random_.Uniform(80), '.'));
  if (!r.raw->Propose(value).ok()) return;
  r.proposed.insert(value);
  Pump(s);
}

void Cluster::ClientTurn() {
  for (auto& [id, s] : stores_) {
    if (!s.up || now_us_ < s.paused_until || !s.replica || !s.replica->raw) continue;
    const bool leads = s.replica->raw->raft().state() == StateType::kLeader;
    if (random_.Chance(leads ? 0.5 : 0.02)) Propose(&s);
    if (!s.replica || !s.replica->raw) continue;
    if (leads && random_.Chance(0.01)) {
      ++stats_.transfers;
      const std::vector<NodeId>& voters = newest_conf_.voters;
      s.replica->raw->TransferLeader(voters[random_.Uniform(voters.size())]);
      Pump(&s);
    }
  }
  if (chaos_) After(20 * kMs, [this] { ClientTurn(); });
}

void Cluster::WantLeader() {
  // A request finds nobody to serve it.
  for (auto& [id, s] : stores_) {
    if (!s.up || now_us_ < s.paused_until || !s.replica || !s.replica->raw) continue;
    if (s.replica->raw->raft().lead() == kNone && random_.Chance(0.3)) {
      (void)s.replica->raw->Campaign();
      Pump(&s);
    }
  }
  if (!chaos_) FinishConfChange();
  After(300 * kMs, [this] { WantLeader(); });
}

void Cluster::FinishConfChange() {
  for (auto& [id, s] : stores_) {
    if (!s.replica || !s.replica->raw || s.replica->raw->raft().state() != StateType::kLeader) continue;
    const ConfState& now = s.replica->state.conf;
    if (now.voters_outgoing.empty() || now.auto_leave) continue;
    if (Contains(now.voters, s.replica->id)) {
      (void)s.replica->raw->ProposeConfChange({});
    } else {
      s.replica->raw->TransferLeader(now.voters[random_.Uniform(now.voters.size())]);
    }
    Pump(&s);
  }
}

void Cluster::FaultTurn() {
  if (!chaos_) return;
  Store& s = stores_.at(1 + random_.Uniform(stores_.size()));
  const uint64_t dice = random_.Uniform(100);
  if (dice < 12 && s.up) {
    Crash(&s);
    After(random_.Uniform(2500 * kMs), [this, &s] {
      if (!s.up) StartStore(&s);
    });
  } else if (dice < 20 && s.up) {
    s.paused_until = now_us_ + random_.Uniform(2500 * kMs);
  } else if (dice < 30) {
    ++stats_.partitions;
    const uint64_t until = now_us_ + random_.Uniform(3000 * kMs);
    const bool one_way = random_.Chance(0.3), single_link = random_.Chance(0.4);
    const StoreId link = 1 + random_.Uniform(stores_.size());
    for (const auto& [other, o] : stores_) {
      if (other == s.id || (single_link ? other != link : random_.Chance(0.2))) continue;
      blocked_until_[{s.id, other}] = until;
      if (!one_way) blocked_until_[{other, s.id}] = until;
    }
  } else if (dice < 40 && s.up && s.replica && s.replica->raw) {
    (void)s.replica->raw->Campaign();
    Pump(&s);
  } else if (dice < 44 && s.up && s.replica && s.replica->raw && !newest_conf_.voters.empty()) {
    s.replica->raw->ReportUnreachable(newest_conf_.voters[random_.Uniform(newest_conf_.voters.size())]);
    Pump(&s);
  }
  After(100 * kMs, [this] { FaultTurn(); });
}

void Cluster::MemberTurn() {
  if (!chaos_) return;
  CollectRemoved(0.5);
  for (auto& [id, s] : stores_) {
    if (!s.up || now_us_ < s.paused_until || !s.replica || !s.replica->raw) continue;
    if (s.replica->raw->raft().state() != StateType::kLeader) continue;
    const ConfState& now = s.replica->state.conf;
    ConfChangeV2 change;
    change.transition = static_cast<ConfChangeTransition>(random_.Uniform(3));
    if (!now.voters_outgoing.empty()) {
      change = {};  // leave
    } else {
      Store* free = nullptr;
      for (auto& [other, o] : stores_) {
        if (o.up && !o.replica && random_.Chance(0.5)) free = &o;
      }
      if (free && now.voters.size() + now.learners.size() < 5) {
        const NodeId added = next_replica_++;
        CreateReplica(free, added);
        StartReplica(free);
        change.changes.push_back(
            {random_.Chance(0.5) ? ConfChangeType::kAddNode : ConfChangeType::kAddLearnerNode, added});
      }
      if (!now.learners.empty() && random_.Chance(0.5)) {
        change.changes.push_back({ConfChangeType::kAddNode, now.learners[random_.Uniform(now.learners.size())]});
      }
      if (now.voters.size() > 1 && random_.Chance(now.voters.size() > 3 ? 0.8 : 0.3)) {
        const NodeId gone = now.voters[random_.Uniform(now.voters.size())];
        change.changes.push_back(
            {random_.Chance(0.8) ? ConfChangeType::kRemoveNode : ConfChangeType::kAddLearnerNode, gone});
      }
      if (change.changes.empty()) continue;
    }
    (void)s.replica->raw->ProposeConfChange(change);  // may be refused, or not fit
    Pump(&s);
  }
  After(700 * kMs, [this] { MemberTurn(); });
}

void Cluster::CollectRemoved(double chance) {
  // As a node would: only once those who go on know about it. (A removed leader that vanishes at once takes along the
  // knowledge that its removal is committed.)
  size_t know = 0;
  for (auto& [id, s] : stores_) {
    know += s.replica && Contains(newest_conf_.voters, s.replica->id) && s.replica->state.applied >= newest_conf_index_;
  }
  if (2 * know <= newest_conf_.voters.size()) return;
  for (auto& [id, s] : stores_) {
    if (!s.up || !s.replica || Member(newest_conf_, s.replica->id)) continue;
    // Only what was a member: a change that adds it may still be on its way.
    if (members_ever_.count(s.replica->id) && random_.Chance(chance)) DestroyReplica(&s);
  }
}

// ---- Checks ----

void Cluster::Violation(std::string text) {
  violations_.push_back(StrCat("at ", (now_us_ - 1'000'000'000) / kMs, " ms: ", text));
}

void Cluster::Look(Store* s) {
  Replica& r = *s->replica;
  const Raft& raft = r.raw->raft();
  if (raft.state() != StateType::kLeader || r.led_term == raft.term()) return;
  r.led_term = raft.term();
  ++stats_.elections;
  auto [it, first] = leaders_.emplace(raft.term(), r.id);
  if (!first) Violation(StrCat("R1: ", r.id, " and ", it->second, " lead term ", raft.term()));
  if (!options_.fortified) return;
  floors_[raft.term()] = raft.lease_floor();
  for (const auto& [term, served] : served_) {
    if (term < raft.term() && served > raft.lease_floor()) {
      Violation(StrCat("C2: the lease of term ", raft.term(), " may start at ", raft.lease_floor(), ", but term ", term,
                       " served ", served));
    }
  }
}

bool Cluster::HoldsLease(Store* s, uint64_t timestamp) {
  if (!s->up || now_us_ < s->paused_until || !s->replica || !s->replica->raw) return false;
  RawNode& raw = *s->replica->raw;
  if (raw.raft().state() != StateType::kLeader || s->replica->state.term != raw.raft().term()) return false;
  const uint64_t until = raw.LeadSupportUntil();
  const uint64_t offset = options_.mutation == Mutation::kServeToTheEnd ? 0 : Bits(kMaxOffsetMs * kMs);
  return until > offset && std::max(Hlc(s), timestamp) < until - offset;
}

void Cluster::CheckLeases() {
  if (!options_.fortified) return;
  After(random_.Uniform(10 * kMs), [this] { CheckLeases(); });
  Store* holder = nullptr;
  for (auto& [id, s] : stores_) {
    if (!HoldsLease(&s, 0)) continue;
    if (holder) {
      Violation(StrCat("C1: replicas ", holder->replica->id, " (term ", holder->replica->raw->raft().term(), ") and ",
                       s.replica->id, " (term ", s.replica->raw->raft().term(), ") hold a lease at once"));
    }
    holder = &s;
    // A request whose timestamp another node gave.
    Store& giver = stores_.at(1 + random_.Uniform(stores_.size()));
    const uint64_t timestamp = std::max(Hlc(&s), Bits(now_us_ + giver.skew_us));
    if (!HoldsLease(&s, timestamp)) continue;
    ++stats_.served;
    s.served = std::max(s.served, timestamp);
    const uint64_t term = s.replica->raw->raft().term();
    served_[term] = std::max(served_[term], timestamp);
    for (auto floor = floors_.upper_bound(term); floor != floors_.end(); ++floor) {
      if (timestamp > floor->second) {
        Violation(StrCat("C2: term ", term, " serves ", timestamp, " above the lease floor ", floor->second,
                         " of term ", floor->first));
      }
    }
  }
}

void Cluster::CheckLogs() {
  // R2: where two logs agree on a term, they agree on all before.
  std::vector<const MemoryStorage*> logs;
  for (const auto& [id, s] : stores_) {
    if (s.replica) logs.push_back(&s.replica->current);
  }
  for (const auto* a : logs) {
    for (const auto* b : logs) {
      if (a >= b) continue;
      bool agreed = false;
      const uint64_t first = std::max(a->FirstIndex(), b->FirstIndex());
      for (uint64_t i = std::min(a->LastIndex(), b->LastIndex()); i >= first; --i) {
        const Entry x = a->Entries(i, i + 1, 0)->front(), y = b->Entries(i, i + 1, 0)->front();
        if (x.term == y.term) agreed = true;
        if (agreed && !(x == y))
          Violation(StrCat("R2: logs differ at ", i, " below an agreement: ", Describe(x), " and ", Describe(y)));
      }
    }
  }
}

void Cluster::Run() {
  After(10 * kMs, [this] { ClientTurn(); });
  After(10 * kMs, [this] { CheckLeases(); });
  After(300 * kMs, [this] { WantLeader(); });
  if (options_.faults) After(500 * kMs, [this] { FaultTurn(); });
  if (options_.conf_changes) After(1500 * kMs, [this] { MemberTurn(); });
  const uint64_t end = now_us_ + options_.chaos_ms * kMs;
  while (now_us_ < end && violations_.empty()) {
    RunUntil(std::min(end, now_us_ + 500 * kMs));
    CheckLogs();
  }
  if (violations_.empty()) CheckEnd();
}

void Cluster::CheckEnd() {
  chaos_ = false;
  blocked_until_.clear();
  for (auto& [id, s] : stores_) {
    s.paused_until = 0;
    if (!s.up) StartStore(&s);
  }
  RunUntil(now_us_ + 8'000 * kMs);
  CollectRemoved(1);
  RunUntil(now_us_ + 4'000 * kMs);

  // C3
  Store* leader = nullptr;
  for (int i = 0; i < 100 && violations_.empty(); ++i) {
    leader = nullptr;
    for (auto& [id, s] : stores_) {
      if (options_.fortified ? HoldsLease(&s, 0)
                             : s.replica && s.replica->raw && s.replica->raw->raft().state() == StateType::kLeader) {
        leader = &s;
      }
    }
    if (leader) Propose(leader);
    RunUntil(now_us_ + 20 * kMs);
  }
  if (!violations_.empty()) return;
  RunUntil(now_us_ + 4'000 * kMs);
  if (!leader) {
    Violation("C3: no leader after the faults stopped");
    for (auto& [id, s] : stores_) {
      if (!s.replica || !s.replica->raw) continue;
      const Raft& raft = s.replica->raw->raft();
      StrAppend(&violations_.back(), "; ", s.replica->id, ": ", StateTypeName(raft.state()), " ",
                Describe(raft.hard_state()), " lead ", raft.lead(), raft.Bound() ? " bound" : "", " applied ",
                s.replica->state.applied, " ", raft.tracker().config.ToString());
    }
    return;
  }
  const State& newest = leader->replica->state;
  for (auto& [id, s] : stores_) {
    if (!s.replica || !Member(newest.conf, s.replica->id)) continue;
    if (s.replica->state.applied != newest.applied || s.replica->state.digest != newest.digest) {
      Violation(StrCat("C3: replica ", s.replica->id, " applied ", s.replica->state.applied, ", the leader ",
                       newest.applied, " (", leader->replica->raw->GetStatus().progress.at(s.replica->id).ToString(),
                       " sent commit ", leader->replica->raw->GetStatus().progress.at(s.replica->id).sent_commit, ")"));
    }
    if (options_.fortified && s.replica->raw->NeedsTicks()) {
      const Raft& raft = s.replica->raw->raft();
      Violation(StrCat("C4: replica ", s.replica->id, " does not sleep: ", StateTypeName(raft.state()), " ",
                       Describe(raft.hard_state()), " lead ", raft.lead(), raft.Bound() ? " bound\n" : "\n",
                       raft.tracker().config.ToString(), "\n", tracker::ProgressMapToString(raft.tracker().progress)));
    }
  }
  for (const auto& [value, index] : acknowledged_) {
    if (!committed_.count(index) || !applied_values_.count(value)) Violation(StrCat("acknowledged and lost: ", value));
  }
  if (newest.applied < newest_conf_index_) Violation("the leader does not know the newest configuration");
  // C4
  if (options_.fortified && violations_.empty()) {
    const uint64_t sent = messages_sent_;
    RunUntil(now_us_ + 3'000 * kMs);
    if (messages_sent_ != sent) Violation(StrCat("C4: ", messages_sent_ - sent, " messages while asleep"));
    if (!HoldsLease(leader, 0)) Violation("C4: the lease did not survive sleep");
    ++stats_.slept;
  }
  CheckLogs();
}

}  // namespace insula::raft::testing
