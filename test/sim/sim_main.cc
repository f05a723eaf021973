// ./dev sim --seeds=N [--seed=S] [--seconds=T] [--workload=W] [--trace=FILE] [--jobs=J]: N seeds from S on (default: fresh ones).
//
// Every 20th seed, and every one that fails, runs twice, and the two traces must be the same. At the end: what was done, and which
// kinds of faults and which rare paths (base/fault/probe.h) were never reached.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>

#include "base/fault/testing/scoped_mutation.h"
#include "base/strings.h"
#include "test/sim/run.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr size_t kShownViolations = 8;

struct Sum {
  uint64_t seeds = 0, failed = 0;
  double virtual_seconds = 0;
  std::map<std::string, uint64_t> faults, counts, probes;

  void Add(const RunResult& result) {
    ++seeds;
    virtual_seconds += result.virtual_seconds;
    for (const auto& [name, n] : result.faults) faults[name] += n;
    for (const auto& [name, n] : result.counts) counts[name] += n;
    for (const auto& [name, n] : result.probes) probes[name] += n;
  }
};

void ShowFailure(const RunResult& result) {
  std::cout << "FAILED seed=" << result.seed << " (" << result.workloads << ")\n";
  for (size_t i = 0; i < result.violations.size() && i < kShownViolations; ++i) std::cout << "  " << result.violations[i] << "\n";
  std::cout << std::flush;
}

void Show(const char* title, const std::map<std::string, uint64_t>& numbers) {
  std::cout << title << ":\n ";
  for (const auto& [name, n] : numbers) {
    if (n > 0) std::cout << " " << name << " " << n << ";";
  }
  std::cout << "\n  never:";
  for (const auto& [name, n] : numbers) {
    if (n == 0) std::cout << " " << name << ";";
  }
  std::cout << "\n";
}

int Main(int argc, char** argv) {
  uint64_t seeds = 1, first = 0, seconds = 20;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  bool no_faults = false, until_failure = false;
  std::string trace_path, workload, mutation, engine, faults = "default";
  CLI::App app("Deterministic simulation of the KV cluster under faults.", "sim");
  app.add_option("--seeds", seeds, "how many seeds")->capture_default_str();
  CLI::Option* given = app.add_option("--seed", first, "the first seed (default: a fresh one)");
  app.add_option("--workload", workload, StrCat("one of ", StrJoin(WorkloadNames(), ", "), " (default: each seed chooses)"));
  app.add_option("--jobs", jobs, "how many at a time")->capture_default_str();
  app.add_option("--seconds", seconds, "virtual seconds of work under faults")->capture_default_str();
  app.add_option("--trace", trace_path, "write the trace of the (first) seed to this file");
  app.add_option("--faults", faults, "kinds of faults that a seed may choose from: \"all\", \"default\", names; \"all,-bit flip\" for all but one")->capture_default_str();
  app.add_option("--engine", engine, "the state engine: model or rocks (default: each seed chooses, RocksDB one in 20)")->check(CLI::IsMember({"model", "rocks"}));
  app.add_flag("--no-faults", no_faults, "nothing goes wrong");
  app.add_flag("--until-failure", until_failure, "stop at the first seed that fails");
  app.add_option("--mutation", mutation, "with a deliberate bug (base/fault/mutation.h)");
  CLI11_PARSE(app, argc, argv);
  if (given->count() == 0) first = std::random_device()() % 1000000000ull;
  if (!workload.empty() && std::find(WorkloadNames().begin(), WorkloadNames().end(), workload) == WorkloadNames().end()) {
    std::cerr << "sim: no workload '" << workload << "'; there are " << StrJoin(WorkloadNames(), ", ") << "\n";
    return 2;
  }
  RunOptions options;
  options.workload = workload;
  if (!engine.empty()) options.rocks = engine == "rocks";
  options.fault_time = std::chrono::seconds(seconds);
  auto chosen = ParseFaults(no_faults ? "none" : faults);
  if (!chosen) {
    std::cerr << "sim: --faults: no such kind of fault in '" << faults << "'\n";
    return 2;
  }
  options.faults = *std::move(chosen);
  if (!mutation.empty()) {
    options.mutation = fault::FindMutation(mutation);
    if (!options.mutation) {
      std::cerr << "sim: no mutation '" << mutation << "'\n";
      return 2;
    }
  }
  if (!trace_path.empty()) {
    std::ofstream trace(trace_path);
    options.seed = first;
    options.trace = &trace;
    RunResult result = RunSeed(options);
    if (!result.ok()) ShowFailure(result);
    std::cout << "seed " << first << " (" << result.workloads << "): its trace is in " << trace_path << std::endl;
    return result.ok() ? 0 : 1;
  }

  std::vector<RunOptions> runs;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    options.seed = seed;
    runs.push_back(options);
  }
  Sum sum;
  std::vector<RunResult> again;
  RunApart(runs, jobs, [&](size_t, RunResult result) {
    sum.Add(result);
    if (!result.ok()) {
      ++sum.failed;
      ShowFailure(result);
    }
    if (!result.ok() || result.seed % 20 == 0) again.push_back(std::move(result));
    return sum.failed == 0 || !until_failure;
  });
  std::vector<RunOptions> reruns;
  for (const RunResult& result : again) {
    options.seed = result.seed;
    reruns.push_back(options);
  }
  RunApart(reruns, jobs, [&](size_t i, const RunResult& result) {
    if (result.trace_hash == again[i].trace_hash) return true;
    ++sum.failed;
    std::cout << "FAILED seed=" << result.seed << "\n  two runs differ: the simulation is not deterministic" << std::endl;
    return true;
  });
  Show("faults", sum.faults);
  Show("work", sum.counts);
  Show("rare paths", sum.probes);
  std::cout << sum.seeds << " seeds from " << first << ": " << sum.failed << " failed; " << static_cast<uint64_t>(sum.virtual_seconds) << " virtual seconds; " << again.size()
            << " run twice" << std::endl;
  return sum.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace insula::simtest

int main(int argc, char** argv) { return insula::simtest::Main(argc, argv); }
