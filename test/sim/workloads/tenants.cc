// Two tenants behind the wall: pods with tenants' certificates, each generation on another host, the former one left behind as a
// zombie that goes on as if nothing had happened.
//
//   operator   raises a tenant's generation in the registry, then boots a pod of it; or suspends a tenant whose pods go on
//   pods       read and write their own keys; and reach for the other tenant's, which must fail
//
// Checked: what a pod reads is its own tenant's; what reaches over the wall gets nothing; once a newer generation's write to a key
// was acknowledged, no older pod's transaction on that key that begins afterwards succeeds; and a tenant that is suspended in the end is
// served by nobody soon after.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/async/wait.h"
#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

namespace pb = insula::tenant::v1;

constexpr uint64_t kTenants = 2;
constexpr uint64_t kPodsPerTenant = 2;
constexpr uint64_t kKeys = 4;
constexpr uint64_t kClientsPerPod = 2;
constexpr Duration kReachTime = std::chrono::seconds(8);
constexpr Duration kHearTime = std::chrono::seconds(15);  // a node that was told nothing asks again every four seconds at most

class Tenants : public Workload {
 public:
  explicit Tenants(const WorkloadEnv& env) : Workload(env) {
    for (uint64_t t = 0; t < kTenants; ++t) {
      for (uint64_t p = 0; p < kPodsPerTenant; ++p) tenants_[t].pods[p].process = sim().AddProcess(StrCat("pod-", t == 0 ? "a" : "b", p));
    }
  }

  Task<absl::Status> Prepare(Context ctx) override {
    for (uint64_t t = 0; t < kTenants; ++t) {
      pb::CreateTenantRequest request;
      request.set_request_id(StrCat("simulated-", t));
      request.set_name(t == 0 ? "alpha" : "beta");
      request.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
      CO_ASSIGN_OR_RETURN(std::string bytes, co_await AskRegistry(ctx, "/insula.tenant.v1.TenantAdmin/Create", request.SerializeAsString()));
      CO_RETURN_IF_ERROR(Learn(bytes, t));
      CO_RETURN_IF_ERROR(co_await RaiseGeneration(ctx, t));
    }
    co_return absl::OkStatus();
  }

  void Start() override {
    for (uint64_t t = 0; t < kTenants; ++t) BootPod(t);
    SpawnClient(0, 3s, [this](Context ctx, SeededRandom& random) { return Resume(ctx, random.Uniform(kTenants)); });
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kTenants), random.Uniform(kKeys)); }

  Task<absl::Status> Check(Context ctx) override {
    CO_RETURN_IF_ERROR(co_await CheckSuspended(ctx));
    co_return co_await TransactUntilDone(ctx, {.read_only = true}, [this](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t t = 0; t < kTenants; ++t) {
        for (uint64_t k = 0; k < kKeys; ++k) {
          CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, Key(t, k)));
          if (value && !IsOwn(*value, t)) Violation(StrCat("a key of tenant ", t, " holds \"", *value, "\""));
        }
      }
      co_return absl::OkStatus();
    });
  }

 private:
  struct Pod {
    SimProcess* process = nullptr;
    uint64_t generation = 0;
    bool booted = false;
  };
  struct Tenant {
    pb::TenantRecord record;
    std::array<Pod, kPodsPerTenant> pods;
    uint64_t next_pod = 0;
    uint64_t turns = 0;  // of the operator
    std::array<uint64_t, kKeys> newest{};  // generation of the newest acknowledged write, by key
  };

  std::string Key(uint64_t t, uint64_t k) const { return StrCat(KeyspacePrefix(tenants_[t].record.keyspace_id()), "key/", k); }
  bool IsOwn(const std::string& value, uint64_t t) const { return value.starts_with(StrCat(tenants_[t].record.id(), "/")); }
  static uint64_t GenerationIn(const std::string& value) {
    const size_t slash = value.find('/');
    return static_cast<uint64_t>(ParseNumber(value.substr(slash + 1, value.rfind('/') - slash - 1)).value_or(0));
  }

  // ---- the operator

  absl::Status Learn(const std::string& bytes, uint64_t t) {
    pb::TenantResponse response;
    if (!response.ParseFromString(bytes)) return absl::DataLossError("the registry's answer does not parse");
    tenants_[t].record = response.tenant();
    return absl::OkStatus();
  }

  Task<absl::StatusOr<std::string>> AskNode(const Context& ctx, int node, const std::string& method, const std::string& request) {
    CO_ASSIGN_OR_RETURN(auto stream, co_await SimCluster::TransportOf(env_.cluster->client())->Open(ctx, SimCluster::AddressOf(node), method));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, request));
    CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
    CO_ASSIGN_OR_RETURN(auto answer, co_await stream->Receive(ctx));
    if (!answer) co_return absl::UnavailableError("no answer");
    co_return *std::move(answer);
  }

  // Whichever node leads the registry. kAborted and kNotFound are answers; anything else is asked again.
  Task<absl::StatusOr<std::string>> AskRegistry(const Context& ctx, std::string method, std::string request) {
    for (int node = 0;; node = (node + 1) % env_.cluster->nodes()) {
      auto answer = co_await AskNode(ctx.WithTimeout(5s), node, method, request);
      if (answer.ok() || absl::IsAborted(answer.status()) || absl::IsNotFound(answer.status())) co_return answer;
      CO_RETURN_IF_ERROR(ctx.status());
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, 100ms));
    }
  }

  Task<absl::Status> RaiseGeneration(const Context& ctx, uint64_t t) { return SetRecord(ctx, t, pb::ACTIVE, tenants_[t].record.generation() + 1); }

  Task<absl::Status> SetRecord(Context ctx, uint64_t t, pb::TenantState state, uint64_t generation) {
    while (tenants_[t].record.generation() < generation || tenants_[t].record.state() != state) {
      pb::UpdateTenantRequest update;
      *update.mutable_record() = tenants_[t].record;
      update.mutable_record()->set_state(state);
      update.mutable_record()->set_generation(generation);
      update.set_expected_revision(tenants_[t].record.revision());
      auto updated = co_await AskRegistry(ctx, "/insula.tenant.v1.Registry/Update", update.SerializeAsString());
      if (!updated.ok() && !absl::IsAborted(updated.status())) co_return updated.status();
      if (updated.ok()) {
        CO_RETURN_IF_ERROR(Learn(*updated, t));
        continue;
      }
      // Perhaps our own update, whose answer was lost.
      CO_RETURN_IF_ERROR(co_await LookUp(ctx, t));
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> LookUp(const Context& ctx, uint64_t t) {
    pb::GetTenantRequest get;
    get.set_cluster(StrCat(tenants_[t].record.id()));
    CO_ASSIGN_OR_RETURN(std::string found, co_await AskRegistry(ctx, "/insula.tenant.v1.TenantAdmin/Get", get.SerializeAsString()));
    co_return Learn(found, t);
  }

  // Whatever happened when it was suspended, every node hears of it.
  Task<absl::Status> CheckSuspended(const Context& ctx) {
    std::vector<uint64_t> suspended;
    for (uint64_t t = 0; t < kTenants; ++t) {
      CO_RETURN_IF_ERROR(co_await LookUp(ctx, t));
      const Pod& pod = NewestPod(t);
      if (tenants_[t].record.state() == pb::SUSPENDED && pod.process->alive() && pod.generation == tenants_[t].record.generation()) suspended.push_back(t);
    }
    if (suspended.empty()) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, kHearTime));
    for (uint64_t t : suspended) {
      SimProcess* process = NewestPod(t).process;
      process->Spawn([this, t, database = SimCluster::DatabaseOf(process)](Context pod_ctx) { return ReachOut(std::move(pod_ctx), t, database); });
    }
    co_return co_await Sleep(ctx, kReachTime + 1s);
  }
  const Pod& NewestPod(uint64_t t) const { return tenants_[t].pods[(tenants_[t].next_pod + kPodsPerTenant - 1) % kPodsPerTenant]; }
  Task<void> ReachOut(Context ctx, uint64_t t, kv::Database* database) {
    for (uint64_t k = 0; k < kKeys; ++k) {
      absl::Status served = co_await TransactOn(ctx.WithTimeout(kReachTime / kKeys), database, {.read_only = true},
                                                [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> { co_return (co_await txn.Get(limited, Key(t, k))).status(); });
      if (served.ok()) Violation(StrCat("tenant ", t, " was suspended, and is served on"));
    }
    Count("suspended in the end");
  }

  Task<void> Resume(Context ctx, uint64_t t) {
    if (!(co_await Sleep(ctx, 1s)).ok()) co_return;
    if (tenants_[t].turns++ % 3 == 2) {
      if ((co_await SetRecord(ctx.WithTimeout(20s), t, pb::SUSPENDED, tenants_[t].record.generation())).ok()) Count("suspensions");
      co_return;
    }
    if (!(co_await RaiseGeneration(ctx.WithTimeout(20s), t)).ok() || stopping()) co_return;
    Count("generations");
    BootPod(t);
  }

  // The older of the tenant's hosts gets the newest generation; the other one stays behind.
  void BootPod(uint64_t t) {
    Pod& pod = tenants_[t].pods[tenants_[t].next_pod++ % kPodsPerTenant];
    pod.generation = tenants_[t].record.generation();
    if (pod.booted) {
      if (pod.process->alive()) pod.process->Crash();
      pod.process->Restart();
    } else {
      pod.booted = true;
      pod.process->Boot([this, t, &pod](SimProcess& p) { return env_.cluster->MakeClient(p, Certificate(t, pod.generation)); });
    }
    for (uint64_t i = 0; i < kClientsPerPod; ++i) {
      SpawnClientOn(pod.process, 10 * tenants_[t].next_pod + 1000 * t + i, 60ms,
                    [this, t, &pod, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return random.Chance(0.2) ? Trespass(ctx, random, t, pod) : Use(ctx, random, t, pod, n++); });
    }
  }

  PeerIdentity Certificate(uint64_t t, uint64_t generation) const {
    const uint64_t id = tenants_[t].record.id();
    return {.common_name = StrCat(id), .organizational_unit = "Tenants", .uris = {StrCat("insula://tenant/", id, "/generation/", generation)}, .address = ""};
  }

  // ---- pods

  Task<void> Use(Context ctx, SeededRandom& random, uint64_t t, Pod& pod, uint64_t n) {
    const uint64_t k = random.Uniform(kKeys), generation = pod.generation, newest_before = tenants_[t].newest[k];
    const bool writes = random.Chance(0.6), reads = !writes || random.Chance(0.5);
    const std::string mine = StrCat(tenants_[t].record.id(), "/", generation, "/", n);
    std::optional<std::string> found;
    absl::Status done = co_await TransactOn(ctx, SimCluster::DatabaseOf(pod.process), {.read_only = !writes}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      if (reads) {
        CO_ASSIGN_OR_RETURN(found, co_await txn.Get(limited, Key(t, k)));
      }
      if (writes) txn.Put(Key(t, k), mine);
      co_return absl::OkStatus();
    });
    if (Note(done) != Outcome::kDone) co_return;
    if (env_.real_time && newest_before > generation) {
      Violation(StrCat("a pod of generation ", generation, (writes ? " wrote" : " read"), " a key that generation ", newest_before, " had written before"));
    }
    if (found && !IsOwn(*found, t)) Violation(StrCat("a pod of tenant ", t, " read \"", *found, "\""));
    if (found && GenerationIn(*found) > generation) Count("zombies that saw newer values");
    if (writes) tenants_[t].newest[k] = std::max(tenants_[t].newest[k], generation);
  }

  // Straight to a node, past the client that would know better.
  Task<void> Trespass(Context parent, SeededRandom& random, uint64_t t, Pod& pod) {
    Context ctx = parent.WithTimeout(5s);
    const std::string foreign = Key(1 - t, random.Uniform(kKeys));
    kv::v1::BatchRequest batch;
    batch.mutable_header()->set_version(kv::kBatchVersion);
    batch.mutable_header()->set_range_id(1 + random.Uniform(8));
    switch (random.Uniform(4)) {
      case 0:
        batch.add_requests()->mutable_get()->set_key(foreign);
        break;
      case 1: {
        auto* put = batch.add_requests()->mutable_put();
        put->set_key(foreign);
        put->set_value(StrCat(tenants_[t].record.id(), "/0/trespass"));
        break;
      }
      case 2: {
        auto* scan = batch.add_requests()->mutable_scan();
        scan->set_key(Key(t, 0));
        scan->set_end_key(PrefixEnd(KeyspacePrefix(tenants_[1 - t].record.keyspace_id())));
        break;
      }
      default:
        batch.add_requests()->mutable_admin_split()->set_split_key(foreign);
    }
    const int node = static_cast<int>(random.Uniform(SimCluster::kNodes));
    kv::CallResult result = co_await SimCluster::ChannelOf(pod.process)->Call(ctx, SimCluster::AddressOf(node), batch);
    if (!result.status.ok()) co_return;
    Count("trespasses");
    if (!result.response.has_error()) Violation(StrCat("a pod of tenant ", t, " reached over the wall with ", kv::NameOf(batch.requests(0))));
    for (const auto& range : result.response.updated_ranges()) {
      if (!range.start_key().starts_with(KeyspacePrefix(tenants_[t].record.keyspace_id()))) Violation("an answer to a tenant tells of foreign ranges");
    }
  }

  std::array<Tenant, kTenants> tenants_;
};

}  // namespace

std::unique_ptr<Workload> MakeTenants(const WorkloadEnv& env) { return std::make_unique<Tenants>(env); }

}  // namespace insula::simtest
