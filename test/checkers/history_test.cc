#include "test/checkers/history.h"

#include "base/strings.h"
#include "gtest/gtest.h"
#include "test/checkers/txn_history.h"

namespace insula::checkers {
namespace {

std::string Spans(std::string_view text) {
  auto events = ParseHistory(text);
  if (!events.ok()) return "error";
  std::string out;
  for (const OperationSpan& span : PairEvents(*events)) StrAppend(&out, out.empty() ? "" : " ", span.invoked, "-", span.completed);
  return out;
}

TEST(History, TheThreeFormatsGiveTheSameEvents) {
  const char* edn_maps = "{:type :invoke, :f :read, :process 4, :value nil}\n{:type :ok, :f :read, :process 4, :value 3}";
  const char* edn_vector = "[{:type :invoke :f :read :process 4 :value nil} {:type :ok :f :read :process 4 :value 3}]";
  const char* json = R"([{"type":"invoke","f":"read","process":4,"value":null},{"type":"ok","f":"read","process":4,"value":3}])";
  const char* log = "INFO  jepsen.core - setting up\nINFO  jepsen.util - 4\t:invoke\t:read\tnil\nINFO  jepsen.util - 4\t:ok\t:read\t3\n";
  for (const char* text : {edn_maps, edn_vector, json, log}) {
    auto events = ParseHistory(text);
    ASSERT_TRUE(events.ok()) << events.status().ToString();
    ASSERT_EQ(events->size(), 2u) << text;
    EXPECT_EQ((*events)[1].f, "read");
    EXPECT_EQ((*events)[1].type, Event::Type::kOk);
    EXPECT_EQ((*events)[1].value.number, 3);
    EXPECT_EQ(Spans(text), "0-1");
  }
  EXPECT_TRUE(ParseHistory("")->empty());
  EXPECT_FALSE(ParseHistory("[{:f :read}]").ok());
  EXPECT_FALSE(ParseHistory("[1 2]").ok());
}

TEST(History, OperationsOfAProcessEndInTheOrderThatFits) {
  EXPECT_EQ(Spans("{:type :invoke :process 0 :f :a} {:type :invoke :process 1 :f :b} {:type :ok :process 1 :f :b}"), "0--1 1-2");
  // One process with several in flight: the completion's value says which one it is.
  EXPECT_EQ(Spans("{:type :invoke :process 0 :f :w :value 1} {:type :invoke :process 0 :f :w :value 2}"
                  "{:type :ok :process 0 :f :w :value 2} {:type :ok :process 0 :f :w :value 1}"),
            "0-3 1-2");
  EXPECT_EQ(Spans("{:type :invoke :process 0 :f :txn :value [[:append :x 1] [:r :y nil]]}"
                  "{:type :invoke :process 0 :f :txn :value [[:append :x 2] [:r :y nil]]}"
                  "{:type :ok :process 0 :f :txn :value [[:append :x 2] [:r :y [5]]]}"),
            "0--1 1-2");
  // Without an invocation; and what is no client.
  EXPECT_EQ(Spans("{:type :ok :process 0 :f :w} {:type :info :process :nemesis :f :kill}"), "-1-0");
}

TEST(TxnHistory, OutcomesAndResults) {
  auto events = ParseHistory(
      "{:type :invoke :process 0 :f :txn :value [[:r :x nil] [:append :x 1]]}"
      "{:type :ok     :process 0 :f :txn :value [[:r :x [7]] [:append :x 1]]}"
      "{:type :invoke :process 0 :f :txn :value [[:r :x nil]]}"
      "{:type :info   :process 0 :f :txn :value :timed-out}"
      "{:type :invoke :process 1 :f :txn :value [[:append :x 2]]}"
      "{:type :fail   :process 1 :f :txn :value [[:append :x 2]]}"
      "{:type :invoke :process 2 :f :txn :value [[:append :x 3]]}");
  auto history = TxnHistory::FromEvents(*events);
  ASSERT_TRUE(history.ok()) << history.status().ToString();
  ASSERT_EQ(history->txns().size(), 4u);
  EXPECT_EQ(history->Describe(0, "T1"), "T1 = process 0, 0..1, committed: [r :x [7]] [append :x 1]");
  EXPECT_EQ(history->Describe(1, "T2"), "T2 = process 0, 2..3, outcome unknown: [r :x ?]");
  EXPECT_EQ(history->Describe(2, "T3"), "T3 = process 1, 4..5, aborted: [append :x 2]");
  EXPECT_EQ(history->Describe(3, "T4"), "T4 = process 2, 6..?, outcome unknown: [append :x 3]");
}

TEST(TxnHistory, OtherMicroOperationsAreRefused) {
  auto events = ParseHistory("{:type :ok :process 0 :f :txn :value [[:rp :true {}]]}");
  EXPECT_FALSE(TxnHistory::FromEvents(*events).ok());
}

}  // namespace
}  // namespace insula::checkers
