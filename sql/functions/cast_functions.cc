// Functions that are casts: int4(float8), text(bpchar), timestamptz(date) and so on, called by their names.
#include <string_view>

#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/cast.h"

namespace insula::sql::internal {
namespace {

absl::Status CastEval(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, Vector* out) {
  SqlType type = out->type();
  if (args[0]->size() == rows) return CastVector(ctx.io, *args[0], type, CastContext::kExplicit, out);
  Vector head;
  head.Slice(*args[0], 0, rows);
  return CastVector(ctx.io, head, type, CastContext::kExplicit, out);
}

}  // namespace

void RegisterCastFunctions(Registrar& r) {
  static constexpr std::string_view kSources[] = {
      "booltext", "bool_int4", "int4_bool", "chartoi4", "i4tochar", "char_text", "text_char", "char_bpchar", "text_name",
      "name_text", "bpchar_name", "name_bpchar", "int82", "int84", "int28", "int48", "i4toi2", "i2toi4", "i8tooid", "oidtoi8",
      "i8tof", "i8tod", "i2tof", "i2tod", "i4tof", "i4tod", "dtoi2", "dtoi4", "dtoi8", "ftoi2", "ftoi4", "ftoi8", "ftod", "dtof",
      "int2_numeric", "int4_numeric", "int8_numeric", "float4_numeric", "float8_numeric", "numeric_int2", "numeric_int4",
      "numeric_int8", "numeric_float4", "numeric_float8", "date_timestamp", "date_timestamptz", "time_interval", "time_timetz",
      "timestamp_date", "timestamp_time", "timestamp_timestamptz", "timestamptz_date", "timestamptz_time",
      "timestamptz_timestamp", "timestamptz_timetz", "interval_time", "timetz_time", "bittoint4", "bittoint8", "jsonb_bool",
      "jsonb_int2", "jsonb_int4", "jsonb_int8", "jsonb_float4", "jsonb_float8", "jsonb_numeric", "text_regclass", "xid8toxid"};
  for (std::string_view source : kSources) r.Scalar(source, CastEval);
  // rtrim1 is both text(bpchar) and rtrim(text): the blanks go either way; RegisterStringFunctions has it.
}

}  // namespace insula::sql::internal
