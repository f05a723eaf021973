// Set-returning functions in FROM and in select lists.
#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/exec/operator.h"
#include "sql/functions/registry.h"
#include "sql/types/array.h"

namespace insula::sql {
namespace {

// One call that yields rows: of a set-returning function, or of any expression (one row). A function of several columns gives
// one column of records where one column is asked for (SELECT jsonb_each(…)).
class RowSource {
 public:
  RowSource(const ExprPtr& call, std::vector<SqlType> types, bool record) : types_(std::move(types)), record_(record) {
    const auto* f = call->TryAs<FunctionExpr>();
    if (f != nullptr && f->function->returns_set) {
      function_ = f->function;
      args_ = MakeEvaluators(f->args);
      for (const auto& a : f->args) arg_types_.push_back(a->type);
      if (types_.size() == 1 && function_->out_types.size() > 1) {
        for (Oid t : function_->out_types) field_types_.push_back({t, -1});
      }
    } else {
      args_.emplace_back(call);
    }
  }
  const std::vector<SqlType>& types() const { return types_; }

  // Starts on the given row (of one row) of input.
  absl::Status Start(EvalContext& eval, const RowView& row) {
    buffer_.Reset(types_);
    at_ = 0;
    ended_ = false;
    cursor_.reset();
    if (function_ == nullptr) return StartScalar(eval, row);
    values_.clear();
    bool any_null = false;
    for (Evaluator& a : args_) {
      ASSIGN_OR_RETURN(const Vector* v, a.Evaluate(eval, row));
      values_.push_back(v->Get(0));
      any_null |= values_.back().is_null();
    }
    if (function_->strict && any_null) {
      ended_ = true;
      return absl::OkStatus();
    }
    if (function_->set_eval == nullptr) return PgUnsupported(StrCat("function ", function_->name, "()"));
    ASSIGN_OR_RETURN(cursor_, OpenSet(*function_, *eval.functions, {values_, arg_types_, field_types_.empty() ? types_ : field_types_}));
    return absl::OkStatus();
  }

  // Makes sure that a row is at hand; false at the end.
  absl::StatusOr<bool> Ready(EvalContext& eval) {
    if (at_ < buffer_.rows) return true;
    if (ended_ || cursor_ == nullptr) return false;
    buffer_.Reset(types_);
    at_ = 0;
    if (field_types_.empty()) {
      RETURN_IF_ERROR(cursor_->Next(*eval.functions, kBatchRows, &buffer_));
    } else {
      fields_.Reset(field_types_);
      RETURN_IF_ERROR(cursor_->Next(*eval.functions, kBatchRows, &fields_));
      PackRecords();
    }
    ended_ = buffer_.rows == 0;
    return !ended_;
  }
  size_t at_hand() const { return buffer_.rows - at_; }
  // Appends `n` rows (at hand) to the columns from `first` on.
  void Take(size_t n, size_t first, Batch* out) {
    for (size_t c = 0; c < types_.size(); ++c) out->columns[first + c].AppendRange(buffer_.columns[c], at_, n);
    at_ += n;
  }

 private:
  // The rows of fields_ as records in buffer_.
  void PackRecords() {
    RecordValue record;
    for (const SqlType& t : field_types_) record.types.push_back(t.oid);
    for (size_t i = 0; i < fields_.rows; ++i) {
      record.fields = fields_.Row(i);
      buffer_.columns[0].AppendBytes(record.Encode());
    }
    buffer_.rows = fields_.rows;
  }

  absl::Status StartScalar(EvalContext& eval, const RowView& row) {
    ASSIGN_OR_RETURN(const Vector* v, args_[0].Evaluate(eval, row));
    ended_ = true;
    buffer_.rows = 1;
    if (!record_) {
      buffer_.columns[0].AppendFrom(*v, 0);
      return absl::OkStatus();
    }
    if (v->IsNull(0)) {
      for (auto& c : buffer_.columns) c.AppendNull();
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(RecordValue fields, RecordValue::Decode(v->bytes(0)));
    if (fields.fields.size() != types_.size()) {
      return PgErrorBuilder(sqlstate::kDatatypeMismatch, "function return row and query-specified return row do not match")
          .Detail(StrCat("Returned row contains ", fields.fields.size(), " attributes, but query expects ", types_.size(), "."))
          .Build();
    }
    for (size_t c = 0; c < types_.size(); ++c) buffer_.columns[c].Append(fields.fields[c]);
    return absl::OkStatus();
  }

  std::vector<SqlType> types_, field_types_;
  bool record_;
  const FunctionInfo* function_ = nullptr;
  std::vector<Evaluator> args_;
  std::vector<SqlType> arg_types_;
  std::vector<Datum> values_;
  std::unique_ptr<SetCursor> cursor_;
  Batch buffer_, fields_;
  size_t at_ = 0;
  bool ended_ = true;
};

class FunctionScanOperator : public Operator {
 public:
  FunctionScanOperator(ExecState* state, const PhysicalNode& node)
      : Operator(state, node), ordinality_(node.As<PhysicalFunctionScan>().ordinality), types_(TypesOf(node)) {
    for (const auto& f : node.As<PhysicalFunctionScan>().functions) sources_.emplace_back(f.call, f.column_types, f.record);
  }

  Task<absl::Status> Open(const Context& ctx) override {
    number_ = 0;
    for (RowSource& s : sources_) CO_RETURN_IF_ERROR(s.Start(state_->eval, RowView{{}, 1}));
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    out_.Reset(types_);
    while (out_.rows < kBatchRows) {
      // As many rows as every function that still yields has at hand.
      size_t n = kBatchRows - out_.rows;
      bool any = false;
      std::vector<bool> alive(sources_.size());
      for (size_t s = 0; s < sources_.size(); ++s) {
        CO_ASSIGN_OR_RETURN(bool ready, sources_[s].Ready(state_->eval));
        alive[s] = ready;
        any |= ready;
        if (ready) n = std::min(n, sources_[s].at_hand());
      }
      if (!any) break;
      size_t column = 0;
      for (size_t s = 0; s < sources_.size(); ++s) {
        size_t width = sources_[s].types().size();
        if (alive[s]) {
          sources_[s].Take(n, column, &out_);
        } else {
          for (size_t c = 0; c < width; ++c) out_.columns[column + c].AppendConstant(Datum::Null(), n);
        }
        column += width;
      }
      if (ordinality_) {
        for (size_t i = 0; i < n; ++i) out_.columns[column].AppendInt(++number_);
      }
      out_.rows += n;
    }
    co_return out_.rows == 0 ? nullptr : &out_;
  }

 private:
  bool ordinality_;
  std::vector<SqlType> types_;
  std::vector<RowSource> sources_;
  int64_t number_ = 0;
  Batch out_;
};

class ProjectSetOperator : public Operator {
 public:
  ProjectSetOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), types_(TypesOf(node)) {
    for (const auto& call : node.As<PhysicalProjectSet>().calls) sources_.emplace_back(call, std::vector<SqlType>{call->type}, false);
  }

  Task<absl::Status> Open(const Context& ctx) override {
    input_ = nullptr;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    out_.Reset(types_);
    while (out_.rows < kBatchRows) {
      if (input_ == nullptr || row_ == input_->rows) {
        if (out_.rows > 0) break;  // the input batch is about to go
        CO_ASSIGN_OR_RETURN(input_, co_await child_->Next(ctx));
        if (input_ == nullptr) break;
        row_ = 0;
        started_ = false;
      }
      if (!started_) {
        one_.Slice(*input_, row_, 1);
        for (RowSource& s : sources_) CO_RETURN_IF_ERROR(s.Start(state_->eval, BatchView(one_)));
        started_ = true;
      }
      size_t n = kBatchRows - out_.rows;
      bool any = false;
      std::vector<bool> alive(sources_.size());
      for (size_t s = 0; s < sources_.size(); ++s) {
        CO_ASSIGN_OR_RETURN(bool ready, sources_[s].Ready(state_->eval));
        alive[s] = ready;
        any |= ready;
        if (ready) n = std::min(n, sources_[s].at_hand());
      }
      if (!any) {
        ++row_;
        started_ = false;
        continue;
      }
      size_t width = input_->columns.size();
      for (size_t c = 0; c < width; ++c) {
        for (size_t i = 0; i < n; ++i) out_.columns[c].AppendFrom(one_.columns[c], 0);
      }
      for (size_t s = 0; s < sources_.size(); ++s) {
        if (alive[s]) {
          sources_[s].Take(n, width + s, &out_);
        } else {
          out_.columns[width + s].AppendConstant(Datum::Null(), n);
        }
      }
      out_.rows += n;
    }
    co_return out_.rows == 0 ? nullptr : &out_;
  }
  void Close() override { child_->Close(); }

 private:
  OperatorPtr child_;
  std::vector<SqlType> types_;
  std::vector<RowSource> sources_;
  Batch* input_ = nullptr;
  size_t row_ = 0;
  bool started_ = false;
  Batch one_, out_;
};

}  // namespace

OperatorPtr MakeFunctionScan(ExecState* state, const PhysicalNode& node) { return std::make_unique<FunctionScanOperator>(state, node); }
OperatorPtr MakeProjectSet(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<ProjectSetOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
