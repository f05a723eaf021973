// Joins without a key, and correlated subplans: for each left row, all rows of the right child.
//
// Without bindings the right child runs once and is kept. With bindings its parameters are set from each left row and it is
// opened anew; what it yields for some left rows gathers until there are enough candidates to look at together.
#include <algorithm>

#include "sql/exec/join_output.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

constexpr size_t kCandidates = 2048;

class NestedLoopOperator : public Operator {
 public:
  NestedLoopOperator(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right)
      : Operator(state, node),
        join_(node.As<PhysicalNestedLoop>()),
        left_(std::move(left)),
        right_(std::move(right)),
        right_types_(TypesOf(*node.children[1])),
        guard_(join_.guard),
        output_(join_, TypesOf(*node.children[0]), right_types_),
        rows_(state->memory()) {
    keeps_right_ = join_.join == JoinType::kRight || join_.join == JoinType::kFull;
  }

  Task<absl::Status> Open(const Context& ctx) override {
    batch_ = nullptr;
    kept_ = left_done_ = false;
    unmatched_at_ = 0;
    co_return co_await left_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    output_.ResetOutput(&out_);
    if (join_.bindings.empty() && !kept_) {
      CO_RETURN_IF_ERROR(co_await KeepRight(ctx));
      kept_ = true;
    }
    while (!left_done_) {
      EXEC_YIELD(ctx);
      if (batch_ == nullptr) {
        CO_RETURN_IF_ERROR(co_await NextLeft(ctx));
        if (batch_ == nullptr) break;
      }
      candidates_left_.clear();
      candidates_right_.clear();
      size_t first = row_;
      if (join_.bindings.empty()) {
        GatherKept();
      } else {
        CO_RETURN_IF_ERROR(co_await GatherBound(ctx));
      }
      CO_RETURN_IF_ERROR(output_.Resolve(state_->eval, *batch_, rows_.rows(), candidates_left_, candidates_right_, first, row_,
                                         keeps_right_ ? &matched_ : nullptr, &out_));
      if (row_ >= batch_->rows) batch_ = nullptr;
      if (out_.rows > 0) co_return &out_;
    }
    left_done_ = true;
    if (keeps_right_) UnmatchedRight();
    co_return out_.rows == 0 ? nullptr : &out_;
  }

  void Close() override {
    rows_.Clear();
    left_->Close();
    right_->Close();
  }

 private:
  Task<absl::Status> KeepRight(const Context& ctx) {
    rows_.Reset(right_types_);
    CO_RETURN_IF_ERROR(co_await right_->Open(ctx));
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await right_->Next(ctx));
      if (batch == nullptr) break;
      CO_RETURN_IF_ERROR(rows_.Append(*batch));
      EXEC_YIELD(ctx);
    }
    right_->Close();
    matched_.assign(keeps_right_ ? rows_.size() : 0, 0);
    co_return absl::OkStatus();
  }

  Task<absl::Status> NextLeft(const Context& ctx) {
    CO_ASSIGN_OR_RETURN(batch_, co_await left_->Next(ctx));
    if (batch_ == nullptr) co_return absl::OkStatus();
    output_.BeginLeft(batch_->rows);
    row_ = 0;
    at_ = 0;
    running_ = false;
    guarded_.assign(batch_->rows, guard_.empty() ? 1 : 0);
    if (!guard_.empty()) {
      std::vector<uint32_t> selected;
      CO_RETURN_IF_ERROR(guard_.Select(state_->eval, BatchView(*batch_), &selected));
      for (uint32_t i : selected) guarded_[i] = 1;
    }
    co_return absl::OkStatus();
  }

  // A left row that needs no more partners.
  bool Settled(size_t row) const {
    return output_.first_match_is_enough() &&
           (output_.matched(row) || (!output_.has_condition() && !candidates_left_.empty() && candidates_left_.back() == row));
  }

  void GatherKept() {
    while (row_ < batch_->rows && candidates_left_.size() < kCandidates) {
      if (!guarded_[row_] || at_ >= rows_.size() || Settled(row_)) {
        ++row_;
        at_ = 0;
        continue;
      }
      size_t n = std::min(kCandidates - candidates_left_.size(), rows_.size() - at_);
      if (output_.first_match_is_enough() && !output_.has_condition()) n = 1;
      for (size_t k = 0; k < n; ++k) {
        candidates_left_.push_back(static_cast<uint32_t>(row_));
        candidates_right_.push_back(static_cast<uint32_t>(at_ + k));
      }
      at_ += n;
    }
  }

  Task<absl::Status> GatherBound(const Context& ctx) {
    rows_.Reset(right_types_);
    while (row_ < batch_->rows && candidates_left_.size() < kCandidates) {
      EXEC_YIELD(ctx);
      if (!guarded_[row_]) {
        ++row_;
        continue;
      }
      if (!running_) {
        for (const ExecBinding& b : join_.bindings) {
          state_->eval.exec_params[b.exec_param] = batch_->columns[b.left_slot].Get(row_);
        }
        ++state_->eval.exec_version;
        CO_RETURN_IF_ERROR(co_await right_->Open(ctx));
        running_ = true;
      }
      Batch* batch = nullptr;
      if (!Settled(row_)) {
        CO_ASSIGN_OR_RETURN(batch, co_await right_->Next(ctx));
      }
      if (batch == nullptr) {
        running_ = false;
        ++row_;
        continue;
      }
      for (uint32_t k = 0; k < batch->rows; ++k) {
        candidates_left_.push_back(static_cast<uint32_t>(row_));
        candidates_right_.push_back(static_cast<uint32_t>(rows_.size() + k));
      }
      CO_RETURN_IF_ERROR(rows_.Append(*batch));
    }
    co_return absl::OkStatus();
  }

  void UnmatchedRight() {
    std::vector<uint32_t> rows;
    while (unmatched_at_ < matched_.size() && rows.size() < kBatchRows) {
      if (!matched_[unmatched_at_]) rows.push_back(static_cast<uint32_t>(unmatched_at_));
      ++unmatched_at_;
    }
    output_.AppendUnmatchedRight(rows_.rows(), rows, &out_);
  }

  const PhysicalNestedLoop& join_;
  OperatorPtr left_, right_;
  std::vector<SqlType> right_types_;
  Evaluator guard_;
  JoinOutput output_;
  RowStore rows_;                 // right rows: all of them, or those of the candidates at hand
  bool keeps_right_ = false, kept_ = false, left_done_ = false;
  std::vector<uint8_t> matched_;
  size_t unmatched_at_ = 0;

  Batch* batch_ = nullptr;
  std::vector<uint8_t> guarded_;  // by left row: run the right child for it
  size_t row_ = 0;                // left row at hand
  size_t at_ = 0;                 // its next right row, of kept ones
  bool running_ = false;          // the right child is open for it
  std::vector<uint32_t> candidates_left_, candidates_right_;
  Batch out_;
};

}  // namespace

OperatorPtr MakeNestedLoop(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<NestedLoopOperator>(state, node, std::move(left), std::move(right));
}

}  // namespace insula::sql
