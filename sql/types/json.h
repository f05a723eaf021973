// JSON values: parsing with PostgreSQL's errors, jsonb's normal form, order and hash.
//
// A jsonb value lies in memory as its normalised text: keys sorted (shorter first, then bytes), duplicates dropped (the last
// wins), one space after ':' and ','. A json value is the text as it came.
#ifndef INSULA_SQL_TYPES_JSON_H_
#define INSULA_SQL_TYPES_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/numeric.h"

namespace insula::sql {

struct JsonMember;

struct JsonValue {
  JsonValue();
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();

  enum class Kind : uint8_t { kNull, kString, kNumber, kBool, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text;     // strings: decoded
  Numeric number;
  std::string_view raw;              // the text it was parsed from, within ParseJson's argument; empty for values made otherwise
  std::vector<JsonValue> elements;   // arrays
  std::vector<JsonMember> members;   // objects: in order of input, or jsonb's

  // nullptr if there is no such member / element (negative: from the end).
  const JsonValue* Member(std::string_view key) const;
  const JsonValue* Element(int64_t index) const;
};

struct JsonMember {
  std::string first;
  JsonValue second;
};

// 22P02 `invalid input syntax for type json` with detail. `decode_unicode` false: \u escapes are checked but not decoded, as json
// input does, so that ones that no text can hold pass.
absl::StatusOr<JsonValue> ParseJson(std::string_view text, bool decode_unicode = true);
// Sorts and dedupes members, recursively.
void NormalizeJson(JsonValue* v);
// jsonb's input: parse, normalise, print.
absl::StatusOr<std::string> NormalizeJsonText(std::string_view text);

// `spaced`: ", " and ": " as jsonb prints.
void AppendJson(const JsonValue& v, bool spaced, std::string* out);
void AppendJsonPretty(const JsonValue& v, int indent, std::string* out);
void AppendJsonString(std::string_view s, std::string* out);

// jsonb's B-tree order: Object > Array > Boolean > Number > String > Null. Normalised values.
int CompareJson(const JsonValue& a, const JsonValue& b);
// jsonb @>.
bool JsonContains(const JsonValue& a, const JsonValue& b);
uint64_t HashJson(const JsonValue& v);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_JSON_H_
