// The EDN half of value.h.
#include <charconv>
#include <optional>

#include "base/strings.h"
#include "test/checkers/value.h"

namespace insula::checkers {
namespace {

constexpr int kMaxDepth = 200;

class EdnReader {
 public:
  explicit EdnReader(std::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<Value>> ReadAll() {
    std::vector<Value> out;
    std::optional<Value> form;
    while (true) {
      if (auto status = Read(&form, 0); !status.ok()) return status;
      if (!form) break;
      out.push_back(std::move(*form));
    }
    if (at_ < text_.size()) return Error("unexpected closing bracket");
    return out;
  }

 private:
  absl::Status Error(std::string_view what) const {
    size_t line = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) line += text_[i] == '\n' ? 1 : 0;
    return absl::InvalidArgumentError(StrCat("line ", line, ": ", what));
  }

  static bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == ','; }
  static bool EndsToken(char c) { return IsSpace(c) || std::string_view("()[]{}\";").find(c) != std::string_view::npos; }

  void SkipBlanks() {
    while (at_ < text_.size()) {
      if (IsSpace(text_[at_])) {
        ++at_;
      } else if (text_[at_] == ';') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  // The next form; none at the end of the text or before a closing bracket.
  absl::Status Read(std::optional<Value>* out, int depth) {
    out->reset();
    if (depth > kMaxDepth) return Error("nested too deeply");
    SkipBlanks();
    if (at_ >= text_.size()) return absl::OkStatus();
    switch (text_[at_]) {
      case ')':
      case ']':
      case '}':
        return absl::OkStatus();
      case '(': return ReadItems(')', out, depth, [](auto items) { return Value::List(std::move(items)); });
      case '[': return ReadItems(']', out, depth, [](auto items) { return Value::List(std::move(items)); });
      case '{': return ReadMap(out, depth);
      case '"': return ReadString(out);
      case '#': return ReadDispatch(out, depth);
      case '^': {  // metadata: read and dropped
        ++at_;
        if (auto status = Read(out, depth + 1); !status.ok()) return status;
        return Read(out, depth + 1);
      }
      default: return ReadToken(out);
    }
  }

  template <typename Make>
  absl::Status ReadItems(char close, std::optional<Value>* out, int depth, Make make) {
    ++at_;
    std::vector<Value> items;
    std::optional<Value> item;
    while (true) {
      if (auto status = Read(&item, depth + 1); !status.ok()) return status;
      if (!item) break;
      items.push_back(std::move(*item));
    }
    if (at_ >= text_.size() || text_[at_] != close) return Error(StrCat("expected ", close));
    ++at_;
    *out = make(std::move(items));
    return absl::OkStatus();
  }

  absl::Status ReadMap(std::optional<Value>* out, int depth) {
    bool odd = false;
    auto status = ReadItems('}', out, depth, [&](auto items) {
      odd = items.size() % 2 != 0;
      return Value::Map(std::move(items));
    });
    return odd ? Error("a map with a key but no value") : status;
  }

  absl::Status ReadDispatch(std::optional<Value>* out, int depth) {
    ++at_;
    if (at_ < text_.size() && text_[at_] == '{') {
      return ReadItems('}', out, depth, [](auto items) { return Value::Set(std::move(items)); });
    }
    if (at_ < text_.size() && text_[at_] == '_') {  // the next form is a comment
      ++at_;
      if (auto status = Read(out, depth + 1); !status.ok()) return status;
      return Read(out, depth + 1);
    }
    while (at_ < text_.size() && !EndsToken(text_[at_])) ++at_;  // a tag
    if (auto status = Read(out, depth + 1); !status.ok()) return status;
    return *out ? absl::OkStatus() : Error("a tag without an element");
  }

  absl::Status ReadString(std::optional<Value>* out) {
    std::string value;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] != '\\' || at_ + 1 >= text_.size()) {
        value.push_back(text_[at_]);
        continue;
      }
      switch (text_[++at_]) {
        case 'n': value.push_back('\n'); break;
        case 't': value.push_back('\t'); break;
        case 'r': value.push_back('\r'); break;
        default: value.push_back(text_[at_]);
      }
    }
    if (at_ >= text_.size()) return Error("a string without an end");
    ++at_;
    *out = Value::Text(Value::Kind::kString, std::move(value));
    return absl::OkStatus();
  }

  absl::Status ReadToken(std::optional<Value>* out) {
    const size_t from = at_++;
    while (at_ < text_.size() && !EndsToken(text_[at_])) ++at_;
    std::string_view token = text_.substr(from, at_ - from);
    *out = Token(token);
    return absl::OkStatus();
  }

  static Value Token(std::string_view token) {
    if (token == "nil") return Value();
    if (token == "true" || token == "false") return Value::Bool(token == "true");
    if (token[0] == ':') return Value::Text(Value::Kind::kKeyword, std::string(token.substr(1)));
    if (token[0] == '\\') return Value::Text(Value::Kind::kString, std::string(token.substr(1)));
    std::string_view digits = token;
    if (digits[0] == '+') digits.remove_prefix(1);
    if (digits.size() > 1 && (digits.back() == 'N' || digits.back() == 'M')) digits.remove_suffix(1);
    int64_t number = 0;
    if (auto r = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        r.ec == std::errc() && r.ptr == digits.data() + digits.size()) {
      return Value::Int(number);
    }
    double real = 0;
    if (auto r = std::from_chars(digits.data(), digits.data() + digits.size(), real);
        r.ec == std::errc() && r.ptr == digits.data() + digits.size()) {
      return Value::Real(real);
    }
    return Value::Text(Value::Kind::kSymbol, std::string(token));
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<Value>> ParseEdn(std::string_view text) { return EdnReader(text).ReadAll(); }

}  // namespace insula::checkers
