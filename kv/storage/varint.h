// Variable-length integers, least significant group first, as our own formats use them.
#ifndef INSULA_KV_STORAGE_VARINT_H_
#define INSULA_KV_STORAGE_VARINT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace insula::kv::storage {

inline void AppendVarint(std::string* out, uint64_t v) {
  char buffer[10];
  int n = 0;
  while (v >= 0x80) {
    buffer[n++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  buffer[n++] = static_cast<char>(v);
  out->append(buffer, n);
}

// False if `*in` does not begin with one.
[[nodiscard]] inline bool TakeVarint(std::string_view* in, uint64_t* v) {
  uint64_t result = 0;
  for (size_t i = 0; i < in->size() && i < 10; ++i) {
    uint8_t byte = static_cast<uint8_t>((*in)[i]);
    if (i == 9 && byte > 1) return false;
    result |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      in->remove_prefix(i + 1);
      *v = result;
      return true;
    }
  }
  return false;
}

inline uint64_t ZigZag(int64_t v) { return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63); }
inline int64_t UnZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

// A length and that many bytes.
inline void AppendString(std::string* out, std::string_view s) {
  AppendVarint(out, s.size());
  out->append(s);
}
[[nodiscard]] inline bool TakeString(std::string_view* in, std::string_view* s) {
  uint64_t size;
  if (!TakeVarint(in, &size) || size > in->size()) return false;
  *s = in->substr(0, size);
  in->remove_prefix(size);
  return true;
}

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_VARINT_H_
