// Refusals at the wall: every one is counted, and logged with who it was and what he reached for. A flood of them makes few lines.
#ifndef INSULA_KV_SERVER_DENIAL_LOG_H_
#define INSULA_KV_SERVER_DENIAL_LOG_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/runtime/executor.h"
#include "base/runtime/transport.h"
#include "kv/server/server_metrics.h"
#include "tenant/tenant.h"

namespace insula::kv {

class DenialLog {
 public:
  static constexpr int kLinesPerInterval = 20;
  static constexpr Duration kInterval = std::chrono::seconds(10);

  DenialLog(Executor* executor, ServerMetrics* metrics) : executor_(executor), metrics_(metrics) {}

  // `reason` is one of few, for the metric: "method", "key", "malformed", "generation", "tenant". `target`: whom or what the caller
  // reached for; no key.
  void Denied(std::string_view reason, const Identity& caller, const PeerIdentity& peer, std::string_view target);

 private:
  Executor* executor_;
  ServerMetrics* metrics_;
  MonoTime interval_start_{};
  int lines_ = 0;
  uint64_t silent_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_DENIAL_LOG_H_
