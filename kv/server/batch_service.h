// The Kv service: one stream per client and node, many batches per message, answers in any order.
//
//   stream ─► StreamRequest { calls, cancels } ─► per call: who? (certificate) ─► TenantGate ─► wall ─► replica
//   stream ◄─ StreamResponse { replies }  ◄──────── replies that are ready together go in one message
//
// A client's in-flight bytes are bounded: past the bound its stream is not read until answers went out (HTTP/2's flow control
// then holds the client back).
#ifndef INSULA_KV_SERVER_BATCH_SERVICE_H_
#define INSULA_KV_SERVER_BATCH_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "kv/server/tenant_gate.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// The node's replicas, as the service uses them.
class BatchExecutor {
 public:
  virtual ~BatchExecutor() = default;
  // Errors are inside the response.
  virtual Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) = 0;
  // Sequence of the lease that this node holds on the range; 0 if it holds none.
  virtual uint64_t LeaseSequence(uint64_t range_id) const = 0;
};

struct BatchServiceCounters {
  uint64_t batches = 0;
  uint64_t denied = 0;
};

class BatchService {
 public:
  static constexpr uint64_t kMaxInFlightBytes = 32 << 20;  // per stream
  static constexpr size_t kMaxInFlightCalls = 4096;        // per stream

  BatchService(BatchExecutor* executor, TenantGate* gate) : executor_(executor), gate_(gate) {}

  // Registers /insula.kv.v1.Kv/Batch; before transport->Listen.
  void Register(Transport* transport);
  const BatchServiceCounters& counters() const { return counters_; }

 private:
  class Session;
  // Who the caller is decides what it may do.
  Task<v1::BatchResponse> Serve(Context ctx, const Identity& identity, v1::BatchRequest batch);

  BatchExecutor* executor_;
  TenantGate* gate_;
  BatchServiceCounters counters_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_BATCH_SERVICE_H_
