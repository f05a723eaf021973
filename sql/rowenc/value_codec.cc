#include "sql/rowenc/value_codec.h"

#include <bit>
#include <cstring>

#include "base/status_macros.h"

namespace insula::sql {
namespace {

static_assert(std::endian::native == std::endian::little, "stored doubles and arrays are little-endian");

enum Form { kFalse = 0, kTrue = 1, kInteger = 2, kDouble = 3, kBytes = 4, kSmallNumeric = 5, kBigNumeric = 6, kNull = 7 };

absl::Status Malformed() { return absl::DataLossError("malformed row value"); }

uint64_t ZigZag(int64_t v) { return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63); }
int64_t UnZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

// Varints without a StatusOr, for the decoder's inner loop.
inline bool ReadVarint(std::string_view* in, uint64_t* out) {
  uint64_t v = 0;
  const size_t n = in->size() < 10 ? in->size() : 10;
  for (size_t i = 0; i < n; ++i) {
    auto b = static_cast<uint8_t>((*in)[i]);
    v |= static_cast<uint64_t>(b & 0x7f) << (7 * i);
    if (b < 0x80) {
      in->remove_prefix(i + 1);
      *out = v;
      return true;
    }
  }
  return false;
}

bool ReadBytes(std::string_view* in, std::string_view* out) {
  uint64_t n;
  if (!ReadVarint(in, &n) || n > in->size()) return false;
  *out = in->substr(0, n);
  in->remove_prefix(n);
  return true;
}

bool FitsForm(int form, PhysicalKind kind) {
  switch (form) {
    case kFalse:
    case kTrue: return kind == PhysicalKind::kBool;
    case kInteger: return kind == PhysicalKind::kInt;
    case kDouble: return kind == PhysicalKind::kFloat;
    case kBytes: return kind == PhysicalKind::kBytes;
    case kSmallNumeric:
    case kBigNumeric: return kind == PhysicalKind::kNumeric;
    default: return true;
  }
}

}  // namespace

void AppendVarint(std::string* out, uint64_t v) {
  while (v >= 0x80) {
    out->push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out->push_back(static_cast<char>(v));
}

absl::StatusOr<uint64_t> TakeVarint(std::string_view* in) {
  uint64_t v;
  if (!ReadVarint(in, &v)) return Malformed();
  return v;
}

void AppendValueEntry(uint32_t id_delta, const Vector& v, size_t i, std::string* out) {
  auto head = [&](Form form) { AppendVarint(out, (uint64_t{id_delta} << 3) | form); };
  switch (v.kind()) {
    case PhysicalKind::kBool: head(v.bools()[i] ? kTrue : kFalse); return;
    case PhysicalKind::kInt:
      head(kInteger);
      AppendVarint(out, ZigZag(v.ints()[i]));
      return;
    case PhysicalKind::kFloat: {
      head(kDouble);
      char raw[8];
      std::memcpy(raw, &v.floats()[i], 8);
      out->append(raw, 8);
      return;
    }
    case PhysicalKind::kBytes: {
      head(kBytes);
      std::string_view bytes = v.bytes(i);
      AppendVarint(out, bytes.size());
      out->append(bytes);
      return;
    }
    case PhysicalKind::kNumeric: {
      const Numeric& n = v.numerics()[i];
      if (n.kind() == Numeric::Kind::kSmall) {
        head(kSmallNumeric);
        AppendVarint(out, ZigZag(n.small_mantissa()));
        AppendVarint(out, static_cast<uint64_t>(n.scale()));
      } else {
        head(kBigNumeric);
        std::string text = n.ToString();
        AppendVarint(out, text.size());
        out->append(text);
      }
      return;
    }
  }
}

absl::StatusOr<bool> TakeEntryHead(std::string_view* in, uint32_t* id, int* form) {
  if (in->empty()) return false;
  uint64_t head;
  if (!ReadVarint(in, &head)) return Malformed();
  *id += static_cast<uint32_t>(head >> 3);
  *form = static_cast<int>(head & 7);
  return true;
}

absl::Status TakeEntryPayload(std::string_view* in, int form, Vector* out, size_t i) {
  if (out != nullptr && !FitsForm(form, out->kind())) return Malformed();
  switch (form) {
    case kFalse:
    case kTrue:
      if (out != nullptr) out->bools()[i] = form == kTrue;
      return absl::OkStatus();
    case kInteger: {
      uint64_t v;
      if (!ReadVarint(in, &v)) return Malformed();
      if (out != nullptr) out->ints()[i] = UnZigZag(v);
      return absl::OkStatus();
    }
    case kDouble:
      if (in->size() < 8) return Malformed();
      if (out != nullptr) std::memcpy(&out->floats()[i], in->data(), 8);
      in->remove_prefix(8);
      return absl::OkStatus();
    case kBytes: {
      std::string_view bytes;
      if (!ReadBytes(in, &bytes)) return Malformed();
      if (out != nullptr) out->SetBytes(i, bytes);
      return absl::OkStatus();
    }
    case kSmallNumeric: {
      uint64_t mantissa, scale;
      if (!ReadVarint(in, &mantissa) || !ReadVarint(in, &scale) || scale > Numeric::kMaxScale) return Malformed();
      if (out != nullptr) out->numerics()[i] = Numeric::FromScaled(UnZigZag(mantissa), static_cast<int>(scale));
      return absl::OkStatus();
    }
    case kBigNumeric: {
      std::string_view text;
      if (!ReadBytes(in, &text)) return Malformed();
      if (out != nullptr) {
        ASSIGN_OR_RETURN(out->numerics()[i], Numeric::Parse(text));
      }
      return absl::OkStatus();
    }
    case kNull:
      if (out != nullptr) out->SetNull(i);
      return absl::OkStatus();
    default: return Malformed();
  }
}

}  // namespace insula::sql
