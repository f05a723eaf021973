#include "tenant/cost_model.h"

#include <algorithm>

namespace insula {
namespace {

constexpr uint64_t kMost = uint64_t{1} << 40;  // requests or bytes; more is counted as this

MilliRu Times(MilliRu each, uint64_t count) { return each * static_cast<MilliRu>(std::min(count, kMost)); }
// A started 1/1024 counts.
MilliRu Bytes(MilliRu per_kib, uint64_t bytes) { return (Times(per_kib, bytes) + 1023) / 1024; }

}  // namespace

MilliRu CostOfReadBytes(const CostModel& model, uint64_t bytes) { return Bytes(model.read_kib, bytes); }

MilliRu CostOf(const CostModel& model, const KvWork& work) {
  const bool writes = work.write_requests > 0 || work.write_bytes > 0;
  const bool reads = work.read_requests > 0 || work.read_bytes > 0 || !writes;
  MilliRu cost = 0;
  if (reads) cost += model.read_batch + Times(model.read_request, work.read_requests) + CostOfReadBytes(model, work.read_bytes);
  if (writes) cost += model.replicas * (model.write_batch + Times(model.write_request, work.write_requests) + Bytes(model.write_kib, work.write_bytes));
  return cost;
}

}  // namespace insula
