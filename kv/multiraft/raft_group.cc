#include "kv/multiraft/raft_group.h"

#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"

namespace insula::kv {
namespace {
constexpr int kReleases = 10;
constexpr Duration kReleaseInterval = std::chrono::seconds(1);
}  // namespace

RaftGroup::RaftGroup(MultiRaft* host, RangeId range, ReplicaId replica) : host_(host), range_(range), replica_(replica) {}
RaftGroup::~RaftGroup() = default;

// ------------------------------------------------------------------------------------------------------------------- life

void RaftGroup::Initialize(v1::RangeDescriptor descriptor, RangeState state) {
  CHECK(!initialized_);
  CHECK_EQ(descriptor.range_id(), range_);
  descriptor_ = std::move(descriptor);
  state_ = std::move(state);
  initialized_ = true;
  removed_ = ReplicaOfId(descriptor_, replica_) == nullptr;
  machine_ = host_->options().factory(this);
}

void RaftGroup::StartConsensus() {
  CHECK(node_ == nullptr);
  start_commit_ = host_->log().HardState(range_).commit;
  raft::Config config;
  config.id = replica_;
  config.election_tick = host_->options().election_ticks;
  config.heartbeat_tick = host_->options().heartbeat_ticks;
  config.storage = this;
  config.applied = state_.applied_index;
  config.async_storage_writes = true;
  config.max_size_per_msg = 1 << 20;
  config.max_committed_size_per_ready = 4 << 20;
  config.max_inflight_msgs = 256;
  config.max_inflight_bytes = 16 << 20;
  config.check_quorum = true;
  config.pre_vote = true;
  config.disable_proposal_forwarding = true;
  config.step_down_on_removal = true;
  config.random = [this](uint64_t bound) { return host_->runtime().random->Uniform(bound); };
  config.liveness = this;
  config.synced_conf_changes = true;
  node_ = std::make_unique<raft::RawNode>(config);
  if (!unreadable_.ok()) return StopUnreadable();
  if (node_->HasReady()) MarkDirty();
  // What was committed last need not be known any more, and whoever leads sleeps: he is asked. Without that, nobody is woken by a start.
  if (node_->GreetsLeader() && host_->log().LastIndex(range_) > start_commit_) host_->Wake(this);
}

void RaftGroup::Stop(const absl::Status& why) {
  if (stopped_) return;
  stopped_ = true;
  stop_reason_ = why;
  if (lease_.sequence != 0) {
    lease_ = Lease();
    if (machine_) machine_->LeaseLost();
  }
  FailProposals(absl::UnknownError(StrCat("range ", range_, " stopped: ", Sv(why.message()))));
  if (staged_ != nullptr) {
    staged_->result = why;
    staged_->done.Set();
    staged_.reset();
  }
  lease_changed_.NotifyAll();
  progress_changed_.NotifyAll();
  evicted_changed_.NotifyAll();
  apply_idle_.NotifyAll();
  host_->lifecycle().ReplicaStopped(range_);
}

Task<void> RaftGroup::Close() {
  CHECK(stopped_);
  if (machine_ != nullptr) co_await machine_->Close();
}

uint64_t RaftGroup::node_id() const { return host_->options().node_id; }
StoreId RaftGroup::store_id() const { return host_->options().store_id; }
storage::Engine& RaftGroup::engine() { return host_->engine(); }
HybridClock& RaftGroup::clock() { return host_->clock(); }

absl::Status RaftGroup::disk_status() const {
  if (host_->log().disk_full()) return absl::ResourceExhaustedError("the disk of the store is full");
  return host_->engine().health();
}

void RaftGroup::MarkDirty() { host_->MarkDirty(this); }
void RaftGroup::MarkActive() { last_active_ = host_->runtime().executor->Now(); }

// ------------------------------------------------------------------------------------------------------- input and output

void RaftGroup::Step(raft::Message message, StoreId from) {
  if (stopped_ || node_ == nullptr) return;
  learned_stores_[message.from] = from;
  absl::Status s = node_->Step(std::move(message));
  if (!s.ok()) LOG_DEBUG("a raft message was of no use", {"range", range_}, {"why", s.ToString()});
  MarkDirty();
}

// Consensus has met a part of its log that it cannot have. Damage is this replica's alone; a disk that does not give what it holds is
// the whole store's.
void RaftGroup::StopUnreadable() {
  LOG_ERROR("a replica stops: its log cannot be read", {"range", range_}, {"store", store_id()}, {"why", unreadable_.ToString()});
  PROBE("a replica stopped as its log could not be read");
  const absl::Status why(unreadable_.code(), StrCat("range ", range_, ": ", Sv(unreadable_.message())));
  if (absl::IsDataLoss(unreadable_)) return StopDamaged(why);
  Stop(why);
  host_->lifecycle().Fatal(unreadable_);
}

void RaftGroup::StopDamaged(const absl::Status& why) {
  if (stopped_ || node_ == nullptr) return Stop(why);
  const raft::BasicStatus status = node_->GetBasicStatus();
  LOG_ERROR("a replica stops for good", {"range", range_}, {"store", store_id()}, {"why", why.ToString()});
  Stop(why);
  if (status.soft_state.state == raft::StateType::kLeader) host_->Spawn(ReleaseFollowers(status.hard_state.term));
}

// The store lives on, so followers would stay bound to a leader that is none any more: they are told (kv/raft/fortify.h, F4), a few
// times, as a message may be lost.
Task<void> RaftGroup::ReleaseFollowers(uint64_t term) {
  auto self = shared_from_this();
  for (int times = 0; times < kReleases; ++times) {
    for (const auto& r : descriptor_.replicas()) {
      if (r.replica_id() == replica_) continue;
      host_->SendRaft(this, {.type = raft::MessageType::kDeFortify, .to = r.replica_id(), .from = replica_, .term = term, .hlc = Hlc()});
    }
    if (!(co_await Sleep(host_->ctx(), kReleaseInterval)).ok()) co_return;
  }
}

void RaftGroup::Tick() {
  if (stopped_ || node_ == nullptr) return;
  node_->Tick();
  if (node_->HasReady()) MarkDirty();
}

bool RaftGroup::NeedsTicks() const { return !stopped_ && node_ != nullptr && node_->NeedsTicks(); }

void RaftGroup::ProcessReady() {
  if (stopped_ || node_ == nullptr) return;
  while (!stopped_ && node_->HasReady()) {
    raft::Ready ready = node_->TakeReady();
    if (!unreadable_.ok()) return StopUnreadable();
    for (raft::Message& m : ready.messages) Route(std::move(m));
  }
  if (stopped_) return;
  UpdateLease();
  if (progress_changed_.has_waiters()) progress_changed_.NotifyAll();
  if (!awake && node_->NeedsTicks()) host_->Wake(this);
}

void RaftGroup::Route(raft::Message message) {
  if (message.to == raft::kLocalAppendThread) {
    HandleAppend(std::move(message));
  } else if (message.to == raft::kLocalApplyThread) {
    apply_queue_.push_back({std::move(message), 0});
    DrainApply();
  } else {
    host_->SendRaft(this, std::move(message));
  }
}

void RaftGroup::Deliver(std::vector<raft::Message> responses) {
  for (raft::Message& m : responses) {
    if (m.to != replica_) {
      host_->SendRaft(this, std::move(m));
      continue;
    }
    absl::Status s = node_->Step(std::move(m));
    if (!s.ok()) LOG_DEBUG("a storage response was of no use", {"range", range_}, {"why", s.ToString()});
  }
  MarkDirty();
}

void RaftGroup::Undelivered(StoreId store) {
  if (stopped_ || node_ == nullptr || !initialized_) return;
  if (const v1::ReplicaDescriptor* r = ReplicaOn(descriptor_, store); r != nullptr) {
    node_->ReportUnreachable(r->replica_id());
    MarkDirty();
  }
}

void RaftGroup::ReportSnapshot(raft::NodeId replica, bool ok) {
  if (stopped_ || node_ == nullptr) return;
  node_->ReportSnapshot(replica, ok);
  MarkDirty();
}

std::optional<StoreId> RaftGroup::StoreOf(raft::NodeId replica) const {
  for (const auto& r : descriptor_.replicas()) {
    if (r.replica_id() == replica) return r.store_id();
  }
  auto it = learned_stores_.find(replica);
  return it == learned_stores_.end() ? std::nullopt : std::optional(it->second);
}

uint64_t RaftGroup::TruncationIndex(uint64_t flushed, bool keep_tail) const {
  const TruncationOptions& options = host_->options().truncation;
  uint64_t to = std::min(flushed, state_.applied_index);
  const LogEngine& log = host_->log();
  if (keep_tail) {
    uint64_t last = log.LastIndex(range_);
    to = std::min(to, last > options.tail_entries ? last - options.tail_entries : 0);
  }
  if (node_ != nullptr && lease_.sequence != 0 && log.EntryBytes(range_) <= options.keep_bytes) {
    for (const auto& [id, progress] : node_->GetStatus().progress) {
      Received support = SupportFrom(id);
      if (support.epoch != 0 && !Expired(support.expiration)) to = std::min(to, progress.match);
    }
  }
  return to;
}

// ------------------------------------------------------------------------------------------------------------ raft::Storage

absl::StatusOr<raft::InitialState> RaftGroup::ReadInitialState() const { return raft::InitialState{host_->log().HardState(range_), state_.conf}; }
absl::StatusOr<std::vector<raft::Entry>> RaftGroup::Entries(uint64_t lo, uint64_t hi, uint64_t max_bytes) const {
  auto entries = host_->log().Entries(range_, lo, hi, max_bytes);
  if (!entries.ok() && !raft::IsCompacted(entries.status()) && !raft::IsMissing(entries.status())) unreadable_ = entries.status();
  return entries;
}
absl::StatusOr<uint64_t> RaftGroup::Term(uint64_t index) const { return host_->log().Term(range_, index); }
uint64_t RaftGroup::FirstIndex() const { return host_->log().TruncatedIndex(range_) + 1; }
uint64_t RaftGroup::LastIndex() const { return host_->log().LastIndex(range_); }

absl::StatusOr<raft::SnapshotPtr> RaftGroup::GetSnapshot(raft::NodeId to) {
  if (!initialized_) return raft::SnapshotNotReadyError();
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->metadata = {.conf_state = state_.conf, .index = state_.applied_index, .term = state_.applied_term};
  return raft::SnapshotPtr(std::move(snapshot));
}

// --------------------------------------------------------------------------------------------------- raft::StoreLivenessView

raft::StoreLivenessView::Given RaftGroup::SupportFor(raft::NodeId replica) const {
  std::optional<StoreId> store = StoreOf(replica);
  if (!store.has_value()) return {};
  SupportManager::Given given = host_->liveness().SupportFor(*store);
  return {given.epoch, given.supported};
}
raft::StoreLivenessView::Received RaftGroup::SupportFrom(raft::NodeId replica) const {
  std::optional<StoreId> store = StoreOf(replica);
  if (!store.has_value()) return {};
  SupportManager::Received received = host_->liveness().SupportFrom(*store);
  return {received.epoch, received.expiration.bits};
}
bool RaftGroup::Expired(uint64_t expiration) const { return host_->clock().Peek().bits > expiration; }
uint64_t RaftGroup::Hlc() const { return std::max({host_->clock().Now(), host_->served(), host_->heard()}).bits; }
// The clock stays as it is: what was served may be ahead of all clocks, as transactions are pushed above readers' limits, and limits are
// counted from clocks. After a restart the clock is above it all the same, as its bound is written further ahead.
void RaftGroup::ObserveHlc(uint64_t hlc) { host_->NoteHeard(Timestamp{hlc}); }

}  // namespace insula::kv
