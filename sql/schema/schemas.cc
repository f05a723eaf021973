// Schemas and databases.
#include <algorithm>

#include "base/encoding/ordered.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {

Task<absl::StatusOr<DdlResult>> Ddl::CreateSchema(const ast::CreateSchemaStatement& s) {
  DdlResult result{"CREATE SCHEMA", std::nullopt};
  if (!s.elements.empty()) co_return PgUnsupported("CREATE SCHEMA with elements");
  Oid owner = User();
  if (s.owner) {
    CO_ASSIGN_OR_RETURN(owner, Role(*s.owner));
  }
  std::string name = s.name.empty() ? snapshot().state().FindRole(owner)->name : s.name;
  if (!snapshot().HasPrivileges(User(), snapshot().database_oid(), acl::kCreate)) {
    co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for database ", snapshot().database_name()));
  }
  if (name.starts_with("pg_")) {
    co_return PgErrorBuilder("42939", StrCat("unacceptable schema name \"", name, "\"")).Detail("The prefix \"pg_\" is reserved for system schemas.").Build();
  }
  if (snapshot().FindSchema(name)) {
    if (!s.if_not_exists) co_return PgError("42P06", StrCat("schema \"", name, "\" already exists"));
    Notice("42P06", StrCat("schema \"", name, "\" already exists, skipping"));
    co_return result;
  }
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_name(name);
  d.set_owner(owner);
  d.mutable_schema()->set_database_oid(snapshot().database_oid());
  Put(d);
  co_return result;
}

Task<absl::Status> Ddl::DropSchemas(const ast::DropStatement& s) {
  for (const auto& name : s.objects) {
    auto schema = snapshot().FindSchema(name.back());
    if (!schema) {
      if (!s.if_exists) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", name.back(), "\" does not exist"));
      Notice("00000", StrCat("schema \"", name.back(), "\" does not exist, skipping"));
      continue;
    }
    if (snapshot().FindDescriptor(schema->oid) == nullptr) {
      co_return PgError("2BP01", StrCat("cannot drop schema ", schema->name, " because it is required by the database system"));
    }
    CO_RETURN_IF_ERROR(CheckOwner(schema->oid, "schema", schema->name));
    std::set<Oid> relations;
    std::vector<std::string> lines;
    for (const TablePtr& t : snapshot().Relations(false)) {
      if (t->schema_oid != schema->oid) continue;
      relations.insert(t->oid);
      lines.push_back(StrCat(KindWord(*t), " ", t->schema, ".", t->name, " depends on schema ", schema->name));
    }
    if (!relations.empty()) {
      if (!s.cascade) {
        co_return PgErrorBuilder("2BP01", StrCat("cannot drop schema ", schema->name, " because other objects depend on it"))
            .Detail(StrJoin(lines, "\n"))
            .Hint("Use DROP ... CASCADE to drop the dependent objects too.")
            .Build();
      }
      Notice("00000", StrCat("drop cascades to ", relations.size(), relations.size() == 1 ? " other object" : " other objects"));
      CO_RETURN_IF_ERROR(co_await DropRelations(std::move(relations), true));
    }
    c_.catalog->Drop(schema->oid);
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DdlResult>> Ddl::CreateDatabase(const ast::CreateDatabaseStatement& s) {
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  if (me == nullptr || (!me->superuser && !me->create_database)) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied to create database");
  if (snapshot().state().FindDatabase(s.name) != nullptr) co_return PgError("42P04", StrCat("database \"", s.name, "\" already exists"));
  Oid owner = me->oid;
  int32_t limit = -1;
  for (const ast::Option& o : s.options) {
    std::string value = o.value.value_or("");
    if (o.name == "owner") {
      ast::RoleName name;
      name.name = value;
      CO_ASSIGN_OR_RETURN(owner, Role(name));
    } else if (o.name == "connection_limit") {
      limit = static_cast<int32_t>(o.AsInteger().value_or(-1));
    } else if (o.name == "encoding") {
      std::string upper = AsciiLower(value);
      if (!upper.empty() && upper != "utf8" && upper != "utf-8" && upper != "unicode" && upper != "6") co_return PgUnsupported(StrCat("encoding ", value));
    } else if (o.name == "template") {
      if (value != "template0" && value != "template1" && !value.empty()) co_return PgUnsupported("CREATE DATABASE ... TEMPLATE");
    } else if (o.name == "lc_collate" || o.name == "lc_ctype" || o.name == "locale") {
      if (value != "C" && value != "POSIX" && value != "C.UTF-8" && value != "C.utf8" && !value.empty()) co_return PgUnsupported(StrCat("locale \"", value, "\""));
    } else {
      co_return PgUnsupported(StrCat("CREATE DATABASE option ", o.name));
    }
  }
  CO_ASSIGN_OR_RETURN(Oid oid, co_await c_.catalog->catalog().AllocateOids(ctx_, 2));
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_name(s.name);
  d.set_owner(owner);
  d.mutable_database()->set_connection_limit(limit);
  v1::Descriptor schema;
  schema.set_version(kDescriptorVersion);
  schema.set_oid(oid + 1);
  schema.set_name("public");
  schema.set_owner(kDatabaseOwnerRoleOid);
  schema.set_comment("standard public schema");
  schema.mutable_schema()->set_database_oid(oid);
  SetAcl({{kDatabaseOwnerRoleOid, kDatabaseOwnerRoleOid, acl::kUsage | acl::kCreate, 0}, {0, kDatabaseOwnerRoleOid, acl::kUsage, 0}}, &schema);
  c_.catalog->BeginChanges();
  Put(d);
  Put(schema);
  c_.catalog->EndChanges();
  co_return DdlResult{"CREATE DATABASE", std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::DropDatabase(const ast::DropDatabaseStatement& s) {
  DdlResult result{"DROP DATABASE", std::nullopt};
  const DatabaseInfo* database = snapshot().state().FindDatabase(s.name);
  if (database == nullptr) {
    if (!s.if_exists) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", s.name, "\" does not exist"));
    Notice("00000", StrCat("database \"", s.name, "\" does not exist, skipping"));
    co_return result;
  }
  if (database->oid == snapshot().database_oid()) co_return PgError("55006", "cannot drop the currently open database");
  CO_RETURN_IF_ERROR(CheckOwner(database->oid, "database", s.name));
  std::set<Oid> schemas, all = {database->oid};
  for (const auto& [oid, d] : snapshot().state().descriptors()) {
    if (d->has_schema() && d->schema().database_oid() == database->oid) {
      schemas.insert(oid);
      all.insert(oid);
    }
  }
  for (const auto& [oid, d] : snapshot().state().descriptors()) {
    if (IsRelation(*d) && schemas.contains(SchemaOf(*d))) all.insert(oid);
  }
  for (Oid oid : all) {
    v1::Descriptor d = Copy(oid);
    if (IsRelation(d)) DropData(d);
  }
  c_.catalog->BeginChanges();
  for (Oid oid : all) c_.catalog->Drop(oid);
  c_.catalog->EndChanges();
  co_return result;
}

Task<absl::StatusOr<DdlResult>> Ddl::AlterDatabaseSet(const ast::AlterDatabaseSetStatement& s) {
  const DatabaseInfo* database = snapshot().state().FindDatabase(s.database);
  if (database == nullptr) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", s.database, "\" does not exist"));
  CO_RETURN_IF_ERROR(CheckOwner(database->oid, "database", s.database));
  v1::Descriptor d = Copy(database->oid);
  CO_RETURN_IF_ERROR(ApplySetting(*s.set, d.mutable_database()->mutable_settings()));
  Put(d);
  co_return DdlResult{"ALTER DATABASE", std::nullopt};
}

}  // namespace insula::sql
