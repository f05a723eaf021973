// Brings one batch to one node and its answer back: over streams (stream_channel.h), or inside a process in tests.
#ifndef INSULA_KV_CLIENT_BATCH_CHANNEL_H_
#define INSULA_KV_CLIENT_BATCH_CHANNEL_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct CallResult {
  absl::Status status;           // OK: `response` is the node's answer (which may hold an error)
  bool maybe_received = false;   // not OK: the node may have got the batch all the same
  v1::BatchResponse response;
};

class BatchChannel {
 public:
  virtual ~BatchChannel() = default;
  // Not OK: kUnavailable when the node cannot be reached or the connection broke, else why `ctx` ended.
  virtual Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) = 0;
};

// A node's own: batches for itself do not leave the process.
class RoutedChannel : public BatchChannel {
 public:
  using Local = std::function<Task<v1::BatchResponse>(Context ctx, v1::BatchRequest batch)>;
  RoutedChannel(std::string own_address, Local local, BatchChannel* remote)
      : own_address_(std::move(own_address)), local_(std::move(local)), remote_(remote) {}

  Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) override {
    if (address != own_address_) co_return co_await remote_->Call(ctx, std::move(address), batch);
    CallResult result;
    result.response = co_await local_(ctx, batch);
    co_return result;
  }

 private:
  std::string own_address_;
  Local local_;
  BatchChannel* remote_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_BATCH_CHANNEL_H_
