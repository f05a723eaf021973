// Checks histories of transactions that read and write registers.
//
// A register's value does not tell its past. What is known is who wrote what was read (wr; writes have to be unique per key), and
// that everything came after the initial nil. More of the order of versions follows from what the options allow to assume:
//   writes_follow_reads   T read 1 and wrote 2: 1 came before 2
//   sequential_keys       a process saw or wrote 1, later 2: 1 came before 2
//   linearizable_keys     whoever began after that ended saw or wrote 2: 1 came before 2
// An assumption that contradicts what is known already is dropped for all keys, and reported as cyclic-versions.
//
// Besides the cycles of cycles.h and the anomalies of txn_check.h, it finds
//   internal          a read that contradicts the transaction's own reads and writes before it
//   cyclic-versions   see above
#ifndef INSULA_TEST_CHECKERS_RW_REGISTER_H_
#define INSULA_TEST_CHECKERS_RW_REGISTER_H_

#include "test/checkers/txn_check.h"
#include "test/checkers/txn_history.h"

namespace insula::checkers {

TxnCheckResult CheckRwRegister(const TxnHistory& history, const TxnCheckOptions& options);

// Parts of it, each by itself.
void FindRegisterInternal(const TxnHistory& history, TxnFindings* findings);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_RW_REGISTER_H_
