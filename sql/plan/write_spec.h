// What INSERT, UPDATE and DELETE write and check, the same in the logical and in the physical plan.
//
// Rows. T is the number of columns of the table, hidden ones included.
//   table row   T values in ordinal order
//   child row   the output of the operator below
// Generated columns are computed by the plan below the write, so specs know nothing of them, except in ON CONFLICT DO
// UPDATE where the assignments include them.
#ifndef INSULA_SQL_PLAN_WRITE_SPEC_H_
#define INSULA_SQL_PLAN_WRITE_SPEC_H_

#include <functional>
#include <string>
#include <vector>

#include "sql/binder/catalog_view.h"
#include "sql/plan/expression.h"

namespace insula::sql {

// CHECK constraint: violated (23514) where it is FALSE on the new table row.
struct CheckSpec {
  std::string name;
  ExprPtr condition;
};

// What writing one index takes, for those that are partial or on expressions.
struct IndexSpec {
  int index = 0;               // into TableInfo::indexes
  ExprPtr predicate;           // on the table row; null = every row has an entry
  std::vector<ExprPtr> exprs;  // on the table row, one per index column; null for plain columns
};

inline void VisitIndexSpecs(std::vector<IndexSpec>& specs, const std::function<void(ExprPtr&)>& visit) {
  for (auto& s : specs) {
    if (s.predicate) visit(s.predicate);
    for (auto& e : s.exprs) {
      if (e) visit(e);
    }
  }
}

struct Assignment {
  int ordinal = 0;
  ExprPtr value;
};

// One row per RETURNING column, evaluated on the row that the enclosing spec names.
using Returning = std::vector<ExprPtr>;

enum class ConflictAction { kNone, kNothing, kUpdate };

struct ConflictSpec {
  ConflictAction action = ConflictAction::kNone;
  std::vector<int> arbiters;  // into TableInfo::indexes; kNothing without a target: empty = every unique index
  // kUpdate. Expressions are evaluated on existing table row ++ proposed ("excluded") table row.
  std::vector<Assignment> assignments;  // generated columns included
  ExprPtr where;                        // null: always
};

// The child yields table rows (T columns); hidden columns as NULL, for the operator to fill in.
struct InsertSpec {
  TablePtr table;
  std::vector<CheckSpec> checks;      // on the new table row
  std::vector<IndexSpec> indexes;
  ConflictSpec conflict;
  Returning returning;                // on the table row as it is now stored
};

// child row: contains the old table row (old_slots) and whatever else the values and RETURNING need.
// A target row that comes twice (UPDATE … FROM with several matches) is updated once, by the first.
struct UpdateSpec {
  TablePtr table;
  std::vector<int> old_slots;              // by ordinal: place in the child row; empty in the logical plan
  std::vector<ColumnId> old_columns;       // by ordinal
  std::vector<Assignment> assignments;     // on the child row; generated columns included
  std::vector<CheckSpec> checks;           // on the new table row
  std::vector<IndexSpec> indexes;          // on a table row
  Returning returning;                     // on new table row ++ child row
  std::vector<ColumnId> new_columns;       // ids by which `checks`, `indexes` and `returning` name the new table row
};

struct DeleteSpec {
  TablePtr table;
  std::vector<int> old_slots;          // by ordinal: place in the child row
  std::vector<ColumnId> old_columns;
  std::vector<IndexSpec> indexes;      // on a table row
  std::vector<ColumnId> row_columns;   // ids by which `indexes` names the table row
  Returning returning;                 // on the child row
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_WRITE_SPEC_H_
