#include "sql/types/array.h"

#include <cstring>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"

namespace insula::sql {
namespace {

constexpr uint32_t kNull = 0xFFFFFFFF;

template <typename T>
void Put(T v, std::string* out) {
  out->append(reinterpret_cast<const char*>(&v), sizeof(v));
}

template <typename T>
bool Get(std::string_view* s, T* v) {
  if (s->size() < sizeof(T)) return false;
  std::memcpy(v, s->data(), sizeof(T));
  s->remove_prefix(sizeof(T));
  return true;
}

absl::Status Malformed(std::string_view what) {
  return PgError(sqlstate::kInternalError, what == "array" ? "malformed array value" : "malformed record value");
}

void PutElement(PhysicalKind kind, const Datum& v, std::string* out) {
  if (v.is_null()) {
    Put(kNull, out);
    return;
  }
  size_t at = out->size();
  Put(uint32_t{0}, out);
  AppendPayload(kind, v, out);
  uint32_t length = static_cast<uint32_t>(out->size() - at - 4);
  std::memcpy(out->data() + at, &length, 4);
}

bool GetElement(std::string_view* rest, bool* is_null, std::string_view* payload) {
  uint32_t length;
  if (!Get(rest, &length)) return false;
  *is_null = length == kNull;
  if (*is_null) return true;
  if (rest->size() < length) return false;
  *payload = rest->substr(0, length);
  rest->remove_prefix(length);
  return true;
}

}  // namespace

void AppendPayload(PhysicalKind kind, const Datum& v, std::string* out) {
  switch (kind) {
    case PhysicalKind::kBool: out->push_back(v.bool_value() ? 1 : 0); break;
    case PhysicalKind::kInt: Put(v.int_value(), out); break;
    case PhysicalKind::kFloat: Put(v.float_value(), out); break;
    case PhysicalKind::kBytes: out->append(v.bytes_value()); break;
    case PhysicalKind::kNumeric: v.numeric_value().SendBinary(out); break;
  }
}

Datum PayloadToDatum(PhysicalKind kind, std::string_view payload) {
  switch (kind) {
    case PhysicalKind::kBool: return Datum::Bool(!payload.empty() && payload[0] != 0);
    case PhysicalKind::kInt: {
      int64_t v = 0;
      Get(&payload, &v);
      return Datum::Int(v);
    }
    case PhysicalKind::kFloat: {
      double v = 0;
      Get(&payload, &v);
      return Datum::Float(v);
    }
    case PhysicalKind::kBytes: return Datum::Bytes(payload);
    case PhysicalKind::kNumeric: {
      auto v = Numeric::ReceiveBinary(payload);
      CHECK_OK(v.status());
      return Datum::Num(*std::move(v));
    }
  }
  return Datum();
}

ArrayValue ArrayValue::Of(Oid element, std::vector<Datum> elements) {
  ArrayValue out;
  out.element = element;
  if (!elements.empty()) out.dims.push_back({static_cast<int32_t>(elements.size()), 1});
  out.elements = std::move(elements);
  return out;
}

std::string ArrayValue::Encode() const {
  std::string out;
  Put(element, &out);
  Put(static_cast<uint32_t>(dims.size()), &out);
  for (const ArrayDimension& d : dims) {
    Put(d.size, &out);
    Put(d.lower, &out);
  }
  PhysicalKind kind = KindOf(element);
  for (const Datum& e : elements) PutElement(kind, e, &out);
  return out;
}

absl::StatusOr<ArrayValue> ArrayValue::Decode(std::string_view bytes) {
  ArrayReader reader(bytes);
  ArrayValue out;
  out.element = reader.element();
  out.dims = reader.dims();
  if (FindType(out.element) == nullptr) return Malformed("array");
  PhysicalKind kind = KindOf(out.element);
  out.elements.reserve(reader.count());
  bool is_null;
  std::string_view payload;
  while (reader.Next(&is_null, &payload)) out.elements.push_back(is_null ? Datum() : PayloadToDatum(kind, payload));
  if (out.elements.size() != reader.count()) return Malformed("array");
  return out;
}

ArrayReader::ArrayReader(std::string_view bytes) : rest_(bytes) {
  uint32_t ndim;
  if (!Get(&rest_, &element_) || !Get(&rest_, &ndim) || ndim > 64) {
    element_ = kInvalidOid;
    return;
  }
  size_t count = ndim == 0 ? 0 : 1;
  for (uint32_t i = 0; i < ndim; ++i) {
    ArrayDimension d{0, 1};
    if (!Get(&rest_, &d.size) || !Get(&rest_, &d.lower) || d.size < 0) {
      element_ = kInvalidOid;
      dims_.clear();
      return;
    }
    dims_.push_back(d);
    count *= static_cast<size_t>(d.size);
  }
  // Each element takes four bytes at least: a count that cannot be true is not believed.
  if (count > rest_.size() / 4) {
    element_ = kInvalidOid;
    dims_.clear();
    return;
  }
  count_ = count;
}

bool ArrayReader::Next(bool* is_null, std::string_view* payload) {
  if (read_ == count_) return false;
  if (!GetElement(&rest_, is_null, payload)) return false;
  ++read_;
  return true;
}

std::string RecordValue::Encode() const {
  CHECK_EQ(types.size(), fields.size());
  std::string out;
  Put(static_cast<uint32_t>(types.size()), &out);
  for (size_t i = 0; i < types.size(); ++i) {
    Put(types[i], &out);
    PutElement(KindOf(types[i]), fields[i], &out);
  }
  return out;
}

absl::StatusOr<RecordValue> RecordValue::Decode(std::string_view bytes) {
  RecordValue out;
  uint32_t count;
  if (!Get(&bytes, &count) || count > bytes.size() / 8) return Malformed("record");
  for (uint32_t i = 0; i < count; ++i) {
    Oid type;
    bool is_null;
    std::string_view payload;
    if (!Get(&bytes, &type) || FindType(type) == nullptr || !GetElement(&bytes, &is_null, &payload)) return Malformed("record");
    out.types.push_back(type);
    out.fields.push_back(is_null ? Datum() : PayloadToDatum(KindOf(type), payload));
  }
  return out;
}

std::string EncodeVectorOf(Oid element, std::span<const int64_t> values) {
  ArrayValue array;
  array.element = element;
  array.dims.push_back({static_cast<int32_t>(values.size()), 0});
  for (int64_t v : values) array.elements.push_back(Datum::Int(v));
  return array.Encode();
}

}  // namespace insula::sql
