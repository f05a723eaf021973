// Text input and output by type.
#include "sql/types/io.h"

#include <charconv>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/io_internal.h"
#include "sql/types/json.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

absl::Status InvalidSyntax(std::string_view type, std::string_view text) {
  return PgError(sqlstate::kInvalidTextRepresentation, StrCat("invalid input syntax for type ", type, ": \"", text, "\""));
}

absl::Status UnsupportedType(Oid type) { return PgUnsupported(StrCat("type ", FormatType(type))); }

absl::Status CannotAccept(Oid type) {
  return PgError(sqlstate::kFeatureNotSupported, StrCat("cannot accept a value of type ", FormatType(type)));
}

// "(block,offset)"
absl::StatusOr<int64_t> ParseTid(std::string_view text) {
  uint32_t block = 0;
  uint16_t offset = 0;
  const char* end = text.data() + text.size();
  if (text.size() < 5 || text.front() != '(' || text.back() != ')') return InvalidSyntax("tid", text);
  auto first = std::from_chars(text.data() + 1, end, block);
  if (first.ec != std::errc() || *first.ptr != ',') return InvalidSyntax("tid", text);
  auto second = std::from_chars(first.ptr + 1, end, offset);
  if (second.ec != std::errc() || second.ptr != end - 1) return InvalidSyntax("tid", text);
  return static_cast<int64_t>(block) << 16 | offset;
}

// "16/B374D848"
absl::StatusOr<int64_t> ParseLsn(std::string_view text) {
  uint32_t high = 0, low = 0;
  const char* end = text.data() + text.size();
  auto first = std::from_chars(text.data(), end, high, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '/') return InvalidSyntax("pg_lsn", text);
  auto second = std::from_chars(first.ptr + 1, end, low, 16);
  if (second.ec != std::errc() || second.ptr != end) return InvalidSyntax("pg_lsn", text);
  return static_cast<int64_t>(static_cast<uint64_t>(high) << 32 | low);
}

absl::StatusOr<uint64_t> ParseUnsigned(std::string_view text, std::string_view type) {
  uint64_t v = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size()) return InvalidSyntax(type, text);
  return v;
}

bool AllDigits(std::string_view s) {
  if (s.empty()) return false;
  for (char c : s) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

absl::StatusOr<int64_t> RegIn(const IoContext& io, Oid type, std::string_view text) {
  if (text == "-") return 0;
  if (AllDigits(text)) {
    ASSIGN_OR_RETURN(uint32_t v, ParseOid(text));
    return static_cast<int64_t>(v);
  }
  if (type == oid::kRegtype) {
    auto parsed = ParseTypeName(text);
    if (parsed.ok() || io.reg_names == nullptr) {
      RETURN_IF_ERROR(parsed.status());
      return static_cast<int64_t>(parsed->oid);
    }
  }
  if (io.reg_names == nullptr) return PgUnsupported(StrCat("a name for type ", FormatType(type), " without a catalog"));
  ASSIGN_OR_RETURN(Oid v, io.reg_names->Resolve(type, text));
  return static_cast<int64_t>(v);
}

void RegOut(const IoContext& io, Oid type, int64_t value, std::string* out) {
  Oid v = static_cast<Oid>(value);
  if (v == kInvalidOid) {
    out->push_back('-');
    return;
  }
  std::string name;
  if (type == oid::kRegtype && FindType(v) != nullptr) name = FormatType(v);
  else if (io.reg_names != nullptr) name = io.reg_names->Name(type, v);
  if (name.empty()) StrAppend(out, v);
  else out->append(name);
}

absl::StatusOr<std::string> ParseBits(std::string_view text) {
  std::string out;
  bool hex = !text.empty() && (text[0] == 'x' || text[0] == 'X');
  if (hex || (!text.empty() && (text[0] == 'b' || text[0] == 'B'))) text.remove_prefix(1);
  for (char c : text) {
    if (!hex) {
      if (c != '0' && c != '1') {
        return PgError(sqlstate::kInvalidTextRepresentation, StrCat("\"", c, "\" is not a valid binary digit"));
      }
      out.push_back(c);
      continue;
    }
    int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (d < 0) return PgError(sqlstate::kInvalidTextRepresentation, StrCat("\"", c, "\" is not a valid hexadecimal digit"));
    for (int bit = 3; bit >= 0; --bit) out.push_back(d >> bit & 1 ? '1' : '0');
  }
  return out;
}

}  // namespace

namespace internal {

std::string_view FitName(std::string_view text) {
  if (text.size() < 64) return text;
  size_t n = 0;
  while (n < text.size()) {
    size_t next = n + Utf8Length(text[n], text.size() - n);
    if (next > 63) break;
    n = next;
  }
  return text.substr(0, n);
}

absl::StatusOr<std::string> FitText(Oid type, int32_t typmod, std::string_view text, bool truncate) {
  int32_t limit = CharLengthOf(typmod);
  if (limit < 0) return std::string(text);
  size_t count = Utf8Count(text);
  size_t max = static_cast<size_t>(limit);
  if (count > max) {
    size_t cut = Utf8Offset(text, max);
    if (!truncate && text.find_first_not_of(' ', cut) != std::string_view::npos) {
      return PgError(sqlstate::kStringDataRightTruncation, StrCat("value too long for type ", FormatType(type, typmod)));
    }
    return std::string(text.substr(0, cut));
  }
  std::string out(text);
  if (type == oid::kBpchar) out.append(max - count, ' ');
  return out;
}

absl::StatusOr<std::string> FitBits(Oid type, int32_t typmod, std::string_view bits, bool truncate) {
  if (typmod < 0) return std::string(bits);
  size_t max = static_cast<size_t>(typmod);
  if (type == oid::kBit) {
    if (bits.size() == max) return std::string(bits);
    if (!truncate) {
      return PgError("22026", StrCat("bit string length ", bits.size(), " does not match type bit(", typmod, ")"));
    }
    std::string out(bits.substr(0, max));
    out.append(max - out.size(), '0');
    return out;
  }
  if (bits.size() <= max) return std::string(bits);
  if (!truncate) {
    return PgError(sqlstate::kStringDataRightTruncation, StrCat("bit string too long for type bit varying(", typmod, ")"));
  }
  return std::string(bits.substr(0, max));
}

}  // namespace internal

absl::StatusOr<Datum> TextIn(const IoContext& io, SqlType type, std::string_view text) {
  auto of_int = [](absl::StatusOr<int64_t> v) -> absl::StatusOr<Datum> {
    if (!v.ok()) return v.status();
    return Datum::Int(*v);
  };
  auto of_float = [](absl::StatusOr<double> v) -> absl::StatusOr<Datum> {
    if (!v.ok()) return v.status();
    return Datum::Float(*v);
  };
  auto of_bytes = [](absl::StatusOr<std::string> v) -> absl::StatusOr<Datum> {
    if (!v.ok()) return v.status();
    return Datum::Bytes(*std::move(v));
  };
  switch (type.oid) {
    case oid::kBool: {
      ASSIGN_OR_RETURN(bool v, ParseBool(text));
      return Datum::Bool(v);
    }
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: return of_int(ParseInteger(text, type.oid));
    case oid::kOid:
    case oid::kXid:
    case oid::kCid: {
      ASSIGN_OR_RETURN(uint32_t v, ParseOid(text, GetType(type.oid).name));
      return Datum::Int(v);
    }
    case oid::kXid8: {
      ASSIGN_OR_RETURN(uint64_t v, ParseUnsigned(text, "xid8"));
      return Datum::Int(static_cast<int64_t>(v));
    }
    case oid::kTid: return of_int(ParseTid(text));
    case oid::kPgLsn: return of_int(ParseLsn(text));
    case oid::kFloat8: return of_float(ParseFloat8(text));
    case oid::kFloat4: return of_float(ParseFloat4(text));
    case oid::kNumeric: {
      ASSIGN_OR_RETURN(Numeric v, Numeric::Parse(text));
      if (type.typmod >= 0) {
        ASSIGN_OR_RETURN(v, v.ApplyTypmod(type.typmod));
      }
      return Datum::Num(std::move(v));
    }
    case oid::kText:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kRefcursor: return Datum::Bytes(text);
    case oid::kVarchar:
    case oid::kBpchar: return of_bytes(internal::FitText(type.oid, type.typmod, text, false));
    case oid::kName: return Datum::Bytes(internal::FitName(text));
    case oid::kChar: return Datum::Bytes(text.substr(0, 1));
    case oid::kBytea: return of_bytes(ParseBytea(text));
    case oid::kUuid: return of_bytes(ParseUuid(text));
    case oid::kBit:
    case oid::kVarbit: {
      ASSIGN_OR_RETURN(std::string bits, ParseBits(text));
      return of_bytes(internal::FitBits(type.oid, type.typmod, bits, false));
    }
    case oid::kJson: {
      RETURN_IF_ERROR(ParseJson(text, /*decode_unicode=*/false).status());
      return Datum::Bytes(text);
    }
    case oid::kJsonb: return of_bytes(NormalizeJsonText(text));
    case oid::kDate: return of_int(ParseDate(io.datetime(), text));
    case oid::kTime: return of_int(ParseTime(io.datetime(), text, type.typmod));
    case oid::kTimestamp: return of_int(ParseTimestamp(io.datetime(), text, type.typmod));
    case oid::kTimestamptz: return of_int(ParseTimestampTz(io.datetime(), text, type.typmod));
    case oid::kTimetz: {
      ASSIGN_OR_RETURN(TimeTz v, ParseTimeTz(io.datetime(), text, type.typmod));
      return Datum::Bytes(EncodeTimeTz(v));
    }
    case oid::kInterval: {
      ASSIGN_OR_RETURN(Interval v, ParseInterval(io.datetime(), text, type.typmod));
      return Datum::Bytes(EncodeInterval(v));
    }
    case oid::kVoid: return Datum::Bytes("");
    case oid::kRecord:
      return PgError(sqlstate::kFeatureNotSupported, "input of anonymous composite types is not implemented");
    case oid::kPgNodeTree:
    case oid::kAclitem: return CannotAccept(type.oid);
    default: break;
  }
  if (IsRegType(type.oid)) return of_int(RegIn(io, type.oid, text));
  const TypeInfo* info = FindType(type.oid);
  if (info == nullptr || !info->supported) return UnsupportedType(type.oid);
  if (info->true_array) return internal::ArrayIn(io, type, text);
  if (info->typtype == 'p') return CannotAccept(type.oid);
  return UnsupportedType(type.oid);
}

absl::Status TextInAppend(const IoContext& io, SqlType type, std::string_view text, Vector* out) {
  switch (type.oid) {
    case oid::kText: out->AppendBytes(text); return absl::OkStatus();
    case oid::kInt4:
    case oid::kInt8:
    case oid::kInt2: {
      ASSIGN_OR_RETURN(int64_t v, ParseInteger(text, type.oid));
      out->AppendInt(v);
      return absl::OkStatus();
    }
    default: {
      ASSIGN_OR_RETURN(Datum v, TextIn(io, type, text));
      out->Append(v);
      return absl::OkStatus();
    }
  }
}

// ---- output

namespace {

void IntOut(const IoContext& io, Oid type, int64_t v, std::string* out) {
  switch (type) {
    case oid::kDate: AppendDate(io.datetime(), v, out); break;
    case oid::kTime: AppendTime(v, out); break;
    case oid::kTimestamp: AppendTimestamp(io.datetime(), v, out); break;
    case oid::kTimestamptz: AppendTimestampTz(io.datetime(), v, out); break;
    case oid::kTid: StrAppend(out, "(", v >> 16, ",", v & 0xFFFF, ")"); break;
    case oid::kXid8: StrAppend(out, static_cast<uint64_t>(v)); break;
    case oid::kPgLsn: {
      char buffer[32];
      int n = std::snprintf(buffer, sizeof(buffer), "%X/%X", static_cast<uint32_t>(v >> 32), static_cast<uint32_t>(v));
      out->append(buffer, static_cast<size_t>(n));
      break;
    }
    default:
      if (IsRegType(type)) {
        RegOut(io, type, v, out);
      } else {
        char buffer[24];
        out->append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), v).ptr);
      }
  }
}

void BytesOut(const IoContext& io, Oid type, std::string_view v, std::string* out) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kJson:
    case oid::kJsonb:
    case oid::kUnknown:
    case oid::kCstring: out->append(v); break;
    case oid::kChar:
      if (v != std::string_view("\0", 1)) out->append(v);
      break;
    case oid::kBytea: AppendBytea(v, io.bytea_hex, out); break;
    case oid::kUuid: AppendUuid(v, out); break;
    case oid::kInterval: AppendInterval(io.datetime(), DecodeInterval(v), out); break;
    case oid::kTimetz: AppendTimeTz(DecodeTimeTz(v), out); break;
    case oid::kRecord: internal::RecordOut(io, v, out); break;
    case oid::kVoid: break;
    default:
      if (type == oid::kAnyArray || IsArray(type)) internal::ArrayOut(io, type, v, out);
      else out->append(v);
  }
}

void FloatOut(const IoContext& io, Oid type, double v, std::string* out) {
  if (type == oid::kFloat4) AppendFloat4(static_cast<float>(v), io.extra_float_digits, out);
  else AppendFloat8(v, io.extra_float_digits, out);
}

}  // namespace

void TextOutAppend(const IoContext& io, SqlType type, const Datum& value, std::string* out) {
  if (value.Is(PhysicalKind::kInt)) IntOut(io, type.oid, value.int_value(), out);
  else if (value.Is(PhysicalKind::kBytes)) BytesOut(io, type.oid, value.bytes_value(), out);
  else if (value.Is(PhysicalKind::kFloat)) FloatOut(io, type.oid, value.float_value(), out);
  else if (value.Is(PhysicalKind::kNumeric)) value.numeric_value().AppendTo(out);
  else out->push_back(value.bool_value() ? 't' : 'f');
}

void TextOutAppend(const IoContext& io, const Vector& v, size_t i, std::string* out) {
  switch (v.kind()) {
    case PhysicalKind::kBool: out->push_back(v.bools()[i] ? 't' : 'f'); break;
    case PhysicalKind::kInt: IntOut(io, v.type().oid, v.ints()[i], out); break;
    case PhysicalKind::kFloat: FloatOut(io, v.type().oid, v.floats()[i], out); break;
    case PhysicalKind::kBytes: BytesOut(io, v.type().oid, v.bytes(i), out); break;
    case PhysicalKind::kNumeric: v.numerics()[i].AppendTo(out); break;
  }
}

std::string TextOut(const IoContext& io, SqlType type, const Datum& value) {
  std::string out;
  TextOutAppend(io, type, value, &out);
  return out;
}

}  // namespace insula::sql
