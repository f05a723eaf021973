// What may happen to a batch between a client and a node, beyond what the network does:
//
//   lose_answer    it is served, and the client hears that the connection broke
//   deliver_late   the client hears that the connection broke, and it arrives when nobody expects it any more
//   duplicate      lose_answer, and a second copy arrives late. Only of what the client would send again (kv::IsReplaySafe)
//
// The transport delivers at most once, so a repetition is always the sender's: whoever has two copies under way knows that the first of
// them may have been received, and is told nothing for certain as long as it may.
#ifndef INSULA_TEST_SIM_CHANNEL_H_
#define INSULA_TEST_SIM_CHANNEL_H_

#include <cstdint>
#include <string>

#include "base/async/context.h"
#include "base/async/task_group.h"
#include "base/runtime/random.h"
#include "base/runtime/time.h"
#include "kv/client/batch_channel.h"

namespace insula::simtest {

struct ChannelFaults {
  double lose_answer = 0;
  double deliver_late = 0;
  double duplicate = 0;
  Duration late = std::chrono::seconds(4);  // up to so much later
  // What was done so far.
  uint64_t answers_lost = 0;
  uint64_t late_batches = 0;
  uint64_t duplicates = 0;
};

class FaultyChannel : public kv::BatchChannel {
 public:
  // All outlive it; copies under way end with `ctx`.
  FaultyChannel(const Context& ctx, Random* random, kv::BatchChannel* inner, ChannelFaults* faults) : random_(random), inner_(inner), faults_(faults), copies_(ctx) {}

  Task<kv::CallResult> Call(const Context& ctx, std::string address, const kv::v1::BatchRequest& batch) override;

 private:
  Task<void> SendCopy(std::string address, kv::v1::BatchRequest batch, Duration late);

  Random* random_;
  kv::BatchChannel* inner_;
  ChannelFaults* faults_;
  TaskGroup copies_;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_CHANNEL_H_
