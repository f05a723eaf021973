// The protocol's binary formats: network byte order, as the types' send and receive functions define them.
#include <bit>
#include <cstring>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/io.h"
#include "sql/types/io_internal.h"
#include "sql/types/json.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

template <typename T>
void PutBig(T v, std::string* out) {
  for (int shift = (static_cast<int>(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(v) >> shift));
  }
}

// Reads a message part; every Get fails past its end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <typename T>
  absl::Status Get(T* v) {
    if (rest_.size() < sizeof(T)) return Short();
    uint64_t u = 0;
    for (size_t i = 0; i < sizeof(T); ++i) u = u << 8 | static_cast<uint8_t>(rest_[i]);
    *v = static_cast<T>(u);
    rest_.remove_prefix(sizeof(T));
    return absl::OkStatus();
  }
  absl::Status Take(size_t n, std::string_view* out) {
    if (rest_.size() < n) return Short();
    *out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return absl::OkStatus();
  }
  std::string_view TakeAll() {
    std::string_view all = rest_;
    rest_ = {};
    return all;
  }
  bool done() const { return rest_.empty(); }

 private:
  static absl::Status Short() { return PgError(sqlstate::kProtocolViolation, "insufficient data left in message"); }
  std::string_view rest_;
};

absl::Status NoFunction(std::string_view direction, Oid type) {
  return PgError(sqlstate::kUndefinedFunction,
                 StrCat("no binary ", direction, " function available for type ", FormatType(type)));
}

absl::Status InvalidBinary(std::string_view message) { return PgError(sqlstate::kInvalidBinaryRepresentation, message); }

// Bytes on the wire of a kInt type; 0 if it has no such format.
int IntWidth(Oid type) {
  switch (type) {
    case oid::kInt2: return 2;
    case oid::kInt4:
    case oid::kOid:
    case oid::kXid:
    case oid::kCid:
    case oid::kDate: return 4;
    case oid::kInt8:
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kXid8:
    case oid::kPgLsn: return 8;
    default: return IsRegType(type) ? 4 : 0;
  }
}

bool IsUnsigned4(Oid type) { return type == oid::kOid || type == oid::kXid || type == oid::kCid || IsRegType(type); }

absl::Status SendInt(Oid type, int64_t v, std::string* out) {
  switch (IntWidth(type)) {
    case 2: PutBig(static_cast<int16_t>(v), out); return absl::OkStatus();
    case 4: PutBig(static_cast<int32_t>(v), out); return absl::OkStatus();
    case 8: PutBig(v, out); return absl::OkStatus();
    default: break;
  }
  if (type == oid::kTid) {
    PutBig(static_cast<uint32_t>(v >> 16), out);
    PutBig(static_cast<uint16_t>(v), out);
    return absl::OkStatus();
  }
  return NoFunction("output", type);
}

void SendFloat(Oid type, double v, std::string* out) {
  if (type == oid::kFloat4) PutBig(std::bit_cast<uint32_t>(static_cast<float>(v)), out);
  else PutBig(std::bit_cast<uint64_t>(v), out);
}

absl::Status SendElement(const IoContext& io, Oid type, const Datum& v, std::string* out) {
  if (v.is_null()) {
    PutBig(int32_t{-1}, out);
    return absl::OkStatus();
  }
  size_t at = out->size();
  PutBig(int32_t{0}, out);
  RETURN_IF_ERROR(BinarySend(io, SqlType{type}, v, out));
  uint32_t size = static_cast<uint32_t>(out->size() - at - 4);
  for (int i = 0; i < 4; ++i) (*out)[at + static_cast<size_t>(i)] = static_cast<char>(size >> (24 - 8 * i));
  return absl::OkStatus();
}

absl::Status SendArray(const IoContext& io, std::string_view bytes, std::string* out) {
  ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(bytes));
  bool nulls = false;
  for (const Datum& e : array.elements) nulls |= e.is_null();
  PutBig(static_cast<int32_t>(array.dims.size()), out);
  PutBig(int32_t{nulls}, out);
  PutBig(array.element, out);
  for (const ArrayDimension& d : array.dims) {
    PutBig(d.size, out);
    PutBig(d.lower, out);
  }
  for (const Datum& e : array.elements) RETURN_IF_ERROR(SendElement(io, array.element, e, out));
  return absl::OkStatus();
}

absl::Status SendRecord(const IoContext& io, std::string_view bytes, std::string* out) {
  ASSIGN_OR_RETURN(RecordValue record, RecordValue::Decode(bytes));
  PutBig(static_cast<int32_t>(record.fields.size()), out);
  for (size_t i = 0; i < record.fields.size(); ++i) {
    PutBig(record.types[i], out);
    RETURN_IF_ERROR(SendElement(io, record.types[i], record.fields[i], out));
  }
  return absl::OkStatus();
}

void SendBits(std::string_view bits, std::string* out) {
  PutBig(static_cast<int32_t>(bits.size()), out);
  for (size_t i = 0; i < bits.size(); i += 8) {
    uint8_t b = 0;
    for (size_t k = 0; k < 8; ++k) b = static_cast<uint8_t>(b << 1 | (i + k < bits.size() && bits[i + k] == '1'));
    out->push_back(static_cast<char>(b));
  }
}

absl::Status SendBytes(const IoContext& io, Oid type, std::string_view v, std::string* out) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kBytea:
    case oid::kUuid:
    case oid::kJson:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kPgNodeTree:
    case oid::kRefcursor: out->append(v); return absl::OkStatus();
    case oid::kJsonb:
      out->push_back(1);  // version
      out->append(v);
      return absl::OkStatus();
    case oid::kChar: out->push_back(v.empty() ? '\0' : v[0]); return absl::OkStatus();
    case oid::kInterval: {
      Interval i = DecodeInterval(v);
      PutBig(i.us, out);
      PutBig(i.days, out);
      PutBig(i.months, out);
      return absl::OkStatus();
    }
    case oid::kTimetz: {
      TimeTz t = DecodeTimeTz(v);
      PutBig(t.us, out);
      PutBig(t.zone_s, out);
      return absl::OkStatus();
    }
    case oid::kBit:
    case oid::kVarbit: SendBits(v, out); return absl::OkStatus();
    case oid::kVoid: return absl::OkStatus();
    case oid::kRecord: return SendRecord(io, v, out);
    default: break;
  }
  if (type == oid::kAnyArray || IsArray(type)) return SendArray(io, v, out);
  return NoFunction("output", type);
}

absl::StatusOr<Datum> ReceiveArray(const IoContext& io, SqlType type, Reader* in) {
  int32_t ndim, flags;
  Oid element;
  RETURN_IF_ERROR(in->Get(&ndim));
  RETURN_IF_ERROR(in->Get(&flags));
  RETURN_IF_ERROR(in->Get(&element));
  if (ndim < 0 || ndim > 6) {
    return InvalidBinary(StrCat("number of array dimensions (", ndim, ") exceeds the maximum allowed (6)"));
  }
  if (flags != 0 && flags != 1) return InvalidBinary("invalid array flags");
  Oid expected = ElementTypeOf(type.oid);
  if (element != expected) {
    return PgError(sqlstate::kDatatypeMismatch, StrCat("binary data has array element type ", element, " (",
                                                       FormatType(element), ") instead of expected ", expected, " (",
                                                       FormatType(expected), ")"));
  }
  ArrayValue array;
  array.element = element;
  int64_t count = ndim == 0 ? 0 : 1;
  for (int i = 0; i < ndim; ++i) {
    ArrayDimension d{0, 1};
    RETURN_IF_ERROR(in->Get(&d.size));
    RETURN_IF_ERROR(in->Get(&d.lower));
    if (d.size < 0) return InvalidBinary("invalid array dimensions");
    array.dims.push_back(d);
    count *= d.size;
    if (count > (int64_t{1} << 27)) return PgError(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed (134217727)");
  }
  if (count == 0 && type.oid != oid::kInt2Vector && type.oid != oid::kOidVector) array.dims.clear();
  for (int64_t i = 0; i < count; ++i) {
    int32_t size;
    RETURN_IF_ERROR(in->Get(&size));
    if (size == -1) {
      array.elements.emplace_back();
      continue;
    }
    if (size < 0) return InvalidBinary("insufficient data left in message");
    std::string_view bytes;
    RETURN_IF_ERROR(in->Take(static_cast<size_t>(size), &bytes));
    ASSIGN_OR_RETURN(Datum v, BinaryReceive(io, SqlType{element, type.typmod}, bytes));
    array.elements.push_back(std::move(v));
  }
  return array.ToDatum();
}

absl::Status CheckText(std::string_view v) {
  size_t bad;
  if (IsValidUtf8(v, &bad)) return absl::OkStatus();
  char hex[16];
  std::snprintf(hex, sizeof(hex), "0x%02x", static_cast<uint8_t>(v[bad]));
  return PgError("22021", StrCat("invalid byte sequence for encoding \"UTF8\": ", hex));
}

absl::StatusOr<Datum> ReceiveInt(SqlType type, Reader* in) {
  int64_t v = 0;
  switch (IntWidth(type.oid)) {
    case 2: {
      int16_t x;
      RETURN_IF_ERROR(in->Get(&x));
      return Datum::Int(x);
    }
    case 4: {
      int32_t x;
      RETURN_IF_ERROR(in->Get(&x));
      v = IsUnsigned4(type.oid) ? static_cast<int64_t>(static_cast<uint32_t>(x)) : x;
      break;
    }
    default: RETURN_IF_ERROR(in->Get(&v));
  }
  switch (type.oid) {
    case oid::kDate:
      if (!IsInfiniteDate(v) && !IsValidDate(v)) return PgError(sqlstate::kDatetimeFieldOverflow, "date out of range");
      break;
    case oid::kTime:
      if (v < 0 || v > kUsPerDay) return PgError(sqlstate::kDatetimeFieldOverflow, "time out of range");
      v = RoundTimeUs(v, type.typmod);
      break;
    case oid::kTimestamp:
    case oid::kTimestamptz:
      if (!IsInfiniteTimestamp(v) && !IsValidTimestamp(v)) {
        return PgError(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
      }
      v = RoundTimeUs(v, type.typmod);
      break;
    default: break;
  }
  return Datum::Int(v);
}

absl::StatusOr<Datum> ReceiveOther(const IoContext& io, SqlType type, Reader* in) {
  switch (type.oid) {
    case oid::kBool: {
      uint8_t v;
      RETURN_IF_ERROR(in->Get(&v));
      return Datum::Bool(v != 0);
    }
    case oid::kFloat4: {
      uint32_t v;
      RETURN_IF_ERROR(in->Get(&v));
      return Datum::Float(std::bit_cast<float>(v));
    }
    case oid::kFloat8: {
      uint64_t v;
      RETURN_IF_ERROR(in->Get(&v));
      return Datum::Float(std::bit_cast<double>(v));
    }
    case oid::kNumeric: {
      ASSIGN_OR_RETURN(Numeric v, Numeric::ReceiveBinary(in->TakeAll()));
      ASSIGN_OR_RETURN(v, v.ApplyTypmod(type.typmod));
      return Datum::Num(std::move(v));
    }
    case oid::kText:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kRefcursor: {
      std::string_view v = in->TakeAll();
      RETURN_IF_ERROR(CheckText(v));
      return Datum::Bytes(v);
    }
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kJson: {
      std::string_view v = in->TakeAll();
      RETURN_IF_ERROR(CheckText(v));
      return TextIn(io, type, v);
    }
    case oid::kJsonb: {
      uint8_t version;
      RETURN_IF_ERROR(in->Get(&version));
      if (version != 1) return PgError(sqlstate::kInternalError, StrCat("unsupported jsonb version number ", version));
      std::string_view v = in->TakeAll();
      RETURN_IF_ERROR(CheckText(v));
      return TextIn(io, type, v);
    }
    case oid::kBytea: return Datum::Bytes(in->TakeAll());
    case oid::kUuid: {
      std::string_view v;
      RETURN_IF_ERROR(in->Take(16, &v));
      return Datum::Bytes(v);
    }
    case oid::kChar: {
      std::string_view v;
      RETURN_IF_ERROR(in->Take(1, &v));
      return Datum::Bytes(v[0] == '\0' ? std::string_view() : v);
    }
    case oid::kInterval: {
      Interval v;
      RETURN_IF_ERROR(in->Get(&v.us));
      RETURN_IF_ERROR(in->Get(&v.days));
      RETURN_IF_ERROR(in->Get(&v.months));
      ASSIGN_OR_RETURN(v, ApplyIntervalTypmod(v, type.typmod));
      return Datum::Bytes(EncodeInterval(v));
    }
    case oid::kTimetz: {
      TimeTz v;
      RETURN_IF_ERROR(in->Get(&v.us));
      RETURN_IF_ERROR(in->Get(&v.zone_s));
      if (v.us < 0 || v.us > kUsPerDay) return PgError(sqlstate::kDatetimeFieldOverflow, "time out of range");
      if (v.zone_s <= -57600 || v.zone_s >= 57600) return PgError("22009", "time zone displacement out of range");
      v.us = RoundTimeUs(v.us, type.typmod);
      return Datum::Bytes(EncodeTimeTz(v));
    }
    case oid::kTid: {
      uint32_t block;
      uint16_t offset;
      RETURN_IF_ERROR(in->Get(&block));
      RETURN_IF_ERROR(in->Get(&offset));
      return Datum::Int(static_cast<int64_t>(block) << 16 | offset);
    }
    case oid::kBit:
    case oid::kVarbit: {
      int32_t count;
      RETURN_IF_ERROR(in->Get(&count));
      if (count < 0) return InvalidBinary("invalid length in external bit string");
      std::string_view bytes;
      RETURN_IF_ERROR(in->Take((static_cast<size_t>(count) + 7) / 8, &bytes));
      std::string bits;
      for (int32_t i = 0; i < count; ++i) {
        bits.push_back(static_cast<uint8_t>(bytes[static_cast<size_t>(i / 8)]) >> (7 - i % 8) & 1 ? '1' : '0');
      }
      ASSIGN_OR_RETURN(bits, internal::FitBits(type.oid, type.typmod, bits, false));
      return Datum::Bytes(std::move(bits));
    }
    case oid::kVoid: return Datum::Bytes("");
    default: break;
  }
  if (IsArray(type.oid) && GetType(type.oid).supported) return ReceiveArray(io, type, in);
  return NoFunction("input", type.oid);
}

}  // namespace

absl::Status BinarySend(const IoContext& io, SqlType type, const Datum& value, std::string* out) {
  if (value.Is(PhysicalKind::kInt)) return SendInt(type.oid, value.int_value(), out);
  if (value.Is(PhysicalKind::kBytes)) return SendBytes(io, type.oid, value.bytes_value(), out);
  if (value.Is(PhysicalKind::kFloat)) SendFloat(type.oid, value.float_value(), out);
  else if (value.Is(PhysicalKind::kNumeric)) value.numeric_value().SendBinary(out);
  else out->push_back(value.bool_value() ? 1 : 0);
  return absl::OkStatus();
}

absl::Status BinarySend(const IoContext& io, const Vector& v, size_t i, std::string* out) {
  switch (v.kind()) {
    case PhysicalKind::kBool: out->push_back(v.bools()[i] ? 1 : 0); break;
    case PhysicalKind::kInt: return SendInt(v.type().oid, v.ints()[i], out);
    case PhysicalKind::kFloat: SendFloat(v.type().oid, v.floats()[i], out); break;
    case PhysicalKind::kBytes: return SendBytes(io, v.type().oid, v.bytes(i), out);
    case PhysicalKind::kNumeric: v.numerics()[i].SendBinary(out); break;
  }
  return absl::OkStatus();
}

absl::StatusOr<Datum> BinaryReceive(const IoContext& io, SqlType type, std::string_view bytes) {
  Reader in(bytes);
  auto value = FindType(type.oid) != nullptr && IntWidth(type.oid) != 0 ? ReceiveInt(type, &in) : ReceiveOther(io, type, &in);
  RETURN_IF_ERROR(value.status());
  if (!in.done()) return InvalidBinary("incorrect binary data format");
  return value;
}

bool HasBinaryFormat(Oid type) {
  const TypeInfo* t = FindType(type);
  return t != nullptr && t->supported && !t->send.empty() && !t->receive.empty() && t->typtype != 'p';
}

}  // namespace insula::sql
