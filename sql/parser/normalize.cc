#include "sql/parser/normalize.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <set>

#include "base/strings.h"
#include "sql/parser/ast_walk.h"

namespace insula::sql {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIdentStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool IsIdent(char c) { return IsIdentStart(c) || IsDigit(c) || c == '$'; }

// Marks a literal in a key; cannot stand in SQL text outside of quotes.
constexpr char kMark = '\x01';

LiteralKind KindOfInteger(std::string_view digits) {
  int64_t v = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
  if (error != std::errc() || end != digits.data() + digits.size()) return LiteralKind::kNumeric;
  return v <= std::numeric_limits<int32_t>::max() ? LiteralKind::kInt4 : LiteralKind::kInt8;
}

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  std::optional<SqlShape> Run() {
    if (!StartsWell()) return std::nullopt;
    shape_.key.reserve(sql_.size());
    while (at_ < sql_.size()) {
      if (!Token()) return std::nullopt;
    }
    if (shape_.literals.empty() || shape_.literals.size() > kMaxLiterals) return std::nullopt;
    return std::move(shape_);
  }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  void Copy(size_t n) {
    shape_.key.append(sql_.substr(at_, n));
    at_ += n;
  }

  bool StartsWell() const {
    size_t i = 0;
    while (i < sql_.size() && (IsBlank(sql_[i]) || sql_[i] == '(')) ++i;
    std::string word = AsciiLower(sql_.substr(i, 6));
    return word == "select" || word == "insert" || word == "update" || word == "delete" || word.starts_with("with") || word == "values";
  }

  bool Token() {
    const char c = Peek();
    if (c == '\'') return String();
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (IsIdentStart(c)) return Word();
    if (c == '"') return CopyQuoted('"');
    if (c == '$') return Dollar();
    if (c == '-' && Peek(1) == '-') return LineComment();
    if (c == '/' && Peek(1) == '*') return BlockComment();
    if (c == ';') return OnlyBlanksFollow();
    if (c == kMark) return false;
    Copy(1);
    return true;
  }

  // From an opening quote to its closing one, doubled quotes inside. False if it does not end.
  bool FindEnd(char quote, size_t* end) const {
    size_t i = at_ + 1;
    while (i < sql_.size()) {
      if (sql_[i] == quote) {
        if (i + 1 < sql_.size() && sql_[i + 1] == quote) {
          i += 2;
          continue;
        }
        *end = i + 1;
        return true;
      }
      ++i;
    }
    return false;
  }

  bool CopyQuoted(char quote) {
    size_t end = 0;
    if (!FindEnd(quote, &end)) return false;
    Copy(end - at_);
    return true;
  }

  bool String() {
    size_t end = 0;
    if (!FindEnd('\'', &end)) return false;
    SqlLiteral literal{LiteralKind::kString, "", at_};
    for (size_t i = at_ + 1; i + 1 < end; ++i) {
      literal.text.push_back(sql_[i]);
      if (sql_[i] == '\'') ++i;  // doubled
    }
    // 'a' <newline> 'b' is one constant: rare enough to leave alone.
    size_t next = end;
    while (next < sql_.size() && IsBlank(sql_[next])) ++next;
    if (next < sql_.size() && sql_[next] == '\'') return false;
    at_ = end;
    Add(std::move(literal), 's');
    return true;
  }

  bool Number() {
    size_t i = at_;
    bool integer = true;
    while (i < sql_.size() && IsDigit(sql_[i])) ++i;
    if (i < sql_.size() && sql_[i] == '.') {
      if (i + 1 < sql_.size() && sql_[i + 1] == '.') return false;  // 1..2
      integer = false;
      ++i;
      while (i < sql_.size() && IsDigit(sql_[i])) ++i;
    }
    if (i < sql_.size() && (sql_[i] == 'e' || sql_[i] == 'E')) {
      size_t k = i + 1;
      if (k < sql_.size() && (sql_[k] == '+' || sql_[k] == '-')) ++k;
      if (k < sql_.size() && IsDigit(sql_[k])) {
        integer = false;
        while (k < sql_.size() && IsDigit(sql_[k])) ++k;
        i = k;
      }
    }
    if (i < sql_.size() && IsIdentStart(sql_[i])) return false;  // 1a: let the grammar judge
    std::string_view digits = sql_.substr(at_, i - at_);
    if (digits == "2147483648" || digits == "9223372036854775808") {
      Copy(digits.size());  // its type depends on whether a minus sign stands before it
      return true;
    }
    LiteralKind kind = integer ? KindOfInteger(digits) : LiteralKind::kNumeric;
    SqlLiteral literal{kind, std::string(digits), at_};
    at_ = i;
    Add(std::move(literal), kind == LiteralKind::kInt4 ? 'i' : kind == LiteralKind::kInt8 ? 'l' : 'n');
    return true;
  }

  void Add(SqlLiteral literal, char mark) {
    shape_.key.push_back(kMark);
    shape_.key.push_back(mark);
    shape_.literals.push_back(std::move(literal));
  }

  bool Word() {
    size_t i = at_;
    while (i < sql_.size() && IsIdent(sql_[i])) ++i;
    std::string_view word = sql_.substr(at_, i - at_);
    const char next = i < sql_.size() ? sql_[i] : '\0';
    // E'…', B'…', X'…', N'…', U&'…', U&"…": other rules inside; leave such texts alone.
    if (word.size() == 1 && next == '\'' && std::string_view("eEbBxXnN").find(word[0]) != std::string_view::npos) return false;
    if ((word == "u" || word == "U") && next == '&') return false;
    Copy(word.size());
    return true;
  }

  bool Dollar() {
    if (IsDigit(Peek(1))) return false;  // $1
    size_t i = at_ + 1;
    while (i < sql_.size() && IsIdent(sql_[i]) && sql_[i] != '$') ++i;
    if (i >= sql_.size() || sql_[i] != '$') return false;
    std::string_view tag = sql_.substr(at_, i + 1 - at_);
    size_t end = sql_.find(tag, i + 1);
    if (end == std::string_view::npos) return false;
    Copy(end + tag.size() - at_);
    return true;
  }

  bool LineComment() {
    size_t end = sql_.find('\n', at_);
    at_ = end == std::string_view::npos ? sql_.size() : end;
    return true;
  }

  bool BlockComment() {
    int depth = 0;
    while (at_ < sql_.size()) {
      if (Peek() == '/' && Peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (Peek() == '*' && Peek(1) == '/') {
        at_ += 2;
        if (--depth == 0) {
          shape_.key.push_back(' ');
          return true;
        }
      } else {
        ++at_;
      }
    }
    return false;
  }

  bool OnlyBlanksFollow() {
    while (at_ < sql_.size() && (IsBlank(sql_[at_]) || sql_[at_] == ';')) ++at_;
    return at_ == sql_.size();
  }

  std::string_view sql_;
  size_t at_ = 0;
  SqlShape shape_;
};

// Whether the tree's constant is what the literal says, after a minus sign or not.
bool SameValue(const ast::Constant& c, const SqlLiteral& l, bool negative) {
  switch (c.constant) {
    case ast::ConstantKind::kInteger:
      return l.kind == LiteralKind::kInt4 && (negative ? c.integer <= 0 : c.integer >= 0);
    case ast::ConstantKind::kFloat:
      return (l.kind == LiteralKind::kNumeric || l.kind == LiteralKind::kInt8 || l.kind == LiteralKind::kInt4) && c.text.starts_with('-') == negative;
    case ast::ConstantKind::kString:
      return l.kind == LiteralKind::kString && c.text == l.text && !negative;
    default:
      return false;
  }
}

}  // namespace

std::optional<SqlShape> NormalizeSql(std::string_view sql) { return Lexer(sql).Run(); }

bool LiteralParameters::Matches(const SqlShape& shape) const {
  for (const Fixed& f : fixed) {
    if (f.literal >= shape.literals.size() || shape.literals[f.literal].text != f.text) return false;
  }
  return true;
}

LiteralParameters ParameterizeLiterals(std::string_view sql, const SqlShape& shape, ParsedStatement* statement) {
  // Character positions of the literals, and of a minus sign right before one: there a negative constant begins.
  std::map<int, size_t> by_position;
  size_t byte = 0;
  int character = 0;
  std::vector<int> character_of(sql.size() + 1, 0);
  for (; byte < sql.size(); ++byte) {
    if ((static_cast<unsigned char>(sql[byte]) & 0xC0) != 0x80) ++character;
    character_of[byte] = character;
  }
  std::map<int, size_t> negative_position;
  for (size_t i = 0; i < shape.literals.size(); ++i) {
    size_t p = shape.literals[i].position;
    by_position[character_of[p]] = i;
    while (p > 0 && IsBlank(sql[p - 1])) --p;
    if (p > 0 && sql[p - 1] == '-') negative_position[character_of[p - 1]] = i;
  }

  LiteralParameters out;
  std::vector<bool> used(shape.literals.size(), false);
  std::set<const ast::Expr*> kept;
  ast::WalkExpressions(*statement->statement, [&](ast::ExprPtr& e) {
    // INTERVAL '3' MONTH: the modifier says what the text means, and parameters have none.
    if (const auto* cast = e->TryAs<ast::TypeCast>()) {
      if (!cast->type.modifiers.empty() && !cast->type.names.empty() && cast->type.names.back() == "interval") kept.insert(cast->arg.get());
    }
    const auto* c = e->TryAs<ast::Constant>();
    if (c == nullptr || c->position == 0 || kept.count(c) != 0) return;
    auto it = by_position.find(c->position);
    const bool negative = it == by_position.end();  // of "- 0", too: the next text of this shape may say "- 5"
    if (negative) {
      it = negative_position.find(c->position);
      if (it == negative_position.end()) return;
    }
    const SqlLiteral& literal = shape.literals[it->second];
    if (used[it->second] || !SameValue(*c, literal, negative)) return;
    used[it->second] = true;
    auto parameter = std::make_unique<ast::Parameter>();
    parameter->position = c->position;
    out.parameters.push_back({it->second, negative, literal.kind});
    parameter->number = static_cast<int>(out.parameters.size());
    e = std::move(parameter);
  });
  for (size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) out.fixed.push_back({i, shape.literals[i].text});
  }
  statement->parameter_count = static_cast<int>(out.parameters.size());
  return out;
}

}  // namespace insula::sql
