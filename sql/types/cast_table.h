// The static table behind cast.h.
#ifndef INSULA_SQL_TYPES_CAST_TABLE_H_
#define INSULA_SQL_TYPES_CAST_TABLE_H_

#include <span>

#include "sql/types/cast.h"

namespace insula::sql::internal {

std::span<const CastInfo> CastTable();  // by source, then target

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_TYPES_CAST_TABLE_H_
