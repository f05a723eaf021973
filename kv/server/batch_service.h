// The Kv service: one stream per client and node, many batches per message, answers in any order.
//
//   stream ─► StreamRequest { calls, cancels }
//     per call: bounds (Admission) ─► who? (TenantGate) ─► may he? (authorization.h) ─► his turn (Admission) ─► replica ─► answer, filtered
//   stream ◄─ StreamResponse { replies }: those that are ready together go in one message
//
// Nodes' own batches go straight to the replica.
// A tenant's lookup that range 1 here does not answer, or not alone (meta2 was split), is made anew with this node's own client: where meta
// ranges begin and end are others' keys, so a tenant is told of none, and takes range 1 for all of them.
// Bounds of a stream: past the soft ones a batch is refused (Unavailable, come back later) unless it ends a transaction, since what is
// under way may wait for just that; past the hard ones the stream is not read until answers went out (HTTP/2's flow control then holds the
// client back). Answers that the client does not take count as under way; while there are many, no new ones are made.
#ifndef INSULA_KV_SERVER_BATCH_SERVICE_H_
#define INSULA_KV_SERVER_BATCH_SERVICE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"
#include "base/runtime/transport.h"
#include "kv/server/admission.h"
#include "kv/server/denial_log.h"
#include "kv/server/server_metrics.h"
#include "kv/server/tenant_gate.h"
#include "proto/kv/api.pb.h"
#include "tenant/cost_model.h"

namespace insula::kv {

// The node's replicas, as the service uses them.
class BatchExecutor {
 public:
  virtual ~BatchExecutor() = default;
  // Errors are inside the response.
  virtual Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) = 0;
  // The addresses that `lookup` asks for, wherever they lie.
  virtual Task<v1::BatchResponse> LookUp(Context ctx, v1::RangeLookupRequest lookup) = 0;
  // Sequence of the lease that this node holds on the range; 0 if it holds none.
  virtual uint64_t LeaseSequence(uint64_t range_id) const = 0;
  // The highest timestamp that a clock of the cluster can have given by now.
  virtual Timestamp LatestTimestamp() = 0;
};

class BatchService {
 public:
  static constexpr uint64_t kMaxInFlightBytes = 32 << 20;  // per stream
  static constexpr size_t kMaxInFlightCalls = 4096;        // per stream
  static constexpr uint64_t kHardInFlightBytes = kMaxInFlightBytes * 5 / 4;
  static constexpr size_t kHardInFlightCalls = kMaxInFlightCalls * 5 / 4;
  static constexpr uint64_t kMaxUnsentBytes = 32 << 20;  // of answers, per stream

  // All must outlive the handlers.
  BatchService(BatchExecutor* executor, TenantGate* gate, Admission* admission, DenialLog* denials, ServerMetrics* metrics)
      : executor_(executor), gate_(gate), admission_(admission), denials_(denials), metrics_(metrics) {}

  // Registers /insula.kv.v1.Kv/Batch; before transport->Listen.
  void Register(Transport* transport);

 private:
  class Session;

  // What lets a batch in, at each door.
  Task<absl::StatusOr<TenantScope>> Identify(const Context& ctx, const Identity& caller, const PeerIdentity& peer, uint64_t range);
  absl::Status Authorize(const TenantScope& scope, const Identity& caller, const PeerIdentity& peer, const v1::BatchRequest& batch);
  void Filter(const TenantScope& scope, v1::BatchResponse* response);

  BatchExecutor* executor_;
  TenantGate* gate_;
  Admission* admission_;
  DenialLog* denials_;
  ServerMetrics* metrics_;
};

// What `batch`, of so many bytes, is going to do, as far as can be said before.
KvWork WorkOf(const v1::BatchRequest& batch, uint64_t bytes);
// Whether it is all of a transaction: nothing of it was written before.
bool IsOnePhase(const v1::BatchRequest& batch);
// Whether others may wait for what the batch does: it ends a transaction, or keeps one alive.
bool IsFinishing(const v1::BatchRequest& batch);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_BATCH_SERVICE_H_
