// One stream per node carries all batches for it: many per message, answers in any order (/insula.kv.v1.Kv/Batch).
//
//   Call ──► outbox ──► writer: what gathered while the last message went out makes the next ──► node
//   Call ◄── by id  ◄── reader                                                              ◄──
//
// A stream that breaks fails its calls: those in the outbox were certainly not received, those sent may have been. The next call
// opens a new one. A call whose context ends is cancelled at the node.
// Loop thread only.
#ifndef INSULA_KV_CLIENT_STREAM_CHANNEL_H_
#define INSULA_KV_CLIENT_STREAM_CHANNEL_H_

#include <map>
#include <memory>
#include <string>

#include "base/async/context.h"
#include "base/async/task_group.h"
#include "base/runtime/transport.h"
#include "kv/client/batch_channel.h"

namespace insula::kv {

inline constexpr char kBatchMethod[] = "/insula.kv.v1.Kv/Batch";

class StreamChannel : public BatchChannel {
 public:
  // `transport` must outlive it. Streams end with `ctx`.
  StreamChannel(Context ctx, Transport* transport);
  ~StreamChannel() override;

  Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) override;
  size_t connections() const { return connections_.size(); }

 private:
  class Connection;
  Task<void> Run(std::shared_ptr<Connection> connection);

  Transport* transport_;
  std::map<std::string, std::shared_ptr<Connection>> connections_;
  TaskGroup group_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_STREAM_CHANNEL_H_
