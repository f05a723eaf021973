// The bank: transfers between accounts in several ranges, under faults. One seed is one history.
//
// Checked: every snapshot shows the same total; what was acknowledged is there at the end, what was refused for certain is not;
// no account is negative where the transfer forbade it; and once the faults have ended, work goes on within a bounded time.
#ifndef INSULA_TEST_SIM_BANK_H_
#define INSULA_TEST_SIM_BANK_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace insula::simtest {

struct BankOptions {
  uint64_t seed = 0;
  std::ostream* trace = nullptr;
  bool faults = true;
};

struct BankResult {
  std::vector<std::string> violations;  // empty: all held
  uint64_t trace_hash = 0;
  uint64_t committed = 0;
  uint64_t retried = 0;
  uint64_t unknown = 0;
  uint64_t audits = 0;
  uint64_t crashes = 0;
  uint64_t partitions = 0;
  double virtual_seconds = 0;
};

BankResult RunBank(const BankOptions& options);

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_BANK_H_
