// Whoever takes a batch to where it belongs and brings the answer: the distributed sender, or a replica itself in tests.
#ifndef INSULA_KV_API_SENDER_H_
#define INSULA_KV_API_SENDER_H_

#include "base/async/context.h"
#include "base/async/task.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

class Sender {
 public:
  virtual ~Sender() = default;
  // The batch's answer; an error is in `error`. What can be cured by trying elsewhere or later has been, until the context's end.
  virtual Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_API_SENDER_H_
