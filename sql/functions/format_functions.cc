// to_char, to_date, to_timestamp, to_number.
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "sql/functions/date_format.h"
#include "sql/functions/lift.h"
#include "sql/functions/number_format.h"
#include "sql/functions/registrar.h"

namespace insula::sql::internal {
namespace {

using V = std::string_view;
using OptionalText = absl::StatusOr<std::optional<std::string>>;

OptionalText Some(absl::StatusOr<std::string> v) {
  if (!v.ok()) return v.status();
  return std::optional<std::string>(*std::move(v));
}

}  // namespace

void RegisterFormatFunctions(Registrar& r) {
  // Infinities and empty formats give NULL.
  r.Scalar("timestamp_to_char", Lift<[](int64_t us, V format) -> OptionalText {
             if (format.empty() || IsInfiniteTimestamp(us)) return std::optional<std::string>();
             return Some(FormatTimestamp(us, nullptr, format));
           }>);
  r.Scalar("timestamptz_to_char", Lift<[](FunctionContext& ctx, int64_t us, V format) -> OptionalText {
             if (format.empty() || IsInfiniteTimestamp(us)) return std::optional<std::string>();
             TimeZone::Local zone = ctx.io.time_zone->At(us);
             return Some(FormatTimestamp(us + zone.offset_s * kUsPerSecond, &zone, format));
           }>);
  r.Scalar("interval_to_char", Lift<[](V v, V format) -> OptionalText {
             if (format.empty()) return std::optional<std::string>();
             return Some(FormatInterval(DecodeInterval(v), format));
           }>);
  r.Scalar("numeric_to_char", Lift<[](const Numeric& v, V format) { return FormatNumber(v, format); }>);
  r.Scalar("int4_to_char", Lift<[](int64_t v, V format) { return FormatNumber(Numeric(v), format); }>);
  r.Scalar("int8_to_char", Lift<[](int64_t v, V format) { return FormatNumber(Numeric(v), format); }>);
  r.Scalar("float4_to_char", Lift<[](double v, V format) { return FormatNumber(Numeric::FromFloat(static_cast<float>(v)), format); }>);
  r.Scalar("float8_to_char", Lift<[](double v, V format) { return FormatNumber(Numeric::FromDouble(v), format); }>);
  r.Scalar("to_date", Lift<[](V text, V format) { return ReadDate(text, format); }>);
  r.Scalar("to_timestamp", Lift<[](FunctionContext& ctx, V text, V format) { return ReadTimestampTz(*ctx.io.time_zone, text, format); }>);
  r.Scalar("numeric_to_number", Lift<[](V text, V format) { return ReadNumber(text, format); }>);
}

}  // namespace insula::sql::internal
