// INSERT, UPDATE, DELETE and row locks.
#include <algorithm>

#include "base/status_macros.h"
#include "sql/opt/cost.h"
#include "sql/opt/planner.h"

namespace insula::sql {
namespace {

void SlotChecks(std::vector<CheckSpec>* checks, const std::function<ExprPtr(const ExprPtr&)>& slot) {
  for (CheckSpec& c : *checks) c.condition = slot(c.condition);
}
void SlotIndexes(std::vector<IndexSpec>* indexes, const std::function<ExprPtr(const ExprPtr&)>& slot) {
  VisitIndexSpecs(*indexes, [&](ExprPtr& e) { e = slot(e); });
}

Layout Joined(Layout a, const Layout& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The one scan that makes all rows of a plan, if it is so: filters, sorts and projections between do not matter.
LogicalScan* OnlyScan(LogicalNode& node) {
  switch (node.kind) {
    case LogicalKind::kScan: return &node.As<LogicalScan>();
    case LogicalKind::kFilter:
      // A condition that the scan does not evaluate itself would lock rows that it drops.
      return node.children[0]->kind == LogicalKind::kScan && IsStable(node.As<LogicalFilter>().condition) ? OnlyScan(*node.children[0]) : nullptr;
    case LogicalKind::kProject: return OnlyScan(*node.children[0]);
    default: return nullptr;
  }
}

void ClearLocks(LogicalNode& node) {
  if (auto* scan = node.TryAs<LogicalScan>()) scan->lock = RowLock();
  for (auto& c : node.children) ClearLocks(*c);
}

// The lock that the binder put on the scan of the table being changed.
RowLock FindLock(LogicalNode& node, const std::vector<ColumnId>& columns) {
  if (auto* scan = node.TryAs<LogicalScan>()) {
    const bool target = std::any_of(scan->columns.begin(), scan->columns.end(), [&](ColumnId c) { return std::find(columns.begin(), columns.end(), c) != columns.end(); });
    return target ? scan->lock : RowLock();
  }
  for (auto& c : node.children) {
    RowLock lock = FindLock(*c, columns);
    if (lock.locks()) return lock;
  }
  return RowLock();
}

}  // namespace

absl::StatusOr<SubPlan> Planner::PlanInsert(LogicalNode& node) {
  auto& insert = node.As<LogicalInsert>();
  ASSIGN_OR_RETURN(SubPlan source, Plan(node.children[0], Wanted()));
  source = Arranged(std::move(source), insert.source);
  auto out = std::make_shared<PhysicalInsert>();
  out->spec = insert.spec;
  const Layout row = insert.row_columns;
  auto over_row = [&](const ExprPtr& e) { return Slotted(e, row); };
  SlotChecks(&out->spec.checks, over_row);
  SlotIndexes(&out->spec.indexes, over_row);
  const Layout both = Joined(row, insert.excluded);
  for (Assignment& a : out->spec.conflict.assignments) a.value = Slotted(a.value, both);
  if (out->spec.conflict.where != nullptr) out->spec.conflict.where = Slotted(out->spec.conflict.where, both);
  out->spec.returning = Slotted(insert.spec.returning, row);
  out->output = OutputOf(insert.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = insert.columns.empty() ? 0 : source.rows();
  out->startup_cost = source.node->startup_cost;
  out->total_cost = source.cost() + source.rows() * kLookupCost * static_cast<double>(insert.spec.table->indexes.size());
  out->children.push_back(source.node);
  SubPlan plan;
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanWriteSource(LogicalPtr child, const TablePtr& table, const std::vector<ColumnId>& old_columns) {
  const RowLock lock = FindLock(*child, old_columns);
  if (OnlyScan(*child) != nullptr) return Plan(child, Wanted());
  // Several tables, or something above the scan that drops rows: lock what is left.
  ClearLocks(*child);
  ASSIGN_OR_RETURN(SubPlan plan, Plan(child, Wanted()));
  if (!lock.locks()) return plan;
  auto out = std::make_shared<PhysicalLockRows>();
  LockTarget target{table, {}, lock};
  const Layout layout = LayoutOf(*plan.node);
  for (const IndexColumnInfo& k : table->PrimaryIndex()->columns) {
    auto it = std::find(layout.begin(), layout.end(), old_columns[k.ordinal]);
    CHECK(it != layout.end()) << "key column of " << table->name;
    target.key_slots.push_back(static_cast<int>(it - layout.begin()));
  }
  out->targets.push_back(std::move(target));
  out->output = plan.node->output;
  out->width = plan.node->width;
  out->row_estimate = plan.rows();
  out->startup_cost = plan.node->startup_cost;
  out->total_cost = plan.cost() + plan.rows() * kLookupCost;
  out->children.push_back(plan.node);
  SubPlan result;
  result.ordering = plan.ordering;
  result.node = out;
  return result;
}

absl::StatusOr<SubPlan> Planner::PlanUpdate(LogicalNode& node) {
  auto& update = node.As<LogicalUpdate>();
  ASSIGN_OR_RETURN(SubPlan source, PlanWriteSource(node.children[0], update.spec.table, update.spec.old_columns));
  const Layout child = LayoutOf(*source.node);
  auto out = std::make_shared<PhysicalUpdate>();
  UpdateSpec& spec = out->spec;
  spec = update.spec;
  for (ColumnId c : update.spec.old_columns) {
    auto it = std::find(child.begin(), child.end(), c);
    CHECK(it != child.end()) << "old column " << c << " of " << spec.table->name;
    spec.old_slots.push_back(static_cast<int>(it - child.begin()));
  }
  for (Assignment& a : spec.assignments) a.value = Slotted(a.value, child);
  const Layout row = update.spec.new_columns;
  auto over_row = [&](const ExprPtr& e) { return Slotted(e, row); };
  SlotChecks(&spec.checks, over_row);
  SlotIndexes(&spec.indexes, over_row);
  spec.returning = Slotted(update.spec.returning, Joined(row, child));
  out->output = OutputOf(update.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = update.columns.empty() ? 0 : source.rows();
  out->startup_cost = source.node->startup_cost;
  out->total_cost = source.cost() + source.rows() * kLookupCost * static_cast<double>(spec.table->indexes.size());
  out->children.push_back(source.node);
  SubPlan plan;
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanDelete(LogicalNode& node) {
  auto& del = node.As<LogicalDelete>();
  ASSIGN_OR_RETURN(SubPlan source, PlanWriteSource(node.children[0], del.spec.table, del.spec.old_columns));
  const Layout child = LayoutOf(*source.node);
  auto out = std::make_shared<PhysicalDelete>();
  DeleteSpec& spec = out->spec;
  spec = del.spec;
  for (ColumnId c : del.spec.old_columns) {
    auto it = std::find(child.begin(), child.end(), c);
    CHECK(it != child.end()) << "old column " << c << " of " << spec.table->name;
    spec.old_slots.push_back(static_cast<int>(it - child.begin()));
  }
  const Layout row = del.spec.row_columns;
  SlotIndexes(&spec.indexes, [&](const ExprPtr& e) { return Slotted(e, row); });
  spec.returning = Slotted(del.spec.returning, child);
  out->output = OutputOf(del.columns);
  out->width = WidthOf(out->output);
  out->row_estimate = del.columns.empty() ? 0 : source.rows();
  out->startup_cost = source.node->startup_cost;
  out->total_cost = source.cost() + source.rows() * kLookupCost * static_cast<double>(spec.table->indexes.size());
  out->children.push_back(source.node);
  SubPlan plan;
  plan.node = out;
  return plan;
}

absl::StatusOr<SubPlan> Planner::PlanLock(LogicalNode& node, const Wanted& wanted) {
  auto& lock = node.As<LogicalLock>();
  LogicalNode* below = node.children[0].get();
  // The scan itself can lock when nothing drops or reorders rows between it and a LIMIT above.
  if (lock.targets.size() == 1) {
    LogicalNode* sort = below->kind == LogicalKind::kSort ? below : nullptr;
    LogicalScan* scan = OnlyScan(sort != nullptr ? *sort->children[0] : *below);
    if (scan != nullptr) {
      scan->lock = lock.targets[0].lock;
      ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], wanted));
      if (plan.node->kind != PlanKind::kSort || !wanted.limit) return plan;
      // It had to sort after all: lock after sorting, so that a LIMIT locks no more than it returns.
      scan->lock = RowLock();
    }
  }
  ASSIGN_OR_RETURN(SubPlan plan, Plan(node.children[0], wanted));
  auto out = std::make_shared<PhysicalLockRows>();
  const Layout layout = LayoutOf(*plan.node);
  for (const auto& t : lock.targets) {
    LockTarget target{t.table, {}, t.lock};
    for (ColumnId c : t.key) {
      auto it = std::find(layout.begin(), layout.end(), c);
      CHECK(it != layout.end()) << "key column of " << t.table->name;
      target.key_slots.push_back(static_cast<int>(it - layout.begin()));
    }
    out->targets.push_back(std::move(target));
  }
  out->output = plan.node->output;
  out->width = plan.node->width;
  out->row_estimate = plan.rows();
  out->startup_cost = plan.node->startup_cost;
  out->total_cost = plan.cost() + plan.rows() * kLookupCost;
  out->children.push_back(plan.node);
  SubPlan result;
  result.ordering = plan.ordering;
  result.constants = plan.constants;
  result.not_null = plan.not_null;
  result.node = out;
  return result;
}

}  // namespace insula::sql
