// What every logical operator has: its kind, its children and the columns it yields.
//
// The logical tree is what the binder makes and the optimizer rewrites. A tree is owned by one statement that is being
// planned and changed in place; its expressions are shared and immutable. Operators name columns by ColumnId, so moving an
// operator never renumbers anything. A column is made by exactly one operator of the statement.
#ifndef INSULA_SQL_PLAN_LOGICAL_NODE_H_
#define INSULA_SQL_PLAN_LOGICAL_NODE_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sql/plan/expression.h"

namespace insula::sql {

enum class LogicalKind {
  kScan, kValues, kFunctionScan, kProjectSet, kCteScan, kWorkTableScan, kExternalSource, kFilter, kProject, kJoin,
  kSingleRow, kAggregate, kWindow, kSort, kLimit, kDistinct, kSetOperation, kCte, kRecursiveUnion, kLock, kInsert,
  kUpdate, kDelete,
};

struct LogicalNode {
  explicit LogicalNode(LogicalKind k) : kind(k) {}
  LogicalNode(const LogicalNode&) = delete;
  LogicalNode& operator=(const LogicalNode&) = delete;
  virtual ~LogicalNode() = default;

  template <typename T>
  T& As() {
    CHECK(kind == T::kKind) << "logical node kind " << static_cast<int>(kind);
    return static_cast<T&>(*this);
  }
  template <typename T>
  const T& As() const {
    CHECK(kind == T::kKind) << "logical node kind " << static_cast<int>(kind);
    return static_cast<const T&>(*this);
  }
  template <typename T>
  T* TryAs() {
    return kind == T::kKind ? static_cast<T*>(this) : nullptr;
  }

  // The columns of its rows, in order.
  virtual std::vector<ColumnId> Output() const { return children.empty() ? std::vector<ColumnId>() : children[0]->Output(); }
  // Calls `visit` with every expression slot of this node alone, so that passes can read or replace them.
  virtual void ForEachExpr(const std::function<void(ExprPtr&)>& visit) {}

  LogicalKind kind;
  std::vector<LogicalPtr> children;
};

template <LogicalKind K>
struct LogicalOf : LogicalNode {
  static constexpr LogicalKind kKind = K;
  LogicalOf() : LogicalNode(K) {}
};

// A column and how it is computed.
struct NamedExpr {
  ColumnId column = 0;
  ExprPtr expr;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_NODE_H_
