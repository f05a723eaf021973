#include "kv/multiraft/store_streams.h"

#include <set>
#include <utility>
#include <vector>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/raft/message.h"

namespace insula::kv {
namespace {
constexpr size_t kMaxOutboxBytes = 32 << 20;  // beyond, messages are dropped: the peer does not keep up; one alone always passes
constexpr Duration kOpenTimeout = std::chrono::milliseconds(1000);
constexpr Duration kSendTimeout = std::chrono::milliseconds(3000);
constexpr Duration kSendTimePerByte = std::chrono::microseconds(1);  // on top
constexpr Duration kRetryDelay = std::chrono::milliseconds(100);

RaftMessageKind KindOf(const v1::RaftMessage& message) {
  switch (static_cast<raft::MessageType>(message.type())) {
    case raft::MessageType::kApp: return RaftMessageKind::kAppend;
    case raft::MessageType::kAppResp: return RaftMessageKind::kAppendResponse;
    case raft::MessageType::kHeartbeat:
    case raft::MessageType::kHeartbeatResp: return RaftMessageKind::kHeartbeat;
    case raft::MessageType::kVote:
    case raft::MessageType::kVoteResp:
    case raft::MessageType::kPreVote:
    case raft::MessageType::kPreVoteResp: return RaftMessageKind::kVote;
    case raft::MessageType::kFortify:
    case raft::MessageType::kFortifyResp:
    case raft::MessageType::kDeFortify:
    case raft::MessageType::kDeFortifyResp: return RaftMessageKind::kLease;
    case raft::MessageType::kSnap: return RaftMessageKind::kSnapshot;
    default: return RaftMessageKind::kOther;
  }
}

bool IsEmpty(const v1::StoreMessages& outbox) {
  return outbox.raft_size() == 0 && outbox.liveness_size() == 0 && outbox.gone_size() == 0 && outbox.refused_wall_us() == 0 && outbox.refused_incarnation() == 0;
}
}  // namespace

StoreStreams::StoreStreams(const Runtime& runtime, Transport* transport, StoreId self, HybridClock* clock, StoreResolver resolver, PeerCheck check, StoreMetrics* metrics)
    : runtime_(runtime),
      transport_(transport),
      self_(self),
      clock_(clock),
      resolver_(std::move(resolver)),
      check_(std::move(check)),
      metrics_(metrics),
      alive_(std::make_shared<StoreStreams*>(this)),
      tasks_(Context::Background(runtime.executor)) {
  transport->Handle(kMessagesMethod, [weak = std::weak_ptr<StoreStreams*>(alive_)](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    auto self = weak.lock();
    if (self == nullptr) co_return absl::UnavailableError("the store is stopped");
    StoreStreams* streams = *self;
    self.reset();
    co_return co_await streams->Serve(std::move(ctx), std::move(stream));
  });
}

void StoreStreams::Start(Receiver* receiver, uint64_t incarnation) {
  receiver_ = receiver;
  incarnation_ = incarnation;
}
void StoreStreams::Stop() {
  receiver_ = nullptr;
  tasks_.Cancel();
}

StoreStreams::Peer& StoreStreams::GetPeer(StoreId store) {
  auto& slot = peers_[store];
  if (slot == nullptr) {
    slot = std::make_unique<Peer>();
    slot->store = store;
  }
  return *slot;
}

void StoreStreams::Filled(Peer& peer) {
  if (!peer.running) {
    if (tasks_.ctx().done()) return;
    peer.running = true;
    tasks_.Spawn(RunPeer(&peer));
  }
  peer.filled.NotifyAll();
}

void StoreStreams::Send(StoreId to, v1::RaftEnvelope envelope) {
  Peer& peer = GetPeer(to);
  size_t bytes = envelope.ByteSizeLong();
  const size_t kind = static_cast<size_t>(KindOf(envelope.message()));
  metrics_->messages_sent[kind] += 1;
  metrics_->message_bytes_sent[kind] += bytes;
  if (peer.outbox_bytes != 0 && peer.outbox_bytes + bytes > kMaxOutboxBytes) {
    metrics_->messages_dropped += 1;
    if (receiver_ != nullptr) receiver_->Undelivered(to, {envelope.range_id()});
    return;
  }
  peer.outbox_bytes += bytes;
  envelope.set_from_store(self_);
  envelope.set_to_store(to);
  *peer.outbox.add_raft() = std::move(envelope);
  Filled(peer);
}

void StoreStreams::Send(StoreId to, v1::LivenessMessage message) {
  Peer& peer = GetPeer(to);
  *peer.outbox.add_liveness() = std::move(message);
  Filled(peer);
}

void StoreStreams::Send(StoreId to, v1::ReplicaGone gone) {
  Peer& peer = GetPeer(to);
  *peer.outbox.add_gone() = std::move(gone);
  Filled(peer);
}

void StoreStreams::RefuseClock(StoreId to, uint64_t wall_us) {
  Peer& peer = GetPeer(to);
  peer.outbox.set_refused_wall_us(wall_us);
  Filled(peer);
}

void StoreStreams::RefuseIncarnation(StoreId to, uint64_t incarnation) {
  Peer& peer = GetPeer(to);
  peer.outbox.set_refused_incarnation(incarnation);
  Filled(peer);
}

void StoreStreams::Drop(const Peer& peer, const v1::StoreMessages& batch) {
  metrics_->messages_dropped += static_cast<uint64_t>(batch.raft_size());
  std::set<RangeId> ranges;
  for (const auto& envelope : batch.raft()) ranges.insert(envelope.range_id());
  if (receiver_ != nullptr && !ranges.empty()) receiver_->Undelivered(peer.store, std::vector<RangeId>(ranges.begin(), ranges.end()));
}

Task<absl::Status> StoreStreams::SendBatch(Peer* peer, std::unique_ptr<MessageStream>* stream, const v1::StoreMessages& batch) {
  if (*stream == nullptr) {
    std::optional<std::string> address = resolver_(peer->store);
    if (!address.has_value()) co_return absl::UnavailableError(StrCat("the address of store ", peer->store, " is not known"));
    Context open = tasks_.ctx().WithTimeout(kOpenTimeout);
    CO_ASSIGN_OR_RETURN(*stream, co_await transport_->Open(open, *address, kMessagesMethod));
  }
  std::string bytes = batch.SerializeAsString();
  Context send = tasks_.ctx().WithTimeout(kSendTimeout + bytes.size() * kSendTimePerByte);
  metrics_->stream_frames_sent += 1;
  metrics_->stream_bytes_sent += bytes.size();
  co_return co_await (*stream)->Send(send, std::move(bytes));
}

Task<void> StoreStreams::RunPeer(Peer* peer) {
  std::unique_ptr<MessageStream> stream;
  for (;;) {
    while (IsEmpty(peer->outbox)) {
      if (!(co_await peer->filled.Wait(tasks_.ctx())).ok()) co_return;
    }
    v1::StoreMessages batch;
    batch.Swap(&peer->outbox);
    peer->outbox_bytes = 0;
    batch.set_version(kVersion);
    batch.set_from_store(self_);
    batch.set_to_store(peer->store);
    batch.set_incarnation(incarnation_);
    batch.set_now(clock_->Now().bits);
    batch.set_wall_us(static_cast<uint64_t>(clock_->Physical().time_since_epoch().count()));
    if (batch.liveness_size() > 0 && load_source_) {
      if (const v1::StoreLoad* load = load_source_(peer->store); load != nullptr) *batch.mutable_load() = *load;
    }
    absl::Status sent = co_await SendBatch(peer, &stream, batch);
    if (sent.ok()) continue;
    if (tasks_.ctx().done()) co_return;
    LOG_DEBUG("messages to a store were dropped", {"store", peer->store}, {"why", sent.ToString()});
    stream.reset();
    Drop(*peer, batch);
    if (!(co_await Sleep(tasks_.ctx(), kRetryDelay)).ok()) co_return;
    // What gathered meanwhile is as good as lost if the peer is down, and fresh if it is back.
  }
}

absl::Status StoreStreams::CheckBatch(const v1::StoreMessages& batch, const PeerIdentity& peer) {
  if (batch.version() != kVersion) return absl::InvalidArgumentError(StrCat("messages of version ", batch.version(), "; this store knows ", kVersion));
  RETURN_IF_ERROR(check_(peer, batch.from_store()));
  if (batch.to_store() != self_) return absl::FailedPreconditionError(StrCat("messages for store ", batch.to_store(), " reached store ", self_));
  if (batch.has_load() && batch.load().store_id() != batch.from_store()) return absl::PermissionDeniedError("a load names another store than its stream");
  for (const auto& envelope : batch.raft()) {
    if (envelope.from_store() != batch.from_store()) return absl::PermissionDeniedError("an envelope names another sender than its stream");
  }
  for (const auto& message : batch.liveness()) {
    if (message.from_store() != batch.from_store()) return absl::PermissionDeniedError("a liveness message names another sender than its stream");
  }
  return absl::OkStatus();
}

Task<absl::Status> StoreStreams::Serve(Context ctx, std::unique_ptr<MessageStream> stream) {
  std::weak_ptr<StoreStreams*> alive = alive_;
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
    if (!bytes.has_value()) co_return absl::OkStatus();
    if (alive.expired()) co_return absl::UnavailableError("the store is stopped");
    v1::StoreMessages batch;
    if (!batch.ParseFromString(*bytes)) co_return absl::InvalidArgumentError("messages between stores do not parse");
    CO_RETURN_IF_ERROR(CheckBatch(batch, stream->peer()));
    if (receiver_ == nullptr) co_return absl::UnavailableError("the store is not serving");
    receiver_->ReceiveMessages(std::move(batch));
  }
}

}  // namespace insula::kv
