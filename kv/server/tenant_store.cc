#include "kv/server/tenant_store.h"

#include <charconv>
#include <functional>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/server/in_transaction.h"
#include "tenant/plan.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;
using keys::SystemTable;

namespace {

constexpr int64_t kDefaultIdleMs = 10000;
constexpr size_t kMaxRequestId = 200;
constexpr int kPlanTries = 10;

std::string NamePrefix(std::string_view name) {
  std::string key = keys::SystemKey(SystemTable::kTenantName);
  AppendBytes(&key, name);
  return key;
}

std::string NameKey(std::string_view name, TenantId id) {
  std::string key = NamePrefix(name);
  AppendUint64(&key, id);
  return key;
}

std::string RequestKey(const std::string& request_id) { return keys::SystemKey(SystemTable::kSetting, StrCat("create/", request_id)); }

absl::Status NotFound(std::string_view cluster) {
  return absl::NotFoundError(StrCat("there is no tenant \"", cluster, "\"; `insula tenant list` shows them all"));
}

absl::StatusOr<TenantRecord> Decode(const std::string& value) {
  TenantRecord record;
  if (!record.ParseFromString(value)) return absl::DataLossError("a tenant's record does not parse");
  return record;
}

std::optional<TenantId> AsId(std::string_view text) {
  TenantId id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

absl::Status CheckCreate(const pb::CreateTenantRequest& request) {
  if (!IsValidTenantName(request.name())) {
    return absl::InvalidArgumentError(StrCat("\"", request.name(), "\" is not a tenant name: it starts with a letter, holds a-z, 0-9 and '-', ends with a letter or digit, and has at most 63 characters"));
  }
  if (request.user().size() > 63 || request.user().rfind("pg_", 0) == 0) return absl::InvalidArgumentError(StrCat("\"", request.user(), "\" cannot be a user name"));
  if (request.scram_verifier().rfind("SCRAM-SHA-256$", 0) != 0 || request.scram_verifier().size() > 1000) {
    return absl::InvalidArgumentError("the user's verifier is not a SCRAM-SHA-256 verifier");
  }
  if (request.request_id().size() > kMaxRequestId) return absl::InvalidArgumentError("the request id is too long");
  if (request.gc_ttl_seconds() < 0) return absl::InvalidArgumentError("the time for which old versions are kept must not be negative");
  if (request.idle_timeout_ms() < 0) return absl::InvalidArgumentError("the idle time must not be negative");
  return absl::OkStatus();
}

int64_t NowMicros(const Clock& clock) { return clock.Wall().time_since_epoch().count(); }

// What garbage collection goes by (kv/store/gc_policy.h).
void PutGcTtl(Txn& txn, const TenantRecord& record) {
  std::string key = keys::GcTtlSetting(record.keyspace_id());
  if (record.gc_ttl_seconds() > 0) {
    txn.Put(std::move(key), StrCat(record.gc_ttl_seconds()));
  } else {
    txn.Delete(std::move(key));
  }
}

}  // namespace

Task<absl::StatusOr<TenantRecord>> TenantStore::Create(const Context& ctx, pb::CreateTenantRequest request) {
  CO_RETURN_IF_ERROR(CheckCreate(request));
  std::string request_key = RequestKey(request.request_id());
  // Ids are taken before: gaps happen, repeats do not.
  CO_ASSIGN_OR_RETURN(int64_t id, co_await database_->Increment(ctx, keys::TenantCounter(), 1));
  CO_ASSIGN_OR_RETURN(int64_t keyspace, co_await database_->Increment(ctx, keys::KeyspaceCounter(), 1));
  TenantRecord record;
  record.set_version(1);
  record.set_id(static_cast<uint64_t>(id) + kFirstTenant - 1);
  record.set_name(request.name());
  record.set_state(pb::SUSPENDED);
  record.set_keyspace_id(static_cast<uint64_t>(keyspace) + keys::kFirstKeyspace - 1);
  record.set_user(request.user().empty() ? "app" : request.user());
  record.set_scram_verifier(request.scram_verifier());
  record.set_idle_timeout_ms(request.idle_timeout_ms() == 0 ? kDefaultIdleMs : request.idle_timeout_ms());
  record.set_gc_ttl_seconds(request.gc_ttl_seconds());
  record.set_created_us(NowMicros(*clock_));
  record.set_changed_us(record.created_us());
  record.set_revision(1);
  bool named_request = !request.request_id().empty();
  co_return co_await InTransaction<TenantRecord>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<TenantRecord>> {
    CO_RETURN_IF_ERROR(co_await term_->Check(ctx, txn));
    if (named_request) {
      CO_ASSIGN_OR_RETURN(auto earlier, co_await txn.Get(ctx, request_key));
      if (earlier) {
        auto earlier_id = AsId(*earlier);
        if (!earlier_id) co_return absl::DataLossError("a create's record does not parse");
        CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, keys::SystemKey(SystemTable::kTenant, *earlier_id)));
        if (!value) co_return absl::FailedPreconditionError("the tenant of this request was dropped since");
        co_return Decode(*value);
      }
      txn.Put(request_key, StrCat(record.id()));
    }
    txn.Put(keys::SystemKey(SystemTable::kTenant, record.id()), record.SerializeAsString());
    txn.Put(NameKey(record.name(), record.id()), "");
    if (record.gc_ttl_seconds() > 0) PutGcTtl(txn, record);
    co_return record;
  });
}

Task<absl::StatusOr<TenantRecord>> TenantStore::GetById(const Context& ctx, TenantId id) { return Get(ctx, StrCat(id)); }

Task<absl::StatusOr<TenantRecord>> TenantStore::FindByName(const Context& ctx, Txn& txn, const std::string& name) {
  std::string prefix = NamePrefix(name);
  ScanSpec spec;
  spec.start = prefix;
  spec.end = PrefixEnd(prefix);
  spec.max_rows = 2;
  CO_ASSIGN_OR_RETURN(ScanPage page, co_await txn.Scan(ctx, spec));
  if (page.rows().empty()) co_return NotFound(name);
  if (page.rows().size() > 1) co_return absl::FailedPreconditionError(StrCat("several tenants are named \"", name, "\"; say NAME-ID (`insula tenant list` shows them)"));
  std::string_view rest = page.rows()[0].key.substr(prefix.size());
  CO_ASSIGN_OR_RETURN(uint64_t id, TakeUint64(&rest));
  CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, keys::SystemKey(SystemTable::kTenant, id)));
  if (!value) co_return NotFound(name);
  co_return Decode(*value);
}

Task<absl::StatusOr<TenantRecord>> TenantStore::Get(const Context& ctx, std::string cluster) {
  co_return co_await InTransaction<TenantRecord>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<TenantRecord>> {
    auto parsed = ParseClusterName(cluster);
    std::optional<TenantId> id = parsed.ok() ? std::optional(parsed->id) : AsId(cluster);
    if (id) {
      CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, keys::SystemKey(SystemTable::kTenant, *id)));
      if (value) {
        CO_ASSIGN_OR_RETURN(TenantRecord record, Decode(*value));
        if (!parsed.ok() || record.name() == parsed->name) co_return record;
      }
    }
    if (!IsValidTenantName(cluster)) co_return NotFound(cluster);
    co_return co_await FindByName(ctx, txn, cluster);
  });
}

Task<absl::StatusOr<std::vector<TenantRecord>>> TenantStore::List(const Context& ctx) {
  co_return co_await InTransaction<std::vector<TenantRecord>>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<std::vector<TenantRecord>>> {
    std::vector<TenantRecord> records;
    std::string prefix = keys::SystemKey(SystemTable::kTenant);
    std::optional<ScanSpec> spec = ScanSpec();
    spec->start = prefix;
    spec->end = PrefixEnd(prefix);
    while (spec) {
      CO_ASSIGN_OR_RETURN(ScanPage page, co_await txn.Scan(ctx, *spec));
      for (auto& row : page.rows()) {
        CO_ASSIGN_OR_RETURN(TenantRecord record, Decode(std::string(row.value)));
        records.push_back(std::move(record));
      }
      spec = page.rest();
    }
    co_return records;
  });
}

Task<absl::StatusOr<TenantRecord>> TenantStore::Update(const Context& ctx, TenantRecord record, uint64_t expected) {
  std::string key = keys::SystemKey(SystemTable::kTenant, record.id());
  co_return co_await InTransaction<TenantRecord>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<TenantRecord>> {
    CO_RETURN_IF_ERROR(co_await term_->Check(ctx, txn));
    CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, key, {.lock = LockStrength::kExclusive}));
    if (!value) co_return NotFound(StrCat(record.id()));
    CO_ASSIGN_OR_RETURN(TenantRecord present, Decode(*value));
    if (present.revision() != expected) {
      co_return absl::AbortedError(StrCat("tenant ", record.id(), " is at revision ", present.revision(), ", not ", expected));
    }
    if (record.name() != present.name() || record.keyspace_id() != present.keyspace_id()) co_return absl::InvalidArgumentError("a tenant's name and keyspace do not change");
    if (record.gc_ttl_seconds() < 0) co_return absl::InvalidArgumentError("the time for which old versions are kept must not be negative");
    if (record.has_plan()) CO_RETURN_IF_ERROR(CompletePlan(record.plan()).status());
    if (record.generation() < present.generation()) co_return absl::InvalidArgumentError("a tenant's generation never falls");
    if (present.state() == pb::DROPPING && record.state() != pb::DROPPING) co_return absl::FailedPreconditionError("the tenant is being dropped");
    TenantRecord next = record;
    next.set_revision(present.revision() + 1);
    next.set_changed_us(NowMicros(*clock_));
    txn.Put(key, next.SerializeAsString());
    if (next.gc_ttl_seconds() != present.gc_ttl_seconds()) PutGcTtl(txn, next);
    co_return next;
  });
}

Task<absl::StatusOr<TenantRecord>> TenantStore::SetPlan(const Context& ctx, pb::SetPlanRequest request) {
  pb::Plan plan;
  if (!IsNoPlan(request.plan())) {
    CO_ASSIGN_OR_RETURN(plan, CompletePlan(request.plan()));
  }
  absl::Status last;
  for (int i = 0; i < kPlanTries; ++i) {
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await Get(ctx, request.cluster()));
    if (IsNoPlan(plan)) {
      record.clear_plan();
    } else {
      *record.mutable_plan() = plan;
    }
    auto updated = co_await Update(ctx, record, record.revision());
    if (updated.status().code() != absl::StatusCode::kAborted) co_return updated;
    last = updated.status();  // somebody else changed the record meanwhile
  }
  co_return last;
}

Task<absl::Status> TenantStore::Purge(const Context& ctx, TenantId id) {
  auto found = co_await GetById(ctx, id);
  if (found.status().code() == absl::StatusCode::kNotFound) co_return absl::OkStatus();
  if (!found.ok()) co_return found.status();
  TenantRecord record = *found;
  if (record.state() != pb::DROPPING) co_return absl::FailedPreconditionError("only a tenant that is being dropped can be purged");
  std::string start = KeyspacePrefix(record.keyspace_id()), end = PrefixEnd(start);
  constexpr uint64_t kPage = 2000;
  while (true) {
    auto page_done = co_await InTransaction<bool>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<bool>> {
      ScanSpec spec;
      spec.start = start;
      spec.end = end;
      spec.max_rows = kPage;
      CO_ASSIGN_OR_RETURN(ScanPage page, co_await txn.Scan(ctx, spec));
      for (auto& row : page.rows()) txn.Delete(std::string(row.key));
      co_return !page.rest().has_value();
    });
    if (!page_done.ok()) co_return page_done.status();
    if (*page_done) break;
  }
  auto removed = co_await InTransaction<bool>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<bool>> {
    CO_RETURN_IF_ERROR(co_await term_->Check(ctx, txn));
    txn.Delete(keys::SystemKey(SystemTable::kTenant, id));
    txn.Delete(NameKey(record.name(), id));
    if (record.gc_ttl_seconds() > 0) txn.Delete(keys::GcTtlSetting(record.keyspace_id()));
    co_return true;
  });
  co_return removed.status();
}

}  // namespace insula::kv
