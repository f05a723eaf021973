// Checks histories of transactions that read lists and append to them.
//
// A list's value tells its whole past: who reads [1 3 2] knows that 1 was appended before 3, and 3 before 2. So the order of all
// versions of a key is known from its longest read, and with it who overwrote what and who read what before whom (ww, wr, rw).
// Elements that were never read came after those that were.
//
// Besides the cycles of cycles.h and the anomalies of txn_check.h, it finds
//   internal            a read that contradicts the transaction's own reads and appends before it
//   future-read         a read of what the same transaction appends later
//   duplicate-elements  a read with an element twice
//   incompatible-order  two reads of a key of which neither is a prefix of the other
//   dirty-update        a committed append on top of an aborted one
// An acknowledged append that disappears shows as a cycle with a real-time or rw edge.
//
// Elements have to be unique per key; a history that appends one twice is answered with "unknown".
#ifndef INSULA_TEST_CHECKERS_LIST_APPEND_H_
#define INSULA_TEST_CHECKERS_LIST_APPEND_H_

#include "test/checkers/txn_check.h"
#include "test/checkers/txn_history.h"

namespace insula::checkers {

TxnCheckResult CheckListAppend(const TxnHistory& history, const TxnCheckOptions& options);

// Parts of it, each by itself.
void FindListInternal(const TxnHistory& history, TxnFindings* findings);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_LIST_APPEND_H_
