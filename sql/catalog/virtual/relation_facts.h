// PostgreSQL's catalogs and views as relations: OID, name, columns. The source of their TableInfos.
#ifndef INSULA_SQL_CATALOG_VIRTUAL_RELATION_FACTS_H_
#define INSULA_SQL_CATALOG_VIRTUAL_RELATION_FACTS_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace insula::sql {

struct RelationFact {
  uint32_t oid;
  std::string_view schema, name;
  char kind;    // pg_class.relkind: 'r', 'v'
  bool shared;  // one for all databases
  // "name:type name:type! …": types by typname, '!' for NOT NULL, "varchar(7)" with a typmod.
  std::string_view columns;
};

std::span<const RelationFact> RelationFacts();  // by OID

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_VIRTUAL_RELATION_FACTS_H_
