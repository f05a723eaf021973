// What clients asked and what they were told, with the virtual times, and what can be concluded from it.
//
// An operation of unknown outcome has no end: it may take effect at any time after its beginning, or never.
#ifndef INSULA_TEST_SIM_HISTORY_H_
#define INSULA_TEST_SIM_HISTORY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/runtime/time.h"

namespace insula::simtest {

inline constexpr Duration kNever = Duration::max();

// A read or a write of one register; a successful compare-and-set is one of each at the same time. No value is written twice.
struct RegisterOp {
  uint64_t client = 0;
  bool write = false;
  std::string value;  // "" is what a register holds before the first write
  Duration begin{}, end = kNever;
};

// What is not linearizable about one register's operations; empty: nothing. Leave out what was refused; a write of unknown outcome
// counts as one that never ended. (Gibbons and Korach 1997, for histories in which every value is written once.)
std::vector<std::string> CheckRegister(const std::vector<RegisterOp>& ops);

// One transaction over lists. No element is appended twice to a list.
struct ListTxn {
  enum class Fate { kCommitted, kAborted, kUnknown };
  struct Step {
    bool append = false;
    std::string list;
    uint64_t element = 0;             // append
    std::vector<uint64_t> read = {};  // else: the list as seen, own appends included
  };
  std::string name;
  std::vector<Step> steps;
  Duration begin{}, end = kNever;
  Fate fate = Fate::kUnknown;
};

// What is not serializable about them; with `real_time` (a transaction that began after another had ended sees it) strictly so.
// `final_lists`: what was read when all had ended. In the manner of Elle (Kingsbury and Alvaro 2020): lists tell the order of
// their writers, so that dependencies are known and a cycle among them is proof.
std::vector<std::string> CheckLists(const std::vector<ListTxn>& txns, const std::map<std::string, std::vector<uint64_t>>& final_lists, bool real_time);

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_HISTORY_H_
