#include "sql/types/datum.h"

#include <xxhash.h>

#include <cstring>

#include "base/check.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"
#include "sql/types/json.h"

namespace insula::sql {
namespace {

uint64_t HashInt(uint64_t v) {
  v ^= v >> 33;
  v *= 0xff51afd7ed558ccdull;
  v ^= v >> 33;
  v *= 0xc4ceb9fe1a85ec53ull;
  return v ^ (v >> 33);
}

uint64_t HashFloat(double v) {
  if (v == 0) v = 0;        // -0 as 0
  if (v != v) return 0x7ff8000000000001ull * 31;
  uint64_t bits;
  std::memcpy(&bits, &v, sizeof(bits));
  return HashInt(bits);
}

std::string_view WithoutTrailingBlanks(std::string_view s) {
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

int Sign(int v) { return v < 0 ? -1 : v > 0; }

int CompareTimeTz(const TimeTz& a, const TimeTz& b) {
  int64_t x = a.us + a.zone_s * kUsPerSecond, y = b.us + b.zone_s * kUsPerSecond;
  if (x != y) return x < y ? -1 : 1;
  return a.zone_s < b.zone_s ? -1 : a.zone_s > b.zone_s;
}

int CompareJsonTexts(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  auto x = ParseJson(a), y = ParseJson(b);
  CHECK_OK(x.status());
  CHECK_OK(y.status());
  return CompareJson(*x, *y);
}

// NULLs are above all values.
int CompareArrays(std::string_view a, std::string_view b) {
  ArrayReader x(a), y(b);
  Oid element = x.element();
  PhysicalKind kind = FindType(element) != nullptr ? KindOf(element) : PhysicalKind::kBytes;
  bool xn, yn;
  std::string_view xp, yp;
  size_t common = std::min(x.count(), y.count());
  for (size_t i = 0; i < common && x.Next(&xn, &xp) && y.Next(&yn, &yp); ++i) {
    if (xn || yn) {
      if (xn && yn) continue;
      return xn ? 1 : -1;
    }
    int c = kind == PhysicalKind::kBytes ? CompareBytes(element, xp, yp)
                                         : CompareDatums(element, PayloadToDatum(kind, xp), PayloadToDatum(kind, yp));
    if (c != 0) return c;
  }
  if (x.count() != y.count()) return x.count() < y.count() ? -1 : 1;
  if (x.dims().size() != y.dims().size()) return x.dims().size() < y.dims().size() ? -1 : 1;
  for (size_t i = 0; i < x.dims().size(); ++i) {
    if (x.dims()[i].size != y.dims()[i].size) return x.dims()[i].size < y.dims()[i].size ? -1 : 1;
  }
  for (size_t i = 0; i < x.dims().size(); ++i) {
    if (x.dims()[i].lower != y.dims()[i].lower) return x.dims()[i].lower < y.dims()[i].lower ? -1 : 1;
  }
  return 0;
}

int CompareRecords(std::string_view a, std::string_view b) {
  auto x = RecordValue::Decode(a), y = RecordValue::Decode(b);
  CHECK_OK(x.status());
  CHECK_OK(y.status());
  size_t common = std::min(x->fields.size(), y->fields.size());
  for (size_t i = 0; i < common; ++i) {
    const Datum &p = x->fields[i], &q = y->fields[i];
    if (p.is_null() || q.is_null()) {
      if (p.is_null() && q.is_null()) continue;
      return p.is_null() ? 1 : -1;
    }
    // Fields of different types do not compare; the binder refuses that where it can see it.
    if (KindOf(x->types[i]) != KindOf(y->types[i])) return x->types[i] < y->types[i] ? -1 : 1;
    if (int c = CompareDatums(x->types[i], p, q)) return c;
  }
  return x->fields.size() < y->fields.size() ? -1 : x->fields.size() > y->fields.size();
}

uint64_t HashArray(std::string_view bytes) {
  ArrayReader reader(bytes);
  PhysicalKind kind = FindType(reader.element()) != nullptr ? KindOf(reader.element()) : PhysicalKind::kBytes;
  uint64_t h = 1;
  bool is_null;
  std::string_view payload;
  while (reader.Next(&is_null, &payload)) {
    uint64_t e = 0;
    if (!is_null) {
      e = kind == PhysicalKind::kBytes ? HashBytes(reader.element(), payload)
                                       : HashDatum(reader.element(), PayloadToDatum(kind, payload));
    }
    h = h * 31 + e;
  }
  return HashInt(h);
}

uint64_t HashRecord(std::string_view bytes) {
  auto record = RecordValue::Decode(bytes);
  CHECK_OK(record.status());
  uint64_t h = 1;
  for (size_t i = 0; i < record->fields.size(); ++i) h = h * 31 + HashDatum(record->types[i], record->fields[i]);
  return HashInt(h);
}

}  // namespace

bool IsOrderable(Oid type) {
  switch (type) {
    case oid::kJson:
    case oid::kXid:
    case oid::kCid:
    case oid::kAclitem:
    case oid::kXml:
    case oid::kPgNodeTree:
    case oid::kJsonpath:
    case oid::kRefcursor:
    case oid::kVoid:
    case oid::kUnknown: return false;
    default: break;
  }
  if (Oid element = ElementTypeOf(type); element != 0 && type != oid::kOidVector && type != oid::kInt2Vector) {
    return IsOrderable(element);
  }
  const TypeInfo* t = FindType(type);
  return t != nullptr && t->supported && (t->typtype == 'b' || type == oid::kRecord || type == oid::kAnyArray);
}

bool IsHashable(Oid type) {
  if (type == oid::kXid || type == oid::kCid || type == oid::kAclitem) return true;
  if (type == oid::kBit || type == oid::kVarbit || type == oid::kTid) return type == oid::kTid;
  if (Oid element = ElementTypeOf(type); element != 0) return IsHashable(element);
  return IsOrderable(type);
}

int CompareBytes(Oid type, std::string_view a, std::string_view b) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kName:
    case oid::kBytea:
    case oid::kUuid:
    case oid::kChar: return Sign(a.compare(b));
    case oid::kBpchar: return Sign(WithoutTrailingBlanks(a).compare(WithoutTrailingBlanks(b)));
    case oid::kInterval: return CompareIntervals(DecodeInterval(a), DecodeInterval(b));
    case oid::kTimetz: return CompareTimeTz(DecodeTimeTz(a), DecodeTimeTz(b));
    case oid::kJsonb: return CompareJsonTexts(a, b);
    case oid::kRecord: return CompareRecords(a, b);
    case oid::kAnyArray: return CompareArrays(a, b);
    default: return IsArray(type) ? CompareArrays(a, b) : Sign(a.compare(b));
  }
}

bool BytesEqual(Oid type, std::string_view a, std::string_view b) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kName:
    case oid::kBytea:
    case oid::kUuid:
    case oid::kChar: return a == b;
    default: return a == b || CompareBytes(type, a, b) == 0;
  }
}

uint64_t HashBytes(Oid type, std::string_view v) {
  switch (type) {
    case oid::kBpchar: v = WithoutTrailingBlanks(v); break;
    case oid::kInterval: {
      __int128 span = IntervalSpan(DecodeInterval(v));
      return HashInt(static_cast<uint64_t>(span) ^ HashInt(static_cast<uint64_t>(span >> 64)));
    }
    case oid::kTimetz: {
      TimeTz t = DecodeTimeTz(v);
      return HashInt(static_cast<uint64_t>(t.us) * 31 + static_cast<uint64_t>(t.zone_s));
    }
    case oid::kJsonb: {
      auto parsed = ParseJson(v);
      CHECK_OK(parsed.status());
      return HashJson(*parsed);
    }
    case oid::kRecord: return HashRecord(v);
    case oid::kText:
    case oid::kVarchar:
    case oid::kBytea:
    case oid::kUuid: break;
    default:
      if (type == oid::kAnyArray || IsArray(type)) return HashArray(v);
  }
  return XXH3_64bits(v.data(), v.size());
}

int CompareDatums(Oid type, const Datum& a, const Datum& b) {
  if (a.Is(PhysicalKind::kInt)) {
    int64_t x = a.int_value(), y = b.int_value();
    return x < y ? -1 : x > y;
  }
  if (a.Is(PhysicalKind::kBytes)) return CompareBytes(type, a.bytes_value(), b.bytes_value());
  if (a.Is(PhysicalKind::kFloat)) return CompareFloats(a.float_value(), b.float_value());
  if (a.Is(PhysicalKind::kNumeric)) return Numeric::Compare(a.numeric_value(), b.numeric_value());
  return static_cast<int>(a.bool_value()) - static_cast<int>(b.bool_value());
}

bool DatumsEqual(Oid type, const Datum& a, const Datum& b) {
  if (a.Is(PhysicalKind::kBytes)) return BytesEqual(type, a.bytes_value(), b.bytes_value());
  return CompareDatums(type, a, b) == 0;
}

bool DatumsNotDistinct(Oid type, const Datum& a, const Datum& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  return DatumsEqual(type, a, b);
}

uint64_t HashDatum(Oid type, const Datum& v) {
  if (v.is_null()) return 0x9ae16a3b2f90404full;
  if (v.Is(PhysicalKind::kInt)) return HashInt(static_cast<uint64_t>(v.int_value()));
  if (v.Is(PhysicalKind::kBytes)) return HashBytes(type, v.bytes_value());
  if (v.Is(PhysicalKind::kFloat)) return HashFloat(v.float_value());
  if (v.Is(PhysicalKind::kNumeric)) return v.numeric_value().Hash();
  return HashInt(v.bool_value() ? 1 : 2);
}

}  // namespace insula::sql
