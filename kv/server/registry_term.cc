#include "kv/server/registry_term.h"

#include <optional>
#include <string>

#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "kv/keys/keys.h"
#include "kv/server/in_transaction.h"

namespace insula::kv {
namespace {

std::string Key() { return keys::SystemKey(keys::SystemTable::kSetting, "registry-term"); }
absl::Status NotLeading() { return absl::UnavailableError("this node does not lead the system range (any more); try again"); }

}  // namespace

Task<absl::Status> RegistryTerm::Check(const Context& ctx, Txn& txn) const {
  const uint64_t present = present_();
  if (present == 0) co_return NotLeading();
  CO_ASSIGN_OR_RETURN(std::optional<std::string> row, co_await txn.Get(ctx, Key()));
  if (row && row->size() != 8) co_return absl::DataLossError("the row about who leads the system range is damaged");
  const uint64_t term = row ? ReadFixed64(row->data()) : 0;
  if (term > present) co_return NotLeading();
  if (term == present) co_return absl::OkStatus();
  std::string next;
  AppendFixed64(&next, present);
  txn.Put(Key(), std::move(next));
  co_return absl::OkStatus();
}

Task<absl::Status> RegistryTerm::Establish(const Context& ctx) const {
  co_return (co_await InTransaction<bool>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<bool>> {
    CO_RETURN_IF_ERROR(co_await Check(ctx, txn));
    co_return true;
  })).status();
}

bool WasRefused(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted: return !IsPgError(status);
    default: return false;
  }
}

}  // namespace insula::kv
