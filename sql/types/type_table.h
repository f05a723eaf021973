// The static table behind type.h.
#ifndef INSULA_SQL_TYPES_TYPE_TABLE_H_
#define INSULA_SQL_TYPES_TYPE_TABLE_H_

#include <span>

#include "sql/types/type.h"

namespace insula::sql::internal {

std::span<const TypeInfo> TypeTable();  // by OID

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_TYPES_TYPE_TABLE_H_
