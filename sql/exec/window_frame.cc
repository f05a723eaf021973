#include "sql/exec/window_frame.h"

#include <algorithm>
#include <cmath>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/registry.h"

namespace insula::sql {
namespace {

constexpr std::string_view kBadOffset = "22013";  // invalid_preceding_or_following_size

absl::StatusOr<Datum> Offset(const ExprPtr& expr, EvalContext& eval, std::string_view which) {
  if (expr == nullptr) return Datum::Null();
  Evaluator e(expr);
  ASSIGN_OR_RETURN(Datum v, e.EvaluateValue(eval));
  if (v.is_null()) return PgError(kBadOffset, StrCat("frame ", which, " offset must not be null"));
  return v;
}

// ROWS and GROUPS count; RANGE keeps the value.
absl::StatusOr<size_t> Count(const Datum& v, std::string_view which) {
  if (v.int_value() < 0) return PgError(kBadOffset, StrCat("frame ", which, " offset must not be negative"));
  return static_cast<size_t>(v.int_value());
}

absl::Status BadOffset() { return PgError(kBadOffset, "invalid preceding or following size in window function"); }

// The same of numbers in memory: past the type's range a bound simply lies beyond all keys.
template <typename T, typename Append>
Vector NumericBounds(const Vector& keys, const T* values, SqlType type, T offset, Append append) {
  Vector out(type);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys.IsNull(i)) {
      out.AppendNull();
    } else {
      append(&out, values[i], offset);
    }
  }
  return out;
}

// key ± offset for all rows: the value that a RANGE bound stands for. 22013 if the offset is negative.
absl::StatusOr<Vector> BoundValues(const Vector& keys, SqlType key_type, SqlType offset_type, const Datum& offset, bool subtract,
                                   EvalContext& eval) {
  const bool integers = key_type.oid == oid::kInt2 || key_type.oid == oid::kInt4 || key_type.oid == oid::kInt8;
  if (integers && keys.kind() == PhysicalKind::kInt && KindOf(offset_type.oid) == PhysicalKind::kInt) {
    if (offset.int_value() < 0) return BadOffset();
    return NumericBounds<int64_t>(keys, keys.ints(), key_type, offset.int_value(), [subtract](Vector* out, int64_t key, int64_t by) {
      int64_t v = 0;
      const bool over = subtract ? __builtin_sub_overflow(key, by, &v) : __builtin_add_overflow(key, by, &v);
      out->AppendInt(over ? (subtract ? INT64_MIN : INT64_MAX) : v);
    });
  }
  if (keys.kind() == PhysicalKind::kFloat && offset_type.oid == oid::kFloat8) {
    if (offset.float_value() < 0 || std::isnan(offset.float_value())) return BadOffset();
    return NumericBounds<double>(keys, keys.floats(), key_type, subtract ? -offset.float_value() : offset.float_value(),
                                 [](Vector* out, double key, double by) { out->AppendFloat(key + by); });
  }
  if (offset.Is(PhysicalKind::kNumeric) && offset.numeric_value().Sign() < 0) return BadOffset();
  ASSIGN_OR_RETURN(ResolvedOperator op, ResolveOperator(subtract ? "-" : "+", key_type.oid, offset_type.oid));
  if (op.call.result != key_type.oid || op.call.arg_types[0] != key_type.oid || op.call.arg_types[1] != offset_type.oid) {
    return PgUnsupported(StrCat("RANGE with offset over columns of type ", FormatType(key_type.oid)));
  }
  Vector offsets(offset_type);
  offsets.AppendConstant(offset, keys.size());
  std::vector<const Vector*> args = {&keys, &offsets};
  Vector out;
  RETURN_IF_ERROR(Evaluate(*op.call.function, key_type, *eval.functions, args, keys.size(), &out));
  return out;
}

class RangeBounds {
 public:
  RangeBounds(const SortKey& order, const Vector& keys, size_t rows) : order_(order), keys_(keys), rows_(rows) {}

  // First row whose key is not before `bounds[row]` (or, with `after`, is after it) in the window's order.
  size_t Find(const Vector& bounds, size_t row, bool after) const {
    size_t low = 0, high = rows_;
    while (low < high) {
      size_t mid = (low + high) / 2;
      int c = keys_.IsNull(mid) ? (order_.nulls_first ? -1 : 1) : Vector::Compare(keys_, mid, bounds, row) * (order_.descending ? -1 : 1);
      if (c < 0 || (after && c == 0)) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    return low;
  }

 private:
  const SortKey& order_;
  const Vector& keys_;
  size_t rows_;
};

size_t Minus(size_t a, size_t b) { return a > b ? a - b : 0; }

}  // namespace

absl::Status ComputeFrames(const WindowFrame& frame, const std::vector<SortKey>& order_by, const Batch& keys, const PeerGroups& peers,
                           EvalContext& eval, std::vector<FrameRange>* out) {
  size_t rows = peers.group_of.size();
  out->assign(rows, {0, rows});
  ASSIGN_OR_RETURN(Datum start_offset, Offset(frame.start_offset, eval, "starting"));
  ASSIGN_OR_RETURN(Datum end_offset, Offset(frame.end_offset, eval, "ending"));
  auto has_offset = [](FrameBound b) { return b == FrameBound::kPreceding || b == FrameBound::kFollowing; };

  Vector start_values, end_values;
  size_t start_count = 0, end_count = 0;
  bool range = frame.mode == FrameMode::kRange;
  if (range && (has_offset(frame.start) || has_offset(frame.end))) {
    if (order_by.size() != 1) return PgError("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column");
    // In descending order "preceding" means larger.
    bool down = order_by[0].descending;
    SqlType type = order_by[0].expr->type;
    if (has_offset(frame.start)) {
      ASSIGN_OR_RETURN(start_values, BoundValues(keys.columns[0], type, frame.start_offset->type, start_offset,
                                                 (frame.start == FrameBound::kPreceding) != down, eval));
    }
    if (has_offset(frame.end)) {
      ASSIGN_OR_RETURN(end_values, BoundValues(keys.columns[0], type, frame.end_offset->type, end_offset,
                                               (frame.end == FrameBound::kPreceding) != down, eval));
    }
  } else {
    if (has_offset(frame.start)) {
      ASSIGN_OR_RETURN(start_count, Count(start_offset, "starting"));
    }
    if (has_offset(frame.end)) {
      ASSIGN_OR_RETURN(end_count, Count(end_offset, "ending"));
    }
  }
  const Vector empty;
  const SortKey order = order_by.empty() ? SortKey() : order_by[0];
  RangeBounds by_value(order, keys.columns.empty() ? empty : keys.columns[0], rows);

  for (size_t i = 0; i < rows; ++i) {
    FrameRange& f = (*out)[i];
    size_t group = peers.group_of[i];
    bool null_key = range && !keys.columns.empty() && keys.columns[0].IsNull(i);
    auto place = [&](FrameBound bound, bool is_start, size_t count, const Vector& values) -> size_t {
      switch (bound) {
        case FrameBound::kUnboundedPreceding: return 0;
        case FrameBound::kUnboundedFollowing: return rows;
        case FrameBound::kCurrentRow:
          if (frame.mode == FrameMode::kRows) return is_start ? i : i + 1;
          return is_start ? peers.Start(i) : peers.End(i);
        case FrameBound::kPreceding:
        case FrameBound::kFollowing: break;
      }
      bool preceding = bound == FrameBound::kPreceding;
      if (frame.mode == FrameMode::kRows) {
        size_t at = preceding ? Minus(i, count) : std::min(rows, i + count);
        if (is_start) return preceding || i + count < rows ? at : rows;
        return preceding ? (i >= count ? i - count + 1 : 0) : std::min(rows, i + count + 1);
      }
      if (frame.mode == FrameMode::kGroups) {
        if (preceding && group < count) return 0;
        size_t g = preceding ? group - count : group + count;
        if (g >= peers.count()) return rows;
        return is_start ? peers.starts[g] : peers.starts[g + 1];
      }
      if (null_key) return is_start ? peers.Start(i) : peers.End(i);  // NULLs are in range of NULLs only
      return by_value.Find(values, i, !is_start);
    };
    f.begin = place(frame.start, true, start_count, start_values);
    f.end = std::max(f.begin, place(frame.end, false, end_count, end_values));
  }
  return absl::OkStatus();
}

}  // namespace insula::sql
