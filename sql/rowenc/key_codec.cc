#include "sql/rowenc/key_codec.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"

namespace insula::sql {
namespace {

absl::Status Malformed(const char* what) { return absl::DataLossError(std::string("malformed key: bad ") + what); }

void InvertFrom(std::string* out, size_t begin) {
  for (size_t i = begin; i < out->size(); ++i) (*out)[i] = static_cast<char>(~(*out)[i]);
}

char ByteOf(unsigned char b, Direction d) { return static_cast<char>(d == Direction::kAscending ? b : ~b); }

absl::StatusOr<unsigned char> TakeByte(std::string_view* in, Direction d) {
  if (in->empty()) return Malformed("length");
  auto b = static_cast<unsigned char>(in->front());
  in->remove_prefix(1);
  return d == Direction::kAscending ? b : static_cast<unsigned char>(~b);
}

Direction Opposite(Direction d) { return d == Direction::kAscending ? Direction::kDescending : Direction::kAscending; }

// --- numeric

enum NumericClass : unsigned char { kNegInf = 1, kNegative = 2, kZero = 3, kPositive = 4, kPosInf = 5, kNaN = 6 };

void AppendNumeric(const Numeric& v, Direction d, std::string* out) {
  Numeric::Parts parts = v.ToParts();
  unsigned char cls = parts.kind == Numeric::Kind::kNaN                ? kNaN
                      : parts.kind == Numeric::Kind::kPositiveInfinity ? kPosInf
                      : parts.kind == Numeric::Kind::kNegativeInfinity ? kNegInf
                      : parts.digits.empty()                           ? kZero
                      : parts.negative                                 ? kNegative
                                                                       : kPositive;
  out->push_back(ByteOf(cls, d));
  if (cls != kNegative && cls != kPositive) return;
  size_t begin = out->size();
  AppendInt64(out, parts.exponent);
  for (size_t i = 0; i < parts.digits.size(); i += 2) {
    int pair = (parts.digits[i] - '0') * 10 + (i + 1 < parts.digits.size() ? parts.digits[i + 1] - '0' : 0);
    out->push_back(static_cast<char>(pair + 1));
  }
  out->push_back('\0');
  if ((cls == kNegative) != (d == Direction::kDescending)) InvertFrom(out, begin);
}

absl::Status TakeNumeric(std::string_view* in, Direction d, Numeric* out) {
  ASSIGN_OR_RETURN(unsigned char cls, TakeByte(in, d));
  switch (cls) {
    case kNegInf: *out = Numeric::NegativeInfinity(); return absl::OkStatus();
    case kPosInf: *out = Numeric::PositiveInfinity(); return absl::OkStatus();
    case kNaN: *out = Numeric::NaN(); return absl::OkStatus();
    case kZero: *out = Numeric(0); return absl::OkStatus();
    case kNegative:
    case kPositive: break;
    default: return Malformed("numeric");
  }
  Direction inner = cls == kNegative ? Opposite(d) : d;
  Numeric::Parts parts;
  parts.negative = cls == kNegative;
  ASSIGN_OR_RETURN(int64_t exponent, TakeInt64(in, inner));
  parts.exponent = static_cast<int32_t>(exponent);
  for (;;) {
    ASSIGN_OR_RETURN(unsigned char b, TakeByte(in, inner));
    if (b == 0) break;
    if (b > 100) return Malformed("numeric");
    parts.digits.push_back(static_cast<char>('0' + (b - 1) / 10));
    parts.digits.push_back(static_cast<char>('0' + (b - 1) % 10));
  }
  while (!parts.digits.empty() && parts.digits.back() == '0') parts.digits.pop_back();
  parts.scale = std::max(0, static_cast<int32_t>(parts.digits.size()) - parts.exponent);
  ASSIGN_OR_RETURN(*out, Numeric::FromParts(parts));
  return absl::OkStatus();
}

// --- intervals and timetz

int64_t FloorDays(__int128 span, int64_t* rest_us) {
  __int128 days = span / kUsPerDay;
  __int128 rest = span % kUsPerDay;
  if (rest < 0) {
    --days;
    rest += kUsPerDay;
  }
  *rest_us = static_cast<int64_t>(rest);
  return static_cast<int64_t>(days);
}

void AppendIntervalKey(std::string_view bytes, Direction d, std::string* out) {
  int64_t rest = 0;
  int64_t days = FloorDays(IntervalSpan(DecodeInterval(bytes)), &rest);
  AppendInt64(out, days, d);
  AppendUint64(out, static_cast<uint64_t>(rest), d);
}

void AppendTimeTzKey(std::string_view bytes, Direction d, std::string* out) {
  TimeTz t = DecodeTimeTz(bytes);
  AppendInt64(out, t.us + int64_t{t.zone_s} * kUsPerSecond, d);
  AppendInt64(out, t.zone_s, d);
}

// --- char(n)

std::string_view StripBlanks(std::string_view s) {
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

size_t CharacterCount(std::string_view utf8) {
  size_t n = 0;
  for (char c : utf8) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

std::string Padded(std::string_view stripped, int32_t typmod) {
  std::string out(stripped);
  size_t have = CharacterCount(stripped);
  int32_t want = CharLengthOf(typmod);
  if (want > 0 && static_cast<size_t>(want) > have) out.append(want - have, ' ');
  return out;
}

// --- arrays

void AppendScalar(Oid type, PhysicalKind kind, std::string_view payload, std::string* out) {
  if (kind == PhysicalKind::kBytes) {
    if (type == oid::kBpchar) return AppendBytes(out, StripBlanks(payload));
    if (type == oid::kInterval) return AppendIntervalKey(payload, Direction::kAscending, out);
    if (type == oid::kTimetz) return AppendTimeTzKey(payload, Direction::kAscending, out);
    return AppendBytes(out, payload);
  }
  AppendKeyDatum({type, -1}, PayloadToDatum(kind, payload), Direction::kAscending, out);
}

void AppendArrayKey(std::string_view bytes, Direction d, std::string* out) {
  size_t begin = out->size();
  ArrayReader reader(bytes);
  PhysicalKind kind = KindOf(reader.element());
  bool is_null = false;
  std::string_view payload;
  while (reader.Next(&is_null, &payload)) {
    out->push_back(is_null ? '\x02' : '\x01');
    if (!is_null) AppendScalar(reader.element(), kind, payload, out);
  }
  out->push_back('\0');
  AppendUint64(out, reader.dims().size());
  for (const ArrayDimension& dim : reader.dims()) AppendInt64(out, dim.size);
  for (const ArrayDimension& dim : reader.dims()) AppendInt64(out, dim.lower);
  if (d == Direction::kDescending) InvertFrom(out, begin);
}

absl::Status TakeArray(std::string_view* in, Oid element, Direction d, Vector* out, size_t i) {
  ArrayValue array;
  array.element = element;
  for (;;) {
    ASSIGN_OR_RETURN(unsigned char mark, TakeByte(in, d));
    if (mark == 0) break;
    if (mark == 2) {
      array.elements.push_back(Datum::Null());
      continue;
    }
    Vector one(SqlType{element, -1});
    one.Resize(1);
    RETURN_IF_ERROR(TakeKeyValue(in, {element, -1}, d, &one, 0));
    array.elements.push_back(one.Get(0));
  }
  ASSIGN_OR_RETURN(uint64_t dims, TakeUint64(in, d));
  if (dims > 6) return Malformed("array");
  array.dims.resize(dims);
  for (auto& dim : array.dims) {
    ASSIGN_OR_RETURN(int64_t size, TakeInt64(in, d));
    dim.size = static_cast<int32_t>(size);
  }
  for (auto& dim : array.dims) {
    ASSIGN_OR_RETURN(int64_t lower, TakeInt64(in, d));
    dim.lower = static_cast<int32_t>(lower);
  }
  if (out != nullptr) out->SetBytes(i, array.Encode());
  return absl::OkStatus();
}

void AppendBytesKey(SqlType type, std::string_view v, Direction d, std::string* out) {
  switch (type.oid) {
    case oid::kBpchar: return AppendBytes(out, StripBlanks(v), d);
    case oid::kInterval: return AppendIntervalKey(v, d, out);
    case oid::kTimetz: return AppendTimeTzKey(v, d, out);
    default: break;
  }
  if (IsArray(type.oid)) return AppendArrayKey(v, d, out);
  AppendBytes(out, v, d);
}

// Steps over ordered bytes without copying them.
absl::Status SkipBytes(std::string_view* in, Direction d) {
  char escape = ByteOf(0, d), end = ByteOf(1, d);
  for (size_t i = 0; i + 1 < in->size(); ++i) {
    if ((*in)[i] != escape) continue;
    if ((*in)[++i] == end) {
      in->remove_prefix(i + 1);
      return absl::OkStatus();
    }
  }
  return Malformed("string");
}

absl::Status TakeBytesValue(std::string_view* in, SqlType type, Direction d, Vector* out, size_t i) {
  if (type.oid == oid::kInterval) {
    ASSIGN_OR_RETURN(int64_t days, TakeInt64(in, d));
    ASSIGN_OR_RETURN(uint64_t us, TakeUint64(in, d));
    if (out != nullptr) out->SetBytes(i, EncodeInterval({static_cast<int64_t>(us), static_cast<int32_t>(days), 0}));
    return absl::OkStatus();
  }
  if (type.oid == oid::kTimetz) {
    ASSIGN_OR_RETURN(int64_t instant, TakeInt64(in, d));
    ASSIGN_OR_RETURN(int64_t zone, TakeInt64(in, d));
    if (out != nullptr) out->SetBytes(i, EncodeTimeTz({instant - zone * kUsPerSecond, static_cast<int32_t>(zone)}));
    return absl::OkStatus();
  }
  if (Oid element = ElementTypeOf(type.oid); element != 0) return TakeArray(in, element, d, out, i);
  if (out == nullptr) return SkipBytes(in, d);
  ASSIGN_OR_RETURN(std::string v, TakeBytes(in, d));
  out->SetBytes(i, type.oid == oid::kBpchar ? Padded(v, type.typmod) : v);
  return absl::OkStatus();
}

bool IsPlainBytes(Oid type) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kChar:
    case oid::kBytea:
    case oid::kUuid:
    case oid::kInterval:
    case oid::kTimetz: return true;
    default: return false;
  }
}

}  // namespace

bool IsKeyEncodable(Oid type) {
  if (Oid element = ElementTypeOf(type); element != 0) return ElementTypeOf(element) == 0 && IsKeyEncodable(element);
  const TypeInfo* info = FindType(type);
  if (info == nullptr || !info->supported || !IsOrderable(type)) return false;
  return info->kind != PhysicalKind::kBytes || IsPlainBytes(type);
}

void AppendKeyValue(const Vector& v, size_t i, Direction d, std::string* out) {
  switch (v.kind()) {
    case PhysicalKind::kBool: out->push_back(ByteOf(v.bools()[i] ? 2 : 1, d)); return;
    case PhysicalKind::kInt: return AppendInt64(out, v.ints()[i], d);
    case PhysicalKind::kFloat: return AppendDouble(out, v.floats()[i], d);
    case PhysicalKind::kNumeric: return AppendNumeric(v.numerics()[i], d, out);
    case PhysicalKind::kBytes: return AppendBytesKey(v.type(), v.bytes(i), d, out);
  }
}

void AppendKeyDatum(SqlType type, const Datum& value, Direction d, std::string* out) {
  switch (KindOf(type.oid)) {
    case PhysicalKind::kBool: out->push_back(ByteOf(value.bool_value() ? 2 : 1, d)); return;
    case PhysicalKind::kInt: return AppendInt64(out, value.int_value(), d);
    case PhysicalKind::kFloat: return AppendDouble(out, value.float_value(), d);
    case PhysicalKind::kNumeric: return AppendNumeric(value.numeric_value(), d, out);
    case PhysicalKind::kBytes: return AppendBytesKey(type, value.bytes_value(), d, out);
  }
}

bool IsExactInKey(const Vector& v, size_t i) {
  switch (v.kind()) {
    case PhysicalKind::kBool:
    case PhysicalKind::kInt: return true;
    case PhysicalKind::kFloat: return !(v.floats()[i] == 0 && std::signbit(v.floats()[i]));
    case PhysicalKind::kNumeric: {
      const Numeric& n = v.numerics()[i];
      return !n.IsFinite() || n.scale() == n.min_scale();
    }
    case PhysicalKind::kBytes: break;
  }
  Oid type = v.type().oid;
  if (type == oid::kInterval) return false;
  if (type == oid::kBpchar) return Padded(StripBlanks(v.bytes(i)), v.type().typmod) == v.bytes(i);
  if (Oid element = ElementTypeOf(type); element != 0) {
    PhysicalKind kind = KindOf(element);
    return kind != PhysicalKind::kNumeric && kind != PhysicalKind::kFloat && element != oid::kInterval && element != oid::kBpchar;
  }
  return true;
}

absl::Status TakeKeyValue(std::string_view* in, SqlType type, Direction d, Vector* out, size_t i) {
  switch (KindOf(type.oid)) {
    case PhysicalKind::kBool: {
      ASSIGN_OR_RETURN(unsigned char b, TakeByte(in, d));
      if (out != nullptr) out->bools()[i] = b == 2;
      return absl::OkStatus();
    }
    case PhysicalKind::kInt: {
      ASSIGN_OR_RETURN(int64_t v, TakeInt64(in, d));
      if (out != nullptr) out->ints()[i] = v;
      return absl::OkStatus();
    }
    case PhysicalKind::kFloat: {
      ASSIGN_OR_RETURN(double v, TakeDouble(in, d));
      if (out != nullptr) out->floats()[i] = v;
      return absl::OkStatus();
    }
    case PhysicalKind::kNumeric: {
      Numeric v;
      RETURN_IF_ERROR(TakeNumeric(in, d, &v));
      if (out != nullptr) out->numerics()[i] = std::move(v);
      return absl::OkStatus();
    }
    case PhysicalKind::kBytes: return TakeBytesValue(in, type, d, out, i);
  }
  return Malformed("type");
}

}  // namespace insula::sql
