// One aggregate call over many groups: FILTER, DISTINCT and ORDER BY within the call, around the function's own Aggregator.
//
//   rows ──► arguments ──► FILTER ──► (DISTINCT per group) ──► Aggregator
//                                          └─► ORDER BY: kept, sorted by (group, keys) when the first result is asked for
#ifndef INSULA_SQL_EXEC_AGGREGATE_RUNNER_H_
#define INSULA_SQL_EXEC_AGGREGATE_RUNNER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/exec/evaluator.h"
#include "sql/exec/group_table.h"
#include "sql/exec/memory.h"
#include "sql/exec/row_order.h"
#include "sql/functions/registry.h"
#include "sql/plan/aggregate_spec.h"

namespace insula::sql {

class AggregateRunner {
 public:
  AggregateRunner(const AggregateSpec& spec, MemoryAccount* memory);

  // No groups. 0A000 if the function is not implemented.
  absl::Status Reset();
  // Groups 0 … total-1 exist from now on.
  void GrowTo(size_t total) { aggregator_->AddGroups(total); }
  // What Update evaluates on every row; for ReserveSequences.
  std::span<Evaluator> arguments() { return args_; }
  // Row i belongs to groups[i].
  absl::Status Update(EvalContext& eval, const RowView& rows, const std::vector<uint32_t>& groups);
  // Appends the results of groups [begin, end).
  absl::Status Finalize(EvalContext& eval, size_t begin, size_t end, Vector* out);
  // Gives memory back.
  void Close();

 private:
  absl::Status DropRepeated(std::span<const Vector* const> args, size_t rows);
  absl::Status Keep(EvalContext& eval, const RowView& rows, std::span<const Vector* const> args);
  absl::Status FeedOrdered(EvalContext& eval);

  const AggregateSpec& spec_;
  std::vector<Evaluator> args_;
  std::vector<SqlType> arg_types_;
  Evaluator filter_;
  RowOrder order_;
  std::unique_ptr<Aggregator> aggregator_;
  GroupTable seen_;                // DISTINCT: (group, arguments)
  Batch kept_, kept_keys_;         // ORDER BY: arguments and keys
  std::vector<uint32_t> kept_groups_;
  bool fed_ = false;
  std::vector<uint32_t> groups_;   // of the rows at hand, kSkipRow where they do not count
  MemoryReservation held_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_AGGREGATE_RUNNER_H_
