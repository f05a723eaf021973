// Virtual tables: the rows of pg_catalog and information_schema, made on demand from descriptors and registries.
//
//   relation_facts.cc: OID, kind, columns ──► VirtualTable ◄── kFillers (virtual_table.cc): who writes the rows
//
// A filler goes over the snapshot and gives one row after the other, a cell per column of the facts, in order:
//
//   void FillPgTablespace(VirtualScan& scan) {
//     scan.Row(kDefaultTablespace, "pg_default", kBootstrapRoleOid, nullptr, nullptr);
//   }
//
// Tables without a filler are empty. A scan asks for some columns only; a cell of another column is not kept (virtual_scan.h).
// Thread safety: made once, immutable after that.
#ifndef INSULA_SQL_CATALOG_VIRTUAL_TABLE_H_
#define INSULA_SQL_CATALOG_VIRTUAL_TABLE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "sql/binder/catalog_view.h"
#include "sql/types/vector.h"

namespace insula::sql {

class CatalogSnapshot;
class VirtualScan;

struct VirtualTable {
  TablePtr info;
  bool is_view = false;         // in PostgreSQL it is a view (pg_class.relkind 'v')
  bool superuser_only = false;  // pg_authid
  void (*fill)(VirtualScan& scan) = nullptr;
};

// nullptr if there is none.
const VirtualTable* FindVirtualTable(std::string_view schema, std::string_view name);
const VirtualTable* FindVirtualTable(Oid oid);
// By OID.
std::span<const VirtualTable* const> AllVirtualTables();

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_VIRTUAL_TABLE_H_
