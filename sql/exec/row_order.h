// The order of an ORDER BY: its keys, evaluated and compared.
#ifndef INSULA_SQL_EXEC_ROW_ORDER_H_
#define INSULA_SQL_EXEC_ROW_ORDER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/plan/sort_key.h"
#include "sql/types/vector.h"

namespace insula::sql {

class RowOrder {
 public:
  explicit RowOrder(const std::vector<SortKey>& keys);
  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }

  // One column per key.
  absl::Status Evaluate(EvalContext& eval, const RowView& rows, Batch* keys);
  // Rows of key batches.
  int Compare(const Batch& a, size_t i, const Batch& b, size_t j) const;
  // The rows of `keys` in order; equal ones as they came.
  void Sort(const Batch& keys, std::vector<uint32_t>* order) const;

 private:
  struct Key {
    Evaluator expr;
    bool descending;
    bool nulls_first;
  };
  int CompareFrom(size_t key, const Batch& a, size_t i, const Batch& b, size_t j) const;
  std::vector<Key> keys_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_ROW_ORDER_H_
