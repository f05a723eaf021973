// What clients did to a system and what they were told: a sequence of events in the order they happened.
//
//   process 0   invoke ----------------- ok         it happened, somewhere between the two
//   process 1        invoke --------- fail          it did not happen
//   process 2     invoke ------ info ...            nobody knows, it may still happen later
//   process 3          invoke ...                   the same
//
// Operations pairs the events up. A process has usually one operation in flight; where a history has several of one process
// (or names no processes), a completion belongs to the oldest one that it fits.
#ifndef INSULA_TEST_CHECKERS_HISTORY_H_
#define INSULA_TEST_CHECKERS_HISTORY_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "test/checkers/value.h"

namespace insula::checkers {

struct Event {
  enum class Type { kInvoke, kOk, kFail, kInfo };

  Type type = Type::kInvoke;
  Value process;         // a number for clients; a name (nemesis) for what is not one; nil when the history does not say
  std::string f;         // what is done: read, write, txn...
  std::optional<Value> key;
  Value value;

  bool is_client() const { return process.is_int() || process.is_nil(); }
};

// Two positions in a history: where an operation begins and where it ends, -1 for what is not there.
struct OperationSpan {
  int invoked = -1;
  int completed = -1;
};

// The operations of clients, in the order of their first event.
std::vector<OperationSpan> PairEvents(const std::vector<Event>& events);

// From operation maps ({:type :invoke, :f :read, :process 0, :value nil}, or the same in JSON).
absl::StatusOr<std::vector<Event>> EventsFromValues(const std::vector<Value>& maps);

// From the text of a file: EDN (one collection of maps, or map after map), JSON (an array), or the log lines of Jepsen
// ("INFO  jepsen.util - 4	:invoke	:read	nil"). The text says which it is.
absl::StatusOr<std::vector<Event>> ParseHistory(std::string_view text);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_HISTORY_H_
