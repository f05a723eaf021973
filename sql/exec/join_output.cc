#include "sql/exec/join_output.h"

#include <set>

#include "base/check.h"
#include "base/status_macros.h"

namespace insula::sql {

JoinOutput::JoinOutput(const PhysicalJoin& node, std::vector<SqlType> left_types, std::vector<SqlType> right_types)
    : node_(node), condition_(node.condition), left_types_(std::move(left_types)), right_types_(std::move(right_types)) {
  if (node.condition != nullptr) {
    std::set<int> slots;
    VisitExpr(node.condition, [&](const Expr& e) {
      if (const auto* c = e.TryAs<ColumnExpr>()) slots.insert(c->slot);
      return true;
    });
    condition_slots_.assign(slots.begin(), slots.end());
  }
  for (const auto& c : node.output) out_types_.push_back(c.type);
}

absl::Status JoinOutput::FilterPairs(EvalContext& eval, const Batch& left, const Batch& right, std::span<const uint32_t> left_rows,
                                     std::span<const uint32_t> right_rows) {
  if (condition_.empty() || left_rows.empty()) {
    passed_left_.assign(left_rows.begin(), left_rows.end());
    passed_right_.assign(right_rows.begin(), right_rows.end());
    return absl::OkStatus();
  }
  std::vector<const Vector*> columns(left_types_.size() + right_types_.size(), nullptr);
  pair_columns_.resize(condition_slots_.size());
  for (size_t k = 0; k < condition_slots_.size(); ++k) {
    size_t slot = condition_slots_[k];
    if (slot < left_types_.size()) {
      pair_columns_[k].Gather(left.columns[slot], left_rows);
    } else {
      pair_columns_[k].Gather(right.columns[slot - left_types_.size()], right_rows);
    }
    columns[slot] = &pair_columns_[k];
  }
  ASSIGN_OR_RETURN(const Vector* v, condition_.Evaluate(eval, RowView{columns, left_rows.size()}));
  passed_left_.clear();
  passed_right_.clear();
  for (size_t k = 0; k < left_rows.size(); ++k) {
    if (v->IsNull(k)) {
      SetUnknown(left_rows[k]);
    } else if (v->bools()[k]) {
      passed_left_.push_back(left_rows[k]);
      passed_right_.push_back(right_rows[k]);
    }
  }
  return absl::OkStatus();
}

absl::Status JoinOutput::Resolve(EvalContext& eval, const Batch& left, const Batch& right, std::span<const uint32_t> left_rows,
                                 std::span<const uint32_t> right_rows, size_t complete_from, size_t complete_to,
                                 std::vector<uint8_t>* right_matched, Batch* out) {
  RETURN_IF_ERROR(FilterPairs(eval, left, right, left_rows, right_rows));
  emit_left_.clear();
  emit_right_.clear();
  emit_mark_.clear();
  const JoinType join = node_.join;
  const bool pairs = join == JoinType::kInner || join == JoinType::kLeft || join == JoinType::kRight || join == JoinType::kFull;
  const bool keeps_left = join == JoinType::kLeft || join == JoinType::kFull;
  size_t k = 0;
  auto take_pairs_of = [&](size_t l) {
    for (; k < passed_left_.size() && passed_left_[k] == l; ++k) {
      states_[l] = kMatched;
      if (right_matched != nullptr) (*right_matched)[passed_right_[k]] = 1;
      if (pairs) {
        emit_left_.push_back(static_cast<uint32_t>(l));
        emit_right_.push_back(passed_right_[k]);
      }
    }
  };
  for (size_t l = complete_from; l < complete_to; ++l) {
    take_pairs_of(l);
    State state = static_cast<State>(states_[l]);
    bool emit = false;
    switch (join) {
      case JoinType::kSemi: emit = state == kMatched; break;
      case JoinType::kAnti: emit = state == kUnmatched || (state == kUnknown && !anti_drops_unknown()); break;
      case JoinType::kMark: emit = true; break;
      default: emit = keeps_left && state != kMatched; break;
    }
    if (!emit) continue;
    emit_left_.push_back(static_cast<uint32_t>(l));
    emit_right_.push_back(kNoRow);
    if (join == JoinType::kMark) emit_mark_.push_back(state);
  }
  // Pairs of a row that is not complete yet.
  while (k < passed_left_.size()) take_pairs_of(passed_left_[k]);
  Emit(left, right, out);
  return absl::OkStatus();
}

void JoinOutput::Emit(const Batch& left, const Batch& right, Batch* out) {
  if (emit_left_.empty()) return;
  for (size_t c = 0; c < node_.projection.size(); ++c) {
    size_t place = node_.projection[c];
    Vector& dst = out->columns[c];
    if (place < left_types_.size()) {
      dst.AppendSelected(left.columns[place], emit_left_);
    } else if (node_.join == JoinType::kMark) {
      for (uint8_t state : emit_mark_) {
        if (state == kUnknown) {
          dst.AppendNull();
        } else {
          dst.AppendBool(state == kMatched);
        }
      }
    } else {
      AppendSelectedOrNull(right.columns[place - left_types_.size()], emit_right_, &dst);
    }
  }
  out->rows += emit_left_.size();
}

void JoinOutput::AppendUnmatchedRight(const Batch& right, std::span<const uint32_t> rows, Batch* out) const {
  for (size_t c = 0; c < node_.projection.size(); ++c) {
    size_t place = node_.projection[c];
    if (place < left_types_.size()) {
      out->columns[c].AppendConstant(Datum::Null(), rows.size());
    } else {
      out->columns[c].AppendSelected(right.columns[place - left_types_.size()], rows);
    }
  }
  out->rows += rows.size();
}

}  // namespace insula::sql
