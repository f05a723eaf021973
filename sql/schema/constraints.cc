// PRIMARY KEY, UNIQUE and CHECK, as parts of a table's descriptor.
#include <algorithm>

#include "sql/rowenc/key_codec.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {

absl::Status Ddl::CheckIndexable(SqlType type) const {
  if (IsKeyEncodable(type.oid)) return absl::OkStatus();
  if (IsOrderable(type.oid)) return PgUnsupported(StrCat("an index on type ", FormatType(type.oid)));
  return PgErrorBuilder(sqlstate::kUndefinedObject,
                        StrCat("data type ", FormatType(type.oid), " has no default operator class for access method \"btree\""))
      .Hint("You must specify an operator class for the index or define a default operator class for the data type.")
      .Build();
}

Task<absl::Status> Ddl::AddConstraint(const ast::Constraint& c, std::string_view column, v1::Descriptor* d) {
  switch (c.kind) {
    case ast::ConstraintKind::kPrimaryKey:
    case ast::ConstraintKind::kUnique: co_return co_await AddKey(c, column, d);
    case ast::ConstraintKind::kCheck: co_return co_await AddCheck(c, column, d);
    case ast::ConstraintKind::kForeignKey: co_return PgUnsupported("FOREIGN KEY");
    case ast::ConstraintKind::kExclusion: co_return PgUnsupported("EXCLUDE");
    case ast::ConstraintKind::kGenerated: {
      CO_ASSIGN_OR_RETURN(v1::Column * generated, RequireColumn(d, column));
      co_return co_await AddDefault(*c.expr, true, d, generated->id());
    }
    default: co_return absl::InternalError("a constraint that belongs to its column");
  }
}

Task<absl::Status> Ddl::AddKey(const ast::Constraint& c, std::string_view column, v1::Descriptor* d) {
  v1::Table* table = d->mutable_table();
  bool primary = c.kind == ast::ConstraintKind::kPrimaryKey;
  if (!c.using_index.empty()) co_return PgUnsupported("ADD CONSTRAINT ... USING INDEX");
  if (c.deferrable) co_return PgUnsupported("DEFERRABLE unique constraints");
  if (primary && HasPrimaryKey(*table)) {
    co_return PgErrorBuilder(sqlstate::kInvalidTableDefinition, StrCat("multiple primary keys for table \"", d->name(), "\" are not allowed"))
        .Position(c.position)
        .Build();
  }
  std::vector<std::string> keys = c.keys;
  if (keys.empty()) keys.emplace_back(column);

  v1::Index index;
  std::string columns_label;
  for (size_t k = 0; k < keys.size(); ++k) {
    v1::Column* key = FindColumn(table, keys[k]);
    if (key == nullptr) {
      co_return PgErrorBuilder(sqlstate::kUndefinedColumn, StrCat("column \"", keys[k], "\" named in key does not exist")).Position(c.position).Build();
    }
    if (std::find(keys.begin(), keys.begin() + k, keys[k]) != keys.begin() + k) {
      co_return PgErrorBuilder(sqlstate::kDuplicateColumn,
                               StrCat("column \"", keys[k], "\" appears twice in ", primary ? "primary key" : "unique", " constraint"))
          .Position(c.position)
          .Build();
    }
    CO_RETURN_IF_ERROR(CheckIndexable({key->type_oid(), key->typmod()}));
    if (primary) key->set_not_null(true);
    v1::IndexColumn* ic = index.add_columns();
    ic->set_column_id(key->id());
    ic->set_type_oid(key->type_oid());
    ic->set_typmod(key->typmod());
    StrAppend(&columns_label, columns_label.empty() ? "" : "_", keys[k]);
  }
  for (const std::string& name : c.including) {
    v1::Column* included = FindColumn(table, name);
    if (included == nullptr) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" named in key does not exist"));
    index.add_include(included->id());
  }
  index.set_unique(true);
  index.set_primary(primary);
  index.set_nulls_not_distinct(c.nulls_not_distinct);
  if (c.name.empty()) {
    index.set_name(primary ? ChooseName(table->schema_oid(), d->name(), "", "pkey") : ChooseName(table->schema_oid(), d->name(), columns_label, "key"));
  } else {
    if (NameTaken(table->schema_oid(), c.name)) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", c.name, "\" already exists"));
    if (ConstraintExists(*table, c.name)) {
      co_return PgError(sqlstate::kDuplicateObject, StrCat("constraint \"", c.name, "\" for relation \"", d->name(), "\" already exists"));
    }
    index.set_name(c.name);
    chosen_.insert({table->schema_oid(), c.name});
  }
  CO_ASSIGN_OR_RETURN(Oid oid, co_await c_.catalog->catalog().AllocateOids(ctx_, 2));
  index.set_oid(oid);
  index.set_constraint_oid(oid + 1);
  index.set_id(table->next_index_id());
  table->set_next_index_id(index.id() + 1);
  *table->add_indexes() = index;
  if (!primary) co_return absl::OkStatus();
  for (int i = table->indexes_size() - 1; i > 0; --i) table->mutable_indexes()->SwapElements(i, i - 1);
  // The hidden row id has done its work.
  if (table->indexes_size() > 1 && table->indexes(1).primary()) {
    uint32_t hidden = table->indexes(1).columns(0).column_id();
    table->mutable_indexes()->DeleteSubrange(1, 1);
    table->mutable_columns()->DeleteSubrange(OrdinalOfColumn(*table, hidden), 1);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::AddCheck(const ast::Constraint& c, std::string_view column, v1::Descriptor* d) {
  v1::Table* table = d->mutable_table();
  std::shared_ptr<TableInfo> info = InfoOf(*d);
  CO_ASSIGN_OR_RETURN(TableExpression bound, BindTableExpression(*c.expr, *info, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, Binding()));
  v1::Check check;
  check.set_expression(bound.text);
  check.set_validated(!c.not_valid);
  check.set_no_inherit(c.no_inherit);
  for (int o : bound.columns) check.add_column_ids(info->columns[o].id);
  if (!c.name.empty()) {
    if (ConstraintExists(*table, c.name)) {
      co_return PgError(sqlstate::kDuplicateObject, StrCat("constraint \"", c.name, "\" for relation \"", d->name(), "\" already exists"));
    }
    check.set_name(c.name);
  } else {
    std::string_view about = column;
    if (about.empty() && bound.columns.size() == 1) about = info->columns[bound.columns[0]].name;
    check.set_name(ChooseConstraintName(*table, d->name(), about, "check"));
  }
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  check.set_oid(oid);
  *table->add_checks() = check;
  co_return absl::OkStatus();
}

}  // namespace insula::sql
