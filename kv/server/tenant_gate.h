// Who is behind a tenant certificate, as of now: its keyspace, and whether its generation still counts.
//
// A resume takes a new generation, and a pod of an older one (a zombie) must not write any more. The gate remembers, per range
// and lease, the generation that it has checked:
//
//   batch (tenant, generation g) at range r under lease l
//     remembered (r, l) -> newest generation seen n:  g == n serve;  g < n refuse;  g > n read the registry
//     nothing remembered:                             read the registry
//   the registry changed (RegistryWatch):             not active any more, or another generation: forget all of the tenant
//
// Invariants:
//   G1  Once a range has served generation g under some lease, it serves no older one, under this lease or a later one. Within a lease
//       because n only rises; across leases because nothing is remembered from former ones, and the registry had g before any pod did.
//       (A range that the new generation has not touched yet may serve the old one: as if it had come before.)
//   G2  What was read before a change that the gate was told of is not remembered after it.
//   G3  Who is refused costs the registry one read per kRefusalLife and tenant, and who is served one per range and lease, however many
//       batches come: those that ask the same at the same time share a read that began after all of them knew their lease.
#ifndef INSULA_KV_SERVER_TENANT_GATE_H_
#define INSULA_KV_SERVER_TENANT_GATE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "kv/server/authorization.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {

class TenantGate {
 public:
  using Record = insula::tenant::v1::TenantRecord;
  // Reads a tenant's record from the registry, past any cache.
  using ReadRecord = std::function<Task<absl::StatusOr<Record>>(const Context& ctx, TenantId id)>;

  static constexpr Duration kRefusalLife = std::chrono::seconds(1);

  explicit TenantGate(ReadRecord read) : read_(std::move(read)) {}

  // The scope of a tenant's batch to `range`, which this node leads under lease `lease_sequence` (0: it does not, and the batch will
  // be turned away; the scope is still checked). kPermissionDenied: no such tenant, or it is being dropped; kFailedPrecondition:
  // stale generation, or suspended.
  Task<absl::StatusOr<TenantScope>> Admit(const Context& ctx, const Identity& identity, uint64_t range, uint64_t lease_sequence);
  // The same if it is remembered; nullopt: ask Admit.
  std::optional<absl::StatusOr<TenantScope>> Remembered(const Identity& identity, uint64_t range, uint64_t lease_sequence, MonoTime now) const;

  // The registry has this record now.
  void Learn(const Record& record);
  // Something changed in the registry: forget what is remembered of this tenant.
  void Forget(TenantId tenant);
  // After a gap: what is remembered of tenants that are not in `present` (by id) goes, and of those that changed.
  void LearnAll(const std::map<TenantId, Record>& present);

  // Told of each record that was read or learned of a tenant that has work here.
  void SetOnRecord(std::function<void(const Record&)> on_record) { on_record_ = std::move(on_record); }
  // Told of each tenant that lost its place, with what its batches are to be told.
  void SetOnRefused(std::function<void(TenantId, const absl::Status&)> on_refused) { on_refused_ = std::move(on_refused); }

 private:
  struct Seen {
    uint64_t lease_sequence = 0;
    uint64_t generation = 0;
    uint64_t keyspace = 0;
  };
  struct Refusal {
    uint64_t generation = 0;  // this one and all before it
    absl::Status why;
    MonoTime until;
  };
  // One read under way, and who waits for it.
  struct Reading {
    bool stale = false;  // the registry changed meanwhile
    std::optional<absl::StatusOr<Record>> result;
    Event done;
  };
  using ReadingKey = std::tuple<TenantId, uint64_t, uint64_t>;  // tenant, range, lease

  Task<absl::StatusOr<Record>> Read(const Context& ctx, const ReadingKey& key);
  void MarkStale(TenantId tenant);
  absl::Status Refuse(const Context& ctx, const Identity& identity, uint64_t newest, absl::Status why);

  ReadRecord read_;
  std::function<void(const Record&)> on_record_;
  std::function<void(TenantId, const absl::Status&)> on_refused_;
  std::map<std::pair<TenantId, uint64_t>, Seen> seen_;  // by tenant and range
  std::map<TenantId, Refusal> refusals_;
  std::map<ReadingKey, std::shared_ptr<Reading>> readings_;
};

// Why a tenant with this record is not served, whatever its generation; OK: it is.
absl::Status ServesTenant(const TenantGate::Record& record);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_TENANT_GATE_H_
