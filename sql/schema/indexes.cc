// CREATE INDEX and REINDEX. An index is filled within the statement's transaction, page by page.
#include <algorithm>

#include "sql/schema/ddl_internal.h"
#include "sql/schema/table_data.h"

namespace insula::sql {

Task<absl::StatusOr<DdlResult>> Ddl::CreateIndex(const ast::CreateIndexStatement& s) {
  DdlResult result{"CREATE INDEX", std::nullopt};
  if (s.access_method != "btree") {
    for (std::string_view known : {"hash", "gist", "gin", "spgist", "brin"}) {
      if (s.access_method == known) co_return PgUnsupported(StrCat("access method \"", known, "\""));
    }
    co_return PgError(sqlstate::kUndefinedObject, StrCat("access method \"", s.access_method, "\" does not exist"));
  }
  CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.table, false));
  if (table->kind == RelationKind::kView) {
    co_return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat("cannot create index on relation \"", table->name, "\""))
        .Detail("This operation is not supported for views.")
        .Build();
  }
  CO_RETURN_IF_ERROR(CheckAlterable(*table));
  if (!s.name.empty() && NameTaken(table->schema_oid, s.name)) {
    if (!s.if_not_exists) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", s.name, "\" already exists"));
    Notice(sqlstate::kDuplicateTable, StrCat("relation \"", s.name, "\" already exists, skipping"));
    co_return result;
  }
  for (const ast::Option& o : s.options) {
    if (o.name != "fillfactor" && o.name != "deduplicate_items") co_return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized parameter \"", o.name, "\""));
  }
  if (!s.tablespace.empty() && s.tablespace != "pg_default") {
    co_return PgError(sqlstate::kUndefinedObject, StrCat("tablespace \"", s.tablespace, "\" does not exist"));
  }
  v1::Descriptor d = Copy(table->oid);
  v1::Table* t = d.mutable_table();
  v1::Index index;
  std::string label;
  for (const ast::IndexElement& e : s.elements) {
    v1::IndexColumn* c = index.add_columns();
    SqlType type;
    if (e.expr == nullptr) {
      v1::Column* column = FindColumn(t, e.column);
      if (column == nullptr) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", e.column, "\" does not exist"));
      c->set_column_id(column->id());
      type = {column->type_oid(), column->typmod()};
      StrAppend(&label, label.empty() ? "" : "_", e.column);
    } else {
      CO_ASSIGN_OR_RETURN(TableExpression bound, BindTableExpression(*e.expr, *table, ExpressionUse::kIndexExpression, std::nullopt, Binding()));
      c->set_expression(bound.text);
      type = bound.expr->type;
      std::string name = "expr";
      if (const auto* f = bound.expr->TryAs<FunctionExpr>(); f != nullptr && f->op == nullptr) name = std::string(f->function->name);
      StrAppend(&label, label.empty() ? "" : "_", name);
    }
    if (!e.collation.empty() && e.collation.back() != "default" && e.collation.back() != "C" && e.collation.back() != "POSIX") {
      co_return PgUnsupported(StrCat("collation \"", e.collation.back(), "\""));
    }
    // Order by bytes is what the pattern classes ask for; text's own class has it, too.
    if (!e.operator_class.empty() && !e.operator_class.back().ends_with("_ops")) {
      co_return PgError(sqlstate::kUndefinedObject, StrCat("operator class \"", e.operator_class.back(), "\" does not exist for access method \"btree\""));
    }
    CO_RETURN_IF_ERROR(CheckIndexable(type));
    c->set_type_oid(type.oid);
    c->set_typmod(type.typmod);
    c->set_descending(e.direction == ast::SortDirection::kDescending);
    c->set_nulls_first(e.nulls == ast::NullsOrder::kDefault ? c->descending() : e.nulls == ast::NullsOrder::kFirst);
  }
  for (const std::string& name : s.include) {
    v1::Column* column = FindColumn(t, name);
    if (column == nullptr) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" does not exist"));
    index.add_include(column->id());
  }
  if (s.where != nullptr) {
    CO_ASSIGN_OR_RETURN(TableExpression bound, BindTableExpression(*s.where, *table, ExpressionUse::kIndexPredicate, SqlType{oid::kBool, -1}, Binding()));
    index.set_predicate(bound.text);
  }
  index.set_unique(s.unique);
  index.set_nulls_not_distinct(s.nulls_not_distinct);
  index.set_name(s.name.empty() ? ChooseName(table->schema_oid, table->name, label, "idx") : s.name);
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  index.set_oid(oid);
  index.set_id(t->next_index_id());
  t->set_next_index_id(index.id() + 1);
  *t->add_indexes() = index;
  Put(d);
  TablePtr changed = snapshot().FindTableByOid(table->oid);
  TableData data(this);
  CO_RETURN_IF_ERROR(co_await data.Index(changed, static_cast<int>(changed->indexes.size()) - 1));
  co_return result;
}

// Rewrites the table with its indexes: whatever an index held is made anew from the rows.
Task<absl::StatusOr<DdlResult>> Ddl::Reindex(const ast::ReindexStatement& s) {
  using S = ast::ReindexStatement;
  std::vector<TablePtr> tables;
  switch (s.reindex_kind) {
    case S::kTable: {
      CO_ASSIGN_OR_RETURN(TablePtr t, Find(s.relation, false));
      tables.push_back(t);
      break;
    }
    case S::kIndex: {
      CO_ASSIGN_OR_RETURN(TablePtr index, Find(s.relation, false));
      TablePtr t = snapshot().FindTableOfIndex(index->oid);
      if (t == nullptr) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", index->name, "\" is not an index"));
      tables.push_back(t);
      break;
    }
    case S::kSchema:
    case S::kDatabase:
      for (const TablePtr& t : snapshot().Relations(false)) {
        if (t->kind == RelationKind::kTable && (s.reindex_kind == S::kDatabase || t->schema == s.name)) tables.push_back(t);
      }
      break;
    case S::kSystem: break;  // the catalogs have no indexes
  }
  for (const TablePtr& t : tables) {
    CO_RETURN_IF_ERROR(CheckAlterable(*t));
    v1::Descriptor d = Copy(t->oid);
    CO_ASSIGN_OR_RETURN(Oid storage, co_await NewOid());
    d.mutable_table()->set_storage_id(storage);
    Put(d);
    TableData data(this);
    CO_RETURN_IF_ERROR(co_await data.Rewrite(t, snapshot().FindTableByOid(t->oid), {}));
  }
  co_return DdlResult{"REINDEX", std::nullopt};
}

}  // namespace insula::sql
