#include "sql/exec/plan_walk.h"

#include <algorithm>

namespace insula::sql {
namespace {

const PhysicalIndexScan* OnlyScanOf(const PhysicalNode& node, Oid table) {
  if (node.kind == PlanKind::kIndexScan) {
    const auto& scan = node.As<PhysicalIndexScan>();
    return scan.table->oid == table ? &scan : nullptr;
  }
  for (const auto& c : node.children) {
    if (const auto* scan = OnlyScanOf(*c, table)) return scan;
  }
  return nullptr;
}

}  // namespace

int CountReads(const PhysicalNode& node, Oid table) {
  int n = 0;
  if (node.kind == PlanKind::kIndexScan) n += node.As<PhysicalIndexScan>().table->oid == table;
  if (node.kind == PlanKind::kLookupJoin) n += node.As<PhysicalLookupJoin>().table->oid == table;
  // Something below a nested loop's right side runs many times.
  int factor = 1;
  for (const auto& c : node.children) {
    n += factor * CountReads(*c, table);
    if (node.kind == PlanKind::kNestedLoop || node.kind == PlanKind::kRecursiveUnion) factor = 2;
  }
  return n;
}

bool CanWriteWhileReading(const PhysicalNode& node, const TableInfo& table, const std::vector<bool>& changed) {
  int reads = CountReads(node, table.oid);
  if (reads == 0) return true;
  if (reads > 1) return false;
  const PhysicalIndexScan* scan = OnlyScanOf(node, table.oid);
  if (scan == nullptr) return false;
  auto stays = [&](const IndexInfo& index) {
    return index.predicate.empty() && std::all_of(index.columns.begin(), index.columns.end(),
                                                  [&](const auto& c) { return c.ordinal >= 0 && !changed[c.ordinal]; });
  };
  // A secondary index's entries also move with the primary key.
  return stays(table.indexes[scan->index]) && stays(table.indexes[0]);
}

bool YieldsRowsOnce(const PhysicalNode& node) {
  switch (node.kind) {
    case PlanKind::kIndexScan: return true;
    case PlanKind::kFilter:
    case PlanKind::kProject:
    case PlanKind::kSort:
    case PlanKind::kTopN:
    case PlanKind::kLimit:
    case PlanKind::kLockRows: return YieldsRowsOnce(*node.children[0]);
    default: return false;
  }
}

}  // namespace insula::sql
