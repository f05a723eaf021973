// What KV work costs, in request units: the one published model, for the nodes' admission and for the metering in pods.
//
//   cost = batch + requests × request + bytes × byte        for what a batch reads, and again for what it writes × replicas
//
//                 | read          | write, per replica
//   --------------+---------------+-------------------
//   batch         | 0.500 RU      | 0.700 RU
//   request       | 0.050 RU      | 0.040 RU
//   KiB           | 0.016 RU      | 0.100 RU
//
// One RU is about 50 µs of a node's loop. Amounts are whole thousandths, so that the same work costs the same everywhere.
#ifndef INSULA_TENANT_COST_MODEL_H_
#define INSULA_TENANT_COST_MODEL_H_

#include <cstdint>

namespace insula {

// Thousandths of a request unit.
using MilliRu = int64_t;
inline constexpr MilliRu kMilliRuPerRu = 1000;

// What a batch does, or did.
struct KvWork {
  uint64_t read_requests = 0;
  uint64_t read_bytes = 0;
  uint64_t write_requests = 0;
  uint64_t write_bytes = 0;
};

struct CostModel {
  MilliRu read_batch = 500;
  MilliRu read_request = 50;
  MilliRu read_kib = 16;
  MilliRu write_batch = 700;
  MilliRu write_request = 40;
  MilliRu write_kib = 100;
  uint32_t replicas = 3;
};

// The cost of one batch. A batch that neither reads nor writes anything costs as one that reads. Saturates far above what a
// message can hold.
MilliRu CostOf(const CostModel& model, const KvWork& work);
// The cost of `bytes` more that came out of reading than were foreseen.
MilliRu CostOfReadBytes(const CostModel& model, uint64_t bytes);

}  // namespace insula

#endif  // INSULA_TENANT_COST_MODEL_H_
