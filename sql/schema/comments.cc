// COMMENT ON.
#include <algorithm>

#include "sql/schema/ddl_internal.h"

namespace insula::sql {

Task<absl::StatusOr<DdlResult>> Ddl::CommentOn(const ast::CommentStatement& s) {
  using T = ast::ObjectType;
  DdlResult result{"COMMENT", std::nullopt};
  const std::string text = s.comment.value_or("");
  const std::string& last = s.object.back();
  switch (s.type) {
    case T::kTable:
    case T::kView:
    case T::kSequence: {
      CO_ASSIGN_OR_RETURN(TablePtr t, Find(ToRelationName(s.object), false));
      CO_RETURN_IF_ERROR(CheckOwner(t->oid, KindWord(*t), t->name));
      v1::Descriptor d = Copy(t->oid);
      d.set_comment(text);
      Put(d);
      co_return result;
    }
    case T::kIndex: {
      CO_ASSIGN_OR_RETURN(TablePtr index, Find(ToRelationName(s.object), false));
      TablePtr t = snapshot().FindTableOfIndex(index->oid);
      if (t == nullptr) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", index->name, "\" is not an index"));
      CO_RETURN_IF_ERROR(CheckOwner(t->oid, "index", index->name));
      v1::Descriptor d = Copy(t->oid);
      for (auto& i : *d.mutable_table()->mutable_indexes()) {
        if (i.oid() == index->oid) i.set_comment(text);
      }
      Put(d);
      co_return result;
    }
    case T::kColumn:
    case T::kConstraint: {
      if (s.object.size() < 2) co_return PgError(sqlstate::kSyntaxError, "column name must be qualified");
      ast::QualifiedName relation(s.object.begin(), s.object.end() - 1);
      CO_ASSIGN_OR_RETURN(TablePtr t, Find(ToRelationName(relation), false));
      CO_RETURN_IF_ERROR(CheckOwner(t->oid, KindWord(*t), t->name));
      v1::Descriptor d = Copy(t->oid);
      bool found = false;
      if (s.type == T::kColumn) {
        auto* columns = d.has_table() ? d.mutable_table()->mutable_columns() : d.mutable_view()->mutable_columns();
        for (auto& c : *columns) {
          if (!c.hidden() && c.name() == last) c.set_comment(text), found = true;
        }
        if (!found) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", last, "\" of relation \"", t->name, "\" does not exist"));
      } else {
        for (auto& c : *d.mutable_table()->mutable_checks()) {
          if (c.name() == last) c.set_comment(text), found = true;
        }
        for (auto& i : *d.mutable_table()->mutable_indexes()) {
          if (i.constraint_oid() != 0 && i.name() == last) i.set_constraint_comment(text), found = true;
        }
        if (!found) co_return PgError(sqlstate::kUndefinedObject, StrCat("constraint \"", last, "\" for table \"", t->name, "\" does not exist"));
      }
      Put(d);
      co_return result;
    }
    case T::kSchema:
    case T::kDatabase:
    case T::kRole: {
      Oid oid = 0;
      if (s.type == T::kSchema) {
        auto schema = snapshot().FindSchema(last);
        if (!schema) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", last, "\" does not exist"));
        oid = schema->oid;
      } else if (s.type == T::kDatabase) {
        const DatabaseInfo* database = snapshot().state().FindDatabase(last);
        if (database == nullptr) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", last, "\" does not exist"));
        oid = database->oid;
      } else {
        oid = snapshot().FindRole(last);
        if (oid == 0) co_return PgError(sqlstate::kUndefinedObject, StrCat("role \"", last, "\" does not exist"));
      }
      if (snapshot().FindDescriptor(oid) == nullptr) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied: a system object");
      if (s.type == T::kRole) {
        if (!IsSuperuser() && !snapshot().state().FindRole(c_.user)->create_role) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied");
      } else {
        CO_RETURN_IF_ERROR(CheckOwner(oid, s.type == T::kSchema ? "schema" : "database", last));
      }
      v1::Descriptor d = Copy(oid);
      d.set_comment(text);
      Put(d);
      co_return result;
    }
    default: co_return PgUnsupported(StrCat("COMMENT ON ", ast::ObjectTypeName(s.type)));
  }
}

}  // namespace insula::sql
