// Set-returning functions: generate_series, generate_subscripts, unnest, string_to_table (regexp ones are in
// pattern_functions.cc, JSON ones in json_functions.cc).
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "sql/functions/array_functions.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"

namespace insula::sql::internal {
namespace {

using Cursor = absl::StatusOr<std::unique_ptr<SetCursor>>;

class IntSeries : public SetCursor {
 public:
  IntSeries(int64_t from, int64_t to, int64_t step) : next_(from), to_(to), step_(step) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    Vector& v = out->columns[0];
    for (; max_rows > 0 && !done_ && (step_ > 0 ? next_ <= to_ : next_ >= to_); --max_rows) {
      v.AppendInt(next_);
      ++out->rows;
      done_ = __builtin_add_overflow(next_, step_, &next_);
    }
    return absl::OkStatus();
  }

 private:
  int64_t next_, to_, step_;
  bool done_ = false;
};

absl::Status ZeroStep() { return PgError(sqlstate::kInvalidParameterValue, "step size cannot equal zero"); }

Cursor OpenIntSeries(FunctionContext&, const SetCall& call) {
  int64_t step = call.args.size() > 2 ? call.args[2].int_value() : 1;
  if (step == 0) return ZeroStep();
  return std::make_unique<IntSeries>(call.args[0].int_value(), call.args[1].int_value(), step);
}

class NumericSeries : public SetCursor {
 public:
  NumericSeries(Numeric from, Numeric to, Numeric step) : next_(std::move(from)), to_(std::move(to)), step_(std::move(step)) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    bool up = step_.Sign() > 0;
    for (; max_rows > 0; --max_rows) {
      int c = Numeric::Compare(next_, to_);
      if (up ? c > 0 : c < 0) break;
      out->columns[0].AppendNumeric(next_);
      ++out->rows;
      ASSIGN_OR_RETURN(next_, Numeric::Add(next_, step_));
    }
    return absl::OkStatus();
  }

 private:
  Numeric next_, to_, step_;
};

Cursor OpenNumericSeries(FunctionContext&, const SetCall& call) {
  Numeric from = call.args[0].numeric_value(), to = call.args[1].numeric_value(), step(int64_t{1});
  static constexpr std::string_view kNames[] = {"start", "stop", "step size"};
  for (size_t i = 0; i < call.args.size(); ++i) {
    const Numeric& v = call.args[i].numeric_value();
    if (!v.IsFinite()) {
      return PgError(sqlstate::kInvalidParameterValue,
                     std::string(kNames[i]) + (i == 2 ? "" : " value") + " cannot be " + (v.IsNaN() ? "NaN" : "infinity"));
    }
  }
  if (call.args.size() > 2) step = call.args[2].numeric_value();
  if (step.IsZero()) return ZeroStep();
  return std::make_unique<NumericSeries>(from, to, step);
}

// `zone` is null for timestamps without one.
class TimeSeries : public SetCursor {
 public:
  TimeSeries(int64_t from, int64_t to, Interval step, const TimeZone* zone, bool up)
      : next_(from), to_(to), step_(step), zone_(zone), up_(up) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    for (; max_rows > 0 && (up_ ? next_ <= to_ : next_ >= to_); --max_rows) {
      out->columns[0].AppendInt(next_);
      ++out->rows;
      ASSIGN_OR_RETURN(next_, zone_ == nullptr ? TimestampPlusInterval(next_, step_) : TimestampTzPlusInterval(*zone_, next_, step_));
    }
    return absl::OkStatus();
  }

 private:
  int64_t next_, to_;
  Interval step_;
  const TimeZone* zone_;
  bool up_;
};

Cursor OpenTimeSeries(FunctionContext& ctx, const SetCall& call) {
  Interval step = DecodeInterval(call.args[2].bytes_value());
  int sign = CompareIntervals(step, Interval{});
  if (sign == 0) return ZeroStep();
  bool zoned = call.out_types[0].oid == oid::kTimestamptz;
  return std::make_unique<TimeSeries>(call.args[0].int_value(), call.args[1].int_value(), step,
                                      zoned ? ctx.io.time_zone : nullptr, sign > 0);
}

Cursor OpenSubscripts(FunctionContext&, const SetCall& call) {
  ArrayReader array(call.args[0].bytes_value());
  int64_t dimension = call.args[1].int_value();
  bool reverse = call.args.size() > 2 && call.args[2].bool_value();
  if (dimension < 1 || dimension > static_cast<int64_t>(array.dims().size())) return std::make_unique<IntSeries>(1, 0, 1);
  const ArrayDimension& d = array.dims()[static_cast<size_t>(dimension - 1)];
  int64_t last = int64_t{d.lower} + d.size - 1;
  if (reverse) return std::make_unique<IntSeries>(last, d.lower, -1);
  return std::make_unique<IntSeries>(d.lower, last, 1);
}

class ListCursor : public SetCursor {
 public:
  explicit ListCursor(std::vector<Datum> rows) : rows_(std::move(rows)) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    for (; max_rows > 0 && next_ < rows_.size(); --max_rows, ++next_) {
      out->columns[0].Append(rows_[next_]);
      ++out->rows;
    }
    return absl::OkStatus();
  }

 private:
  std::vector<Datum> rows_;
  size_t next_ = 0;
};

Cursor OpenUnnest(FunctionContext&, const SetCall& call) {
  ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(call.args[0].bytes_value()));
  return std::make_unique<ListCursor>(std::move(array.elements));
}

// Not strict: without a separator the text is cut into characters.
Cursor OpenTextToTable(FunctionContext&, const SetCall& call) {
  if (call.args[0].is_null()) return std::make_unique<ListCursor>(std::vector<Datum>());
  std::optional<std::string_view> separator, null_text;
  if (!call.args[1].is_null()) separator = call.args[1].bytes_value();
  if (call.args.size() > 2 && !call.args[2].is_null()) null_text = call.args[2].bytes_value();
  return std::make_unique<ListCursor>(SplitText(call.args[0].bytes_value(), separator, null_text));
}

}  // namespace

void RegisterSetFunctions(Registrar& r) {
  for (std::string_view name : {"generate_series_int4", "generate_series_step_int4", "generate_series_int8", "generate_series_step_int8"}) {
    r.Set(name, OpenIntSeries);
  }
  r.Set("generate_series_numeric", OpenNumericSeries);
  r.Set("generate_series_step_numeric", OpenNumericSeries);
  r.Set("generate_series_timestamp", OpenTimeSeries);
  r.Set("generate_series_timestamptz", OpenTimeSeries);
  r.Set("generate_subscripts", OpenSubscripts);
  r.Set("generate_subscripts_nodir", OpenSubscripts);
  r.Set("array_unnest", OpenUnnest);
  r.Set("text_to_table", OpenTextToTable);
  r.Set("text_to_table_null", OpenTextToTable);
}

}  // namespace insula::sql::internal
