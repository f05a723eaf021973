// Virtual tables: the rows of pg_catalog and information_schema, made on demand from descriptors and registries.
//
// One file per table or theme lists its columns (with PostgreSQL's OIDs and types) and a function that writes its rows:
//
//   const VirtualTableDefinition kPgNamespace = {
//       1615-like OID, "pg_catalog", "pg_namespace",
//       {{"oid", oid::kOid}, {"nspname", oid::kName}, …},
//       [](VirtualScan& scan) { for (const auto& s : scan.snapshot.Schemas()) scan.Row().Oid(s.oid).Text(s.name)…; }};
//
// A scan asks for some columns only; writing a value of another column costs nothing.
// Thread safety: definitions are immutable; one thread.
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
