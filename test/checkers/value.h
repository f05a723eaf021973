// A value as histories carry them: what EDN and JSON can say, in one ordered type.
//
//   kind      | number     | text | items
//   ----------+------------+------+-----------------------------------------
//   bool, int | the value  |      |
//   real      |            |      |          (`real` holds it)
//   string, keyword, symbol|  *   |
//   list      |            |      | as written (EDN lists and vectors, JSON arrays)
//   set       |            |      | sorted, without duplicates
//   map       |            |      | key, value, key, value...; sorted by key
//
// Keywords and strings are different values; Named() looks at the text of either, as JSON has no keywords.
#ifndef INSULA_TEST_CHECKERS_VALUE_H_
#define INSULA_TEST_CHECKERS_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace insula::checkers {

struct Value {
  enum class Kind { kNil, kBool, kInt, kReal, kString, kKeyword, kSymbol, kList, kSet, kMap };

  static Value Bool(bool b);
  static Value Int(int64_t number);
  static Value Real(double real);
  static Value Text(Kind kind, std::string text);
  static Value List(std::vector<Value> items);
  static Value Set(std::vector<Value> items);
  // `items`: key, value, key, value...; of equal keys the last one stays.
  static Value Map(std::vector<Value> items);

  bool is_nil() const { return kind == Kind::kNil; }
  bool is_int() const { return kind == Kind::kInt; }
  bool is_collection() const { return kind == Kind::kList || kind == Kind::kSet; }
  bool Named(std::string_view name) const;
  // The value under a key of that text, in a map; otherwise nullptr.
  const Value* Get(std::string_view name) const;
  // As EDN.
  std::string ToString() const;

  Kind kind = Kind::kNil;
  int64_t number = 0;
  double real = 0;
  std::string text;
  std::vector<Value> items;
};

// Less than, equal or greater than 0. Total: values of different kinds are ordered by kind.
int Compare(const Value& a, const Value& b);
inline bool operator==(const Value& a, const Value& b) { return Compare(a, b) == 0; }
inline bool operator<(const Value& a, const Value& b) { return Compare(a, b) < 0; }

// All forms of an EDN text, one after the other. Tagged elements (#inst "...", #record{...}) give what is tagged.
absl::StatusOr<std::vector<Value>> ParseEdn(std::string_view text);
// One JSON document.
absl::StatusOr<Value> ParseJson(std::string_view text);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_VALUE_H_
