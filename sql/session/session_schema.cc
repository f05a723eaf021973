// Statements that the schema room runs (DDL, COPY), and EXPLAIN.
#include <algorithm>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/pgwire/scram.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/bulk/copy.h"
#include "sql/opt/explain.h"
#include "sql/schema/ddl.h"
#include "sql/session/session.h"

namespace insula::sql {
namespace {

// CopyData of the client.
class ChannelSource : public CopySource {
 public:
  explicit ChannelSource(ClientChannel* channel) : channel_(channel) {}
  Task<absl::StatusOr<std::optional<std::string>>> Read(const Context& ctx) override {
    absl::StatusOr<std::optional<std::string>> data = co_await channel_->ReadCopyData(ctx);
    ended_ = !data.ok() || !data->has_value();
    co_return data;
  }
  bool ended() const { return ended_; }

 private:
  ClientChannel* channel_;
  bool ended_ = false;
};

class OutputSink : public CopySink {
 public:
  explicit OutputSink(Output* out) : out_(out) {}
  Task<absl::Status> Write(const Context& ctx, std::string data) override {
    pgwire::AppendCopyData(data, out_->bytes());
    if (out_->large()) co_return co_await out_->Flush(ctx);
    co_return absl::OkStatus();
  }

 private:
  Output* out_;
};

double Milliseconds(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

std::string ThreeDigits(double v) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.3f", v);
  return buffer;
}

}  // namespace

DdlContext Session::MakeDdlContext(const Context& ctx, StatementFunctions* functions, MemoryAccount* memory, std::string_view sql) {
  DdlContext ddl;
  ddl.catalog = transaction_.catalog();
  ddl.txn = transaction_.txn();
  ddl.functions = functions->get();
  ddl.sequences = &sequences_;
  ddl.memory = memory;
  ddl.user = CurrentUser();
  ddl.search_path = CurrentSchemas(/*include_implicit=*/false);
  ddl.lock_timeout = settings_.Current().lock_timeout;
  ddl.notice = [this](absl::Status notice) { Notice(notice); };
  Random* random = env_.random;
  ddl.make_verifier = [random](const Context& verifier_ctx, std::string password) -> Task<absl::StatusOr<std::string>> {
    std::string salt = random->Bytes(pgwire::kScramSaltBytes);
    CO_ASSIGN_OR_RETURN(pgwire::ScramVerifier verifier,
                        co_await pgwire::DeriveScramVerifier(verifier_ctx, std::move(password), std::move(salt)));
    co_return verifier.ToString();
  };
  ddl.sql = sql;
  return ddl;
}

Task<absl::Status> Session::RunDdl(const Context& ctx, const SourcePtr& source, const std::vector<Datum>& parameters, std::string* tag) {
  // ANALYZE writes statistics, but PostgreSQL lets it run anywhere.
  if (source->ast->kind != ast::StatementKind::kVacuum) CO_RETURN_IF_ERROR(CheckReadOnly(source->tag));
  StatementFunctions functions(this, transaction_.catalog()->snapshot(), ctx);
  MemoryAccount memory;
  DdlContext ddl = MakeDdlContext(ctx, &functions, &memory, source->sql);
  ddl.parameters = parameters;
  ddl.parameter_types.assign(parameters.size(), {oid::kText, -1});
  CO_ASSIGN_OR_RETURN(DdlResult result, co_await ExecuteDdl(ctx, *source->ast, ddl));
  *tag = std::move(result.tag);
  co_return absl::OkStatus();
}

Task<absl::Status> Session::RunCopy(const Context& ctx, const SourcePtr& source, bool commit) {
  const auto& copy = source->ast->As<ast::CopyStatement>();
  if (!copy.filename.empty() || copy.program) {
    co_return PgErrorBuilder(sqlstate::kFeatureNotSupported, "COPY with files or programs on the server is not supported")
        .Hint("COPY … FROM STDIN and TO STDOUT go over the connection. psql's \\copy command also works for anyone.")
        .Build();
  }
  std::string tag;
  if (!copy.from) {
    CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit, [&](const Context& run_ctx) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, nullptr));
      StatementFunctions functions(this, transaction_.catalog()->snapshot(), run_ctx);
      MemoryAccount memory;
      DdlContext ddl = MakeDdlContext(run_ctx, &functions, &memory, source->sql);
      CO_ASSIGN_OR_RETURN(std::unique_ptr<CopyTo> to, CopyTo::Begin(copy, &ddl));
      pgwire::CopyResponse response;
      response.column_formats.assign(to->column_count(), 0);
      pgwire::AppendCopyResponse(pgwire::backend::kCopyOut, response, out_.bytes());
      OutputSink sink(&out_);
      CO_ASSIGN_OR_RETURN(uint64_t rows, co_await to->Run(run_ctx, sink));
      pgwire::AppendCopyDone(out_.bytes());
      tag = StrCat("COPY ", rows);
      co_return absl::OkStatus();
    }));
    pgwire::AppendCommandComplete(tag, out_.bytes());
    co_return absl::OkStatus();
  }
  // The client's data comes once, so the statement cannot run twice once any has been read: start from the newest catalog.
  if (!transaction_.started()) CO_RETURN_IF_ERROR((co_await env_.catalog->Refresh(ctx)).status());
  CO_RETURN_IF_ERROR(co_await WithRetries(ctx, commit, [&](const Context& run_ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(CheckReadOnly("COPY FROM"));
    CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, nullptr));
    StatementFunctions functions(this, transaction_.catalog()->snapshot(), run_ctx);
    MemoryAccount memory;
    DdlContext ddl = MakeDdlContext(run_ctx, &functions, &memory, source->sql);
    CO_ASSIGN_OR_RETURN(std::unique_ptr<CopyFrom> from, CopyFrom::Begin(copy, &ddl));
    pgwire::CopyResponse response;
    response.column_formats.assign(from->column_count(), 0);
    pgwire::AppendCopyResponse(pgwire::backend::kCopyIn, response, out_.bytes());
    CO_RETURN_IF_ERROR(co_await out_.Flush(run_ctx));
    ChannelSource data(&out_.channel());
    CO_ASSIGN_OR_RETURN(uint64_t rows, co_await from->Run(run_ctx, data));
    tag = StrCat("COPY ", rows);
    co_return absl::OkStatus();
  }));
  pgwire::AppendCommandComplete(tag, out_.bytes());
  co_return absl::OkStatus();
}

// ---- EXPLAIN

namespace {

struct ExplainRequest {
  ExplainOptions options;
  bool analyze = false;
  bool summary = false;
};

absl::StatusOr<ExplainRequest> ParseExplainOptions(const ast::ExplainStatement& statement) {
  ExplainRequest request;
  std::optional<bool> summary;
  for (const ast::Option& option : statement.options) {
    if (option.name == "format") {
      std::string format = AsciiLower(option.value.value_or(""));
      if (format == "json") {
        request.options.json = true;
      } else if (format == "xml" || format == "yaml") {
        return PgUnsupported(StrCat("EXPLAIN (FORMAT ", format, ")"));
      } else if (format != "text") {
        return WithPosition(PgError(sqlstate::kInvalidParameterValue,
                                    StrCat("unrecognized value for EXPLAIN option \"format\": \"", format, "\"")),
                            option.position);
      }
      continue;
    }
    std::optional<bool> on = option.AsBool();
    if (!on) return PgError(sqlstate::kSyntaxError, StrCat(option.name, " requires a Boolean value"));
    if (option.name == "analyze") {
      request.analyze = *on;
    } else if (option.name == "verbose") {
      request.options.verbose = *on;
    } else if (option.name == "costs") {
      request.options.costs = *on;
    } else if (option.name == "timing") {
      request.options.timing = *on;
    } else if (option.name == "summary") {
      summary = *on;
    } else if (option.name != "buffers" && option.name != "wal" && option.name != "settings") {
      return WithPosition(PgError(sqlstate::kSyntaxError, StrCat("unrecognized EXPLAIN option \"", option.name, "\"")), option.position);
    }
  }
  request.summary = summary.value_or(request.analyze);
  return request;
}

}  // namespace

Task<absl::StatusOr<Session::UtilityResult>> Session::RunExplain(const Context& ctx, const SourcePtr& source,
                                                                 const std::vector<Datum>& parameters) {
  const auto& explain = source->ast->As<ast::ExplainStatement>();
  CO_ASSIGN_OR_RETURN(ExplainRequest request, ParseExplainOptions(explain));
  // What is explained: a query, or the query inside another statement.
  const ast::Statement* inner = explain.query.get();
  const ast::ExecuteStatement* execute = inner->TryAs<ast::ExecuteStatement>();
  std::shared_ptr<PreparedStatement> prepared;
  SourcePtr query;
  if (execute != nullptr) {
    auto it = prepared_.find(execute->name);
    if (it == prepared_.end()) {
      co_return PgError(sqlstate::kInvalidSqlStatementName, StrCat("prepared statement \"", execute->name, "\" does not exist"));
    }
    prepared = it->second;
    query = prepared->source;
  } else {
    if (const auto* declare = inner->TryAs<ast::DeclareCursorStatement>()) inner = declare->query.get();
    if (const auto* table = inner->TryAs<ast::CreateTableAsStatement>()) inner = table->query.get();
    query = MakeInnerSource(*source, inner);
  }
  if (query == nullptr || !query->is_query()) co_return PgUnsupported(StrCat("EXPLAIN of ", query == nullptr ? "this statement" : query->tag));
  if (request.analyze && inner != explain.query.get()) co_return PgUnsupported("EXPLAIN ANALYZE of DECLARE and CREATE TABLE AS");

  UtilityResult result{.tag = "EXPLAIN", .has_rows = true};
  result.columns = {{"QUERY PLAN", {request.options.json ? oid::kJson : oid::kText, -1}}};
  CO_RETURN_IF_ERROR(co_await WithRetries(ctx, /*commit=*/false, [&](const Context& run_ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, nullptr));
    const std::vector<SqlType> types = prepared != nullptr ? prepared->declared_types : std::vector<SqlType>();
    const MonoTime begin = run_ctx.executor().Now();
    CO_ASSIGN_OR_RETURN(PlannedPtr planned, co_await PlanFor(run_ctx, query, types, ""));
    const MonoTime planned_at = run_ctx.executor().Now();
    CO_RETURN_IF_ERROR(CheckBeforeRun(*planned));
    ExplainOptions options = request.options;
    if (request.summary) options.summary.emplace_back("Planning Time", StrCat(ThreeDigits(Milliseconds(planned_at - begin)), " ms"));
    std::unique_ptr<QueryRun> run;
    if (request.analyze) {
      std::vector<Datum> values = parameters;
      if (execute != nullptr) {
        CO_ASSIGN_OR_RETURN(values, co_await EvaluateArguments(run_ctx, *execute, planned->plan->info.parameter_types));
      }
      const kv::TxnStats before = transaction_.txn()->stats();
      run = std::make_unique<QueryRun>(this, planned->plan, std::move(values), run_ctx, /*analyze=*/true);
      CO_RETURN_IF_ERROR(co_await run->Open(run_ctx));
      for (;;) {
        CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(run_ctx));
        if (batch == nullptr) break;
      }
      const kv::TxnStats after = transaction_.txn()->stats();
      options.actual = [&run](const PhysicalNode* node) -> std::optional<ExplainActual> {
        const NodeCounters* c = run->execution().counters(node);
        if (c == nullptr) return std::nullopt;
        return ExplainActual{.loops = c->loops, .rows = c->rows, .first_ms = static_cast<double>(c->first_ns) / 1e6,
                             .total_ms = static_cast<double>(c->time_ns) / 1e6, .rows_removed = c->rows_removed,
                             .kv_batches = c->kv_batches, .bytes_read = c->bytes_read};
      };
      if (request.summary) {
        options.summary.emplace_back("KV Batches", StrCat(after.batches - before.batches));
        options.summary.emplace_back("KV Bytes Read", StrCat(after.bytes_read - before.bytes_read));
        options.summary.emplace_back("Execution Time", StrCat(ThreeDigits(Milliseconds(run_ctx.executor().Now() - planned_at)), " ms"));
      }
    }
    result.rows.Reset(std::vector<SqlType>{result.columns[0].type});
    for (std::string& line : Explain(*planned->plan, options)) result.rows.AppendRow(std::vector<Datum>{Datum::Bytes(std::move(line))});
    if (run != nullptr) run->Close();
    co_return absl::OkStatus();
  }));
  co_return result;
}

}  // namespace insula::sql
