#include "sql/session/transaction.h"

#include <utility>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status ConcurrentSchemaChange() {
  return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to a concurrent schema change")
      .Hint("The transaction might succeed if retried.")
      .Build();
}

}  // namespace

bool IsFenceFailure(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition && !IsPgError(status);
}

SessionTransaction::SessionTransaction(kv::Database* db, Catalog* catalog, Settings* settings, std::string database)
    : db_(db), shared_catalog_(catalog), settings_(settings), database_(std::move(database)) {}

// The kv::Txn rolls back in the background when it goes.
SessionTransaction::~SessionTransaction() = default;

pgwire::TransactionStatus SessionTransaction::status() const {
  switch (state_) {
    case TransactionState::kIdle:
    case TransactionState::kImplicit:
      return pgwire::TransactionStatus::kIdle;
    case TransactionState::kBlock:
      return pgwire::TransactionStatus::kInTransaction;
    case TransactionState::kFailed:
      return pgwire::TransactionStatus::kFailed;
  }
  return pgwire::TransactionStatus::kIdle;
}

TransactionCharacteristics SessionTransaction::Defaults() const {
  const DerivedSettings& s = settings_->Current();
  return {s.default_isolation, s.default_read_only, settings_->Get("default_transaction_deferrable") == "on"};
}

void SessionTransaction::Enter(TransactionState state, int64_t now_us) {
  CHECK(state_ == TransactionState::kIdle);
  state_ = state;
  start_us_ = now_us;
  ++number_;
  characteristics_ = Defaults();
  settings_before_ = settings_->Save();
  fresh_ = true;
}

void SessionTransaction::StartImplicit(int64_t now_us) {
  if (state_ == TransactionState::kIdle) Enter(TransactionState::kImplicit, now_us);
}

void SessionTransaction::StartBlock(const TransactionCharacteristics& characteristics, int64_t now_us) {
  if (state_ == TransactionState::kIdle) {
    Enter(TransactionState::kBlock, now_us);
  } else {
    CHECK(state_ == TransactionState::kImplicit);
    state_ = TransactionState::kBlock;
  }
  if (!started()) characteristics_ = characteristics;
}

absl::Status SessionTransaction::SetCharacteristics(const TransactionCharacteristics& c) {
  if (started()) {
    if (c.isolation != characteristics_.isolation) {
      return PgError(sqlstate::kActiveSqlTransaction, "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    }
    if (characteristics_.read_only && !c.read_only) {
      return PgError(sqlstate::kActiveSqlTransaction, "transaction read-write mode must be set before any query");
    }
  }
  characteristics_ = c;
  return absl::OkStatus();
}

Task<absl::Status> SessionTransaction::Start(const Context& ctx) {
  txn_ = db_->Begin({.isolation = characteristics_.isolation, .read_only = characteristics_.read_only});
  catalog_txn_ = std::make_unique<CatalogTxn>(shared_catalog_, txn_.get(), database_);
  fresh_ = true;
  absl::Status s = co_await catalog_txn_->Begin(ctx);
  if (!s.ok()) {
    catalog_txn_.reset();
    txn_.reset();
  }
  co_return s;
}

Task<absl::Status> SessionTransaction::BeginStatement(const Context& ctx) {
  CHECK(state_ == TransactionState::kImplicit || state_ == TransactionState::kBlock);
  if (!started()) CO_RETURN_IF_ERROR(co_await Start(ctx));
  CO_RETURN_IF_ERROR(co_await txn_->BeginStatement(ctx));
  // A transaction that nothing has happened in is retried as a whole and needs no savepoint.
  if (!fresh_ || !savepoints_.empty()) statement_savepoint_ = txn_->CreateSavepoint();
  statement_mark_ = catalog_txn_->Mark();
  statement_settings_ = settings_->Save();
  co_return absl::OkStatus();
}

Task<absl::StatusOr<bool>> SessionTransaction::UndoStatement(const Context& ctx, const absl::Status& why) {
  if (!started() || (fresh_ && savepoints_.empty())) {
    if (started()) {
      absl::Status rolled_back = co_await txn_->Rollback(ctx);
      // What a lost rollback leaves behind is cleaned up by whoever meets it; the new transaction does not depend on it.
      (void)rolled_back;
    }
    catalog_txn_.reset();
    txn_.reset();
    if (statement_settings_ != nullptr) settings_->RollbackTo(statement_settings_);
    if (IsFenceFailure(why)) CO_RETURN_IF_ERROR((co_await shared_catalog_->Refresh(ctx)).status());
    co_return true;
  }
  bool fence = IsFenceFailure(why);
  if (!fence && characteristics_.isolation != kv::Isolation::kReadCommitted) co_return false;
  CO_RETURN_IF_ERROR(co_await txn_->RollbackTo(ctx, statement_savepoint_));
  catalog_txn_->RollbackTo(statement_mark_);
  settings_->RollbackTo(statement_settings_);
  if (fence) CO_RETURN_IF_ERROR(co_await catalog_txn_->Renew(ctx));
  co_return true;
}

void SessionTransaction::Finish() {
  savepoints_.clear();
  catalog_txn_.reset();
  txn_.reset();
  settings_before_.reset();
  statement_settings_.reset();
  fresh_ = true;
  state_ = TransactionState::kIdle;
}

Task<void> SessionTransaction::Fail(const Context& ctx) {
  if (state_ == TransactionState::kImplicit) {
    co_await Rollback(ctx);
    co_return;
  }
  if (state_ != TransactionState::kBlock) co_return;
  state_ = TransactionState::kFailed;
  settings_->RollbackTo(savepoints_.empty() ? settings_before_ : savepoints_.back().settings);
  if (!savepoints_.empty() || !started()) co_return;
  absl::Status rolled_back = co_await txn_->Rollback(ctx);
  (void)rolled_back;  // as in UndoStatement
  catalog_txn_.reset();
  txn_.reset();
}

Task<absl::Status> SessionTransaction::CommitForStatement(const Context& ctx) {
  CHECK(state_ == TransactionState::kImplicit);
  if (started()) {
    CO_RETURN_IF_ERROR(co_await txn_->Commit(ctx));
    catalog_txn_->Committed();
  }
  settings_->Commit();
  Finish();
  co_return absl::OkStatus();
}

Task<absl::Status> SessionTransaction::Commit(const Context& ctx) {
  CHECK(state_ == TransactionState::kImplicit || state_ == TransactionState::kBlock);
  absl::Status s;
  if (started()) s = co_await txn_->Commit(ctx);
  if (s.ok()) {
    if (started()) catalog_txn_->Committed();
    settings_->Commit();
    Finish();
    co_return absl::OkStatus();
  }
  // A commit of unknown outcome must not be rolled back; any other has failed already, and rolling back only frees what is left.
  if (ToPgError(s).sqlstate != sqlstate::kTransactionResolutionUnknown) {
    absl::Status rolled_back = co_await txn_->Rollback(ctx);
    (void)rolled_back;
  }
  settings_->RollbackTo(settings_before_);
  Finish();
  co_return IsFenceFailure(s) ? ConcurrentSchemaChange() : s;
}

Task<void> SessionTransaction::Rollback(const Context& ctx) {
  if (state_ == TransactionState::kIdle) co_return;
  if (started()) {
    absl::Status rolled_back = co_await txn_->Rollback(ctx);
    (void)rolled_back;  // the transaction is over for the client either way
  }
  settings_->RollbackTo(settings_before_);
  Finish();
}

Task<absl::Status> SessionTransaction::Savepoint(const Context& ctx, std::string name) {
  CHECK(state_ == TransactionState::kBlock);
  if (!started()) CO_RETURN_IF_ERROR(co_await Start(ctx));
  txn_->CloseFresh();
  savepoints_.push_back({std::move(name), txn_->CreateSavepoint(), catalog_txn_->Mark(), settings_->Save(), Tick()});
  co_return absl::OkStatus();
}

int SessionTransaction::FindSavepoint(std::string_view name) const {
  for (int i = static_cast<int>(savepoints_.size()) - 1; i >= 0; --i) {
    if (savepoints_[i].name == name) return i;
  }
  return -1;
}

absl::Status SessionTransaction::Release(std::string_view name) {
  int i = FindSavepoint(name);
  if (i < 0) return PgError(sqlstate::kInvalidSavepoint, StrCat("savepoint \"", name, "\" does not exist"));
  savepoints_.resize(i);
  return absl::OkStatus();
}

Task<absl::StatusOr<uint64_t>> SessionTransaction::RollbackTo(const Context& ctx, std::string_view name) {
  int i = FindSavepoint(name);
  if (i < 0) co_return PgError(sqlstate::kInvalidSavepoint, StrCat("savepoint \"", name, "\" does not exist"));
  NamedSavepoint& savepoint = savepoints_[i];
  CO_RETURN_IF_ERROR(co_await txn_->RollbackTo(ctx, savepoint.kv));
  catalog_txn_->RollbackTo(savepoint.catalog_mark);
  settings_->RollbackTo(savepoint.settings);
  uint64_t clock = savepoint.clock;
  savepoints_.resize(i + 1);
  state_ = TransactionState::kBlock;
  co_return clock;
}

}  // namespace insula::sql
