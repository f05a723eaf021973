// The endpoints that every process has: /metrics (Prometheus), /healthz (it runs), /readyz (it serves).
#ifndef INSULA_BASE_HTTP_STATUS_ENDPOINTS_H_
#define INSULA_BASE_HTTP_STATUS_ENDPOINTS_H_

#include <functional>

#include "base/http/http.h"
#include "base/metrics/metrics.h"

namespace insula {

// Adds them to `server`, which must not outlive `metrics`. `ready` is asked at each /readyz; 503 with its message if not OK.
void AddStatusEndpoints(HttpServer* server, MetricsRegistry* metrics, std::function<absl::Status()> ready);

}  // namespace insula

#endif  // INSULA_BASE_HTTP_STATUS_ENDPOINTS_H_
