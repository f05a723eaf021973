// Logical operators → physical ones: access paths, join order and methods, where sorting is needed. Internal to sql/opt.
//
// Every Plan…() returns a physical subtree whose expressions already have their slots. A lateral join replaces the left
// columns that its right side uses by exec parameters before it plans that side, so a subtree never refers to columns from
// outside.
#ifndef INSULA_SQL_OPT_PLANNER_H_
#define INSULA_SQL_OPT_PLANNER_H_

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/opt/optimizer.h"
#include "sql/opt/statistics.h"
#include "sql/plan/logical.h"
#include "sql/plan/physical.h"

namespace insula::sql {

struct OrderColumn {
  ColumnId column = 0;
  bool descending = false;
  bool nulls_first = false;
};
using Ordering = std::vector<OrderColumn>;

// A physical subtree on its way: still mutable, with what its parent wants to know of it.
struct SubPlan {
  std::shared_ptr<PhysicalNode> node;
  Ordering ordering;    // the order of its rows, as far as it is known
  ColumnSet constants;  // columns with one value in all rows: they never matter in an order
  ColumnSet not_null;   // columns that are never NULL
  bool unique = false;  // `ordering` (its first unique_prefix columns) identifies a row: what comes after does not matter
  size_t unique_prefix = 0;
  double rows() const { return node->row_estimate; }
  double cost() const { return node->total_cost; }
};

// What the parent would like.
struct Wanted {
  Ordering ordering;                // empty: any
  bool soft = false;                // the order saves hashing, not sorting
  std::optional<double> limit;      // only about so many rows will be read
};

// Columns of an input row, in order.
using Layout = std::vector<ColumnId>;

class Planner {
 public:
  Planner(BoundStatement* statement, const OptimizerOptions& options, const Statistics& statistics)
      : statement_(statement), options_(options), statistics_(statistics) {}

  absl::StatusOr<PlanPtr> PlanStatement();

 private:
  // planner.cc
  absl::StatusOr<SubPlan> Plan(LogicalPtr node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanValues(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanFunctionScan(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanProject(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanProjectSet(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanFilter(LogicalPtr node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanAggregate(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanSort(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanLimit(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanDistinct(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanSetOperation(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanWindow(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanCte(LogicalNode& node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanCteScan(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanRecursiveUnion(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanWorkTableScan(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanSingleRow(LogicalNode& node);

  // planner_write.cc
  absl::StatusOr<SubPlan> PlanInsert(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanUpdate(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanDelete(LogicalNode& node);
  absl::StatusOr<SubPlan> PlanLock(LogicalNode& node, const Wanted& wanted);
  // The rows that a write changes: locked where they are read if the plan reads them by one scan, else above it.
  absl::StatusOr<SubPlan> PlanWriteSource(LogicalPtr child, const TablePtr& table, const std::vector<ColumnId>& old_columns);

  // planner_scan.cc
  absl::StatusOr<SubPlan> PlanScan(LogicalScan& scan, std::vector<ExprPtr> conjuncts, const Wanted& wanted);

  // planner_join.cc
  struct Relation {
    LogicalPtr plan;                 // with its own filters on top
    ColumnSet columns;
    ColumnSet needs;                 // columns of other relations that it looks at (lateral)
    LogicalScan* scan = nullptr;     // a stored table, possibly filtered
    std::vector<ExprPtr> filters;    // of that table alone
    double rows = 0, cost = 0;       // of `path`, as far as the search counts them
    bool single_row = false;         // at most one, by a key or an aggregation
    std::vector<ColumnId> bindings;  // lateral: the columns of `needs`, by the order of their exec parameters
    SubPlan path;                    // on its own; of a lateral one, for one left row
  };
  class JoinOrder;
  enum class JoinMethod { kNone, kHash, kLookup, kNestedLoop, kLateral };
  struct LookupChoice {
    int index = -1;
    std::vector<ExprPtr> keys;             // over the left side
    std::vector<ExprPtr> used;             // conjuncts that the keys say
    bool unique = false;
  };
  absl::StatusOr<SubPlan> PlanJoin(LogicalPtr node, const Wanted& wanted);
  absl::StatusOr<SubPlan> PlanCluster(LogicalPtr node, const Wanted& wanted);
  void Gather(LogicalPtr node, std::vector<Relation>* relations, std::vector<ExprPtr>* conjuncts);
  absl::StatusOr<SubPlan> PlanOuterJoin(LogicalJoin& join, const Wanted& wanted);
  SubPlan HashJoin(JoinType type, const SubPlan& left, const SubPlan& right, const std::vector<ExprPtr>& conjuncts, ColumnId mark, double rows);
  SubPlan NestedLoop(JoinType type, const SubPlan& left, const SubPlan& right, const std::vector<ExprPtr>& conjuncts, ColumnId mark, double rows,
                     const std::vector<ColumnId>& bindings, const ExprPtr& guard);
  SubPlan LookupJoin(JoinType type, const SubPlan& left, const LogicalScan& scan, const LookupChoice& choice, const std::vector<ExprPtr>& filters,
                     const std::vector<ExprPtr>& conjuncts, double rows);
  std::optional<LookupChoice> FindLookup(const LogicalScan& scan, const std::vector<ExprPtr>& filters, const std::vector<ExprPtr>& conjuncts,
                                         const ColumnSet& left) const;
  std::optional<SubPlan> SemiByLookup(const LogicalJoin& join, const SubPlan& right, const std::vector<ExprPtr>& conjuncts);
  // Equalities between the two sides as pairs of keys of one type; the others in `rest`.
  void SplitEqualities(const std::vector<ExprPtr>& conjuncts, const ColumnSet& left, const ColumnSet& right, std::vector<ExprPtr>* left_keys,
                       std::vector<ExprPtr>* right_keys, std::vector<ExprPtr>* rest) const;
  static void FillScan(LogicalPtr plan, LogicalScan** scan, std::vector<ExprPtr>* filters);
  void FinishJoin(PhysicalJoin* join, const SubPlan& left, const std::vector<PhysicalColumn>& right, ColumnId mark, double rows, SubPlan* out);
  // Replaces columns of `left` that `right` uses by exec parameters; which, in order.
  std::vector<ColumnId> BindOuter(LogicalNode& right, const ColumnSet& left);

  // slots.cc
  ExprPtr Slotted(const ExprPtr& expr, const Layout& layout) const;
  std::vector<ExprPtr> Slotted(const std::vector<ExprPtr>& exprs, const Layout& layout) const;
  std::vector<SortKey> Slotted(const std::vector<SortKey>& keys, const Layout& layout) const;
  static Layout LayoutOf(const PhysicalNode& node);
  std::vector<PhysicalColumn> OutputOf(const std::vector<ColumnId>& columns) const;
  int WidthOf(const std::vector<PhysicalColumn>& output) const;

  // Orders.
  static Ordering OrderingOf(const std::vector<SortKey>& keys);
  bool Satisfies(const SubPlan& plan, const Ordering& wanted) const;
  SubPlan Sorted(SubPlan plan, const std::vector<SortKey>& keys);
  SubPlan Projected(SubPlan plan, const std::vector<NamedExpr>& items);
  // The plan with exactly these columns in this order.
  SubPlan Arranged(SubPlan plan, const std::vector<ColumnId>& columns);

  BoundStatement* statement_;
  const OptimizerOptions& options_;
  const Statistics& statistics_;
  // A column that no input has: a mistake of ours, and an error of the statement rather than the pod's end.
  mutable absl::Status lost_column_;
  std::vector<SqlType> exec_param_types_;
  std::map<ColumnId, int> exec_params_;
  std::map<const LogicalNode*, std::vector<ColumnId>> bound_;  // what BindOuter did: a plan may be planned twice
  std::map<int, std::vector<ColumnId>> cte_columns_;   // what each CTE's definition yields
  std::map<int, double> cte_rows_;
  std::map<int, std::vector<ColumnId>> work_tables_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_PLANNER_H_
