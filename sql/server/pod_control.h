// The service by which the operator watches and suspends a pod (proto/operator/pod.proto, PodControl).
#ifndef INSULA_SQL_SERVER_POD_CONTROL_H_
#define INSULA_SQL_SERVER_POD_CONTROL_H_

#include <functional>

#include "base/runtime/time.h"
#include "base/runtime/transport.h"
#include "sql/server/activity_gate.h"

namespace insula::sql {

struct PodControlActions {
  std::function<void()> end_sessions;  // a forced suspend: with 57P01
  std::function<void()> stop;          // the process ends, in order
};

// A watcher hears of changes at most this often; while nothing changes, nothing is sent and no timer runs.
inline constexpr Duration kActivityInterval = std::chrono::milliseconds(100);

// Before the transport listens. `gate` outlives it. require_operator: off in tests without certificates only.
void RegisterPodControl(Transport* transport, ActivityGate* gate, bool require_operator, PodControlActions actions);

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_POD_CONTROL_H_
