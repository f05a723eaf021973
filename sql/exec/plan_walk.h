// What writes ask about the plan below them: does it read the table that is being written, and could a write be read again?
#ifndef INSULA_SQL_EXEC_PLAN_WALK_H_
#define INSULA_SQL_EXEC_PLAN_WALK_H_

#include <vector>

#include "sql/plan/physical.h"

namespace insula::sql {

// How often the subtree reads the table's stored rows.
int CountReads(const PhysicalNode& node, Oid table);

// Whether rows may be written while the subtree is still being read, without it seeing them (the Halloween problem): the
// table is read once, by a scan whose index columns are not in `changed` (by ordinal), and by nothing else.
bool CanWriteWhileReading(const PhysicalNode& node, const TableInfo& table, const std::vector<bool>& changed);

// Whether the subtree yields every row of the table at most once: nothing but a scan and row-wise steps above it.
bool YieldsRowsOnce(const PhysicalNode& node);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_PLAN_WALK_H_
