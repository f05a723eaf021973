#include "sql/opt/statistics.h"

#include <algorithm>
#include <cmath>

#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

// What is assumed where nothing is known.
constexpr double kUnknownRows = 1000, kUnknownDistinct = 200, kVirtualRows = 500, kFunctionRows = 1000, kRange = 1.0 / 3,
                 kPattern = 0.02, kOther = 0.3, kNull = 0.005;

double Clamp(double s) { return std::min(1.0, std::max(1e-9, s)); }

const ColumnExpr* ColumnOf(const ExprPtr& e) {
  const Expr* x = e.get();
  while (x->kind == ExprKind::kCast) x = x->args[0].get();
  return x->kind == ExprKind::kColumn ? static_cast<const ColumnExpr*>(x) : nullptr;
}

}  // namespace

void Statistics::Learn(LogicalNode& plan) {
  VisitPlan(plan, [&](LogicalNode& node) {
    if (auto* scan = node.TryAs<LogicalScan>()) {
      for (size_t i = 0; i < scan->columns.size(); ++i) sources_[scan->columns[i]] = {scan->table, scan->ordinals[i]};
    }
  });
}

const Statistics::Source* Statistics::Find(ColumnId column) const {
  auto it = sources_.find(column);
  return it == sources_.end() ? nullptr : &it->second;
}

double Statistics::TableRows(const TableInfo& table) {
  if (table.is_virtual) return kVirtualRows;
  if (table.kind == RelationKind::kSequence) return 1;
  return table.statistics.known ? std::max(1.0, table.statistics.row_count) : kUnknownRows;
}

double Statistics::ColumnDistinct(const Source& source) const {
  const double rows = TableRows(*source.table);
  for (const IndexInfo& index : source.table->indexes) {
    if (index.unique && index.columns.size() == 1 && index.columns[0].ordinal == source.ordinal && index.predicate.empty()) return rows;
  }
  const auto& stats = source.table->statistics.columns;
  if (static_cast<size_t>(source.ordinal) < stats.size() && stats[source.ordinal].distinct > 0) {
    return std::min(rows, stats[source.ordinal].distinct);
  }
  if (source.table->columns[source.ordinal].type.oid == oid::kBool) return 2;
  return std::min(rows, kUnknownDistinct);
}

double Statistics::Distinct(ColumnId column, double rows) const {
  const Source* s = Find(column);
  return std::max(1.0, std::min(rows, s != nullptr ? ColumnDistinct(*s) : kUnknownDistinct));
}

double Statistics::Width(ColumnId column) const {
  if (const Source* s = Find(column)) {
    const auto& stats = s->table->statistics.columns;
    if (static_cast<size_t>(s->ordinal) < stats.size() && stats[s->ordinal].average_width > 0) return stats[s->ordinal].average_width;
  }
  const TypeInfo* type = FindType((*columns_)[column].type.oid);
  return type != nullptr && type->typlen > 0 ? type->typlen : 32;
}

double Statistics::Equality(const ExprPtr& left, const ExprPtr& right) const {
  const ColumnExpr* l = ColumnOf(left);
  const ColumnExpr* r = ColumnOf(right);
  double distinct = 0;
  for (const ColumnExpr* c : {l, r}) {
    if (c == nullptr) continue;
    const Source* s = Find(c->column);
    distinct = std::max(distinct, s != nullptr ? ColumnDistinct(*s) : kUnknownDistinct);
  }
  return distinct > 0 ? 1 / distinct : 1 / kUnknownDistinct;
}

double Statistics::Selectivity(const ExprPtr& e) const {
  switch (e->kind) {
    case ExprKind::kConstant: return IsTrue(e) ? 1 : 1e-9;
    case ExprKind::kAnd: return Selectivity(e->args);
    case ExprKind::kOr: {
      double none = 1;
      for (const auto& a : e->args) none *= 1 - Selectivity(a);
      return Clamp(1 - none);
    }
    case ExprKind::kNot: return Clamp(1 - Selectivity(e->args[0]));
    case ExprKind::kFunction: {
      const auto& f = e->As<FunctionExpr>();
      if (f.op == nullptr || f.args.size() != 2) return kOther;
      const std::string_view op = f.op->name;
      if (op == "=") return Clamp(Equality(f.args[0], f.args[1]));
      if (op == "<>") return Clamp(1 - Equality(f.args[0], f.args[1]));
      if (op == "<" || op == "<=" || op == ">" || op == ">=") return kRange;
      if (op == "~~" || op == "~~*" || op == "~" || op == "~*") return kPattern;
      if (op == "!~~" || op == "!~" || op == "!~~*" || op == "!~*") return 1 - kPattern;
      return kOther;
    }
    case ExprKind::kInList: {
      const auto& in = e->As<InListExpr>();
      const double s = Clamp(static_cast<double>(in.args.size() - 1) * Equality(in.args[0], in.args[1]));
      return in.negated ? Clamp(1 - s) : s;
    }
    case ExprKind::kQuantified: {
      const auto& q = e->As<QuantifiedExpr>();
      if (q.op->name == "=" && !q.all) return Clamp(10 * Equality(q.args[0], q.args[1]));
      return kOther;
    }
    case ExprKind::kNullTest: {
      double null = kNull;
      if (const ColumnExpr* c = ColumnOf(e->args[0])) {
        if (const Source* s = Find(c->column)) {
          const auto& stats = s->table->statistics.columns;
          if (static_cast<size_t>(s->ordinal) < stats.size()) null = stats[s->ordinal].null_fraction;
        }
      }
      return Clamp(e->As<NullTestExpr>().negated ? 1 - null : null);
    }
    case ExprKind::kColumn: return 0.5;
    case ExprKind::kBooleanTest: return 0.5;
    default: return kOther;
  }
}

double Statistics::Selectivity(const std::vector<ExprPtr>& conjuncts) const {
  double s = 1;
  // A lower and an upper bound on one column are closer together than two independent conditions.
  std::map<ColumnId, int> bounds;
  for (const auto& c : conjuncts) {
    s *= Selectivity(c);
    const auto* f = c->TryAs<FunctionExpr>();
    if (f == nullptr || f->op == nullptr || f->args.size() != 2) continue;
    const std::string_view op = f->op->name;
    const ColumnExpr* column = ColumnOf(f->args[0]);
    if (column != nullptr && (op == "<" || op == "<=" || op == ">" || op == ">=") && ++bounds[column->column] == 2) s *= 0.1;
  }
  return Clamp(s);
}

double Statistics::JoinSelectivity(const std::vector<ExprPtr>& conjuncts, double left_rows, double right_rows) const {
  double s = 1;
  for (const auto& c : conjuncts) {
    const auto* f = c->TryAs<FunctionExpr>();
    if (f != nullptr && f->op != nullptr && f->op->name == "=" && f->args.size() == 2) {
      const ColumnExpr* l = ColumnOf(f->args[0]);
      const ColumnExpr* r = ColumnOf(f->args[1]);
      // Each side's distinct values are bounded by its rows.
      const double most = std::max(left_rows, right_rows);
      const double dl = l != nullptr ? Distinct(l->column, most) : kUnknownDistinct;
      const double dr = r != nullptr ? Distinct(r->column, most) : kUnknownDistinct;
      s *= 1 / std::max(1.0, std::max(dl, dr));
    } else {
      s *= Selectivity(c);
    }
  }
  return Clamp(s);
}

double Statistics::Groups(const std::vector<ExprPtr>& keys, double rows) const {
  double groups = 1;
  for (const auto& k : keys) {
    ColumnSet used = ColumnsOf(k);
    double d = 1;
    for (ColumnId c : used) d *= Distinct(c, rows);
    if (used.empty()) d = 1;
    groups *= d;
    if (groups > rows) break;
  }
  return std::max(1.0, std::min(groups, rows));
}

double Statistics::Rows(LogicalNode& node) const {
  switch (node.kind) {
    case LogicalKind::kScan: return TableRows(*node.As<LogicalScan>().table);
    case LogicalKind::kValues: return static_cast<double>(std::max<size_t>(1, node.As<LogicalValues>().rows.size()));
    case LogicalKind::kFunctionScan: return kFunctionRows;
    case LogicalKind::kProjectSet: return Rows(*node.children[0]) * 10;
    case LogicalKind::kCteScan:
    case LogicalKind::kWorkTableScan:
    case LogicalKind::kExternalSource: return kUnknownRows;
    case LogicalKind::kFilter: {
      std::vector<ExprPtr> conjuncts;
      SplitConjuncts(node.As<LogicalFilter>().condition, &conjuncts);
      return std::max(1.0, Rows(*node.children[0]) * Selectivity(conjuncts));
    }
    case LogicalKind::kJoin: {
      auto& j = node.As<LogicalJoin>();
      const double left = Rows(*node.children[0]), right = Rows(*node.children[1]);
      std::vector<ExprPtr> conjuncts;
      SplitConjuncts(j.condition, &conjuncts);
      const double inner = std::max(1.0, left * right * JoinSelectivity(conjuncts, left, right));
      switch (j.join) {
        case JoinType::kInner: return inner;
        case JoinType::kLeft: return std::max(left, inner);
        case JoinType::kRight: return std::max(right, inner);
        case JoinType::kFull: return std::max(left + right, inner);
        case JoinType::kSemi: return std::max(1.0, left * 0.5);
        case JoinType::kAnti: return std::max(1.0, left * 0.5);
        case JoinType::kMark: return left;
      }
      return inner;
    }
    case LogicalKind::kSingleRow: return 1;
    case LogicalKind::kAggregate: {
      auto& a = node.As<LogicalAggregate>();
      if (a.keys.empty() && a.grouping_sets.empty()) return 1;
      std::vector<ExprPtr> keys;
      for (const auto& k : a.keys) keys.push_back(k.expr);
      return Groups(keys, Rows(*node.children[0])) * std::max<size_t>(1, a.grouping_sets.size());
    }
    case LogicalKind::kLimit: {
      const double rows = Rows(*node.children[0]);
      auto& l = node.As<LogicalLimit>();
      if (l.limit != nullptr) {
        const auto* c = l.limit->TryAs<ConstantExpr>();
        const double limit = c != nullptr && !c->value.is_null() ? static_cast<double>(std::max<int64_t>(0, c->value.int_value())) : rows / 10;
        return std::max(1.0, std::min(rows, limit));
      }
      return rows;
    }
    case LogicalKind::kDistinct: {
      auto& d = node.As<LogicalDistinct>();
      const double rows = Rows(*node.children[0]);
      std::vector<ExprPtr> keys = d.on;
      if (keys.empty()) {
        for (ColumnId c : node.Output()) keys.push_back(MakeColumn(c, (*columns_)[c].type));
      }
      return Groups(keys, rows);
    }
    case LogicalKind::kSetOperation: {
      double rows = 0;
      for (auto& c : node.children) rows += Rows(*c);
      return node.As<LogicalSetOperation>().operation == SetOperationKind::kUnion ? rows : std::max(1.0, Rows(*node.children[0]) * 0.5);
    }
    case LogicalKind::kCte: return Rows(*node.children[1]);
    case LogicalKind::kRecursiveUnion: return Rows(*node.children[0]) * 10;
    default: return node.children.empty() ? 1 : Rows(*node.children[0]);
  }
}

}  // namespace insula::sql
