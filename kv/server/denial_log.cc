#include "kv/server/denial_log.h"

#include "base/log/log.h"

namespace insula::kv {

void DenialLog::Denied(std::string_view reason, const Identity& caller, const PeerIdentity& peer, std::string_view target) {
  metrics_->denied->With({std::string(reason)})->Increment();
  const MonoTime now = executor_->Now();
  if (now - interval_start_ >= kInterval) {
    if (silent_ > 0) LOG_WARNING("more was refused than is logged", {"refusals", silent_});
    interval_start_ = now;
    lines_ = 0;
    silent_ = 0;
  }
  if (++lines_ > kLinesPerInterval) {
    ++silent_;
    return;
  }
  LOG_WARNING("refused at the tenants' wall", {"reason", reason}, {"caller", caller.ToString()}, {"certificate", peer.common_name}, {"address", peer.address}, {"target", target});
}

}  // namespace insula::kv
