// COPY … FROM STDIN: the client's text becomes batches, batches become rows by the plan of an INSERT.
#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder.h"
#include "sql/bulk/copy.h"
#include "sql/bulk/copy_options.h"
#include "sql/bulk/copy_reader.h"
#include "sql/catalog/acl.h"
#include "sql/exec/executor.h"
#include "sql/opt/optimizer.h"

namespace insula::sql {
namespace {

constexpr size_t kMaxShown = 100;  // bytes of a row or field in an error's context

// Parses what the source gives into batches of the COPY's columns.
class TextRows : public ExternalRows {
 public:
  TextRows(const CopyOptions& options, const TableInfo& table, std::vector<int> ordinals, const IoContext& io)
      : options_(options), reader_(options), table_(table), ordinals_(std::move(ordinals)), io_(io) {
    for (int o : ordinals_) {
      const std::string& name = table.columns[o].name;
      auto listed = [&](const std::vector<std::string>& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
      force_not_null_.push_back(listed(options.force_not_null));
      force_null_.push_back(listed(options.force_null));
    }
    header_ = options.header;
  }
  void set_source(CopySource* source) { source_ = source; }

  Task<absl::Status> Next(const Context& ctx, Batch* out) override {
    while (out->rows < kBatchRows) {
      absl::StatusOr<bool> row = reader_.Next();
      if (!row.ok()) co_return AtLine(row.status());
      if (!*row) {
        if (done_ || reader_.saw_end_marker()) {
          if (!done_) CO_RETURN_IF_ERROR(co_await Drain(ctx));
          break;
        }
        CO_ASSIGN_OR_RETURN(std::optional<std::string> piece, co_await source_->Read(ctx));
        if (piece) {
          reader_.Feed(*piece);
        } else {
          done_ = true;
          reader_.End();
        }
        continue;
      }
      if (header_ != CopyOptions::kNone) {
        CO_RETURN_IF_ERROR(CheckHeader());
        header_ = CopyOptions::kNone;
        continue;
      }
      CO_RETURN_IF_ERROR(AddRow(out));
    }
    co_return absl::OkStatus();
  }

 private:
  // After "\." the rest is not data.
  Task<absl::Status> Drain(const Context& ctx) {
    for (;;) {
      CO_ASSIGN_OR_RETURN(std::optional<std::string> piece, co_await source_->Read(ctx));
      if (!piece) break;
    }
    done_ = true;
    co_return absl::OkStatus();
  }

  absl::Status AddRow(Batch* out) {
    const auto& fields = reader_.fields();
    if (fields.size() > ordinals_.size()) {
      // An empty line stands for no columns at all.
      if (ordinals_.empty() && reader_.line().empty()) {
        ++out->rows;
        return absl::OkStatus();
      }
      return AtLine(PgError(sqlstate::kBadCopyFileFormat, "extra data after last expected column"));
    }
    for (size_t c = 0; c < ordinals_.size(); ++c) {
      const ColumnInfo& column = table_.columns[ordinals_[c]];
      if (c >= fields.size()) {
        return AtLine(PgError(sqlstate::kBadCopyFileFormat, StrCat("missing data for column \"", column.name, "\"")));
      }
      CopyLineReader::Field f = fields[c];
      if (f.is_null && force_not_null_[c]) f.is_null = false;
      if (f.quoted && force_null_[c] && f.text == options_.null_text) f.is_null = true;
      if (f.is_null) {
        out->columns[c].AppendNull();
        continue;
      }
      absl::Status s = TextInAppend(io_, column.type, f.text, &out->columns[c]);
      if (!s.ok()) return InColumn(s, column, f.text);
    }
    ++out->rows;
    return absl::OkStatus();
  }

  absl::Status CheckHeader() {
    if (header_ != CopyOptions::kMatch) return absl::OkStatus();
    const auto& fields = reader_.fields();
    if (fields.size() != ordinals_.size()) {
      return AtLine(PgError(sqlstate::kBadCopyFileFormat, StrCat("wrong number of fields in header line: got ", fields.size(), ", expected ", ordinals_.size())));
    }
    for (size_t c = 0; c < fields.size(); ++c) {
      const std::string& want = table_.columns[ordinals_[c]].name;
      if (fields[c].is_null) {
        return AtLine(PgError(sqlstate::kBadCopyFileFormat, StrCat("column name mismatch in header line field ", c + 1, ": got null value (\"", options_.null_text,
                                                                   "\"), expected \"", want, "\"")));
      }
      if (fields[c].text != want) {
        return AtLine(PgError(sqlstate::kBadCopyFileFormat,
                              StrCat("column name mismatch in header line field ", c + 1, ": got \"", fields[c].text, "\", expected \"", want, "\"")));
      }
    }
    return absl::OkStatus();
  }

  static std::string Shown(std::string_view text) {
    if (text.size() <= kMaxShown) return std::string(text);
    size_t cut = kMaxShown;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
    return StrCat(text.substr(0, cut), "...");
  }
  absl::Status AtLine(const absl::Status& s) const {
    return PgErrorBuilder(ToPgError(s)).Where(StrCat("COPY ", table_.name, ", line ", reader_.line_number(), ": \"", Shown(reader_.line()), "\"")).Build();
  }
  absl::Status InColumn(const absl::Status& s, const ColumnInfo& column, std::string_view text) const {
    return PgErrorBuilder(ToPgError(s))
        .Where(StrCat("COPY ", table_.name, ", line ", reader_.line_number(), ", column ", column.name, ": \"", Shown(text), "\""))
        .Build();
  }

  const CopyOptions& options_;
  CopyLineReader reader_;
  const TableInfo& table_;
  std::vector<int> ordinals_;
  const IoContext& io_;
  std::vector<bool> force_not_null_, force_null_;
  CopyOptions::Header header_;
  CopySource* source_ = nullptr;
  bool done_ = false;
};

class CopyFromImpl : public CopyFrom {
 public:
  CopyFromImpl(DdlContext* context, CopyOptions options, TablePtr table, std::vector<int> ordinals, PlanPtr plan)
      : c_(*context),
        options_(std::move(options)),
        table_(std::move(table)),
        column_count_(static_cast<int>(ordinals.size())),
        rows_(options_, *table_, std::move(ordinals), context->functions->io),
        plan_(std::move(plan)) {}

  int column_count() const override { return column_count_; }

  Task<absl::StatusOr<uint64_t>> Run(const Context& ctx, CopySource& source) override {
    rows_.set_source(&source);
    ExecContext exec;
    exec.txn = c_.txn;
    exec.catalog = &c_.catalog->catalog();
    exec.snapshot = c_.catalog->snapshot();
    exec.functions = c_.functions;
    exec.sequences = c_.sequences;
    exec.memory = c_.memory;
    exec.external = &rows_;
    exec.lock_timeout = c_.lock_timeout;
    exec.notice = c_.notice;
    if (exec.sequences != nullptr) exec.sequences->set_snapshot(exec.snapshot);
    CO_ASSIGN_OR_RETURN(auto run, Execution::Create(plan_, &exec));
    CO_RETURN_IF_ERROR(co_await run->Open(ctx));
    for (;;) {
      CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(ctx));
      if (batch == nullptr) break;
    }
    run->Close();
    co_return run->rows_affected();
  }

 private:
  DdlContext& c_;
  CopyOptions options_;
  TablePtr table_;
  int column_count_;
  TextRows rows_;
  PlanPtr plan_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CopyFrom>> CopyFrom::Begin(const ast::CopyStatement& s, DdlContext* context) {
  if (s.program) return PgUnsupported("COPY FROM PROGRAM");
  if (!s.filename.empty()) return PgUnsupported("COPY FROM a file on the server");
  ASSIGN_OR_RETURN(CopyOptions options, ParseCopyOptions(s.options, true));
  const CatalogSnapshot& snapshot = *context->catalog->snapshot();
  BindContext binding;
  binding.catalog = &snapshot;
  binding.search_path = context->search_path;
  binding.functions = context->functions;
  binding.allow_parameters = false;
  ast::RelationName name = s.table;
  name.position = 0;  // these errors do not point into the statement
  ASSIGN_OR_RETURN(TablePtr table, ResolveTable(name, binding));
  if (table->kind == RelationKind::kView) {
    return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat("cannot copy to view \"", table->name, "\""))
        .Hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger.")
        .Build();
  }
  if (table->kind == RelationKind::kSequence) return PgError(sqlstate::kWrongObjectType, StrCat("cannot copy to sequence \"", table->name, "\""));
  if (table->kind != RelationKind::kTable) return PgError(sqlstate::kWrongObjectType, StrCat("cannot copy to non-table relation \"", table->name, "\""));
  for (const auto* list : {&options.force_not_null, &options.force_null}) {
    for (const std::string& name : *list) {
      if (table->FindColumn(name) < 0) return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" of relation \"", table->name, "\" does not exist"));
    }
  }
  ASSIGN_OR_RETURN(BoundCopyFrom bound, BindCopyFrom(table, s.columns, s.where.get(), binding));
  RETURN_IF_ERROR(CheckPrivileges(snapshot, snapshot.FindRole(context->user), bound.statement->info));
  OptimizerOptions optimizer;
  optimizer.functions = context->functions;
  ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound.statement), optimizer));
  return std::unique_ptr<CopyFrom>(std::make_unique<CopyFromImpl>(context, std::move(options), std::move(table), std::move(bound.ordinals), std::move(plan)));
}

}  // namespace insula::sql
