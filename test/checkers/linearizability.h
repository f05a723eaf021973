// Is there an order of the operations that fits real time and that a single-threaded model could have executed?
//
//   op A   |-------|                      A, C, B, D  or  C, A, B, D ...: every operation takes effect at one moment
//   op B        |--------|                between its beginning and its end. Try the orders, depth first.
//   op C   |--|
//   op D           |----- (crashed: may take effect at any later time, or never)
//
// The search goes after Wing & Gong and Lowe: linearize any operation that began before the first open one ended, remember the
// configurations (which operations are linearized, the model's state) that were tried, back up when stuck.
//
// Crashed operations would make that exponential, so they are not part of the remembered set but counted by kind: of equal ones
// the earliest is used first, and a configuration is dropped when one with the same rest used no more of any kind.
//
// Keys are independent objects: Partition() splits a history, each part is checked by itself.
#ifndef INSULA_TEST_CHECKERS_LINEARIZABILITY_H_
#define INSULA_TEST_CHECKERS_LINEARIZABILITY_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "test/checkers/history.h"
#include "test/checkers/txn_check.h"

namespace insula::checkers {

struct Operation {
  std::string f;      // what was asked
  Value input;
  Value output;       // what was answered; nil for crashed ones
  bool failed = false;  // answered with "no" (a compare that did not match), which a model may check
  int invoked_at = 0;
  std::optional<int> completed_at;  // none: crashed
  std::optional<Value> key;
  std::string process;
};

// An object without concurrency. States are numbers that the model gives out; 0 is the initial one.
class Model {
 public:
  static constexpr int kIllegal = -1;

  virtual ~Model() = default;
  // The state after `op` in `state`, or kIllegal if that cannot have given its output. Of a crashed operation any output is
  // possible. Deterministic.
  virtual int Step(int state, const Operation& op) = 0;
  virtual std::string Describe(int state) const = 0;
};

struct LinearizabilityOptions {
  std::chrono::milliseconds time_limit{60'000};
  size_t most_configurations = 20'000'000;
};

struct LinearizabilityResult {
  Verdict verdict = Verdict::kUnknown;
  int64_t configurations = 0;
  // Invalid: how far the longest order came and what could not follow. Unknown: which limit was reached.
  std::string explanation;
};

LinearizabilityResult CheckLinearizable(const std::vector<Operation>& operations, Model* model,
                                        const LinearizabilityOptions& options = {});

// By key, in the order of the keys; operations without one are together.
std::vector<std::vector<Operation>> Partition(std::vector<Operation> operations);

// What a failed compare-and-set says: nothing, or that the register held another value. All else that failed did not happen.
enum class FailMeans { kDidNotHappen, kAnsweredNo };

// Without failed reads and crashed reads, which say nothing.
std::vector<Operation> OperationsFromEvents(const std::vector<Event>& events, FailMeans fail_means);

// Records operations as they happen, for simulations.
class OperationRecorder {
 public:
  // Returns the operation's number.
  int Invoke(const std::string& process, const std::string& f, Value input, std::optional<Value> key = std::nullopt);
  void Return(int operation, Value output);
  // It did not happen.
  void Fail(int operation);
  // All that have not failed; those that have not returned count as crashed.
  std::vector<Operation> Operations() const;

 private:
  struct Recorded {
    Operation operation;
    bool happened = true;
  };
  std::vector<Recorded> recorded_;
  int next_position_ = 0;
};

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_LINEARIZABILITY_H_
