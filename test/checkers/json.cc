// The JSON half of value.h.
#include <charconv>

#include "base/strings.h"
#include "test/checkers/value.h"

namespace insula::checkers {
namespace {

constexpr int kMaxDepth = 200;

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  absl::StatusOr<Value> ReadDocument() {
    Value out;
    if (auto status = Read(&out, 0); !status.ok()) return status;
    SkipBlanks();
    if (at_ < text_.size()) return Error("text after the document");
    return out;
  }

 private:
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(StrCat("byte ", at_, ": ", what));
  }

  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  bool Eat(char c) {
    SkipBlanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  absl::Status Read(Value* out, int depth) {
    if (depth > kMaxDepth) return Error("nested too deeply");
    SkipBlanks();
    if (at_ >= text_.size()) return Error("unexpected end");
    if (text_[at_] == '[') return ReadArray(out, depth);
    if (text_[at_] == '{') return ReadObject(out, depth);
    if (text_[at_] == '"') {
      out->kind = Value::Kind::kString;
      return ReadString(&out->text);
    }
    return ReadWord(out);
  }

  absl::Status ReadArray(Value* out, int depth) {
    ++at_;
    std::vector<Value> items;
    if (!Eat(']')) {
      do {
        if (auto status = Read(&items.emplace_back(), depth + 1); !status.ok()) return status;
      } while (Eat(','));
      if (!Eat(']')) return Error("expected ]");
    }
    *out = Value::List(std::move(items));
    return absl::OkStatus();
  }

  absl::Status ReadObject(Value* out, int depth) {
    ++at_;
    std::vector<Value> items;
    if (!Eat('}')) {
      do {
        SkipBlanks();
        if (at_ >= text_.size() || text_[at_] != '"') return Error("expected a key");
        if (auto status = Read(&items.emplace_back(), depth + 1); !status.ok()) return status;
        if (!Eat(':')) return Error("expected :");
        if (auto status = Read(&items.emplace_back(), depth + 1); !status.ok()) return status;
      } while (Eat(','));
      if (!Eat('}')) return Error("expected }");
    }
    *out = Value::Map(std::move(items));
    return absl::OkStatus();
  }

  absl::Status ReadHex(uint32_t* out) {
    if (at_ + 4 > text_.size()) return Error("a short \\u");
    auto r = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, *out, 16);
    if (r.ptr != text_.data() + at_ + 4) return Error("a bad \\u");
    at_ += 4;
    return absl::OkStatus();
  }

  absl::Status ReadEscape(std::string* out) {
    const char c = text_[at_++];
    constexpr std::string_view kFrom = "bfnrt\"\\/";
    constexpr std::string_view kTo = "\b\f\n\r\t\"\\/";
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      out->push_back(kTo[i]);
      return absl::OkStatus();
    }
    if (c != 'u') return Error("an unknown escape");
    uint32_t high = 0;
    if (auto status = ReadHex(&high); !status.ok()) return status;
    if (high >= 0xD800 && high < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      uint32_t low = 0;
      if (auto status = ReadHex(&low); !status.ok()) return status;
      high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(high, out);
    return absl::OkStatus();
  }

  absl::Status ReadString(std::string* out) {
    for (++at_; at_ < text_.size() && text_[at_] != '"';) {
      const char c = text_[at_++];
      if (c != '\\') {
        out->push_back(c);
      } else if (at_ >= text_.size()) {
        break;
      } else if (auto status = ReadEscape(out); !status.ok()) {
        return status;
      }
    }
    if (at_ >= text_.size()) return Error("a string without an end");
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ReadWord(Value* out) {
    const size_t from = at_;
    while (at_ < text_.size() && std::string_view(",]}: \t\r\n").find(text_[at_]) == std::string_view::npos) ++at_;
    const std::string_view word = text_.substr(from, at_ - from);
    if (word == "null") return absl::OkStatus();
    if (word == "true" || word == "false") {
      *out = Value::Bool(word == "true");
      return absl::OkStatus();
    }
    const char* end = word.data() + word.size();
    int64_t number = 0;
    if (auto r = std::from_chars(word.data(), end, number); r.ec == std::errc() && r.ptr == end) {
      *out = Value::Int(number);
      return absl::OkStatus();
    }
    double real = 0;
    if (auto r = std::from_chars(word.data(), end, real); r.ec == std::errc() && r.ptr == end) {
      *out = Value::Real(real);
      return absl::OkStatus();
    }
    return Error(StrCat("not JSON: ", word));
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<Value> ParseJson(std::string_view text) { return JsonReader(text).ReadDocument(); }

}  // namespace insula::checkers
