// COPY … TO STDOUT: a query's rows as text or csv, some tens of kilobytes per message.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder.h"
#include "sql/bulk/copy.h"
#include "sql/bulk/copy_options.h"
#include "sql/catalog/acl.h"
#include "sql/exec/executor.h"
#include "sql/opt/optimizer.h"

namespace insula::sql {
namespace {

constexpr size_t kMessageBytes = 32 << 10;

// One field of text format, its special characters escaped.
void AppendEscaped(std::string_view text, char delimiter, std::string* out) {
  for (char c : text) {
    switch (c) {
      case '\b': out->append("\\b"); break;
      case '\f': out->append("\\f"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      case '\v': out->append("\\v"); break;
      case '\\': out->append("\\\\"); break;
      default:
        if (c == delimiter) out->push_back('\\');
        out->push_back(c);
    }
  }
}

void AppendCsv(std::string_view text, const CopyOptions& o, bool force_quote, bool only_column, std::string* out) {
  bool quote = force_quote || text == o.null_text || (only_column && text == "\\.");
  for (char c : text) quote |= c == o.delimiter || c == o.quote || c == '\n' || c == '\r';
  if (!quote) {
    out->append(text);
    return;
  }
  out->push_back(o.quote);
  for (char c : text) {
    if (c == o.quote || c == o.escape) out->push_back(o.escape);
    out->push_back(c);
  }
  out->push_back(o.quote);
}

class CopyToImpl : public CopyTo {
 public:
  CopyToImpl(DdlContext* context, CopyOptions options, PlanPtr plan) : c_(*context), options_(std::move(options)), plan_(std::move(plan)) {
    for (const auto& column : plan_->info.columns) {
      const auto& names = options_.force_quote;
      force_quote_.push_back(options_.force_quote_all || std::find(names.begin(), names.end(), column.name) != names.end());
    }
  }

  int column_count() const override { return static_cast<int>(plan_->info.columns.size()); }

  Task<absl::StatusOr<uint64_t>> Run(const Context& ctx, CopySink& sink) override {
    ExecContext exec;
    exec.txn = c_.txn;
    exec.catalog = &c_.catalog->catalog();
    exec.snapshot = c_.catalog->snapshot();
    exec.parameters = c_.parameters;
    exec.functions = c_.functions;
    exec.sequences = c_.sequences;
    exec.memory = c_.memory;
    exec.lock_timeout = c_.lock_timeout;
    exec.notice = c_.notice;
    if (exec.sequences != nullptr) exec.sequences->set_snapshot(exec.snapshot);
    CO_ASSIGN_OR_RETURN(auto run, Execution::Create(plan_, &exec));
    CO_RETURN_IF_ERROR(co_await run->Open(ctx));
    std::string message;
    if (options_.header != CopyOptions::kNone) AppendHeader(&message);
    uint64_t count = 0;
    for (;;) {
      CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(ctx));
      if (batch == nullptr) break;
      for (size_t i = 0; i < batch->rows; ++i) {
        AppendRow(*batch, i, &message);
        if (message.size() >= kMessageBytes) {
          CO_RETURN_IF_ERROR(co_await sink.Write(ctx, std::move(message)));
          message.clear();
        }
      }
      count += batch->rows;
    }
    if (!message.empty()) CO_RETURN_IF_ERROR(co_await sink.Write(ctx, std::move(message)));
    run->Close();
    co_return count;
  }

 private:
  void AppendHeader(std::string* out) const {
    for (size_t c = 0; c < plan_->info.columns.size(); ++c) {
      if (c > 0) out->push_back(options_.delimiter);
      if (options_.csv) {
        AppendCsv(plan_->info.columns[c].name, options_, false, column_count() == 1, out);
      } else {
        AppendEscaped(plan_->info.columns[c].name, options_.delimiter, out);
      }
    }
    out->push_back('\n');
  }

  void AppendRow(const Batch& batch, size_t i, std::string* out) {
    for (size_t c = 0; c < plan_->info.columns.size(); ++c) {
      if (c > 0) out->push_back(options_.delimiter);
      const Vector& v = batch.columns[c];
      if (v.IsNull(i)) {
        out->append(options_.null_text);
        continue;
      }
      field_.clear();
      TextOutAppend(c_.functions->io, v, i, &field_);
      if (options_.csv) {
        AppendCsv(field_, options_, force_quote_[c], column_count() == 1, out);
      } else {
        AppendEscaped(field_, options_.delimiter, out);
      }
    }
    out->push_back('\n');
  }

  DdlContext& c_;
  CopyOptions options_;
  PlanPtr plan_;
  std::vector<bool> force_quote_;
  std::string field_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CopyTo>> CopyTo::Begin(const ast::CopyStatement& s, DdlContext* context) {
  if (s.program) return PgUnsupported("COPY TO PROGRAM");
  if (!s.filename.empty()) return PgUnsupported("COPY TO a file on the server");
  ASSIGN_OR_RETURN(CopyOptions options, ParseCopyOptions(s.options, false));
  const CatalogSnapshot& snapshot = *context->catalog->snapshot();
  BindContext binding;
  binding.catalog = &snapshot;
  binding.search_path = context->search_path;
  binding.functions = context->functions;
  binding.parameter_types = context->parameter_types;
  std::unique_ptr<BoundStatement> bound;
  if (s.query != nullptr) {
    ASSIGN_OR_RETURN(bound, Bind(*s.query, binding));
    if (bound->info.columns.empty() && bound->info.tag != StatementTag::kSelect) {
      return PgError(sqlstate::kFeatureNotSupported, "COPY query must have a RETURNING clause");
    }
  } else {
    ast::RelationName name = s.table;
    name.position = 0;  // these errors do not point into the statement
    ASSIGN_OR_RETURN(TablePtr table, ResolveTable(name, binding));
    if (table->kind == RelationKind::kView) {
      return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat("cannot copy from view \"", table->name, "\"")).Hint("Try the COPY (SELECT ...) TO variant.").Build();
    }
    if (table->kind != RelationKind::kTable) return PgError(sqlstate::kWrongObjectType, StrCat("cannot copy from ", table->kind == RelationKind::kSequence ? "sequence" : "non-table relation", " \"", table->name, "\""));
    // SELECT columns FROM table.
    ast::SelectStatement select;
    auto from = std::make_unique<ast::FromTable>();
    from->table = s.table;
    from->only = true;
    select.from.push_back(std::move(from));
    std::vector<std::string> names = s.columns;
    if (names.empty()) {
      for (const auto& c : table->columns) {
        if (!c.hidden && c.generated == GeneratedKind::kNone) names.push_back(c.name);
      }
    }
    for (const std::string& name : names) {
      int ordinal = table->FindColumn(name);
      if (ordinal < 0) return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" of relation \"", table->name, "\" does not exist"));
      if (table->columns[ordinal].generated != GeneratedKind::kNone) {
        return PgErrorBuilder(sqlstate::kInvalidColumnReference, StrCat("column \"", name, "\" is a generated column")).Detail("Generated columns cannot be used in COPY.").Build();
      }
      auto column = std::make_unique<ast::ColumnRef>();
      column->fields = {name};
      ast::SelectItem item;
      item.expr = std::move(column);
      select.items.push_back(std::move(item));
    }
    ASSIGN_OR_RETURN(bound, Bind(select, binding));
  }
  RETURN_IF_ERROR(CheckPrivileges(snapshot, snapshot.FindRole(context->user), bound->info));
  for (const std::string& name : options.force_quote) {
    bool known = std::any_of(bound->info.columns.begin(), bound->info.columns.end(), [&](const auto& c) { return c.name == name; });
    if (!known) return PgError(sqlstate::kUndefinedColumn, StrCat("FORCE_QUOTE column \"", name, "\" not referenced by COPY"));
  }
  OptimizerOptions optimizer;
  optimizer.functions = context->functions;
  ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound), optimizer));
  return std::unique_ptr<CopyTo>(std::make_unique<CopyToImpl>(context, std::move(options), std::move(plan)));
}

}  // namespace insula::sql
