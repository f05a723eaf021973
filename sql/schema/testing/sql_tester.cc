#include "sql/schema/testing/sql_tester.h"

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder.h"
#include "sql/bulk/copy.h"
#include "sql/catalog/acl.h"
#include "sql/opt/optimizer.h"
#include "sql/parser/parser.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

std::string ErrorText(const absl::Status& s) {
  PgErrorFields f = ToPgError(s);
  std::string out = StrCat("ERROR ", f.sqlstate, ": ", f.message);
  if (!f.detail.empty()) StrAppend(&out, " DETAIL: ", f.detail);
  if (!f.where.empty()) StrAppend(&out, " CONTEXT: ", f.where);
  return out;
}

class Pieces : public CopySource {
 public:
  Pieces(std::string data, size_t piece) : data_(std::move(data)), piece_(piece) {}
  Task<absl::StatusOr<std::optional<std::string>>> Read(const Context& ctx) override {
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    if (at_ >= data_.size()) co_return std::optional<std::string>();
    std::string out = data_.substr(at_, piece_);
    at_ += out.size();
    co_return std::optional<std::string>(std::move(out));
  }

 private:
  std::string data_;
  size_t piece_, at_ = 0;
};

class Collect : public CopySink {
 public:
  Task<absl::Status> Write(const Context& ctx, std::string piece) override {
    data += piece;
    co_return absl::OkStatus();
  }
  std::string data;
};

}  // namespace

SqlWorld::SqlWorld() {
  catalog.set_clearings(&clearings);
  CHECK_OK(loop.Run(catalog.Bootstrap(loop.ctx(), "admin", "SCRAM-SHA-256$test")));
}

void SqlWorld::ClearDropped() {
  for (int i = 0; i < 2; ++i) {
    CHECK_OK(loop.Run(clearings.Work(loop.ctx())).status());
    loop.RunFor(kv::kClearingGrace);
  }
  CHECK_OK(loop.Run(clearings.Work(loop.ctx())).status());
}

// What a statement's functions, limits and context live in.
struct SqlSession::Statement {
  Statement(SqlSession* session, const Context& ctx) : memory(session->memory_limit), names(session->catalog_->snapshot(), session) {
    functions.session = session;
    functions.catalog = &names;
    functions.io.reg_names = &names;
    functions.sequences = &session->sequences_;
    functions.random = &session->world_->random;
    functions.check_cancel = [ctx] { return ctx.status(); };
    session->sequences_.set_snapshot(session->catalog_->snapshot());
    ddl.catalog = session->catalog_.get();
    ddl.txn = session->txn_.get();
    ddl.functions = &functions;
    ddl.sequences = &session->sequences_;
    ddl.memory = &memory;
    ddl.user = session->user_;
    ddl.search_path = session->search_path;
    ddl.parameters = session->parameters;
    ddl.parameter_types = session->parameter_types;
    ddl.notice = [session](absl::Status s) { session->notices.push_back(ToPgError(s).message); };
  }
  FunctionContext functions;
  MemoryAccount memory;
  SessionCatalog names;
  DdlContext ddl;
};

SqlSession::SqlSession(SqlWorld* world, std::string user, std::string database)
    : world_(world), user_(std::move(user)), database_(std::move(database)), sequences_(&world->catalog) {}
SqlSession::~SqlSession() = default;

std::vector<std::string> SqlSession::CurrentSchemas(bool include_implicit) const {
  std::vector<std::string> out = search_path;
  if (include_implicit) out.insert(out.begin(), "pg_catalog");
  return out;
}

std::optional<std::string> SqlSession::GetSetting(std::string_view name) const {
  if (name == "application_name") return "test";
  return std::nullopt;
}
absl::StatusOr<std::string> SqlSession::SetSetting(std::string_view name, std::string_view value, bool local) { return std::string(value); }

Task<absl::Status> SqlSession::Begin(const Context& ctx) {
  txn_ = world_->db.Begin({.isolation = isolation});
  catalog_ = std::make_unique<CatalogTxn>(&world_->catalog, txn_.get(), database_);
  savepoints_.clear();
  co_return co_await catalog_->Begin(ctx);
}

Task<absl::StatusOr<std::string>> SqlSession::InTransaction(const Context& ctx,
                                                            std::function<Task<absl::StatusOr<std::string>>(Statement&)> body) {
  for (;;) {
    if (txn_ == nullptr) CO_RETURN_IF_ERROR(co_await Begin(ctx));
    kv::Txn::Savepoint savepoint = txn_->CreateSavepoint();
    size_t mark = catalog_->Mark();
    absl::Status status = co_await txn_->BeginStatement(ctx);
    absl::StatusOr<std::string> result = std::string();
    if (status.ok()) {
      Statement statement(this, ctx);
      result = co_await body(statement);
      peak_memory = statement.memory.peak();
      CHECK_EQ(statement.memory.used(), 0u) << "a statement kept memory";
      status = result.status();
    }
    if (status.ok() && !explicit_) {
      status = co_await txn_->Commit(ctx);
      if (status.ok()) {
        catalog_->Committed();
        txn_.reset();
      }
    }
    if (status.ok()) co_return result;
    if (!explicit_) {
      (void)co_await txn_->Rollback(ctx);
      txn_.reset();
      if (status.code() == absl::StatusCode::kFailedPrecondition && !IsPgError(status)) {
        CO_RETURN_IF_ERROR((co_await world_->catalog.Refresh(ctx)).status());
        continue;
      }
      co_return status;
    }
    if (absl::Status undone = co_await txn_->RollbackTo(ctx, savepoint); !undone.ok()) co_return status;
    catalog_->RollbackTo(mark);
    if (status.code() != absl::StatusCode::kFailedPrecondition || IsPgError(status)) co_return status;
    CO_RETURN_IF_ERROR(co_await catalog_->Renew(ctx));
  }
}

Task<absl::StatusOr<std::string>> SqlSession::RunQuery(const Context& ctx, const ast::Statement& s, Statement& statement) {
  BindContext binding;
  binding.catalog = catalog_->snapshot().get();
  binding.search_path = search_path;
  binding.functions = &statement.functions;
  binding.parameter_types = parameter_types;
  CO_ASSIGN_OR_RETURN(auto bound, Bind(s, binding));
  CO_RETURN_IF_ERROR(CheckPrivileges(*catalog_->snapshot(), catalog_->snapshot()->FindRole(user_), bound->info));
  OptimizerOptions options;
  options.functions = &statement.functions;
  CO_ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound), options));
  last_plan = plan;
  ExecContext exec;
  exec.txn = txn_.get();
  exec.catalog = &world_->catalog;
  exec.snapshot = catalog_->snapshot();
  exec.parameters = parameters;
  exec.functions = &statement.functions;
  exec.sequences = &sequences_;
  exec.memory = &statement.memory;
  CO_ASSIGN_OR_RETURN(auto run, Execution::Create(plan, &exec));
  CO_RETURN_IF_ERROR(co_await run->Open(ctx));
  std::string out;
  for (;;) {
    CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(ctx));
    if (batch == nullptr) break;
    CHECK(batch->rows > 0) << "an empty batch";
    for (size_t i = 0; i < batch->rows; ++i) {
      for (size_t c = 0; c < batch->columns.size(); ++c) {
        if (c > 0) out += "|";
        const Vector& v = batch->columns[c];
        CHECK_EQ(v.size(), batch->rows);
        if (v.IsNull(i)) {
          out += "-";
        } else {
          TextOutAppend(statement.functions.io, v, i, &out);
        }
      }
      out += "\n";
    }
  }
  run->Close();
  if (plan->info.columns.empty() && plan->info.tag != StatementTag::kSelect) out = StrCat(run->rows_affected());
  co_return out;
}

Task<absl::StatusOr<std::string>> SqlSession::Control(const Context& ctx, const ast::Statement& s) {
  const auto& t = s.As<ast::TransactionStatement>();
  using A = ast::TransactionAction;
  switch (t.action) {
    case A::kBegin:
    case A::kStart:
      CO_RETURN_IF_ERROR(co_await Begin(ctx));
      explicit_ = true;
      co_return "BEGIN";
    case A::kCommit: {
      explicit_ = false;
      auto txn = std::move(txn_);
      CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
      catalog_->Committed();
      co_return "COMMIT";
    }
    case A::kRollback: {
      explicit_ = false;
      auto txn = std::move(txn_);
      CO_RETURN_IF_ERROR(co_await txn->Rollback(ctx));
      co_return "ROLLBACK";
    }
    case A::kSavepoint:
      txn_->CloseFresh();
      savepoints_[t.savepoint] = {txn_->CreateSavepoint(), catalog_->Mark()};
      co_return "SAVEPOINT";
    case A::kRollbackTo:
      CO_RETURN_IF_ERROR(co_await txn_->RollbackTo(ctx, savepoints_[t.savepoint].savepoint));
      catalog_->RollbackTo(savepoints_[t.savepoint].catalog);
      co_return "ROLLBACK";
    default: co_return PgUnsupported("this transaction statement in tests");
  }
}

Task<absl::StatusOr<std::string>> SqlSession::RunOne(const Context& ctx, const ast::Statement& s, std::string_view text, bool only) {
  if (s.kind == ast::StatementKind::kTransaction) {
    CO_ASSIGN_OR_RETURN(std::string tag, co_await Control(ctx, s));
    co_return only ? tag : "";
  }
  co_return co_await InTransaction(ctx, [&](Statement& statement) -> Task<absl::StatusOr<std::string>> {
    if (!IsDdl(s)) {
      CO_ASSIGN_OR_RETURN(std::string out, co_await RunQuery(ctx, s, statement));
      bool rows = s.kind == ast::StatementKind::kSelect || (last_plan && !(*last_plan)->info.columns.empty());
      co_return only || rows ? out : "";
    }
    statement.ddl.sql = text;
    CO_ASSIGN_OR_RETURN(DdlResult result, co_await ExecuteDdl(ctx, s, statement.ddl));
    co_return only ? result.tag : "";
  });
}

Task<std::string> SqlSession::RunTask(std::string sql) {
  const Context ctx = world_->loop.ctx();
  auto parsed = ParseSql(sql);
  if (!parsed.ok()) co_return ErrorText(parsed.status());
  std::string out;
  for (const auto& p : *parsed) {
    absl::StatusOr<std::string> one = co_await RunOne(ctx, *p.statement, std::string_view(sql).substr(p.begin, p.end - p.begin), parsed->size() == 1);
    if (!one.ok()) co_return out + ErrorText(one.status());
    out += *one;
  }
  co_return out;
}

std::string SqlSession::CopyIn(std::string sql, std::string data, size_t piece) {
  const Context& ctx = world_->loop.ctx();
  auto parsed = ParseSql(sql);
  if (!parsed.ok()) return ErrorText(parsed.status());
  const auto& copy = (*parsed)[0].statement->As<ast::CopyStatement>();
  auto result = world_->loop.Run(InTransaction(ctx, [&](Statement& statement) -> Task<absl::StatusOr<std::string>> {
    CO_ASSIGN_OR_RETURN(auto run, CopyFrom::Begin(copy, &statement.ddl));
    Pieces source(data, piece);
    CO_ASSIGN_OR_RETURN(uint64_t rows, co_await run->Run(ctx, source));
    co_return StrCat("COPY ", rows);
  }));
  return result.ok() ? *result : ErrorText(result.status());
}

std::string SqlSession::CopyOut(std::string sql) {
  const Context& ctx = world_->loop.ctx();
  auto parsed = ParseSql(sql);
  if (!parsed.ok()) return ErrorText(parsed.status());
  const auto& copy = (*parsed)[0].statement->As<ast::CopyStatement>();
  auto result = world_->loop.Run(InTransaction(ctx, [&](Statement& statement) -> Task<absl::StatusOr<std::string>> {
    CO_ASSIGN_OR_RETURN(auto run, CopyTo::Begin(copy, &statement.ddl));
    Collect sink;
    CO_RETURN_IF_ERROR((co_await run->Run(ctx, sink)).status());
    co_return sink.data;
  }));
  return result.ok() ? *result : ErrorText(result.status());
}

}  // namespace insula::sql
