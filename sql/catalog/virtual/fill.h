// The functions that make rows of virtual tables, one per table that ever has any. Tables of features that do not exist
// here (triggers, publications, …) are empty and have none.
#ifndef INSULA_SQL_CATALOG_VIRTUAL_FILL_H_
#define INSULA_SQL_CATALOG_VIRTUAL_FILL_H_

#include "sql/catalog/virtual_scan.h"

namespace insula::sql {

// pg_relations.cc
void FillPgClass(VirtualScan& scan);
void FillPgAttribute(VirtualScan& scan);
void FillPgAttrdef(VirtualScan& scan);
void FillPgTables(VirtualScan& scan);
void FillPgViews(VirtualScan& scan);
void FillPgRewrite(VirtualScan& scan);
void FillPgRules(VirtualScan& scan);
// pg_indexes.cc
void FillPgIndex(VirtualScan& scan);
void FillPgIndexes(VirtualScan& scan);
void FillPgConstraint(VirtualScan& scan);
// pg_sequences.cc
void FillPgSequence(VirtualScan& scan);
void FillPgSequences(VirtualScan& scan);
// pg_databases.cc
void FillPgNamespace(VirtualScan& scan);
void FillPgDatabase(VirtualScan& scan);
void FillPgTablespace(VirtualScan& scan);
void FillPgDbRoleSetting(VirtualScan& scan);
// pg_roles.cc
void FillPgAuthid(VirtualScan& scan);
void FillPgAuthMembers(VirtualScan& scan);
void FillPgRoles(VirtualScan& scan);
void FillPgUser(VirtualScan& scan);
void FillPgShadow(VirtualScan& scan);
void FillPgGroup(VirtualScan& scan);
// pg_types.cc
void FillPgType(VirtualScan& scan);
void FillPgRange(VirtualScan& scan);
void FillPgCast(VirtualScan& scan);
void FillPgCollation(VirtualScan& scan);
void FillPgAm(VirtualScan& scan);
void FillPgOpclass(VirtualScan& scan);
void FillPgOpfamily(VirtualScan& scan);
// pg_functions.cc
void FillPgProc(VirtualScan& scan);
void FillPgOperator(VirtualScan& scan);
void FillPgLanguage(VirtualScan& scan);
// pg_descriptions.cc
void FillPgDescription(VirtualScan& scan);
void FillPgShdescription(VirtualScan& scan);
void FillPgDepend(VirtualScan& scan);
// pg_statistics.cc
void FillPgStatAllTables(VirtualScan& scan);
void FillPgStatUserTables(VirtualScan& scan);
void FillPgStatSysTables(VirtualScan& scan);
void FillPgStatAllIndexes(VirtualScan& scan);
void FillPgStatUserIndexes(VirtualScan& scan);
void FillPgStats(VirtualScan& scan);
void FillPgSettings(VirtualScan& scan);
void FillPgStatActivity(VirtualScan& scan);
// information_schema_*.cc
void FillInfoCatalogName(VirtualScan& scan);
void FillInfoSchemata(VirtualScan& scan);
void FillInfoTables(VirtualScan& scan);
void FillInfoColumns(VirtualScan& scan);
void FillInfoViews(VirtualScan& scan);
void FillInfoSequences(VirtualScan& scan);
void FillInfoTableConstraints(VirtualScan& scan);
void FillInfoKeyColumnUsage(VirtualScan& scan);
void FillInfoConstraintColumnUsage(VirtualScan& scan);
void FillInfoConstraintTableUsage(VirtualScan& scan);
void FillInfoReferentialConstraints(VirtualScan& scan);
void FillInfoCheckConstraints(VirtualScan& scan);
void FillInfoTablePrivileges(VirtualScan& scan);
void FillInfoRoleTableGrants(VirtualScan& scan);
void FillInfoApplicableRoles(VirtualScan& scan);
void FillInfoEnabledRoles(VirtualScan& scan);
void FillInfoCharacterSets(VirtualScan& scan);

// OIDs of catalogs that rows speak of.
inline constexpr Oid kPgClassOid = 1259, kPgTypeOid = 1247, kPgProcOid = 1255, kPgNamespaceOid = 2615, kPgConstraintOid = 2606,
                     kPgAttrdefOid = 2604, kPgDatabaseOid = 1262, kPgAuthidOid = 1260, kPgRewriteOid = 2618;
inline constexpr Oid kHeapAm = 2, kBtreeAm = 403, kDefaultTablespace = 1663, kDefaultCollation = 100, kCCollation = 950;

// The collation that a column of this type has: 0 if it takes none.
Oid CollationOf(Oid type);
// The default B-tree operator class of a type; 0 if it has none.
Oid OpclassOf(Oid type);
// The rule behind a view: a number that no object has.
inline Oid ViewRuleOid(Oid view) { return view ^ 0x40000000u; }
inline Oid ViewOfRule(Oid rule) { return rule ^ 0x40000000u; }
// pg_class.relkind.
char RelkindOf(const TableInfo& table);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_VIRTUAL_FILL_H_
