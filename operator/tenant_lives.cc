#include "operator/tenant_lives.h"

#include <algorithm>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::ops {

namespace pb = insula::tenant::v1;

namespace {

constexpr Duration kStopGrace = std::chrono::seconds(5);
constexpr int64_t kDefaultIdleMs = 10000;
// A compare-and-set that loses this often in a row meets a bug, not bad luck.
constexpr int kMaxCasTries = 10;

// Holds the step lock of one tenant.
class StepGuard {
 public:
  explicit StepGuard(Semaphore* step) : step_(step) {}
  StepGuard(const StepGuard&) = delete;
  StepGuard& operator=(const StepGuard&) = delete;
  ~StepGuard() { step_->Release(); }

 private:
  Semaphore* step_;
};

// Times the steps of a wake.
class Stopwatch {
 public:
  Stopwatch(const Executor& executor, google::protobuf::Map<std::string, int64_t>* out) : executor_(executor), out_(out), last_(executor.Now()) {}
  void Lap(const std::string& name) {
    MonoTime now = executor_.Now();
    (*out_)[name] = std::chrono::duration_cast<std::chrono::microseconds>(now - last_).count();
    last_ = now;
  }

 private:
  const Executor& executor_;
  google::protobuf::Map<std::string, int64_t>* out_;
  MonoTime last_;
};

// "registry 2.1 ms, pool 0.0 ms, stamp 31.0 ms, …", the longest first.
std::string Describe(const google::protobuf::Map<std::string, int64_t>& breakdown_us) {
  std::vector<std::pair<int64_t, std::string>> steps;
  for (const auto& [step, us] : breakdown_us) steps.emplace_back(us, step);
  std::sort(steps.rbegin(), steps.rend());
  std::string out;
  for (const auto& [us, step] : steps) StrAppend(&out, out.empty() ? "" : ", ", step, " ", us / 1000, ".", us % 1000 / 100, " ms");
  return out;
}

std::string ClusterOf(const TenantRecord& record) { return ClusterName{record.name(), record.id()}.ToString(); }

}  // namespace

Task<absl::StatusOr<TenantRecord>> TenantLives::CurrentRecord(const Context& ctx, TenantId tenant) {
  if (const TenantRecord* known = registry_->Find(tenant)) co_return *known;
  // Created a moment ago, perhaps: the watch has not told us yet.
  co_return co_await registry_->Fetch(ctx, StrCat(tenant));
}

Task<absl::StatusOr<v1::EnsurePodResponse>> TenantLives::EnsurePod(const Context& ctx, TenantId tenant) {
  Life& life = LifeOf(tenant);
  CO_RETURN_IF_ERROR(co_await life.step.Acquire(ctx));
  StepGuard guard(&life.step);
  if (auto pod = pods_->ReadyPod(tenant)) {
    v1::EnsurePodResponse response;
    *response.mutable_pod() = *std::move(pod);
    co_return response;
  }
  co_return co_await Wake(ctx, tenant);
}

Task<absl::StatusOr<TenantRecord>> TenantLives::TakeGeneration(const Context& ctx, TenantId tenant) {
  absl::Status last;
  for (int i = 0; i < kMaxCasTries; ++i) {
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await CurrentRecord(ctx, tenant));
    if (record.state() == pb::DROPPING) co_return absl::FailedPreconditionError(StrCat("cluster ", ClusterOf(record), " is being dropped"));
    record.set_state(pb::ACTIVE);
    record.set_generation(record.generation() + 1);
    record.set_wake_sequence(record.wake_sequence() + 1);
    auto updated = co_await registry_->Update(ctx, record);
    if (updated.ok() || updated.status().code() != absl::StatusCode::kAborted) co_return updated;
    last = updated.status();
    CO_ASSIGN_OR_RETURN(record, co_await registry_->Fetch(ctx, ClusterOf(record)));
  }
  co_return last;
}

Task<absl::StatusOr<v1::EnsurePodResponse>> TenantLives::Wake(const Context& ctx, TenantId tenant) {
  v1::EnsurePodResponse response;
  Stopwatch watch(ctx.executor(), response.mutable_breakdown_us());
  CO_ASSIGN_OR_RETURN(TenantRecord record, co_await TakeGeneration(ctx, tenant));
  watch.Lap("registry");
  CO_ASSIGN_OR_RETURN(Pod pod, co_await pool_->Take(ctx));
  watch.Lap("pool");
  auto stamp = stamps_->Make(record);
  watch.Lap("certificate");
  absl::StatusOr<v1::StampResponse> stamped = absl::InternalError("no stamp was made");
  if (!stamp.ok()) stamped = stamp.status();
  if (stamp.ok()) {
    pod.set_tenant_id(tenant);
    pod.set_generation(record.generation());
    stamped = co_await runtime_->Stamp(ctx, pod, *std::move(stamp));
  }
  if (!stamped.ok()) {
    LOG_ERROR("a pod could not be stamped", {"pod", pod.id()}, {"tenant", tenant}, {"error", stamped.status().ToString()});
    pods_->Remove(pod.id());
    // T4. In the background: the caller's context may be at its end.
    tasks_.SpawnFn([this, id = pod.id()]() -> Task<void> {
      absl::Status stopped = co_await runtime_->Stop(tasks_.ctx(), id, Duration::zero());
      if (!stopped.ok()) LOG_ERROR("a pod could not be stopped", {"pod", id}, {"error", stopped.ToString()});
    });
    co_return stamped.status();
  }
  watch.Lap("stamp");
  for (auto& [step, us] : stamped->breakdown_us()) (*response.mutable_breakdown_us())["pod." + step] = us;
  pod.set_address(stamped->address());
  pod.set_state(v1::READY);
  *response.mutable_pod() = pod;
  Publish(std::move(pod));
  LOG_INFO("tenant is awake", {"tenant", tenant}, {"pod", response.pod().id()}, {"generation", record.generation()}, {"took", Describe(response.breakdown_us())});
  co_return response;
}

void TenantLives::Publish(Pod pod) {
  Life& life = LifeOf(pod.tenant_id());
  life.activity_known = false;
  pods_->Put(pod);
  tasks_.Spawn(WatchPod(tasks_.ctx(), pod));
  tasks_.Spawn(SuspendWhenIdle(tasks_.ctx(), std::move(pod)));
}

Task<void> TenantLives::WatchPod(Context ctx, Pod pod) {
  Life& life = LifeOf(pod.tenant_id());
  while (!ctx.done() && pods_->Find(pod.id()) != nullptr) {
    absl::Status ended = co_await runtime_->WatchActivity(ctx, pod, [&life](const v1::ActivityResponse& activity) {
      life.activity = activity;
      life.activity_known = true;
      life.activity_changed.NotifyAll();
    });
    // The pod's end is heard of by OnPodExit; a stream that broke while the pod lives is opened again.
    if (pods_->Find(pod.id()) == nullptr) break;
    LOG_WARNING("activity of a pod is not heard", {"pod", pod.id()}, {"status", ended.ToString()});
    if (!(co_await Sleep(ctx, std::chrono::seconds(1))).ok()) break;
  }
  life.activity_changed.NotifyAll();
}

Task<void> TenantLives::SuspendWhenIdle(Context ctx, Pod pod) {
  TenantId tenant = pod.tenant_id();
  Life& life = LifeOf(tenant);
  auto current = [&] { return pods_->Find(pod.id()) != nullptr && !ctx.done(); };
  while (current()) {
    const TenantRecord* record = registry_->Find(tenant);
    int64_t idle_ms = record != nullptr && record->idle_timeout_ms() > 0 ? record->idle_timeout_ms() : kDefaultIdleMs;
    bool busy = !life.activity_known || life.activity.connections() > 0 || life.activity.active_statements() > 0 || life.activity.open_transactions() > 0;
    if (busy) {
      if (!(co_await life.activity_changed.Wait(ctx)).ok()) co_return;
      continue;
    }
    // Quiet now: the clock runs; any change of activity starts it anew.
    absl::Status woken = co_await life.activity_changed.Wait(ctx.WithTimeout(std::chrono::milliseconds(idle_ms)));
    if (woken.code() != absl::StatusCode::kDeadlineExceeded || !current()) continue;
    if (!(co_await life.step.Acquire(ctx)).ok()) co_return;
    StepGuard guard(&life.step);
    if (!current()) co_return;
    auto suspended = co_await SuspendLocked(ctx, tenant, /*force=*/false);
    if (suspended.ok()) {
      LOG_INFO("idle tenant suspended", {"tenant", tenant}, {"idle_ms", idle_ms});
      co_return;
    }
    LOG_INFO("tenant not suspended", {"tenant", tenant}, {"reason", suspended.status().ToString()});
    // Not idle after all, or the registry is out of reach: try again after a change, or another idle time.
    life.activity_known = life.activity_known && suspended.status().code() != absl::StatusCode::kFailedPrecondition;
  }
}

Task<absl::StatusOr<TenantRecord>> TenantLives::SuspendLocked(const Context& ctx, TenantId tenant, bool force) {
  CO_ASSIGN_OR_RETURN(TenantRecord record, co_await CurrentRecord(ctx, tenant));
  std::vector<Pod> closed;
  absl::Status failure;
  for (Pod& pod : pods_->OfTenant(tenant)) {
    auto gate = co_await runtime_->CloseGate(ctx, pod, force);
    // A pod that does not answer a forced close is stopped below in any case.
    if (!gate.ok() && force) continue;
    if (!gate.ok() || !*gate) {
      failure = gate.ok() ? absl::FailedPreconditionError("the tenant became active") : gate.status();
      break;
    }
    closed.push_back(pod);
  }
  absl::StatusOr<TenantRecord> updated = record;
  if (!failure.ok()) {
    updated = failure;
  } else {
    if (record.state() == pb::SUSPENDED) {
      updated = record;
    } else if (record.state() == pb::DROPPING) {
      updated = absl::FailedPreconditionError(StrCat("cluster ", ClusterOf(record), " is being dropped"));
    } else {
      record.set_state(pb::SUSPENDED);
      updated = co_await registry_->Update(ctx, record);
    }
  }
  if (!updated.ok()) {
    for (Pod& pod : closed) {
      absl::Status opened = co_await runtime_->OpenGate(ctx, pod);
      if (!opened.ok()) LOG_ERROR("a gate could not be opened again", {"pod", pod.id()}, {"error", opened.ToString()});
    }
    co_return updated;
  }
  CO_RETURN_IF_ERROR(co_await StopPods(ctx, tenant));
  co_return updated;
}

Task<absl::Status> TenantLives::StopPods(const Context& ctx, TenantId tenant) {
  absl::Status result;
  for (Pod& pod : pods_->OfTenant(tenant)) {
    // Off the directory first: no proxy dials it any more.
    pods_->Remove(pod.id());
    absl::Status stopped = co_await runtime_->Stop(ctx, pod.id(), kStopGrace);
    if (!stopped.ok() && result.ok()) result = stopped;
  }
  co_return result;
}

Task<absl::StatusOr<TenantRecord>> TenantLives::Suspend(const Context& ctx, TenantId tenant) {
  Life& life = LifeOf(tenant);
  CO_RETURN_IF_ERROR(co_await life.step.Acquire(ctx));
  StepGuard guard(&life.step);
  co_return co_await SuspendLocked(ctx, tenant, /*force=*/true);
}

Task<absl::StatusOr<TenantRecord>> TenantLives::Drop(const Context& ctx, TenantId tenant) {
  Life& life = LifeOf(tenant);
  CO_RETURN_IF_ERROR(co_await life.step.Acquire(ctx));
  StepGuard guard(&life.step);
  CO_ASSIGN_OR_RETURN(TenantRecord record, co_await CurrentRecord(ctx, tenant));
  if (record.state() != pb::DROPPING) {
    // From here on no pod can be stamped for it, and KV refuses the present generation.
    record.set_state(pb::DROPPING);
    record.set_generation(record.generation() + 1);
    CO_ASSIGN_OR_RETURN(record, co_await registry_->Update(ctx, record));
  }
  CO_RETURN_IF_ERROR(co_await StopPods(ctx, tenant));
  CO_RETURN_IF_ERROR(co_await registry_->Purge(ctx, tenant));
  LOG_INFO("tenant dropped", {"tenant", tenant});
  co_return record;
}

void TenantLives::TakeOver(const std::vector<Pod>& pods) {
  for (const Pod& pod : pods) {
    if (pod.state() == v1::READY) {
      Publish(pod);
    } else {
      pods_->Put(pod);
    }
  }
}

void TenantLives::SettleOrphans() {
  for (const TenantRecord* record : registry_->All()) {
    if (record->state() == pb::ACTIVE && pods_->OfTenant(record->id()).empty()) tasks_.Spawn(SettleOrphan(tasks_.ctx(), record->id()));
  }
}

Task<void> TenantLives::SettleOrphan(Context ctx, TenantId tenant) {
  Life& life = LifeOf(tenant);
  if (!(co_await life.step.Acquire(ctx)).ok()) co_return;
  StepGuard guard(&life.step);
  if (!pods_->OfTenant(tenant).empty()) co_return;  // a client was faster
  auto suspended = co_await SuspendLocked(ctx, tenant, /*force=*/false);
  // No harm: the next connection wakes it in any case.
  if (!suspended.ok()) LOG_WARNING("a tenant without a pod could not be marked suspended", {"tenant", tenant}, {"status", suspended.status().ToString()});
}

void TenantLives::OnRecordChanged(TenantId tenant) {
  const TenantRecord* record = registry_->Find(tenant);
  if (record != nullptr && record->state() == pb::DROPPING) tasks_.Spawn(FinishDrop(tasks_.ctx(), tenant));
  LifeOf(tenant).activity_changed.NotifyAll();  // its idle time may have changed
}

Task<void> TenantLives::FinishDrop(Context ctx, TenantId tenant) {
  // A drop that another operator began. Drop itself waits for one that is under way here.
  auto dropped = co_await Drop(ctx, tenant);
  if (!dropped.ok() && dropped.status().code() != absl::StatusCode::kNotFound) {
    LOG_ERROR("a drop could not be finished", {"tenant", tenant}, {"error", dropped.status().ToString()});
  }
}

void TenantLives::OnPodExit(std::string pod_id, std::string how) {
  const Pod* pod = pods_->Find(pod_id);
  if (pod == nullptr) return;  // we stopped it
  TenantId tenant = pod->tenant_id();
  bool was_ready = pod->state() == v1::READY;
  LOG_WARNING("a pod died", {"pod", pod_id}, {"tenant", tenant}, {"how", how});
  pods_->Remove(pod_id);
  if (tenant == 0) return;  // the pool replenishes itself
  LifeOf(tenant).activity_changed.NotifyAll();
  if (was_ready) tasks_.Spawn(Replace(tasks_.ctx(), tenant));
}

Task<void> TenantLives::Replace(Context ctx, TenantId tenant) {
  const TenantRecord* record = registry_->Find(tenant);
  if (record == nullptr || record->state() != pb::ACTIVE) co_return;
  auto replaced = co_await EnsurePod(ctx.WithTimeout(std::chrono::seconds(30)), tenant);
  // The next connection tries again.
  if (!replaced.ok()) LOG_ERROR("a dead pod was not replaced", {"tenant", tenant}, {"error", replaced.status().ToString()});
}

}  // namespace insula::ops
