// What stores have for each other, coalesced: one stream per pair and direction carries the messages of all ranges and liveness.
//
//   Send(to, envelope) ─┐
//   Send(to, liveness) ─┼─► outbox of `to` ─► one StoreMessages per turn ─► stream ─► handler of `to` ─► Receiver
//
// Best effort: what cannot be delivered is dropped (consensus and liveness live with that) and the ranges concerned are told.
// Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_STORE_STREAMS_H_
#define INSULA_KV_MULTIRAFT_STORE_STREAMS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

// Where a store can be reached; nullopt: not known (now).
using StoreResolver = std::function<std::optional<std::string>(StoreId)>;
// Whether the peer may speak for `store`. Default deny.
using PeerCheck = std::function<absl::Status(const PeerIdentity& peer, StoreId store)>;
// What this store has to say of itself to `to` at this moment; null: nothing new.
using LoadSource = std::function<const v1::StoreLoad*(StoreId to)>;

class StoreStreams {
 public:
  static constexpr char kMessagesMethod[] = "/insula.kv.v1.Stores/Messages";
  static constexpr uint32_t kVersion = 1;

  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void ReceiveMessages(v1::StoreMessages messages) = 0;
    // Messages of these ranges to `store` were dropped.
    virtual void Undelivered(StoreId store, const std::vector<RangeId>& ranges) = 0;
  };

  // Registers its handler with `transport` (before it listens).
  StoreStreams(const Runtime& runtime, Transport* transport, StoreId self, HybridClock* clock, StoreResolver resolver, PeerCheck check,
               StoreMetrics* metrics);

  // From now on messages reach `receiver`. `incarnation`: of this store, to be said with all of its messages.
  void Start(Receiver* receiver, uint64_t incarnation);
  // Asked whenever liveness messages are about to go: what a store carries goes along, and never costs a message of its own.
  void SetLoadSource(LoadSource source) { load_source_ = std::move(source); }
  // No message reaches the receiver any more.
  void Stop();

  void Send(StoreId to, v1::RaftEnvelope envelope);
  void Send(StoreId to, v1::LivenessMessage message);
  void Send(StoreId to, v1::ReplicaGone gone);
  // Tells a store that its messages are refused, for the clock that they came with.
  void RefuseClock(StoreId to, uint64_t wall_us);
  // Or for its incarnation.
  void RefuseIncarnation(StoreId to, uint64_t incarnation);

 private:
  struct Peer {
    StoreId store = 0;
    v1::StoreMessages outbox;
    size_t outbox_bytes = 0;
    Condition filled;
    bool running = false;
  };
  Peer& GetPeer(StoreId store);
  void Filled(Peer& peer);
  Task<void> RunPeer(Peer* peer);
  Task<absl::Status> SendBatch(Peer* peer, std::unique_ptr<MessageStream>* stream, const v1::StoreMessages& batch);
  void Drop(const Peer& peer, const v1::StoreMessages& batch);
  Task<absl::Status> Serve(Context ctx, std::unique_ptr<MessageStream> stream);
  absl::Status CheckBatch(const v1::StoreMessages& batch, const PeerIdentity& peer);

  Runtime runtime_;
  Transport* transport_;
  const StoreId self_;
  HybridClock* clock_;
  StoreResolver resolver_;
  PeerCheck check_;
  StoreMetrics* metrics_;
  LoadSource load_source_;
  Receiver* receiver_ = nullptr;
  uint64_t incarnation_ = 0;
  std::map<StoreId, std::unique_ptr<Peer>> peers_;
  std::shared_ptr<StoreStreams*> alive_;  // for the handler, which the transport keeps
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_STORE_STREAMS_H_
