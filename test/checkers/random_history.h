// Histories of transactions that a simulated database executed, for tests of the checkers: a small database of one isolation
// level, clients that run against it, and small lies about what happened.
#ifndef INSULA_TEST_CHECKERS_RANDOM_HISTORY_H_
#define INSULA_TEST_CHECKERS_RANDOM_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "test/checkers/txn_history.h"

namespace insula::checkers {

enum class Isolation {
  kReadCommitted,   // each read sees what is committed at its moment; a written key is locked until the end
  kSnapshot,        // reads as of the transaction's beginning; of two that write one key at a time, the second aborts
  kSerial,          // all at one moment between beginning and end
};

struct RandomHistoryOptions {
  uint64_t seed = 1;
  int txns = 100;
  int processes = 5;
  int keys = 3;              // in use at a time
  int writes_per_key = 20;   // then it is replaced by a new one
  int longest_txn = 4;
  bool registers = false;    // instead of lists
  Isolation isolation = Isolation::kSerial;
};

// One transaction, as its client saw it.
struct RandomTxn {
  int process = 0;
  int begins = 0;   // positions in the history
  int ends = -1;    // -1: still running when it ended
  Txn::Outcome outcome = Txn::Outcome::kUnknown;
  std::vector<MicroOp> ops;  // with results
};

std::vector<RandomTxn> RandomTxns(const RandomHistoryOptions& options);
TxnHistory ToHistory(const std::vector<RandomTxn>& txns);

// What a broken database could have answered instead. Returns false if nothing in the history is fit for it.
enum class Lie {
  kStaleRead,      // a read misses an element whose transaction had ended before the reader began
  kLostAppend,     // nobody ever sees an acknowledged append, although some began to read after it
  kAbortedRead,    // a read ends with an aborted append
  kDuplicate,      // a read has its last element twice
  kOtherOrder,     // a read has its last two elements the other way round than another read
};
std::string LieName(Lie lie);
bool TellLie(Lie lie, uint64_t seed, std::vector<RandomTxn>* txns);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_RANDOM_HISTORY_H_
