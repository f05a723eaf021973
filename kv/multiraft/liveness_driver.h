// Drives store liveness (liveness.h) on the loop: its clock, its messages, its writes; and keeps the clock's upper
// bound on disk.
//
// The clock's bound: every timestamp served lies below a bound that is durable. A restarted store waits until its
// physical clock has reached it, so what was served before the crash stays in its past, even if the wall clock was set back
// meanwhile. Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_LIVENESS_DRIVER_H_
#define INSULA_KV_MULTIRAFT_LIVENESS_DRIVER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/hlc/hlc.h"
#include "base/runtime/runtime.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/liveness.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/store_streams.h"

namespace insula::kv {

// How far ahead the clock's bound is written; renewed when less than kClockBoundLeast is left.
inline constexpr Duration kClockBoundAhead = std::chrono::milliseconds(2000);
inline constexpr Duration kClockBoundLeast = std::chrono::milliseconds(1400);

std::string EncodeLivenessState(const LivenessState& state);
absl::Status DecodeLivenessState(std::string_view bytes, LivenessState* state);

class LivenessDriver {
 public:
  // Waits until the physical clock has reached the bound that an earlier process left in `log`, and raises
  // `clock` to it. kFailedPrecondition when it would take longer than `patience`: the wall clock was set back.
  static Task<absl::Status> WaitForClock(Context ctx, const LogEngine& log, HybridClock* clock, Duration patience);
  // For an orderly stop: no wait at the next start.
  static LogBatch ShrinkClockBound(HybridClock* clock);

  // kDataLoss when what the log holds of it is damaged. `changed`: support began or ended with these stores.
  static absl::StatusOr<std::unique_ptr<LivenessDriver>> Make(const Runtime& runtime, StoreId self,
                                                              std::vector<StoreId> peers, HybridClock* clock,
                                                              LogEngine* log, StoreStreams* streams, StoreMetrics* metrics,
                                                              std::function<void(const std::set<StoreId>&)> changed);
  void Start();
  void Stop() { tasks_.Cancel(); }
  void Receive(const LivenessMessage& message);
  // Another store of the cluster.
  void AddPeer(StoreId store);
  // It left for good.
  void RemovePeer(StoreId store);

  SupportManager::Given SupportFor(StoreId store) const { return manager_->SupportFor(store); }
  SupportManager::Received SupportFrom(StoreId store) const { return manager_->SupportFrom(store); }
  // Nothing at or above it may be served.
  Timestamp clock_bound() const { return bound_; }

 private:
  LivenessDriver(const Runtime& runtime, StoreId self, HybridClock* clock, LogEngine* log, StoreStreams* streams, StoreMetrics* metrics,
                 std::function<void(const std::set<StoreId>&)> changed);
  Task<void> Run();
  void Drain();
  void CountLost(StoreId store);
  void Write(const LivenessWrite& write);
  void KeepClockBound();

  Runtime runtime_;
  const StoreId self_;
  HybridClock* clock_;
  LogEngine* log_;
  StoreStreams* streams_;
  StoreMetrics* metrics_;
  std::map<StoreId, std::pair<bool, bool>> support_;  // given and received, as last seen; for metrics_
  std::function<void(const std::set<StoreId>&)> changed_;
  LivenessState durable_;
  std::unique_ptr<SupportManager> manager_;
  MonoTime seen_sync_{};
  Timestamp bound_;
  bool writing_bound_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_LIVENESS_DRIVER_H_
