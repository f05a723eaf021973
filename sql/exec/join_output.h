// What all joins share: from candidate pairs of rows to the join's output, by join type.
//
//   candidates (l, r), l ascending ──► condition ──► matched pairs ──► output
//   left rows that are complete (no candidate will follow) and unmatched ──► output with NULLs, or their place in anti, mark
//
// Output keeps the order of left rows. For right and full joins the unmatched right rows are the join's to add at its end.
// A left row's candidates may come in several rounds: its state stays until the round that completes it.
#ifndef INSULA_SQL_EXEC_JOIN_OUTPUT_H_
#define INSULA_SQL_EXEC_JOIN_OUTPUT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/plan/physical.h"
#include "sql/types/vector.h"

namespace insula::sql {

class JoinOutput {
 public:
  JoinOutput(const PhysicalJoin& node, std::vector<SqlType> left_types, std::vector<SqlType> right_types);

  // A new batch of left rows.
  void BeginLeft(size_t rows) { states_.assign(rows, kUnmatched); }
  // The mark of a left row without a match is NULL rather than FALSE (and a null-aware anti join drops it).
  void SetUnknown(size_t left_row) {
    if (states_[left_row] == kUnmatched) states_[left_row] = kUnknown;
  }
  bool matched(size_t left_row) const { return states_[left_row] == kMatched; }

  // One candidate is enough for the join type when there is no condition.
  bool first_match_is_enough() const { return OnlyLeftColumns(node_.join); }
  bool has_condition() const { return !condition_.empty(); }

  // Candidates: left[k] with right[k], left ascending. Left rows [complete_from, complete_to) get no more after these.
  // `right_matched` (may be null): set for right rows that took part. Appends to `out`.
  absl::Status Resolve(EvalContext& eval, const Batch& left, const Batch& right, std::span<const uint32_t> left_rows,
                       std::span<const uint32_t> right_rows, size_t complete_from, size_t complete_to,
                       std::vector<uint8_t>* right_matched, Batch* out);

  // Right rows without a partner, for right and full joins.
  void AppendUnmatchedRight(const Batch& right, std::span<const uint32_t> rows, Batch* out) const;

  // NOT IN: an anti join for which an unknown comparison is not a miss.
  void set_null_aware(bool v) { null_aware_ = v; }

  void ResetOutput(Batch* out) const { out->Reset(out_types_); }

 private:
  enum State : uint8_t { kUnmatched, kUnknown, kMatched };
  absl::Status FilterPairs(EvalContext& eval, const Batch& left, const Batch& right, std::span<const uint32_t> left_rows,
                           std::span<const uint32_t> right_rows);
  void Emit(const Batch& left, const Batch& right, Batch* out);
  bool anti_drops_unknown() const { return null_aware_; }

  const PhysicalJoin& node_;
  Evaluator condition_;
  bool null_aware_ = false;
  std::vector<int> condition_slots_;
  std::vector<SqlType> left_types_, right_types_, out_types_;
  std::vector<uint8_t> states_;
  std::vector<uint32_t> passed_left_, passed_right_;  // pairs that the condition lets through
  std::vector<uint32_t> emit_left_, emit_right_;      // kNoRow on the right: NULLs
  std::vector<uint8_t> emit_mark_;                    // State
  std::vector<Vector> pair_columns_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_JOIN_OUTPUT_H_
