#include "sql/exec/row_order.h"

#include <algorithm>
#include <numeric>

#include "base/status_macros.h"

namespace insula::sql {

RowOrder::RowOrder(const std::vector<SortKey>& keys) {
  for (const SortKey& k : keys) keys_.push_back({Evaluator(k.expr), k.descending, k.nulls_first});
}

absl::Status RowOrder::Evaluate(EvalContext& eval, const RowView& rows, Batch* keys) {
  keys->columns.resize(keys_.size());
  for (size_t k = 0; k < keys_.size(); ++k) {
    ASSIGN_OR_RETURN(const Vector* v, keys_[k].expr.Evaluate(eval, rows));
    keys->columns[k].Slice(*v, 0, rows.rows);
  }
  keys->rows = rows.rows;
  return absl::OkStatus();
}

int RowOrder::CompareFrom(size_t key, const Batch& a, size_t i, const Batch& b, size_t j) const {
  for (size_t k = key; k < keys_.size(); ++k) {
    const Vector &x = a.columns[k], &y = b.columns[k];
    bool xn = x.IsNull(i), yn = y.IsNull(j);
    if (xn || yn) {
      if (xn && yn) continue;
      return xn == keys_[k].nulls_first ? -1 : 1;
    }
    int c = Vector::Compare(x, i, y, j);
    if (c != 0) return keys_[k].descending ? -c : c;
  }
  return 0;
}

int RowOrder::Compare(const Batch& a, size_t i, const Batch& b, size_t j) const { return CompareFrom(0, a, i, b, j); }

void RowOrder::Sort(const Batch& keys, std::vector<uint32_t>* order) const {
  order->resize(keys.rows);
  std::iota(order->begin(), order->end(), 0u);
  if (keys_.empty() || keys.rows == 0) return;  // keys of no rows may have no columns
  const Vector& first = keys.columns[0];
  if (first.kind() == PhysicalKind::kInt && !first.MayHaveNulls()) {  // the common case without calls
    const int64_t* v = first.ints();
    bool descending = keys_[0].descending, more = keys_.size() > 1;
    std::stable_sort(order->begin(), order->end(), [&](uint32_t a, uint32_t b) {
      if (v[a] != v[b]) return descending ? v[a] > v[b] : v[a] < v[b];
      return more && CompareFrom(1, keys, a, keys, b) < 0;
    });
    return;
  }
  std::stable_sort(order->begin(), order->end(), [&](uint32_t a, uint32_t b) { return CompareFrom(0, keys, a, keys, b) < 0; });
}

}  // namespace insula::sql
