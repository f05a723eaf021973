// Statement shapes: SQL text with its literals taken out, so that texts which differ in literals alone share one plan.
//
//   update t set a = a + 5 where id = 17        key: update t set a = a + #i where id = #i     literals: 5, 17
//
// A session goes:
//   1. NormalizeSql(text). No shape: parse and plan the text as it is.
//   2. Look the key up. On a hit, compare `fixed` literals (those that did not become parameters), then run the cached plan
//      with the others as parameters. No parsing.
//   3. On a miss, ParseSql(text), ParameterizeLiterals(&statement, shape), bind and plan; cache under the key. If binding
//      fails with parameters where it would not without (GROUP BY f(1) and SELECT f(1) are no longer the same expression),
//      plan the text as it is and remember the key as one that does not pay.
// Only the lexer of ParseSql is repeated here; it takes well under a microsecond for a point statement.
#ifndef INSULA_SQL_PARSER_NORMALIZE_H_
#define INSULA_SQL_PARSER_NORMALIZE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/parser/parser.h"

namespace insula::sql {

// What a literal is to the grammar; decides the parameter's type. An integer past 64 bits is kNumeric.
enum class LiteralKind : uint8_t { kInt4, kInt8, kNumeric, kString };

struct SqlLiteral {
  LiteralKind kind = LiteralKind::kString;
  std::string text;     // digits, or the string's value without quotes
  size_t position = 0;  // byte offset in the text
};

struct SqlShape {
  std::string key;
  std::vector<SqlLiteral> literals;
};

// nullopt: not worth it or not possible: several statements, not SELECT/INSERT/UPDATE/DELETE, has $n, has more than
// kMaxLiterals literals.
inline constexpr size_t kMaxLiterals = 256;
std::optional<SqlShape> NormalizeSql(std::string_view sql);

// How the literals of a shape feed a plan.
struct LiteralParameters {
  struct Parameter {
    size_t literal = 0;     // index into SqlShape::literals
    bool negative = false;  // -5 is one constant to the grammar
    LiteralKind kind = LiteralKind::kString;
  };
  struct Fixed {
    size_t literal = 0;
    std::string text;
  };
  std::vector<Parameter> parameters;  // $1 first
  std::vector<Fixed> fixed;           // must be the same text for the plan to apply

  bool Matches(const SqlShape& shape) const;
};

// Replaces the literals in `statement` (parsed from `sql`, of that shape) by parameters $1, $2, …
LiteralParameters ParameterizeLiterals(std::string_view sql, const SqlShape& shape, ParsedStatement* statement);

}  // namespace insula::sql

#endif  // INSULA_SQL_PARSER_NORMALIZE_H_
