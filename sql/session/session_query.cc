// Simple queries, and how any statement runs.
#include <algorithm>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/catalog/acl.h"
#include "sql/schema/ddl.h"
#include "sql/session/result_writer.h"
#include "sql/session/session.h"

namespace insula::sql {
namespace {

// A single statement's own text, as the parser cuts it out, but for comments.
std::string_view TrimStatement(std::string_view sql) {
  size_t begin = sql.find_first_not_of(" \t\r\n\f\v");
  if (begin == std::string_view::npos) return {};
  return sql.substr(begin, sql.find_last_not_of(" \t\r\n\f\v;") + 1 - begin);
}

bool IsBlank(std::string_view sql) { return sql.find_first_not_of(" \t\r\n\f\v;") == std::string_view::npos; }

// The tag of a query: rows for SELECT come from what was sent.
std::string QueryTag(const PlannedStatement& planned, uint64_t sent, uint64_t affected) {
  switch (planned.plan->info.tag) {
    case StatementTag::kSelect: return StrCat("SELECT ", sent);
    case StatementTag::kInsert: return StrCat("INSERT 0 ", affected);
    case StatementTag::kUpdate: return StrCat("UPDATE ", affected);
    case StatementTag::kDelete: return StrCat("DELETE ", affected);
  }
  return "SELECT";
}

std::vector<SqlType> TypesOf(const LiteralParameters& literals) {
  std::vector<SqlType> out;
  for (const auto& p : literals.parameters) {
    switch (p.kind) {
      case LiteralKind::kInt4: out.push_back({oid::kInt4, -1}); break;
      case LiteralKind::kInt8: out.push_back({oid::kInt8, -1}); break;
      case LiteralKind::kNumeric: out.push_back({oid::kNumeric, -1}); break;
      case LiteralKind::kString: out.push_back({oid::kUnknown, -1}); break;
    }
  }
  return out;
}

}  // namespace

Task<absl::Status> Session::SimpleQuery(const Context& ctx, std::string_view sql) {
  // A simple query does away with the unnamed statement and portal.
  prepared_.erase("");
  portals_.erase("");
  absl::Status status = co_await RunSimpleText(ctx, sql);
  multi_statement_ = false;
  if (!status.ok() && transaction_.state() != TransactionState::kIdle) co_await Fail(ctx);
  co_return status;
}

Task<absl::Status> Session::RunSimpleText(const Context& ctx, std::string_view sql) {
  if (transaction_.state() != TransactionState::kFailed) {
    CO_ASSIGN_OR_RETURN(bool done, co_await RunCachedShape(ctx, sql));
    if (done) co_return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<const ParsedText>> text = ParseText(sql);
  if (!text.ok()) {
    // In a failed block even garbage is answered with 25P02 only if it parses; PostgreSQL parses first, too.
    co_await Fail(ctx);
    co_return text.status();
  }
  const size_t count = (*text)->statements.size();
  if (count == 0) {
    pgwire::AppendEmptyQuery(out_.bytes());
    co_return absl::OkStatus();
  }
  multi_statement_ = count > 1;
  for (size_t i = 0; i < count; ++i) {
    SourcePtr source = MakeSource(*text, i);
    const bool last = i + 1 == count;
    CO_RETURN_IF_ERROR(co_await AsStatement(ctx, [&](const Context& inner) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(RefuseInFailed(source->ast));
      co_return co_await RunStatement(inner, source, {.describe = true}, last);
    }));
    if (out_.large()) CO_RETURN_IF_ERROR(co_await out_.Flush(ctx));
  }
  CHECK(transaction_.state() != TransactionState::kImplicit) << "a simple query left its transaction open";
  co_return absl::OkStatus();
}

Task<absl::Status> Session::CommitImplicit(const Context& ctx) {
  if (transaction_.state() != TransactionState::kImplicit) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(co_await PrepareCommit(ctx));
  // Past this point only the store decides: a cancelled commit would be a commit of unknown outcome.
  Context commit_ctx = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(60s);
  co_return co_await transaction_.Commit(commit_ctx);
}

Task<absl::StatusOr<bool>> Session::RunCachedShape(const Context& ctx, std::string_view sql) {
  std::optional<SqlShape> shape = NormalizeSql(sql);
  if (!shape && (sql.size() > (16 << 10) || IsBlank(sql))) co_return false;
  bool ran = false;
  absl::Status status = co_await AsStatement(ctx, [&](const Context& inner) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(inner));
    const std::string key = CacheKey(shape ? StrCat("s:", shape->key) : StrCat("x:", TrimStatement(sql)), {});
    PlannedPtr planned = env_.plans->Find(key, view->version(), shape ? &*shape : nullptr);
    if (planned == nullptr && shape && !env_.plans->IsHopeless(key)) {
      // First of its shape: plan it with its literals as parameters. What fails to parse or bind is run, or refused, as it stands.
      absl::StatusOr<std::vector<ParsedStatement>> statements = ParseSql(sql);
      if (!statements.ok() || statements->size() != 1) co_return absl::OkStatus();
      auto text = std::make_shared<ParsedText>();
      text->sql = sql;
      LiteralParameters literals = ParameterizeLiterals(sql, *shape, &(*statements)[0]);
      text->statements = *std::move(statements);
      SourcePtr source = MakeSource(text, 0);
      if (!source->is_query() || IsDdl(*source->ast)) co_return absl::OkStatus();
      absl::StatusOr<PlannedPtr> made = MakePlan(inner, source, TypesOf(literals), view);
      if (!made.ok()) {
        if (view->version() == (env_.catalog->known() == nullptr ? 0 : env_.catalog->known()->version())) env_.plans->InsertHopeless(key);
        co_return absl::OkStatus();
      }
      auto with_literals = std::make_shared<PlannedStatement>(**made);
      with_literals->literals = std::move(literals);
      planned = with_literals;
      if (view->version() < (uint64_t{1} << 63)) env_.plans->Insert(key, planned);
    }
    if (planned == nullptr) co_return absl::OkStatus();
    std::vector<Datum> values;
    if (shape) {
      absl::StatusOr<std::vector<Datum>> converted = LiteralValues(inner, *shape, *planned);
      // A literal that does not convert is an error with a position: the long way finds it.
      if (!converted.ok()) co_return absl::OkStatus();
      values = *std::move(converted);
    }
    ran = true;
    std::string tag;
    bool replanned = false;
    CO_RETURN_IF_ERROR(co_await WithRetries(inner, /*commit=*/true, [&](const Context& run_ctx) -> Task<absl::Status> {
      if (!IsCurrent(*planned, transaction_.catalog()->snapshot())) {
        replanned = true;
        co_return absl::OkStatus();
      }
      replanned = false;
      CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, nullptr));
      co_return co_await RunPlan(run_ctx, planned, values, {.describe = true}, &tag);
    }));
    if (replanned) {
      // The catalog moved between the probe and the transaction: the long way plans against the new one.
      ran = false;
      co_return absl::OkStatus();
    }
    pgwire::AppendCommandComplete(tag, out_.bytes());
    co_return absl::OkStatus();
  });
  if (!status.ok()) co_return status;
  co_return ran;
}

Task<absl::Status> Session::RunStatement(const Context& ctx, const SourcePtr& source, RowTarget target, bool commit) {
  const ast::Statement& statement = *source->ast;
  std::string tag;
  if (IsDdl(statement)) {
    static const std::vector<Datum> kNoParameters;
    const std::vector<Datum>& parameters = target.portal != nullptr ? target.portal->parameters : kNoParameters;
    if (MustRunAlone(statement) && (transaction_.in_block() || multi_statement_)) {
      co_return PgError(sqlstate::kActiveSqlTransaction, StrCat(source->tag, " cannot run inside a transaction block"));
    }
    CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit, [&](const Context& run_ctx) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, target.portal));
      co_return co_await RunDdl(run_ctx, source, parameters, &tag);
    }));
  } else if (source->is_query()) {
    std::vector<SqlType> types;
    if (target.portal != nullptr) types = target.portal->declared_types;
    const std::string key = multi_statement_ ? "" : TextCacheKey(*source, types);
    CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit, [&](const Context& run_ctx) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(PlannedPtr planned, co_await PlanFor(run_ctx, source, types, key));
      CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, target.portal));
      co_return co_await RunPlan(run_ctx, planned, {}, target, &tag);
    }));
  } else {
    switch (statement.kind) {
      case ast::StatementKind::kTransaction: {
        CO_ASSIGN_OR_RETURN(tag, co_await RunTransaction(ctx, statement.As<ast::TransactionStatement>()));
        break;
      }
      case ast::StatementKind::kCopy:
        co_return co_await RunCopy(ctx, source, commit);
      case ast::StatementKind::kExecute:
        co_return co_await RunExecute(ctx, source, target, commit);
      case ast::StatementKind::kFetch:
        CO_RETURN_IF_ERROR(co_await RunFetch(ctx, statement.As<ast::FetchStatement>(), target, &tag));
        if (commit) CO_RETURN_IF_ERROR(co_await CommitImplicit(ctx));
        break;
      default: {
        static const std::vector<Datum> kNone;
        transaction_.StartImplicit(statement_us_);
        CO_ASSIGN_OR_RETURN(UtilityResult result,
                            co_await RunUtility(ctx, source, target.portal != nullptr ? target.portal->parameters : kNone));
        tag = result.tag;
        if (commit) CO_RETURN_IF_ERROR(co_await CommitImplicit(ctx));
        CO_RETURN_IF_ERROR(co_await SendUtility(ctx, std::move(result), target));
        break;
      }
    }
  }
  pgwire::AppendCommandComplete(tag, out_.bytes());
  co_return absl::OkStatus();
}

absl::Status Session::CheckReadOnly(std::string_view tag) const {
  if (!transaction_.characteristics().read_only) return absl::OkStatus();
  return PgError(sqlstate::kReadOnlySqlTransaction, StrCat("cannot execute ", tag, " in a read-only transaction"));
}

absl::Status Session::CheckBeforeRun(const PlannedStatement& planned) const {
  const CatalogSnapshot& view = *transaction_.catalog()->snapshot();
  RETURN_IF_ERROR(CheckPrivileges(view, view.FindRole(CurrentUser()), planned.plan->info));
  if (planned.plan->info.writes) RETURN_IF_ERROR(CheckReadOnly(planned.source->tag));
  return absl::OkStatus();
}

Task<absl::Status> Session::RunPlan(const Context& ctx, const PlannedPtr& planned, std::vector<Datum> parameters, RowTarget target,
                                    std::string* tag) {
  CO_RETURN_IF_ERROR(CheckBeforeRun(*planned));
  if (planned->reads_catalog && !transaction_.catalog()->changed()) {
    // Virtual tables read no key that a fence would guard: look whether the catalog is still this one.
    CO_ASSIGN_OR_RETURN(CatalogStatePtr newest, co_await env_.catalog->Refresh(ctx));
    if (newest->version() != planned->catalog_version) co_return absl::FailedPreconditionError("the catalog has changed");
  }
  const std::vector<ResultColumn>& columns = planned->plan->info.columns;
  CO_ASSIGN_OR_RETURN(std::vector<int16_t> formats, ExpandFormats(target.formats, columns.size()));
  auto run = std::make_unique<QueryRun>(this, planned->plan, std::move(parameters), ctx, /*analyze=*/false);
  CO_RETURN_IF_ERROR(co_await run->Open(ctx));
  const bool has_rows = !columns.empty() || planned->plan->info.tag == StatementTag::kSelect;
  if (target.describe && has_rows) AppendResultDescription(columns, formats, out_.bytes());
  const IoContext& io = run->io();
  RowSource rows(std::move(run), /*keep_all=*/false);
  uint64_t sent = 0;
  bool done = false;
  CO_RETURN_IF_ERROR(co_await SendRows(ctx, rows, has_rows, formats, io, 0, &sent, &done));
  *tag = QueryTag(*planned, sent, rows.rows_affected());
  co_return absl::OkStatus();
}

Task<absl::Status> Session::SendRows(const Context& ctx, RowSource& rows, bool send, const std::vector<int16_t>& formats,
                                     const IoContext& io, uint64_t max_rows, uint64_t* sent, bool* done) {
  *done = false;
  const uint64_t limit = max_rows == 0 ? UINT64_MAX : max_rows;
  for (uint64_t given = 0; given < limit;) {
    CO_ASSIGN_OR_RETURN(RowSource::Slice slice, co_await rows.Next(ctx, std::min<uint64_t>(limit - given, SIZE_MAX)));
    if (slice.begin == slice.end) {
      *done = true;
      break;
    }
    if (send) CO_RETURN_IF_ERROR(AppendRows(io, *slice.batch, slice.begin, slice.end, formats, out_.bytes()));
    given += slice.end - slice.begin;
    *sent += slice.end - slice.begin;
    if (out_.large()) CO_RETURN_IF_ERROR(co_await out_.Flush(ctx));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Session::SendUtility(const Context& ctx, UtilityResult result, RowTarget target) {
  if (!result.has_rows) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(std::vector<int16_t> formats, ExpandFormats(target.formats, result.columns.size()));
  if (target.describe) AppendResultDescription(result.columns, formats, out_.bytes());
  co_return AppendRows(settings_.Current().io, result.rows, 0, result.rows.rows, formats, out_.bytes());
}

}  // namespace insula::sql
