// Checkers of single workloads: each knows one invariant that a simple test holds on to. Cheap, and blind to all else.
//
//   bank        every read of all balances has the same total, known accounts, and (unless allowed) nothing negative
//   counter     a read lies between what was surely added before it began and what may have been added when it ended
//   set         the last read has every acknowledged element and none that nobody tried to add
//   set-full    no element that was known to be in disappears for good
//   long-fork   reads of a group of keys, each written once, can be put in one order
//   comments    who sees a write sees every write that had ended before it began
//   sequential  who reads a client's inserts newest first and finds one, finds all older ones
//
// Their verdicts are those of Jepsen's checkers of these names.
#ifndef INSULA_TEST_CHECKERS_WORKLOADS_H_
#define INSULA_TEST_CHECKERS_WORKLOADS_H_

#include <optional>
#include <string>
#include <vector>

#include "test/checkers/history.h"
#include "test/checkers/txn_check.h"

namespace insula::checkers {

struct WorkloadResult {
  Verdict verdict = Verdict::kUnknown;
  std::vector<std::string> errors;  // the first few, in readable text
};

struct BankOptions {
  bool allow_negative_balances = false;
  std::optional<int64_t> total_amount;  // otherwise that of the first read
};

WorkloadResult CheckBank(const std::vector<Event>& events, const BankOptions& options);
WorkloadResult CheckCounter(const std::vector<Event>& events);
WorkloadResult CheckSet(const std::vector<Event>& events);
WorkloadResult CheckSetFull(const std::vector<Event>& events);
// `group_size`: how many keys each read reads; 0: as many as the first one.
WorkloadResult CheckLongFork(const std::vector<Event>& events, size_t group_size);
WorkloadResult CheckComments(const std::vector<Event>& events);
WorkloadResult CheckSequential(const std::vector<Event>& events);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_WORKLOADS_H_
