#include "sql/catalog/virtual_table.h"

#include <charconv>
#include <map>
#include <memory>

#include "base/check.h"
#include "sql/catalog/snapshot.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual/relation_facts.h"

namespace insula::sql {
namespace {

struct Filler {
  std::string_view schema, name;
  void (*fill)(VirtualScan& scan);
};

constexpr std::string_view kPg = "pg_catalog", kInfo = "information_schema";
constexpr Filler kFillers[] = {
    {kPg, "pg_class", FillPgClass},
    {kPg, "pg_attribute", FillPgAttribute},
    {kPg, "pg_attrdef", FillPgAttrdef},
    {kPg, "pg_tables", FillPgTables},
    {kPg, "pg_views", FillPgViews},
    {kPg, "pg_rewrite", FillPgRewrite},
    {kPg, "pg_rules", FillPgRules},
    {kPg, "pg_index", FillPgIndex},
    {kPg, "pg_indexes", FillPgIndexes},
    {kPg, "pg_constraint", FillPgConstraint},
    {kPg, "pg_sequence", FillPgSequence},
    {kPg, "pg_sequences", FillPgSequences},
    {kPg, "pg_namespace", FillPgNamespace},
    {kPg, "pg_database", FillPgDatabase},
    {kPg, "pg_tablespace", FillPgTablespace},
    {kPg, "pg_db_role_setting", FillPgDbRoleSetting},
    {kPg, "pg_authid", FillPgAuthid},
    {kPg, "pg_auth_members", FillPgAuthMembers},
    {kPg, "pg_roles", FillPgRoles},
    {kPg, "pg_user", FillPgUser},
    {kPg, "pg_shadow", FillPgShadow},
    {kPg, "pg_group", FillPgGroup},
    {kPg, "pg_type", FillPgType},
    {kPg, "pg_range", FillPgRange},
    {kPg, "pg_cast", FillPgCast},
    {kPg, "pg_collation", FillPgCollation},
    {kPg, "pg_am", FillPgAm},
    {kPg, "pg_opclass", FillPgOpclass},
    {kPg, "pg_opfamily", FillPgOpfamily},
    {kPg, "pg_proc", FillPgProc},
    {kPg, "pg_operator", FillPgOperator},
    {kPg, "pg_language", FillPgLanguage},
    {kPg, "pg_description", FillPgDescription},
    {kPg, "pg_shdescription", FillPgShdescription},
    {kPg, "pg_depend", FillPgDepend},
    {kPg, "pg_stat_all_tables", FillPgStatAllTables},
    {kPg, "pg_stat_user_tables", FillPgStatUserTables},
    {kPg, "pg_stat_sys_tables", FillPgStatSysTables},
    {kPg, "pg_stat_all_indexes", FillPgStatAllIndexes},
    {kPg, "pg_stat_user_indexes", FillPgStatUserIndexes},
    {kPg, "pg_stats", FillPgStats},
    {kPg, "pg_settings", FillPgSettings},
    {kPg, "pg_stat_activity", FillPgStatActivity},
    {kInfo, "information_schema_catalog_name", FillInfoCatalogName},
    {kInfo, "schemata", FillInfoSchemata},
    {kInfo, "tables", FillInfoTables},
    {kInfo, "columns", FillInfoColumns},
    {kInfo, "views", FillInfoViews},
    {kInfo, "sequences", FillInfoSequences},
    {kInfo, "table_constraints", FillInfoTableConstraints},
    {kInfo, "key_column_usage", FillInfoKeyColumnUsage},
    {kInfo, "constraint_column_usage", FillInfoConstraintColumnUsage},
    {kInfo, "constraint_table_usage", FillInfoConstraintTableUsage},
    {kInfo, "referential_constraints", FillInfoReferentialConstraints},
    {kInfo, "check_constraints", FillInfoCheckConstraints},
    {kInfo, "table_privileges", FillInfoTablePrivileges},
    {kInfo, "role_table_grants", FillInfoRoleTableGrants},
    {kInfo, "applicable_roles", FillInfoApplicableRoles},
    {kInfo, "enabled_roles", FillInfoEnabledRoles},
    {kInfo, "character_sets", FillInfoCharacterSets},
};

// "name:type!" or "name:varchar(11)".
ColumnInfo ParseColumn(std::string_view text, int number) {
  ColumnInfo out;
  out.id = static_cast<uint32_t>(number);
  out.attnum = static_cast<int16_t>(number);
  size_t colon = text.find(':');
  CHECK(colon != std::string_view::npos) << text;
  out.name = std::string(text.substr(0, colon));
  std::string_view type = text.substr(colon + 1);
  if (type.ends_with('!')) {
    out.not_null = true;
    type.remove_suffix(1);
  }
  if (size_t open = type.find('('); open != std::string_view::npos) {
    std::from_chars(type.data() + open + 1, type.data() + type.size(), out.type.typmod);
    type = type.substr(0, open);
  }
  const TypeInfo* info = FindTypeByTypname(type);
  CHECK(info != nullptr) << "no type " << type;
  out.type.oid = info->oid;
  return out;
}

std::shared_ptr<TableInfo> MakeInfo(const RelationFact& fact) {
  auto out = std::make_shared<TableInfo>();
  out->oid = fact.oid;
  out->schema = std::string(fact.schema);
  out->schema_oid = fact.schema == kPg ? kPgCatalogOid : kInformationSchemaOid;
  out->name = std::string(fact.name);
  out->owner = kBootstrapRoleOid;
  out->kind = RelationKind::kTable;
  out->is_virtual = true;
  std::string_view rest = fact.columns;
  while (!rest.empty()) {
    size_t space = std::min(rest.find(' '), rest.size());
    out->columns.push_back(ParseColumn(rest.substr(0, space), static_cast<int>(out->columns.size() + 1)));
    rest.remove_prefix(std::min(rest.size(), space + 1));
  }
  return out;
}

struct Registry {
  Registry() {
    for (const RelationFact& fact : RelationFacts()) {
      auto table = std::make_unique<VirtualTable>();
      table->info = MakeInfo(fact);
      table->is_view = fact.kind == 'v';
      table->superuser_only = fact.name == "pg_authid" || fact.name == "pg_shadow" || fact.name == "pg_user_mapping";
      for (const Filler& f : kFillers) {
        if (f.schema == fact.schema && f.name == fact.name) table->fill = f.fill;
      }
      by_name[{std::string(fact.schema), std::string(fact.name)}] = table.get();
      by_oid[fact.oid] = table.get();
      tables.push_back(std::move(table));
    }
    for (const auto& [oid, table] : by_oid) ordered.push_back(table);
    for (const Filler& f : kFillers) {
      CHECK(by_name.contains(std::pair(std::string(f.schema), std::string(f.name)))) << "no facts about " << f.name;
    }
  }
  std::vector<std::unique_ptr<VirtualTable>> tables;
  std::map<std::pair<std::string, std::string>, const VirtualTable*> by_name;
  std::map<Oid, const VirtualTable*> by_oid;
  std::vector<const VirtualTable*> ordered;
};

const Registry& TheRegistry() {
  static const Registry* registry = new Registry();
  return *registry;
}

}  // namespace

const VirtualTable* FindVirtualTable(std::string_view schema, std::string_view name) {
  const Registry& r = TheRegistry();
  auto it = r.by_name.find({std::string(schema), std::string(name)});
  return it == r.by_name.end() ? nullptr : it->second;
}

const VirtualTable* FindVirtualTable(Oid oid) {
  if (oid >= kFirstNormalOid) return nullptr;
  const Registry& r = TheRegistry();
  auto it = r.by_oid.find(oid);
  return it == r.by_oid.end() ? nullptr : it->second;
}

std::span<const VirtualTable* const> AllVirtualTables() { return TheRegistry().ordered; }

}  // namespace insula::sql
