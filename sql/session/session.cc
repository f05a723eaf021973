#include "sql/session/session.h"

#include <algorithm>
#include <utility>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/catalog/snapshot.h"
#include "sql/types/datetime.h"

namespace insula::sql {
namespace {

// A statement that keeps failing on conflicts is given up after this many unseen retries.
constexpr int kMaxRetries = 30;

bool IsConflict(const absl::Status& status) {
  if (!IsPgError(status)) return false;
  std::string code = ToPgError(status).sqlstate;
  return code == sqlstate::kSerializationFailure || code == sqlstate::kDeadlockDetected;
}

absl::Status FatalError(std::string_view sqlstate, std::string_view message) {
  return PgErrorBuilder(sqlstate, message).Severity("FATAL").Build();
}

absl::Status ConcurrentSchemaChange() {
  return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to a concurrent schema change")
      .Hint("The transaction might succeed if retried.")
      .Build();
}

}  // namespace

Session::Session(const SessionEnvironment& env, SessionStart start, ClientChannel* channel, int64_t now_us)
    : env_(env),
      start_(std::move(start)),
      out_(channel),
      transaction_(env.database, env.catalog, &settings_, start_.database),
      sequences_(env.catalog),
      started_us_(now_us),
      statement_us_(now_us) {
  // txid_current() counts up within a session; the base keeps the numbers of sessions apart.
  transaction_base_ = (static_cast<uint64_t>(start_.process_id) & 0x7fffffff) << 32;
}

Session::~Session() {
  DropPortals([](const Portal&) { return true; });
  if (transaction_open_ && env_.observer != nullptr) env_.observer->TransactionClosed();
}

Task<absl::StatusOr<std::unique_ptr<Session>>> Session::Create(const Context& ctx, const SessionEnvironment& env, SessionStart start,
                                                               ClientChannel* channel) {
  int64_t now_us = ctx.executor().clock().Wall().time_since_epoch().count() - kPostgresEpochUs;
  std::unique_ptr<Session> session(new Session(env, std::move(start), channel, now_us));
  CO_RETURN_IF_ERROR(co_await session->Initialize(ctx));
  co_return session;
}

Task<absl::Status> Session::Initialize(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await env_.catalog->Current(ctx));
  const RoleInfo* role = state->FindRole(start_.user);
  const DatabaseInfo* database = state->FindDatabase(start_.database);
  if (role == nullptr || database == nullptr) {
    // What this pod knows may be old.
    CO_ASSIGN_OR_RETURN(state, co_await env_.catalog->Refresh(ctx));
    role = state->FindRole(start_.user);
    database = state->FindDatabase(start_.database);
  }
  if (role == nullptr) co_return FatalError(sqlstate::kInvalidAuthorization, StrCat("role \"", start_.user, "\" does not exist"));
  if (!role->login) co_return FatalError(sqlstate::kInvalidAuthorization, StrCat("role \"", start_.user, "\" is not permitted to log in"));
  if (database == nullptr) {
    co_return FatalError(sqlstate::kInvalidCatalogName, StrCat("database \"", start_.database, "\" does not exist"));
  }
  // Later ones win: database, role, the client.
  settings_.SetInternal("session_authorization", start_.user);
  settings_.SetInternal("is_superuser", role->superuser ? "on" : "off");
  for (const auto* list : {&database->settings, &role->settings}) {
    for (const auto& [name, value] : *list) {
      absl::Status s = settings_.Set(name, value, SessionSettings::Source::kStartup, /*superuser=*/true);
      if (!s.ok()) Notice(PgErrorBuilder(ToPgError(s).sqlstate, ToPgError(s).message).Severity("WARNING").Build());
    }
  }
  for (const auto& [name, value] : start_.settings) {
    absl::Status s = settings_.Set(name, value, SessionSettings::Source::kStartup, role->superuser);
    if (!s.ok()) {
      PgErrorFields f = ToPgError(s);
      co_return PgErrorBuilder(f.sqlstate, f.message).Severity("FATAL").Detail(f.detail).Hint(f.hint).Build();
    }
  }
  co_return absl::OkStatus();
}

int64_t Session::NowUs(const Context& ctx) const { return ctx.executor().clock().Wall().time_since_epoch().count() - kPostgresEpochUs; }

// ---- one statement of the client

Task<absl::Status> Session::AsStatement(const Context& ctx, std::function<Task<absl::Status>(const Context&)> body) {
  CHECK(!statement_ctx_.has_value()) << "two statements at once";
  statement_us_ = NowUs(ctx);
  Duration timeout = settings_.Current().statement_timeout;
  Context inner = timeout > Duration::zero() ? ctx.WithTimeout(timeout) : ctx.WithCancel();
  statement_ctx_ = inner;
  if (env_.observer != nullptr) env_.observer->StatementStarted();
  absl::Status status = co_await body(inner);
  statement_ctx_.reset();
  if (!status.ok()) {
    status = FinalError(ctx, inner, std::move(status));
    co_await Fail(ctx);
  }
  AfterTransaction();
  if (env_.observer != nullptr) env_.observer->StatementEnded();
  co_return status;
}

absl::Status Session::FinalError(const Context& outer, const Context& inner, absl::Status status) const {
  if (IsFenceFailure(status)) return ConcurrentSchemaChange();
  // An error of the statement's own stays; what only says that its context ended becomes why it ended.
  std::string code = ToPgError(status).sqlstate;
  if (code != sqlstate::kQueryCanceled) return status;
  if (outer.done()) return outer.status();
  if (inner.status().code() == absl::StatusCode::kDeadlineExceeded) {
    return PgError(sqlstate::kQueryCanceled, "canceling statement due to statement timeout");
  }
  return inner.done() ? inner.status() : status;
}

void Session::Cancel(absl::Status why) {
  if (statement_ctx_) statement_ctx_->Cancel(std::move(why));
}

Task<void> Session::Fail(const Context& ctx) {
  // A connection that is being ended still rolls back in order: under a context of its own, bounded.
  Context cleanup = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(30s);
  DropPortals([this](const Portal& p) { return p.transaction == transaction_.number() && p.rows != nullptr && p.rows->running(); });
  co_await transaction_.Fail(cleanup);
  AfterTransaction();
}

Task<void> Session::End(const Context& ctx) {
  Context cleanup = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(10s);
  DropPortals([](const Portal&) { return true; });
  co_await transaction_.Rollback(cleanup);
  AfterTransaction();
}

Task<absl::Status> Session::WithRetries(const Context& ctx, bool commit, std::function<Task<absl::Status>(const Context&)> body) {
  transaction_.StartImplicit(statement_us_);
  const Output::Mark mark = out_.Here();
  for (int attempt = 0;; ++attempt) {
    absl::Status status = co_await transaction_.BeginStatement(ctx);
    if (status.ok()) status = co_await body(ctx);
    if (status.ok() && sequences_.needs_flush()) status = co_await sequences_.Flush(ctx);
    if (status.ok() && commit && transaction_.state() == TransactionState::kImplicit) {
      status = co_await PrepareCommit(ctx);
      // Past this point only the store decides: a cancelled commit would be a commit of unknown outcome.
      Context commit_ctx = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(60s);
      if (status.ok()) status = co_await transaction_.CommitForStatement(commit_ctx);
    } else if (status.ok()) {
      transaction_.EndStatement();
    }
    if (status.ok()) co_return status;
    bool again = (IsFenceFailure(status) || IsConflict(status)) && attempt < kMaxRetries && !out_.sent_after(mark) && !ctx.done();
    if (!again) co_return status;
    DropPortals([this](const Portal& p) { return p.transaction == transaction_.number() && p.rows != nullptr && p.rows->running(); });
    absl::StatusOr<bool> undone = co_await transaction_.UndoStatement(ctx, status);
    if (!undone.ok() || !*undone) co_return status;
    out_.TakeBack(mark);
    known_snapshot_.reset();
    // Others get ahead first; repeated conflicts wait longer, at random.
    if (attempt > 0) {
      uint64_t bound = uint64_t{1} << std::min(attempt, 6);
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, std::chrono::microseconds(500 * (1 + env_.random->Uniform(bound)))));
    }
  }
}

// ---- catalog

SnapshotPtr Session::snapshot() const {
  if (transaction_.started()) return transaction_.catalog()->snapshot();
  return known_snapshot_;
}

Task<absl::StatusOr<SnapshotPtr>> Session::KnownSnapshot(const Context& ctx) {
  if (transaction_.started()) co_return transaction_.catalog()->snapshot();
  CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await env_.catalog->Current(ctx));
  if (known_snapshot_ == nullptr || known_snapshot_->state_ptr() != state) {
    const DatabaseInfo* database = state->FindDatabase(start_.database);
    if (database == nullptr) {
      co_return FatalError(sqlstate::kInvalidCatalogName, StrCat("database \"", start_.database, "\" does not exist"));
    }
    known_snapshot_ = std::make_shared<CatalogSnapshot>(state, database->oid);
  }
  co_return known_snapshot_;
}

std::vector<std::string> Session::BindingSearchPath() const {
  std::vector<std::string> path = settings_.Current().search_path;
  for (std::string& schema : path) {
    if (schema == "$user") schema = CurrentUser();
  }
  return path;
}

std::vector<std::string> Session::CurrentSchemas(bool include_implicit) const {
  SnapshotPtr view = snapshot();
  if (view == nullptr) {
    const CatalogStatePtr& state = env_.catalog->known();
    const DatabaseInfo* database = state == nullptr ? nullptr : state->FindDatabase(start_.database);
    if (database == nullptr) return {};
    view = std::make_shared<CatalogSnapshot>(state, database->oid);
  }
  std::vector<std::string> out;
  for (std::string& schema : BindingSearchPath()) {
    if (!view->FindSchema(schema)) continue;
    if (std::find(out.begin(), out.end(), schema) == out.end()) out.push_back(std::move(schema));
  }
  if (include_implicit && std::find(out.begin(), out.end(), "pg_catalog") == out.end()) out.insert(out.begin(), "pg_catalog");
  return out;
}

// ---- as functions see it

std::string Session::CurrentUser() const {
  std::string_view role = settings_.Get("role");
  return role == "none" || role.empty() ? start_.user : std::string(role);
}

std::string Session::Version() const {
  return "PostgreSQL 15.0 (Insula) on x86_64-linux-gnu, compiled by clang, 64-bit";
}

std::optional<std::string> Session::GetSetting(std::string_view name) const {
  std::string lower = AsciiLower(name);
  const bool idle = transaction_.state() == TransactionState::kIdle;
  const TransactionCharacteristics c = idle ? transaction_.Defaults() : transaction_.characteristics();
  if (lower == "transaction_isolation") return std::string(IsolationName(c.isolation));
  if (lower == "transaction_read_only") return std::string(c.read_only ? "on" : "off");
  if (lower == "transaction_deferrable") return std::string(c.deferrable ? "on" : "off");
  return settings_.Find(name);
}

absl::StatusOr<std::string> Session::SetSetting(std::string_view name, std::string_view value, bool local) {
  RETURN_IF_ERROR(SetOne(name, {std::string(value)}, /*reset=*/false, local ? SessionSettings::Source::kLocal : SessionSettings::Source::kSession));
  std::optional<std::string> now = GetSetting(name);
  if (!now) return PgError(sqlstate::kUndefinedObject, StrCat("unrecognized configuration parameter \"", name, "\""));
  return *now;
}

void Session::Notice(const absl::Status& notice) {
  PgErrorFields fields = ToPgError(notice);
  if (SeverityRank(fields.severity) < settings_.Current().client_min_messages) return;
  pgwire::AppendNotice(fields, out_.bytes());
}

void Session::NoticeOf(std::string_view severity, std::string_view sqlstate, std::string_view message, std::string_view hint) {
  Notice(PgErrorBuilder(sqlstate, message).Severity(severity).Hint(hint).Build());
}

bool Session::superuser() const { return settings_.Get("is_superuser") == "on"; }

void Session::AppendParameterReports() {
  if (!settings_.MayHaveReports()) return;
  for (const auto& [name, value] : settings_.TakeChangedReports()) pgwire::AppendParameterStatus(name, value, out_.bytes());
}

// ---- states

absl::Status Session::RefuseInFailed(const ast::Statement* statement) const {
  if (transaction_.state() != TransactionState::kFailed) return absl::OkStatus();
  if (statement != nullptr && EndsFailedTransaction(*statement)) return absl::OkStatus();
  return PgError(sqlstate::kInFailedSqlTransaction, "current transaction is aborted, commands ignored until end of transaction block");
}

Task<absl::Status> Session::DrainPortals(const Context& ctx, const Portal* except) {
  for (auto& [name, portal] : portals_) {
    if (portal.get() == except || portal->rows == nullptr || !portal->rows->running()) continue;
    CO_RETURN_IF_ERROR(co_await portal->rows->Drain(ctx));
  }
  co_return absl::OkStatus();
}

void Session::DropPortals(const std::function<bool(const Portal&)>& which) {
  std::erase_if(portals_, [&](const auto& p) { return which(*p.second); });
}

void Session::AfterTransaction() {
  if (transaction_.state() == TransactionState::kIdle) {
    DropPortals([](const Portal& p) { return p.transaction != 0; });
  }
  UpdateTransactionObserver();
}

void Session::UpdateTransactionObserver() {
  // An implicit transaction counts, too: between the messages of a pipeline it is open.
  bool open = transaction_.state() != TransactionState::kIdle;
  if (open == transaction_open_) return;
  transaction_open_ = open;
  if (env_.observer == nullptr) return;
  if (open) {
    env_.observer->TransactionOpened();
  } else {
    env_.observer->TransactionClosed();
  }
}

Task<absl::Status> Session::Sync(const Context& ctx) {
  if (transaction_.state() != TransactionState::kImplicit) co_return absl::OkStatus();
  co_return co_await AsStatement(ctx, [this](const Context& inner) { return CommitImplicit(inner); });
}

// ---- as a value

absl::StatusOr<SessionValue> Session::ToValue() const {
  if (transaction_.state() != TransactionState::kIdle || statement_running()) {
    return absl::FailedPreconditionError("the session is inside a transaction");
  }
  for (const auto& [name, portal] : portals_) {
    if (portal->hold) return absl::FailedPreconditionError("the session holds a cursor");
  }
  SessionValue value;
  value.user = start_.user;
  value.database = start_.database;
  value.settings = settings_.NonDefault();
  for (const auto& [name, prepared] : prepared_) {
    if (name.empty()) continue;
    PreparedValue p{name, prepared->source == nullptr ? "" : std::string(prepared->source->sql), {}, prepared->from_sql};
    for (const SqlType& type : prepared->declared_types) p.declared_types.push_back(type.oid);
    value.prepared.push_back(std::move(p));
  }
  return value;
}

Task<absl::Status> Session::Restore(const Context& ctx, const SessionValue& value) {
  if (value.user != start_.user || value.database != start_.database) {
    co_return absl::InvalidArgumentError("the value is of another user or database");
  }
  co_return co_await AsStatement(ctx, [this, &value](const Context& inner) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR((co_await KnownSnapshot(inner)).status());
    for (const auto& [name, setting] : value.settings) {
      if (name == "role") {
        CO_RETURN_IF_ERROR(SetRole(name, setting, SessionSettings::Source::kSession));
      } else {
        CO_RETURN_IF_ERROR(settings_.Set(name, setting, SessionSettings::Source::kSession, superuser()));
      }
    }
    for (const PreparedValue& p : value.prepared) {
      auto prepared = std::make_shared<PreparedStatement>();
      prepared->name = p.name;
      prepared->from_sql = p.from_sql;
      prepared->prepared_at_us = NowUs(inner);
      for (Oid type : p.declared_types) prepared->declared_types.push_back({type, -1});
      CO_ASSIGN_OR_RETURN(auto text, ParseText(p.sql));
      if (text->statements.size() > 1) co_return absl::InvalidArgumentError("a prepared statement of several statements");
      if (!text->statements.empty()) prepared->source = MakeSource(text, 0);
      if (p.from_sql) {
        const auto* outer = prepared->source == nullptr ? nullptr : prepared->source->ast->TryAs<ast::PrepareStatement>();
        if (outer == nullptr) co_return absl::InvalidArgumentError("not a PREPARE statement");
        prepared->source = MakeInnerSource(*prepared->source, outer->query.get());
      }
      CO_RETURN_IF_ERROR((co_await DescribeStatement(inner, *prepared)).status());
      prepared_[p.name] = std::move(prepared);
    }
    co_return absl::OkStatus();
  });
}

}  // namespace insula::sql
