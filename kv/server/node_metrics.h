// What a node's store is like now, read when /metrics is asked for. What it counts is kv/metrics.
#ifndef INSULA_KV_SERVER_NODE_METRICS_H_
#define INSULA_KV_SERVER_NODE_METRICS_H_

#include <functional>

#include "base/metrics/metrics.h"
#include "kv/store/store.h"

namespace insula::kv {

// `store`: null before it has started and once it is gone; then there are no series.
void RegisterNodeMetrics(metrics::Registry* registry, std::function<Store*()> store);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_NODE_METRICS_H_
