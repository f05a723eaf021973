// The transaction of one session: PostgreSQL's blocks, implicit transactions and savepoints over a kv::Txn.
//
//            first statement                 BEGIN
//   kIdle ───────────────────► kImplicit ────────────► kBlock ──error──► kFailed
//     ▲  ▲──── end of message ────┘  (several           │ ▲                │
//     │                               statements)       │ └─ROLLBACK TO────┤
//     └────────────── COMMIT, ROLLBACK ─────────────────┴──────────────────┘
//
// The kv::Txn begins with the first statement that needs one, so BEGIN costs nothing and characteristics can still change.
// What rolls back with the transaction besides data: schema changes (CatalogTxn) and settings.
//
// Invariants:
//   T1  txn() exists only between BeginStatement and the end of the transaction.
//   T2  `fresh`: no statement has completed in this kv::Txn, so it may be dropped and begun anew unseen.
//   T3  In kFailed without savepoints there is no kv::Txn any more: its locks are free.
// Thread safety: one session.
#ifndef INSULA_SQL_SESSION_TRANSACTION_H_
#define INSULA_SQL_SESSION_TRANSACTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/backend.h"
#include "kv/api/txn.h"
#include "sql/catalog/catalog.h"
#include "sql/session/settings.h"

namespace insula::sql {

enum class TransactionState { kIdle, kImplicit, kBlock, kFailed };

struct TransactionCharacteristics {
  kv::Isolation isolation = kv::Isolation::kReadCommitted;
  bool read_only = false;
  bool deferrable = false;
};

class SessionTransaction {
 public:
  // All must outlive it.
  SessionTransaction(kv::Database* db, Catalog* catalog, Settings* settings, std::string database);
  ~SessionTransaction();

  TransactionState state() const { return state_; }
  pgwire::TransactionStatus status() const;
  bool in_block() const { return state_ == TransactionState::kBlock || state_ == TransactionState::kFailed; }
  const TransactionCharacteristics& characteristics() const { return characteristics_; }
  // Start of the transaction, µs since 2000-01-01. Valid outside kIdle.
  int64_t start_us() const { return start_us_; }
  uint64_t number() const { return number_; }  // counts transactions of this session

  kv::Txn* txn() const { return txn_.get(); }
  CatalogTxn* catalog() const { return catalog_txn_.get(); }
  bool started() const { return txn_ != nullptr; }
  bool fresh() const { return fresh_; }

  // kIdle → kImplicit; nothing in other states.
  void StartImplicit(int64_t now_us);
  // kIdle, kImplicit → kBlock.
  void StartBlock(const TransactionCharacteristics& characteristics, int64_t now_us);
  // Before the first statement only; 25001 otherwise.
  absl::Status SetCharacteristics(const TransactionCharacteristics& characteristics);
  TransactionCharacteristics Defaults() const;

  // A statement that needs the store begins: makes the kv::Txn, fences it on the catalog, takes a savepoint for retries.
  Task<absl::Status> BeginStatement(const Context& ctx);
  // It completed.
  void EndStatement() { fresh_ = false; }
  // It failed and is to run again: undoes it. False if it cannot be undone unseen.
  Task<absl::StatusOr<bool>> UndoStatement(const Context& ctx, const absl::Status& why);

  // kBlock → kFailed, kImplicit → kIdle (rolled back). For an error that the client gets to see.
  Task<void> Fail(const Context& ctx);

  // → kIdle either way. A fence that fails is 40001 here.
  Task<absl::Status> Commit(const Context& ctx);
  Task<void> Rollback(const Context& ctx);
  // The same for one kImplicit transaction whose last statement may be retried: leaves the state kImplicit on an error.
  Task<absl::Status> CommitForStatement(const Context& ctx);

  // Savepoints, in kBlock (RollbackTo: kFailed, too). 3B001 when there is no such savepoint.
  Task<absl::Status> Savepoint(const Context& ctx, std::string name);
  absl::Status Release(std::string_view name);
  // Gives the session's time of the savepoint, to close what was opened since.
  Task<absl::StatusOr<uint64_t>> RollbackTo(const Context& ctx, std::string_view name);

  // Ticks with every savepoint and statement: orders cursors and savepoints.
  uint64_t clock() const { return clock_; }
  uint64_t Tick() { return ++clock_; }

 private:
  struct NamedSavepoint {
    std::string name;
    kv::Txn::Savepoint kv = 0;
    size_t catalog_mark = 0;
    Settings::Mark settings;
    uint64_t clock = 0;
  };
  Task<absl::Status> Start(const Context& ctx);
  void Enter(TransactionState state, int64_t now_us);
  void Finish();
  int FindSavepoint(std::string_view name) const;

  kv::Database* db_;
  Catalog* shared_catalog_;
  Settings* settings_;
  std::string database_;

  TransactionState state_ = TransactionState::kIdle;
  TransactionCharacteristics characteristics_;
  int64_t start_us_ = 0;
  uint64_t number_ = 0;
  uint64_t clock_ = 0;
  Settings::Mark settings_before_;
  std::unique_ptr<kv::Txn> txn_;
  std::unique_ptr<CatalogTxn> catalog_txn_;
  bool fresh_ = true;
  std::vector<NamedSavepoint> savepoints_;
  kv::Txn::Savepoint statement_savepoint_ = 0;
  size_t statement_mark_ = 0;
  Settings::Mark statement_settings_;
};

// Whether `status` is a failed fence: the catalog changed underneath, take it anew.
bool IsFenceFailure(const absl::Status& status);

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_TRANSACTION_H_
