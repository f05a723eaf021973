#include "test/checkers/workloads.h"

#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

std::vector<Event> Parse(std::string_view text) {
  auto events = ParseHistory(text);
  EXPECT_TRUE(events.ok()) << events.status().ToString();
  return *events;
}

std::string Bank(std::string_view text, BankOptions options = {}) { return VerdictName(CheckBank(Parse(text), options).verdict); }
std::string Counter(std::string_view text) { return VerdictName(CheckCounter(Parse(text)).verdict); }
std::string Set(std::string_view text) { return VerdictName(CheckSet(Parse(text)).verdict); }
std::string SetFull(std::string_view text) { return VerdictName(CheckSetFull(Parse(text)).verdict); }
std::string LongFork(std::string_view text, size_t group = 0) { return VerdictName(CheckLongFork(Parse(text), group).verdict); }

TEST(Bank, TotalsAccountsAndBalances) {
  EXPECT_EQ(Bank("{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 3, 1 7}}"), "true");
  EXPECT_EQ(Bank("{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 3, 1 6}}"), "false");
  EXPECT_EQ(Bank("{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 3, 2 7}}"), "false");
  EXPECT_EQ(Bank("{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 10, 1 nil}}"), "false");
  const char* negative = "{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 11, 1 -1}}";
  EXPECT_EQ(Bank(negative), "false");
  EXPECT_EQ(Bank(negative, {.allow_negative_balances = true, .total_amount = std::nullopt}), "true");
  EXPECT_EQ(Bank("{:type :ok :f :read :value {0 10}}", {.allow_negative_balances = false, .total_amount = 20}), "false");
  EXPECT_EQ(Bank("{:type :info :f :read :value {0 10}} {:type :fail :f :read :value {0 11}}"), "true");
}

TEST(Counter, ReadsLieBetweenWhatWasSurelyAndWhatWasMaybeAdded) {
  const char* add = "{:type :invoke :f :add :value 1 :process 0} {:type :ok :f :add :value 1 :process 0}";
  auto with = [&](const char* rest) { return std::string(add) + rest; };
  EXPECT_EQ(Counter(with("{:type :invoke :f :read :process 1} {:type :ok :f :read :value 1 :process 1}")), "true");
  EXPECT_EQ(Counter(with("{:type :invoke :f :read :process 1} {:type :ok :f :read :value 0 :process 1}")), "false");
  EXPECT_EQ(Counter(with("{:type :invoke :f :read :process 1} {:type :ok :f :read :value 2 :process 1}")), "false");
  EXPECT_EQ(Counter(with("{:type :invoke :f :add :value 1 :process 0} {:type :info :f :add :value 1 :process 0}"
                         "{:type :invoke :f :read :process 1} {:type :ok :f :read :value 2 :process 1}")),
            "true");
  EXPECT_EQ(Counter(with("{:type :invoke :f :add :value 1 :process 0} {:type :fail :f :add :value 1 :process 0}"
                         "{:type :invoke :f :read :process 1} {:type :ok :f :read :value 2 :process 1}")),
            "false");
}

TEST(Set, TheLastReadHasAllThatWasAcknowledged) {
  const char* adds = "{:type :invoke :f :add :value 1 :process 0} {:type :ok :f :add :value 1 :process 0}"
                     "{:type :invoke :f :add :value 2 :process 0} {:type :info :f :add :value 2 :process 0}";
  auto read = [&](const char* value) { return std::string(adds) + "{:type :ok :f :read :process 0 :value " + value + "}"; };
  EXPECT_EQ(Set(read("#{1}")), "true");
  EXPECT_EQ(Set(read("[1 2]")), "true");
  EXPECT_EQ(Set(read("#{2}")), "false");
  EXPECT_EQ(Set(read("#{1 3}")), "false");
  EXPECT_EQ(Set(adds), "unknown");
}

TEST(SetFull, NothingThatWasInDisappearsForGood) {
  const char* add = "{:type :invoke :f :add :value 1 :process 0} {:type :ok :f :add :value 1 :process 0}";
  auto reads = [&](const char* first, const char* second) {
    auto read = [](const char* value) {
      return std::string("{:type :invoke :f :read :process 1} {:type :ok :f :read :process 1 :value ") + value + "}";
    };
    return std::string(add) + read(first) + read(second);
  };
  EXPECT_EQ(SetFull(reads("#{1}", "#{1}")), "true");
  EXPECT_EQ(SetFull(reads("#{}", "#{1}")), "true");  // stale for a while
  EXPECT_EQ(SetFull(reads("#{1}", "#{}")), "false");
  EXPECT_EQ(SetFull(reads("#{}", "#{}")), "false");
  EXPECT_EQ(SetFull(add), "unknown");
}

TEST(LongFork, ReadsOfAGroupHaveOneOrder) {
  const char* writes = "{:type :invoke :f :write :process 0 :value [[:w 0 1]]} {:type :invoke :f :write :process 1 :value [[:w 1 1]]}";
  auto with = [&](const char* reads) { return std::string(writes) + reads; };
  EXPECT_EQ(LongFork(with("{:type :ok :f :read :value [[:r 0 nil] [:r 1 nil]]} {:type :ok :f :read :value [[:r 1 1] [:r 0 nil]]}"
                          "{:type :ok :f :read :value [[:r 0 1] [:r 1 1]]}")),
            "true");
  const char* fork = "{:type :ok :f :read :value [[:r 0 nil] [:r 1 1]]} {:type :ok :f :read :value [[:r 0 1] [:r 1 nil]]}";
  EXPECT_EQ(LongFork(with(fork)), "false");
  EXPECT_EQ(LongFork(with(fork), 3), "unknown");
  EXPECT_EQ(LongFork(with("{:type :invoke :f :write :process 1 :value [[:w 1 2]]}")), "unknown");
}

TEST(Comments, WhoSeesAWriteSeesThoseThatEndedBeforeIt) {
  const char* writes = "{:type :invoke :f :write :value 1 :process 0} {:type :ok :f :write :value 1 :process 0}"
                       "{:type :invoke :f :write :value 2 :process 0} {:type :ok :f :write :value 2 :process 0}";
  auto verdict = [&](const char* seen) {
    return VerdictName(CheckComments(Parse(std::string(writes) + "{:type :ok :f :read :process 1 :value " + seen + "}")).verdict);
  };
  EXPECT_EQ(verdict("#{}"), "true");
  EXPECT_EQ(verdict("#{1}"), "true");
  EXPECT_EQ(verdict("#{1 2}"), "true");
  EXPECT_EQ(verdict("#{2}"), "false");
}

TEST(Sequential, WhoFindsANewerInsertFindsTheOlderOnes) {
  auto verdict = [](const char* read) {
    return VerdictName(CheckSequential(Parse(std::string("{:type :ok :f :read :process 1 :value ") + read + "}")).verdict);
  };
  EXPECT_EQ(verdict("[0 [nil nil nil]]"), "true");
  EXPECT_EQ(verdict("[0 [nil \"0_1\" \"0_0\"]]"), "true");
  EXPECT_EQ(verdict("[0 [\"0_2\" nil \"0_0\"]]"), "false");
}

}  // namespace
}  // namespace insula::checkers
