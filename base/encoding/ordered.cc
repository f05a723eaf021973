#include "base/encoding/ordered.h"

#include <cmath>
#include <cstring>

namespace insula {
namespace {

constexpr uint8_t kIntZero = 0x80;  // tag of the integer 0; +n positive with n bytes, -n negative with n bytes
constexpr char kEscape = '\x00';
constexpr char kEscapedZero = '\xff';
constexpr char kTerminator = '\x01';

void InvertFrom(std::string* out, size_t start) {
  for (size_t i = start; i < out->size(); ++i) (*out)[i] = static_cast<char>(~(*out)[i]);
}

int BytesNeeded(uint64_t v) { return v == 0 ? 0 : (71 - __builtin_clzll(v)) / 8; }

void AppendBigEndian(std::string* out, uint64_t v, int n) {
  for (int i = n - 1; i >= 0; --i) out->push_back(static_cast<char>(v >> (8 * i)));
}

absl::Status Malformed(const char* what) { return absl::DataLossError(std::string("malformed key: bad ") + what); }

uint8_t ByteAt(std::string_view in, size_t i, Direction d) {
  uint8_t b = static_cast<uint8_t>(in[i]);
  return d == Direction::kAscending ? b : static_cast<uint8_t>(~b);
}

}  // namespace

void AppendUint64(std::string* out, uint64_t v, Direction d) {
  size_t start = out->size();
  int n = BytesNeeded(v);
  out->push_back(static_cast<char>(kIntZero + n));
  AppendBigEndian(out, v, n);
  if (d == Direction::kDescending) InvertFrom(out, start);
}

void AppendInt64(std::string* out, int64_t v, Direction d) {
  if (v >= 0) return AppendUint64(out, static_cast<uint64_t>(v), d);
  size_t start = out->size();
  uint64_t magnitude = ~static_cast<uint64_t>(v);  // -1 → 0, so that min fits
  int n = BytesNeeded(magnitude);
  out->push_back(static_cast<char>(kIntZero - 1 - n));
  AppendBigEndian(out, ~magnitude, n);
  if (d == Direction::kDescending) InvertFrom(out, start);
}

void AppendBytes(std::string* out, std::string_view v, Direction d) {
  size_t start = out->size();
  for (char c : v) {
    out->push_back(c);
    if (c == kEscape) out->push_back(kEscapedZero);
  }
  out->push_back(kEscape);
  out->push_back(kTerminator);
  if (d == Direction::kDescending) InvertFrom(out, start);
}

void AppendDouble(std::string* out, double v, Direction d) {
  if (v == 0) v = 0;  // -0
  if (std::isnan(v)) v = std::numeric_limits<double>::quiet_NaN();
  uint64_t bits;
  std::memcpy(&bits, &v, sizeof(bits));
  if (std::isnan(v)) bits &= ~(uint64_t{1} << 63);
  bits = (bits >> 63) ? ~bits : bits | (uint64_t{1} << 63);
  AppendFixed64(out, d == Direction::kAscending ? bits : ~bits);
}

absl::StatusOr<uint64_t> TakeUint64(std::string_view* in, Direction d) {
  if (in->empty()) return Malformed("integer");
  int n = ByteAt(*in, 0, d) - kIntZero;
  if (n < 0 || n > 8 || in->size() < static_cast<size_t>(n) + 1) return Malformed("integer");
  uint64_t v = 0;
  for (int i = 1; i <= n; ++i) v = (v << 8) | ByteAt(*in, i, d);
  in->remove_prefix(n + 1);
  return v;
}

absl::StatusOr<int64_t> TakeInt64(std::string_view* in, Direction d) {
  if (in->empty()) return Malformed("integer");
  uint8_t tag = ByteAt(*in, 0, d);
  if (tag >= kIntZero) {
    auto v = TakeUint64(in, d);
    if (!v.ok()) return v.status();
    if (*v > static_cast<uint64_t>(INT64_MAX)) return Malformed("integer");
    return static_cast<int64_t>(*v);
  }
  int n = kIntZero - 1 - tag;
  if (n > 8 || in->size() < static_cast<size_t>(n) + 1) return Malformed("integer");
  uint64_t v = ~uint64_t{0};
  for (int i = 1; i <= n; ++i) v = (v << 8) | ByteAt(*in, i, d);
  in->remove_prefix(n + 1);
  return static_cast<int64_t>(v);
}

absl::StatusOr<std::string> TakeBytes(std::string_view* in, Direction d) {
  std::string out;
  for (size_t i = 0; i + 1 < in->size(); ++i) {
    char c = static_cast<char>(ByteAt(*in, i, d));
    if (c != kEscape) {
      out.push_back(c);
      continue;
    }
    char next = static_cast<char>(ByteAt(*in, ++i, d));
    if (next == kTerminator) {
      in->remove_prefix(i + 1);
      return out;
    }
    if (next != kEscapedZero) return Malformed("escape");
    out.push_back(kEscape);
  }
  return Malformed("string");
}

absl::StatusOr<double> TakeDouble(std::string_view* in, Direction d) {
  if (in->size() < 8) return Malformed("float");
  uint64_t bits = ReadFixed64(in->data());
  in->remove_prefix(8);
  if (d == Direction::kDescending) bits = ~bits;
  bits = (bits >> 63) ? bits & ~(uint64_t{1} << 63) : ~bits;
  double v;
  std::memcpy(&v, &bits, sizeof(v));
  return v;
}

void AppendFixed64(std::string* out, uint64_t v) { AppendBigEndian(out, v, 8); }
void AppendFixed32(std::string* out, uint32_t v) { AppendBigEndian(out, v, 4); }

uint64_t ReadFixed64(const char* in) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = (v << 8) | static_cast<uint8_t>(in[i]);
  return v;
}

uint32_t ReadFixed32(const char* in) {
  uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v = (v << 8) | static_cast<uint8_t>(in[i]);
  return v;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    auto last = static_cast<uint8_t>(end.back());
    if (last != 0xff) {
      end.back() = static_cast<char>(last + 1);
      return end;
    }
    end.pop_back();
  }
  return end;
}

}  // namespace insula
