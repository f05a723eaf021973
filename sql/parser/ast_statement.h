// What every statement's tree starts with.
#ifndef INSULA_SQL_PARSER_AST_STATEMENT_H_
#define INSULA_SQL_PARSER_AST_STATEMENT_H_

#include <memory>

#include "base/check.h"

namespace insula::sql::ast {

enum class StatementKind {
  // ast_query.h
  kSelect, kInsert, kUpdate, kDelete,
  // ast_ddl.h
  kCreateTable, kCreateTableAs, kAlterTable, kRename, kAlterSchema, kAlterOwner, kDrop, kCreateIndex, kCreateSchema,
  kCreateSequence, kAlterSequence, kCreateView, kCreateDatabase, kDropDatabase, kAlterDatabaseSet, kCreateRole,
  kAlterRole, kAlterRoleSet, kDropRole, kTruncate, kComment, kGrant, kGrantRole, kReindex,
  // ast_utility.h
  kTransaction, kSet, kShow, kSetConstraints, kDiscard, kExplain, kPrepare, kExecute, kDeallocate, kDeclareCursor,
  kFetch, kCloseCursor, kCopy, kVacuum, kLock, kListen, kNotify, kUnlisten, kCheckpoint, kDo, kCall, kUnsupported,
};

struct Statement {
  explicit Statement(StatementKind k) : kind(k) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  virtual ~Statement() = default;

  template <typename T>
  const T& As() const {
    CHECK(kind == T::kKind) << "statement kind " << static_cast<int>(kind);
    return static_cast<const T&>(*this);
  }
  template <typename T>
  const T* TryAs() const {
    return kind == T::kKind ? static_cast<const T*>(this) : nullptr;
  }

  StatementKind kind;
};
using StatementPtr = std::unique_ptr<Statement>;

template <StatementKind K>
struct StatementOf : Statement {
  static constexpr StatementKind kKind = K;
  StatementOf() : Statement(K) {}
};

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_STATEMENT_H_
