// Who is busy in a pod, and the gate through which all work passes. Suspending a tenant closes it, atomically, when nobody is.
//
//            Close(): nothing runs, no transaction is open           Stop
//    open ────────────────────────────────────────────► closed ──────────────► stopped
//      ▲                                                  │
//      └───────────────────── Open ───────────────────────┘
//
//   open      connections come in, statements run
//   closed    new connections are refused (57P03); a message on a connection that is there waits: the gate may open again
//   stopped   waiting messages fail (57P01)
//
// Invariant: while closed without force, no statement runs and no transaction is open: everything is on one loop thread, and a
// statement enters before it does anything.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SERVER_ACTIVITY_GATE_H_
#define INSULA_SQL_SERVER_ACTIVITY_GATE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/time.h"
#include "sql/session/session.h"

namespace insula::sql {

struct Activity {
  uint32_t connections = 0;
  uint32_t active_statements = 0;
  uint32_t open_transactions = 0;
  int64_t last_active_us = 0;  // wall time
  friend bool operator==(const Activity&, const Activity&) = default;
};

class ActivityGate : public SessionObserver {
 public:
  explicit ActivityGate(const Clock* clock) : clock_(clock) {}

  const Activity& activity() const { return activity_; }
  // Counts changes, so that a watcher knows whether it has seen the newest.
  uint64_t version() const { return version_; }
  // Until the activity or the gate is not as it was at `version` any more.
  Task<absl::Status> WaitForChange(const Context& ctx, uint64_t version);

  bool is_open() const { return state_ == State::kOpen; }
  bool stopped() const { return state_ == State::kStopped; }
  // True if it is closed now. Not when something is active, unless `force`; a stopped gate stays closed.
  bool Close(bool force);
  // False if it is stopped.
  bool Open();
  void Stop();
  // Lets a message through: at once while open, else when the gate opens. 57P01 when it is stopped.
  Task<absl::Status> Enter(const Context& ctx);

  void ConnectionOpened() { ++activity_.connections, Changed(); }
  void ConnectionClosed() { --activity_.connections, Changed(); }
  void StatementStarted() override;
  void StatementEnded() override;
  void TransactionOpened() override { ++activity_.open_transactions, Changed(); }
  void TransactionClosed() override { --activity_.open_transactions, Changed(); }

  uint64_t statements() const { return statements_; }

 private:
  enum class State { kOpen, kClosed, kStopped };
  void Changed();
  void SetState(State state);

  const Clock* clock_;
  Activity activity_;
  State state_ = State::kOpen;
  uint64_t version_ = 0;
  uint64_t statements_ = 0;
  Condition changed_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_ACTIVITY_GATE_H_
