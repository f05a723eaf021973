#include "sql/catalog/snapshot.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/acl.h"
#include "sql/catalog/table_info.h"
#include "sql/catalog/virtual_table.h"

namespace insula::sql {
namespace {

// The same schema in the maintenance database, which has a public schema of its own.
constexpr Oid kPostgresPublicOid = 2201;

struct PredefinedRole {
  Oid oid;
  std::string_view name;
};
constexpr PredefinedRole kPredefinedRoles[] = {
    {3373, "pg_monitor"},         {3374, "pg_read_all_settings"},   {3375, "pg_read_all_stats"},
    {3377, "pg_stat_scan_tables"}, {4200, "pg_signal_backend"},     {4544, "pg_checkpoint"},
    {4569, "pg_read_server_files"}, {4570, "pg_write_server_files"}, {4571, "pg_execute_server_program"},
    {6171, "pg_database_owner"},  {6181, "pg_read_all_data"},       {6182, "pg_write_all_data"},
};

std::shared_ptr<v1::Descriptor> NewDescriptor(Oid oid, std::string_view name, Oid owner) {
  auto d = std::make_shared<v1::Descriptor>();
  d->set_version(kDescriptorVersion);
  d->set_oid(oid);
  d->set_name(std::string(name));
  d->set_owner(owner);
  return d;
}

// What a tenant has without anything being stored.
void AddBuiltIns(CatalogState::Descriptors* out) {
  auto add = [&](std::shared_ptr<v1::Descriptor> d) { out->emplace(d->oid(), std::move(d)); };
  auto role = NewDescriptor(kBootstrapRoleOid, "postgres", kBootstrapRoleOid);
  v1::Role* r = role->mutable_role();
  r->set_superuser(true);
  r->set_inherit(true);
  r->set_create_role(true);
  r->set_create_database(true);
  r->set_login(true);
  r->set_replication(true);
  r->set_bypass_rls(true);
  r->set_connection_limit(-1);
  add(role);
  for (auto [oid, name] : {std::pair(kDefaultDatabaseOid, kDefaultDatabaseName), {kPostgresDatabaseOid, std::string_view("postgres")}}) {
    auto d = NewDescriptor(oid, name, kBootstrapRoleOid);
    d->mutable_database()->set_connection_limit(-1);
    add(d);
  }
  for (auto [oid, database] : {std::pair(kPublicOid, kDefaultDatabaseOid), {kPostgresPublicOid, kPostgresDatabaseOid}}) {
    auto d = NewDescriptor(oid, "public", kDatabaseOwnerRoleOid);
    d->set_comment("standard public schema");
    d->mutable_schema()->set_database_oid(database);
    SetAcl({{kDatabaseOwnerRoleOid, kDatabaseOwnerRoleOid, acl::kUsage | acl::kCreate, 0}, {0, kDatabaseOwnerRoleOid, acl::kUsage, 0}}, d.get());
    add(d);
  }
}

std::vector<std::pair<std::string, std::string>> SettingsOf(const google::protobuf::RepeatedPtrField<v1::Setting>& settings) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& s : settings) out.emplace_back(s.name(), s.value());
  return out;
}

RoleInfo MakeRole(const v1::Descriptor& d) {
  const v1::Role& r = d.role();
  RoleInfo out;
  out.oid = d.oid();
  out.name = d.name();
  out.superuser = r.superuser();
  out.inherit = r.inherit();
  out.create_role = r.create_role();
  out.create_database = r.create_database();
  out.login = r.login();
  out.replication = r.replication();
  out.bypass_rls = r.bypass_rls();
  out.connection_limit = r.connection_limit();
  out.verifier = r.verifier();
  out.valid_until = r.valid_until();
  out.settings = SettingsOf(r.settings());
  return out;
}

bool SameForeignKeys(const std::vector<ForeignKeyInfo>& a, const std::vector<ForeignKeyInfo>* b) {
  if (b == nullptr) return a.empty();
  return a.size() == b->size() && std::equal(a.begin(), a.end(), b->begin(), [](const auto& x, const auto& y) { return x.oid == y.oid; });
}

}  // namespace

// --- CatalogState

CatalogStatePtr CatalogState::Make(uint64_t version, Descriptors descriptors, Statistics statistics, const CatalogState* previous) {
  auto state = std::shared_ptr<CatalogState>(new CatalogState());
  state->version_ = version;
  AddBuiltIns(&descriptors);  // keeps what is stored
  state->descriptors_ = std::move(descriptors);
  state->statistics_ = std::move(statistics);
  for (const auto& [oid, name] : kPredefinedRoles) {
    RoleInfo role;
    role.oid = oid;
    role.name = std::string(name);
    state->role_names_[role.name] = oid;
    state->roles_[oid] = std::move(role);
  }
  for (const auto& [oid, d] : state->descriptors_) state->IndexDescriptor(oid, d, previous);

  // Relations, once all schemas are known.
  auto find = [&](Oid oid) { return state->Find(oid).get(); };
  for (const auto& [oid, d] : state->descriptors_) {
    if (!d->has_table()) continue;
    for (const auto& k : d->table().foreign_keys()) {
      ForeignKeyInfo info;
      info.oid = k.oid();
      info.table = oid;
      state->referenced_by_[k.referenced_table()].push_back(std::move(info));
    }
  }
  for (const auto& [oid, d] : state->descriptors_) {
    if (!IsRelation(*d)) continue;
    DescriptorPtr schema = state->Find(SchemaOf(*d));
    std::string schema_name = schema == nullptr ? "" : schema->name();
    auto stats = state->statistics_.find(oid);
    StatisticsPtr stats_ptr = stats == state->statistics_.end() ? nullptr : stats->second;
    auto refs = state->referenced_by_.find(oid);
    bool references_others = d->has_table() && d->table().foreign_keys_size() > 0;
    if (previous != nullptr && refs == state->referenced_by_.end() && !references_others) {
      auto old = previous->tables_.find(oid);
      auto old_stats = previous->statistics_.find(oid);
      StatisticsPtr old_stats_ptr = old_stats == previous->statistics_.end() ? nullptr : old_stats->second;
      if (old != previous->tables_.end() && previous->Find(oid) == d && old_stats_ptr == stats_ptr && old->second->schema == schema_name &&
          SameForeignKeys(old->second->referenced_by, nullptr)) {
        state->tables_[oid] = old->second;
      }
    }
    if (!state->tables_.contains(oid)) state->tables_[oid] = MakeTableInfo(*d, schema_name, stats_ptr.get(), find);
    if (!d->has_table()) continue;
    for (const auto& i : d->table().indexes()) {
      if (i.name().empty()) continue;  // the index of hidden row ids
      state->tables_[i.oid()] = MakeIndexTableInfo(*d, i, schema_name);
    }
  }
  for (auto& [oid, keys] : state->referenced_by_) {
    auto it = state->tables_.find(oid);
    if (it == state->tables_.end()) continue;
    auto changed = std::make_shared<TableInfo>(*it->second);
    changed->referenced_by.clear();
    for (const auto& key : keys) {
      for (const auto& full : state->tables_[key.table]->foreign_keys) {
        if (full.oid == key.oid) changed->referenced_by.push_back(full);
      }
    }
    it->second = std::move(changed);
  }
  return state;
}

void CatalogState::IndexDescriptor(Oid oid, const DescriptorPtr& d, const CatalogState* previous) {
  switch (d->body_case()) {
    case v1::Descriptor::kRole:
      roles_[oid] = MakeRole(*d);
      role_names_[d->name()] = oid;
      break;
    case v1::Descriptor::kDatabase:
      databases_[oid] = {oid, d->name(), d->owner(), d->database().connection_limit(), SettingsOf(d->database().settings())};
      database_names_[d->name()] = oid;
      break;
    case v1::Descriptor::kSchema:
      schema_names_[{d->schema().database_oid(), d->name()}] = oid;
      break;
    case v1::Descriptor::kTable:
      for (const auto& i : d->table().indexes()) {
        if (!i.name().empty()) relation_names_[{d->table().schema_oid(), i.name()}] = i.oid();
        index_tables_[i.oid()] = oid;
        if (i.constraint_oid() != 0) constraint_tables_[i.constraint_oid()] = oid;
      }
      for (const auto& c : d->table().checks()) constraint_tables_[c.oid()] = oid;
      for (const auto& k : d->table().foreign_keys()) constraint_tables_[k.oid()] = oid;
      [[fallthrough]];
    case v1::Descriptor::kView:
    case v1::Descriptor::kSequence:
      relation_names_[{SchemaOf(*d), d->name()}] = oid;
      break;
    case v1::Descriptor::BODY_NOT_SET:  // a built-in object that was dropped
      break;
  }
}

DescriptorPtr CatalogState::Find(Oid oid) const {
  auto it = descriptors_.find(oid);
  return it == descriptors_.end() || it->second->body_case() == v1::Descriptor::BODY_NOT_SET ? nullptr : it->second;
}

const RoleInfo* CatalogState::FindRole(std::string_view name) const {
  auto it = role_names_.find(name);
  return it == role_names_.end() ? nullptr : FindRole(it->second);
}

const RoleInfo* CatalogState::FindRole(Oid oid) const {
  auto it = roles_.find(oid);
  return it == roles_.end() ? nullptr : &it->second;
}

std::vector<const RoleInfo*> CatalogState::Roles() const {
  std::vector<const RoleInfo*> out;
  for (const auto& [oid, role] : roles_) out.push_back(&role);
  return out;
}

bool CatalogState::IsMember(Oid member, Oid role) const {
  std::set<Oid> seen;
  std::vector<Oid> todo = {member};
  while (!todo.empty()) {
    Oid at = todo.back();
    todo.pop_back();
    if (at == role) return true;
    if (!seen.insert(at).second) continue;
    DescriptorPtr d = Find(at);
    if (d == nullptr || !d->has_role()) continue;
    for (const auto& m : d->role().member_of()) todo.push_back(m.role());
  }
  return false;
}

const DatabaseInfo* CatalogState::FindDatabase(std::string_view name) const {
  auto it = database_names_.find(name);
  return it == database_names_.end() ? nullptr : FindDatabase(it->second);
}

const DatabaseInfo* CatalogState::FindDatabase(Oid oid) const {
  auto it = databases_.find(oid);
  return it == databases_.end() ? nullptr : &it->second;
}

std::vector<const DatabaseInfo*> CatalogState::Databases() const {
  std::vector<const DatabaseInfo*> out;
  for (const auto& [oid, database] : databases_) out.push_back(&database);
  return out;
}

// --- CatalogSnapshot

CatalogSnapshot::CatalogSnapshot(CatalogStatePtr state, Oid database) : state_(std::move(state)), database_(database) {
  const DatabaseInfo* info = state_->FindDatabase(database_);
  CHECK(info != nullptr) << "no database " << database_;
  database_name_ = info->name;
}

std::optional<SchemaInfo> CatalogSnapshot::FindSchema(std::string_view name) const {
  if (name == "pg_catalog") return SchemaInfo{kPgCatalogOid, "pg_catalog", kBootstrapRoleOid};
  if (name == "information_schema") return SchemaInfo{kInformationSchemaOid, "information_schema", kBootstrapRoleOid};
  auto it = state_->schema_names_.find(std::pair(database_, std::string(name)));
  if (it == state_->schema_names_.end()) return std::nullopt;
  return SchemaInfo{it->second, std::string(name), state_->Find(it->second)->owner()};
}

std::optional<SchemaInfo> CatalogSnapshot::FindSchemaByOid(Oid oid) const {
  if (oid == kPgCatalogOid) return FindSchema("pg_catalog");
  if (oid == kInformationSchemaOid) return FindSchema("information_schema");
  DescriptorPtr d = state_->Find(oid);
  if (d == nullptr || !d->has_schema() || d->schema().database_oid() != database_) return std::nullopt;
  return SchemaInfo{oid, d->name(), d->owner()};
}

std::vector<SchemaInfo> CatalogSnapshot::Schemas() const {
  std::vector<SchemaInfo> out = {*FindSchema("pg_catalog"), *FindSchema("information_schema")};
  for (const auto& [key, oid] : state_->schema_names_) {
    if (key.first == database_) out.push_back({oid, key.second, state_->Find(oid)->owner()});
  }
  std::sort(out.begin(), out.end(), [](const SchemaInfo& a, const SchemaInfo& b) { return a.oid < b.oid; });
  return out;
}

Oid CatalogSnapshot::FindRelationOid(Oid schema, std::string_view name) const {
  if (schema == kPgCatalogOid || schema == kInformationSchemaOid) {
    const VirtualTable* table = FindVirtualTable(schema == kPgCatalogOid ? "pg_catalog" : "information_schema", name);
    return table == nullptr ? 0 : table->info->oid;
  }
  auto it = state_->relation_names_.find(std::pair(schema, std::string(name)));
  return it == state_->relation_names_.end() ? 0 : it->second;
}

TablePtr CatalogSnapshot::FindTable(std::string_view schema, std::string_view name) const {
  if (schema == "pg_catalog" || schema == "information_schema") {
    const VirtualTable* table = FindVirtualTable(schema, name);
    return table == nullptr ? nullptr : table->info;
  }
  auto it = state_->schema_names_.find(std::pair(database_, std::string(schema)));
  if (it == state_->schema_names_.end()) return nullptr;
  Oid oid = FindRelationOid(it->second, name);
  return oid == 0 ? nullptr : FindTableByOid(oid);
}

TablePtr CatalogSnapshot::FindTableByOid(Oid oid) const {
  auto it = state_->tables_.find(oid);
  if (it != state_->tables_.end()) return FindSchemaByOid(it->second->schema_oid) ? it->second : nullptr;
  const VirtualTable* table = FindVirtualTable(oid);
  return table == nullptr ? nullptr : table->info;
}

TablePtr CatalogSnapshot::FindTableOfIndex(Oid index) const {
  auto it = state_->index_tables_.find(index);
  return it == state_->index_tables_.end() ? nullptr : FindTableByOid(it->second);
}

TablePtr CatalogSnapshot::FindTableOfConstraint(Oid constraint) const {
  auto it = state_->constraint_tables_.find(constraint);
  return it == state_->constraint_tables_.end() ? nullptr : FindTableByOid(it->second);
}

std::vector<TablePtr> CatalogSnapshot::Relations(bool with_virtual) const {
  std::vector<TablePtr> out;
  if (with_virtual) {
    for (const VirtualTable* table : AllVirtualTables()) out.push_back(table->info);
  }
  for (const auto& [oid, table] : state_->tables_) {
    if (table->kind != RelationKind::kIndex && FindSchemaByOid(table->schema_oid)) out.push_back(table);
  }
  return out;
}

std::optional<SqlType> CatalogSnapshot::FindType(std::string_view schema, std::string_view name) const {
  return std::nullopt;  // no user types yet
}

Oid CatalogSnapshot::FindRole(std::string_view name) const {
  const RoleInfo* role = state_->FindRole(name);
  return role == nullptr ? 0 : role->oid;
}

namespace {

// What `role` holds through the entries of a list: its own, its roles', PUBLIC's.
PrivilegeBits HeldIn(const CatalogState& state, const Acl& list, Oid role, Oid database_owner) {
  PrivilegeBits held = 0;
  for (const AclItem& item : list) {
    Oid grantee = item.grantee == kDatabaseOwnerRoleOid ? database_owner : item.grantee;
    if (grantee == 0 || state.IsMember(role, grantee)) held |= item.privileges;
  }
  return held;
}

char AclKindOf(const v1::Descriptor& d) {
  if (d.has_sequence()) return 'S';
  if (d.has_schema()) return 'n';
  if (d.has_database()) return 'd';
  return 'r';
}

}  // namespace

bool CatalogSnapshot::HasPrivileges(Oid role, Oid object, PrivilegeBits wanted) const {
  const RoleInfo* info = state_->FindRole(role);
  if (info != nullptr && info->superuser) return true;
  if (object == kPgCatalogOid || object == kInformationSchemaOid) return (wanted & ~acl::kUsage) == 0;
  if (const VirtualTable* table = FindVirtualTable(object)) return !table->superuser_only && (wanted & ~acl::kSelect) == 0;
  DescriptorPtr d = state_->Find(object);
  if (d == nullptr) return false;
  Oid database_owner = state_->FindDatabase(database_)->owner;
  Acl list = StoredAcl(*d).value_or(DefaultAcl(AclKindOf(*d), d->owner()));
  if (IsRelation(*d)) {
    // pg_read_all_data, pg_write_all_data
    if (state_->IsMember(role, 6181)) wanted &= ~acl::kSelect;
    if (state_->IsMember(role, 6182)) wanted &= ~(acl::kInsert | acl::kUpdate | acl::kDelete);
  }
  return (wanted & ~HeldIn(*state_, list, role, database_owner)) == 0;
}

bool CatalogSnapshot::HasColumnPrivileges(Oid role, Oid table, PrivilegeBits wanted, const std::vector<int16_t>& attnums) const {
  if (HasPrivileges(role, table, wanted)) return true;
  DescriptorPtr d = state_->Find(table);
  if (d == nullptr || !d->has_table()) return false;
  Oid database_owner = state_->FindDatabase(database_)->owner;
  for (int16_t attnum : attnums) {
    bool held = false;
    for (const auto& c : d->table().columns()) {
      if (c.attnum() != attnum) continue;
      Acl list;
      for (const auto& e : c.acl()) list.push_back({e.grantee(), e.grantor(), e.privileges(), e.grantable()});
      held = (wanted & ~HeldIn(*state_, list, role, database_owner)) == 0;
    }
    if (!held) return false;
  }
  return true;
}

bool CatalogSnapshot::IsOwner(Oid role, Oid object) const {
  const RoleInfo* info = state_->FindRole(role);
  if (info != nullptr && info->superuser) return true;
  DescriptorPtr d = state_->Find(object);
  if (d == nullptr) return false;
  Oid owner = d->owner() == kDatabaseOwnerRoleOid ? state_->FindDatabase(database_)->owner : d->owner();
  return state_->IsMember(role, owner);
}

}  // namespace insula::sql
