// What a session must know of a bound statement besides its plan: result columns, parameters, tag, what it touches.
#ifndef INSULA_SQL_PLAN_STATEMENT_H_
#define INSULA_SQL_PLAN_STATEMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sql/types/type.h"

namespace insula::sql {

// One field of RowDescription.
struct ResultColumn {
  std::string name;
  SqlType type;
  Oid table = 0;         // the table it comes from unchanged, or 0
  int16_t attnum = 0;    // and its number there
};

enum class StatementTag { kSelect, kInsert, kUpdate, kDelete };

// Bits of ACL privileges that the statement needs on a relation.
enum Privilege : uint32_t {
  kPrivilegeSelect = 1,
  kPrivilegeInsert = 2,
  kPrivilegeUpdate = 4,
  kPrivilegeDelete = 8,
  kPrivilegeTruncate = 16,
  kPrivilegeReferences = 32,
};
struct RequiredPrivilege {
  Oid table = 0;
  uint32_t privileges = 0;
  std::vector<int> columns;  // ordinals read or written; empty: the relation as a whole
};

struct StatementInfo {
  StatementTag tag = StatementTag::kSelect;
  std::vector<ResultColumn> columns;     // none: no rows come back
  std::vector<SqlType> parameter_types;  // inferred or given; $1 first
  bool writes = false;                   // INSERT, UPDATE, DELETE anywhere, nextval and other functions with effects
  bool locks = false;                    // FOR UPDATE and the like
  std::vector<RequiredPrivilege> privileges;
  uint64_t catalog_version = 0;          // what it was bound against
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_STATEMENT_H_
