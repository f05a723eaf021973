// Characters of UTF-8 text. All text in a database is valid UTF-8 (checked where it comes in); on other bytes these functions are
// safe but count each stray byte as a character.
#ifndef INSULA_SQL_TYPES_UTF8_H_
#define INSULA_SQL_TYPES_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace insula::sql {

// Bytes of the character that begins with `lead`, at most `available`.
inline size_t Utf8Length(char lead, size_t available) {
  uint8_t b = static_cast<uint8_t>(lead);
  size_t n = b < 0x80 ? 1 : b < 0xC0 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  return n < available ? n : available;
}

inline size_t Utf8Count(std::string_view s) {
  size_t n = 0;
  for (char c : s) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

// Byte offset of character `chars`, or s.size() if there are fewer.
inline size_t Utf8Offset(std::string_view s, size_t chars) {
  size_t i = 0;
  while (chars > 0 && i < s.size()) {
    i += Utf8Length(s[i], s.size() - i);
    --chars;
  }
  return i;
}

uint32_t DecodeUtf8(std::string_view s, size_t* length);
void AppendUtf8(uint32_t c, std::string* out);
// Whether it is valid UTF-8 (no surrogates, no overlong forms, no NUL). *bad is the offset of the first wrong byte.
bool IsValidUtf8(std::string_view s, size_t* bad);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_UTF8_H_
