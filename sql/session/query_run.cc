#include "sql/session/query_run.h"

#include <utility>

#include "base/status_macros.h"
#include "sql/session/session.h"

namespace insula::sql {

StatementFunctions::StatementFunctions(Session* session, SnapshotPtr snapshot, const Context& ctx) : session_(session) {
  functions_.io = session->settings_.Current().io;
  functions_.io.now_us = session->transaction_.state() == TransactionState::kIdle ? session->statement_us_ : session->transaction_.start_us();
  functions_.transaction_time_us = functions_.io.now_us;
  functions_.statement_time_us = session->statement_us_;
  functions_.random = session->env_.random;
  functions_.session = session;
  functions_.sequences = &session->sequences_;
  functions_.seeded = session->seeded_;
  session->sequences_.set_snapshot(snapshot);
  if (snapshot != nullptr) {
    catalog_ = std::make_unique<SessionCatalog>(std::move(snapshot), session);
    functions_.catalog = catalog_.get();
    functions_.io.reg_names = catalog_.get();
  }
  set_context(ctx);
}

StatementFunctions::~StatementFunctions() { session_->seeded_ = functions_.seeded; }

void StatementFunctions::set_context(const Context& ctx) {
  functions_.check_cancel = [ctx] { return ctx.status(); };
  Session* session = session_;
  functions_.clock_us = [session, ctx] { return session->NowUs(ctx); };
}

QueryRun::QueryRun(Session* session, PlanPtr plan, std::vector<Datum> parameters, const Context& ctx, bool analyze)
    : plan_(std::move(plan)), functions_(session, session->transaction_.catalog()->snapshot(), ctx) {
  exec_.txn = session->transaction_.txn();
  exec_.catalog = session->env_.catalog;
  exec_.snapshot = session->transaction_.catalog()->snapshot();
  exec_.parameters = std::move(parameters);
  exec_.functions = functions_.get();
  exec_.sequences = &session->sequences_;
  exec_.memory = &memory_;
  exec_.lock_timeout = session->settings_.Current().lock_timeout;
  exec_.analyze = analyze;
  exec_.notice = [session](absl::Status notice) { session->Notice(notice); };
}

QueryRun::~QueryRun() = default;

Task<absl::Status> QueryRun::Open(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(execution_, Execution::Create(plan_, &exec_));
  co_return co_await execution_->Open(ctx);
}

Task<absl::StatusOr<const Batch*>> QueryRun::Next(const Context& ctx) {
  functions_.set_context(ctx);
  co_return co_await execution_->Next(ctx);
}

void QueryRun::Close() {
  if (execution_ != nullptr) execution_->Close();
}

}  // namespace insula::sql
