// Bounds on an index's columns → ranges of keys, or single keys.
//
//   index (a, b, c), a = 1 AND b IN (2, 3) AND c > 4:
//     [prefix 1 2 4+, prefix 1 2 end)  [prefix 1 3 4+, prefix 1 3 end)
//
// Ranges come sorted and disjoint, whatever the expressions say.
#ifndef INSULA_SQL_EXEC_KEY_RANGES_H_
#define INSULA_SQL_EXEC_KEY_RANGES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/plan/physical.h"
#include "sql/rowenc/row_codec.h"

namespace insula::sql {

struct KeyRange {
  std::string start, end;
};

class KeyRanges {
 public:
  // `codec` and `spans` must outlive it.
  KeyRanges(const RowCodec& codec, int index, const std::vector<KeySpan>& spans);

  // Evaluates the expressions. No spans at all: the whole index.
  absl::Status Compute(EvalContext& eval, std::vector<KeyRange>* out);
  // Where every span fixes all columns of a unique index: the keys themselves, sorted, without duplicates.
  absl::Status ComputePoints(EvalContext& eval, std::vector<std::string>* out);

 private:
  struct Prefix {
    KeyPrefix::Kind kind;
    std::vector<Evaluator> values;
    Oid element = 0;  // kInArray
  };
  struct Span {
    std::vector<Prefix> prefix;
    Evaluator lower, upper;
    bool lower_inclusive, upper_inclusive;
  };
  // The values that one prefix column may take; NULL only for kIsNull.
  absl::Status ValuesOf(EvalContext& eval, Prefix& prefix, std::vector<Datum>* out);
  absl::Status KeysOf(EvalContext& eval, Span& span, std::vector<std::string>* out);
  absl::Status AddRanges(EvalContext& eval, Span& span, std::vector<KeyRange>* out);

  const RowCodec* codec_;
  int index_;
  std::vector<Span> spans_;
};

bool Contains(const std::vector<KeyRange>& ranges, std::string_view key);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_KEY_RANGES_H_
