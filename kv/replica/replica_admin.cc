// Requests about the range itself and not about its keys: each comes alone in its batch.
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {
constexpr Duration kVersionRetry = std::chrono::milliseconds(200);
}

Task<absl::Status> Replica::RunAdmin(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  const v1::Request& request = batch.requests(0);
  if (batch.requests_size() != 1) co_return InvalidError(StrCat(NameOf(request), " does not go with other requests"));
  if (batch.header().has_txn()) co_return InvalidError(StrCat(NameOf(request), " does not go into a transaction"));
  if (VersionNeededBy(request) > deps_.cluster_version()) {
    co_return UnavailableKvError(StrCat(NameOf(request), " is not served before all nodes support it: the cluster is at version ", deps_.cluster_version()), kVersionRetry);
  }
  switch (request.value_case()) {
    case v1::Request::kAdminSplit:
      CO_RETURN_IF_ERROR(CheckServing());
      co_return co_await AdminSplit(ctx, batch, response);
    case v1::Request::kCheckConsistency:
      co_return co_await CheckConsistency(ctx, batch, response);
    case v1::Request::kAdminMerge:
      co_return co_await AdminMerge(ctx, batch, response);
    case v1::Request::kSubsume:
      co_return co_await Subsume(ctx, batch, response);
    case v1::Request::kAdminChangeReplicas:
      co_return co_await AdminChangeReplicas(ctx, batch, response);
    case v1::Request::kAdminTransferLease:
      co_return co_await AdminTransferLease(ctx, batch, response);
    default:
      co_return InvalidError(StrCat(NameOf(request), " is not served by this version"));
  }
}

}  // namespace insula::kv
