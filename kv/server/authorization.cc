#include "kv/server/authorization.h"

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

constexpr size_t kTxnIdBytes = 16;

// Which part of the keyspace a key is in, for the log: never the key itself.
std::string PlaceOf(std::string_view key) {
  if (auto keyspace = KeyspaceOf(key)) return StrCat("keyspace ", *keyspace);
  if (keys::IsMetaKey(key)) return "the meta ranges";
  return key[0] == keys::kSystemTag ? "the system range" : "no key space";
}

class Wall {
 public:
  Wall(const TenantScope& scope, Timestamp latest, std::string* target)
      : start_(KeyspacePrefix(scope.keyspace)), end_(PrefixEnd(start_)), latest_(latest), target_(target) {}

  absl::Status Deny(std::string target) const {
    *target_ = std::move(target);
    return PermissionDeniedError(-1);
  }
  absl::Status Key(std::string_view key) const {
    if (key < start_ || key >= end_) return Deny(PlaceOf(key));
    if (key.size() > kMaxKeyBytes) return InvalidError(StrCat("a key of ", key.size(), " bytes is longer than ", kMaxKeyBytes));
    return absl::OkStatus();
  }
  // [key, end); an empty end is the single key.
  absl::Status Span(std::string_view key, std::string_view end) const {
    RETURN_IF_ERROR(Key(key));
    if (end.empty()) return absl::OkStatus();
    if (end <= start_ || end > end_) return Deny(PlaceOf(end));
    if (end.size() > kMaxKeyBytes) return InvalidError("a span's end is too long");
    return end > key ? absl::OkStatus() : InvalidError(end == key ? "a span is empty" : "a span is inverted: its end is before its start");
  }
  // [key, end) where an empty end is not a single key but everything.
  absl::Status Range(std::string_view key, std::string_view end) const {
    RETURN_IF_ERROR(Key(key));
    return end.empty() ? InvalidError("a span has no end") : Span(key, end);
  }
  absl::Status Spans(const google::protobuf::RepeatedPtrField<v1::Span>& spans) const {
    for (auto& span : spans) {
      RETURN_IF_ERROR(Known(span));
      RETURN_IF_ERROR(Span(span.key(), span.end_key()));
    }
    return absl::OkStatus();
  }
  absl::Status Writes(const google::protobuf::RepeatedPtrField<v1::SequencedWrite>& writes) const {
    for (auto& write : writes) {
      RETURN_IF_ERROR(Known(write));
      RETURN_IF_ERROR(Lock(write.lock()));
      RETURN_IF_ERROR(Key(write.key()));
    }
    return absl::OkStatus();
  }
  absl::Status Time(uint64_t bits) const {
    return Timestamp{bits} <= latest_ ? absl::OkStatus() : InvalidError("a timestamp is further in the future than clocks may differ");
  }
  absl::Status Lock(v1::LockStrength lock) const { return v1::LockStrength_IsValid(lock) ? absl::OkStatus() : InvalidError("a lock strength is not known here"); }
  absl::Status Id(const std::string& id) const { return id.size() == kTxnIdBytes ? absl::OkStatus() : InvalidError("a transaction's id is not 16 bytes long"); }
  // Fields that a newer version has: what they mean, and whether they name keys, is not known here.
  absl::Status Known(const google::protobuf::Message& message) const {
    return message.GetReflection()->GetUnknownFields(message).empty() ? absl::OkStatus() : InvalidError("the batch has fields that this node does not know");
  }
  // A transaction that is spoken of: its anchor, if it has one, is the tenant's.
  absl::Status Txn(const v1::TxnMeta& txn) const {
    RETURN_IF_ERROR(Known(txn));
    if (!v1::Isolation_IsValid(txn.isolation())) return InvalidError("an isolation level is not known here");
    RETURN_IF_ERROR(Time(txn.write_ts()));
    RETURN_IF_ERROR(Time(txn.min_ts()));
    return txn.anchor_key().empty() ? absl::OkStatus() : Key(txn.anchor_key());
  }
  bool Owns(std::string_view key) const { return key >= start_ && key < end_; }
  bool Holds(const v1::RangeDescriptor& range) const { return range.start_key() >= start_ && !range.end_key().empty() && range.end_key() <= end_; }

 private:
  const std::string start_, end_;
  const Timestamp latest_;
  std::string* target_;
};

absl::Status CheckHeader(const Wall& wall, const TenantScope& scope, const v1::BatchHeader& header) {
  if (header.version() != kBatchVersion) return InvalidError(StrCat("batch version ", header.version(), " is not known here; this is version ", kBatchVersion));
  if (header.tenant_id() != 0 && header.tenant_id() != scope.tenant) return wall.Deny(StrCat("tenant ", header.tenant_id(), "'s name"));
  RETURN_IF_ERROR(wall.Known(header));
  if (!v1::WaitPolicy_IsValid(header.wait_policy())) return InvalidError("a wait policy is not known here");
  for (int64_t wait : {header.timeout_us(), header.lock_timeout_us()}) {
    if (wait < 0 || wait > kMaxWaitMicros) return InvalidError("a time to wait is out of bounds");
  }
  RETURN_IF_ERROR(wall.Time(header.timestamp()));
  RETURN_IF_ERROR(wall.Time(header.refresh_from()));
  RETURN_IF_ERROR(wall.Spans(header.refresh_spans()));
  if (!header.has_txn()) return absl::OkStatus();
  const v1::Transaction& txn = header.txn();
  RETURN_IF_ERROR(wall.Known(txn));
  RETURN_IF_ERROR(wall.Id(txn.meta().id()));
  RETURN_IF_ERROR(wall.Txn(txn.meta()));
  if (!v1::TxnStatus_IsValid(txn.status())) return InvalidError("a transaction's status is not known here");
  for (uint64_t ts : {txn.read_ts(), txn.uncertainty_limit(), txn.observed_ts(), txn.last_heartbeat()}) RETURN_IF_ERROR(wall.Time(ts));
  for (auto& ignored : txn.ignored()) RETURN_IF_ERROR(wall.Known(ignored));
  RETURN_IF_ERROR(wall.Spans(txn.lock_spans()));
  return wall.Writes(txn.in_flight());
}

using R = v1::Request;

absl::Status CheckEndTxn(const Wall& wall, const v1::EndTxnRequest& end) {
  RETURN_IF_ERROR(wall.Known(end));
  if (!end.key().empty()) RETURN_IF_ERROR(wall.Key(end.key()));
  RETURN_IF_ERROR(wall.Spans(end.lock_spans()));
  return wall.Writes(end.in_flight());
}
absl::Status CheckQueryIntent(const Wall& wall, const v1::QueryIntentRequest& query) {
  RETURN_IF_ERROR(wall.Known(query));
  RETURN_IF_ERROR(wall.Lock(query.lock()));
  RETURN_IF_ERROR(wall.Key(query.key()));
  RETURN_IF_ERROR(wall.Id(query.txn().id()));
  return wall.Txn(query.txn());
}

// The key, the fields and one timestamp of a request on a single key.
template <typename Part>
absl::Status OnKey(const Wall& wall, const Part& part, uint64_t ts = 0) {
  RETURN_IF_ERROR(wall.Known(part));
  RETURN_IF_ERROR(wall.Time(ts));
  return wall.Key(part.key());
}
template <typename Part>
absl::Status OnRange(const Wall& wall, const Part& part) {
  RETURN_IF_ERROR(wall.Known(part));
  return wall.Range(part.key(), part.end_key());
}

// The rows are what is written: none may lie elsewhere than the span says.
absl::Status CheckInsertRows(const Wall& wall, const v1::InsertRowsRequest& insert) {
  RETURN_IF_ERROR(OnRange(wall, insert));
  if (!insert.rows().empty() && !ValidateRows(insert).ok()) return wall.Deny("rows outside the request's span");
  return absl::OkStatus();
}

// The table. Null: not for tenants.
struct Rule {
  R::ValueCase type;
  absl::Status (*check)(const Wall& wall, const R& request);
};
constexpr Rule kRules[] = {
    {R::VALUE_NOT_SET, [](const Wall&, const R&) { return InvalidError("a request is of no kind that this node knows"); }},
    {R::kGet,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(wall.Lock(r.get().lock()));
       return OnKey(wall, r.get());
     }},
    {R::kScan,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(wall.Lock(r.scan().lock()));
       return OnRange(wall, r.scan());
     }},
    {R::kPut, [](const Wall& wall, const R& r) { return OnKey(wall, r.put(), r.put().exclusive_since()); }},
    {R::kDelete, [](const Wall& wall, const R& r) { return OnKey(wall, r.delete_(), r.delete_().exclusive_since()); }},
    {R::kConditionalPut, [](const Wall& wall, const R& r) { return OnKey(wall, r.conditional_put()); }},
    {R::kIncrement, [](const Wall& wall, const R& r) { return OnKey(wall, r.increment()); }},
    {R::kDeleteRange, [](const Wall& wall, const R& r) { return OnRange(wall, r.delete_range()); }},
    {R::kEndTxn, [](const Wall& wall, const R& r) { return CheckEndTxn(wall, r.end_txn()); }},
    {R::kRefresh,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(OnKey(wall, r.refresh(), r.refresh().from()));
       return wall.Span(r.refresh().key(), r.refresh().end_key());
     }},
    {R::kPushTxn, nullptr},
    {R::kQueryTxn, nullptr},
    {R::kQueryOutcome,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(wall.Id(r.query_outcome().txn_id()));
       return OnKey(wall, r.query_outcome());
     }},
    {R::kQueryLocks, [](const Wall& wall, const R& r) { return OnRange(wall, r.query_locks()); }},
    {R::kResolveIntent, nullptr},
    {R::kHeartbeatTxn, [](const Wall& wall, const R& r) { return OnKey(wall, r.heartbeat_txn(), r.heartbeat_txn().now()); }},
    // A coordinator whose commit's answer was lost settles what became of it (kv/txn/recovery.h).
    {R::kRecoverTxn,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(wall.Id(r.recover_txn().txn_id()));
       return OnKey(wall, r.recover_txn(), r.recover_txn().staged_ts());
     }},
    {R::kQueryIntent, [](const Wall& wall, const R& r) { return CheckQueryIntent(wall, r.query_intent()); }},
    {R::kLock,
     [](const Wall& wall, const R& r) {
       RETURN_IF_ERROR(wall.Lock(r.lock().strength()));
       return OnKey(wall, r.lock(), r.lock().since());
     }},
    {R::kAdminSplit, nullptr},
    {R::kRangeStats, [](const Wall& wall, const R& r) { return OnKey(wall, r.range_stats()); }},
    {R::kLeaseInfo, [](const Wall& wall, const R& r) { return OnKey(wall, r.lease_info()); }},
    {R::kRangeLookup,
     [](const Wall& wall, const R& r) {
       if (!r.range_lookup().from().empty()) return wall.Deny(PlaceOf(r.range_lookup().from()));
       return OnKey(wall, r.range_lookup());
     }},
    {R::kCheck, [](const Wall& wall, const R& r) { return OnKey(wall, r.check()); }},
    {R::kAdminMerge, nullptr},
    {R::kAdminChangeReplicas, nullptr},
    {R::kAdminTransferLease, nullptr},
    {R::kSubsume, nullptr},
    {R::kClearRange, [](const Wall& wall, const R& r) { return OnRange(wall, r.clear_range()); }},
    {R::kInsertRows, [](const Wall& wall, const R& r) { return CheckInsertRows(wall, r.insert_rows()); }},
    {R::kCheckConsistency, nullptr},
};
constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kRules); ++i) {
    if (static_cast<size_t>(kRules[i].type) != i) return false;
  }
  return true;
}
static_assert(InOrder(), "a request type's row stands at its number");

// What a scan gives back is bounded by who asks; the rest by the evaluator (kv/api/request.h).
absl::Status CheckLimits(const v1::BatchHeader& header, const R& request) {
  if (!request.has_scan() || (header.max_bytes() != 0 && header.max_bytes() <= kMaxTenantScanBytes)) return absl::OkStatus();
  return InvalidError(StrCat("a batch that scans needs max_bytes of 1 to ", kMaxTenantScanBytes, " in its header"));
}

absl::Status CheckRequest(const Wall& wall, const R& request) {
  const size_t type = static_cast<size_t>(request.value_case());
  if (type >= std::size(kRules) || kRules[type].check == nullptr) return wall.Deny(StrCat("request ", NameOf(request)));
  RETURN_IF_ERROR(wall.Known(request));
  return kRules[type].check(wall, request);
}

void KeepOwn(const Wall& wall, google::protobuf::RepeatedPtrField<v1::RangeDescriptor>* ranges) {
  ranges->erase(std::remove_if(ranges->begin(), ranges->end(), [&](auto& range) { return !wall.Holds(range); }), ranges->end());
  for (auto& range : *ranges) {
    range.clear_base_keyspace();
    range.clear_base_timestamp();
  }
}

void FilterLookup(const Wall& wall, v1::RangeLookupResponse* lookup) {
  lookup->clear_go_on();
  KeepOwn(wall, lookup->mutable_ranges());
  std::set<uint64_t> own;
  for (auto& range : lookup->ranges()) {
    for (auto& replica : range.replicas()) own.insert(replica.node_id());
  }
  auto* nodes = lookup->mutable_nodes();
  nodes->erase(std::remove_if(nodes->begin(), nodes->end(), [&](auto& node) { return !own.contains(node.node_id()); }), nodes->end());
}

std::string FilterError(const Wall& wall, v1::Error* error) {
  if (error->has_range_mismatch()) KeepOwn(wall, error->mutable_range_mismatch()->mutable_current());
  if (error->has_txn_retry() && !wall.Owns(error->txn_retry().conflicting_key())) error->mutable_txn_retry()->clear_conflicting_key();
  if (error->has_lock_conflict() && !wall.Owns(error->lock_conflict().key())) error->mutable_lock_conflict()->clear_key();
  if (error->has_condition_failed() && !wall.Owns(error->condition_failed().key())) {
    error->mutable_condition_failed()->clear_key();
    error->mutable_condition_failed()->clear_actual();
  }
  // What goes wrong inside may speak of files and of other ranges.
  const bool internal = error->detail_case() == v1::Error::DETAIL_NOT_SET, full = error->has_full();
  if (!internal && !full) return "";
  std::string taken = std::exchange(*error->mutable_message(), full ? "the disk of the store is full" : "internal error of the storage layer");
  return taken;
}

}  // namespace

absl::Status AuthorizeTenantBatch(const TenantScope& scope, Timestamp latest, const v1::BatchRequest& batch, std::string* target) {
  CHECK(scope.tenant >= kFirstTenant && scope.keyspace >= keys::kFirstKeyspace) << "a scope of no tenant";
  Wall wall(scope, latest, target);
  RETURN_IF_ERROR(wall.Known(batch));
  RETURN_IF_ERROR(CheckHeader(wall, scope, batch.header()));
  for (int i = 0; i < batch.requests_size(); ++i) {
    absl::Status status = CheckRequest(wall, batch.requests(i));
    if (status.ok()) status = CheckLimits(batch.header(), batch.requests(i));
    if (!status.ok()) return WithRequestIndex(status, i);
  }
  return absl::OkStatus();
}

absl::Status PermissionDeniedError(int request_index) {
  v1::Error error;
  error.set_message("permission denied: the batch reaches outside the tenant");
  error.set_request_index(request_index);
  error.mutable_unauthorized();
  return FromKvError(error);
}

std::string FilterForTenant(const TenantScope& scope, v1::BatchResponse* response) {
  Wall wall(scope, Timestamp(), nullptr);
  KeepOwn(wall, response->mutable_updated_ranges());
  for (auto& one : *response->mutable_responses()) {
    if (one.has_range_lookup()) FilterLookup(wall, one.mutable_range_lookup());
  }
  return response->has_error() ? FilterError(wall, response->mutable_error()) : "";
}

}  // namespace insula::kv
