#include "kv/placement/balance.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace insula::kv::placement {

Balance::Balance(const std::vector<const StoreView*>& stores, std::vector<Figure> figures) {
  for (Figure& figure : figures) {
    Entry& e = entries_.emplace_back();
    for (const StoreView* s : stores) e.mean += figure.of(*s) / static_cast<double>(stores.size());
    e.band = std::max(figure.least, e.mean * figure.margin);
    e.figure = std::move(figure);
  }
}

bool Balance::Worth(const Entry& e, const StoreView& from, const StoreView& to) {
  const double a = e.figure.of(from), b = e.figure.of(to), moved = e.figure.moved;
  if (moved <= 0 || a - moved < b + moved) return false;
  if (a - b > 2 * e.band + moved) return true;
  return (a > e.mean + e.band && b + moved <= e.mean) || (b < e.mean - e.band && a - moved >= e.mean);
}

bool Balance::Harms(const Entry& e, const StoreView& from, const StoreView& to) {
  const double a = e.figure.of(from) - e.figure.moved, b = e.figure.of(to) + e.figure.moved;
  return b > a && (b > e.mean + e.band || a < e.mean - e.band);
}

bool Balance::Improves(const StoreView& from, const StoreView& to) const {
  bool worth = false;
  for (const Entry& e : entries_) {
    if (Harms(e, from, to)) return false;
    worth = worth || Worth(e, from, to);
  }
  return worth;
}

double Balance::Excess(const StoreView& store) const {
  double most = -std::numeric_limits<double>::infinity();
  for (const Entry& e : entries_) most = std::max(most, e.band > 0 ? (e.figure.of(store) - e.mean) / e.band : 0);
  return most;
}

double Balance::Gap(const StoreView& from, const StoreView& to) const {
  double most = -std::numeric_limits<double>::infinity();
  for (const Entry& e : entries_) most = std::max(most, e.band > 0 ? (e.figure.of(from) - e.figure.of(to)) / e.band : 0);
  return most;
}

}  // namespace insula::kv::placement
