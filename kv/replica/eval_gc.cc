// Garbage: old versions that nobody may read any more.
#include <algorithm>

#include "kv/api/error.h"
#include "kv/replica/evaluator.h"
#include "kv/replica/gc_threshold.h"

namespace insula::kv {
namespace {
constexpr uint64_t kVersionsPerStep = 10'000;  // one entry of the log, and one turn of the loop
}

EvalResult Evaluator::Gc(const v1::GcRequest& request, v1::GcResponse* out) {
  const Timestamp asked{request.threshold()};
  if (asked.empty() || asked >= ts_.now) return EvalResult::Error(InvalidError("a GC threshold lies in the past"));
  const Timestamp threshold = std::max(asked, env_.gc_threshold);
  out->set_threshold(threshold.bits);
  effects_.gc_threshold = threshold;

  const std::string_view end = request.end_key().empty() ? std::string_view(range().end_key()) : std::string_view(request.end_key());
  const uint64_t limit = request.max_versions() == 0 ? kVersionsPerStep : std::min(request.max_versions(), kVersionsPerStep);
  mvcc::GarbageResult result;
  if (mvcc::Outcome o = mvcc::CollectGarbageIn(rw_, request.key(), end, threshold, limit, &stats_, &result); !o.ok()) return FromOutcome(o);
  if (threshold > env_.gc_threshold) rw_.Put(storage::ColumnFamily::kRange, GcThresholdKey(range().range_id()), EncodeGcThreshold(threshold));
  out->set_removed(result.removed);
  if (result.resume) {
    out->mutable_resume()->set_key(*result.resume);
    out->mutable_resume()->set_end_key(request.end_key());
  }
  return EvalResult::Ok();
}

}  // namespace insula::kv
