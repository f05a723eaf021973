// Transactions over lists or registers, as their clients saw them: what the checkers of list_append.h and rw_register.h take.
//
// A simulation records as it goes:
//
//   TxnHistory h;
//   int t = h.Begin(process, {MicroOp::Read(x), MicroOp::Append(y, 7)});
//   ...                                       // any number of others meanwhile
//   h.Commit(t, {MicroOp::ReadList(x, {1, 2}), MicroOp::Append(y, 7)});   // or Abort(t), or Lose(t)
//
// Keys and elements are numbers; whoever has other keys interns them with NameTable, which reports use to print them.
#ifndef INSULA_TEST_CHECKERS_TXN_HISTORY_H_
#define INSULA_TEST_CHECKERS_TXN_HISTORY_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "test/checkers/history.h"

namespace insula::checkers {

// The value of a register, or the last element of a list, before anybody wrote it.
inline constexpr int64_t kNil = std::numeric_limits<int64_t>::min();

// Numbers for values: integers are their own numbers, all else gets one from above any sensible integer.
class NameTable {
 public:
  int64_t Intern(const Value& value);
  std::string Name(int64_t number) const;

 private:
  std::map<Value, int64_t> numbers_;
  std::vector<std::string> names_;
};

struct MicroOp {
  enum class Kind { kRead, kAppend, kWrite };

  static MicroOp Read(int64_t key) { return {.kind = Kind::kRead, .key = key, .known = false, .value = kNil, .list = {}}; }
  static MicroOp ReadRegister(int64_t key, int64_t v) { return {.kind = Kind::kRead, .key = key, .known = true, .value = v, .list = {}}; }
  static MicroOp ReadList(int64_t key, std::vector<int64_t> l) {
    return {.kind = Kind::kRead, .key = key, .known = true, .value = kNil, .list = std::move(l)};
  }
  static MicroOp Append(int64_t key, int64_t v) { return {.kind = Kind::kAppend, .key = key, .known = true, .value = v, .list = {}}; }
  static MicroOp Write(int64_t key, int64_t v) { return {.kind = Kind::kWrite, .key = key, .known = true, .value = v, .list = {}}; }

  Kind kind;
  int64_t key;
  bool known;                 // false: a read whose result nobody learned
  int64_t value;              // appended, written, or read from a register
  std::vector<int64_t> list;  // read from a list
};

struct Txn {
  enum class Outcome { kCommitted, kAborted, kUnknown };

  std::string process;
  Outcome outcome = Outcome::kUnknown;
  int invoked_at = -1;    // positions in the history; -1: not in it
  int completed_at = -1;
  std::vector<MicroOp> ops;  // with results, where the outcome is known

  bool committed() const { return outcome == Outcome::kCommitted; }
  bool aborted() const { return outcome == Outcome::kAborted; }
};

class TxnHistory {
 public:
  // Returns the transaction's number.
  int Begin(int process, std::vector<MicroOp> ops);
  void Commit(int txn, std::vector<MicroOp> ops_with_results);
  void Abort(int txn);
  // Its client does not know what became of it.
  void Lose(int txn);

  // From operations whose values are lists of micro-operations: ["r", key, result], ["append", key, element],
  // ["w", key, value]. An error for any other kind of micro-operation.
  static absl::StatusOr<TxnHistory> FromEvents(const std::vector<Event>& events);

  const std::vector<Txn>& txns() const { return txns_; }
  std::string KeyName(int64_t key) const { return keys_.Name(key); }
  std::string ElementName(int64_t element) const { return elements_.Name(element); }
  // "T3 = process 1, 12..15, committed: [r x [1 2]] [append y 7]"; long lists are cut.
  std::string Describe(int txn, std::string_view name) const;
  // "[r x [1 2]]"
  std::string Describe(const MicroOp& op) const;

 private:
  absl::StatusOr<std::vector<MicroOp>> MicroOpsOf(const Value& value, bool results);

  NameTable keys_;
  NameTable elements_;
  std::vector<Txn> txns_;  // in the order of their first event
  int next_position_ = 0;
};

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_TXN_HISTORY_H_
