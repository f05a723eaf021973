// String building over std::string_view. The packaged Abseil has a string_view type of its own that does not convert from
// std::string_view, so StrCat, StrAppend and StrJoin are ours; Sv() hands a std::string_view to an Abseil function.
//
//   StrCat("relation \"", name, "\" has ", 3, " columns")
#ifndef INSULA_BASE_STRINGS_H_
#define INSULA_BASE_STRINGS_H_

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace insula {

inline absl::string_view Sv(std::string_view s) { return absl::string_view(s.data(), s.size()); }
inline std::string_view Sv(absl::string_view s) { return std::string_view(s.data(), s.size()); }

namespace internal {

// One argument of StrCat: text as it is; numbers in their shortest form; bool as true/false; char as itself.
class Piece {
 public:
  Piece(std::string_view s) : text_(s) {}          // NOLINT: implicit on purpose
  Piece(const std::string& s) : text_(s) {}        // NOLINT
  Piece(const char* s) : text_(s) {}               // NOLINT
  Piece(absl::string_view s) : text_(Sv(s)) {}     // NOLINT
  Piece(bool b) : text_(b ? "true" : "false") {}   // NOLINT
  Piece(char c) : text_(buffer_, 1) { buffer_[0] = c; }  // NOLINT
  template <typename T>
    requires(std::integral<T> || std::floating_point<T>)
  Piece(T v) {  // NOLINT
    auto end = std::to_chars(buffer_, buffer_ + sizeof(buffer_), v).ptr;
    text_ = std::string_view(buffer_, end - buffer_);
  }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  char buffer_[40];
};

inline void AppendPieces(std::string* out, std::initializer_list<std::string_view> parts) {
  size_t size = out->size();
  for (auto p : parts) size += p.size();
  if (size > out->capacity()) out->reserve(size > 2 * out->capacity() ? size : 2 * out->capacity());
  for (auto p : parts) out->append(p);
}

}  // namespace internal

template <typename... Args>
void StrAppend(std::string* out, const Args&... args) {
  internal::AppendPieces(out, {internal::Piece(args).text()...});
}

template <typename... Args>
std::string StrCat(const Args&... args) {
  std::string out;
  StrAppend(&out, args...);
  return out;
}

// The elements of `range` (anything StrCat takes) with `separator` between them.
template <typename Range>
std::string StrJoin(const Range& range, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& element : range) {
    if (!first) out.append(separator);
    first = false;
    StrAppend(&out, element);
  }
  return out;
}

// ASCII only, as identifiers fold.
inline std::string AsciiLower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c;
  return out;
}

}  // namespace insula

#endif  // INSULA_BASE_STRINGS_H_
