// One window function call: f(args) OVER (…) with its frame. The partition and order are the operator's.
#ifndef INSULA_SQL_PLAN_WINDOW_CALL_H_
#define INSULA_SQL_PLAN_WINDOW_CALL_H_

#include <vector>

#include "sql/plan/expression.h"

namespace insula::sql {

enum class FrameMode { kRange, kRows, kGroups };
enum class FrameBound { kUnboundedPreceding, kPreceding, kCurrentRow, kFollowing, kUnboundedFollowing };
enum class FrameExclusion { kNone, kCurrentRow, kGroup, kTies };

struct WindowFrame {
  FrameMode mode = FrameMode::kRange;
  FrameBound start = FrameBound::kUnboundedPreceding;
  FrameBound end = FrameBound::kCurrentRow;
  ExprPtr start_offset, end_offset;  // row-independent; kRows and kGroups: bigint; kRange: of the in_range type
  FrameExclusion exclusion = FrameExclusion::kNone;
};

struct WindowCall {
  ColumnId output = 0;
  SqlType type;
  const FunctionInfo* function = nullptr;  // a window function, or an aggregate
  std::vector<ExprPtr> args;                // on the input row
  ExprPtr filter;                           // aggregates only; may be null
  WindowFrame frame;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_WINDOW_CALL_H_
