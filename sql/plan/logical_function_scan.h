// Rows of functions in FROM.
#ifndef INSULA_SQL_PLAN_LOGICAL_FUNCTION_SCAN_H_
#define INSULA_SQL_PLAN_LOGICAL_FUNCTION_SCAN_H_

#include <string>
#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/table_function.h"

namespace insula::sql {

struct LogicalFunctionScan : LogicalOf<LogicalKind::kFunctionScan> {
  std::vector<TableFunctionCall> functions;
  bool ordinality = false;
  std::string alias;
  std::vector<ColumnId> columns;  // of all functions, then the ordinality

  std::vector<ColumnId> Output() const override { return columns; }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& f : functions) visit(f.call);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_FUNCTION_SCAN_H_
