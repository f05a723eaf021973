#include "sql/exec/aggregate_runner.h"

#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {

AggregateRunner::AggregateRunner(const AggregateSpec& spec, MemoryAccount* memory)
    : spec_(spec), filter_(spec.filter), order_(spec.order_by), seen_(memory), held_(memory) {
  // An ordered-set aggregate takes its direct arguments first, then what it is ordered by.
  std::vector<ExprPtr> args = spec.direct_args;
  args.insert(args.end(), spec.args.begin(), spec.args.end());
  if (!spec.direct_args.empty() && spec.args.empty()) {
    for (const SortKey& k : spec.order_by) args.push_back(k.expr);
  }
  for (const auto& a : args) {
    args_.emplace_back(a);
    arg_types_.push_back(a->type);
  }
}

absl::Status AggregateRunner::Reset() {
  if (spec_.function->aggregate == nullptr) return PgUnsupported(StrCat("aggregate function ", spec_.function->name, "()"));
  ASSIGN_OR_RETURN(aggregator_, MakeAggregator(*spec_.function, arg_types_, spec_.type));
  if (spec_.distinct) {
    std::vector<SqlType> types = {{oid::kInt8, -1}};
    types.insert(types.end(), arg_types_.begin(), arg_types_.end());
    seen_.Reset(types);
  }
  kept_.Reset(arg_types_);
  kept_keys_ = Batch();
  kept_groups_.clear();
  fed_ = false;
  return absl::OkStatus();
}

absl::Status AggregateRunner::Update(EvalContext& eval, const RowView& rows, const std::vector<uint32_t>& groups) {
  groups_ = groups;
  RowView counted = rows;
  Batch subset;
  BatchView subset_view;
  if (!filter_.empty()) {
    // Arguments are not evaluated on rows that do not count.
    std::vector<uint32_t> selected;
    RETURN_IF_ERROR(filter_.Select(eval, rows, &selected));
    if (selected.empty()) return absl::OkStatus();
    if (selected.size() < rows.rows) {
      for (const Vector* v : rows.columns) {
        subset.columns.emplace_back();
        if (v != nullptr) subset.columns.back().Gather(*v, selected);
      }
      subset.rows = selected.size();
      for (size_t k = 0; k < selected.size(); ++k) groups_[k] = groups[selected[k]];
      groups_.resize(selected.size());
      subset_view.Set(subset);
      counted = subset_view;
    }
  }
  std::vector<const Vector*> args;
  for (Evaluator& a : args_) {
    ASSIGN_OR_RETURN(const Vector* v, a.Evaluate(eval, counted));
    args.push_back(v);
  }
  if (spec_.distinct) RETURN_IF_ERROR(DropRepeated(args, counted.rows));
  if (!order_.empty()) return Keep(eval, counted, args);
  RETURN_IF_ERROR(aggregator_->Update(*eval.functions, args, counted.rows, groups_.data()));
  return held_.Set(aggregator_->MemoryUsage());
}

absl::Status AggregateRunner::DropRepeated(std::span<const Vector* const> args, size_t rows) {
  Vector group_column(SqlType{oid::kInt8, -1});
  for (size_t i = 0; i < rows; ++i) group_column.AppendInt(groups_[i]);
  std::vector<const Vector*> columns = {&group_column};
  columns.insert(columns.end(), args.begin(), args.end());
  size_t known = seen_.size();
  std::vector<uint32_t> numbers;
  RETURN_IF_ERROR(seen_.FindOrAdd(columns, rows, &numbers));
  for (size_t i = 0; i < rows; ++i) {
    if (numbers[i] < known) {
      groups_[i] = Aggregator::kSkipRow;
    } else {
      known = numbers[i] + 1;
    }
  }
  return absl::OkStatus();
}

absl::Status AggregateRunner::Keep(EvalContext& eval, const RowView& rows, std::span<const Vector* const> args) {
  Batch keys;
  RETURN_IF_ERROR(order_.Evaluate(eval, rows, &keys));
  if (kept_keys_.columns.empty()) {
    for (const Vector& k : keys.columns) kept_keys_.columns.emplace_back(k.type());
  }
  for (size_t i = 0; i < rows.rows; ++i) {
    if (groups_[i] == Aggregator::kSkipRow) continue;
    for (size_t a = 0; a < args.size(); ++a) kept_.columns[a].AppendFrom(*args[a], i);
    kept_keys_.AppendFrom(keys, i);
    ++kept_.rows;
    kept_groups_.push_back(groups_[i]);
  }
  return held_.Set(kept_.MemoryUsage() + kept_keys_.MemoryUsage() + kept_groups_.capacity() * sizeof(uint32_t));
}

absl::Status AggregateRunner::FeedOrdered(EvalContext& eval) {
  std::vector<uint32_t> order;
  order_.Sort(kept_keys_, &order);
  std::stable_sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) { return kept_groups_[a] < kept_groups_[b]; });
  Batch chunk;
  std::vector<uint32_t> groups;
  for (size_t at = 0; at < order.size(); at += kBatchRows) {
    auto rows = std::span<const uint32_t>(order).subspan(at, std::min(kBatchRows, order.size() - at));
    chunk.Gather(kept_, rows);
    groups.clear();
    for (uint32_t r : rows) groups.push_back(kept_groups_[r]);
    RETURN_IF_ERROR(aggregator_->Update(*eval.functions, BatchView(chunk).columns(), rows.size(), groups.data()));
  }
  kept_.Reset(arg_types_);
  kept_keys_ = Batch();
  kept_groups_.clear();
  return absl::OkStatus();
}

absl::Status AggregateRunner::Finalize(EvalContext& eval, size_t begin, size_t end, Vector* out) {
  if (!order_.empty() && !fed_) {
    RETURN_IF_ERROR(FeedOrdered(eval));
    fed_ = true;
  }
  return aggregator_->Finalize(*eval.functions, begin, end, out);
}

void AggregateRunner::Close() {
  aggregator_.reset();
  seen_.Clear();
  kept_ = Batch();
  kept_keys_ = Batch();
  kept_groups_ = {};
  held_.Release();
}

}  // namespace insula::sql
