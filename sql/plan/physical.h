// The physical plan: what the optimizer decided and exec builds operators from.
//
// A plan is immutable once made and free of any execution's state: parameters ($n) are bound, exec parameters are set and
// key spans are evaluated when it runs. Sessions cache plans and run one plan many times.
//
//   Insert → Project → HashJoin → IndexScan (spans: [a = $1])
//                             ↘ IndexScan
//
// Rows. Every node's output row is `output`, in order. An expression of a node is evaluated on its input row, which is
// its only child's output; for joins the left child's output followed by the right child's; for scans the scan's own
// output; where a node says otherwise, the comment at the expression says so. ColumnExpr::slot indexes that row.
//
// Exec parameters. An array of values, exec_param_types.size() long, lives as long as the execution. A NestedLoop with
// `bindings` sets some of them from its left row and then rewinds its right child; anything below may read them (filters,
// key spans, function arguments). A rewind must drop whatever depended on them.
#ifndef INSULA_SQL_PLAN_PHYSICAL_H_
#define INSULA_SQL_PLAN_PHYSICAL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sql/binder/catalog_view.h"
#include "sql/plan/aggregate_spec.h"
#include "sql/plan/expression.h"
#include "sql/plan/join_type.h"
#include "sql/plan/row_lock.h"
#include "sql/plan/sort_key.h"
#include "sql/plan/statement.h"
#include "sql/plan/table_function.h"
#include "sql/plan/window_call.h"
#include "sql/plan/write_spec.h"

namespace insula::sql {

enum class PlanKind {
  kIndexScan, kVirtualScan, kValues, kFunctionScan, kProjectSet, kCteScan, kWorkTableScan, kExternalSource,
  kFilter, kProject, kHashJoin, kNestedLoop, kLookupJoin, kSingleRow,
  kHashAggregate, kStreamAggregate, kSort, kTopN, kLimit, kDistinct, kDistinctOn, kAppend, kSetOperation, kWindow,
  kCte, kRecursiveUnion, kLockRows, kInsert, kUpdate, kDelete,
};

struct PhysicalColumn {
  ColumnId id = 0;
  SqlType type;
  std::string name;  // for EXPLAIN
};

struct PhysicalNode;
using PhysicalPtr = std::shared_ptr<const PhysicalNode>;

struct PhysicalNode {
  explicit PhysicalNode(PlanKind k) : kind(k) {}
  virtual ~PhysicalNode() = default;
  template <typename T>
  const T& As() const {
    CHECK(kind == T::kKind) << "physical node kind " << static_cast<int>(kind);
    return static_cast<const T&>(*this);
  }

  PlanKind kind;
  std::vector<PhysicalPtr> children;
  std::vector<PhysicalColumn> output;
  // Estimates, for EXPLAIN and for sizing hash tables.
  double row_estimate = 0, startup_cost = 0, total_cost = 0;
  int width = 0;
};

template <PlanKind K>
struct PhysicalOf : PhysicalNode {
  static constexpr PlanKind kKind = K;
  PhysicalOf() : PhysicalNode(K) {}
};

// --- Leaves --------------------------------------------------------------------------------------------------------

// Bounds on the columns of an index, evaluated when the scan opens (or rewinds). All expressions are row-independent and
// have the type of their index column, but for integers: those may be of any integer type and compare as numbers (a value
// that the column cannot hold equals nothing and still bounds). text, varchar and name stand for each other likewise.
//
//   index (a, b, c):   a = $1 AND b IN (2, 3) AND c > $2
//   prefix: {kEqual $1}, {kIn 2, 3}; lower: $2 exclusive          → two key ranges, in key order
//
// A NULL in an equality or in a bound matches nothing (that range is dropped; NULL elements of IN are dropped).
// Columns may be descending in the index: `lower` and `upper` speak of values, not of key order.
struct KeyPrefix {
  enum Kind { kEqual, kIsNull, kIn, kInArray };
  Kind kind = kEqual;
  std::vector<ExprPtr> values;  // kEqual: one; kIn: many, duplicates possible; kInArray: one, an array of the column's type
};
struct KeySpan {
  std::vector<KeyPrefix> prefix;  // of the first columns of the index
  // On the column after the prefix. A null pointer leaves that side open; a range on a column never includes NULL unless
  // both are null pointers.
  ExprPtr lower, upper;
  bool lower_inclusive = false, upper_inclusive = false;
};

// A scan of one index of a stored table, the primary one included. Rows come in index order (reversed with `reverse`)
// when `ordered`; otherwise the executor may return them in any order.
struct PhysicalIndexScan : PhysicalOf<PlanKind::kIndexScan> {
  TablePtr table;
  int index = 0;             // into table->indexes; 0 is the primary one
  std::vector<int> columns;  // ordinals of the table's columns, one per output column
  std::vector<KeySpan> spans;  // disjoint by construction of their expressions or not at all: union, without duplicates; empty = whole index
  // Every span fixes all columns of a unique index (kEqual, or kIn for some): at most one row per key, so use point reads.
  bool point = false;
  bool index_join = false;   // the index lacks some of `columns`: fetch rows from the primary index by key
  bool reverse = false;
  bool ordered = false;
  ExprPtr filter;            // on the output row; may be null
  ExprPtr limit;             // row-independent: no more than this many rows (after the filter) are wanted; may be null
  RowLock lock;              // lock every row returned, at the moment it is read
  std::string alias;         // for EXPLAIN
};

// Rows of a table of pg_catalog or information_schema, made by the catalog.
struct PhysicalVirtualScan : PhysicalOf<PlanKind::kVirtualScan> {
  TablePtr table;
  std::vector<int> columns;
  ExprPtr filter;
  std::string alias;
};

// Rows of expressions, evaluated on the empty row. A FROM-less SELECT is one row of no columns.
struct PhysicalValues : PhysicalOf<PlanKind::kValues> {
  std::vector<std::vector<ExprPtr>> rows;
};

// Functions in FROM, zipped (see table_function.h); their arguments are evaluated on the empty row.
struct PhysicalFunctionScan : PhysicalOf<PlanKind::kFunctionScan> {
  std::vector<TableFunctionCall> functions;
  bool ordinality = false;  // a last column: 1, 2, 3, … (bigint)
  std::string alias;
};

// Set-returning functions in a select list: output = the input row followed by one column per call. For each input row as
// many rows as the longest call yields, others padded with NULL; none if all are empty. A function with OUT columns yields
// them as one record here.
struct PhysicalProjectSet : PhysicalOf<PlanKind::kProjectSet> {
  std::vector<ExprPtr> calls;  // each a set-returning FunctionExpr
};

// Reads what the enclosing PhysicalCte with the same number computes.
struct PhysicalCteScan : PhysicalOf<PlanKind::kCteScan> {
  int cte = 0;
  std::vector<int> columns;  // places in the definition's output
  std::string alias;
};

// The rows that the enclosing PhysicalRecursiveUnion found in its last round.
struct PhysicalWorkTableScan : PhysicalOf<PlanKind::kWorkTableScan> {
  int work_table = 0;
  std::vector<int> columns;
  std::string alias;
};

// Rows that the session feeds in (COPY FROM STDIN): one output column per COPY column, values already of their types.
struct PhysicalExternalSource : PhysicalOf<PlanKind::kExternalSource> {};

// --- Rows in, rows out ---------------------------------------------------------------------------------------------

// Rows for which `condition` is TRUE. Output = the child's.
struct PhysicalFilter : PhysicalOf<PlanKind::kFilter> {
  ExprPtr condition;
};

struct PhysicalProject : PhysicalOf<PlanKind::kProject> {
  std::vector<ExprPtr> exprs;  // one per output column
};

// Exactly one row: the child's; all NULL if it has none; error 21000 "more than one row returned by a subquery used as an
// expression" if it has more.
struct PhysicalSingleRow : PhysicalOf<PlanKind::kSingleRow> {};

// Joins. children: left, right. Output by type:
//   inner, left, right, full   left columns then right columns, pruned to `output` (see `projection`)
//   semi, anti                 left columns
//   mark                       left columns, then one boolean
// Mark is TRUE if some right row satisfies the condition, else NULL if for some right row it is NULL, else FALSE.
struct PhysicalJoin : PhysicalNode {
  using PhysicalNode::PhysicalNode;
  JoinType join = JoinType::kInner;
  ExprPtr condition;  // on left row ++ right row; what keys do not already say; may be null
  // Output columns as places in left ++ right (in left ++ [mark] for mark joins).
  std::vector<int> projection;
};

// Builds a hash table of the right child, probes with the left. Keys that are NULL never match (inner, left, semi, anti);
// for mark joins see `null_aware`.
struct PhysicalHashJoin : PhysicalJoin {
  static constexpr PlanKind kKind = PlanKind::kHashJoin;
  PhysicalHashJoin() : PhysicalJoin(kKind) {}
  std::vector<ExprPtr> left_keys;   // on the left row
  std::vector<ExprPtr> right_keys;  // on the right row; pairwise the same type
  // Mark and anti joins made of IN and NOT IN over exactly one key and no condition: a NULL key on either side makes the
  // result NULL (so for anti: not returned) unless there is a match or the right side is empty. Off: NULLs do not match.
  bool null_aware = false;
};

// For each left row, all right rows. Without `bindings` the right child runs once and is kept.
struct ExecBinding {
  int exec_param = 0;
  int left_slot = 0;
};
struct PhysicalNestedLoop : PhysicalJoin {
  static constexpr PlanKind kKind = PlanKind::kNestedLoop;
  PhysicalNestedLoop() : PhysicalJoin(kKind) {}
  std::vector<ExecBinding> bindings;  // set from the left row before the right child is rewound
  // The right child is run only for left rows on which `guard` is TRUE; for others it counts as empty (left joins).
  ExprPtr guard;  // on the left row; may be null
};

// For batches of left rows, looks rows of `table` up by key. children: left only; the right row is the looked-up one:
// `columns` of the table. Left order is kept.
struct PhysicalLookupJoin : PhysicalJoin {
  static constexpr PlanKind kKind = PlanKind::kLookupJoin;
  PhysicalLookupJoin() : PhysicalJoin(kKind) {}
  TablePtr table;
  int index = 0;
  std::vector<int> columns;      // ordinals: the right row
  std::vector<ExprPtr> keys;     // on the left row: equality with the first columns of the index, exact types; NULL finds nothing
  bool unique = false;           // at most one right row per left row
  bool index_join = false;       // as in PhysicalIndexScan
  ExprPtr right_filter;          // on the right row alone; may be null
  RowLock lock;
  std::string alias;
};

// Groups by expressions on the input row. Output: the group keys, then one column per aggregate. No keys: exactly one row.
// With grouping_sets, one pass per set: keys that are not in the set are NULL; a `grouping` column per entry follows.
struct PhysicalAggregate : PhysicalNode {
  using PhysicalNode::PhysicalNode;
  std::vector<ExprPtr> keys;
  std::vector<AggregateSpec> aggregates;  // arguments on the input row
  std::vector<std::vector<int>> grouping_sets;  // each: indexes into keys; empty = one set of all keys
  std::vector<std::vector<int>> groupings;      // GROUPING(…) calls: indexes into keys; int4 output columns, last
};
struct PhysicalHashAggregate : PhysicalAggregate {
  static constexpr PlanKind kKind = PlanKind::kHashAggregate;
  PhysicalHashAggregate() : PhysicalAggregate(kKind) {}
};
// The input comes grouped by the keys (sorted by them in some order); output in that order. No grouping sets.
struct PhysicalStreamAggregate : PhysicalAggregate {
  static constexpr PlanKind kKind = PlanKind::kStreamAggregate;
  PhysicalStreamAggregate() : PhysicalAggregate(kKind) {}
};

struct PhysicalSort : PhysicalOf<PlanKind::kSort> {
  std::vector<SortKey> keys;
};

// Sort and Limit in one: keeps limit + offset rows only.
struct PhysicalTopN : PhysicalOf<PlanKind::kTopN> {
  std::vector<SortKey> keys;
  ExprPtr limit, offset;  // as in PhysicalLimit; limit is set
};

// Expressions are row-independent bigints. NULL limit = no limit, NULL offset = 0; negative: 2201W, 2201X.
struct PhysicalLimit : PhysicalOf<PlanKind::kLimit> {
  ExprPtr limit, offset;           // may be null
  std::vector<SortKey> ties;       // WITH TIES: the input's order; empty = without
};

// One of each set of equal rows (NULLs are equal), over all columns. sorted: equal rows are adjacent.
struct PhysicalDistinct : PhysicalOf<PlanKind::kDistinct> {
  bool sorted = false;
};

// The first row of each run of rows with equal keys; the input comes sorted by them.
struct PhysicalDistinctOn : PhysicalOf<PlanKind::kDistinctOn> {
  std::vector<ExprPtr> keys;
};

// All rows of all children, first child first.
struct PhysicalAppend : PhysicalOf<PlanKind::kAppend> {};

// INTERSECT [ALL], EXCEPT [ALL]. children: left, right.
struct PhysicalSetOperation : PhysicalOf<PlanKind::kSetOperation> {
  bool except = false;
  bool all = false;
};

// Window functions over one (partition, order); the input comes sorted by both. Output: the input, then one column per call.
struct PhysicalWindow : PhysicalOf<PlanKind::kWindow> {
  std::vector<ExprPtr> partition_by;
  std::vector<SortKey> order_by;
  std::vector<WindowCall> calls;
};

// --- Shared and recursive subplans ---------------------------------------------------------------------------------

// children: definition, body. The definition runs at most once per (re)start of this node, when first scanned, and its
// rows are kept; if it changes rows (INSERT, …) it runs to its end even when nobody scans it. Output = the body's.
struct PhysicalCte : PhysicalOf<PlanKind::kCte> {
  int cte = 0;
  bool modifies = false;
  std::string name;
};

// children: start, step. Rows of start, then of step run over the rows of the last round until a round finds none.
// distinct (UNION): rows already returned are dropped.
struct PhysicalRecursiveUnion : PhysicalOf<PlanKind::kRecursiveUnion> {
  int work_table = 0;
  bool distinct = false;
};

// --- Locks and writes ----------------------------------------------------------------------------------------------

// Locks rows of stored tables as they pass; for what a scan's own `lock` cannot express. SKIP LOCKED drops the row.
struct LockTarget {
  TablePtr table;
  std::vector<int> key_slots;  // primary key columns in the input row; a NULL key (outer join) locks nothing
  RowLock lock;
};
struct PhysicalLockRows : PhysicalOf<PlanKind::kLockRows> {
  std::vector<LockTarget> targets;
};

// Writes. `spec` says what, see write_spec.h. Output: the RETURNING columns (none: the node yields no rows and only counts).
// The number of rows written is the statement's count.
struct PhysicalInsert : PhysicalOf<PlanKind::kInsert> {
  InsertSpec spec;
};
struct PhysicalUpdate : PhysicalOf<PlanKind::kUpdate> {
  UpdateSpec spec;
};
struct PhysicalDelete : PhysicalOf<PlanKind::kDelete> {
  DeleteSpec spec;
};

// --- The whole -----------------------------------------------------------------------------------------------------

struct PhysicalPlan {
  PhysicalPtr root;
  StatementInfo info;                      // result columns, parameter types, tag, what it reads and writes
  std::vector<SqlType> exec_param_types;
  int cte_count = 0;                       // PhysicalCte numbers are below it
  int work_table_count = 0;
};
using PlanPtr = std::shared_ptr<const PhysicalPlan>;

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_PHYSICAL_H_
