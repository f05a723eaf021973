#include "sql/opt/planner.h"

#include <algorithm>
#include <limits>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/opt/cost.h"
#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

double ConstantLimit(const ExprPtr& e, double otherwise) {
  if (e == nullptr) return otherwise;
  const auto* c = e->TryAs<ConstantExpr>();
  if (c == nullptr || c->value.is_null()) return otherwise;
  return static_cast<double>(std::max<int64_t>(0, c->value.int_value()));
}

void Inherit(const SubPlan& from, SubPlan* to) {
  to->ordering = from.ordering;
  to->constants = from.constants;
  to->not_null = from.not_null;
  to->unique = from.unique;
  to->unique_prefix = from.unique_prefix;
}

}  // namespace

// --- Orders --------------------------------------------------------------------------------------------------------

Ordering Planner::OrderingOf(const std::vector<SortKey>& keys) {
  Ordering out;
  for (const SortKey& k : keys) {
    const auto* c = k.expr->TryAs<ColumnExpr>();
    if (c == nullptr) return {};
    out.push_back({c->column, k.descending, k.nulls_first});
  }
  return out;
}

bool Planner::Satisfies(const SubPlan& plan, const Ordering& wanted) const {
  size_t at = 0;
  for (const OrderColumn& w : wanted) {
    if (plan.constants.contains(w.column)) continue;
    if (plan.unique && at >= plan.unique_prefix) return true;
    if (at >= plan.ordering.size()) return false;
    const OrderColumn& have = plan.ordering[at];
    if (have.column != w.column || have.descending != w.descending) return false;
    if (have.nulls_first != w.nulls_first && !plan.not_null.contains(w.column)) return false;
    ++at;
  }
  return true;
}

SubPlan Planner::Sorted(SubPlan plan, const std::vector<SortKey>& keys) {
  auto sort = std::make_shared<PhysicalSort>();
  sort->keys = Slotted(keys, LayoutOf(*plan.node));
  sort->output = plan.node->output;
  sort->width = plan.node->width;
  sort->row_estimate = plan.rows();
  sort->startup_cost = plan.cost() + SortCost(plan.rows());
  sort->total_cost = sort->startup_cost + plan.rows() * kCpuRowCost;
  sort->children.push_back(plan.node);
  SubPlan out;
  Inherit(plan, &out);
  out.ordering = OrderingOf(keys);
  out.unique = false;
  out.node = sort;
  return out;
}

SubPlan Planner::Projected(SubPlan plan, const std::vector<NamedExpr>& items) {
  const Layout layout = LayoutOf(*plan.node);
  // Nothing to do when the rows are that already.
  bool same = items.size() == layout.size();
  for (size_t i = 0; same && i < items.size(); ++i) {
    const auto* c = items[i].expr->TryAs<ColumnExpr>();
    same = c != nullptr && c->column == items[i].column && layout[i] == items[i].column;
  }
  if (same) return plan;
  auto project = std::make_shared<PhysicalProject>();
  std::vector<ColumnId> columns;
  double work = 0;
  for (const NamedExpr& i : items) {
    project->exprs.push_back(Slotted(i.expr, layout));
    columns.push_back(i.column);
    work += i.expr->kind == ExprKind::kColumn ? 0 : kExprCost;
  }
  project->output = OutputOf(columns);
  project->width = WidthOf(project->output);
  project->row_estimate = plan.rows();
  project->startup_cost = plan.node->startup_cost;
  project->total_cost = plan.cost() + plan.rows() * work;
  project->children.push_back(plan.node);
  SubPlan out;
  // Columns that go through keep what is known of them; one that is renamed is known under its new name too.
  std::map<ColumnId, ColumnId> renamed;
  for (const NamedExpr& i : items) {
    const auto* c = i.expr->TryAs<ColumnExpr>();
    if (c != nullptr) renamed.emplace(c->column, i.column);
    if (i.expr->kind == ExprKind::kConstant) out.constants.insert(i.column);
  }
  auto rename = [&](ColumnId c) { return renamed.contains(c) ? renamed[c] : 0; };
  for (const OrderColumn& o : plan.ordering) {
    const ColumnId c = rename(o.column);
    if (c == 0) break;
    out.ordering.push_back({c, o.descending, o.nulls_first});
  }
  for (ColumnId c : plan.constants) {
    if (ColumnId r = rename(c)) out.constants.insert(r);
  }
  for (ColumnId c : plan.not_null) {
    if (ColumnId r = rename(c)) out.not_null.insert(r);
  }
  out.unique = plan.unique && out.ordering.size() >= plan.unique_prefix;
  out.unique_prefix = plan.unique_prefix;
  out.node = project;
  return out;
}

SubPlan Planner::Arranged(SubPlan plan, const std::vector<ColumnId>& columns) {
  std::vector<NamedExpr> items;
  for (ColumnId c : columns) items.push_back({c, statement_->columns.Ref(c)});
  return Projected(std::move(plan), items);
}

// --- Dispatch ------------------------------------------------------------------------------------------------------

absl::StatusOr<SubPlan> Planner::Plan(LogicalPtr node, const Wanted& wanted) {
  switch (node->kind) {
    case LogicalKind::kScan: return PlanScan(node->As<LogicalScan>(), {}, wanted);
    case LogicalKind::kFilter: return PlanFilter(node, wanted);
    case LogicalKind::kProject: return PlanProject(*node, wanted);
    case LogicalKind::kJoin: return PlanJoin(node, wanted);
    case LogicalKind::kValues: return PlanValues(*node);
    case LogicalKind::kFunctionScan: return PlanFunctionScan(*node);
    case LogicalKind::kProjectSet: return PlanProjectSet(*node);
    case LogicalKind::kAggregate: return PlanAggregate(*node, wanted);
    case LogicalKind::kSort: return PlanSort(*node, wanted);
    case LogicalKind::kLimit: return PlanLimit(*node, wanted);
    case LogicalKind::kDistinct: return PlanDistinct(*node, wanted);
    case LogicalKind::kSetOperation: return PlanSetOperation(*node);
    case LogicalKind::kWindow: return PlanWindow(*node);
    case LogicalKind::kCte: return PlanCte(*node, wanted);
    case LogicalKind::kCteScan: return PlanCteScan(*node);
    case LogicalKind::kRecursiveUnion: return PlanRecursiveUnion(*node);
    case LogicalKind::kWorkTableScan: return PlanWorkTableScan(*node);
    case LogicalKind::kSingleRow: return PlanSingleRow(*node);
    case LogicalKind::kLock: return PlanLock(*node, wanted);
    case LogicalKind::kInsert: return PlanInsert(*node);
    case LogicalKind::kUpdate: return PlanUpdate(*node);
    case LogicalKind::kDelete: return PlanDelete(*node);
    case LogicalKind::kExternalSource: {
      auto source = std::make_shared<PhysicalExternalSource>();
      source->output = OutputOf(node->Output());
      source->row_estimate = 1000;
      SubPlan plan;
      plan.node = source;
      return plan;
    }
  }
  return PgError(sqlstate::kInternalError, "unknown logical operator");
}

absl::StatusOr<PlanPtr> Planner::PlanStatement() {
  ASSIGN_OR_RETURN(SubPlan plan, Plan(statement_->root, Wanted()));
  const bool write = plan.node->kind == PlanKind::kInsert || plan.node->kind == PlanKind::kUpdate || plan.node->kind == PlanKind::kDelete;
  if (!write || !statement_->output.empty()) {
    std::vector<ColumnId> order = statement_->output;
    if (LayoutOf(*plan.node) != order) plan = Arranged(std::move(plan), order);
  }
  RETURN_IF_ERROR(lost_column_);
  auto out = std::make_shared<PhysicalPlan>();
  out->root = plan.node;
  out->info = statement_->info;
  out->exec_param_types = exec_param_types_;
  out->cte_count = statement_->cte_count;
  out->work_table_count = statement_->work_table_count;
  return PlanPtr(out);
}

// --- Leaves --------------------------------------------------------------------------------------------------------

absl::StatusOr<SubPlan> Planner::PlanValues(LogicalNode& node) {
  auto& v = node.As<LogicalValues>();
  auto out = std::make_shared<PhysicalValues>();
  for (const auto& row : v.rows) out->rows.push_back(Slotted(row, {}));
  out->output = OutputOf(v.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = static_cast<double>(v.rows.size());
  out->total_cost = out->row_estimate * kCpuRowCost;
  SubPlan plan;
  if (v.rows.size() == 1) plan.constants.insert(v.columns.begin(), v.columns.end());
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanFunctionScan(LogicalNode& node) {
  auto& f = node.As<LogicalFunctionScan>();
  auto out = std::make_shared<PhysicalFunctionScan>();
  bool set = false;
  for (const TableFunctionCall& c : f.functions) {
    TableFunctionCall call = c;
    call.call = Slotted(c.call, {});
    const auto* function = c.call->TryAs<FunctionExpr>();
    set = set || (function != nullptr && function->function->returns_set);
    out->functions.push_back(std::move(call));
  }
  out->ordinality = f.ordinality;
  out->alias = f.alias;
  out->output = OutputOf(f.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = set ? 1000 : 1;
  // generate_series with constant bounds is known exactly.
  if (f.functions.size() == 1) {
    const auto* call = f.functions[0].call->TryAs<FunctionExpr>();
    if (call != nullptr && call->function->name == "generate_series" && call->args.size() >= 2) {
      const auto* a = call->args[0]->TryAs<ConstantExpr>();
      const auto* b = call->args[1]->TryAs<ConstantExpr>();
      if (a != nullptr && b != nullptr && !a->value.is_null() && !b->value.is_null() && IsInteger(a->type.oid) && IsInteger(b->type.oid)) {
        out->row_estimate = std::max(1.0, static_cast<double>(b->value.int_value()) - static_cast<double>(a->value.int_value()) + 1);
      }
    }
  }
  out->total_cost = out->row_estimate * kCpuRowCost;
  SubPlan plan;
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanCteScan(LogicalNode& node) {
  auto& s = node.As<LogicalCteScan>();
  auto out = std::make_shared<PhysicalCteScan>();
  out->cte = s.cte;
  out->alias = s.alias;
  const auto& columns = cte_columns_.at(s.cte);
  for (ColumnId c : s.source) {
    auto it = std::find(columns.begin(), columns.end(), c);
    CHECK(it != columns.end()) << "column " << c << " of WITH query " << s.alias;
    out->columns.push_back(static_cast<int>(it - columns.begin()));
  }
  out->output = OutputOf(s.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = cte_rows_[s.cte];
  out->total_cost = out->row_estimate * kCpuRowCost;
  SubPlan plan;
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanWorkTableScan(LogicalNode& node) {
  auto& s = node.As<LogicalWorkTableScan>();
  auto out = std::make_shared<PhysicalWorkTableScan>();
  out->work_table = s.work_table;
  out->alias = s.alias;
  out->columns = s.source;
  out->output = OutputOf(s.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = 100;
  out->total_cost = out->row_estimate * kCpuRowCost;
  SubPlan plan;
  plan.node = out;
  return plan;
}

// --- One input -----------------------------------------------------------------------------------------------------

absl::StatusOr<SubPlan> Planner::PlanFilter(LogicalPtr node, const Wanted& wanted) {
  std::vector<ExprPtr> conjuncts;
  SplitConjuncts(node->As<LogicalFilter>().condition, &conjuncts);
  if (auto* scan = node->children[0]->TryAs<LogicalScan>()) {
    std::vector<ExprPtr> with_scan, rest;
    for (auto& c : conjuncts) (IsStable(c) ? with_scan : rest).push_back(c);
    // A filter that never lets anything through needs no scan at all; rows of no columns but these types are the same.
    ASSIGN_OR_RETURN(SubPlan plan, PlanScan(*scan, with_scan, wanted));
    if (rest.empty()) return plan;
    auto filter = std::make_shared<PhysicalFilter>();
    filter->condition = Slotted(MakeAnd(rest), LayoutOf(*plan.node));
    filter->output = plan.node->output;
    filter->width = plan.node->width;
    filter->row_estimate = std::max(1.0, plan.rows() * statistics_.Selectivity(rest));
    filter->total_cost = plan.cost() + plan.rows() * kExprCost;
    filter->children.push_back(plan.node);
    SubPlan out;
    Inherit(plan, &out);
    out.node = filter;
    return out;
  }
  Wanted below = wanted;
  const double selectivity = statistics_.Selectivity(conjuncts);
  if (below.limit) below.limit = *below.limit / selectivity;
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node->children[0], below));
  auto filter = std::make_shared<PhysicalFilter>();
  filter->condition = Slotted(MakeAnd(conjuncts), LayoutOf(*plan.node));
  filter->output = plan.node->output;
  filter->width = plan.node->width;
  filter->row_estimate = std::max(1.0, plan.rows() * selectivity);
  filter->startup_cost = plan.node->startup_cost;
  filter->total_cost = plan.cost() + plan.rows() * kExprCost * static_cast<double>(conjuncts.size());
  filter->children.push_back(plan.node);
  SubPlan out;
  Inherit(plan, &out);
  out.node = filter;
  return out;
}

absl::StatusOr<SubPlan> Planner::PlanProject(LogicalNode& node, const Wanted& wanted) {
  auto& p = node.As<LogicalProject>();
  // The order wanted of the output, said of the input, as far as columns only pass through.
  Wanted below;
  below.limit = wanted.limit;
  below.soft = wanted.soft;
  std::map<ColumnId, ExprPtr> values;
  for (const NamedExpr& i : p.items) values[i.column] = i.expr;
  for (const OrderColumn& o : wanted.ordering) {
    auto it = values.find(o.column);
    const ColumnExpr* c = it != values.end() ? it->second->TryAs<ColumnExpr>() : nullptr;
    if (c == nullptr) {
      below.ordering.clear();
      break;
    }
    below.ordering.push_back({c->column, o.descending, o.nulls_first});
  }
  if (below.ordering.size() != wanted.ordering.size()) below.limit.reset();
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  return Projected(std::move(plan), p.items);
}

absl::StatusOr<SubPlan> Planner::PlanProjectSet(LogicalNode& node) {
  auto& p = node.As<LogicalProjectSet>();
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], Wanted()));
  auto out = std::make_shared<PhysicalProjectSet>();
  std::vector<ColumnId> columns = LayoutOf(*plan.node);
  for (const NamedExpr& c : p.calls) {
    out->calls.push_back(Slotted(c.expr, LayoutOf(*plan.node)));
    columns.push_back(c.column);
  }
  out->output = OutputOf(columns);
  out->width = WidthOf(out->output);
  out->row_estimate = plan.rows() * 10;
  out->total_cost = plan.cost() + out->row_estimate * kCpuRowCost;
  out->children.push_back(plan.node);
  SubPlan result;
  result.ordering = plan.ordering;
  result.constants = plan.constants;
  result.not_null = plan.not_null;
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanSingleRow(LogicalNode& node) {
  Wanted two;
  two.limit = 2;
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], two));
  auto out = std::make_shared<PhysicalSingleRow>();
  out->output = plan.node->output;
  out->width = plan.node->width;
  out->row_estimate = 1;
  out->startup_cost = out->total_cost = plan.cost();
  out->children.push_back(plan.node);
  SubPlan result;
  auto layout = LayoutOf(*plan.node);
  result.constants.insert(layout.begin(), layout.end());
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanAggregate(LogicalNode& node, const Wanted& wanted) {
  auto& a = node.As<LogicalAggregate>();
  // Input that comes grouped needs no hash table. It is worth asking for when the parent wants that order anyway.
  std::vector<ExprPtr> keys;
  std::vector<ColumnId> key_columns;
  bool plain = a.grouping_sets.empty() && !a.keys.empty();
  for (const NamedExpr& k : a.keys) {
    keys.push_back(k.expr);
    const auto* c = k.expr->TryAs<ColumnExpr>();
    if (c == nullptr) {
      plain = false;
    } else {
      key_columns.push_back(c->column);
    }
  }
  Wanted below;
  if (plain) {
    for (const OrderColumn& o : wanted.ordering) {
      auto it = std::find_if(a.keys.begin(), a.keys.end(), [&](const NamedExpr& k) { return k.column == o.column; });
      if (it == a.keys.end()) break;
      below.ordering.push_back({it->expr->As<ColumnExpr>().column, o.descending, o.nulls_first});
    }
    for (ColumnId c : key_columns) {
      const bool listed = std::any_of(below.ordering.begin(), below.ordering.end(), [&](const OrderColumn& o) { return o.column == c; });
      if (!listed) below.ordering.push_back({c, false, false});
    }
  }
  below.soft = true;
  // Aggregates that look at their input in order (array_agg over a sorted subquery) keep the order they get.
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  const bool grouped = plain && Satisfies(plan, below.ordering) && !plan.ordering.empty();

  std::shared_ptr<PhysicalAggregate> out;
  if (grouped) {
    out = std::make_shared<PhysicalStreamAggregate>();
  } else {
    out = std::make_shared<PhysicalHashAggregate>();
  }
  const Layout layout = LayoutOf(*plan.node);
  out->keys = Slotted(keys, layout);
  std::vector<ColumnId> columns;
  for (const NamedExpr& k : a.keys) columns.push_back(k.column);
  for (const AggregateSpec& s : a.aggregates) {
    AggregateSpec spec = s;
    spec.args = Slotted(s.args, layout);
    spec.direct_args = Slotted(s.direct_args, layout);
    spec.order_by = Slotted(s.order_by, layout);
    if (s.filter != nullptr) spec.filter = Slotted(s.filter, layout);
    columns.push_back(s.output);
    out->aggregates.push_back(std::move(spec));
  }
  out->grouping_sets = a.grouping_sets;
  for (const auto& g : a.groupings) {
    out->groupings.push_back(g.keys);
    columns.push_back(g.column);
  }
  out->output = OutputOf(columns);
  out->width = WidthOf(out->output);
  const double in = plan.rows();
  const double sets = static_cast<double>(std::max<size_t>(1, a.grouping_sets.size()));
  out->row_estimate = a.keys.empty() && a.grouping_sets.empty() ? 1 : statistics_.Groups(keys, in) * sets;
  const double work = in * (kExprCost * static_cast<double>(a.aggregates.size()) + (grouped ? kCpuRowCost : a.keys.empty() ? 0 : kHashBuildCost)) * sets;
  out->total_cost = plan.cost() + work + out->row_estimate * kCpuRowCost;
  out->startup_cost = grouped ? plan.node->startup_cost : out->total_cost;
  out->children.push_back(plan.node);
  SubPlan result;
  if (grouped) {
    for (const OrderColumn& o : plan.ordering) {
      auto it = std::find_if(a.keys.begin(), a.keys.end(), [&](const NamedExpr& k) { return k.expr->As<ColumnExpr>().column == o.column; });
      if (it == a.keys.end()) break;
      result.ordering.push_back({it->column, o.descending, o.nulls_first});
    }
    for (const NamedExpr& k : a.keys) {
      const ColumnId c = k.expr->As<ColumnExpr>().column;
      if (plan.constants.contains(c)) result.constants.insert(k.column);
      if (plan.not_null.contains(c)) result.not_null.insert(k.column);
    }
  }
  if (a.keys.empty() && a.grouping_sets.empty()) result.constants.insert(columns.begin(), columns.end());
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanSort(LogicalNode& node, const Wanted& wanted) {
  auto& s = node.As<LogicalSort>();
  Wanted below;
  below.ordering = OrderingOf(s.keys);
  below.limit = wanted.limit;
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  if (!below.ordering.empty() && Satisfies(plan, below.ordering)) return plan;
  // Keys that are the same in all rows do not order anything.
  std::vector<SortKey> keys;
  for (const SortKey& k : s.keys) {
    const auto* c = k.expr->TryAs<ColumnExpr>();
    if (c == nullptr || !plan.constants.contains(c->column)) keys.push_back(k);
  }
  if (keys.empty()) return plan;
  return Sorted(std::move(plan), keys);
}

absl::StatusOr<SubPlan> Planner::PlanLimit(LogicalNode& node, const Wanted& wanted) {
  auto& l = node.As<LogicalLimit>();
  Wanted below = wanted;
  const double offset = ConstantLimit(l.offset, 0);
  const double limit = ConstantLimit(l.limit, l.limit != nullptr ? 100 : std::numeric_limits<double>::max());
  if (l.limit != nullptr) below.limit = limit + offset;
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  const double rows = std::max(1.0, std::min(plan.rows() - offset, limit));

  // Sort + Limit keep only as many rows as are wanted.
  auto* sort = plan.node->kind == PlanKind::kSort ? static_cast<PhysicalSort*>(plan.node.get()) : nullptr;
  if (sort != nullptr && l.limit != nullptr && l.ties.empty()) {
    auto top = std::make_shared<PhysicalTopN>();
    top->keys = sort->keys;
    top->limit = Slotted(l.limit, {});
    if (l.offset != nullptr) top->offset = Slotted(l.offset, {});
    top->output = sort->output;
    top->width = sort->width;
    top->children = sort->children;
    top->row_estimate = rows;
    const PhysicalNode& input = *sort->children[0];
    top->startup_cost = input.total_cost + TopNCost(input.row_estimate, limit + offset);
    top->total_cost = top->startup_cost + rows * kCpuRowCost;
    SubPlan out;
    Inherit(plan, &out);
    out.node = top;
    return out;
  }
  auto out = std::make_shared<PhysicalLimit>();
  if (l.limit != nullptr) out->limit = Slotted(l.limit, {});
  if (l.offset != nullptr) out->offset = Slotted(l.offset, {});
  out->ties = Slotted(l.ties, LayoutOf(*plan.node));
  out->output = plan.node->output;
  out->width = plan.node->width;
  out->row_estimate = rows;
  out->startup_cost = plan.node->startup_cost;
  const double fraction = std::min(1.0, (limit + offset) / std::max(1.0, plan.rows()));
  out->total_cost = plan.node->startup_cost + (plan.cost() - plan.node->startup_cost) * fraction;
  // A scan that knows how many rows are wanted reads (and locks) no more.
  if (l.limit != nullptr && l.ties.empty() && IsStable(l.limit)) {
    PhysicalNode* below_node = plan.node.get();
    while (below_node->kind == PlanKind::kProject) below_node = const_cast<PhysicalNode*>(below_node->children[0].get());
    if (below_node->kind == PlanKind::kIndexScan) {
      auto* scan = static_cast<PhysicalIndexScan*>(below_node);
      const auto* c = l.limit->TryAs<ConstantExpr>();
      const auto* o = l.offset != nullptr ? l.offset->TryAs<ConstantExpr>() : nullptr;
      if (l.offset == nullptr) {
        scan->limit = out->limit;
      } else if (c != nullptr && o != nullptr && !c->value.is_null() && !o->value.is_null() && c->value.int_value() >= 0 && o->value.int_value() >= 0 &&
                 c->value.int_value() <= std::numeric_limits<int64_t>::max() - o->value.int_value()) {
        scan->limit = std::make_shared<ConstantExpr>(SqlType{oid::kInt8, -1}, Datum::Int(c->value.int_value() + o->value.int_value()));
      }
    }
  }
  out->children.push_back(plan.node);
  SubPlan result;
  Inherit(plan, &result);
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanDistinct(LogicalNode& node, const Wanted& wanted) {
  auto& d = node.As<LogicalDistinct>();
  if (!d.on.empty()) {
    Wanted below;
    below.ordering = OrderingOf(d.order);
    ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
    if (below.ordering.empty() || !Satisfies(plan, below.ordering)) plan = Sorted(std::move(plan), d.order);
    auto out = std::make_shared<PhysicalDistinctOn>();
    out->keys = Slotted(d.on, LayoutOf(*plan.node));
    out->output = plan.node->output;
    out->width = plan.node->width;
    out->row_estimate = statistics_.Groups(d.on, plan.rows());
    out->startup_cost = plan.node->startup_cost;
    out->total_cost = plan.cost() + plan.rows() * kCpuRowCost;
    out->children.push_back(plan.node);
    SubPlan result;
    Inherit(plan, &result);
    result.node = out;
    return result;
  }
  // With an order over all columns, equal rows are neighbours.
  Wanted below;
  below.soft = true;
  const std::vector<ColumnId> output = node.Output();
  below.ordering = wanted.ordering;
  for (ColumnId c : output) {
    const bool listed = std::any_of(below.ordering.begin(), below.ordering.end(), [&](const OrderColumn& o) { return o.column == c; });
    if (!listed) below.ordering.push_back({c, false, false});
  }
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  const bool sorted = Satisfies(plan, below.ordering) && !plan.ordering.empty();
  auto out = std::make_shared<PhysicalDistinct>();
  out->sorted = sorted;
  out->output = plan.node->output;
  out->width = plan.node->width;
  std::vector<ExprPtr> keys;
  for (ColumnId c : output) keys.push_back(statement_->columns.Ref(c));
  out->row_estimate = statistics_.Groups(keys, plan.rows());
  out->total_cost = plan.cost() + plan.rows() * (sorted ? kCpuRowCost : kHashBuildCost);
  out->startup_cost = plan.node->startup_cost;
  out->children.push_back(plan.node);
  SubPlan result;
  if (sorted) Inherit(plan, &result);
  result.constants = plan.constants;
  result.not_null = plan.not_null;
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanWindow(LogicalNode& node) {
  auto& w = node.As<LogicalWindow>();
  std::vector<SortKey> keys;
  for (const auto& p : w.partition_by) keys.push_back({p, false, false});
  for (const auto& k : w.order_by) keys.push_back(k);
  Wanted below;
  below.ordering = OrderingOf(keys);
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], below));
  const bool sorted = keys.empty() || (!below.ordering.empty() && Satisfies(plan, below.ordering));
  if (!sorted) plan = Sorted(std::move(plan), keys);
  const Layout layout = LayoutOf(*plan.node);
  auto out = std::make_shared<PhysicalWindow>();
  out->partition_by = Slotted(w.partition_by, layout);
  out->order_by = Slotted(w.order_by, layout);
  std::vector<ColumnId> columns = layout;
  for (const WindowCall& c : w.calls) {
    WindowCall call = c;
    call.args = Slotted(c.args, layout);
    if (c.filter != nullptr) call.filter = Slotted(c.filter, layout);
    if (c.frame.start_offset != nullptr) call.frame.start_offset = Slotted(c.frame.start_offset, {});
    if (c.frame.end_offset != nullptr) call.frame.end_offset = Slotted(c.frame.end_offset, {});
    columns.push_back(c.output);
    out->calls.push_back(std::move(call));
  }
  out->output = OutputOf(columns);
  out->width = WidthOf(out->output);
  out->row_estimate = plan.rows();
  out->startup_cost = plan.node->startup_cost;
  out->total_cost = plan.cost() + plan.rows() * kExprCost * 4 * static_cast<double>(w.calls.size());
  out->children.push_back(plan.node);
  SubPlan result;
  Inherit(plan, &result);
  result.node = out;
  return result;
}

// --- Set operations and WITH ---------------------------------------------------------------------------------------

absl::StatusOr<SubPlan> Planner::PlanSetOperation(LogicalNode& node) {
  auto& s = node.As<LogicalSetOperation>();
  std::vector<SubPlan> inputs;
  double rows = 0, cost = 0;
  for (size_t i = 0; i < node.children.size(); ++i) {
    ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[i], Wanted()));
    plan = Arranged(std::move(plan), s.inputs[i]);
    rows += plan.rows();
    cost += plan.cost();
    inputs.push_back(std::move(plan));
  }
  const std::vector<PhysicalColumn> output = OutputOf(s.columns);
  SubPlan result;
  if (s.operation != SetOperationKind::kUnion) {
    auto out = std::make_shared<PhysicalSetOperation>();
    out->except = s.operation == SetOperationKind::kExcept;
    out->all = s.all;
    out->output = output;
    out->width = WidthOf(output);
    for (auto& i : inputs) out->children.push_back(i.node);
    out->row_estimate = std::max(1.0, inputs[0].rows() * 0.5);
    out->startup_cost = out->total_cost = cost + rows * kHashBuildCost;
    result.node = out;
    return result;
  }
  auto append = std::make_shared<PhysicalAppend>();
  append->output = output;
  append->width = WidthOf(output);
  for (auto& i : inputs) append->children.push_back(i.node);
  append->row_estimate = rows;
  append->total_cost = cost;
  result.node = append;
  if (s.all) return result;
  auto distinct = std::make_shared<PhysicalDistinct>();
  distinct->output = output;
  distinct->width = append->width;
  distinct->row_estimate = rows;
  distinct->total_cost = cost + rows * kHashBuildCost;
  distinct->children.push_back(append);
  result.node = distinct;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanCte(LogicalNode& node, const Wanted& wanted) {
  auto& c = node.As<LogicalCte>();
  ASSIGN_OR_RETURN(SubPlan definition, Plan(node.children[0], Wanted()));
  cte_columns_[c.cte] = LayoutOf(*definition.node);
  cte_rows_[c.cte] = definition.rows();
  ASSIGN_OR_RETURN(SubPlan body, Plan(node.children[1], wanted));
  auto out = std::make_shared<PhysicalCte>();
  out->cte = c.cte;
  out->name = c.name;
  out->modifies = c.modifies;
  out->output = body.node->output;
  out->width = body.node->width;
  out->row_estimate = body.rows();
  out->startup_cost = definition.cost() + body.node->startup_cost;
  out->total_cost = definition.cost() + body.cost();
  out->children = {definition.node, body.node};
  SubPlan result;
  Inherit(body, &result);
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanRecursiveUnion(LogicalNode& node) {
  auto& r = node.As<LogicalRecursiveUnion>();
  auto out = std::make_shared<PhysicalRecursiveUnion>();
  out->work_table = r.work_table;
  out->distinct = r.distinct;
  out->output = OutputOf(r.columns);
  out->width = WidthOf(out->output);
  for (size_t i = 0; i < node.children.size(); ++i) {
    ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[i], Wanted()));
    plan = Arranged(std::move(plan), r.inputs[i]);
    out->total_cost += plan.cost() * (i == 0 ? 1 : 10);
    out->row_estimate += plan.rows() * (i == 0 ? 1 : 10);
    out->children.push_back(plan.node);
  }
  SubPlan result;
  result.node = out;
  return result;
}

}  // namespace insula::sql
