#include "sql/schema/ddl.h"

#include <algorithm>

#include "base/check.h"
#include "sql/parser/parser.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {

using K = ast::StatementKind;

bool IsDdl(const ast::Statement& s) {
  switch (s.kind) {
    case K::kCreateTable:
    case K::kCreateTableAs:
    case K::kAlterTable:
    case K::kRename:
    case K::kAlterSchema:
    case K::kAlterOwner:
    case K::kDrop:
    case K::kCreateIndex:
    case K::kCreateSchema:
    case K::kCreateSequence:
    case K::kAlterSequence:
    case K::kCreateView:
    case K::kCreateDatabase:
    case K::kDropDatabase:
    case K::kAlterDatabaseSet:
    case K::kCreateRole:
    case K::kAlterRole:
    case K::kAlterRoleSet:
    case K::kDropRole:
    case K::kTruncate:
    case K::kComment:
    case K::kGrant:
    case K::kGrantRole:
    case K::kReindex:
    case K::kVacuum: return true;
    case K::kSelect: return s.As<ast::SelectStatement>().into != nullptr;
    default: return false;
  }
}

bool MustRunAlone(const ast::Statement& s) {
  switch (s.kind) {
    case K::kCreateDatabase:
    case K::kDropDatabase: return true;
    case K::kVacuum: return s.As<ast::VacuumStatement>().vacuum;
    case K::kCreateIndex: return s.As<ast::CreateIndexStatement>().concurrently;
    case K::kDrop: return s.As<ast::DropStatement>().concurrently;
    default: return false;
  }
}

Task<absl::StatusOr<DdlResult>> ExecuteDdl(const Context& ctx, const ast::Statement& statement, DdlContext& ddl) {
  CHECK(IsDdl(statement));
  Ddl run(ctx, ddl);
  co_return co_await run.Execute(statement);
}

Task<absl::StatusOr<DdlResult>> Ddl::Execute(const ast::Statement& s) {
  // While the lock is held, whoever writes waits with its commit. Gathering statistics takes it at its end.
  if (s.kind != K::kVacuum) CO_RETURN_IF_ERROR(co_await c_.catalog->LockForChange(ctx_));
  switch (s.kind) {
    case K::kCreateTable: co_return co_await CreateTable(s.As<ast::CreateTableStatement>());
    case K::kCreateTableAs: {
      const auto& as = s.As<ast::CreateTableAsStatement>();
      if (as.materialized_view) co_return PgUnsupported("CREATE MATERIALIZED VIEW");
      co_return co_await CreateTableAs(as.into, *as.query, as.if_not_exists, as.options, false);
    }
    case K::kSelect: co_return co_await CreateTableAs(*s.As<ast::SelectStatement>().into, s, false, {}, true);
    case K::kAlterTable: co_return co_await AlterTable(s.As<ast::AlterTableStatement>());
    case K::kRename: co_return co_await Rename(s.As<ast::RenameStatement>());
    case K::kAlterSchema: co_return co_await MoveToSchema(s.As<ast::AlterSchemaStatement>());
    case K::kAlterOwner: co_return co_await AlterOwner(s.As<ast::AlterOwnerStatement>());
    case K::kDrop: co_return co_await Drop(s.As<ast::DropStatement>());
    case K::kCreateIndex: co_return co_await CreateIndex(s.As<ast::CreateIndexStatement>());
    case K::kCreateSchema: co_return co_await CreateSchema(s.As<ast::CreateSchemaStatement>());
    case K::kCreateSequence: co_return co_await CreateSequence(s.As<ast::CreateSequenceStatement>());
    case K::kAlterSequence: co_return co_await AlterSequence(s.As<ast::AlterSequenceStatement>());
    case K::kCreateView: co_return co_await CreateView(s.As<ast::CreateViewStatement>());
    case K::kCreateDatabase: co_return co_await CreateDatabase(s.As<ast::CreateDatabaseStatement>());
    case K::kDropDatabase: co_return co_await DropDatabase(s.As<ast::DropDatabaseStatement>());
    case K::kAlterDatabaseSet: co_return co_await AlterDatabaseSet(s.As<ast::AlterDatabaseSetStatement>());
    case K::kCreateRole: co_return co_await CreateRole(s.As<ast::CreateRoleStatement>());
    case K::kAlterRole: co_return co_await AlterRole(s.As<ast::AlterRoleStatement>());
    case K::kAlterRoleSet: co_return co_await AlterRoleSet(s.As<ast::AlterRoleSetStatement>());
    case K::kDropRole: co_return co_await DropRole(s.As<ast::DropRoleStatement>());
    case K::kTruncate: co_return co_await Truncate(s.As<ast::TruncateStatement>());
    case K::kComment: co_return co_await CommentOn(s.As<ast::CommentStatement>());
    case K::kGrant: co_return co_await GrantPrivileges(s.As<ast::GrantStatement>());
    case K::kGrantRole: co_return co_await GrantRole(s.As<ast::GrantRoleStatement>());
    case K::kReindex: co_return co_await Reindex(s.As<ast::ReindexStatement>());
    case K::kVacuum: co_return co_await Vacuum(s.As<ast::VacuumStatement>());
    default: co_return PgUnsupported(CommandTag(s));
  }
}

bool Ddl::IsSuperuser() const {
  const RoleInfo* role = snapshot().state().FindRole(c_.user);
  return role != nullptr && role->superuser;
}

BindContext Ddl::Binding() const {
  BindContext out;
  out.catalog = &snapshot();
  out.search_path = c_.search_path;
  out.functions = c_.functions;
  out.allow_parameters = false;
  return out;
}

void Ddl::Notice(std::string_view sqlstate, std::string_view message, std::string_view severity) const {
  if (c_.notice) c_.notice(PgErrorBuilder(sqlstate, message).Severity(severity).Build());
}

std::shared_ptr<TableInfo> Ddl::InfoOf(const v1::Descriptor& d) const {
  auto schema = snapshot().FindSchemaByOid(SchemaOf(d));
  return MakeTableInfo(d, schema ? schema->name : "", nullptr, [this, &d](Oid oid) { return oid == d.oid() ? &d : snapshot().FindDescriptor(oid).get(); });
}

absl::StatusOr<SchemaInfo> Ddl::CreationSchema(const ast::RelationName& name) const {
  if (!name.catalog.empty() && name.catalog != snapshot().database_name()) {
    return PgUnsupported(StrCat("cross-database references: \"", name.catalog, ".", name.schema, ".", name.name, "\""));
  }
  std::optional<SchemaInfo> schema;
  if (!name.schema.empty()) {
    schema = snapshot().FindSchema(name.schema);
    if (!schema) {
      return PgErrorBuilder(sqlstate::kInvalidSchemaName, StrCat("schema \"", name.schema, "\" does not exist")).Position(name.position).Build();
    }
  } else {
    for (const std::string& s : c_.search_path) {
      if (!schema && s != "pg_catalog" && s != "information_schema") schema = snapshot().FindSchema(s);
    }
    if (!schema) return PgError(sqlstate::kInvalidSchemaName, "no schema has been selected to create in");
  }
  if (schema->oid == kPgCatalogOid || schema->oid == kInformationSchemaOid) {
    return PgErrorBuilder(sqlstate::kInsufficientPrivilege, StrCat("permission denied to create \"", schema->name, ".", name.name, "\""))
        .Detail("System catalog modifications are currently disallowed.")
        .Build();
  }
  if (!snapshot().HasPrivileges(User(), schema->oid, acl::kCreate)) {
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for schema ", schema->name));
  }
  return *schema;
}

absl::StatusOr<TablePtr> Ddl::Find(const ast::RelationName& name, bool if_exists) const {
  TablePtr table = FindRelation(name, Binding());
  if (table != nullptr) return table;
  if (if_exists) {
    Notice("00000", StrCat("relation \"", name.name, "\" does not exist, skipping"));
    return TablePtr();
  }
  ast::RelationName unplaced = name;
  unplaced.position = 0;  // these errors do not point into the statement
  return ResolveTable(unplaced, Binding());
}

std::string_view KindWord(const TableInfo& table) {
  switch (table.kind) {
    case RelationKind::kView: return "view";
    case RelationKind::kMaterializedView: return "materialized view";
    case RelationKind::kSequence: return "sequence";
    case RelationKind::kIndex: return "index";
    default: return "table";
  }
}

ast::RelationName ToRelationName(const ast::QualifiedName& name) {
  ast::RelationName out;
  CHECK(!name.empty());
  out.name = name.back();
  if (name.size() >= 2) out.schema = name[name.size() - 2];
  // Of more than three parts the first ones together are the name of no database.
  if (name.size() >= 3) out.catalog = StrJoin(ast::QualifiedName(name.begin(), name.end() - 2), ".");
  return out;
}

absl::Status Ddl::CheckOwner(Oid object, std::string_view kind, std::string_view name) const {
  if (snapshot().FindDescriptor(object) == nullptr) {  // of pg_catalog or information_schema
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied: \"", name, "\" is a system catalog"));
  }
  if (snapshot().IsOwner(User(), object)) return absl::OkStatus();
  return PgError(sqlstate::kInsufficientPrivilege, StrCat("must be owner of ", kind, " ", name));
}

absl::Status Ddl::CheckAlterable(const TableInfo& table) const {
  if (table.is_virtual && !table.sequence) {
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied: \"", table.name, "\" is a system catalog"));
  }
  if (table.kind != RelationKind::kTable) return PgError(sqlstate::kWrongObjectType, StrCat("\"", table.name, "\" is not a table"));
  return CheckOwner(table.oid, "table", table.name);
}

namespace {

constexpr size_t kMaxName = 63;

// Cuts to at most n bytes, not within a character.
std::string_view Clip(std::string_view s, size_t n) {
  if (s.size() <= n) return s;
  while (n > 0 && (static_cast<unsigned char>(s[n]) & 0xc0) == 0x80) --n;
  return s.substr(0, n);
}

// name1_name2_label within 63 bytes: the longer of the names gives way first.
std::string MakeObjectName(std::string_view name1, std::string_view name2, std::string_view label) {
  size_t overhead = (name2.empty() ? 0 : 1) + (label.empty() ? 0 : label.size() + 1);
  size_t available = kMaxName - overhead;
  size_t n1 = name1.size(), n2 = name2.size();
  while (n1 + n2 > available) {
    if (n1 > n2) {
      --n1;
    } else {
      --n2;
    }
  }
  std::string out(Clip(name1, n1));
  if (!name2.empty()) StrAppend(&out, "_", Clip(name2, n2));
  if (!label.empty()) StrAppend(&out, "_", label);
  return out;
}

}  // namespace

std::string Ddl::ChooseName(Oid schema, std::string_view name1, std::string_view name2, std::string_view label) {
  for (int n = 0;; ++n) {
    std::string name = MakeObjectName(name1, name2, n == 0 ? std::string(label) : StrCat(label, n));
    if (NameTaken(schema, name)) continue;
    chosen_.insert({schema, name});
    return name;
  }
}

bool Ddl::ConstraintExists(const v1::Table& table, std::string_view name) {
  auto named = [name](const auto& c) { return c.name() == name; };
  return std::any_of(table.checks().begin(), table.checks().end(), named) ||
         std::any_of(table.foreign_keys().begin(), table.foreign_keys().end(), named) ||
         std::any_of(table.indexes().begin(), table.indexes().end(), [name](const auto& i) { return i.constraint_oid() != 0 && i.name() == name; });
}

std::string Ddl::ChooseConstraintName(const v1::Table& table, std::string_view name1, std::string_view name2, std::string_view label) const {
  for (int n = 0;; ++n) {
    std::string name = MakeObjectName(name1, name2, n == 0 ? std::string(label) : StrCat(label, n));
    if (!ConstraintExists(table, name)) return name;
  }
}

absl::StatusOr<Oid> Ddl::Role(const ast::RoleName& name) const {
  std::string role = name.kind == ast::RoleKind::kNamed ? name.name : c_.user;
  if (name.kind == ast::RoleKind::kPublic) return 0;
  Oid oid = snapshot().FindRole(role);
  if (oid == 0) return PgErrorBuilder(sqlstate::kUndefinedObject, StrCat("role \"", role, "\" does not exist")).Build();
  return oid;
}

}  // namespace insula::sql
