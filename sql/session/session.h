// One client's session: what it has set, prepared and opened, the state of its transaction, and the statement loop.
//
//   text ─► cached plan? ──────────────────────────┐
//     └─► parse ─► bind ─► optimise ─► plan ───────┴─► execute ─► rows in Output ─► commit ─► CommandComplete
//                                       ▲                                             │
//                                       └── 40001, failed fence; nothing sent yet ◄───┘   again, unseen
//
// A session knows messages, not sockets: a Connection (connection.h) reads frames and calls it; answers go to Output. Methods that
// answer a client's message return the error that the client shall see, after the transaction has been put into the state that
// PostgreSQL would be in.
//
// A session is a value between statements: ToValue() gives what another pod needs to go on (session_value.h).
//
// Invariants:
//   S1  At most one statement runs at a time; statement contexts are children of the caller's.
//   S2  Portals that are not held die with their transaction.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SESSION_SESSION_H_
#define INSULA_SQL_SESSION_SESSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/frontend.h"
#include "base/runtime/random.h"
#include "kv/api/txn.h"
#include "sql/catalog/catalog.h"
#include "sql/exec/sequences.h"
#include "sql/functions/function_context.h"
#include "sql/schema/ddl.h"
#include "sql/session/output.h"
#include "sql/session/plan_cache.h"
#include "sql/session/portal.h"
#include "sql/session/session_value.h"
#include "sql/session/settings.h"
#include "sql/session/statement.h"
#include "sql/session/transaction.h"

namespace insula::sql {

// Hears what a session does; for activity counts. Calls come in pairs.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  virtual void StatementStarted() {}
  virtual void StatementEnded() {}
  virtual void TransactionOpened() {}
  virtual void TransactionClosed() {}
};

// What all sessions of a pod share. Pointers are not owned and outlive the sessions.
struct SessionEnvironment {
  kv::Database* database = nullptr;
  Catalog* catalog = nullptr;
  PlanCache* plans = nullptr;
  Random* random = nullptr;
  SessionObserver* observer = nullptr;  // may be null
};

// Who connects, and with what.
struct SessionStart {
  std::string user;
  std::string database;
  std::vector<std::pair<std::string, std::string>> settings;  // from the startup message, options first
  int32_t process_id = 0;
  std::string client_address;
  int32_t client_port = -1;
};

class Session : public SessionInfo {
 public:
  // Checks role, database and settings. 28000, 3D000, 42704, 22023, ….
  static Task<absl::StatusOr<std::unique_ptr<Session>>> Create(const Context& ctx, const SessionEnvironment& env, SessionStart start,
                                                               ClientChannel* channel);
  ~Session() override;

  // ---- a client's messages. The context is the connection's; it ends with what ends the session (57P01).
  Task<absl::Status> SimpleQuery(const Context& ctx, std::string_view sql);
  Task<absl::Status> Parse(const Context& ctx, const pgwire::ParseMessage& message);
  Task<absl::Status> Bind(const Context& ctx, const pgwire::BindMessage& message);
  Task<absl::Status> Describe(const Context& ctx, const pgwire::TargetMessage& message);
  // sync_follows: the next message is a Sync, so that an implicit transaction may commit as part of this statement.
  Task<absl::Status> Execute(const Context& ctx, const pgwire::ExecuteMessage& message, bool sync_follows);
  absl::Status Close(const pgwire::TargetMessage& message);
  // Ends an implicit transaction.
  Task<absl::Status> Sync(const Context& ctx);
  // Puts the transaction into its failed state after an error that arose outside (a malformed message).
  Task<void> Fail(const Context& ctx);

  // Ends the running statement with `why` (a PgError); nothing if none runs.
  void Cancel(absl::Status why);

  // The session ends: rolls back.
  Task<void> End(const Context& ctx);

  Output& out() { return out_; }
  pgwire::TransactionStatus transaction_status() const { return transaction_.status(); }
  // ParameterStatus messages that are due, and notices of changed settings.
  void AppendParameterReports();
  const DerivedSettings& settings() const { return settings_.Current(); }
  bool statement_running() const { return statement_ctx_.has_value(); }

  // Everything that another pod needs to go on with this session. kFailedPrecondition outside of kIdle and with held cursors.
  absl::StatusOr<SessionValue> ToValue() const;
  // Continues a session: settings, role, prepared statements. 26000 and others if something cannot be restored.
  Task<absl::Status> Restore(const Context& ctx, const SessionValue& value);

  // ---- SessionInfo: the session as functions see it
  std::string CurrentUser() const override;
  std::string SessionUser() const override { return start_.user; }
  std::string CurrentDatabase() const override { return start_.database; }
  std::vector<std::string> CurrentSchemas(bool include_implicit) const override;
  std::string Version() const override;
  int32_t BackendPid() const override { return start_.process_id; }
  int64_t BackendStartUs() const override { return started_us_; }
  std::optional<std::string> GetSetting(std::string_view name) const override;
  absl::StatusOr<std::string> SetSetting(std::string_view name, std::string_view value, bool local) override;
  std::string ClientAddress() const override { return start_.client_address; }
  int32_t ClientPort() const override { return start_.client_port; }
  uint64_t TransactionId() override { return transaction_.number() + transaction_base_; }
  std::vector<Setting> Settings() const override;
  void Notice(const absl::Status& notice) override;

  const std::map<std::string, std::shared_ptr<PreparedStatement>>& prepared() const { return prepared_; }

 private:
  friend class QueryRun;
  friend class StatementFunctions;

  // Where a statement's rows go and how far.
  struct RowTarget {
    bool describe = false;                 // RowDescription first (simple protocol)
    std::vector<int16_t> formats = {};     // as requested
    uint64_t max_rows = 0;                 // 0: all
    Portal* portal = nullptr;              // extended protocol: keeps what is left
  };
  // What a statement that is not a query gives.
  struct UtilityResult {
    std::string tag;
    std::vector<ResultColumn> columns = {};
    Batch rows = {};
    bool has_rows = false;
  };

  Session(const SessionEnvironment& env, SessionStart start, ClientChannel* channel, int64_t now_us);
  Task<absl::Status> Initialize(const Context& ctx);

  // ---- session.cc: frames around statements
  int64_t NowUs(const Context& ctx) const;
  // Runs `body` as one statement of the client: its context, timeout, activity; maps its error and fails the transaction.
  Task<absl::Status> AsStatement(const Context& ctx, std::function<Task<absl::Status>(const Context&)> body);
  absl::Status FinalError(const Context& outer, const Context& inner, absl::Status status) const;
  // Runs `body` in the transaction, again as long as that goes unseen. commit: an implicit transaction ends with it.
  Task<absl::Status> WithRetries(const Context& ctx, bool commit, std::function<Task<absl::Status>(const Context&)> body);
  SnapshotPtr snapshot() const;
  Task<absl::StatusOr<SnapshotPtr>> KnownSnapshot(const Context& ctx);
  std::vector<std::string> BindingSearchPath() const;
  void NoticeOf(std::string_view severity, std::string_view sqlstate, std::string_view message, std::string_view hint = {});
  // The error for a statement of a failed block; OK in all other states and for what ends one. null: an empty query.
  absl::Status RefuseInFailed(const ast::Statement* statement) const;
  // Draws the running portals of this transaction into memory before another statement runs.
  Task<absl::Status> DrainPortals(const Context& ctx, const Portal* except);
  void DropPortals(const std::function<bool(const Portal&)>& which);
  void AfterTransaction();
  void UpdateTransactionObserver();

  // ---- session_plan.cc
  // A plan for the query under the current catalog and settings: cached, or made now. cache_key: empty = do not keep it.
  Task<absl::StatusOr<PlannedPtr>> PlanFor(const Context& ctx, const SourcePtr& source, const std::vector<SqlType>& types,
                                           const std::string& cache_key);
  absl::StatusOr<PlannedPtr> MakePlan(const Context& ctx, const SourcePtr& source, const std::vector<SqlType>& types,
                                      const SnapshotPtr& snapshot);
  bool IsCurrent(const PlannedStatement& planned, const SnapshotPtr& snapshot) const;
  std::string CacheKey(std::string_view text, const std::vector<SqlType>& types) const;
  // Of a statement as it stands; empty: do not keep its plan.
  std::string TextCacheKey(const StatementSource& source, const std::vector<SqlType>& types) const;
  absl::StatusOr<std::vector<Datum>> LiteralValues(const Context& ctx, const SqlShape& shape, const PlannedStatement& planned);
  // Result columns of any statement, for Describe.
  Task<absl::StatusOr<std::vector<ResultColumn>>> DescribeStatement(const Context& ctx, PreparedStatement& statement);

  // ---- session_query.cc
  Task<absl::Status> RunSimpleText(const Context& ctx, std::string_view sql);
  // The cached way of SimpleQuery: false if there is none.
  Task<absl::StatusOr<bool>> RunCachedShape(const Context& ctx, std::string_view sql);
  Task<absl::Status> RunStatement(const Context& ctx, const SourcePtr& source, RowTarget target, bool commit);
  // Executes a planned query and sends its rows; the tag is left in `tag`.
  Task<absl::Status> RunPlan(const Context& ctx, const PlannedPtr& planned, std::vector<Datum> parameters, RowTarget target,
                             std::string* tag);
  // At most max_rows (0: all) of what `rows` still has; send: off for rows that only count. done: there are no more.
  Task<absl::Status> SendRows(const Context& ctx, RowSource& rows, bool send, const std::vector<int16_t>& formats, const IoContext& io,
                              uint64_t max_rows, uint64_t* sent, bool* done);
  // Privileges, read-only transactions.
  absl::Status CheckBeforeRun(const PlannedStatement& planned) const;
  absl::Status CheckReadOnly(std::string_view tag) const;
  // An implicit transaction that a statement without retries has left open.
  Task<absl::Status> CommitImplicit(const Context& ctx);
  Task<absl::Status> SendUtility(const Context& ctx, UtilityResult result, RowTarget target);

  // ---- session_extended.cc
  absl::StatusOr<std::vector<Datum>> DecodeParameters(const Context& ctx, const pgwire::BindMessage& message,
                                                      const std::vector<SqlType>& types, const SnapshotPtr& snapshot);
  Task<absl::Status> RunPortal(const Context& ctx, Portal& portal, uint64_t max_rows, bool commit);
  Task<absl::Status> BeginPortalRows(const Context& ctx, Portal& portal);

  // ---- session_transaction.cc
  Task<absl::StatusOr<std::string>> RunTransaction(const Context& ctx, const ast::TransactionStatement& statement);
  absl::StatusOr<TransactionCharacteristics> Apply(const ast::TransactionModes& modes, TransactionCharacteristics base) const;
  Task<absl::StatusOr<std::string>> RunCommit(const Context& ctx, bool chain);
  Task<absl::StatusOr<std::string>> RunRollback(const Context& ctx, bool chain);

  // ---- session_utility.cc
  Task<absl::StatusOr<UtilityResult>> RunUtility(const Context& ctx, const SourcePtr& source, const std::vector<Datum>& parameters);
  absl::Status RunSet(const ast::SetStatement& statement);
  absl::Status SetOne(std::string_view name, const std::vector<std::string>& values, bool reset, SessionSettings::Source source);
  absl::Status SetRole(std::string_view name, std::string_view value, SessionSettings::Source source);
  absl::StatusOr<UtilityResult> RunShow(const ast::ShowStatement& statement) const;
  absl::StatusOr<UtilityResult> RunDiscard(const ast::DiscardStatement& statement);
  Task<absl::StatusOr<UtilityResult>> RunPrepare(const Context& ctx, const SourcePtr& source);
  Task<absl::Status> RunExecute(const Context& ctx, const SourcePtr& source, RowTarget target, bool commit);
  Task<absl::StatusOr<std::vector<Datum>>> EvaluateArguments(const Context& ctx, const ast::ExecuteStatement& statement,
                                                             const std::vector<SqlType>& types);
  absl::StatusOr<UtilityResult> RunDeallocate(const ast::DeallocateStatement& statement);
  Task<absl::StatusOr<UtilityResult>> RunLock(const Context& ctx, const ast::LockStatement& statement);
  bool superuser() const;

  // ---- session_cursor.cc
  Task<absl::StatusOr<UtilityResult>> RunDeclare(const Context& ctx, const SourcePtr& source, const std::vector<Datum>& parameters);
  Task<absl::Status> RunFetch(const Context& ctx, const ast::FetchStatement& statement, RowTarget target, std::string* tag);
  Task<absl::StatusOr<uint64_t>> MoveCursor(const Context& ctx, Portal& portal, const ast::FetchStatement& statement,
                                            const std::vector<int16_t>& formats);
  absl::StatusOr<UtilityResult> RunCloseCursor(const ast::CloseCursorStatement& statement);
  // Cursors WITH HOLD read their rows; other queries that stand still are over.
  Task<absl::Status> PrepareCommit(const Context& ctx);
  absl::StatusOr<Portal*> FindCursor(std::string_view name);

  // ---- session_schema.cc: DDL, COPY, EXPLAIN
  DdlContext MakeDdlContext(const Context& ctx, StatementFunctions* functions, MemoryAccount* memory, std::string_view sql);
  Task<absl::Status> RunDdl(const Context& ctx, const SourcePtr& source, const std::vector<Datum>& parameters, std::string* tag);
  Task<absl::Status> RunCopy(const Context& ctx, const SourcePtr& source, bool commit);
  Task<absl::StatusOr<UtilityResult>> RunExplain(const Context& ctx, const SourcePtr& source, const std::vector<Datum>& parameters);

  SessionEnvironment env_;
  SessionStart start_;
  Output out_;
  SessionSettings settings_;
  SessionTransaction transaction_;
  SessionSequences sequences_;
  std::optional<SeededRandom> seeded_;  // setseed()
  std::map<std::string, std::shared_ptr<PreparedStatement>> prepared_;
  std::map<std::string, std::unique_ptr<Portal>> portals_;
  std::optional<Context> statement_ctx_;
  SnapshotPtr known_snapshot_;
  int64_t started_us_ = 0;
  int64_t statement_us_ = 0;
  uint64_t transaction_base_ = 0;
  bool transaction_open_ = false;  // as the observer knows it
  bool multi_statement_ = false;   // inside a simple query of several statements
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_SESSION_H_
