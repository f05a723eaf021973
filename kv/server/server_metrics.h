// What a node counts at its front door. Series per tenant are bounded (base/metrics).
#ifndef INSULA_KV_SERVER_SERVER_METRICS_H_
#define INSULA_KV_SERVER_SERVER_METRICS_H_

#include "base/metrics/metrics.h"

namespace insula::kv {

struct ServerMetrics {
  explicit ServerMetrics(metrics::Registry* registry)
      : batches(registry->AddCounter("insula_kv_batches_total", "Batches received.")),
        denied(registry->AddCounters("insula_kv_denied_total", "Calls and batches refused at the tenants' wall, by reason.", {"reason"})),
        throttled(registry->AddCounters("insula_kv_throttled_total", "Batches that waited for their turn, by tenant.", {"tenant"})),
        pushed_back(registry->AddCounters("insula_kv_pushed_back_total", "Batches and streams refused because the tenant had too much under way, by tenant.", {"tenant"})),
        request_units(registry->AddCounters("insula_kv_request_units_total", "Request units of the work taken on, by tenant.", {"tenant"})),
        plan_waits(registry->AddCounters("insula_kv_plan_waits_total", "Batches that waited as their tenant was past its plan, by tenant.", {"tenant"})),
        plan_borrowed(registry->AddCounters("insula_kv_plan_borrowed_request_units_total", "Request units that this node has borrowed for the tenant.", {"tenant"})),
        plan_baseline(registry->AddCounters("insula_kv_plan_baseline_request_units_total", "Request units of the tenant's baseline spent here.", {"tenant"})),
        plan_lent(registry->AddCounters("insula_kv_plan_lent_request_units_total", "Request units that this node has lent, as the leader of the registry, by tenant.", {"tenant"})),
        plan_not_answered(registry->AddCounter("insula_kv_plan_loans_not_answered_total", "Loans that no leader of the registry answered.")),
        plan_waiting(registry->AddGauge("insula_kv_plan_waiting", "Batches that wait now as their tenant is past its plan.")),
        plan_wait(registry->AddHistogram("insula_kv_plan_wait_seconds", "How long batches waited that did so as their tenant was past its plan.")),
        writes_held_back(registry->AddCounters("insula_kv_writes_held_back_total", "Batches that waited as the disk did not keep up, by tenant.", {"tenant"})),
        write_limit(registry->AddGauge("insula_kv_write_limit_bytes_per_second", "What tenants may write while the disk does not keep up; 0: nothing is held back.")),
        writes_waiting(registry->AddGauge("insula_kv_writes_waiting", "Batches that wait for the disk to keep up now.")),
        queue_wait(registry->AddHistogram("insula_kv_queue_wait_seconds", "How long batches that waited for their turn did so.")),
        queued(registry->AddGauge("insula_kv_queued_batches", "Batches that wait for their turn now.")),
        in_flight_bytes(registry->AddGauge("insula_kv_in_flight_bytes", "Bytes of tenants' batches and answers that are under way now.")) {}

  metrics::Counter* batches;
  metrics::Family<metrics::Counter>* denied;
  metrics::Family<metrics::Counter>* throttled;
  metrics::Family<metrics::Counter>* pushed_back;
  metrics::Family<metrics::Counter>* request_units;
  metrics::Family<metrics::Counter>* plan_waits;
  metrics::Family<metrics::Counter>* plan_borrowed;
  metrics::Family<metrics::Counter>* plan_baseline;
  metrics::Family<metrics::Counter>* plan_lent;
  metrics::Counter* plan_not_answered;
  metrics::Gauge* plan_waiting;
  metrics::Histogram* plan_wait;
  metrics::Family<metrics::Counter>* writes_held_back;
  metrics::Gauge* write_limit;
  metrics::Gauge* writes_waiting;
  metrics::Histogram* queue_wait;
  metrics::Gauge* queued;
  metrics::Gauge* in_flight_bytes;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_SERVER_METRICS_H_
