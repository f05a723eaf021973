// Requests about whole spans, outside transactions: rows into free keys, and clearing.
#include "kv/api/error.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/evaluator.h"

namespace insula::kv {
namespace {

constexpr uint64_t kClearVersionsPerStep = 20'000;

}  // namespace

EvalResult Evaluator::ClearRange(const v1::ClearRangeRequest& request, v1::ClearRangeResponse* out) {
  mvcc::ClearResult result;
  mvcc::Outcome outcome = mvcc::ClearSpan(rw_, request.key(), request.end_key(), kClearVersionsPerStep, &stats_, &result);
  if (!outcome.ok()) return FromOutcome(outcome);
  out->set_versions(result.versions);
  if (result.resume) {
    out->mutable_resume()->set_key(*result.resume);
    out->mutable_resume()->set_end_key(request.end_key());
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::InsertRows(const v1::InsertRowsRequest& request) {
  mvcc::WriteParams params = WriteParamsFor(0, /*conditional=*/true);
  return FromWrite(mvcc::InsertRows(rw_, request.key(), request.end_key(), request.rows(), params), params);
}

}  // namespace insula::kv
