// Histories of simulated databases: what an isolation level gives is never found wanting at that level, and lies are caught.
#include "test/checkers/random_history.h"

#include "base/strings.h"
#include "gtest/gtest.h"
#include "test/checkers/list_append.h"
#include "test/checkers/rw_register.h"

namespace insula::checkers {
namespace {

constexpr uint64_t kSeeds = 150;

TxnCheckResult Check(const RandomHistoryOptions& options, const std::vector<RandomTxn>& txns, const Names& models) {
  TxnCheckOptions check;
  check.consistency_models = models;
  check.all_writes_known = true;
  const TxnHistory history = ToHistory(txns);
  return options.registers ? CheckRwRegister(history, check) : CheckListAppend(history, check);
}

// How many of the seeds' histories do not hold at `model`.
int Invalid(RandomHistoryOptions options, const Names& models) {
  int invalid = 0;
  for (options.seed = 1; options.seed <= kSeeds; ++options.seed) {
    const TxnCheckResult result = Check(options, RandomTxns(options), models);
    EXPECT_NE(result.verdict, Verdict::kUnknown) << result.ToString();
    invalid += result.verdict == Verdict::kInvalid ? 1 : 0;
  }
  return invalid;
}

TEST(RandomHistories, SerialOnesAreStrictlySerializable) {
  for (bool registers : {false, true}) {
    for (int processes : {1, 3, 10}) {
      EXPECT_EQ(Invalid({.processes = processes, .registers = registers}, {"strict-serializable"}), 0) << registers << processes;
    }
  }
}

TEST(RandomHistories, RegistersWithAllThatMayBeAssumedOfASerialDatabase) {
  RandomHistoryOptions options{.registers = true};
  for (options.seed = 1; options.seed <= kSeeds; ++options.seed) {
    const TxnHistory history = ToHistory(RandomTxns(options));
    const TxnCheckOptions check{.all_writes_known = true,
                                .writes_follow_reads = true,
                                .sequential_keys = true,
                                .linearizable_keys = true};
    const TxnCheckResult result = CheckRwRegister(history, check);
    EXPECT_EQ(result.verdict, Verdict::kValid) << "seed " << options.seed << "\n" << result.ToString();
  }
}

TEST(RandomHistories, SnapshotIsolationIsThatAndNoMore) {
  const RandomHistoryOptions lists{.isolation = Isolation::kSnapshot};
  EXPECT_EQ(Invalid(lists, {"strong-snapshot-isolation"}), 0);
  EXPECT_GT(Invalid(lists, {"serializable"}), static_cast<int>(kSeeds / 2));
  const RandomHistoryOptions registers{.registers = true, .isolation = Isolation::kSnapshot};
  EXPECT_EQ(Invalid(registers, {"strong-snapshot-isolation"}), 0);
}

TEST(RandomHistories, ReadCommittedIsThatAndNoMore) {
  const RandomHistoryOptions options{.isolation = Isolation::kReadCommitted};
  EXPECT_EQ(Invalid(options, {"read-committed"}), 0);
  EXPECT_GT(Invalid(options, {"snapshot-isolation"}), static_cast<int>(kSeeds * 9 / 10));
}

TEST(RandomHistories, EachLieIsCaught) {
  for (Lie lie : {Lie::kStaleRead, Lie::kLostAppend, Lie::kAbortedRead, Lie::kDuplicate, Lie::kOtherOrder}) {
    int told = 0;
    RandomHistoryOptions options;
    for (options.seed = 1; options.seed <= kSeeds; ++options.seed) {
      auto txns = RandomTxns(options);
      if (!TellLie(lie, options.seed, &txns)) continue;
      ++told;
      const TxnCheckResult result = Check(options, txns, {"strict-serializable"});
      EXPECT_EQ(result.verdict, Verdict::kInvalid) << LieName(lie) << ", seed " << options.seed << "\n" << result.ToString();
    }
    EXPECT_GT(told, static_cast<int>(kSeeds / 2)) << LieName(lie);
  }
}

TEST(RandomHistories, AHundredThousandTransactions) {
  RandomHistoryOptions options{.txns = 100'000, .processes = 20, .keys = 10, .writes_per_key = 100};
  EXPECT_EQ(Check(options, RandomTxns(options), {"strict-serializable"}).verdict, Verdict::kValid);
  options.isolation = Isolation::kSnapshot;
  EXPECT_EQ(Check(options, RandomTxns(options), {"strict-serializable"}).verdict, Verdict::kInvalid);
  options.registers = true;
  EXPECT_EQ(Check(options, RandomTxns(options), {"strong-snapshot-isolation"}).verdict, Verdict::kValid);
}

}  // namespace
}  // namespace insula::checkers
