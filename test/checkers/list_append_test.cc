#include "test/checkers/list_append.h"

#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

TxnHistory Parse(std::string_view text) {
  auto events = ParseHistory(text);
  EXPECT_TRUE(events.ok()) << events.status().ToString();
  auto history = TxnHistory::FromEvents(*events);
  EXPECT_TRUE(history.ok()) << history.status().ToString();
  return *history;
}

TxnCheckResult Check(std::string_view text, const Names& models = {}) {
  TxnCheckOptions options;
  options.consistency_models = models;
  return CheckListAppend(Parse(text), options);
}

// "false: G1c, internal"
std::string Answer(std::string_view text, const Names& models = {}) {
  const TxnCheckResult result = Check(text, models);
  Names kinds;
  for (const auto& [name, cases] : result.anomalies) kinds.insert(name);
  return StrCat(VerdictName(result.verdict), kinds.empty() ? "" : ": ", StrJoin(kinds, ", "));
}

TEST(ListAppend, AHistoryThatAnyOrderGivesIsValid) {
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:append :x 1]]} {:type :ok :process 0 :value [[:append :x 1]]}"
                   "{:type :invoke :process 1 :value [[:r :x nil] [:append :x 2]]}"
                   "{:type :ok :process 1 :value [[:r :x [1]] [:append :x 2]]}"
                   "{:type :invoke :process 0 :value [[:r :x nil]]} {:type :ok :process 0 :value [[:r :x [1 2]]]}"),
            "true");
}

TEST(ListAppend, NothingToRelateIsUnknown) {
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:append :x 1]]}"), "unknown: empty-transaction-graph");
  EXPECT_EQ(Answer(""), "unknown: empty-transaction-graph");
}

TEST(ListAppend, G0WritesOfTwoTransactionsInterleave) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1] [:append :y 1]]}"
                     "{:type :ok :process 1 :value [[:append :x 2] [:append :y 2]]}"
                     "{:type :ok :process 2 :value [[:r :x [1 2]] [:r :y [2 1]]]}";
  EXPECT_EQ(Answer(text, {"read-uncommitted"}), "false: G0");
  EXPECT_EQ(Check(text).weakest_ruled_out, Names{"read-uncommitted"});
}

TEST(ListAppend, G1aAReadOfWhatWasAborted) {
  const char* text = "{:type :fail :process 0 :value [[:append :x 1]]}"
                     "{:type :ok :process 1 :value [[:r :x [1]] [:append :x 2]]}"
                     "{:type :ok :process 1 :value [[:r :x [1 2]]]}";
  EXPECT_EQ(Answer(text, {"read-committed"}), "false: G1a, dirty-update");
  EXPECT_EQ(Answer(text, {"read-uncommitted"}), "true");
}

TEST(ListAppend, WhatALostTransactionWroteMayBeRead) {
  EXPECT_EQ(Answer("{:type :info :process 0 :value [[:append :x 1] [:r :x nil]]} {:type :ok :process 1 :value [[:r :x [1]]]}"), "true");
  // Not read: it may have happened or not.
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:append :x 1]]} {:type :info :process 0 :value [[:append :x 1]]}"
                   "{:type :invoke :process 1 :value [[:append :x 2]]} {:type :ok :process 1 :value [[:append :x 2]]}"
                   "{:type :invoke :process 2 :value [[:r :x nil]]} {:type :ok :process 2 :value [[:r :x [2]]]}"),
            "true");
}

TEST(ListAppend, G1bAReadOfAnIntermediateVersion) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1] [:append :x 2]]} {:type :ok :process 1 :value [[:r :x [1]]]}"
                     "{:type :ok :process 1 :value [[:r :x [1 2]]]}";
  EXPECT_EQ(Check(text, {"read-committed"}).anomalies.count("G1b"), 1u);
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:append :x 1] [:r :x [1]] [:append :x 2]]}"
                   "{:type :ok :process 1 :value [[:r :x [1 2]]]}"),
            "true");
}

TEST(ListAppend, G1cInformationFlowsInACircle) {
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:append :x 1] [:r :y [1]]]}"
                   "{:type :ok :process 1 :value [[:append :y 1] [:r :x [1]]]}",
                   {"read-committed"}),
            "false: G1c");
}

TEST(ListAppend, GSingleOneStaleRead) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1] [:append :y 1]]}"
                     "{:type :ok :process 1 :value [[:r :x [1]] [:r :y nil]]}";
  EXPECT_EQ(Answer(text, {"snapshot-isolation"}), "false: G-single-item");
  EXPECT_EQ(Answer(text, {"read-committed"}), "true");
}

TEST(ListAppend, GNonadjacentTwoReadersSeeTwoWritersInOppositeOrders) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:append :y 1]]}"
                     "{:type :ok :process 2 :value [[:r :x [1]] [:r :y nil]]} {:type :ok :process 3 :value [[:r :x nil] [:r :y [1]]]}";
  EXPECT_EQ(Answer(text, {"snapshot-isolation"}), "false: G-nonadjacent-item");
}

TEST(ListAppend, G2ItemWriteSkew) {
  const char* text = "{:type :ok :process 0 :value [[:r :x nil] [:append :y 1]]} {:type :ok :process 1 :value [[:r :y nil] [:append :x 1]]}";
  EXPECT_EQ(Answer(text, {"serializable"}), "false: G2-item");
  EXPECT_EQ(Answer(text, {"snapshot-isolation"}), "true");
}

TEST(ListAppend, LostUpdate) {
  const char* text = "{:type :ok :process 0 :value [[:r :x [1]] [:append :x 2]]} {:type :ok :process 1 :value [[:r :x [1]] [:append :x 3]]}"
                     "{:type :ok :process 2 :value [[:append :x 1]]}";
  EXPECT_EQ(Check(text, {"repeatable-read"}).anomalies.count("lost-update"), 1u);
  EXPECT_EQ(Answer("{:type :ok :process 0 :value [[:r :x [1]] [:append :x 2]]} {:type :ok :process 1 :value [[:r :x [1 2]] [:append :x 3]]}"
                   "{:type :ok :process 2 :value [[:append :x 1]]}"),
            "true");
}

TEST(ListAppend, RealtimeAnAcknowledgedAppendIsNotSeenLater) {
  const char* text = "{:type :invoke :process 0 :value [[:append :x 1]]} {:type :ok :process 0 :value [[:append :x 1]]}"
                     "{:type :invoke :process 1 :value [[:r :x nil]]} {:type :ok :process 1 :value [[:r :x nil]]}";
  EXPECT_EQ(Answer(text), "false: G-single-item-realtime");
  EXPECT_EQ(Answer(text, {"serializable"}), "true");
  // Concurrent: the read may have come first.
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:append :x 1]]} {:type :invoke :process 1 :value [[:r :x nil]]}"
                   "{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:r :x nil]]}"),
            "true");
}

TEST(ListAppend, AnAppendThatDisappears) {
  // Seen, then gone: the reads exclude each other.
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 0 :value [[:append :x 2]]}"
                  "{:type :ok :process 0 :value [[:append :x 3]]}"
                  "{:type :ok :process 1 :value [[:r :x [1 2]]]} {:type :ok :process 1 :value [[:r :x [1 3]]]}")
                .anomalies.count("incompatible-order"),
            1u);
  // Never seen, although others that began later were: it has to come before and after them.
  EXPECT_EQ(Answer("{:type :invoke :process 0 :value [[:append :x 1]]} {:type :ok :process 0 :value [[:append :x 1]]}"
                   "{:type :invoke :process 0 :value [[:append :x 2]]} {:type :ok :process 0 :value [[:append :x 2]]}"
                   "{:type :invoke :process 1 :value [[:r :x nil]]} {:type :ok :process 1 :value [[:r :x [2]]]}"),
            "false: G-single-item-realtime, G0-realtime");
}

TEST(ListAppend, ProcessAClientDoesNotSeeItsOwnAppend) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 0 :value [[:r :x nil]]}";
  EXPECT_EQ(Answer(text, {"strong-session-snapshot-isolation"}), "false: G-single-item-process");
  EXPECT_EQ(Answer(text, {"snapshot-isolation"}), "true");
}

TEST(ListAppend, Internal) {
  auto internal = [](std::string_view ops) {
    return Check(StrCat("{:type :ok :process 0 :value ", ops, "}")).found.count("internal") > 0;
  };
  EXPECT_FALSE(internal("[[:r :x [1 2]] [:append :x 3] [:r :x [1 2 3]] [:r :y nil] [:append :y 1] [:r :y [1]]]"));
  EXPECT_FALSE(internal("[[:append :x 3] [:r :x [1 2 3]]]"));
  EXPECT_TRUE(internal("[[:append :x 3] [:r :x nil]]"));
  EXPECT_TRUE(internal("[[:append :x 3] [:append :x 4] [:r :x [1 4]]]"));
  EXPECT_TRUE(internal("[[:r :x [1 2]] [:append :x 3] [:r :x [0 2 3]]]"));
  EXPECT_TRUE(internal("[[:r :x [1 2]] [:r :x [1 2 3]]]"));
  EXPECT_TRUE(internal("[[:r :x nil] [:r :x [1]]]"));
}

TEST(ListAppend, FutureRead) {
  auto future = [](std::string_view ops) {
    return Check(StrCat("{:type :ok :process 0 :value ", ops, "}")).found.count("future-read") > 0;
  };
  EXPECT_TRUE(future("[[:append :x 1] [:r :x [0 1]] [:append :x 0]]"));
  EXPECT_FALSE(future("[[:append :x 1] [:r :x [0 1]] [:append :x 2]]"));
  EXPECT_FALSE(future("[[:append :x 1] [:r :y [2]] [:append :x 2]]"));
}

TEST(ListAppend, DuplicateElements) {
  const char* text = "{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:r :x [1 1]]]}";
  EXPECT_EQ(Answer(text, {"read-uncommitted"}), "false: duplicate-elements");
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:r :x [1]]]}"
                  "{:type :ok :process 1 :value [[:r :y [7 7]]]} {:type :ok :process 1 :value [[:r :y [7 7 8]]]}")
                .found.count("duplicate-elements"),
            1u);
}

TEST(ListAppend, DirtyUpdate) {
  auto dirty = [](const char* middle) {
    return Check(StrCat("{:type :fail :process 0 :value [[:append :x 1]]} {:type :", middle, " :process 1 :value [[:append :x 2]]}",
                        "{:type :ok :process 2 :value [[:append :x 3]]} {:type :info :process 3 :value [[:r :x [1 2 3]]]}"))
               .found.count("dirty-update") > 0;
  };
  EXPECT_TRUE(dirty("ok"));
  EXPECT_TRUE(dirty("info"));
  EXPECT_FALSE(Check("{:type :info :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:append :x 2]]}"
                     "{:type :ok :process 2 :value [[:r :x [1 2]]]}")
                   .found.count("dirty-update") > 0);
}

TEST(ListAppend, AReadOfWhatNobodyAppendedCountsWhenAllAppendsAreKnown) {
  TxnCheckOptions options;
  const TxnHistory history = Parse("{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:r :x [1 9]]]}"
                                   "{:type :ok :process 1 :value [[:r :x [1]]]}");
  EXPECT_EQ(CheckListAppend(history, options).found.count("unwritten-read"), 0u);
  options.all_writes_known = true;
  const TxnCheckResult result = CheckListAppend(history, options);
  EXPECT_EQ(result.verdict, Verdict::kInvalid);
  EXPECT_EQ(result.anomalies.count("unwritten-read"), 1u);
}

TEST(ListAppend, WhatItCannotCheckIsUnknown) {
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:append :x 1]]} {:type :ok :process 1 :value [[:append :x 1]]}").verdict, Verdict::kUnknown);
  EXPECT_EQ(Check("{:type :ok :process 0 :value [[:w :x 1]]}").verdict, Verdict::kUnknown);
}

TEST(ListAppend, AnExplanationNamesTransactionsAndReasons) {
  const TxnCheckResult result = Check("{:type :ok :process 0 :value [[:r :x nil] [:append :y 1]]}"
                                      "{:type :ok :process 1 :value [[:r :y nil] [:append :x 1]]}",
                                      {"serializable"});
  ASSERT_EQ(result.anomalies.count("G2-item"), 1u);
  EXPECT_EQ(result.anomalies.at("G2-item").front(),
            "Let\n"
            "  T1 = process 0, ?..0, committed: [r :x nil] [append :y 1]\n"
            "  T2 = process 1, ?..1, committed: [r :y nil] [append :x 1]\n"
            "Then\n"
            "  T1 < T2: T1 read :x without 1, which T2 appended next\n"
            "  but T2 < T1: T2 read :y without 1, which T1 appended next");
}

TEST(ListAppend, ASimulationRecordsAsItGoes) {
  TxnHistory history;
  const int a = history.Begin(0, {MicroOp::Append(1, 10)});
  const int b = history.Begin(1, {MicroOp::Read(1), MicroOp::Append(2, 20)});
  history.Commit(a, {MicroOp::Append(1, 10)});
  const int c = history.Begin(2, {MicroOp::Append(1, 11)});
  history.Abort(c);
  history.Commit(b, {MicroOp::ReadList(1, {10}), MicroOp::Append(2, 20)});
  const int d = history.Begin(3, {MicroOp::Append(1, 12)});
  history.Lose(d);
  EXPECT_EQ(CheckListAppend(history, {}).verdict, Verdict::kValid);
  const int e = history.Begin(0, {MicroOp::Read(1)});
  history.Commit(e, {MicroOp::ReadList(1, {10, 11})});
  EXPECT_EQ(CheckListAppend(history, {}).anomalies.count("G1a"), 1u);
}

}  // namespace
}  // namespace insula::checkers
