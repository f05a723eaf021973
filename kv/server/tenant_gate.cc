#include "kv/server/tenant_gate.h"

#include <iterator>
#include <set>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

namespace {
constexpr size_t kMaxRefusals = 10'000;

absl::Status StaleGeneration(const Identity& identity, uint64_t newest) {
  return absl::FailedPreconditionError(StrCat("generation ", identity.generation, " of tenant ", identity.tenant, " was replaced by ", newest));
}
}  // namespace

absl::Status ServesTenant(const TenantGate::Record& record) {
  if (record.state() == pb::DROPPING) return absl::PermissionDeniedError(StrCat("tenant ", record.id(), " is being dropped"));
  if (record.state() != pb::ACTIVE) return absl::FailedPreconditionError(StrCat("tenant ", record.id(), " is suspended"));
  return absl::OkStatus();
}

std::optional<absl::StatusOr<TenantScope>> TenantGate::Remembered(const Identity& identity, uint64_t range, uint64_t lease_sequence, MonoTime now) const {
  auto it = seen_.find({identity.tenant, range});
  if (it != seen_.end() && fault::On(fault::Mutation::kZombieWrites)) return TenantScope{identity.tenant, it->second.keyspace};
  if (it != seen_.end() && it->second.lease_sequence == lease_sequence) {
    const Seen& seen = it->second;
    if (identity.generation == seen.generation) return TenantScope{identity.tenant, seen.keyspace};
    if (identity.generation < seen.generation) {
      PROBE("a pod of a replaced generation was turned away");
      return StaleGeneration(identity, seen.generation);
    }
  }
  auto refusal = refusals_.find(identity.tenant);
  if (refusal == refusals_.end() || now >= refusal->second.until || identity.generation > refusal->second.generation) return std::nullopt;
  return refusal->second.why;
}

Task<absl::StatusOr<TenantGate::Record>> TenantGate::Read(const Context& ctx, const ReadingKey& key) {
  while (true) {
    if (auto it = readings_.find(key); it != readings_.end()) {
      std::shared_ptr<Reading> reading = it->second;
      CO_RETURN_IF_ERROR(co_await reading->done.Wait(ctx));
      // What ended the other's read (its own context, say) is not this one's business.
      if (reading->result && reading->result->ok() && !reading->stale) co_return *reading->result;
      if (reading->result && reading->result->status().code() == absl::StatusCode::kNotFound && !reading->stale) co_return *reading->result;
      CO_RETURN_IF_ERROR(ctx.status());
      continue;
    }
    auto reading = std::make_shared<Reading>();
    readings_[key] = reading;
    // However this frame ends, nobody waits for ever.
    struct Leave {
      TenantGate* gate;
      const ReadingKey* key;
      Reading* reading;
      ~Leave() {
        gate->readings_.erase(*key);
        reading->done.Set();
      }
    };
    {
      Leave leave{this, &key, reading.get()};
      reading->result = co_await read_(ctx, std::get<0>(key));
    }
    if (!reading->stale) co_return *reading->result;
    CO_RETURN_IF_ERROR(ctx.status());
  }
}

absl::Status TenantGate::Refuse(const Context& ctx, const Identity& identity, uint64_t newest, absl::Status why) {
  const MonoTime now = ctx.executor().Now();
  if (refusals_.size() >= kMaxRefusals) std::erase_if(refusals_, [now](auto& entry) { return entry.second.until <= now; });
  if (refusals_.size() < kMaxRefusals) refusals_[identity.tenant] = {newest, why, now + kRefusalLife};
  return why;
}

Task<absl::StatusOr<TenantScope>> TenantGate::Admit(const Context& ctx, const Identity& identity, uint64_t range, uint64_t lease_sequence) {
  if (auto remembered = Remembered(identity, range, lease_sequence, ctx.executor().Now())) co_return *remembered;
  const ReadingKey key(identity.tenant, range, lease_sequence);
  auto record = co_await Read(ctx, key);
  if (record.status().code() == absl::StatusCode::kNotFound) {
    co_return Refuse(ctx, identity, identity.generation, absl::PermissionDeniedError(StrCat("there is no tenant ", identity.tenant)));
  }
  if (!record.ok()) co_return record.status();
  if (absl::Status serves = ServesTenant(*record); !serves.ok()) co_return Refuse(ctx, identity, record->generation(), serves);
  if (record->generation() > identity.generation) co_return Refuse(ctx, identity, record->generation() - 1, StaleGeneration(identity, record->generation()));
  if (record->generation() < identity.generation) {
    co_return absl::FailedPreconditionError(StrCat("generation ", identity.generation, " of tenant ", identity.tenant, " is not the present one, ", record->generation()));
  }
  // Another batch may have learned more while this one read: the generation only rises.
  Seen& seen = seen_[{identity.tenant, range}];
  if (seen.lease_sequence == lease_sequence && seen.generation > record->generation()) co_return StaleGeneration(identity, seen.generation);
  seen = {.lease_sequence = lease_sequence, .generation = record->generation(), .keyspace = record->keyspace_id()};
  if (on_record_) on_record_(*record);
  co_return TenantScope{identity.tenant, record->keyspace_id()};
}

void TenantGate::Learn(const Record& record) {
  const TenantId tenant = record.id();
  const absl::Status serves = ServesTenant(record);
  bool here = false, present = false;
  for (auto it = seen_.lower_bound({tenant, 0}); it != seen_.end() && it->first.first == tenant;) {
    here = true;
    const bool keep = serves.ok() && it->second.generation == record.generation();
    present |= keep;
    it = keep ? std::next(it) : seen_.erase(it);
  }
  refusals_.erase(tenant);
  MarkStale(tenant);
  if (present) {
    if (on_record_) on_record_(record);
  } else if (here && on_refused_) {
    on_refused_(tenant, !serves.ok() ? serves : absl::FailedPreconditionError(StrCat("tenant ", tenant, " has another generation now, ", record.generation())));
  }
}

void TenantGate::LearnAll(const std::map<TenantId, Record>& present) {
  std::set<TenantId> here;
  for (auto& [key, seen] : seen_) here.insert(key.first);
  for (auto& [key, reading] : readings_) here.insert(std::get<0>(key));
  for (TenantId tenant : here) {
    auto record = present.find(tenant);
    if (record != present.end()) {
      Learn(record->second);
    } else {
      Forget(tenant);
      if (on_refused_) on_refused_(tenant, absl::PermissionDeniedError(StrCat("there is no tenant ", tenant)));
    }
  }
  refusals_.clear();
}

void TenantGate::Forget(TenantId tenant) {
  auto it = seen_.lower_bound({tenant, 0});
  while (it != seen_.end() && it->first.first == tenant) it = seen_.erase(it);
  refusals_.erase(tenant);
  MarkStale(tenant);
}

void TenantGate::MarkStale(TenantId tenant) {
  for (auto reading = readings_.lower_bound({tenant, 0, 0}); reading != readings_.end() && std::get<0>(reading->first) == tenant; ++reading) reading->second->stale = true;
}

}  // namespace insula::kv
