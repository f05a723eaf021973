#include "test/checkers/linearizability.h"

#include <random>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "test/checkers/models.h"

namespace insula::checkers {
namespace {

Value Edn(std::string_view text) { return ParseEdn(text)->front(); }

// Each line: process, type, f, value; as in "0 :invoke :write 1".
std::vector<Event> Events(std::string_view text) {
  std::vector<Event> events;
  auto forms = ParseEdn(text);
  EXPECT_TRUE(forms.ok());
  for (size_t i = 0; i + 3 < forms->size(); i += 4) {
    auto parsed = EventsFromValues({Value::Map({Edn(":process"), (*forms)[i], Edn(":type"), (*forms)[i + 1], Edn(":f"),
                                                (*forms)[i + 2], Edn(":value"), (*forms)[i + 3]})});
    EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
    events.push_back(parsed->front());
  }
  return events;
}

std::string Answer(std::string_view model, std::string_view text, FailMeans fail = FailMeans::kDidNotHappen,
                   NilRead nil = NilRead::kEmpty) {
  const auto m = NewModel(model, nil);
  return VerdictName(CheckLinearizable(OperationsFromEvents(Events(text), fail), m.get()).verdict);
}

TEST(Linearizability, ARegisterReadsWhatWasWrittenLast) {
  EXPECT_EQ(Answer("register", ""), "true");
  EXPECT_EQ(Answer("register", "0 :invoke :read nil 0 :ok :read nil 0 :invoke :write 1 0 :ok :write 1 1 :invoke :read nil 1 :ok :read 1"), "true");
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 0 :ok :write 1 1 :invoke :read nil 1 :ok :read 2"), "false");
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 0 :ok :write 1 1 :invoke :read nil 1 :ok :read nil"), "false");
}

TEST(Linearizability, ConcurrentOperationsMayTakeEffectInAnyOrder) {
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 1 :invoke :write 2 1 :ok :write 2 0 :ok :write 1 1 :invoke :read nil 1 :ok :read 2"), "true");
  // But reads that follow each other cannot go back.
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 1 :invoke :read nil 1 :ok :read 1 1 :invoke :read nil 1 :ok :read nil 0 :ok :write 1"), "false");
}

TEST(Linearizability, ACrashedWriteTakesEffectAtAnyLaterTimeOrNever) {
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 0 :info :write nil 1 :invoke :read nil 1 :ok :read nil 1 :invoke :read nil 1 :ok :read 1"), "true");
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 1 :invoke :read nil 1 :ok :read nil"), "true");
  // Once, and not before it was asked for.
  EXPECT_EQ(Answer("register", "1 :invoke :read nil 1 :ok :read 1 0 :invoke :write 1 0 :info :write 1"), "false");
  EXPECT_EQ(Answer("register", "0 :invoke :write 1 0 :info :write 1 1 :invoke :read nil 1 :ok :read 1 1 :invoke :write 2 1 :ok :write 2"
                               " 1 :invoke :read nil 1 :ok :read 2 1 :invoke :read nil 1 :ok :read 1"),
            "false");
}

TEST(Linearizability, CompareAndSet) {
  EXPECT_EQ(Answer("cas-register", "0 :invoke :write 1 0 :ok :write 1 0 :invoke :cas [1 2] 0 :ok :cas [1 2] 0 :invoke :read nil 0 :ok :read 2"), "true");
  EXPECT_EQ(Answer("cas-register", "0 :invoke :write 1 0 :ok :write 1 0 :invoke :cas [2 3] 0 :ok :cas [2 3]"), "false");
  const char* failed = "0 :invoke :write 1 0 :ok :write 1 0 :invoke :cas [1 3] 0 :fail :cas [1 3]";
  EXPECT_EQ(Answer("cas-register", failed, FailMeans::kDidNotHappen), "true");
  EXPECT_EQ(Answer("cas-register", failed, FailMeans::kAnsweredNo), "false");
}

TEST(Linearizability, AReadOfNilIsAnAnswerOrNone) {
  const char* text = "0 :invoke :write 1 0 :ok :write 1 0 :invoke :read nil 0 :ok :read nil";
  EXPECT_EQ(Answer("register", text, FailMeans::kDidNotHappen, NilRead::kEmpty), "false");
  EXPECT_EQ(Answer("register", text, FailMeans::kDidNotHappen, NilRead::kNotTold), "true");
}

TEST(Linearizability, MultiRegister) {
  EXPECT_EQ(Answer("multi-register", "0 :invoke :txn [[:write :x 1] [:write :y 1]] 0 :ok :txn [[:write :x 1] [:write :y 1]]"
                                     " 1 :invoke :txn [[:read :x nil] [:read :y nil]] 1 :ok :txn [[:read :x 1] [:read :y 1]]"),
            "true");
  EXPECT_EQ(Answer("multi-register", "0 :invoke :txn [[:write :x 1] [:write :y 1]] 1 :invoke :txn [[:read :x nil] [:read :y nil]]"
                                     " 0 :ok :txn [[:write :x 1] [:write :y 1]] 1 :ok :txn [[:read :x 1] [:read :y nil]]"),
            "false");
}

TEST(Linearizability, CounterListSetQueueAndText) {
  EXPECT_EQ(Answer("counter", "0 :invoke :add 2 1 :invoke :read nil 1 :ok :read 2 0 :ok :add 2"), "true");
  EXPECT_EQ(Answer("counter", "0 :invoke :add 2 0 :ok :add 2 1 :invoke :read nil 1 :ok :read 0"), "false");
  EXPECT_EQ(Answer("append-list", "0 :invoke :append 1 0 :ok :append 1 0 :invoke :append 2 0 :ok :append 2 0 :invoke :read nil 0 :ok :read [1 2]"), "true");
  EXPECT_EQ(Answer("append-list", "0 :invoke :append 1 0 :ok :append 1 0 :invoke :append 2 0 :ok :append 2 0 :invoke :read nil 0 :ok :read [2 1]"), "false");
  EXPECT_EQ(Answer("set", "0 :invoke :add 1 0 :ok :add 1 0 :invoke :read nil 0 :ok :read #{1}"), "true");
  EXPECT_EQ(Answer("set", "0 :invoke :add 1 0 :ok :add 1 0 :invoke :read nil 0 :ok :read #{}"), "false");
  EXPECT_EQ(Answer("fifo-queue", "0 :invoke :enqueue 1 1 :invoke :enqueue 2 0 :ok :enqueue 1 1 :ok :enqueue 2"
                                 " 0 :invoke :dequeue nil 0 :ok :dequeue 2 0 :invoke :dequeue nil 0 :ok :dequeue 1"
                                 " 0 :invoke :dequeue nil 0 :ok :dequeue nil"),
            "true");
  EXPECT_EQ(Answer("fifo-queue", "0 :invoke :enqueue 1 0 :ok :enqueue 1 0 :invoke :enqueue 2 0 :ok :enqueue 2 0 :invoke :dequeue nil 0 :ok :dequeue 2"), "false");
  EXPECT_EQ(Answer("kv", "0 :invoke :put \"a\" 0 :ok :put \"a\" 0 :invoke :append \"b\" 0 :ok :append \"b\" 0 :invoke :get nil 0 :ok :get \"ab\""), "true");
  EXPECT_EQ(Answer("kv", "0 :invoke :append \"b\" 0 :ok :append \"b\" 0 :invoke :get nil 0 :ok :get \"\""), "false");
}

TEST(Linearizability, KeysAreIndependent) {
  OperationRecorder recorder;
  for (int64_t key : {1, 2}) {
    const int w = recorder.Invoke("p", "write", Value::Int(key * 10), Value::Int(key));
    recorder.Return(w, Value());
  }
  const int r = recorder.Invoke("q", "read", Value(), Value::Int(1));
  recorder.Return(r, Value::Int(10));
  const int failed = recorder.Invoke("q", "write", Value::Int(99), Value::Int(1));
  recorder.Fail(failed);
  const auto parts = Partition(recorder.Operations());
  ASSERT_EQ(parts.size(), 2u);
  for (const auto& part : parts) {
    const auto model = NewModel("register");
    EXPECT_EQ(CheckLinearizable(part, model.get()).verdict, Verdict::kValid);
  }
}

TEST(Linearizability, AnExplanationSaysWhereItStops) {
  const auto model = NewModel("register");
  const auto result = CheckLinearizable(
      OperationsFromEvents(Events("0 :invoke :write 1 0 :ok :write 1 1 :invoke :read nil 1 :ok :read 2"), FailMeans::kDidNotHappen), model.get());
  EXPECT_EQ(result.explanation,
            "no order fits. The longest one ends with\n  process 0 0..1: write 1 -> 1, state 1\n"
            "and none of these can follow\n  process 1 2..3: read nil -> 2");
}

TEST(Linearizability, ALimitGivesUnknown) {
  // Appends that nobody told apart until the end, in an order that is tried last.
  std::vector<Operation> operations;
  Value list = Value::List({});
  for (int i = 0; i < 12; ++i) {
    operations.push_back({.f = "append", .input = Value::Int(i), .invoked_at = i, .completed_at = 100 + i, .process = "p"});
    list.items.insert(list.items.begin(), Value::Int(i));
  }
  operations.push_back({.f = "read", .output = list, .invoked_at = 200, .completed_at = 201, .process = "p"});
  const auto model = NewModel("append-list");
  EXPECT_EQ(CheckLinearizable(operations, model.get(), {.most_configurations = 1000}).verdict, Verdict::kUnknown);
}

// ---- against trying all orders ----

bool SomeOrderFits(const std::vector<Operation>& operations, std::vector<bool>* done, int state, Model* model) {
  int horizon = 1 << 30;
  bool all = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((*done)[i] || !operations[i].completed_at) continue;
    all = false;
    horizon = std::min(horizon, *operations[i].completed_at);
  }
  if (all) return true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((*done)[i] || operations[i].invoked_at > horizon) continue;
    const int next = model->Step(state, operations[i]);
    if (next == Model::kIllegal) continue;
    (*done)[i] = true;
    const bool fits = SomeOrderFits(operations, done, next, model);
    (*done)[i] = false;
    if (fits) return true;
  }
  return false;
}

Operation RandomOperation(std::mt19937* random, std::string_view model) {
  auto pick = [&](int n) { return static_cast<int64_t>((*random)() % static_cast<unsigned>(n)); };
  Operation op;
  op.process = "p";
  const int64_t what = pick(3);
  if (model == "fifo-queue") {
    op.f = what == 0 ? "enqueue" : "dequeue";
    op.input = what == 0 ? Value::Int(pick(2)) : Value();
    if (what > 0 && pick(4) > 0) op.output = Value::Int(pick(2));
  } else if (model == "counter") {
    op.f = what == 0 ? "add" : "read";
    op.input = Value::Int(1 + pick(2));
    if (what > 0) op.output = Value::Int(pick(5));
  } else {
    op.f = what == 0 ? "write" : what == 1 ? "read" : "cas";
    if (what == 0) op.input = Value::Int(pick(3));
    if (what == 1 && pick(4) > 0) op.output = Value::Int(pick(3));
    if (what == 2) op.input = Value::List({Value::Int(pick(3)), Value::Int(pick(3))});
    op.failed = what == 2 && pick(3) == 0;
  }
  return op;
}

TEST(Linearizability, VerdictsAreThoseOfTryingAllOrders) {
  std::mt19937 random(7);
  for (const char* name : {"cas-register", "counter", "fifo-queue"}) {
    int valid = 0;
    int invalid = 0;
    for (int round = 0; round < 3000; ++round) {
      const int n = 2 + static_cast<int>(random() % 6);
      std::vector<Operation> operations;
      for (int i = 0; i < n; ++i) {
        Operation op = RandomOperation(&random, name);
        op.invoked_at = 1000 * static_cast<int>(random() % 10) + 2 * i;
        const bool crashed = random() % 4 == 0 && op.f != "read";
        if (crashed) op.output = Value();
        if (!crashed) op.completed_at = op.invoked_at + 1 + 1000 * static_cast<int>(random() % 5);
        if (crashed) op.failed = false;
        operations.push_back(op);
      }
      const auto model = NewModel(name);
      std::vector<bool> done(operations.size(), false);
      const bool expected = SomeOrderFits(operations, &done, 0, model.get());
      const auto fresh = NewModel(name);
      const auto result = CheckLinearizable(operations, fresh.get());
      (expected ? valid : invalid)++;
      ASSERT_EQ(result.verdict, expected ? Verdict::kValid : Verdict::kInvalid) << name << " round " << round;
    }
    EXPECT_GT(valid, 200) << name;
    EXPECT_GT(invalid, 200) << name;
  }
}

}  // namespace
}  // namespace insula::checkers
