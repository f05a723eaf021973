#include "kv/server/authorization.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

class Wall {
 public:
  explicit Wall(const TenantScope& scope) : start_(KeyspacePrefix(scope.keyspace)), end_(PrefixEnd(start_)) {}

  absl::Status Key(std::string_view key) const {
    if (key >= start_ && key < end_) return absl::OkStatus();
    return absl::PermissionDeniedError(StrCat("key ", keys::Pretty(key), " is not the tenant's"));
  }
  // [key, end); an empty end is the single key.
  absl::Status Span(std::string_view key, std::string_view end) const {
    RETURN_IF_ERROR(Key(key));
    if (end.empty() || (end > start_ && end <= end_)) return absl::OkStatus();
    return absl::PermissionDeniedError(StrCat("span up to ", keys::Pretty(end), " reaches past the tenant's keyspace"));
  }
  // [key, end) where an empty end is not a single key but everything.
  absl::Status Range(std::string_view key, std::string_view end) const {
    if (end.empty()) return absl::PermissionDeniedError("the span has no end");
    return Span(key, end);
  }
  absl::Status Spans(const google::protobuf::RepeatedPtrField<v1::Span>& spans) const {
    for (auto& span : spans) RETURN_IF_ERROR(Span(span.key(), span.end_key()));
    return absl::OkStatus();
  }
  absl::Status Writes(const google::protobuf::RepeatedPtrField<v1::SequencedWrite>& writes) const {
    for (auto& write : writes) RETURN_IF_ERROR(Key(write.key()));
    return absl::OkStatus();
  }
  // A transaction that is spoken of: its anchor, if it has one, is the tenant's.
  absl::Status Txn(const v1::TxnMeta& txn) const { return txn.anchor_key().empty() ? absl::OkStatus() : Key(txn.anchor_key()); }
  bool Holds(const v1::RangeDescriptor& range) const { return range.start_key() >= start_ && !range.end_key().empty() && range.end_key() <= end_; }

 private:
  std::string start_, end_;
};

// The table: each request type that a tenant may use, with the check of all keys it names. Not in the table: denied.
absl::Status CheckRequest(const Wall& wall, const v1::Request& request) {
  using R = v1::Request;
  switch (request.value_case()) {
    case R::kGet:
      return wall.Key(request.get().key());
    case R::kScan:
      return wall.Range(request.scan().key(), request.scan().end_key());
    case R::kPut:
      return wall.Key(request.put().key());
    case R::kDelete:
      return wall.Key(request.delete_().key());
    case R::kConditionalPut:
      return wall.Key(request.conditional_put().key());
    case R::kIncrement:
      return wall.Key(request.increment().key());
    case R::kDeleteRange:
      return wall.Range(request.delete_range().key(), request.delete_range().end_key());
    case R::kClearRange:
      return wall.Range(request.clear_range().key(), request.clear_range().end_key());
    case R::kInsertRows:
      RETURN_IF_ERROR(wall.Range(request.insert_rows().key(), request.insert_rows().end_key()));
      // The rows are what is written: none may lie elsewhere.
      if (!request.insert_rows().rows().empty() && !ValidateRows(request.insert_rows()).ok()) return absl::PermissionDeniedError("rows to insert are not what their span says");
      return absl::OkStatus();
    case R::kEndTxn:
      if (!request.end_txn().key().empty()) RETURN_IF_ERROR(wall.Key(request.end_txn().key()));
      RETURN_IF_ERROR(wall.Spans(request.end_txn().lock_spans()));
      return wall.Writes(request.end_txn().in_flight());
    case R::kRefresh:
      return wall.Span(request.refresh().key(), request.refresh().end_key());
    case R::kPushTxn:
      RETURN_IF_ERROR(wall.Key(request.push_txn().key()));
      RETURN_IF_ERROR(wall.Txn(request.push_txn().pushee()));
      return wall.Txn(request.push_txn().pusher());
    case R::kQueryTxn:
      return wall.Key(request.query_txn().key());
    case R::kQueryOutcome:
      return wall.Key(request.query_outcome().key());
    case R::kQueryLocks:
      return wall.Range(request.query_locks().key(), request.query_locks().end_key());
    case R::kResolveIntent:
      RETURN_IF_ERROR(wall.Span(request.resolve_intent().key(), request.resolve_intent().end_key()));
      return wall.Txn(request.resolve_intent().txn());
    case R::kHeartbeatTxn:
      return wall.Key(request.heartbeat_txn().key());
    case R::kRecoverTxn:
      return wall.Key(request.recover_txn().key());
    case R::kQueryIntent:
      RETURN_IF_ERROR(wall.Key(request.query_intent().key()));
      return wall.Txn(request.query_intent().txn());
    case R::kLock:
      return wall.Key(request.lock().key());
    case R::kCheck:
      return wall.Key(request.check().key());
    case R::kRangeStats:
      return wall.Key(request.range_stats().key());
    case R::kLeaseInfo:
      return wall.Key(request.lease_info().key());
    case R::kRangeLookup:
      return wall.Key(request.range_lookup().key());
    default:
      return absl::PermissionDeniedError(StrCat("request type ", static_cast<int>(request.value_case()), " is not for tenants"));
  }
}

void KeepOwn(const Wall& wall, google::protobuf::RepeatedPtrField<v1::RangeDescriptor>* ranges) {
  ranges->erase(std::remove_if(ranges->begin(), ranges->end(), [&](auto& range) { return !wall.Holds(range); }), ranges->end());
}

}  // namespace

absl::Status AuthorizeTenantBatch(const TenantScope& scope, const v1::BatchRequest& batch) {
  Wall wall(scope);
  const v1::BatchHeader& header = batch.header();
  if (header.tenant_id() != 0 && header.tenant_id() != scope.tenant) return absl::PermissionDeniedError("the batch is in another tenant's name");
  RETURN_IF_ERROR(wall.Spans(header.refresh_spans()));
  if (header.has_txn()) {
    RETURN_IF_ERROR(wall.Txn(header.txn().meta()));
    RETURN_IF_ERROR(wall.Spans(header.txn().lock_spans()));
    RETURN_IF_ERROR(wall.Writes(header.txn().in_flight()));
  }
  for (auto& request : batch.requests()) RETURN_IF_ERROR(CheckRequest(wall, request));
  return absl::OkStatus();
}

absl::Status PermissionDeniedError() {
  v1::Error error;
  error.set_message("permission denied: the batch reaches outside the tenant");
  error.set_request_index(-1);
  error.mutable_unauthorized();
  return FromKvError(error);
}

void FilterForTenant(const TenantScope& scope, v1::BatchResponse* response) {
  Wall wall(scope);
  KeepOwn(wall, response->mutable_updated_ranges());
  if (response->error().has_range_mismatch()) KeepOwn(wall, response->mutable_error()->mutable_range_mismatch()->mutable_current());
  for (auto& one : *response->mutable_responses()) {
    if (one.has_range_lookup()) KeepOwn(wall, one.mutable_range_lookup()->mutable_ranges());
  }
}

}  // namespace insula::kv
