// Statements about the session itself: SET, SHOW, PREPARE, DISCARD and their like.
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder.h"
#include "sql/session/result_writer.h"
#include "sql/session/session.h"

namespace insula::sql {
namespace {

std::vector<SqlType> TextTypes(size_t n) { return std::vector<SqlType>(n, {oid::kText, -1}); }

std::string IsolationOrDefault(const std::optional<std::string>& isolation) { return isolation.value_or(""); }

}  // namespace

Task<absl::StatusOr<Session::UtilityResult>> Session::RunUtility(const Context& ctx, const SourcePtr& source,
                                                                 const std::vector<Datum>& parameters) {
  const ast::Statement& statement = *source->ast;
  switch (statement.kind) {
    case ast::StatementKind::kSet:
      CO_RETURN_IF_ERROR((co_await KnownSnapshot(ctx)).status());
      CO_RETURN_IF_ERROR(RunSet(statement.As<ast::SetStatement>()));
      break;
    case ast::StatementKind::kShow:
      co_return RunShow(statement.As<ast::ShowStatement>());
    case ast::StatementKind::kDiscard:
      co_return RunDiscard(statement.As<ast::DiscardStatement>());
    case ast::StatementKind::kPrepare:
      co_return co_await RunPrepare(ctx, source);
    case ast::StatementKind::kDeallocate:
      co_return RunDeallocate(statement.As<ast::DeallocateStatement>());
    case ast::StatementKind::kDeclareCursor:
      co_return co_await RunDeclare(ctx, source, parameters);
    case ast::StatementKind::kCloseCursor:
      co_return RunCloseCursor(statement.As<ast::CloseCursorStatement>());
    case ast::StatementKind::kExplain:
      co_return co_await RunExplain(ctx, source, parameters);
    case ast::StatementKind::kLock:
      co_return co_await RunLock(ctx, statement.As<ast::LockStatement>());
    case ast::StatementKind::kSetConstraints:
      // Constraints that could be deferred cannot be made yet, so ALL finds none to change.
      if (!statement.As<ast::SetConstraintsStatement>().constraints.empty()) co_return PgUnsupported("SET CONSTRAINTS with names");
      break;
    case ast::StatementKind::kUnlisten:
      break;  // nothing can be listened to, so there is nothing to stop
    case ast::StatementKind::kListen:
      co_return PgUnsupported("LISTEN");
    case ast::StatementKind::kNotify:
      co_return PgUnsupported("NOTIFY");
    case ast::StatementKind::kDo:
      co_return PgUnsupported("DO");
    case ast::StatementKind::kCall:
      co_return PgUnsupported("CALL");
    case ast::StatementKind::kCheckpoint:
      if (!superuser()) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT");
      break;  // every commit is durable already
    case ast::StatementKind::kUnsupported: {
      const auto& unsupported = statement.As<ast::UnsupportedStatement>();
      co_return WithPosition(PgUnsupported(unsupported.feature), unsupported.position);
    }
    default:
      co_return PgUnsupported(source->tag);
  }
  co_return UtilityResult{.tag = source->tag};
}

// ---- SET, SHOW

absl::Status Session::SetRole(std::string_view name, std::string_view value, SessionSettings::Source source) {
  SnapshotPtr view = snapshot();
  if (view == nullptr) return absl::InternalError("no catalog to look a role up in");
  const RoleInfo* login = view->state().FindRole(start_.user);
  const bool authorization = name == "session_authorization";
  const bool reset = value == "none" || (authorization && (value == "default" || value == start_.user));
  if (reset) {
    RETURN_IF_ERROR(settings_.Set("role", "none", source, true));
  } else {
    const RoleInfo* role = view->state().FindRole(value);
    if (role == nullptr) return PgError(sqlstate::kInvalidParameterValue, StrCat("role \"", value, "\" does not exist"));
    const bool may = login != nullptr && (login->superuser || (!authorization && view->state().IsMember(login->oid, role->oid)));
    if (!may) {
      return PgError(sqlstate::kInsufficientPrivilege,
                     authorization ? std::string("permission denied to set session authorization") : StrCat("permission denied to set role \"", value, "\""));
    }
    if (authorization) return PgUnsupported("SET SESSION AUTHORIZATION to another role");
    RETURN_IF_ERROR(settings_.Set("role", value, source, true));
  }
  const RoleInfo* now = view->state().FindRole(CurrentUser());
  settings_.SetInternal("is_superuser", now != nullptr && now->superuser ? "on" : "off");
  return absl::OkStatus();
}

absl::Status Session::SetOne(std::string_view name, const std::vector<std::string>& values, bool reset, SessionSettings::Source source) {
  std::string lower = AsciiLower(name);
  if (lower == "role" || lower == "session_authorization") {
    if (values.size() > 1) return PgError(sqlstate::kInvalidParameterValue, StrCat("SET ", name, " takes only one argument"));
    return SetRole(lower, reset || values.empty() ? "none" : values[0], source);
  }
  if (lower == "transaction_isolation" || lower == "transaction_read_only" || lower == "transaction_deferrable") {
    if (reset) return PgUnsupported(StrCat("RESET ", name));
    const SettingInfo* info = FindSetting(lower);
    ASSIGN_OR_RETURN(std::string value, ParseSettingValue(*info, values.size() == 1 ? values[0] : ""));
    TransactionCharacteristics c = transaction_.characteristics();
    if (lower == "transaction_isolation") c.isolation = *IsolationByName(value);
    if (lower == "transaction_read_only") c.read_only = value == "on";
    if (lower == "transaction_deferrable") c.deferrable = value == "on";
    return transaction_.SetCharacteristics(c);
  }
  if (reset) return settings_.Reset(name, source, superuser());
  return settings_.SetList(name, values, source, superuser());
}

absl::Status Session::RunSet(const ast::SetStatement& set) {
  const bool in_block = transaction_.in_block();
  const SessionSettings::Source source = set.local ? SessionSettings::Source::kLocal : SessionSettings::Source::kSession;
  switch (set.action) {
    case ast::SetAction::kValue:
    case ast::SetAction::kDefault:
    case ast::SetAction::kReset:
      if (set.local && !in_block) {
        NoticeOf("WARNING", sqlstate::kNoActiveSqlTransaction, "SET LOCAL can only be used in transaction blocks");
      }
      return SetOne(set.name, set.values, set.action != ast::SetAction::kValue, source);
    case ast::SetAction::kCurrent: {
      ASSIGN_OR_RETURN(std::string value, settings_.Show(set.name));
      return settings_.Set(set.name, value, source, superuser());
    }
    case ast::SetAction::kResetAll:
      settings_.ResetAll();
      return absl::OkStatus();
    case ast::SetAction::kTransaction: {
      if (!set.snapshot.empty()) return PgUnsupported("SET TRANSACTION SNAPSHOT");
      if (!in_block) {
        NoticeOf("WARNING", sqlstate::kNoActiveSqlTransaction, "SET TRANSACTION can only be used in transaction blocks");
        return absl::OkStatus();
      }
      ASSIGN_OR_RETURN(TransactionCharacteristics wanted, Apply(set.modes, transaction_.characteristics()));
      return transaction_.SetCharacteristics(wanted);
    }
    case ast::SetAction::kSessionCharacteristics: {
      RETURN_IF_ERROR(Apply(set.modes, {}).status());
      auto one = [&](std::string_view name, std::string_view value) { return settings_.Set(name, value, SessionSettings::Source::kSession, true); };
      if (set.modes.isolation) RETURN_IF_ERROR(one("default_transaction_isolation", IsolationOrDefault(set.modes.isolation)));
      if (set.modes.read_only) RETURN_IF_ERROR(one("default_transaction_read_only", *set.modes.read_only ? "on" : "off"));
      if (set.modes.deferrable) RETURN_IF_ERROR(one("default_transaction_deferrable", *set.modes.deferrable ? "on" : "off"));
      return absl::OkStatus();
    }
  }
  return PgUnsupported("this form of SET");
}

absl::StatusOr<Session::UtilityResult> Session::RunShow(const ast::ShowStatement& statement) const {
  UtilityResult result{.tag = "SHOW", .has_rows = true};
  if (statement.name == "all") {
    result.columns = {{"name", {oid::kText, -1}}, {"setting", {oid::kText, -1}}, {"description", {oid::kText, -1}}};
    result.rows.Reset(TextTypes(3));
    for (const SettingInfo& info : AllSettings()) {
      result.rows.AppendRow(std::vector<Datum>{Datum::Bytes(info.name), Datum::Bytes(GetSetting(info.name).value_or("")),
                                               Datum::Bytes(info.description)});
    }
    return result;
  }
  std::optional<std::string> value = GetSetting(statement.name);
  if (!value) return PgError(sqlstate::kUndefinedObject, StrCat("unrecognized configuration parameter \"", statement.name, "\""));
  const SettingInfo* info = FindSetting(statement.name);
  result.columns = {{info != nullptr ? std::string(info->name) : statement.name, {oid::kText, -1}}};
  result.rows.Reset(TextTypes(1));
  result.rows.AppendRow(std::vector<Datum>{Datum::Bytes(*value)});
  return result;
}

std::vector<SessionInfo::Setting> Session::Settings() const {
  constexpr std::string_view kContexts[] = {"internal", "postmaster", "sighup", "backend", "superuser", "user"};
  constexpr std::string_view kTypes[] = {"bool", "integer", "real", "string", "enum"};
  std::vector<Setting> out;
  for (const SettingInfo& info : AllSettings()) {
    Setting s;
    s.name = info.name;
    std::optional<std::string> shown = GetSetting(info.name);
    // Numbers in base units, as pg_settings has them.
    s.setting = info.name.starts_with("transaction_") && shown ? *shown : std::string(settings_.Get(info.name));
    s.unit = SettingUnitName(info.unit);
    s.category = info.category;
    s.description = info.description;
    s.context = kContexts[static_cast<int>(info.context)];
    s.vartype = kTypes[static_cast<int>(info.type)];
    s.source = s.setting == info.default_value ? "default" : "session";
    s.boot_value = s.reset_value = info.default_value;
    if (info.type == SettingType::kInt || info.type == SettingType::kReal) {
      auto number = [](double v) { return v == static_cast<double>(static_cast<int64_t>(v)) ? StrCat(static_cast<int64_t>(v)) : StrCat(v); };
      s.min_value = number(info.min);
      s.max_value = info.max > 1e18 ? StrCat(info.max) : number(info.max);
    }
    std::string_view choices = info.choices.substr(0, info.choices.find('|'));
    while (!choices.empty()) {
      size_t comma = choices.find(',');
      s.enum_values.emplace_back(choices.substr(0, comma));
      choices = comma == std::string_view::npos ? std::string_view() : choices.substr(comma + 1);
    }
    out.push_back(std::move(s));
  }
  return out;
}

absl::StatusOr<Session::UtilityResult> Session::RunDiscard(const ast::DiscardStatement& statement) {
  switch (statement.target) {
    case ast::DiscardTarget::kAll:
      if (transaction_.in_block() || multi_statement_) {
        return PgError(sqlstate::kActiveSqlTransaction, "DISCARD ALL cannot run inside a transaction block");
      }
      DropPortals([](const Portal&) { return true; });
      prepared_.clear();
      RETURN_IF_ERROR(SetRole("session_authorization", "default", SessionSettings::Source::kSession));
      settings_.ResetAll();
      sequences_.Discard();
      return UtilityResult{.tag = "DISCARD ALL"};
    case ast::DiscardTarget::kPlans:
      for (auto& [name, prepared] : prepared_) prepared->planned.reset();
      return UtilityResult{.tag = "DISCARD PLANS"};
    case ast::DiscardTarget::kSequences:
      sequences_.Discard();
      return UtilityResult{.tag = "DISCARD SEQUENCES"};
    case ast::DiscardTarget::kTemp:
      return UtilityResult{.tag = "DISCARD TEMP"};  // no temporary object can exist
  }
  return PgUnsupported("this form of DISCARD");
}

// ---- PREPARE, EXECUTE, DEALLOCATE

Task<absl::StatusOr<Session::UtilityResult>> Session::RunPrepare(const Context& ctx, const SourcePtr& source) {
  const auto& prepare = source->ast->As<ast::PrepareStatement>();
  if (prepared_.count(prepare.name) != 0) {
    co_return PgError(sqlstate::kDuplicatePreparedStatement, StrCat("prepared statement \"", prepare.name, "\" already exists"));
  }
  auto statement = std::make_shared<PreparedStatement>();
  statement->name = prepare.name;
  statement->from_sql = true;
  statement->prepared_at_us = statement_us_;
  statement->source = MakeInnerSource(*source, prepare.query.get());
  if (!statement->source->is_query()) co_return PgUnsupported(StrCat("PREPARE of ", statement->source->tag));
  CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(ctx));
  BindContext bind;
  bind.catalog = view.get();
  bind.search_path = BindingSearchPath();
  for (const ast::TypeName& type : prepare.types) {
    CO_ASSIGN_OR_RETURN(SqlType resolved, ResolveType(type, bind));
    statement->declared_types.push_back(resolved);
  }
  CO_RETURN_IF_ERROR((co_await DescribeStatement(ctx, *statement)).status());
  prepared_[prepare.name] = std::move(statement);
  co_return UtilityResult{.tag = "PREPARE"};
}

// The arguments are expressions without columns: a plan of one row of values computes them.
Task<absl::StatusOr<std::vector<Datum>>> Session::EvaluateArguments(const Context& ctx, const ast::ExecuteStatement& statement,
                                                                    const std::vector<SqlType>& types) {
  if (statement.args.size() != types.size()) {
    co_return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("wrong number of parameters for prepared statement \"", statement.name, "\""))
        .Detail(StrCat("Expected ", types.size(), " parameters but got ", statement.args.size(), "."))
        .Build();
  }
  if (types.empty()) co_return std::vector<Datum>();
  SnapshotPtr view = transaction_.catalog()->snapshot();
  StatementFunctions functions(this, view, ctx);
  BindContext bind;
  bind.catalog = view.get();
  bind.search_path = BindingSearchPath();
  bind.functions = functions.get();
  bind.allow_parameters = false;
  static const TableInfo kNoTable;
  auto values = std::make_shared<PhysicalValues>();
  auto plan = std::make_shared<PhysicalPlan>();
  values->rows.emplace_back();
  for (size_t i = 0; i < types.size(); ++i) {
    CO_ASSIGN_OR_RETURN(TableExpression bound,
                        BindTableExpression(*statement.args[i], kNoTable, ExpressionUse::kDefault, types[i], bind));
    values->rows[0].push_back(bound.expr);
    values->output.push_back({static_cast<ColumnId>(i), types[i], ""});
    plan->info.columns.push_back({"", types[i]});
  }
  plan->root = values;
  QueryRun run(this, plan, {}, ctx, /*analyze=*/false);
  CO_RETURN_IF_ERROR(co_await run.Open(ctx));
  CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run.Next(ctx));
  CHECK(batch != nullptr && batch->rows == 1);
  std::vector<Datum> row = batch->Row(0);
  run.Close();
  co_return row;
}

Task<absl::Status> Session::RunExecute(const Context& ctx, const SourcePtr& source, RowTarget target, bool commit) {
  const auto& execute = source->ast->As<ast::ExecuteStatement>();
  auto it = prepared_.find(execute.name);
  if (it == prepared_.end()) {
    co_return PgError(sqlstate::kInvalidSqlStatementName, StrCat("prepared statement \"", execute.name, "\" does not exist"));
  }
  std::shared_ptr<PreparedStatement> statement = it->second;
  if (statement->source == nullptr) {
    pgwire::AppendEmptyQuery(out_.bytes());
    co_return absl::OkStatus();
  }
  if (!statement->source->is_query()) co_return PgUnsupported(StrCat("EXECUTE of ", statement->source->tag));
  std::string tag;
  CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit, [&](const Context& run_ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, target.portal));
    if (statement->planned == nullptr || !IsCurrent(*statement->planned, transaction_.catalog()->snapshot())) {
      CO_ASSIGN_OR_RETURN(statement->planned, co_await PlanFor(run_ctx, statement->source, statement->declared_types,
                                                               TextCacheKey(*statement->source, statement->declared_types)));
    }
    CO_ASSIGN_OR_RETURN(std::vector<Datum> values,
                        co_await EvaluateArguments(run_ctx, execute, statement->planned->plan->info.parameter_types));
    co_return co_await RunPlan(run_ctx, statement->planned, std::move(values), target, &tag);
  }));
  pgwire::AppendCommandComplete(tag, out_.bytes());
  co_return absl::OkStatus();
}

absl::StatusOr<Session::UtilityResult> Session::RunDeallocate(const ast::DeallocateStatement& statement) {
  if (statement.name.empty()) {
    prepared_.clear();
    return UtilityResult{.tag = "DEALLOCATE ALL"};
  }
  if (prepared_.erase(statement.name) == 0) {
    return PgError(sqlstate::kInvalidSqlStatementName, StrCat("prepared statement \"", statement.name, "\" does not exist"));
  }
  return UtilityResult{.tag = "DEALLOCATE"};
}

// ---- LOCK TABLE
// The modes up to ROW EXCLUSIVE conflict only with modes that nobody can hold here and with schema changes, which the catalog's
// fence turns into a failed statement. They are granted without a lock.
Task<absl::StatusOr<Session::UtilityResult>> Session::RunLock(const Context& ctx, const ast::LockStatement& statement) {
  constexpr int kRowExclusive = 3;
  if (!transaction_.in_block()) {
    co_return PgError(sqlstate::kNoActiveSqlTransaction, "LOCK TABLE can only be used in transaction blocks");
  }
  CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(ctx));
  BindContext bind;
  bind.catalog = view.get();
  bind.search_path = BindingSearchPath();
  for (const ast::RelationName& table : statement.tables) CO_RETURN_IF_ERROR(ResolveTable(table, bind).status());
  if (statement.mode > kRowExclusive) co_return PgUnsupported("LOCK TABLE in a mode stronger than ROW EXCLUSIVE");
  co_return UtilityResult{.tag = "LOCK TABLE"};
}

}  // namespace insula::sql
