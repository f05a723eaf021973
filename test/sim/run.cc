#include "test/sim/run.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/fault/testing/scoped_mutation.h"
#include "base/log/log.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "test/sim/cluster.h"
#include "test/sim/faults.h"
#include "test/sim/range_nemesis.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr Duration kHealTime = std::chrono::seconds(60);
constexpr uint64_t kProgress = 5;  // operations of each workload after all faults have ended
// Tenants get the first keyspaces; the workloads take theirs from here.
constexpr uint64_t kFirstKeyspace = 20;

ClusterOptions ClusterOfSeed(uint64_t seed, bool rocks) {
  SeededRandom random(seed ^ 0xc1c1c1c1ull);
  ClusterOptions options;
  options.seed = seed;
  if (random.Chance(0.5)) {  // transactions that spill early
    options.coordinator.max_buffer_bytes = random.Uniform(2000);
    options.coordinator.max_one_phase_bytes = 200 + random.Uniform(4000);
    options.coordinator.write_through_bytes = random.Uniform(2000);
    options.coordinator.flush_batch_bytes = 100 + random.Uniform(1000);
    options.coordinator.max_one_phase_refresh_spans = random.Uniform(4);
    options.coordinator.max_tracked_locks = 1 + random.Uniform(4);
  }
  if (random.Chance(0.5)) {  // logs that are forgotten early
    options.truncation_interval = Duration(500'000'000 + random.Uniform(3'000'000'000));
    options.truncation_tail = random.Uniform(10);
  }
  if (random.Chance(0.5)) options.log_segment_bytes = 32 << 10;
  if (random.Chance(0.5)) options.log_cache_bytes = random.Uniform(32 << 10);
  options.rocks = rocks;
  options.write_buffer_bytes = 2 << (20 + random.Uniform(3));
  if (random.Chance(0.5)) options.consistency_interval = Duration(500'000'000 + random.Uniform(8'000'000'000));
  // Snapshots of many pieces, in files beside the engine.
  if (random.Chance(0.5)) options.snapshots.chunk_bytes = 200 + random.Uniform(4000);
  if (random.Chance(0.5)) options.snapshots.bytes_in_memory = random.Uniform(2000);
  RangeNemesis::Tune(seed, &options);
  if (random.Chance(0.5)) options.trouble_limit = 1s;  // who gives up sooner has more to find out
  return options;
}

bool RocksOf(const RunOptions& options) { return options.rocks.value_or(SeededRandom(options.seed ^ 0x50c5db00ull).Chance(0.05)); }

// RocksDB's own answer to a failing disk waits for its background work, which the one thread of a simulation cannot: no such faults then.
std::set<Fault> AllowedFaults(const RunOptions& options) {
  std::set<Fault> allowed = options.faults;
  if (RocksOf(options)) {
    for (Fault fault : {Fault::kFullDisk, Fault::kWriteError, Fault::kReadError, Fault::kBitFlip}) allowed.erase(fault);
  }
  return allowed;
}

std::vector<std::string> WorkloadsOf(const RunOptions& options) {
  if (!options.workload.empty()) return {options.workload};
  SeededRandom random(options.seed ^ 0x3c3c3c3cull);
  const auto& names = WorkloadNames();
  const uint64_t first = random.Uniform(names.size());
  std::vector<std::string> chosen = {names[first]};
  if (random.Chance(0.3)) chosen.push_back(names[(first + 1 + random.Uniform(names.size() - 1)) % names.size()]);
  return chosen;
}

class Run {
 public:
  explicit Run(const RunOptions& options) : options_(options), plan_(FaultPlan::OfSeed(options.seed, AllowedFaults(options))) {
    if (options.mutation) mutation_.emplace(*options.mutation);
    probes_before_ = fault::ProbeHits();
    result_.seed = options.seed;
    ClusterOptions cluster = ClusterOfSeed(options.seed, RocksOf(options));
    cluster.old_nodes = plan_.OldNodes(options.seed);
    cluster_ = std::make_unique<SimCluster>(cluster);
    cluster_->sim().set_trace(options.trace);
    if (options.trace != nullptr) cluster_->sim().set_log_level(log::Level::kDebug);
    for (const std::string& name : WorkloadsOf(options)) {
      WorkloadEnv env{.cluster = cluster_.get(),
                      .seed = options.seed,
                      .first_keyspace = kFirstKeyspace + workloads_.size() * Workload::kKeyspaces,
                      .real_time = !plan_.Has(Fault::kJumpBeyond)};
      workloads_.push_back(MakeWorkload(name, env));
      CHECK(workloads_.back() != nullptr) << "no workload '" << name << "'";
      names_.push_back(name);
      StrAppend(&result_.workloads, result_.workloads.empty() ? "" : "+", name);
    }
    auto random_key = [this](Random& random) { return workloads_[random.Uniform(workloads_.size())]->RandomKey(random); };
    faults_ = std::make_unique<Faults>(cluster_.get(), plan_, random_key);
    ranges_ = std::make_unique<RangeNemesis>(cluster_.get(), options.seed, random_key);
  }

  RunResult Go() {
    if (Begin()) {
      if (!options_.faults.empty()) faults_->Begin();
      ranges_->Begin();
      for (auto& workload : workloads_) workload->Start();
      sim().RunFor(options_.fault_time);
      faults_->End();
      ranges_->End();
      Finish();
    }
    Conclude();
    return std::move(result_);
  }

 private:
  Simulation& sim() { return cluster_->sim(); }
  void Violation(std::string what) { result_.violations.push_back(std::move(what)); }

  bool Begin() {
    absl::Status up = cluster_->Start();
    for (size_t i = 0; i < workloads_.size() && up.ok(); ++i) {
      up = sim().Run(cluster_->client(), [&](Context ctx) { return workloads_[i]->Prepare(ctx); }, kHealTime);
    }
    if (!up.ok()) Violation(StrCat("the cluster did not come up: ", up.ToString()));
    return up.ok();
  }

  void Finish() {
    std::vector<uint64_t> before;
    for (auto& workload : workloads_) before.push_back(workload->done());
    auto goes_on = [&] {
      for (size_t i = 0; i < workloads_.size(); ++i) {
        if (workloads_[i]->done() < before[i] + kProgress) return false;
      }
      return true;
    };
    if (!sim().RunUntil(goes_on, kHealTime)) Violation("no progress within a minute after all faults ended");
    AwaitVersion();
    for (auto& workload : workloads_) workload->Stop();
    auto ended = [&] {
      for (auto& workload : workloads_) {
        if (!workload->ended()) return false;
      }
      return true;
    };
    if (!sim().RunUntil(ended, kHealTime)) Violation("clients do not end within a minute after all faults ended");
    for (size_t i = 0; i < workloads_.size(); ++i) {
      absl::Status checked = sim().Run(cluster_->client(), [&](Context ctx) { return workloads_[i]->Check(ctx); }, kHealTime);
      if (!checked.ok()) Violation(StrCat(names_[i], ": the last look failed: ", checked.ToString()));
    }
    if (!result_.violations.empty()) Violation(StrCat("what stands still: ", cluster_->DescribeLaggards()));
    CompareReplicas();
    CheckConsistency();
  }

  // A node that stays away for good never promises to support the newest version, unless it had before (decision 9).
  void AwaitVersion() {
    bool all_here = true;
    for (int i = 0; i < cluster_->nodes(); ++i) all_here = all_here && !cluster_->retired(i);
    if (!all_here && !cluster_->AnyAtNewestVersion()) return;
    if (!sim().RunUntil([&] { return cluster_->AllAtNewestVersion(); }, kHealTime)) Violation("the cluster's version was not raised within a minute after the last upgrade");
  }

  static Task<absl::Status> Compare(Context ctx, kv::Sender* sender, std::string key, std::shared_ptr<kv::v1::BatchResponse> response) {
    kv::v1::BatchRequest batch;
    batch.mutable_header()->set_version(kv::kBatchVersion);
    batch.add_requests()->mutable_check_consistency()->set_key(std::move(key));
    *response = co_await sender->Send(ctx, std::move(batch));
    co_return response->has_error() ? kv::FromKvError(response->error()) : absl::OkStatus();
  }
  // As the cluster itself does it: the leaseholder of each range asks all replicas.
  void CheckConsistency() {
    if (!cluster_->AllAtNewestVersion()) return;  // it is refused then, and that the version stays as it is has been looked at (AwaitVersion)
    for (std::string key : cluster_->UsedRanges()) {
      if (key.empty()) key.assign(1, '\0');
      auto response = std::make_shared<kv::v1::BatchResponse>();
      absl::Status sent = sim().Run(cluster_->client(), [&](Context ctx) { return Compare(std::move(ctx), &cluster_->database()->sender(), key, response); }, kHealTime);
      if (!sent.ok()) {
        Violation(StrCat("the replicas of ", kv::keys::Pretty(key), " cannot be compared: ", sent.ToString()));
        continue;
      }
      const auto& check = response->responses(0).check_consistency();
      if (!check.consistent()) Violation(StrCat("the replicas of ", kv::keys::Pretty(key), " differ: ", check.ShortDebugString()));
      for (const auto& replica : check.replicas()) {
        if (!replica.wrong_stats().empty()) Violation(StrCat("statistics of ", kv::keys::Pretty(key), " on store ", replica.store_id(), ": ", replica.wrong_stats()));
      }
    }
  }

  void CompareReplicas() {
    std::string difference;
    for (int tries = 0; tries < 20; ++tries) {
      sim().RunFor(1s);
      difference = cluster_->CompareReplicas();
      if (difference.empty()) return;
    }
    Violation(StrCat("replicas differ: ", difference, "; what stands still: ", cluster_->DescribeLaggards()));
  }

  // What must not be, whatever the workloads saw.
  void CheckNodes() {
    for (const char* probe : {"replicas were found to differ", "a range's statistics did not fit its rows"}) {
      if (result_.probes[probe] > 0) Violation(StrCat(probe, ", ", result_.probes[probe], " times"));
    }
    const bool disks_fail = plan_.Has(Fault::kWriteError) || plan_.Has(Fault::kReadError) || plan_.Has(Fault::kFullDisk) || plan_.Has(Fault::kBitFlip);
    if (!disks_fail && !plan_.Has(Fault::kJumpBeyond)) {
      for (const std::string& end : cluster_->ends()) Violation(StrCat("for no reason: ", end));
    }
    if (disks_fail) return;
    for (const char* probe : {"a damaged replica took no part", "a replica without a state took no part", "damage in the log was found"}) {
      if (result_.probes[probe] > 0) Violation(StrCat(probe, ", though no disk had failed"));
    }
  }

  void Conclude() {
    for (const auto& [name, hits] : fault::ProbeHits()) result_.probes[name] = hits - probes_before_[name];
    CheckNodes();
    for (const std::string& wrong : cluster_->wrongs()) Violation(wrong);
    for (size_t i = 0; i < workloads_.size(); ++i) {
      for (const std::string& violation : workloads_[i]->violations()) Violation(StrCat(names_[i], ": ", violation));
      for (const auto& [what, n] : workloads_[i]->counts()) result_.counts[StrCat(names_[i], ": ", what)] += n;
    }
    result_.faults = faults_->Counts();
    for (const auto& [what, n] : ranges_->Counts()) result_.counts[what] += n;
    result_.trace_hash = sim().trace_hash();
    result_.virtual_seconds = std::chrono::duration<double>(sim().elapsed()).count();
  }

  const RunOptions options_;
  const FaultPlan plan_;
  std::optional<fault::ScopedMutation> mutation_;
  std::map<std::string, uint64_t> probes_before_;
  RunResult result_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::unique_ptr<Faults> faults_;
  std::unique_ptr<RangeNemesis> ranges_;
  std::unique_ptr<SimCluster> cluster_;  // last: its processes' tasks use the rest
};

}  // namespace

RunResult RunSeed(const RunOptions& options) {
  log::SetLevel(options.trace == nullptr ? log::Level::kOff : log::Level::kDebug);
  return Run(options).Go();
}

}  // namespace insula::simtest
