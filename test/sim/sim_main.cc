// ./dev sim --seeds=N [--seed=S] [--trace=FILE]: the bank under faults, over N seeds from S on (default: fresh ones).
//
// Every 20th seed runs twice, and the two traces must be the same. A failing seed runs again to show that it fails the same way.
#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <random>

#include "base/log/log.h"
#include "test/sim/bank.h"

namespace insula::simtest {
namespace {

int Main(int argc, char** argv) {
  uint64_t seeds = 1, first = 0;
  std::string trace_path;
  CLI::App app("Deterministic simulation of the KV cluster: a bank under faults.", "sim");
  app.add_option("--seeds", seeds, "how many seeds")->capture_default_str();
  CLI::Option* given = app.add_option("--seed", first, "the first seed (default: a fresh one)");
  app.add_option("--trace", trace_path, "write the trace of the (first) seed to this file");
  CLI11_PARSE(app, argc, argv);
  log::SetLevel(log::Level::kOff);
  if (given->count() == 0) first = std::random_device()() % 1000000000ull;
  std::ofstream trace;
  if (!trace_path.empty()) trace.open(trace_path);

  int failures = 0;
  BankResult sum;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    BankResult result = RunBank({.seed = seed, .trace = trace.is_open() && seed == first ? &trace : nullptr});
    sum.committed += result.committed;
    sum.unknown += result.unknown;
    sum.audits += result.audits;
    sum.crashes += result.crashes;
    sum.partitions += result.partitions;
    sum.virtual_seconds += result.virtual_seconds;
    bool again = seed % 20 == 0 || !result.violations.empty();
    if (again && RunBank({.seed = seed}).trace_hash != result.trace_hash) result.violations.push_back("two runs differ: the simulation is not deterministic");
    if (result.violations.empty()) continue;
    ++failures;
    std::cout << "FAILED seed=" << seed << "\n";
    for (size_t i = 0; i < result.violations.size() && i < 5; ++i) std::cout << "  " << result.violations[i] << "\n";
  }
  std::cout << seeds << " seeds from " << first << ": " << failures << " failed; " << sum.virtual_seconds << " virtual seconds, " << sum.committed << " transfers, " << sum.unknown
            << " of unknown fate, " << sum.audits << " audits, " << sum.crashes << " crashes, " << sum.partitions << " partitions" << std::endl;
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace insula::simtest

int main(int argc, char** argv) { return insula::simtest::Main(argc, argv); }
