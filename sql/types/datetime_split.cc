#include "sql/types/datetime_split.h"

#include <utility>

#include "base/strings.h"
#include "sql/types/datetime_names.h"

namespace insula::sql {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class Splitter {
 public:
  explicit Splitter(std::string_view text) : rest_(text) {}

  bool Split(std::vector<Field>* out) {
    while (true) {
      while (!rest_.empty() && (IsSpace(rest_[0]) || rest_[0] == ',')) rest_.remove_prefix(1);
      if (rest_.empty()) return true;
      if (out->size() >= 25) return false;
      Field f;
      if (!Next(&f)) return false;
      if (f.text.empty()) continue;
      out->push_back(std::move(f));
    }
  }

 private:
  char Peek(size_t i = 0) const { return i < rest_.size() ? rest_[i] : '\0'; }
  template <typename Pred>
  void TakeWhile(std::string* to, Pred pred) {
    size_t n = 0;
    while (n < rest_.size() && pred(rest_[n])) ++n;
    to->append(rest_.substr(0, n));
    rest_.remove_prefix(n);
  }

  bool Next(Field* f) {
    char c = Peek();
    if (IsDigit(c)) return NumberLike(f);
    if (c == '.' && IsDigit(Peek(1))) {
      f->kind = FieldKind::kNumber;
      TakeWhile(&f->text, [](char d) { return IsDigit(d) || d == '.'; });
      return true;
    }
    if (IsAlpha(c)) return WordLike(f);
    if (c == '+' || c == '-') return Signed(f);
    // Punctuation that PostgreSQL skips over.
    static constexpr std::string_view kSkipped = "!\"#$%&'()*;<=>?@[\\]^_`{|}~/.:";
    if (kSkipped.find(c) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    if (c == '/' || c == '.' || c == ':' || c == '_') return false;
    while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
    return rest_.empty() || Next(f);
  }

  bool NumberLike(Field* f) {
    TakeWhile(&f->text, IsDigit);
    char c = Peek();
    if (c == ':') {
      f->kind = FieldKind::kTime;
      TakeWhile(&f->text, [](char d) { return IsDigit(d) || d == ':' || d == '.'; });
      return true;
    }
    if (c == '-' || c == '/' || c == '.') {
      char separator = c;
      std::string_view before = rest_;
      f->text.push_back(c);
      rest_.remove_prefix(1);
      if (IsDigit(Peek())) {
        f->kind = separator == '.' ? FieldKind::kNumber : FieldKind::kDate;
        TakeWhile(&f->text, IsDigit);
        if (Peek() == separator) {
          f->kind = FieldKind::kDate;
          f->text.push_back(separator);
          rest_.remove_prefix(1);
          TakeWhile(&f->text, [&](char d) { return IsDigit(d) || d == separator || IsAlpha(d); });
          // "2001-02-03t04:05": the t ends the date.
          size_t t = f->text.find_first_of("tT");
          if (t != std::string::npos && t + 1 < f->text.size() && IsDigit(f->text[t + 1]) && separator != '.') {
            size_t extra = f->text.size() - t;
            f->text.resize(t);
            rest_ = std::string_view(rest_.data() - extra, rest_.size() + extra);
          } else if (t != std::string::npos && t + 1 == f->text.size()) {
            f->text.resize(t);
            rest_ = std::string_view(rest_.data() - 1, rest_.size() + 1);
          }
        }
        return true;
      }
      if (IsAlpha(Peek())) {
        f->kind = FieldKind::kDate;
        TakeWhile(&f->text, [&](char d) { return IsDigit(d) || d == separator || IsAlpha(d); });
        return true;
      }
      if (separator == '.') {  // "12." is a number
        f->kind = FieldKind::kNumber;
        return true;
      }
      rest_ = before;
      f->text.pop_back();
    }
    f->kind = FieldKind::kNumber;
    return true;
  }

  bool WordLike(Field* f) {
    f->kind = FieldKind::kWord;
    TakeWhile(&f->text, IsAlpha);
    std::string lower = AsciiLower(f->text);
    char c = Peek();
    bool separator = c == '-' || c == '/' || c == '.' || c == '_' || c == '+';
    int32_t ignored;
    if (separator && internal::FindZoneAbbreviation(lower, &ignored)) separator = false;
    if (c == '.' && !IsDigit(Peek(1)) && !IsAlpha(Peek(1))) {  // "Dec. 17"
      rest_.remove_prefix(1);
      separator = false;
    }
    if ((c == '-' || c == '+') && lower == "t") separator = false;
    if (separator && internal::FindMonth(lower) != 0 && IsDigit(Peek(1))) {
      f->kind = FieldKind::kDate;
      TakeWhile(&f->text, [&](char d) { return IsDigit(d) || d == c || IsAlpha(d); });
    } else if (separator && c != '.') {
      // A zone's name: America/Argentina/Buenos_Aires, Etc/GMT+5.
      TakeWhile(&f->text, [](char d) { return IsAlpha(d) || IsDigit(d) || d == '/' || d == '_' || d == '-' || d == '+'; });
      return true;
    }
    f->text = AsciiLower(f->text);
    return true;
  }

  bool Signed(Field* f) {
    f->text.push_back(Peek());
    rest_.remove_prefix(1);
    while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
    if (IsDigit(Peek())) {
      f->kind = FieldKind::kOffset;
      TakeWhile(&f->text, [](char d) { return IsDigit(d) || d == ':' || d == '.'; });
      return true;
    }
    if (IsAlpha(Peek())) {
      f->kind = FieldKind::kWord;
      TakeWhile(&f->text, IsAlpha);
      f->text = AsciiLower(f->text);
      return true;
    }
    return false;
  }

  std::string_view rest_;
};

}  // namespace

bool SplitDateTime(std::string_view text, std::vector<Field>* out) { return Splitter(text).Split(out); }

}  // namespace insula::sql
