#include "sql/functions/json_build.h"

#include <cmath>

#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/cast.h"
#include "sql/types/datetime.h"

namespace insula::sql {
namespace {

absl::Status AppendArrayLevel(const IoContext& io, const ArrayValue& a, size_t dimension, size_t* next, bool pretty, std::string* out) {
  out->push_back('[');
  for (int32_t i = 0; i < a.dims[dimension].size; ++i) {
    if (i > 0) out->append(pretty ? ",\n " : ",");
    if (dimension + 1 < a.dims.size()) {
      RETURN_IF_ERROR(AppendArrayLevel(io, a, dimension + 1, next, false, out));
    } else {
      RETURN_IF_ERROR(AppendValueAsJson(io, a.element, a.elements[(*next)++], false, out));
    }
  }
  out->push_back(']');
  return absl::OkStatus();
}

// Times are printed in ISO 8601 with a T, whatever DateStyle says.
void AppendTimeString(const IoContext& io, Oid type, const Datum& value, std::string* out) {
  IoContext iso = io;
  iso.date_style = DateStyle::kIso;
  std::string text = TextOut(iso, SqlType{type}, value);
  if (type != oid::kDate) {
    size_t blank = text.find(' ');
    if (blank != std::string::npos && !text.ends_with("BC")) text[blank] = 'T';
  }
  // JSON wants minutes in the offset.
  if (type == oid::kTimestamptz && text.size() > 3 && (text[text.size() - 3] == '+' || text[text.size() - 3] == '-')) text += ":00";
  AppendJsonString(text, out);
}

}  // namespace

absl::Status AppendValueAsJson(const IoContext& io, Oid type, const Datum& value, bool pretty, std::string* out) {
  if (value.is_null()) {
    out->append("null");
    return absl::OkStatus();
  }
  switch (type) {
    case oid::kBool: out->append(value.bool_value() ? "true" : "false"); return absl::OkStatus();
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: StrAppend(out, value.int_value()); return absl::OkStatus();
    case oid::kFloat4:
    case oid::kFloat8:
    case oid::kNumeric: {
      std::string text = TextOut(io, SqlType{type}, value);
      bool number = text.find_first_of("Nn") == std::string::npos && text.find("Inf") == std::string::npos;
      if (number) out->append(text);
      else AppendJsonString(text, out);
      return absl::OkStatus();
    }
    case oid::kJson:
    case oid::kJsonb: out->append(value.bytes_value()); return absl::OkStatus();
    case oid::kDate:
    case oid::kTimestamp:
    case oid::kTimestamptz: AppendTimeString(io, type, value, out); return absl::OkStatus();
    case oid::kRecord: {
      ASSIGN_OR_RETURN(RecordValue record, RecordValue::Decode(value.bytes_value()));
      out->push_back('{');
      for (size_t i = 0; i < record.fields.size(); ++i) {
        if (i > 0) out->append(pretty ? ",\n " : ",");
        StrAppend(out, "\"f", i + 1, "\":");
        RETURN_IF_ERROR(AppendValueAsJson(io, record.types[i], record.fields[i], false, out));
      }
      out->push_back('}');
      return absl::OkStatus();
    }
    default: break;
  }
  if (IsArray(type) && type != oid::kInt2Vector && type != oid::kOidVector) {
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(value.bytes_value()));
    if (a.dims.empty()) {
      out->append("[]");
      return absl::OkStatus();
    }
    size_t next = 0;
    return AppendArrayLevel(io, a, 0, &next, pretty, out);
  }
  AppendJsonString(TextOut(io, SqlType{type}, value), out);
  return absl::OkStatus();
}

absl::StatusOr<JsonValue> ValueToJson(const IoContext& io, Oid type, const Datum& value) {
  std::string text;
  RETURN_IF_ERROR(AppendValueAsJson(io, type, value, false, &text));
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(text));
  NormalizeJson(&v);
  return v;
}

}  // namespace insula::sql
