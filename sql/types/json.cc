#include "sql/types/json.h"

#include <xxhash.h>

#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

constexpr int kMaxDepth = 6400;

class Parser {
 public:
  Parser(std::string_view text, bool decode_unicode) : rest_(text), decode_unicode_(decode_unicode) {}

  absl::StatusOr<JsonValue> Parse() {
    JsonValue v;
    RETURN_IF_ERROR(Value(&v, 0));
    Skip();
    if (!rest_.empty()) return Error(StrCat("Expected end of input, but found \"", Token(), "\"."));
    return v;
  }

 private:
  void Skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\n' || rest_[0] == '\r')) rest_.remove_prefix(1);
  }
  absl::Status Error(std::string_view detail) const {
    return PgErrorBuilder(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type json").Detail(detail).Build();
  }
  absl::Status Unexpected(std::string_view expected) const {
    if (rest_.empty()) return Error("The input string ended unexpectedly.");
    if (expected.empty()) return Error(StrCat("Token \"", Token(), "\" is invalid."));
    return Error(StrCat("Expected ", expected, ", but found \"", Token(), "\"."));
  }
  // The offending token: a word, or one character.
  std::string Token() const {
    size_t n = 0;
    while (n < rest_.size() && (isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '_' || (rest_[n] & 0x80))) ++n;
    if (n == 0 && !rest_.empty() && rest_[0] == '"') {
      size_t end = rest_.find('"', 1);
      n = end == std::string_view::npos ? rest_.size() : end + 1;
    }
    return std::string(rest_.substr(0, std::max<size_t>(n, 1)));
  }

  absl::Status Value(JsonValue* v, int depth) {
    if (depth > kMaxDepth) return PgError("54001", "stack depth limit exceeded");
    Skip();
    const char* begin = rest_.data();
    RETURN_IF_ERROR(Unspaced(v, depth));
    v->raw = std::string_view(begin, static_cast<size_t>(rest_.data() - begin));
    return absl::OkStatus();
  }

  absl::Status Unspaced(JsonValue* v, int depth) {
    if (rest_.empty()) return Error("The input string ended unexpectedly.");
    switch (rest_[0]) {
      case '{': return Object(v, depth);
      case '[': return Array(v, depth);
      case '"': v->kind = JsonValue::Kind::kString; return String(&v->text);
      default: break;
    }
    if (rest_[0] == '-' || (rest_[0] >= '0' && rest_[0] <= '9')) return Number(v);
    std::string word = Token();
    if (word == "true" || word == "false") {
      v->kind = JsonValue::Kind::kBool;
      v->boolean = word == "true";
    } else if (word == "null") {
      v->kind = JsonValue::Kind::kNull;
    } else if (rest_[0] == '}' || rest_[0] == ']' || rest_[0] == ',' || rest_[0] == ':') {
      return Unexpected("JSON value");
    } else {
      return Unexpected("");
    }
    rest_.remove_prefix(word.size());
    return absl::OkStatus();
  }

  absl::Status Number(JsonValue* v) {
    size_t n = rest_[0] == '-' ? 1 : 0, begin = n;
    auto digits = [&] {
      size_t from = n;
      while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9') ++n;
      return n > from;
    };
    bool ok = digits() && !(rest_[begin] == '0' && n > begin + 1);
    if (ok && n < rest_.size() && rest_[n] == '.') {
      ++n;
      ok = digits();
    }
    if (ok && n < rest_.size() && (rest_[n] == 'e' || rest_[n] == 'E')) {
      ++n;
      if (n < rest_.size() && (rest_[n] == '+' || rest_[n] == '-')) ++n;
      ok = digits();
    }
    while (n < rest_.size() && (isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '_')) {
      ok = false;
      ++n;
    }
    if (!ok) return Error(StrCat("Token \"", rest_.substr(0, n), "\" is invalid."));
    v->kind = JsonValue::Kind::kNumber;
    ASSIGN_OR_RETURN(v->number, Numeric::Parse(rest_.substr(0, n)));
    rest_.remove_prefix(n);
    return absl::OkStatus();
  }

  bool Hex4(uint32_t* out) {
    if (rest_.size() < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; ++i) {
      char c = rest_[i];
      uint32_t d;
      if (c >= '0' && c <= '9') d = c - '0';
      else if (c >= 'a' && c <= 'f') d = c - 'a' + 10;
      else if (c >= 'A' && c <= 'F') d = c - 'A' + 10;
      else return false;
      *out = *out * 16 + d;
    }
    rest_.remove_prefix(4);
    return true;
  }

  absl::Status UnicodeEscape(std::string* out) {
    uint32_t c;
    if (!Hex4(&c)) return Error("\"\\u\" must be followed by four hexadecimal digits.");
    if (!decode_unicode_) return absl::OkStatus();
    if (c == 0) {
      return PgErrorBuilder("22P05", "unsupported Unicode escape sequence")
          .Detail("\\u0000 cannot be converted to text.")
          .Build();
    }
    if (c >= 0xDC00 && c < 0xE000) return Error("Unicode low surrogate must follow a high surrogate.");
    if (c >= 0xD800 && c < 0xDC00) {
      uint32_t low;
      if (!rest_.starts_with("\\u")) return Error("Unicode low surrogate must follow a high surrogate.");
      rest_.remove_prefix(2);
      if (!Hex4(&low)) return Error("\"\\u\" must be followed by four hexadecimal digits.");
      if (low < 0xDC00 || low >= 0xE000) return Error("Unicode low surrogate must follow a high surrogate.");
      c = 0x10000 + ((c & 0x3FF) << 10) + (low & 0x3FF);
    }
    AppendUtf8(c, out);
    return absl::OkStatus();
  }

  absl::Status String(std::string* out) {
    std::string_view start = rest_;
    rest_.remove_prefix(1);
    while (true) {
      size_t n = 0;
      while (n < rest_.size() && rest_[n] != '"' && rest_[n] != '\\' && static_cast<unsigned char>(rest_[n]) >= 0x20) ++n;
      out->append(rest_.substr(0, n));
      rest_.remove_prefix(n);
      if (rest_.empty()) return Error(StrCat("Token \"", start, "\" is invalid."));
      char c = rest_[0];
      if (static_cast<unsigned char>(c) < 0x20) {
        char hex[8];
        std::snprintf(hex, sizeof(hex), "0x%02x", static_cast<unsigned char>(c));
        return Error(StrCat("Character with value ", hex, " must be escaped."));
      }
      rest_.remove_prefix(1);
      if (c == '"') return absl::OkStatus();
      if (rest_.empty()) return Error(StrCat("Token \"", start, "\" is invalid."));
      c = rest_[0];
      rest_.remove_prefix(1);
      switch (c) {
        case '"':
        case '\\':
        case '/': out->push_back(c); break;
        case 'b': out->push_back('\b'); break;
        case 'f': out->push_back('\f'); break;
        case 'n': out->push_back('\n'); break;
        case 'r': out->push_back('\r'); break;
        case 't': out->push_back('\t'); break;
        case 'u': RETURN_IF_ERROR(UnicodeEscape(out)); break;
        default: return Error(StrCat("Escape sequence \"\\", c, "\" is invalid."));
      }
    }
  }

  absl::Status Array(JsonValue* v, int depth) {
    v->kind = JsonValue::Kind::kArray;
    rest_.remove_prefix(1);
    Skip();
    if (!rest_.empty() && rest_[0] == ']') {
      rest_.remove_prefix(1);
      return absl::OkStatus();
    }
    while (true) {
      v->elements.emplace_back();
      RETURN_IF_ERROR(Value(&v->elements.back(), depth + 1));
      Skip();
      if (rest_.empty() || (rest_[0] != ',' && rest_[0] != ']')) return Unexpected("\",\" or \"]\"");
      bool end = rest_[0] == ']';
      rest_.remove_prefix(1);
      if (end) return absl::OkStatus();
    }
  }

  absl::Status Object(JsonValue* v, int depth) {
    v->kind = JsonValue::Kind::kObject;
    rest_.remove_prefix(1);
    Skip();
    if (!rest_.empty() && rest_[0] == '}') {
      rest_.remove_prefix(1);
      return absl::OkStatus();
    }
    while (true) {
      Skip();
      if (rest_.empty() || rest_[0] != '"') return Unexpected(v->members.empty() ? "string or \"}\"" : "string");
      v->members.emplace_back();
      RETURN_IF_ERROR(String(&v->members.back().first));
      Skip();
      if (rest_.empty() || rest_[0] != ':') return Unexpected("\":\"");
      rest_.remove_prefix(1);
      RETURN_IF_ERROR(Value(&v->members.back().second, depth + 1));
      Skip();
      if (rest_.empty() || (rest_[0] != ',' && rest_[0] != '}')) return Unexpected("\",\" or \"}\"");
      bool end = rest_[0] == '}';
      rest_.remove_prefix(1);
      if (end) return absl::OkStatus();
    }
  }

  std::string_view rest_;
  bool decode_unicode_;
};

bool KeyLess(const std::string& a, const std::string& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

int Rank(JsonValue::Kind k) {
  switch (k) {
    case JsonValue::Kind::kNull: return 0;
    case JsonValue::Kind::kString: return 1;
    case JsonValue::Kind::kNumber: return 2;
    case JsonValue::Kind::kBool: return 3;
    case JsonValue::Kind::kArray: return 4;
    case JsonValue::Kind::kObject: return 5;
  }
  return 0;
}

int CompareSizes(size_t a, size_t b) { return a < b ? -1 : a > b; }

uint64_t Combine(uint64_t h, uint64_t v) { return (h ^ v) * 0x9e3779b97f4a7c15ull + (h >> 29); }

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

const JsonValue* JsonValue::Member(std::string_view key) const {
  // The last of duplicates, as json's operators see it.
  for (size_t i = members.size(); i-- > 0;) {
    if (members[i].first == key) return &members[i].second;
  }
  return nullptr;
}

const JsonValue* JsonValue::Element(int64_t index) const {
  if (index < 0) index += static_cast<int64_t>(elements.size());
  if (index < 0 || index >= static_cast<int64_t>(elements.size())) return nullptr;
  return &elements[static_cast<size_t>(index)];
}

absl::StatusOr<JsonValue> ParseJson(std::string_view text, bool decode_unicode) { return Parser(text, decode_unicode).Parse(); }

void NormalizeJson(JsonValue* v) {
  for (auto& e : v->elements) NormalizeJson(&e);
  for (auto& m : v->members) NormalizeJson(&m.second);
  if (v->members.empty()) return;
  std::stable_sort(v->members.begin(), v->members.end(), [](const auto& a, const auto& b) { return KeyLess(a.first, b.first); });
  std::vector<JsonMember> unique;
  for (auto& m : v->members) {
    if (!unique.empty() && unique.back().first == m.first) unique.back().second = std::move(m.second);
    else unique.push_back(std::move(m));
  }
  v->members = std::move(unique);
}

absl::StatusOr<std::string> NormalizeJsonText(std::string_view text) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(text));
  NormalizeJson(&v);
  std::string out;
  AppendJson(v, true, &out);
  return out;
}

void AppendJsonString(std::string_view s, std::string* out) {
  out->push_back('"');
  for (char c : s) {
    switch (c) {
      case '"': out->append("\\\""); break;
      case '\\': out->append("\\\\"); break;
      case '\b': out->append("\\b"); break;
      case '\f': out->append("\\f"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char hex[8];
          std::snprintf(hex, sizeof(hex), "\\u%04x", static_cast<unsigned char>(c));
          out->append(hex);
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

void AppendJson(const JsonValue& v, bool spaced, std::string* out) {
  std::string_view comma = spaced ? ", " : ",", colon = spaced ? ": " : ":";
  switch (v.kind) {
    case JsonValue::Kind::kNull: out->append("null"); break;
    case JsonValue::Kind::kBool: out->append(v.boolean ? "true" : "false"); break;
    case JsonValue::Kind::kNumber: v.number.AppendTo(out); break;
    case JsonValue::Kind::kString: AppendJsonString(v.text, out); break;
    case JsonValue::Kind::kArray:
      out->push_back('[');
      for (size_t i = 0; i < v.elements.size(); ++i) {
        if (i > 0) out->append(comma);
        AppendJson(v.elements[i], spaced, out);
      }
      out->push_back(']');
      break;
    case JsonValue::Kind::kObject:
      out->push_back('{');
      for (size_t i = 0; i < v.members.size(); ++i) {
        if (i > 0) out->append(comma);
        AppendJsonString(v.members[i].first, out);
        out->append(colon);
        AppendJson(v.members[i].second, spaced, out);
      }
      out->push_back('}');
      break;
  }
}

void AppendJsonPretty(const JsonValue& v, int indent, std::string* out) {
  bool array = v.kind == JsonValue::Kind::kArray, object = v.kind == JsonValue::Kind::kObject;
  size_t count = array ? v.elements.size() : v.members.size();
  if (!array && !object) return AppendJson(v, true, out);
  out->push_back(array ? '[' : '{');
  for (size_t i = 0; i < count; ++i) {
    out->append(i > 0 ? ",\n" : "\n");
    out->append(static_cast<size_t>(indent + 1) * 4, ' ');
    if (object) {
      AppendJsonString(v.members[i].first, out);
      out->append(": ");
    }
    AppendJsonPretty(array ? v.elements[i] : v.members[i].second, indent + 1, out);
  }
  out->push_back('\n');
  out->append(static_cast<size_t>(indent) * 4, ' ');
  out->push_back(array ? ']' : '}');
}

int CompareJson(const JsonValue& a, const JsonValue& b) {
  if (a.kind != b.kind) return Rank(a.kind) < Rank(b.kind) ? -1 : 1;
  switch (a.kind) {
    case JsonValue::Kind::kNull: return 0;
    case JsonValue::Kind::kBool: return static_cast<int>(a.boolean) - static_cast<int>(b.boolean);
    case JsonValue::Kind::kNumber: return Numeric::Compare(a.number, b.number);
    case JsonValue::Kind::kString: return a.text.compare(b.text);
    case JsonValue::Kind::kArray: {
      if (int c = CompareSizes(a.elements.size(), b.elements.size())) return c;
      for (size_t i = 0; i < a.elements.size(); ++i) {
        if (int c = CompareJson(a.elements[i], b.elements[i])) return c;
      }
      return 0;
    }
    case JsonValue::Kind::kObject: {
      if (int c = CompareSizes(a.members.size(), b.members.size())) return c;
      for (size_t i = 0; i < a.members.size(); ++i) {
        if (int c = a.members[i].first.compare(b.members[i].first)) return c;
        if (int c = CompareJson(a.members[i].second, b.members[i].second)) return c;
      }
      return 0;
    }
  }
  return 0;
}

bool JsonContains(const JsonValue& a, const JsonValue& b) {
  if (a.kind == JsonValue::Kind::kObject && b.kind == JsonValue::Kind::kObject) {
    return std::all_of(b.members.begin(), b.members.end(), [&](const auto& m) {
      const JsonValue* found = a.Member(m.first);
      return found != nullptr && JsonContains(*found, m.second);
    });
  }
  auto is_container = [](const JsonValue& v) { return v.kind >= JsonValue::Kind::kArray; };
  if (a.kind == JsonValue::Kind::kArray && b.kind == JsonValue::Kind::kArray) {
    return std::all_of(b.elements.begin(), b.elements.end(), [&](const JsonValue& wanted) {
      return std::any_of(a.elements.begin(), a.elements.end(), [&](const JsonValue& have) {
        return is_container(wanted) ? have.kind == wanted.kind && JsonContains(have, wanted) : CompareJson(have, wanted) == 0;
      });
    });
  }
  return a.kind == b.kind && CompareJson(a, b) == 0;
}

uint64_t HashJson(const JsonValue& v) {
  uint64_t h = static_cast<uint64_t>(v.kind) + 0x27d4eb2f165667c5ull;
  switch (v.kind) {
    case JsonValue::Kind::kNull: break;
    case JsonValue::Kind::kBool: h = Combine(h, v.boolean); break;
    case JsonValue::Kind::kNumber: h = Combine(h, v.number.Hash()); break;
    case JsonValue::Kind::kString: h = Combine(h, XXH3_64bits(v.text.data(), v.text.size())); break;
    case JsonValue::Kind::kArray:
      for (const auto& e : v.elements) h = Combine(h, HashJson(e));
      break;
    case JsonValue::Kind::kObject:
      for (const auto& m : v.members) h = Combine(Combine(h, XXH3_64bits(m.first.data(), m.first.size())), HashJson(m.second));
      break;
  }
  return h;
}

}  // namespace insula::sql
