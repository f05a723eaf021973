// The simulator sees: each deliberate bug (base/fault/mutation.h) makes a seed fail, and soon. The same seed is sound without it.
//
// Each bug is looked for in the workload that it would hurt, from a seed that is known to be near one that sees it: what is proven is that
// the checks see it, and `./dev sim --mutation=M` tells how long that takes from anywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fault/mutation.h"
#include "test/sim/run.h"

namespace insula::simtest {
namespace {

using fault::Mutation;

constexpr uint64_t kMostSeeds = 200;

struct Hunt {
  Mutation mutation;
  const char* workload;  // "": each seed chooses
  uint64_t first_seed;
  const char* faults = "default";  // fewer kinds, where it takes some of them together
};

class EachMutation : public testing::TestWithParam<Hunt> {};

TEST_P(EachMutation, IsCaught) {
  const Hunt& hunt = GetParam();
  const std::set<Fault> faults = *ParseFaults(hunt.faults);
  std::vector<RunOptions> runs;
  for (uint64_t i = 0; i < kMostSeeds; ++i) runs.push_back({.seed = hunt.first_seed + i, .workload = hunt.workload, .faults = faults, .mutation = hunt.mutation});
  uint64_t tried = 0;
  RunResult caught;
  RunApart(runs, 1, [&](size_t, RunResult result) {
    ++tried;
    caught = std::move(result);
    return caught.ok();
  });
  ASSERT_FALSE(caught.ok()) << "no seed of " << tried << " sees " << fault::NameOf(hunt.mutation);
  std::cout << "mutation " << fault::NameOf(hunt.mutation) << ": caught after " << tried << " seeds (seed " << caught.seed << ", " << caught.workloads << "): " << caught.violations[0] << "\n";
  RunApart({{.seed = caught.seed, .workload = hunt.workload, .faults = faults, .mutation = std::nullopt}}, 1, [&](size_t, const RunResult& sound) {
    for (const auto& violation : sound.violations) ADD_FAILURE() << "seed " << sound.seed << " fails without the bug, too: " << violation;
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(All, EachMutation,
                         testing::Values(Hunt{Mutation::kSkipFsync, "bank", 1}, Hunt{Mutation::kDropTimestampCache, "counter", 1}, Hunt{Mutation::kCountQuorumWrongly, "counter", 10},
                                         Hunt{Mutation::kForgetLock, "levels", 1}, Hunt{Mutation::kApplyTwice, "counter", 1}, Hunt{Mutation::kTruncateEarly, "bank", 1},
                                         Hunt{Mutation::kZombieWrites, "tenants", 1}, Hunt{Mutation::kSkipRefresh, "counter", 1}, Hunt{Mutation::kForgetRollback, "levels", 9},
                                         Hunt{Mutation::kLoseAbortMarker, "outcome", 1}, Hunt{Mutation::kReadWithoutLease, "register", 1, "island"},
                                         Hunt{Mutation::kIgnoreUncertainty, "register", 4, "clock skew,reordering,partial partition"},
                                         Hunt{Mutation::kForgetReads, "append", 3, "lease transfer"}, Hunt{Mutation::kAnswerEarly, "register", 1, "clock skew"},
                                         Hunt{Mutation::kForgetDataSync, "bank", 1}),
                         [](const auto& info) {
                           std::string name(fault::NameOf(info.param.mutation));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace insula::simtest
