// Cuts the text of a date, time or timestamp into fields:
//
//   "Wed Dec 17 07:37:16.5 1997 PST"   → word word number time number word
//   "20011225T040506+02"               → number word(t) number offset
#ifndef INSULA_SQL_TYPES_DATETIME_SPLIT_H_
#define INSULA_SQL_TYPES_DATETIME_SPLIT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace insula::sql {

enum class FieldKind : uint8_t { kNumber, kTime, kDate, kWord, kOffset };
struct Field {
  FieldKind kind;
  std::string text;  // words in lower case
};

// False where the text has something that belongs to no date, or too many fields.
bool SplitDateTime(std::string_view text, std::vector<Field>* out);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_DATETIME_SPLIT_H_
