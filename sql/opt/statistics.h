// Estimates: how many rows an operator yields, which part of them a condition lets through.
//
// Made once per statement: it remembers which stored column each ColumnId is.
#ifndef INSULA_SQL_OPT_STATISTICS_H_
#define INSULA_SQL_OPT_STATISTICS_H_

#include <map>
#include <vector>

#include "sql/plan/logical.h"

namespace insula::sql {

class Statistics {
 public:
  explicit Statistics(const Columns* columns) : columns_(columns) {}
  // Takes note of the scans in `plan`, subqueries included.
  void Learn(LogicalNode& plan);

  double Rows(LogicalNode& node) const;
  static double TableRows(const TableInfo& table);
  // The part of rows, 0…1, for which the condition is TRUE.
  double Selectivity(const ExprPtr& condition) const;
  double Selectivity(const std::vector<ExprPtr>& conjuncts) const;
  // Distinct values of a column; `rows` where nothing is known of it.
  double Distinct(ColumnId column, double rows) const;
  // The part of pairs of rows of two sides for which `condition` is TRUE.
  double JoinSelectivity(const std::vector<ExprPtr>& conjuncts, double left_rows, double right_rows) const;
  // Groups that keys make of `rows` rows.
  double Groups(const std::vector<ExprPtr>& keys, double rows) const;
  // Average bytes of a column's values.
  double Width(ColumnId column) const;

  struct Source {
    TablePtr table;
    int ordinal = 0;
  };
  // The stored column that a column is, or nullptr.
  const Source* Find(ColumnId column) const;

 private:
  double ColumnDistinct(const Source& source) const;
  double Equality(const ExprPtr& left, const ExprPtr& right) const;

  const Columns* columns_;
  std::map<ColumnId, Source> sources_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_STATISTICS_H_
