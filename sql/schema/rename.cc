// New names, schemas and owners. Stored expressions name columns, so a renamed column is renamed in them; views name
// relations, so a renamed relation is renamed in them.
#include <algorithm>

#include "sql/parser/deparse.h"
#include "sql/parser/parser.h"
#include "sql/plan/deparse.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {

std::vector<TablePtr> Ddl::ViewsOn(Oid relation) const {
  std::vector<TablePtr> out;
  for (const auto& [oid, d] : snapshot().state().descriptors()) {
    if (!d->has_view()) continue;
    const auto& on = d->view().depends_on();
    if (std::find(on.begin(), on.end(), relation) == on.end()) continue;
    if (TablePtr view = snapshot().FindTableByOid(oid)) out.push_back(view);
  }
  return out;
}

absl::Status Ddl::RenameInViews(const TableInfo& relation, std::string_view new_schema, std::string_view new_name) {
  std::string old_text = StrCat(QuoteIdent(relation.schema), ".", QuoteIdent(relation.name));
  std::string new_text = StrCat(QuoteIdent(new_schema), ".", QuoteIdent(new_name));
  SqlNames names;
  names.table = [&](const ast::FromTable& t) -> std::optional<std::string> {
    if (t.table.schema != relation.schema || t.table.name != relation.name) return std::nullopt;
    // Columns may be qualified by the old name.
    return t.alias.name.empty() && new_name != relation.name ? StrCat(new_text, " ", QuoteIdent(relation.name)) : new_text;
  };
  for (const TablePtr& view : ViewsOn(relation.oid)) {
    v1::Descriptor d = Copy(view->oid);
    ASSIGN_OR_RETURN(auto parsed, ParseSql(d.view().definition()));
    d.mutable_view()->set_definition(ToSql(parsed[0].statement->As<ast::SelectStatement>(), names));
    Put(d);
  }
  return absl::OkStatus();
}

Task<absl::Status> Ddl::RenameRelation(const TablePtr& table, std::string_view new_name) {
  if (NameTaken(table->schema_oid, new_name)) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", new_name, "\" already exists"));
  if (table->kind == RelationKind::kIndex) {
    TablePtr owner = snapshot().FindTableOfIndex(table->oid);
    CO_RETURN_IF_ERROR(CheckOwner(owner->oid, "index", table->name));
    v1::Descriptor d = Copy(owner->oid);
    for (auto& i : *d.mutable_table()->mutable_indexes()) {
      if (i.oid() == table->oid) i.set_name(std::string(new_name));
    }
    Put(d);
    co_return absl::OkStatus();
  }
  CO_RETURN_IF_ERROR(CheckOwner(table->oid, KindWord(*table), table->name));
  CO_RETURN_IF_ERROR(RenameInViews(*table, table->schema, new_name));
  v1::Descriptor d = Copy(table->oid);
  d.set_name(std::string(new_name));
  Put(d);
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::RenameColumn(const TablePtr& table, std::string_view old_name, std::string_view new_name) {
  CO_RETURN_IF_ERROR(CheckOwner(table->oid, KindWord(*table), table->name));
  v1::Descriptor d = Copy(table->oid);
  if (table->kind == RelationKind::kView) {
    for (auto& c : *d.mutable_view()->mutable_columns()) {
      if (c.name() == old_name) co_return PgUnsupported("renaming columns of a view");
    }
    co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", old_name, "\" does not exist"));
  }
  if (table->kind != RelationKind::kTable || table->is_virtual) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", table->name, "\" is not a table"));
  int ordinal = table->FindColumn(old_name);
  if (ordinal < 0) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", old_name, "\" does not exist"));
  if (table->FindColumn(new_name) >= 0) {
    co_return PgError(sqlstate::kDuplicateColumn, StrCat("column \"", new_name, "\" of relation \"", table->name, "\" already exists"));
  }
  if (!ViewsOn(table->oid).empty()) co_return PgUnsupported("renaming a column of a table that views read");
  IoContext plain;
  DeparseOptions options;
  options.io = &plain;
  options.column = [&](const ColumnExpr& c) { return QuoteIdent(c.slot == ordinal ? std::string(new_name) : table->columns[c.slot].name); };
  auto renamed = [&](const std::string& text, ExpressionUse use, std::optional<SqlType> type) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(text, *table, use, type, Binding()));
    return Deparse(e.expr, options);
  };
  v1::Table* t = d.mutable_table();
  SqlType boolean{oid::kBool, -1};
  for (auto& c : *t->mutable_columns()) {
    if (!c.generated()) continue;
    CO_ASSIGN_OR_RETURN(std::string text, renamed(c.default_expression(), ExpressionUse::kGenerated, SqlType{c.type_oid(), c.typmod()}));
    c.set_default_expression(text);
  }
  for (auto& c : *t->mutable_checks()) {
    CO_ASSIGN_OR_RETURN(std::string text, renamed(c.expression(), ExpressionUse::kCheck, boolean));
    c.set_expression(text);
  }
  for (auto& i : *t->mutable_indexes()) {
    if (!i.predicate().empty()) {
      CO_ASSIGN_OR_RETURN(std::string text, renamed(i.predicate(), ExpressionUse::kIndexPredicate, boolean));
      i.set_predicate(text);
    }
    for (auto& c : *i.mutable_columns()) {
      if (c.column_id() != 0) continue;
      CO_ASSIGN_OR_RETURN(std::string text, renamed(c.expression(), ExpressionUse::kIndexExpression, std::nullopt));
      c.set_expression(text);
    }
  }
  t->mutable_columns(ordinal)->set_name(std::string(new_name));
  Put(d);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DdlResult>> Ddl::Rename(const ast::RenameStatement& s) {
  using T = ast::ObjectType;
  // A constraint is always a table's here.
  std::string tag = StrCat("ALTER ", ast::ObjectTypeName(s.type == T::kColumn ? s.relation_type : s.type == T::kConstraint ? T::kTable : s.type));
  switch (s.type) {
    case T::kTable:
    case T::kView:
    case T::kIndex:
    case T::kSequence: {
      CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.relation, s.if_exists));
      if (table != nullptr) CO_RETURN_IF_ERROR(co_await RenameRelation(table, s.new_name));
      break;
    }
    case T::kColumn: {
      CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.relation, s.if_exists));
      if (table != nullptr) CO_RETURN_IF_ERROR(co_await RenameColumn(table, s.name, s.new_name));
      break;
    }
    case T::kConstraint: {
      CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.relation, s.if_exists));
      if (table == nullptr) break;
      CO_RETURN_IF_ERROR(CheckAlterable(*table));
      v1::Descriptor d = Copy(table->oid);
      if (ConstraintExists(d.table(), s.new_name)) {
        co_return PgError(sqlstate::kDuplicateObject, StrCat("constraint \"", s.new_name, "\" for relation \"", table->name, "\" already exists"));
      }
      bool found = false;
      for (auto& c : *d.mutable_table()->mutable_checks()) {
        if (c.name() == s.name) c.set_name(s.new_name), found = true;
      }
      for (auto& i : *d.mutable_table()->mutable_indexes()) {
        if (i.constraint_oid() == 0 || i.name() != s.name) continue;
        if (NameTaken(table->schema_oid, s.new_name)) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", s.new_name, "\" already exists"));
        i.set_name(s.new_name);
        found = true;
      }
      if (!found) co_return PgError(sqlstate::kUndefinedObject, StrCat("constraint \"", s.name, "\" for table \"", table->name, "\" does not exist"));
      Put(d);
      break;
    }
    case T::kSchema: {
      auto schema = snapshot().FindSchema(s.name);
      if (!schema) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", s.name, "\" does not exist"));
      if (snapshot().FindSchema(s.new_name)) co_return PgError("42P06", StrCat("schema \"", s.new_name, "\" already exists"));
      if (snapshot().FindDescriptor(schema->oid) == nullptr || s.new_name.starts_with("pg_")) {
        co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for schema ", s.name));
      }
      CO_RETURN_IF_ERROR(CheckOwner(schema->oid, "schema", s.name));
      // One after another: a view may read several of them.
      for (const TablePtr& t : snapshot().Relations(false)) {
        if (t->schema_oid == schema->oid) CO_RETURN_IF_ERROR(RenameInViews(*t, s.new_name, t->name));
      }
      v1::Descriptor d = Copy(schema->oid);
      d.set_name(s.new_name);
      Put(d);
      break;
    }
    case T::kDatabase: {
      const DatabaseInfo* database = snapshot().state().FindDatabase(s.name);
      if (database == nullptr) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", s.name, "\" does not exist"));
      if (snapshot().state().FindDatabase(s.new_name) != nullptr) co_return PgError("42P04", StrCat("database \"", s.new_name, "\" already exists"));
      if (database->oid == snapshot().database_oid()) co_return PgError(sqlstate::kFeatureNotSupported, "current database cannot be renamed");
      CO_RETURN_IF_ERROR(CheckOwner(database->oid, "database", s.name));
      v1::Descriptor d = Copy(database->oid);
      d.set_name(s.new_name);
      Put(d);
      break;
    }
    case T::kRole: {
      const RoleInfo* role = snapshot().state().FindRole(s.name);
      if (role == nullptr) co_return PgError(sqlstate::kUndefinedObject, StrCat("role \"", s.name, "\" does not exist"));
      if (snapshot().state().FindRole(s.new_name) != nullptr) co_return PgError(sqlstate::kDuplicateObject, StrCat("role \"", s.new_name, "\" already exists"));
      if (role->name == c_.user) co_return PgError(sqlstate::kFeatureNotSupported, "session user cannot be renamed");
      if (!IsSuperuser() && !snapshot().state().FindRole(c_.user)->create_role) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied to rename role");
      if (snapshot().FindDescriptor(role->oid) == nullptr) co_return PgError("42939", StrCat("role name \"", s.name, "\" is reserved"));
      v1::Descriptor d = Copy(role->oid);
      d.set_name(s.new_name);
      Put(d);
      break;
    }
    default: co_return PgUnsupported(StrCat("ALTER ", ast::ObjectTypeName(s.type), " ... RENAME"));
  }
  co_return DdlResult{tag, std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::MoveToSchema(const ast::AlterSchemaStatement& s) {
  using T = ast::ObjectType;
  if (s.type != T::kTable && s.type != T::kView && s.type != T::kSequence) co_return PgUnsupported(StrCat("ALTER ", ast::ObjectTypeName(s.type), " ... SET SCHEMA"));
  std::string tag = StrCat("ALTER ", ast::ObjectTypeName(s.type));
  CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.relation, s.if_exists));
  if (table == nullptr) co_return DdlResult{tag, std::nullopt};
  CO_RETURN_IF_ERROR(CheckOwner(table->oid, KindWord(*table), table->name));
  ast::RelationName target;
  target.schema = s.new_schema;
  target.name = table->name;
  CO_ASSIGN_OR_RETURN(SchemaInfo schema, CreationSchema(target));
  if (schema.oid == table->schema_oid) co_return DdlResult{tag, std::nullopt};
  std::vector<Oid> moved = {table->oid};
  for (Oid sequence : OwnedSequences(table->oid, 0)) moved.push_back(sequence);
  for (Oid oid : moved) {
    v1::Descriptor d = Copy(oid);
    std::vector<std::string> names = {d.name()};
    if (d.has_table()) {
      for (const auto& i : d.table().indexes()) {
        if (!i.name().empty()) names.push_back(i.name());
      }
    }
    for (const std::string& name : names) {
      if (NameTaken(schema.oid, name)) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", name, "\" already exists in schema \"", schema.name, "\""));
    }
    CO_RETURN_IF_ERROR(RenameInViews(*snapshot().FindTableByOid(oid), schema.name, d.name()));
    d = Copy(oid);
    if (d.has_table()) d.mutable_table()->set_schema_oid(schema.oid);
    if (d.has_view()) d.mutable_view()->set_schema_oid(schema.oid);
    if (d.has_sequence()) d.mutable_sequence()->set_schema_oid(schema.oid);
    Put(d);
  }
  co_return DdlResult{tag, std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::AlterOwner(const ast::AlterOwnerStatement& s) {
  Oid object = 0;
  if (s.type == ast::ObjectType::kSchema) {
    auto schema = snapshot().FindSchema(s.object.back());
    if (!schema || snapshot().FindDescriptor(schema->oid) == nullptr) {
      co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", s.object.back(), "\" does not exist"));
    }
    object = schema->oid;
  } else if (s.type == ast::ObjectType::kDatabase) {
    const DatabaseInfo* database = snapshot().state().FindDatabase(s.object.back());
    if (database == nullptr) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", s.object.back(), "\" does not exist"));
    object = database->oid;
  } else {
    co_return PgUnsupported(StrCat("ALTER ", ast::ObjectTypeName(s.type), " ... OWNER TO"));
  }
  CO_RETURN_IF_ERROR(co_await ChangeOwner(object, s.owner));
  co_return DdlResult{StrCat("ALTER ", ast::ObjectTypeName(s.type)), std::nullopt};
}

}  // namespace insula::sql
