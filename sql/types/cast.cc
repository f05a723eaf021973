#include "sql/types/cast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/cast_table.h"
#include "sql/types/io_internal.h"
#include "sql/types/json.h"

namespace insula::sql {
namespace {

const CastInfo* FindRow(Oid from, Oid to) {
  auto table = internal::CastTable();
  auto it = std::lower_bound(table.begin(), table.end(), std::pair(from, to), [](const CastInfo& c, const std::pair<Oid, Oid>& key) {
    return std::pair(c.source, c.target) < key;
  });
  return it != table.end() && it->source == from && it->target == to ? &*it : nullptr;
}

// Types whose values are unsigned 32-bit numbers.
bool IsUnsigned(Oid t) { return t == oid::kOid || t == oid::kXid || t == oid::kCid || IsRegType(t); }

char CategoryOf(Oid t) {
  const TypeInfo* info = FindType(t);
  return info == nullptr ? 'U' : info->category;
}

absl::Status OutOfRange(std::string_view type) { return PgError(sqlstate::kNumericValueOutOfRange, StrCat(type, " out of range")); }

std::string_view WithoutTrailingBlanks(std::string_view s) {
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

struct IntRange {
  int64_t min, max;
};
IntRange RangeOf(Oid type) {
  switch (type) {
    case oid::kInt2: return {std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max()};
    case oid::kInt4: return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default: return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  }
}

absl::StatusOr<int64_t> FloatToInt(double v, Oid to) {
  double rounded = std::rint(v);
  double low = to == oid::kInt2 ? -32768.0 : to == oid::kInt4 ? -2147483648.0 : -9223372036854775808.0;
  // NaN fails the comparison, too.
  if (!(rounded >= low && rounded < -low)) return OutOfRange(GetType(to).name);
  return static_cast<int64_t>(rounded);
}

absl::StatusOr<double> ToFloat4(double v) {
  float f = static_cast<float>(v);
  if (std::isinf(f) && !std::isinf(v)) return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
  if (f == 0 && v != 0) return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: underflow");
  return static_cast<double>(f);
}

absl::StatusOr<Datum> Of(absl::StatusOr<int64_t> v) {
  if (!v.ok()) return v.status();
  return Datum::Int(*v);
}
absl::StatusOr<Datum> OfFloat(absl::StatusOr<double> v) {
  if (!v.ok()) return v.status();
  return Datum::Float(*v);
}

// ---- by physical kind of the source

absl::StatusOr<Datum> CastInt(const IoContext& io, Oid from, int64_t v, Oid to) {
  const TimeZone& tz = *io.time_zone;
  switch (from) {
    case oid::kDate:
      if (to == oid::kTimestamp) return Of(DateToTimestamp(v));
      if (to == oid::kTimestamptz) return Of(DateToTimestampTz(tz, v));
      break;
    case oid::kTime:
      if (to == oid::kInterval) return Datum::Bytes(EncodeInterval({v, 0, 0}));
      if (to == oid::kTimetz) {
        // The zone's offset today.
        int64_t today = TimestampTzToDate(tz, io.now_us) * kUsPerDay;
        return Datum::Bytes(EncodeTimeTz({v, -tz.OffsetForLocal(today + v)}));
      }
      break;
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      bool zoned = from == oid::kTimestamptz;
      if (to == oid::kTimestamptz && !zoned) return Of(TimestampToTimestampTz(tz, v));
      int64_t local = zoned ? TimestampTzToTimestamp(tz, v) : v;
      if (to == oid::kDate) return Datum::Int(TimestampToDate(local));
      if (to == oid::kTimestamp) return Datum::Int(local);
      if (IsInfiniteTimestamp(v)) return Datum();  // an infinite moment has no time of day
      int64_t time = local - TimestampToDate(local) * kUsPerDay;
      if (to == oid::kTime) return Datum::Int(time);
      if (to == oid::kTimetz) return Datum::Bytes(EncodeTimeTz({time, -tz.At(v).offset_s}));
      break;
    }
    default: break;
  }
  switch (to) {
    case oid::kBool: return Datum::Bool(v != 0);
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: {
      if (IsUnsigned(from) && to == oid::kInt4) return Datum::Int(static_cast<int32_t>(v));
      IntRange range = RangeOf(to);
      if (v < range.min || v > range.max) return OutOfRange(GetType(to).name);
      return Datum::Int(v);
    }
    case oid::kFloat8: return Datum::Float(static_cast<double>(v));
    case oid::kFloat4: return Datum::Float(static_cast<float>(v));
    case oid::kNumeric: return Datum::Num(Numeric(v));
    case oid::kChar:
      if (v < -128 || v > 127) return OutOfRange("\"char\"");
      return Datum::Bytes(v == 0 ? std::string() : std::string(1, static_cast<char>(v)));
    default: break;
  }
  if (IsUnsigned(to)) {
    if (from == oid::kInt8 && (v < 0 || v > std::numeric_limits<uint32_t>::max())) return OutOfRange("OID");
    return Datum::Int(static_cast<uint32_t>(v));
  }
  return Datum::Int(v);
}

// The lowest bits, as many as bit(n) has; bit alone is bit(1).
Datum IntToBits(int64_t v, int32_t typmod) {
  std::string bits;
  for (int32_t i = std::max(typmod, 1) - 1; i >= 0; --i) bits.push_back(v >> std::min(i, 63) & 1 ? '1' : '0');
  return Datum::Bytes(std::move(bits));
}

absl::StatusOr<Datum> CastFloat(double v, Oid to) {
  switch (to) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: return Of(FloatToInt(v, to));
    case oid::kFloat4: return OfFloat(ToFloat4(v));
    default: return Datum::Float(v);
  }
}

absl::StatusOr<Datum> CastNumeric(const Numeric& v, Oid to) {
  switch (to) {
    case oid::kInt2: return Of(v.ToInt16());
    case oid::kInt4: return Of(v.ToInt32());
    case oid::kInt8: return Of(v.ToInt64());
    case oid::kFloat8: {
      double d = v.ToDouble();
      if (std::isinf(d) && v.IsFinite()) {
        return PgError(sqlstate::kNumericValueOutOfRange, StrCat("\"", v.ToString(), "\" is out of range for type double precision"));
      }
      return Datum::Float(d);
    }
    case oid::kFloat4: {
      double d = v.ToDouble();
      float f = v.IsFinite() ? std::strtof(v.ToString().c_str(), nullptr) : static_cast<float>(d);
      if ((std::isinf(f) && v.IsFinite()) || (f == 0 && !v.IsZero() && v.IsFinite())) {
        return PgError(sqlstate::kNumericValueOutOfRange, StrCat("\"", v.ToString(), "\" is out of range for type real"));
      }
      return Datum::Float(f);
    }
    default: return Datum::Num(v);
  }
}

absl::StatusOr<Datum> CastJsonb(std::string_view text, Oid to) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(text));
  static constexpr std::string_view kNames[] = {"null", "string", "numeric", "boolean", "array", "object"};
  auto refuse = [&] {
    return PgError(sqlstate::kInvalidParameterValue,
                   StrCat("cannot cast jsonb ", kNames[static_cast<int>(v.kind)], " to type ", GetType(to).name));
  };
  if (to == oid::kBool) {
    if (v.kind != JsonValue::Kind::kBool) return refuse();
    return Datum::Bool(v.boolean);
  }
  if (v.kind != JsonValue::Kind::kNumber) return refuse();
  return CastNumeric(v.number, to);
}

absl::StatusOr<Datum> CastBytes(const IoContext& io, Oid from, const std::string& v, Oid to) {
  switch (from) {
    case oid::kBpchar:
      if (to == oid::kChar) return Datum::Bytes(std::string_view(v).substr(0, 1));
      if (to == oid::kName) return Datum::Bytes(internal::FitName(WithoutTrailingBlanks(v)));
      return Datum::Bytes(WithoutTrailingBlanks(v));
    case oid::kText:
    case oid::kVarchar:
      if (to == oid::kChar) return Datum::Bytes(std::string_view(v).substr(0, 1));
      if (to == oid::kName) return Datum::Bytes(internal::FitName(v));
      if (to == oid::kRegclass) return TextIn(io, SqlType{to}, v);
      break;
    case oid::kChar:
      if (to == oid::kInt4) return Datum::Int(v.empty() ? 0 : static_cast<signed char>(v[0]));
      break;
    case oid::kInterval:
      if (to == oid::kTime) {
        int64_t us = DecodeInterval(v).us % kUsPerDay;
        return Datum::Int(us < 0 ? us + kUsPerDay : us);
      }
      break;
    case oid::kTimetz:
      if (to == oid::kTime) return Datum::Int(DecodeTimeTz(v).us);
      break;
    case oid::kJsonb: return CastJsonb(v, to);
    case oid::kBit:
      if (to == oid::kInt4 || to == oid::kInt8) {
        size_t width = to == oid::kInt4 ? 32 : 64;
        if (v.size() > width) return OutOfRange(GetType(to).name);
        uint64_t bits = 0;
        for (char c : v) bits = bits << 1 | (c == '1');
        return Datum::Int(to == oid::kInt4 ? static_cast<int32_t>(bits) : static_cast<int64_t>(bits));
      }
      break;
    default: break;
  }
  return Datum::Bytes(v);
}

absl::StatusOr<Datum> CastFunction(const IoContext& io, Oid from, const Datum& v, Oid to) {
  if (from == oid::kBool) {
    if (to == oid::kInt4) return Datum::Int(v.bool_value());
    return Datum::Bytes(v.bool_value() ? "true" : "false");
  }
  if (v.Is(PhysicalKind::kInt)) return CastInt(io, from, v.int_value(), to);
  if (v.Is(PhysicalKind::kFloat)) {
    if (to == oid::kNumeric) {
      return Datum::Num(from == oid::kFloat4 ? Numeric::FromFloat(static_cast<float>(v.float_value()))
                                             : Numeric::FromDouble(v.float_value()));
    }
    return CastFloat(v.float_value(), to);
  }
  if (v.Is(PhysicalKind::kNumeric)) return CastNumeric(v.numeric_value(), to);
  return CastBytes(io, from, v.bytes_value(), to);
}

absl::Status CannotCast(Oid from, Oid to) {
  return PgError(sqlstate::kCannotCoerce, StrCat("cannot cast type ", FormatType(from), " to ", FormatType(to)));
}

absl::StatusOr<Datum> CastArray(const IoContext& io, const Datum& value, SqlType target, CastContext context) {
  ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(value.bytes_value()));
  SqlType element{ElementTypeOf(target.oid), target.typmod};
  for (Datum& e : array.elements) {
    if (e.is_null()) continue;
    ASSIGN_OR_RETURN(e, CastDatum(io, array.element, e, element, context));
  }
  array.element = element.oid;
  return array.ToDatum();
}

// To the type, without its modifier (but for arrays, whose elements take theirs).
absl::StatusOr<Datum> CastByPath(const IoContext& io, Oid from, const Datum& value, SqlType target, CastMethod method,
                                 CastContext context) {
  switch (method) {
    case CastMethod::kSame: return value;
    case CastMethod::kFunction:
      if (target.oid == oid::kBit && value.Is(PhysicalKind::kInt)) return IntToBits(value.int_value(), target.typmod);
      return CastFunction(io, from, value, target.oid);
    case CastMethod::kInOut: return TextIn(io, SqlType{target.oid}, TextOut(io, SqlType{from}, value));
    case CastMethod::kArray: return CastArray(io, value, target, context);
  }
  return CannotCast(from, target.oid);
}

}  // namespace

std::span<const CastInfo> AllCasts() { return internal::CastTable(); }

std::optional<CastPath> FindCast(Oid from, Oid to, CastContext context) {
  if (from == to) return CastPath{CastMethod::kSame, CastContext::kImplicit};
  if (const CastInfo* row = FindRow(from, to)) {
    if (row->context > context) return std::nullopt;
    // The catalog calls integer and oid interchangeable; here their numbers differ in sign.
    bool sign = row->method == CastMethod::kSame && IsUnsigned(from) != IsUnsigned(to) && KindOf(from) == PhysicalKind::kInt;
    return CastPath{sign ? CastMethod::kFunction : row->method, row->context};
  }
  if (to != oid::kInt2Vector && to != oid::kOidVector) {
    Oid from_element = ElementTypeOf(from), to_element = ElementTypeOf(to);
    if (from_element != 0 && to_element != 0) {
      auto element = FindCast(from_element, to_element, context);
      if (element) return CastPath{CastMethod::kArray, element->context};
    }
  }
  if (context >= CastContext::kAssignment && CategoryOf(to) == 'S') return CastPath{CastMethod::kInOut, CastContext::kAssignment};
  if (context >= CastContext::kExplicit && CategoryOf(from) == 'S') return CastPath{CastMethod::kInOut, CastContext::kExplicit};
  return std::nullopt;
}

bool CanCoerce(Oid from, Oid to, CastContext context) {
  if (from == to || to == oid::kAny || IsPolymorphic(to) || from == oid::kUnknown) return true;
  return FindCast(from, to, context).has_value();
}

bool IsBinaryCoercible(Oid from, Oid to) {
  if (from == to || to == oid::kAny || to == oid::kAnyElement || to == oid::kAnyCompatible) return true;
  if (to == oid::kAnyArray || to == oid::kAnyCompatibleArray) return IsArray(from);
  if (to == oid::kAnyNonArray || to == oid::kAnyCompatibleNonArray) return !IsArray(from);
  const CastInfo* row = FindRow(from, to);
  return row != nullptr && row->method == CastMethod::kSame && row->context == CastContext::kImplicit;
}

absl::StatusOr<Datum> CastDatum(const IoContext& io, Oid from, const Datum& value, SqlType target, CastContext context) {
  if (value.is_null()) return value;
  if (from == oid::kUnknown || from == oid::kCstring) {
    // Interval needs its modifier to read "1-2" rightly; others take theirs afterwards, so that ::varchar(3) cuts.
    SqlType input{target.oid, target.oid == oid::kInterval ? target.typmod : -1};
    ASSIGN_OR_RETURN(Datum read, TextIn(io, input, value.bytes_value()));
    return ApplyTypmod(io, target, std::move(read), context);
  }
  auto path = FindCast(from, target.oid, context);
  if (!path) return CannotCast(from, target.oid);
  ASSIGN_OR_RETURN(Datum cast, CastByPath(io, from, value, target, path->method, context));
  if (path->method == CastMethod::kArray) return cast;
  return ApplyTypmod(io, target, std::move(cast), context);
}

namespace {

// Casts between fixed-size types as loops. True if done.
absl::StatusOr<bool> CastTight(const Vector& in, Oid to, Vector* out) {
  Oid from = in.type().oid;
  size_t rows = in.size();
  if (!IsInteger(from) && !(from == oid::kFloat4 && to == oid::kFloat8)) return false;
  if (IsInteger(from) && IsInteger(to)) {
    IntRange range = RangeOf(to);
    const int64_t* v = in.ints();
    bool bad = false;
    int64_t* w = out->ints();
    for (size_t i = 0; i < rows; ++i) {
      w[i] = v[i];
      bad |= (v[i] < range.min) | (v[i] > range.max);
    }
    if (bad) {
      for (size_t i = 0; i < rows; ++i) {
        if (!in.IsNull(i) && (v[i] < range.min || v[i] > range.max)) return OutOfRange(GetType(to).name);
      }
    }
    return true;
  }
  if (IsInteger(from) && to == oid::kFloat8) {
    for (size_t i = 0; i < rows; ++i) out->floats()[i] = static_cast<double>(in.ints()[i]);
    return true;
  }
  if (IsInteger(from) && to == oid::kNumeric) {
    for (size_t i = 0; i < rows; ++i) {
      if (!in.IsNull(i)) out->numerics()[i] = Numeric(in.ints()[i]);
    }
    return true;
  }
  if (from == oid::kFloat4) {
    std::copy_n(in.floats(), rows, out->floats());
    return true;
  }
  return false;
}

}  // namespace

absl::Status CastVector(const IoContext& io, const Vector& in, SqlType target, CastContext context, Vector* out) {
  Oid from = in.type().oid;
  bool by_input = from == oid::kUnknown || from == oid::kCstring;
  std::optional<CastPath> path;
  if (!by_input) {
    path = FindCast(from, target.oid, context);
    if (!path) return CannotCast(from, target.oid);
    if (path->method == CastMethod::kSame) {
      *out = in;
      out->Retype(target);
      return ApplyTypmod(io, target, context, out);
    }
  }
  out->Reset(target);
  out->Resize(in.size());
  out->OrNulls(in);
  if (path) {
    ASSIGN_OR_RETURN(bool done, CastTight(in, target.oid, out));
    if (done) return ApplyTypmod(io, target, context, out);
  }
  for (size_t i = 0; i < in.size(); ++i) {
    if (in.IsNull(i)) continue;
    if (by_input) {
      ASSIGN_OR_RETURN(Datum v, CastDatum(io, from, in.Get(i), target, context));
      out->Set(i, v);
    } else {
      ASSIGN_OR_RETURN(Datum v, CastByPath(io, from, in.Get(i), target, path->method, context));
      out->Set(i, v);
    }
  }
  if (by_input || path->method == CastMethod::kArray) return absl::OkStatus();
  return ApplyTypmod(io, target, context, out);
}

// ---- modifiers

bool NeedsTypmodCoercion(SqlType from, SqlType to) {
  if (to.typmod < 0 || from == to) return false;
  switch (to.oid) {
    case oid::kVarchar:
      return !(from.oid == oid::kVarchar && from.typmod >= 4 && from.typmod <= to.typmod);
    case oid::kBpchar:
    case oid::kNumeric:
    case oid::kTime:
    case oid::kTimetz:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kInterval:
    case oid::kBit:
    case oid::kVarbit: return true;
    default: return IsArray(to.oid) && NeedsTypmodCoercion(SqlType{ElementTypeOf(from.oid), from.typmod}, SqlType{ElementTypeOf(to.oid), to.typmod});
  }
}

absl::StatusOr<Datum> ApplyTypmod(const IoContext& io, SqlType target, Datum value, CastContext context) {
  if (target.typmod < 0 || value.is_null()) return value;
  bool truncate = context == CastContext::kExplicit;
  switch (target.oid) {
    case oid::kVarchar:
    case oid::kBpchar: {
      ASSIGN_OR_RETURN(std::string v, internal::FitText(target.oid, target.typmod, value.bytes_value(), truncate));
      return Datum::Bytes(std::move(v));
    }
    case oid::kBit:
    case oid::kVarbit: {
      ASSIGN_OR_RETURN(std::string v, internal::FitBits(target.oid, target.typmod, value.bytes_value(), truncate));
      return Datum::Bytes(std::move(v));
    }
    case oid::kNumeric: {
      ASSIGN_OR_RETURN(Numeric v, value.numeric_value().ApplyTypmod(target.typmod));
      return Datum::Num(std::move(v));
    }
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz: return Datum::Int(RoundTimeUs(value.int_value(), target.typmod));
    case oid::kTimetz: {
      TimeTz v = DecodeTimeTz(value.bytes_value());
      v.us = RoundTimeUs(v.us, target.typmod);
      return Datum::Bytes(EncodeTimeTz(v));
    }
    case oid::kInterval: {
      ASSIGN_OR_RETURN(Interval v, ApplyIntervalTypmod(DecodeInterval(value.bytes_value()), target.typmod));
      return Datum::Bytes(EncodeInterval(v));
    }
    default: break;
  }
  if (!IsArray(target.oid)) return value;
  ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(value.bytes_value()));
  for (Datum& e : array.elements) {
    ASSIGN_OR_RETURN(e, ApplyTypmod(io, SqlType{array.element, target.typmod}, std::move(e), context));
  }
  return array.ToDatum();
}

absl::Status ApplyTypmod(const IoContext& io, SqlType target, CastContext context, Vector* inout) {
  if (target.typmod < 0 || !NeedsTypmodCoercion(SqlType{target.oid}, target)) return absl::OkStatus();
  for (size_t i = 0; i < inout->size(); ++i) {
    if (inout->IsNull(i)) continue;
    ASSIGN_OR_RETURN(Datum v, ApplyTypmod(io, target, inout->Get(i), context));
    inout->Set(i, v);
  }
  return absl::OkStatus();
}

}  // namespace insula::sql
