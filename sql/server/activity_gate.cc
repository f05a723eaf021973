#include "sql/server/activity_gate.h"

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"

namespace insula::sql {

void ActivityGate::Changed() {
  ++version_;
  changed_.NotifyAll();
}

void ActivityGate::SetState(State state) {
  if (state_ == state) return;
  state_ = state;
  Changed();
}

void ActivityGate::StatementStarted() {
  ++statements_;
  ++activity_.active_statements;
  activity_.last_active_us = clock_->Wall().time_since_epoch().count();
  Changed();
}

void ActivityGate::StatementEnded() {
  --activity_.active_statements;
  activity_.last_active_us = clock_->Wall().time_since_epoch().count();
  Changed();
}

bool ActivityGate::Close(bool force) {
  if (state_ == State::kStopped) return true;
  const bool busy = activity_.active_statements != 0 || activity_.open_transactions != 0;
  if (busy && !force) return false;
  SetState(State::kClosed);
  return true;
}

bool ActivityGate::Open() {
  if (state_ == State::kStopped) return false;
  SetState(State::kOpen);
  return true;
}

void ActivityGate::Stop() { SetState(State::kStopped); }

Task<absl::Status> ActivityGate::WaitForChange(const Context& ctx, uint64_t version) {
  while (version_ == version) CO_RETURN_IF_ERROR(co_await changed_.Wait(ctx));
  co_return absl::OkStatus();
}

Task<absl::Status> ActivityGate::Enter(const Context& ctx) {
  while (state_ == State::kClosed) CO_RETURN_IF_ERROR(co_await changed_.Wait(ctx));
  if (state_ == State::kStopped) {
    co_return PgErrorBuilder(sqlstate::kAdminShutdown, "terminating connection due to administrator command").Severity("FATAL").Build();
  }
  co_return absl::OkStatus();
}

}  // namespace insula::sql
