#include "kv/api/request.h"

#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/keys/keys.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

uint32_t LockFlag(v1::LockStrength lock) { return lock == v1::LOCK_NONE ? 0u : (kLocks | kNeedsTxn); }

absl::Status ValidateKey(std::string_view key) {
  if (key.empty()) return InvalidError("a key is empty");
  if (key.size() > kMaxKeyBytes) return InvalidError(StrCat("a key of ", key.size(), " bytes is longer than ", kMaxKeyBytes));
  return absl::OkStatus();
}

absl::Status ValidateValue(std::string_view value) {
  if (value.size() > kMaxValueBytes) return InvalidError(StrCat("a value of ", value.size(), " bytes is longer than ", kMaxValueBytes));
  return absl::OkStatus();
}

bool NeedsEndKey(const v1::Request& request) {
  return request.has_scan() || request.has_delete_range() || request.has_clear_range() || request.has_insert_rows();
}

// Whether it is neither part of a transaction nor sent with other requests.
bool StandsAlone(const v1::Request& request) { return request.has_clear_range() || request.has_insert_rows() || request.has_range_lookup(); }

absl::Status ValidateSpan(const v1::Request& request, const KeySpan& span) {
  if (absl::Status s = ValidateKey(span.key); !s.ok()) return s;
  if (NeedsEndKey(request) && span.end_key.empty()) return InvalidError("a span has no end");
  if (span.end_key.empty()) return absl::OkStatus();
  if (span.end_key.size() > kMaxKeyBytes) return InvalidError("a span's end is too long");
  if (span.end_key < span.key) return InvalidError("a span is inverted: its end is before its start");
  if (span.end_key == span.key) return InvalidError("a span is empty");
  return absl::OkStatus();
}

absl::Status ValidateValues(const v1::Request& request) {
  if (request.conditional_put().or_same() && (!request.conditional_put().has_value() || request.conditional_put().has_expected())) {
    return InvalidError("or_same goes with a value, and with none that is expected");
  }
  if (request.has_put()) return ValidateValue(request.put().value());
  if (request.has_conditional_put()) return ValidateValue(request.conditional_put().value());
  if (request.has_insert_rows()) return ValidateRows(request.insert_rows());
  return absl::OkStatus();
}

// Any key may be looked up, the empty one, too.
absl::Status ValidateLookup(const v1::RangeLookupRequest& lookup) {
  const std::string& from = lookup.from();
  if (from.empty() || (from >= keys::LookupStart(lookup.key()) && from < keys::LookupEnd(lookup.key()))) return absl::OkStatus();
  return InvalidError("a lookup goes on where the address of its key cannot be");
}

absl::Status ValidateTxn(const v1::Transaction& txn) {
  if (txn.meta().id().size() != 16) return InvalidError("a transaction's id is not 16 bytes long");
  if (txn.meta().anchor_key().size() > kMaxKeyBytes) return InvalidError("a transaction's anchor is too long");
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateRows(const v1::InsertRowsRequest& request) {
  std::string_view rest(request.rows()), last;
  if (rest.empty()) return InvalidError("no rows to insert");
  while (!rest.empty()) {
    std::string_view key, value;
    if (!storage::TakeString(&rest, &key) || !storage::TakeString(&rest, &value)) return InvalidError("rows to insert do not parse");
    if (absl::Status s = ValidateKey(key); !s.ok()) return s;
    if (absl::Status s = ValidateValue(value); !s.ok()) return s;
    if (key < request.key() || key >= request.end_key()) return InvalidError("a row to insert lies outside its request's span");
    if (!last.empty() && key <= last) return InvalidError("rows to insert are not in the order of their keys");
    last = key;
  }
  return absl::OkStatus();
}

v1::BatchRequest NewBatch() {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  return batch;
}

v1::BatchRequest SplitBatch(std::string key) {
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_admin_split()->set_split_key(std::move(key));
  return batch;
}

v1::BatchRequest MergeBatch(std::string key) {
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_admin_merge()->set_key(std::move(key));
  return batch;
}

std::string_view NameOf(const v1::Request& request) {
  const auto* field = v1::Request::descriptor()->FindFieldByNumber(request.value_case());
  return field == nullptr ? std::string_view("nothing") : std::string_view(field->name());
}

uint32_t FlagsOf(const v1::Request& request) {
  switch (request.value_case()) {
    case v1::Request::kGet:
      return kReads | LockFlag(request.get().lock());
    case v1::Request::kScan:
      return kReads | kMayBeSplit | LockFlag(request.scan().lock());
    case v1::Request::kPut:
    case v1::Request::kDelete:
      return kWrites;
    case v1::Request::kConditionalPut:
    case v1::Request::kIncrement:
      return kReads | kWrites;
    case v1::Request::kDeleteRange:
    case v1::Request::kInsertRows:
      return kReads | kWrites | kMayBeSplit;
    case v1::Request::kClearRange:
      return kWrites | kMayBeSplit;
    case v1::Request::kEndTxn:
      return kWrites | kTxnState | kNeedsTxn;
    case v1::Request::kRefresh:
      return kReads | kNeedsTxn | kMayBeSplit;
    case v1::Request::kCheck:
      return kReads;
    case v1::Request::kLock:
      return kLocks | kNeedsTxn | (request.lock().replicated() ? kWrites : 0u);
    case v1::Request::kPushTxn:
    case v1::Request::kRecoverTxn:
      return kWrites | kTxnState | kInternal;
    case v1::Request::kHeartbeatTxn:
      return kWrites | kTxnState | kNeedsTxn;
    case v1::Request::kQueryOutcome:
      return kWrites | kTxnState;
    case v1::Request::kQueryTxn:
      return kTxnState | kInternal;
    case v1::Request::kQueryIntent:
      return kInternal;
    case v1::Request::kQueryLocks:
      return kMayBeSplit;
    case v1::Request::kResolveIntent:
      return kWrites | kMayBeSplit;
    case v1::Request::kGc:
      return kWrites | kInternal;
    case v1::Request::kAdminSplit:
    case v1::Request::kAdminMerge:
    case v1::Request::kAdminChangeReplicas:
    case v1::Request::kAdminTransferLease:
    case v1::Request::kSubsume:
    case v1::Request::kCheckConsistency:
      return kAdmin | kInternal;
    case v1::Request::kRangeStats:
    case v1::Request::kLeaseInfo:
    case v1::Request::kRangeLookup:
    case v1::Request::VALUE_NOT_SET:
      return 0;
  }
  return 0;
}

KeySpan SpanOf(const v1::Request& request, const v1::BatchHeader& header) {
  switch (request.value_case()) {
    case v1::Request::kGet:
      return {request.get().key(), {}};
    case v1::Request::kScan:
      return {request.scan().key(), request.scan().end_key()};
    case v1::Request::kPut:
      return {request.put().key(), {}};
    case v1::Request::kDelete:
      return {request.delete_().key(), {}};
    case v1::Request::kConditionalPut:
      return {request.conditional_put().key(), {}};
    case v1::Request::kIncrement:
      return {request.increment().key(), {}};
    case v1::Request::kDeleteRange:
      return {request.delete_range().key(), request.delete_range().end_key()};
    case v1::Request::kClearRange:
      return {request.clear_range().key(), request.clear_range().end_key()};
    case v1::Request::kInsertRows:
      return {request.insert_rows().key(), request.insert_rows().end_key()};
    case v1::Request::kEndTxn:
      return {request.end_txn().key().empty() ? header.txn().meta().anchor_key() : request.end_txn().key(), {}};
    case v1::Request::kRefresh:
      return {request.refresh().key(), request.refresh().end_key()};
    case v1::Request::kCheck:
      return {request.check().key(), {}};
    case v1::Request::kLock:
      return {request.lock().key(), {}};
    case v1::Request::kPushTxn:
      return {request.push_txn().key(), {}};
    case v1::Request::kRecoverTxn:
      return {request.recover_txn().key(), {}};
    case v1::Request::kHeartbeatTxn:
      return {request.heartbeat_txn().key(), {}};
    case v1::Request::kQueryOutcome:
      return {request.query_outcome().key(), {}};
    case v1::Request::kQueryTxn:
      return {request.query_txn().key(), {}};
    case v1::Request::kQueryIntent:
      return {request.query_intent().key(), {}};
    case v1::Request::kQueryLocks:
      return {request.query_locks().key(), request.query_locks().end_key()};
    case v1::Request::kResolveIntent:
      return {request.resolve_intent().key(), request.resolve_intent().end_key()};
    case v1::Request::kGc:
      return {request.gc().key(), request.gc().end_key()};
    case v1::Request::kAdminSplit:
      return {request.admin_split().split_key(), {}};
    case v1::Request::kAdminMerge:
      return {request.admin_merge().key(), {}};
    case v1::Request::kAdminChangeReplicas:
      return {request.admin_change_replicas().key(), {}};
    case v1::Request::kAdminTransferLease:
      return {request.admin_transfer_lease().key(), {}};
    case v1::Request::kSubsume:
      return {request.subsume().key(), {}};
    case v1::Request::kCheckConsistency:
      return {request.check_consistency().key(), {}};
    case v1::Request::kRangeStats:
      return {request.range_stats().key(), {}};
    case v1::Request::kLeaseInfo:
      return {request.lease_info().key(), {}};
    case v1::Request::kRangeLookup:
      return {request.range_lookup().key(), {}};
    case v1::Request::VALUE_NOT_SET:
      return {};
  }
  return {};
}

std::string RoutingKey(const v1::Request& request, const v1::BatchHeader& header) {
  if (!request.has_range_lookup()) return std::string(SpanOf(request, header).key);
  const v1::RangeLookupRequest& lookup = request.range_lookup();
  return lookup.from().empty() ? keys::LookupStart(lookup.key()) : lookup.from();
}

void PutNewestFirst(std::string_view key, google::protobuf::RepeatedPtrField<v1::RangeDescriptor>* ranges) {
  for (int i = 1; i < ranges->size(); ++i) {
    if (ranges->Get(i).start_key() <= key && ranges->Get(i).generation() > ranges->Get(0).generation()) ranges->SwapElements(0, i);
  }
}

absl::Status Validate(const v1::BatchRequest& batch) {
  const v1::BatchHeader& header = batch.header();
  if (header.version() != kBatchVersion) {
    return InvalidError(StrCat("batch version ", header.version(), " is not known here; this is version ", kBatchVersion));
  }
  if (batch.requests_size() == 0) return InvalidError("a batch has no requests");
  if (static_cast<size_t>(batch.requests_size()) > kMaxRequestsPerBatch) return InvalidError("a batch has too many requests");
  if (header.has_txn()) {
    if (absl::Status s = ValidateTxn(header.txn()); !s.ok()) return s;
  }
  for (int i = 0; i < batch.requests_size(); ++i) {
    const v1::Request& request = batch.requests(i);
    if (request.value_case() == v1::Request::VALUE_NOT_SET) return WithRequestIndex(InvalidError("a request of no known kind"), i);
    if ((FlagsOf(request) & kNeedsTxn) && !header.has_txn()) {
      return WithRequestIndex(InvalidError(StrCat(NameOf(request), " without a transaction")), i);
    }
    if (StandsAlone(request) && (header.has_txn() || batch.requests_size() > 1)) {
      return WithRequestIndex(InvalidError(StrCat(NameOf(request), " in a transaction or with other requests")), i);
    }
    if (request.has_end_txn() && i + 1 != batch.requests_size()) return WithRequestIndex(InvalidError("end_txn is not the last request"), i);
    absl::Status status = request.has_range_lookup() ? ValidateLookup(request.range_lookup()) : ValidateSpan(request, SpanOf(request, header));
    if (status.ok()) status = ValidateValues(request);
    if (!status.ok()) return WithRequestIndex(status, i);
  }
  return absl::OkStatus();
}

}  // namespace insula::kv
