// The extended protocol: Parse, Bind, Describe, Execute, Close.
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/catalog/catalog_functions.h"
#include "sql/schema/ddl.h"
#include "sql/session/result_writer.h"
#include "sql/session/session.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

std::string PortalTag(const Portal& portal) {
  switch (portal.planned->plan->info.tag) {
    case StatementTag::kSelect: return StrCat("SELECT ", portal.row_count);
    case StatementTag::kInsert: return StrCat("INSERT 0 ", portal.rows->rows_affected());
    case StatementTag::kUpdate: return StrCat("UPDATE ", portal.rows->rows_affected());
    case StatementTag::kDelete: return StrCat("DELETE ", portal.rows->rows_affected());
  }
  return "SELECT";
}

bool SameTypes(const std::vector<ResultColumn>& a, const std::vector<ResultColumn>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].type.oid != b[i].type.oid) return false;
  }
  return true;
}

absl::Status CachedPlanChanged() { return PgError(sqlstate::kFeatureNotSupported, "cached plan must not change result type"); }

}  // namespace

Task<absl::Status> Session::Parse(const Context& ctx, const pgwire::ParseMessage& message) {
  co_return co_await AsStatement(ctx, [&](const Context& inner) -> Task<absl::Status> {
    if (!message.name.empty() && prepared_.count(std::string(message.name)) != 0) {
      co_return PgError(sqlstate::kDuplicatePreparedStatement, StrCat("prepared statement \"", message.name, "\" already exists"));
    }
    if (message.name.empty()) prepared_.erase("");
    auto statement = std::make_shared<PreparedStatement>();
    statement->name = message.name;
    statement->prepared_at_us = statement_us_;
    for (uint32_t type : message.parameter_types) statement->declared_types.push_back({type, -1});
    // A text that the pod has a plan for is not parsed again.
    if (transaction_.state() != TransactionState::kFailed) {
      CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(inner));
      std::string key = CacheKey(StrCat("x:", message.query), statement->declared_types);
      if (PlannedPtr planned = env_.plans->Find(key, view->version(), nullptr)) {
        statement->source = planned->source;
        statement->parameter_types = planned->plan->info.parameter_types;
        statement->columns = planned->plan->info.columns;
        statement->planned = std::move(planned);
      }
    }
    if (statement->source == nullptr) {
      CO_ASSIGN_OR_RETURN(auto text, ParseText(message.query));
      if (text->statements.size() > 1) {
        co_return PgError(sqlstate::kSyntaxError, "cannot insert multiple commands into a prepared statement");
      }
      if (!text->statements.empty()) statement->source = MakeSource(text, 0);
      CO_RETURN_IF_ERROR(RefuseInFailed(statement->source == nullptr ? nullptr : statement->source->ast));
      absl::StatusOr<std::vector<ResultColumn>> described = co_await DescribeStatement(inner, *statement);
      if (!described.ok() && IsFenceFailure(described.status())) {
        CO_RETURN_IF_ERROR(co_await transaction_.catalog()->Renew(inner));
        described = co_await DescribeStatement(inner, *statement);
      }
      CO_RETURN_IF_ERROR(described.status());
    }
    prepared_[std::string(message.name)] = std::move(statement);
    pgwire::AppendParseComplete(out_.bytes());
    co_return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<Datum>> Session::DecodeParameters(const Context& ctx, const pgwire::BindMessage& message,
                                                             const std::vector<SqlType>& types, const SnapshotPtr& view) {
  const std::string statement_name(message.statement);
  if (message.parameters.size() != types.size()) {
    return PgError(sqlstate::kProtocolViolation,
                   StrCat("bind message supplies ", message.parameters.size(), " parameters, but prepared statement \"", statement_name,
                          "\" requires ", types.size()));
  }
  const auto& formats = message.parameter_formats;
  if (formats.size() > 1 && formats.size() != message.parameters.size()) {
    return PgError(sqlstate::kProtocolViolation, StrCat("bind message has ", formats.size(), " parameter formats but ",
                                                        message.parameters.size(), " parameters"));
  }
  IoContext io = settings_.Current().io;
  io.now_us = transaction_.state() == TransactionState::kIdle ? statement_us_ : transaction_.start_us();
  std::optional<SessionCatalog> names;
  std::vector<Datum> out;
  out.reserve(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (!message.parameters[i]) {
      out.push_back(Datum::Null());
      continue;
    }
    int16_t format = formats.empty() ? 0 : formats[formats.size() == 1 ? 0 : i];
    SqlType type{types[i].oid, -1};
    if (format != 0 && format != 1) return PgError(sqlstate::kInvalidParameterValue, StrCat("unsupported format code: ", format));
    if (IsRegType(type.oid) && !names) {
      names.emplace(view, this);
      io.reg_names = &*names;
    }
    absl::StatusOr<Datum> value = format == 0 ? TextIn(io, type, *message.parameters[i]) : BinaryReceive(io, type, *message.parameters[i]);
    if (!value.ok()) return value.status();
    out.push_back(*std::move(value));
  }
  return out;
}

Task<absl::Status> Session::Bind(const Context& ctx, const pgwire::BindMessage& message) {
  co_return co_await AsStatement(ctx, [&](const Context& inner) -> Task<absl::Status> {
    auto it = prepared_.find(std::string(message.statement));
    if (it == prepared_.end()) {
      co_return PgError(sqlstate::kInvalidSqlStatementName,
                        message.statement.empty() ? "unnamed prepared statement does not exist"
                                                  : StrCat("prepared statement \"", message.statement, "\" does not exist"));
    }
    std::shared_ptr<PreparedStatement> statement = it->second;
    CO_RETURN_IF_ERROR(RefuseInFailed(statement->source == nullptr ? nullptr : statement->source->ast));
    std::string name(message.portal);
    auto old = portals_.find(name);
    if (old != portals_.end()) {
      if (!name.empty()) co_return PgError("42P03", StrCat("cursor \"", name, "\" already exists"));
      portals_.erase(old);
    }
    transaction_.StartImplicit(statement_us_);
    CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(inner));
    auto portal = std::make_unique<Portal>();
    portal->name = name;
    portal->source = statement->source;
    portal->planned = statement->planned;
    portal->statement = statement;
    portal->declared_types = statement->declared_types;
    portal->columns = statement->columns;
    portal->requested_formats = message.result_formats;
    portal->created_us = statement_us_;
    portal->created_clock = transaction_.Tick();
    portal->transaction = transaction_.number();
    CO_ASSIGN_OR_RETURN(portal->parameters, DecodeParameters(inner, message, statement->parameter_types, view));
    CO_ASSIGN_OR_RETURN(portal->formats, ExpandFormats(message.result_formats, portal->columns.size()));
    portals_[name] = std::move(portal);
    pgwire::AppendBindComplete(out_.bytes());
    co_return absl::OkStatus();
  });
}

Task<absl::Status> Session::Describe(const Context& ctx, const pgwire::TargetMessage& message) {
  absl::Status status;
  const std::string name(message.name);
  if (message.kind == 'S') {
    auto it = prepared_.find(name);
    if (it == prepared_.end()) {
      status = PgError(sqlstate::kInvalidSqlStatementName, name.empty() ? "unnamed prepared statement does not exist"
                                                                        : StrCat("prepared statement \"", name, "\" does not exist"));
    } else {
      const PreparedStatement& statement = *it->second;
      std::vector<uint32_t> types;
      for (const SqlType& type : statement.parameter_types) types.push_back(type.oid);
      pgwire::AppendParameterDescription(types, out_.bytes());
      if (statement.columns.empty()) {
        pgwire::AppendNoData(out_.bytes());
      } else {
        AppendResultDescription(statement.columns, {}, out_.bytes());
      }
    }
  } else {
    auto it = portals_.find(name);
    if (it == portals_.end()) {
      status = PgError(sqlstate::kInvalidCursorName, StrCat("portal \"", name, "\" does not exist"));
    } else if (it->second->columns.empty()) {
      pgwire::AppendNoData(out_.bytes());
    } else {
      AppendResultDescription(it->second->columns, it->second->formats, out_.bytes());
    }
  }
  if (!status.ok()) co_await Fail(ctx);
  co_return status;
}

Task<absl::Status> Session::Execute(const Context& ctx, const pgwire::ExecuteMessage& message, bool sync_follows) {
  const std::string name(message.portal);
  const uint64_t max_rows = message.max_rows > 0 ? static_cast<uint64_t>(message.max_rows) : 0;
  co_return co_await AsStatement(ctx, [&](const Context& inner) -> Task<absl::Status> {
    auto it = portals_.find(name);
    if (it == portals_.end()) co_return PgError(sqlstate::kInvalidCursorName, StrCat("portal \"", name, "\" does not exist"));
    // A transaction that ends inside this statement drops its portals; this one stays until the statement is through.
    std::unique_ptr<Portal> held = std::move(it->second);
    portals_.erase(it);
    Portal& portal = *held;
    CO_RETURN_IF_ERROR(RefuseInFailed(portal.source == nullptr ? nullptr : portal.source->ast));
    if (portal.source == nullptr) {
      pgwire::AppendEmptyQuery(out_.bytes());
    } else {
      CO_RETURN_IF_ERROR(co_await RunPortal(inner, portal, max_rows, sync_follows));
    }
    const bool lives = transaction_.state() != TransactionState::kIdle && portal.transaction == transaction_.number();
    if (lives || (portal.hold && portal.transaction == 0)) portals_[name] = std::move(held);
    co_return absl::OkStatus();
  });
}

Task<absl::Status> Session::BeginPortalRows(const Context& ctx, Portal& portal) {
  const bool current = portal.planned != nullptr && IsCurrent(*portal.planned, transaction_.catalog()->snapshot());
  if (!current) {
    CO_ASSIGN_OR_RETURN(PlannedPtr planned,
                        co_await PlanFor(ctx, portal.source, portal.declared_types, TextCacheKey(*portal.source, portal.declared_types)));
    if (!SameTypes(planned->plan->info.columns, portal.columns)) co_return CachedPlanChanged();
    portal.planned = std::move(planned);
    if (portal.statement != nullptr) portal.statement->planned = portal.planned;
  }
  CO_RETURN_IF_ERROR(CheckBeforeRun(*portal.planned));
  if (portal.planned->reads_catalog && !transaction_.catalog()->changed()) {
    CO_ASSIGN_OR_RETURN(CatalogStatePtr newest, co_await env_.catalog->Refresh(ctx));
    if (newest->version() != portal.planned->catalog_version) co_return absl::FailedPreconditionError("the catalog has changed");
  }
  // The parameters stay with the portal: a retry needs them again.
  auto run = std::make_unique<QueryRun>(this, portal.planned->plan, portal.parameters, ctx, /*analyze=*/false);
  CO_RETURN_IF_ERROR(co_await run->Open(ctx));
  portal.rows = std::make_unique<RowSource>(std::move(run), portal.cursor && !portal.no_scroll);
  co_return absl::OkStatus();
}

Task<absl::Status> Session::RunPortal(const Context& ctx, Portal& portal, uint64_t max_rows, bool commit) {
  if (portal.done) {
    // PostgreSQL lets a finished SELECT be asked again and again; anything else may run once.
    if (portal.planned != nullptr && portal.planned->plan->info.tag == StatementTag::kSelect) {
      pgwire::AppendCommandComplete("SELECT 0", out_.bytes());
      co_return absl::OkStatus();
    }
    co_return PgError(sqlstate::kObjectNotInPrerequisiteState, StrCat("portal \"", portal.name, "\" cannot be run"));
  }
  if (!portal.source->is_query()) {
    RowTarget target;
    target.formats = portal.requested_formats;
    target.max_rows = max_rows;
    target.portal = &portal;
    portal.done = true;
    co_return co_await RunStatement(ctx, portal.source, target, commit);
  }
  const bool select = portal.planned != nullptr && portal.planned->plan->info.tag == StatementTag::kSelect;
  const bool send = select || !portal.columns.empty();
  bool done = false;
  auto rows = [&](const Context& run_ctx) -> Task<absl::Status> {
    StatementFunctions functions(this, transaction_.catalog()->snapshot(), run_ctx);
    const IoContext& io = portal.rows->running() ? portal.rows->run()->io() : functions.io();
    co_return co_await SendRows(run_ctx, *portal.rows, send, portal.formats, io, max_rows, &portal.row_count, &done);
  };
  if (portal.rows == nullptr) {
    // A portal that may have to go on later must not commit with this part.
    CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit && max_rows == 0, [&](const Context& run_ctx) -> Task<absl::Status> {
      portal.row_count = 0;
      absl::Status status = co_await DrainPortals(run_ctx, &portal);
      if (status.ok()) status = co_await BeginPortalRows(run_ctx, portal);
      if (status.ok()) status = co_await rows(run_ctx);
      // The query must be gone before its transaction is.
      if (!status.ok()) portal.rows.reset();
      co_return status;
    }));
  } else {
    CO_RETURN_IF_ERROR(co_await rows(ctx));
  }
  if (!done) {
    pgwire::AppendPortalSuspended(out_.bytes());
    co_return absl::OkStatus();
  }
  portal.done = true;
  pgwire::AppendCommandComplete(PortalTag(portal), out_.bytes());
  co_return absl::OkStatus();
}

absl::Status Session::Close(const pgwire::TargetMessage& message) {
  const std::string name(message.name);
  if (message.kind == 'S') {
    prepared_.erase(name);
  } else {
    portals_.erase(name);
  }
  pgwire::AppendCloseComplete(out_.bytes());
  return absl::OkStatus();
}

}  // namespace insula::sql
