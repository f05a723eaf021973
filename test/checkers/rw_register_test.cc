#include "test/checkers/rw_register.h"

#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

TxnCheckResult Check(std::string_view text, TxnCheckOptions options = {}) {
  auto events = ParseHistory(text);
  EXPECT_TRUE(events.ok()) << events.status().ToString();
  auto history = TxnHistory::FromEvents(*events);
  EXPECT_TRUE(history.ok()) << history.status().ToString();
  return CheckRwRegister(*history, options);
}

std::string Answer(std::string_view text, TxnCheckOptions options = {}) {
  const TxnCheckResult result = Check(text, options);
  Names kinds;
  for (const auto& [name, cases] : result.anomalies) kinds.insert(name);
  return StrCat(VerdictName(result.verdict), kinds.empty() ? "" : ": ", StrJoin(kinds, ", "));
}

TxnCheckOptions Model(const char* model) {
  TxnCheckOptions options;
  options.consistency_models = {model};
  return options;
}

constexpr const char* kWriteTwiceReadFirst =
    "{:type :invoke :process 0 :value [[:w :x 1]]} {:type :ok :process 0 :value [[:w :x 1]]}"
    "{:type :invoke :process 0 :value [[:w :x 2]]} {:type :ok :process 0 :value [[:w :x 2]]}"
    "{:type :invoke :process 1 :value [[:r :x nil]]} {:type :ok :process 1 :value [[:r :x 1]]}";

TEST(RwRegister, ValidHistories) {
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:w :x 1]]} {:type :ok :process 0 :value [[:w :x 1]]}"
                   "{:type :invoke :process 1 :value [[:r :x nil] [:w :x 2]]} {:type :ok :process 1 :value [[:r :x 1] [:w :x 2]]}"
                   "{:type :invoke :process 0 :value [[:r :x nil]]} {:type :ok :process 0 :value [[:r :x 2]]}"),
            "true");
  // What nobody wrote may be an initial value.
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:r :x 7] [:w :y 1]]} {:type :ok :process 1 :value [[:r :y 1]]}"), "true");
}

TEST(RwRegister, G1c) {
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:w :x 1] [:r :y 1]]} {:type :ok :process 1 :value [[:w :y 1] [:r :x 1]]}",
                   Model("read-committed")),
            "false: G1c");
}

TEST(RwRegister, G1aAndG1b) {
  EXPECT_EQ(Answer("{:type :fail :process 0 :value [[:w :x 1]]} {:type :ok :process 1 :value [[:r :x 1]]}"
                   "{:type :ok :process 1 :value [[:w :y 1]]} {:type :ok :process 1 :value [[:r :y 1]]}",
                   Model("read-committed")),
            "false: G1a");
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:w :x 1] [:w :x 2]]} {:type :ok :process 1 :value [[:r :x 1]]}"
                   "{:type :ok :process 1 :value [[:r :x 2]]}",
                   Model("read-committed")),
            "false: G1b");
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:w :x 1] [:r :x 1] [:w :x 2]]} {:type :ok :process 1 :value [[:r :x 2]]}"), "true");
}

TEST(RwRegister, Internal) {
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:w :x 1] [:r :x 2]]}").found.count("internal"), 1u);
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:r :x nil] [:r :x 2]]}").found.count("internal"), 1u);
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:r :y 2] [:w :x 2] [:r :x 2] [:w :x 1] [:r :x 1] [:r :y 2]]}").found.count("internal"), 0u);
}

TEST(RwRegister, EverythingCameAfterNil) {
  const char* skew = "{:type :ok :process 0 :value [[:r :x nil] [:w :y 1]]} {:type :ok :process 1 :value [[:r :y nil] [:w :x 1]]}";
  EXPECT_EQ(Answer(skew, Model("serializable")), "false: G2-item");
  EXPECT_EQ(Answer(skew, Model("snapshot-isolation")), "true");
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:w :x 1] [:w :y 1]]} {:type :ok :process 1 :value [[:r :x 1] [:r :y nil]]}",
                   Model("snapshot-isolation")),
            "false: G-single-item");
}

TEST(RwRegister, LostUpdate) {
  const char* text = "{:type :ok :process 0 :value [[:w :x 1]]} {:type :ok :process 1 :value [[:r :x 1] [:w :x 2]]}"
                     "{:type :ok :process 2 :value [[:r :x 1] [:w :x 3]]}";
  EXPECT_EQ(Check(text, Model("repeatable-read")).anomalies.count("lost-update"), 1u);
}

TEST(RwRegister, TheOrderOfVersionsComesFromWhatMayBeAssumed) {
  // Without an order of 1 and 2, a read of 1 proves nothing.
  EXPECT_EQ(Answer(kWriteTwiceReadFirst), "true");
  TxnCheckOptions linearizable;
  linearizable.linearizable_keys = true;
  // The keys are evidently not linearizable.
  EXPECT_EQ(Answer(kWriteTwiceReadFirst, linearizable), "false: cyclic-versions");
  TxnCheckOptions sequential;
  sequential.sequential_keys = true;
  EXPECT_EQ(Answer(kWriteTwiceReadFirst, sequential), "false: G-single-item-realtime");

  const char* follow = "{:type :ok :process 0 :value [[:r :x 1] [:w :x 2] [:w :y 2]]} {:type :ok :process 1 :value [[:w :x 1]]}"
                       "{:type :ok :process 2 :value [[:r :x 1] [:r :y 2]]}";
  EXPECT_EQ(Answer(follow, Model("serializable")), "true");
  TxnCheckOptions writes_follow_reads = Model("serializable");
  writes_follow_reads.writes_follow_reads = true;
  EXPECT_EQ(Answer(follow, writes_follow_reads), "false: G-single-item");
}

TEST(RwRegister, LinearizableKeysOrderWhatEndedBeforeTheOtherBegan) {
  TxnCheckOptions options = Model("serializable");
  options.linearizable_keys = true;
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:r :x nil] [:r :y nil]]} {:type :ok :process 0 :value [[:r :x 1] [:r :y 1]]}"
                   "{:type :invoke :process 1 :value [[:r :x nil] [:w :y 2]]} {:type :invoke :process 2 :value [[:r :y nil] [:w :x 2]]}"
                   "{:type :ok :process 2 :value [[:r :y 1] [:w :x 2]]} {:type :ok :process 1 :value [[:r :x 1] [:w :y 2]]}",
                   options),
            "false: G2-item");
}

TEST(RwRegister, ALostWriteThatWasReadHasHappened) {
  // All of it: the reader of x missed its write of y.
  EXPECT_EQ(Answer("{:type :info :process 0 :value [[:w :x 1] [:w :y 1]]} {:type :ok :process 1 :value [[:r :x 1] [:r :y nil]]}",
                   Model("snapshot-isolation")),
            "false: G-single-item");
  // Nothing of it was read: nobody missed it.
  EXPECT_EQ(Answer("{:type :info :process 0 :value [[:w :x 1] [:w :y 1]]} {:type :ok :process 1 :value [[:r :x nil] [:w :z 1]]}"
                   "{:type :ok :process 1 :value [[:r :y nil] [:r :z 1]]}"),
            "true");
}

TEST(RwRegister, AValueWrittenTwiceAndReadIsUnknown) {
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:w :x 1]]} {:type :ok :process 1 :value [[:w :x 1]]} {:type :ok :process 2 :value [[:r :x 1]]}")
                .verdict,
            Verdict::kUnknown);
}

}  // namespace
}  // namespace insula::checkers
