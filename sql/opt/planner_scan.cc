// Access paths: which index reads a table, over which ranges of keys, in which order.
//
// For each readable index the conjuncts are matched against its columns from the first on: equalities (=, IN, = ANY, IS NULL)
// extend the prefix, the first column without one may take a range. What the ranges say exactly is dropped from the filter.
#include <algorithm>

#include "sql/opt/cost.h"
#include "sql/opt/planner.h"

namespace insula::sql {
namespace {

// The conjuncts that one index column is bound by.
struct ColumnMatch {
  std::optional<KeyPrefix> prefix;
  ExprPtr prefix_conjunct;
  ExprPtr lower, upper;
  bool lower_inclusive = false, upper_inclusive = false;
  std::vector<ExprPtr> range_conjuncts;    // said by the range exactly
};

ExprPtr StripRelabel(const ExprPtr& e) {
  if (e->kind == ExprKind::kCast && IsBinaryCoercible(e->args[0]->type.oid, e->type.oid) && e->type.typmod < 0) return StripRelabel(e->args[0]);
  return e;
}

// Whether keys of a column of one type can be made of values of the other: see KeySpan.
bool SameKeyType(Oid column, Oid value) {
  if (column == value) return true;
  if (IsInteger(column) && IsInteger(value)) return true;
  auto text = [](Oid t) { return t == oid::kText || t == oid::kVarchar; };
  return text(column) && text(value);
}

// The next string that does not begin with `prefix`: an exclusive upper bound of those that do.
std::optional<std::string> AfterPrefix(std::string prefix) {
  while (!prefix.empty()) {
    unsigned char c = static_cast<unsigned char>(prefix.back());
    if (c < 0x7f) {  // stays valid UTF-8
      prefix.back() = static_cast<char>(c + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return std::nullopt;
}

class Matcher {
 public:
  Matcher(const ExprPtr& key, Oid type) : key_(key), type_(type) {}

  // Takes what `c` says of the column.
  void Take(const ExprPtr& c, ColumnMatch* m) {
    switch (c->kind) {
      case ExprKind::kFunction: return TakeOperator(c, m);
      case ExprKind::kNullTest:
        if (!c->As<NullTestExpr>().negated && Is(c->args[0])) Prefix(KeyPrefix::kIsNull, {}, c, m);
        return;
      case ExprKind::kInList: {
        const auto& in = c->As<InListExpr>();
        if (in.negated || !Is(in.args[0])) return;
        std::vector<ExprPtr> values(in.args.begin() + 1, in.args.end());
        for (const auto& v : values) {
          if (!IsRowIndependent(v) || !SameKeyType(type_, v->type.oid)) return;
        }
        Prefix(KeyPrefix::kIn, std::move(values), c, m);
        return;
      }
      case ExprKind::kQuantified: {
        const auto& q = c->As<QuantifiedExpr>();
        if (q.all || q.op->name != "=" || !Is(q.args[0]) || !IsRowIndependent(q.args[1])) return;
        if (!SameKeyType(type_, ElementTypeOf(q.args[1]->type.oid))) return;
        Prefix(KeyPrefix::kInArray, {q.args[1]}, c, m);
        return;
      }
      case ExprKind::kColumn:  // a boolean column by itself
        if (type_ == oid::kBool && Is(c)) Prefix(KeyPrefix::kEqual, {MakeBool(true)}, c, m);
        return;
      case ExprKind::kNot:
        if (type_ == oid::kBool && Is(c->args[0])) Prefix(KeyPrefix::kEqual, {MakeBool(false)}, c, m);
        return;
      case ExprKind::kRowCompare: return TakeRow(c->As<RowCompareExpr>(), m);
      default: return;
    }
  }

 private:
  bool Is(const ExprPtr& e) const { return ExprEquals(e, key_) || ExprEquals(StripRelabel(e), key_); }

  void Prefix(KeyPrefix::Kind kind, std::vector<ExprPtr> values, const ExprPtr& conjunct, ColumnMatch* m) {
    if (m->prefix && (m->prefix->kind == KeyPrefix::kEqual || kind != KeyPrefix::kEqual)) return;  // one is enough; = is the best
    m->prefix = KeyPrefix{kind, std::move(values)};
    m->prefix_conjunct = conjunct;
  }

  void TakeOperator(const ExprPtr& c, ColumnMatch* m) {
    const auto& f = c->As<FunctionExpr>();
    if (f.op == nullptr || f.args.size() != 2) return;
    std::string_view op = f.op->name;
    size_t side = Is(f.args[0]) ? 0 : Is(f.args[1]) ? 1 : 2;
    if (side == 2) return;
    const ExprPtr& value = f.args[1 - side];
    if (!IsRowIndependent(value)) return;
    if (op == "~~" && side == 0) return TakeLike(value, m);
    if (!SameKeyType(type_, value->type.oid)) return;
    if (op == "=") return Prefix(KeyPrefix::kEqual, {value}, c, m);
    if (side == 1) op = op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
    if ((op == ">" || op == ">=") && m->lower == nullptr) {
      m->lower = value;
      m->lower_inclusive = op == ">=";
      m->range_conjuncts.push_back(c);
    } else if ((op == "<" || op == "<=") && m->upper == nullptr) {
      m->upper = value;
      m->upper_inclusive = op == "<=";
      m->range_conjuncts.push_back(c);
    }
  }

  // LIKE 'abc%': between 'abc' and what comes after it. The pattern stays in the filter unless it says no more.
  void TakeLike(const ExprPtr& pattern, ColumnMatch* m) {
    const auto* c = pattern->TryAs<ConstantExpr>();
    if (c == nullptr || c->value.is_null() || m->lower != nullptr || m->upper != nullptr || type_ == oid::kBpchar || !IsString(type_)) return;
    std::string prefix;
    const std::string& text = c->value.bytes_value();
    for (size_t i = 0; i < text.size() && text[i] != '%' && text[i] != '_'; ++i) {
      if (text[i] == '\\') return;
      prefix.push_back(text[i]);
    }
    if (prefix.empty()) return;
    auto after = AfterPrefix(prefix);
    if (!after) return;
    const SqlType type{oid::kText, -1};
    m->lower = std::make_shared<ConstantExpr>(type, Datum::Bytes(prefix));
    m->lower_inclusive = true;
    m->upper = std::make_shared<ConstantExpr>(type, Datum::Bytes(*after));
    m->upper_inclusive = false;
  }

  // (a, b) > (x, y): a is at least x; the comparison itself stays in the filter.
  void TakeRow(const RowCompareExpr& r, ColumnMatch* m) {
    const size_t n = r.args.size() / 2;
    const ExprPtr& value = r.args[n];
    if (!Is(r.args[0]) || !IsRowIndependent(value) || !SameKeyType(type_, value->type.oid)) return;
    const bool greater = r.op == RowCompareOp::kGreater || r.op == RowCompareOp::kGreaterEqual;
    ExprPtr& bound = greater ? m->lower : m->upper;
    if (bound != nullptr) return;
    bound = value;
    (greater ? m->lower_inclusive : m->upper_inclusive) = true;
  }

  const ExprPtr& key_;
  Oid type_;
};

}  // namespace

absl::StatusOr<SubPlan> Planner::PlanScan(LogicalScan& scan, std::vector<ExprPtr> conjuncts, const Wanted& wanted) {
  const TableInfo& table = *scan.table;
  const std::vector<PhysicalColumn> output = OutputOf(scan.columns);
  const double table_rows = Statistics::TableRows(table);
  const double out_rows = std::max(1.0, table_rows * statistics_.Selectivity(conjuncts));
  if (table.PrimaryIndex() == nullptr) {
    auto node = std::make_shared<PhysicalVirtualScan>();
    node->table = scan.table;
    node->columns = scan.ordinals;
    node->alias = scan.alias;
    node->output = output;
    node->width = WidthOf(output);
    if (!conjuncts.empty()) node->filter = Slotted(MakeAnd(conjuncts), scan.columns);
    node->row_estimate = out_rows;
    node->total_cost = table_rows * (kScanRowCost + kExprCost * static_cast<double>(conjuncts.size()));
    SubPlan plan;
    plan.node = node;
    return plan;
  }

  // Ids of all the table's columns: conjuncts and index expressions may name those that are not read.
  std::map<int, ColumnId> id_of;
  for (size_t i = 0; i < scan.ordinals.size(); ++i) id_of[scan.ordinals[i]] = scan.columns[i];
  ColumnSet filter_columns;
  for (const auto& c : conjuncts) CollectColumns(c, &filter_columns);

  std::optional<SubPlan> best;
  double best_score = 0;
  for (size_t x = 0; x < table.indexes.size(); ++x) {
    const IndexInfo& index = table.indexes[x];
    if (!index.readable || (x > 0 && !options_.enable_indexscan)) continue;
    const IndexSpec* spec = nullptr;
    for (const auto& s : scan.index_specs) {
      if (s.index == static_cast<int>(x)) spec = &s;
    }
    std::vector<ExprPtr> left = conjuncts;
    if (!index.predicate.empty()) {
      // Usable when the query asks for at least what the predicate says.
      if (spec == nullptr || spec->predicate == nullptr) continue;
      std::vector<ExprPtr> needed;
      SplitConjuncts(spec->predicate, &needed);
      const bool implied = std::all_of(needed.begin(), needed.end(), [&](const ExprPtr& n) {
        return std::any_of(conjuncts.begin(), conjuncts.end(), [&](const ExprPtr& c) { return ExprEquals(c, n); });
      });
      if (!implied) continue;
      std::erase_if(left, [&](const ExprPtr& c) { return std::any_of(needed.begin(), needed.end(), [&](const ExprPtr& n) { return ExprEquals(c, n); }); });
    }

    KeySpan span;
    std::vector<ExprPtr> said;
    double ranges = 1, selectivity = 1;
    size_t equal_columns = 0;
    ColumnSet constants;
    for (size_t k = 0; k < index.columns.size(); ++k) {
      const IndexColumnInfo& column = index.columns[k];
      ExprPtr key;
      if (column.ordinal >= 0) {
        auto id = id_of.find(column.ordinal);
        if (id == id_of.end()) break;  // not read, so not mentioned
        key = MakeColumn(id->second, table.columns[column.ordinal].type);
      } else if (spec != nullptr && k < spec->exprs.size()) {
        key = spec->exprs[k];
      }
      if (key == nullptr) break;
      ColumnMatch m;
      Matcher matcher(key, column.ordinal >= 0 ? table.columns[column.ordinal].type.oid : column.type.oid);
      for (const auto& c : left) matcher.Take(c, &m);
      if (m.prefix) {
        const size_t values = m.prefix->kind == KeyPrefix::kIn ? m.prefix->values.size() : m.prefix->kind == KeyPrefix::kInArray ? 10 : 1;
        if (ranges * static_cast<double>(values) > 10000) break;
        ranges *= static_cast<double>(values);
        selectivity *= statistics_.Selectivity(m.prefix_conjunct);
        said.push_back(m.prefix_conjunct);
        if (m.prefix->kind == KeyPrefix::kEqual || m.prefix->kind == KeyPrefix::kIsNull) {
          if (key->kind == ExprKind::kColumn) constants.insert(key->As<ColumnExpr>().column);
        }
        span.prefix.push_back(*std::move(m.prefix));
        ++equal_columns;
        continue;
      }
      if (m.lower != nullptr || m.upper != nullptr) {
        span.lower = m.lower;
        span.upper = m.upper;
        span.lower_inclusive = m.lower_inclusive;
        span.upper_inclusive = m.upper_inclusive;
        selectivity *= m.range_conjuncts.empty() ? 0.05 : statistics_.Selectivity(m.range_conjuncts);
        said.insert(said.end(), m.range_conjuncts.begin(), m.range_conjuncts.end());
      }
      break;
    }
    const bool bounded = !span.prefix.empty() || span.lower != nullptr || span.upper != nullptr;
    const bool point = index.unique && equal_columns == index.columns.size() &&
                       std::none_of(span.prefix.begin(), span.prefix.end(), [](const KeyPrefix& p) { return p.kind == KeyPrefix::kIsNull; });
    std::vector<ExprPtr> filter;
    for (const auto& c : left) {
      if (std::none_of(said.begin(), said.end(), [&](const ExprPtr& s) { return s == c; })) filter.push_back(c);
    }
    // Columns that the index has: its own, the primary key's, INCLUDE's.
    std::set<int> covered(index.include.begin(), index.include.end());
    for (const auto& c : index.columns) {
      if (c.ordinal >= 0) covered.insert(c.ordinal);
    }
    for (const auto& c : table.PrimaryIndex()->columns) covered.insert(c.ordinal);
    const bool index_join = x > 0 && std::any_of(scan.ordinals.begin(), scan.ordinals.end(), [&](int o) { return !covered.contains(o); });
    if (x > 0 && !bounded && index_join && wanted.ordering.empty() && index.predicate.empty()) continue;

    // The order that the rows come in.
    SubPlan plan;
    plan.constants = constants;
    for (size_t k = 0; k < index.columns.size(); ++k) {
      const IndexColumnInfo& column = index.columns[k];
      auto id = column.ordinal >= 0 ? id_of.find(column.ordinal) : id_of.end();
      if (id == id_of.end()) break;
      if (table.columns[column.ordinal].not_null) plan.not_null.insert(id->second);
      if (constants.contains(id->second)) continue;
      plan.ordering.push_back({id->second, column.descending, column.nulls_first});
    }
    for (size_t i = 0; i < scan.columns.size(); ++i) {
      if (table.columns[scan.ordinals[i]].not_null) plan.not_null.insert(scan.columns[i]);
    }
    if (!index.unique && plan.ordering.size() + constants.size() >= index.columns.size()) {
      // Entries with the same columns follow each other in the order of the primary key, which ends their keys.
      plan.unique = true;
      for (const auto& k : table.PrimaryIndex()->columns) {
        const bool own = std::any_of(index.columns.begin(), index.columns.end(), [&](const IndexColumnInfo& c) { return c.ordinal == k.ordinal; });
        if (own) continue;
        auto id = id_of.find(k.ordinal);
        if (id == id_of.end()) {
          plan.unique = false;
          break;
        }
        plan.ordering.push_back({id->second, k.descending, k.nulls_first});
      }
      plan.unique_prefix = plan.ordering.size();
    }
    if (index.unique) {
      // Complete when every key column is in the order or constant, and none is NULL.
      bool complete = true;
      for (const auto& c : index.columns) {
        complete = complete && c.ordinal >= 0 && id_of.contains(c.ordinal) && (table.columns[c.ordinal].not_null || index.nulls_not_distinct);
      }
      plan.unique = complete;
      plan.unique_prefix = plan.ordering.size();
    }
    bool reverse = false;
    const bool ordered = !wanted.ordering.empty() && Satisfies(plan, wanted.ordering);
    if (!ordered && !wanted.ordering.empty()) {
      SubPlan backward = plan;
      for (OrderColumn& o : backward.ordering) {
        o.descending = !o.descending;
        o.nulls_first = !o.nulls_first;
      }
      if (Satisfies(backward, wanted.ordering)) {
        plan = backward;
        reverse = true;
      }
    }
    const bool satisfied = wanted.ordering.empty() || ordered || reverse;

    double scanned = point ? ranges : std::max(1.0, table_rows * selectivity);
    scanned = std::min(scanned, std::max(1.0, table_rows));
    double fraction = 1;
    if (wanted.limit && satisfied) fraction = std::min(1.0, *wanted.limit / out_rows);
    double cost = point ? ranges * kPointCost : std::min(ranges, std::max(1.0, scanned)) * kSeekCost * (ranges > 1 ? 0.25 : 1) + scanned * fraction * kScanRowCost;
    if (point) cost += kSeekCost * 0.5;
    if (index_join) cost += scanned * fraction * kLookupCost + kSeekCost;
    cost += scanned * fraction * kExprCost * static_cast<double>(filter.size());
    double score = cost;
    if (!satisfied) score += wanted.soft ? out_rows * kHashBuildCost : SortCost(out_rows);
    // Among equals the primary index, then the first.
    if (best && score >= best_score - 1e-9) continue;

    auto node = std::make_shared<PhysicalIndexScan>();
    node->table = scan.table;
    node->index = static_cast<int>(x);
    node->columns = scan.ordinals;
    node->alias = scan.alias;
    node->output = output;
    node->width = WidthOf(output);
    if (bounded) {
      for (auto& p : span.prefix) p.values = Slotted(p.values, {});
      if (span.lower != nullptr) span.lower = Slotted(span.lower, {});
      if (span.upper != nullptr) span.upper = Slotted(span.upper, {});
      node->spans.push_back(std::move(span));
    }
    node->point = point;
    node->index_join = index_join;
    node->reverse = reverse;
    node->ordered = satisfied && !wanted.ordering.empty();
    if (!filter.empty()) node->filter = Slotted(MakeAnd(filter), scan.columns);
    node->row_estimate = point ? std::min(out_rows, ranges) : out_rows;
    node->startup_cost = kSeekCost * 0.1;
    node->total_cost = cost;
    node->lock = scan.lock;
    if (!node->ordered) {
      plan.ordering.clear();
      plan.unique = false;
    }
    plan.node = node;
    best = std::move(plan);
    best_score = score;
  }
  CHECK(best.has_value()) << "table " << table.name << " has no readable index";
  return *std::move(best);
}

}  // namespace insula::sql
