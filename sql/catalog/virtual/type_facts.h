// What PostgreSQL's catalogs say of types beyond sql/types: operator classes, ranges, descriptions.
#ifndef INSULA_SQL_CATALOG_VIRTUAL_TYPE_FACTS_H_
#define INSULA_SQL_CATALOG_VIRTUAL_TYPE_FACTS_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace insula::sql {

// All of the B-tree access method; by OID.
struct OpclassFact {
  uint32_t oid;
  std::string_view name;
  uint32_t family, type;
  bool is_default;
};
struct OpfamilyFact {
  uint32_t oid;
  std::string_view name;
};
struct RangeFact {
  uint32_t type, subtype, multirange, opclass;
  std::string_view canonical, difference;  // functions; "" for none
};
struct TypeDescription {
  uint32_t oid;
  std::string_view text;
};

std::span<const OpclassFact> OpclassFacts();
std::span<const OpfamilyFact> OpfamilyFacts();
std::span<const RangeFact> RangeFacts();
std::span<const TypeDescription> TypeDescriptions();

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_VIRTUAL_TYPE_FACTS_H_
