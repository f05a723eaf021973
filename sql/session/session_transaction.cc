// BEGIN, COMMIT, ROLLBACK and savepoints.
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/session/session.h"

namespace insula::sql {
namespace {

absl::Status OnlyInBlock(std::string_view what) {
  return PgError(sqlstate::kNoActiveSqlTransaction, StrCat(what, " can only be used in transaction blocks"));
}

}  // namespace

absl::StatusOr<TransactionCharacteristics> Session::Apply(const ast::TransactionModes& modes, TransactionCharacteristics base) const {
  if (modes.isolation) {
    std::optional<kv::Isolation> isolation = IsolationByName(*modes.isolation);
    if (!isolation) {
      return PgError(sqlstate::kInvalidParameterValue,
                     StrCat("invalid value for parameter \"transaction_isolation\": \"", *modes.isolation, "\""));
    }
    base.isolation = *isolation;
  }
  if (modes.read_only) base.read_only = *modes.read_only;
  if (modes.deferrable) base.deferrable = *modes.deferrable;
  return base;
}

Task<absl::StatusOr<std::string>> Session::RunCommit(const Context& ctx, bool chain) {
  const TransactionCharacteristics before = transaction_.characteristics();
  const TransactionState state = transaction_.state();
  std::string tag = "COMMIT";
  if (chain && state != TransactionState::kBlock && state != TransactionState::kFailed) co_return OnlyInBlock("COMMIT AND CHAIN");
  if (state == TransactionState::kFailed) {
    DropPortals([](const Portal& p) { return p.transaction != 0; });
    co_await transaction_.Rollback(ctx);
    tag = "ROLLBACK";
  } else {
    if (state != TransactionState::kBlock) NoticeOf("WARNING", sqlstate::kNoActiveSqlTransaction, "there is no transaction in progress");
    if (state != TransactionState::kIdle) {
      CO_RETURN_IF_ERROR(co_await PrepareCommit(ctx));
      // Past this point only the store decides.
      Context commit_ctx = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(60s);
      CO_RETURN_IF_ERROR(co_await transaction_.Commit(commit_ctx));
    }
  }
  AfterTransaction();
  if (chain) transaction_.StartBlock(before, NowUs(ctx));
  co_return tag;
}

Task<absl::StatusOr<std::string>> Session::RunRollback(const Context& ctx, bool chain) {
  const TransactionCharacteristics before = transaction_.characteristics();
  if (chain && !transaction_.in_block()) co_return OnlyInBlock("ROLLBACK AND CHAIN");
  if (!transaction_.in_block()) NoticeOf("WARNING", sqlstate::kNoActiveSqlTransaction, "there is no transaction in progress");
  DropPortals([](const Portal& p) { return p.transaction != 0; });
  co_await transaction_.Rollback(ctx);
  AfterTransaction();
  if (chain) transaction_.StartBlock(before, NowUs(ctx));
  co_return std::string("ROLLBACK");
}

Task<absl::StatusOr<std::string>> Session::RunTransaction(const Context& ctx, const ast::TransactionStatement& statement) {
  switch (statement.action) {
    case ast::TransactionAction::kBegin:
    case ast::TransactionAction::kStart: {
      const std::string tag = statement.action == ast::TransactionAction::kBegin ? "BEGIN" : "START TRANSACTION";
      if (transaction_.in_block()) {
        NoticeOf("WARNING", sqlstate::kActiveSqlTransaction, "there is already a transaction in progress");
        co_return tag;
      }
      TransactionCharacteristics base =
          transaction_.state() == TransactionState::kIdle ? transaction_.Defaults() : transaction_.characteristics();
      CO_ASSIGN_OR_RETURN(TransactionCharacteristics wanted, Apply(statement.modes, base));
      if (transaction_.state() == TransactionState::kImplicit) CO_RETURN_IF_ERROR(transaction_.SetCharacteristics(wanted));
      transaction_.StartBlock(wanted, statement_us_);
      co_return tag;
    }
    case ast::TransactionAction::kCommit:
      co_return co_await RunCommit(ctx, statement.chain);
    case ast::TransactionAction::kRollback:
      co_return co_await RunRollback(ctx, statement.chain);
    case ast::TransactionAction::kSavepoint:
      if (transaction_.state() != TransactionState::kBlock) co_return OnlyInBlock("SAVEPOINT");
      CO_RETURN_IF_ERROR(co_await DrainPortals(ctx, nullptr));
      CO_RETURN_IF_ERROR(co_await transaction_.Savepoint(ctx, statement.savepoint));
      co_return std::string("SAVEPOINT");
    case ast::TransactionAction::kRelease:
      if (transaction_.state() != TransactionState::kBlock) co_return OnlyInBlock("RELEASE SAVEPOINT");
      CO_RETURN_IF_ERROR(transaction_.Release(statement.savepoint));
      co_return std::string("RELEASE");
    case ast::TransactionAction::kRollbackTo: {
      if (!transaction_.in_block()) co_return OnlyInBlock("ROLLBACK TO SAVEPOINT");
      CO_RETURN_IF_ERROR(co_await DrainPortals(ctx, nullptr));
      CO_ASSIGN_OR_RETURN(uint64_t clock, co_await transaction_.RollbackTo(ctx, statement.savepoint));
      // Cursors opened since the savepoint are gone.
      DropPortals([clock](const Portal& p) { return p.cursor && p.created_clock > clock; });
      co_return std::string("ROLLBACK");
    }
    case ast::TransactionAction::kPrepare:
    case ast::TransactionAction::kCommitPrepared:
    case ast::TransactionAction::kRollbackPrepared:
      co_return PgUnsupported("two-phase commit (PREPARE TRANSACTION)");
  }
  co_return PgUnsupported("this transaction statement");
}

}  // namespace insula::sql
