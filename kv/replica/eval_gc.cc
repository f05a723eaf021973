// Garbage: old versions that nobody may read any more.
#include <algorithm>

#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/replica/evaluator.h"
#include "kv/replica/gc_threshold.h"

namespace insula::kv {
namespace {
constexpr uint64_t kVersionsPerStep = 10'000;  // one entry of the log, and one turn of the loop
}

// Whoever protected a timestamp at `policy_at` is told what is gone already; nothing more goes that does not mind it.
EvalResult Evaluator::HoldGc(const v1::GcRequest& request, v1::GcResponse* out) {
  // Later leases begin above it, so they need not be told.
  if (absl::Status s = env_.group->clock().Update(Timestamp{request.policy_at()}); !s.ok()) return EvalResult::Error(InvalidError(Sv(s.message())));
  effects_.gc_policy_floor = Timestamp{request.policy_at()};
  out->set_threshold(env_.gc_threshold.bits);
  if (!range().end_key().empty()) out->mutable_resume()->set_key(range().end_key());
  return EvalResult::Ok();
}

EvalResult Evaluator::Gc(const v1::GcRequest& request, v1::GcResponse* out) {
  if (request.hold()) return HoldGc(request, out);
  const Timestamp asked{request.threshold()};
  if (asked.empty() || asked >= ts_.now) return EvalResult::Error(InvalidError("a GC threshold lies in the past"));
  if (Timestamp{request.policy_at()} < env_.gc_policy_floor) {
    return EvalResult::Error(InvalidError("the protected timestamps may have changed since they were read"));
  }
  const Timestamp threshold = std::max(asked, env_.gc_threshold);
  effects_.tidy = request.tidy();

  const std::string_view end = request.end_key().empty() ? std::string_view(range().end_key()) : std::string_view(request.end_key());
  const uint64_t limit = request.max_versions() == 0 ? kVersionsPerStep : std::min(request.max_versions(), kVersionsPerStep);
  mvcc::GarbageResult result;
  if (mvcc::Outcome o = mvcc::CollectGarbage(rw_, {request.key(), Timestamp{request.below()}}, end, threshold, limit, &stats_, &result); !o.ok()) return FromOutcome(o);
  if (result.removed > 0 && threshold > env_.gc_threshold) {
    effects_.gc_threshold = threshold;
    rw_.Put(storage::ColumnFamily::kRange, GcThresholdKey(range().range_id()), EncodeGcThreshold(threshold));
  }
  out->set_removed(result.removed);
  out->set_threshold(std::max(env_.gc_threshold, effects_.gc_threshold).bits);
  if (result.resume) {
    out->mutable_resume()->set_key(result.resume->key);
    out->mutable_resume()->set_end_key(request.end_key());
    out->set_resume_below(result.resume->below.bits);
  }
  return EvalResult::Ok();
}

}  // namespace insula::kv
