// ALTER TABLE: one command after another, each on what the one before left.
#include <algorithm>

#include "sql/plan/expression.h"
#include "sql/rowenc/key_codec.h"
#include "sql/schema/ddl_internal.h"
#include "sql/schema/table_data.h"

namespace insula::sql {
namespace {

using A = ast::AlterTableAction;

// Values of both types are the same bytes in rows and in keys, and every value of `from` is one of `to`.
bool SameStoredForm(SqlType from, SqlType to) {
  if (from.oid == to.oid) {
    if (from.typmod == to.typmod || to.typmod < 0) return from.oid != oid::kBpchar;
    if (from.oid == oid::kVarchar) return from.typmod >= 0 && from.typmod <= to.typmod;
    return false;
  }
  auto is_text = [](Oid t) { return t == oid::kText || t == oid::kVarchar; };
  if (is_text(from.oid) && is_text(to.oid)) return to.typmod < 0 || (from.typmod >= 0 && from.typmod <= to.typmod);
  auto width = [](Oid t) { return t == oid::kInt2 ? 2 : t == oid::kInt4 ? 4 : t == oid::kInt8 ? 8 : 0; };
  return width(from.oid) > 0 && width(to.oid) >= width(from.oid);
}

}  // namespace

Task<absl::StatusOr<DdlResult>> Ddl::AlterTable(const ast::AlterTableStatement& s) {
  CO_ASSIGN_OR_RETURN(TablePtr table, Find(s.table, s.if_exists));
  std::string tag = StrCat("ALTER ", ast::ObjectTypeName(s.type));
  if (table == nullptr) co_return DdlResult{tag, std::nullopt};
  if (table->kind == RelationKind::kView || table->kind == RelationKind::kSequence || table->kind == RelationKind::kIndex) {
    for (const auto& c : s.commands) {
      if (c.action != A::kChangeOwner) co_return PgUnsupported(StrCat("this ALTER ", ast::ObjectTypeName(s.type), " command"));
      CO_RETURN_IF_ERROR(co_await ChangeOwner(table->oid, c.owner));
    }
    co_return DdlResult{tag, std::nullopt};
  }
  CO_RETURN_IF_ERROR(CheckAlterable(*table));
  for (const auto& c : s.commands) CO_RETURN_IF_ERROR(co_await AlterOne(c, snapshot().FindTableByOid(table->oid)));
  co_return DdlResult{tag, std::nullopt};
}

Task<absl::Status> Ddl::AlterOne(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  switch (c.action) {
    case A::kAddColumn: co_return co_await AlterAddColumn(c, table);
    case A::kDropColumn: co_return co_await AlterDropColumn(c, table);
    case A::kSetDefault:
    case A::kDropDefault: {
      CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, c.name));
      if (!column->identity().empty()) {
        co_return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" is an identity column"))
            .Hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.")
            .Build();
      }
      if (column->generated()) {
        co_return PgError(sqlstate::kSyntaxError, StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" is a generated column"));
      }
      if (c.action == A::kSetDefault) {
        CO_RETURN_IF_ERROR(co_await AddDefault(*c.expr, false, &d, column->id()));
      } else {
        column->clear_default_expression();
        column->clear_default_oid();
        column->clear_depends_on();
      }
      Put(d);
      co_return absl::OkStatus();
    }
    case A::kSetNotNull: co_return co_await AlterNotNull(c, table, true);
    case A::kDropNotNull: co_return co_await AlterNotNull(c, table, false);
    case A::kAlterType: co_return co_await AlterColumnType(c, table);
    case A::kAddConstraint: co_return co_await AlterAddConstraint(*c.constraint, "", table);
    case A::kDropConstraint: co_return co_await AlterDropConstraint(c, table);
    case A::kValidateConstraint: {
      for (auto& check : *d.mutable_table()->mutable_checks()) {
        if (check.name() != c.name) continue;
        CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(check.expression(), *table, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, Binding()));
        TableData data(this);
        CO_ASSIGN_OR_RETURN(bool violated, co_await data.AnyViolates(table, e.expr, false));
        if (violated) {
          co_return PgErrorBuilder(sqlstate::kCheckViolation, StrCat("check constraint \"", c.name, "\" of relation \"", d.name(), "\" is violated by some row"))
              .Table(table->schema, table->name)
              .Constraint(c.name)
              .Build();
        }
        check.set_validated(true);
        Put(d);
        co_return absl::OkStatus();
      }
      co_return PgError(sqlstate::kUndefinedObject, StrCat("constraint \"", c.name, "\" of relation \"", d.name(), "\" does not exist"));
    }
    case A::kChangeOwner: co_return co_await ChangeOwner(table->oid, c.owner);
    case A::kSetOptions:
      if (!c.name.empty()) co_return PgUnsupported("ALTER TABLE ... ALTER COLUMN ... SET (...)");
      CO_RETURN_IF_ERROR(SetTableOptions(c.options, d.mutable_table()));
      Put(d);
      co_return absl::OkStatus();
    case A::kResetOptions: {
      if (!c.name.empty()) co_return PgUnsupported("ALTER TABLE ... ALTER COLUMN ... RESET (...)");
      auto* options = d.mutable_table()->mutable_options();
      for (const auto& o : c.options) {
        for (int i = options->size() - 1; i >= 0; --i) {
          if (options->Get(i).name() == (o.schema.empty() ? o.name : StrCat(o.schema, ".", o.name))) options->DeleteSubrange(i, 1);
        }
      }
      Put(d);
      co_return absl::OkStatus();
    }
    case A::kSetLogged:
    case A::kSetUnlogged:
      d.mutable_table()->set_persistence(c.action == A::kSetLogged ? "p" : "u");
      Put(d);
      co_return absl::OkStatus();
    case A::kAddIdentity:
    case A::kSetIdentity:
    case A::kDropIdentity: co_return co_await AlterIdentity(c, table);
    case A::kDropExpression: {
      CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, c.name));
      if (!column->generated()) {
        std::string message = StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" is not a stored generated column");
        if (!c.if_exists) co_return PgError(sqlstate::kObjectNotInPrerequisiteState, message);
        Notice("00000", StrCat(message, ", skipping"));
        co_return absl::OkStatus();
      }
      column->set_generated(false);
      column->clear_default_expression();
      column->clear_default_oid();
      Put(d);
      co_return absl::OkStatus();
    }
    case A::kAlterConstraint: co_return PgUnsupported("ALTER TABLE ... ALTER CONSTRAINT");
    case A::kSetStatistics: co_return PgUnsupported("ALTER TABLE ... SET STATISTICS");
    case A::kSetStorage: co_return PgUnsupported("ALTER TABLE ... SET STORAGE");
    case A::kReplicaIdentity: co_return PgUnsupported("ALTER TABLE ... REPLICA IDENTITY");
    case A::kSetTablespace: co_return PgUnsupported("ALTER TABLE ... SET TABLESPACE");
    case A::kClusterOn: co_return PgUnsupported("ALTER TABLE ... CLUSTER ON");
    case A::kOther: co_return PgUnsupported(c.feature);
  }
  co_return absl::InternalError("unknown ALTER TABLE command");
}

Task<absl::Status> Ddl::AlterAddColumn(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  if (FindColumn(d.mutable_table(), c.column->name) != nullptr) {
    std::string message = StrCat("column \"", c.column->name, "\" of relation \"", d.name(), "\" already exists");
    if (!c.if_not_exists) co_return PgError(sqlstate::kDuplicateColumn, message);
    Notice(sqlstate::kDuplicateColumn, StrCat(message, ", skipping"));
    co_return absl::OkStatus();
  }
  std::vector<const ast::Constraint*> rest;
  c_.catalog->BeginChanges();
  CO_RETURN_IF_ERROR(co_await AddColumn(*c.column, &d, &rest));
  // A generation expression is part of the column; keys and checks are constraints of their own, after the rows have values.
  for (auto it = rest.begin(); it != rest.end();) {
    if ((*it)->kind == ast::ConstraintKind::kGenerated) {
      CO_RETURN_IF_ERROR(co_await AddConstraint(**it, c.column->name, &d));
      it = rest.erase(it);
    } else {
      ++it;
    }
  }
  Put(d);
  c_.catalog->EndChanges();
  TablePtr changed = snapshot().FindTableByOid(table->oid);
  int ordinal = changed->FindColumn(c.column->name);
  const ColumnInfo& column = changed->columns[ordinal];
  TableData data(this);
  if (!column.default_expression.empty()) {
    ExpressionUse use = column.generated == GeneratedKind::kStored ? ExpressionUse::kGenerated : ExpressionUse::kDefault;
    CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(column.default_expression, *changed, use, column.type, Binding()));
    CO_RETURN_IF_ERROR(co_await data.Assign(changed, {{ordinal, e.expr}}));
  } else if (column.not_null) {
    CO_ASSIGN_OR_RETURN(bool empty, co_await data.IsEmpty(changed));
    if (!empty) {
      co_return PgErrorBuilder(sqlstate::kNotNullViolation, StrCat("column \"", column.name, "\" of relation \"", changed->name, "\" contains null values"))
          .Table(changed->schema, changed->name)
          .Column(column.name)
          .Build();
    }
  }
  for (const ast::Constraint* constraint : rest) {
    CO_RETURN_IF_ERROR(co_await AlterAddConstraint(*constraint, c.column->name, snapshot().FindTableByOid(table->oid)));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::AlterDropColumn(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  v1::Column* column = FindColumn(d.mutable_table(), c.name);
  if (column == nullptr) {
    std::string message = StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" does not exist");
    if (!c.if_exists) co_return PgError(sqlstate::kUndefinedColumn, message);
    Notice("00000", StrCat(message, ", skipping"));
    co_return absl::OkStatus();
  }
  uint32_t id = column->id();
  // Generated columns that read it.
  for (const ColumnInfo& other : table->columns) {
    if (other.generated == GeneratedKind::kNone || other.name == c.name) continue;
    CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(other.default_expression, *table, ExpressionUse::kGenerated, other.type, Binding()));
    if (std::find(e.columns.begin(), e.columns.end(), table->FindColumn(c.name)) == e.columns.end()) continue;
    if (c.cascade) co_return PgUnsupported("DROP COLUMN ... CASCADE to generated columns");
    co_return PgErrorBuilder("2BP01", StrCat("cannot drop column ", c.name, " of table ", d.name(), " because other objects depend on it"))
        .Detail(StrCat("column ", other.name, " of table ", d.name(), " depends on column ", c.name, " of table ", d.name()))
        .Hint("Use DROP ... CASCADE to drop the dependent objects too.")
        .Build();
  }
  // Views keep which tables they read, not which columns: any of them holds the column.
  for (const TablePtr& view : ViewsOn(table->oid)) {
    if (c.cascade) co_return PgUnsupported("DROP COLUMN ... CASCADE to views");
    co_return PgErrorBuilder("2BP01", StrCat("cannot drop column ", c.name, " of table ", d.name(), " because other objects depend on it"))
        .Detail(StrCat("view ", view->name, " depends on table ", d.name()))
        .Hint("Drop the view first.")
        .Build();
  }
  v1::Table* t = d.mutable_table();
  auto uses = [id](const v1::Index& i) {
    return std::any_of(i.columns().begin(), i.columns().end(), [id](const auto& k) { return k.column_id() == id; }) ||
           std::find(i.include().begin(), i.include().end(), id) != i.include().end();
  };
  // Its primary key first: that changes the order of rows.
  if (HasPrimaryKey(*t) && uses(t->indexes(0))) {
    CO_RETURN_IF_ERROR(co_await DropPrimaryKey(d, table));
    d = Copy(table->oid);
    t = d.mutable_table();
  }
  TablePtr now = snapshot().FindTableByOid(table->oid);
  int ordinal = now->FindColumn(c.name);
  for (int i = t->indexes_size() - 1; i > 0; --i) {
    bool drop = uses(t->indexes(i));
    for (const auto& k : now->indexes[i].columns) {
      if (drop || k.ordinal >= 0) continue;
      CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(k.expression, *now, ExpressionUse::kIndexExpression, std::nullopt, Binding()));
      drop = std::find(e.columns.begin(), e.columns.end(), ordinal) != e.columns.end();
    }
    if (!drop && !now->indexes[i].predicate.empty()) {
      CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(now->indexes[i].predicate, *now, ExpressionUse::kIndexPredicate, SqlType{oid::kBool, -1}, Binding()));
      drop = std::find(e.columns.begin(), e.columns.end(), ordinal) != e.columns.end();
    }
    if (!drop) continue;
    c_.catalog->Retire(t->storage_id(), t->indexes(i).id());
    t->mutable_indexes()->DeleteSubrange(i, 1);
  }
  for (int i = t->checks_size() - 1; i >= 0; --i) {
    const auto& ids = t->checks(i).column_ids();
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) t->mutable_checks()->DeleteSubrange(i, 1);
  }
  t->mutable_columns()->DeleteSubrange(OrdinalOfColumn(*t, id), 1);
  c_.catalog->BeginChanges();
  std::set<Oid> sequences;
  for (Oid sequence : OwnedSequences(table->oid, id)) sequences.insert(sequence);
  Put(d);
  c_.catalog->EndChanges();
  if (!sequences.empty()) co_return co_await DropRelations(std::move(sequences), c.cascade);
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::AlterAddConstraint(const ast::Constraint& c, std::string_view column, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  bool had_key = HasPrimaryKey(d.table());
  std::vector<bool> was_not_null;
  for (const auto& k : table->columns) was_not_null.push_back(k.not_null);
  CO_RETURN_IF_ERROR(co_await AddConstraint(c, column, &d));
  TableData data(this);
  if (c.kind == ast::ConstraintKind::kCheck) {
    if (!c.not_valid) {
      const v1::Check& check = d.table().checks(d.table().checks_size() - 1);
      CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(check.expression(), *table, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, Binding()));
      CO_ASSIGN_OR_RETURN(bool violated, co_await data.AnyViolates(table, e.expr, false));
      if (violated) {
        co_return PgErrorBuilder(sqlstate::kCheckViolation, StrCat("check constraint \"", check.name(), "\" of relation \"", d.name(), "\" is violated by some row"))
            .Table(table->schema, table->name)
            .Constraint(check.name())
            .Build();
      }
    }
    Put(d);
    co_return absl::OkStatus();
  }
  if (c.kind == ast::ConstraintKind::kPrimaryKey && !had_key) {
    // The primary key is the order of the rows: they all move, to a new storage id.
    CO_ASSIGN_OR_RETURN(Oid storage, co_await NewOid());
    d.mutable_table()->set_storage_id(storage);
    // NOT NULL of the key's columns comes with it, in these words.
    for (const auto& key : d.table().indexes(0).columns()) {
      int ordinal = OrdinalOfColumn(Copy(table->oid).table(), key.column_id());
      if (was_not_null[ordinal]) continue;
      ExprPtr test = MakeColumn(1, table->columns[ordinal].type);
      auto slotted = std::make_shared<ColumnExpr>(test->As<ColumnExpr>());
      slotted->slot = ordinal;
      CO_ASSIGN_OR_RETURN(bool nulls, co_await data.AnyViolates(table, MakeNullTest(slotted, true), true));
      if (!nulls) continue;
      co_return PgErrorBuilder(sqlstate::kNotNullViolation,
                               StrCat("column \"", table->columns[ordinal].name, "\" of relation \"", d.name(), "\" contains null values"))
          .Table(table->schema, table->name)
          .Column(table->columns[ordinal].name)
          .Build();
    }
    Put(d);
    co_return co_await data.Rewrite(table, snapshot().FindTableByOid(table->oid), {});
  }
  Put(d);
  TablePtr changed = snapshot().FindTableByOid(table->oid);
  co_return co_await data.Index(changed, static_cast<int>(changed->indexes.size()) - 1);
}

Task<absl::Status> Ddl::DropPrimaryKey(v1::Descriptor d, const TablePtr& table) {
  v1::Table* t = d.mutable_table();
  t->mutable_indexes()->DeleteSubrange(0, 1);
  AddHiddenRowId(&d);
  CO_ASSIGN_OR_RETURN(Oid storage, co_await NewOid());
  t->set_storage_id(storage);
  Put(d);
  TableData data(this);
  co_return co_await data.Rewrite(table, snapshot().FindTableByOid(table->oid), {});
}

Task<absl::Status> Ddl::AlterDropConstraint(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  v1::Table* t = d.mutable_table();
  for (int i = 0; i < t->checks_size(); ++i) {
    if (t->checks(i).name() != c.name) continue;
    t->mutable_checks()->DeleteSubrange(i, 1);
    Put(d);
    co_return absl::OkStatus();
  }
  for (int i = 0; i < t->indexes_size(); ++i) {
    if (t->indexes(i).constraint_oid() == 0 || t->indexes(i).name() != c.name) continue;
    if (t->indexes(i).primary()) co_return co_await DropPrimaryKey(std::move(d), table);
    co_return co_await DropIndex(table, t->indexes(i).oid());
  }
  if (c.if_exists) {
    Notice("00000", StrCat("constraint \"", c.name, "\" of relation \"", d.name(), "\" does not exist, skipping"));
    co_return absl::OkStatus();
  }
  co_return PgError(sqlstate::kUndefinedObject, StrCat("constraint \"", c.name, "\" of relation \"", d.name(), "\" does not exist"));
}

Task<absl::Status> Ddl::AlterNotNull(const ast::AlterTableCommand& c, const TablePtr& table, bool not_null) {
  v1::Descriptor d = Copy(table->oid);
  CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, c.name));
  if (column->not_null() == not_null) co_return absl::OkStatus();
  if (!not_null) {
    if (!column->identity().empty()) {
      co_return PgError(sqlstate::kSyntaxError, StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" is an identity column"));
    }
    if (HasPrimaryKey(d.table())) {
      for (const auto& key : d.table().indexes(0).columns()) {
        if (key.column_id() == column->id()) co_return PgError(sqlstate::kInvalidTableDefinition, StrCat("column \"", c.name, "\" is in a primary key"));
      }
    }
  } else {
    int ordinal = table->FindColumn(c.name);
    auto value = std::make_shared<ColumnExpr>(table->columns[ordinal].type, 1);
    value->slot = ordinal;
    TableData data(this);
    CO_ASSIGN_OR_RETURN(bool nulls, co_await data.AnyViolates(table, MakeNullTest(value, true), true));
    if (nulls) {
      co_return PgErrorBuilder(sqlstate::kNotNullViolation, StrCat("column \"", c.name, "\" of relation \"", d.name(), "\" contains null values"))
          .Table(table->schema, table->name)
          .Column(c.name)
          .Build();
    }
  }
  column->set_not_null(not_null);
  Put(d);
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::AlterColumnType(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, c.name));
  CO_ASSIGN_OR_RETURN(SqlType to, ResolveType(c.column->type, Binding()));
  const TypeInfo* info = FindType(to.oid);
  if (info == nullptr || !info->supported) co_return PgUnsupported(StrCat("type ", FormatType(to.oid)));
  if (info->typtype == 'p') co_return PgError(sqlstate::kInvalidTableDefinition, StrCat("column \"", c.name, "\" has pseudo-type ", FormatType(to.oid)));
  int ordinal = table->FindColumn(c.name);
  SqlType from = table->columns[ordinal].type;
  for (const TablePtr& view : ViewsOn(table->oid)) {
    co_return PgErrorBuilder(sqlstate::kFeatureNotSupported, "cannot alter type of a column used by a view or rule")
        .Detail(StrCat("view ", view->name, " depends on table ", table->name))
        .Build();
  }
  for (const ColumnInfo& other : table->columns) {
    if (other.generated != GeneratedKind::kNone) co_return PgUnsupported("ALTER COLUMN TYPE on a table with generated columns");
  }
  // The conversion: USING, or an assignment cast of the column.
  ExprPtr value;
  if (c.expr != nullptr) {
    CO_ASSIGN_OR_RETURN(TableExpression e, BindTableExpression(*c.expr, *table, ExpressionUse::kUsing, to, Binding()));
    value = e.expr;
  } else {
    if (!FindCast(from.oid, to.oid, CastContext::kAssignment)) {
      co_return PgErrorBuilder(sqlstate::kDatatypeMismatch, StrCat("column \"", c.name, "\" cannot be cast automatically to type ", FormatType(to.oid)))
          .Hint(FindCast(from.oid, to.oid, CastContext::kExplicit)
                    ? StrCat("You might need to specify \"USING ", QuoteIdent(c.name), "::", FormatType(to.oid, to.typmod), "\".")
                    : std::string())
          .Build();
    }
    auto source = std::make_shared<ColumnExpr>(from, 1);
    source->slot = ordinal;
    auto cast = std::make_shared<CastExpr>(to, CastContext::kAssignment);
    cast->args.push_back(source);
    value = cast;
  }
  column->set_type_oid(to.oid);
  column->set_typmod(to.typmod);
  for (auto& index : *d.mutable_table()->mutable_indexes()) {
    for (auto& k : *index.mutable_columns()) {
      if (k.column_id() != column->id()) continue;
      CO_RETURN_IF_ERROR(CheckIndexable(to));
      k.set_type_oid(to.oid);
      k.set_typmod(to.typmod);
    }
  }
  if (!column->default_expression().empty() && column->identity().empty()) {
    auto rebound = BindStoredExpression(column->default_expression(), *InfoOf(d), ExpressionUse::kDefault, to, Binding());
    if (!rebound.ok()) {
      co_return PgError(sqlstate::kDatatypeMismatch, StrCat("default for column \"", c.name, "\" cannot be cast automatically to type ", FormatType(to.oid)));
    }
    column->set_default_expression(rebound->text);
  }
  bool in_expression = std::any_of(table->indexes.begin(), table->indexes.end(), [](const IndexInfo& i) {
    return !i.predicate.empty() || std::any_of(i.columns.begin(), i.columns.end(), [](const auto& k) { return k.ordinal < 0; });
  });
  // Checks are bound to the new type.
  std::shared_ptr<TableInfo> after = InfoOf(d);
  for (auto& check : *d.mutable_table()->mutable_checks()) {
    CO_ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(check.expression(), *after, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, Binding()));
    check.set_expression(e.text);
  }
  if (c.expr == nullptr && !in_expression && SameStoredForm(from, to)) {
    Put(d);
    co_return absl::OkStatus();
  }
  CO_ASSIGN_OR_RETURN(Oid storage, co_await NewOid());
  d.mutable_table()->set_storage_id(storage);
  Put(d);
  TablePtr changed = snapshot().FindTableByOid(table->oid);
  std::vector<ExprPtr> values(changed->columns.size());
  values[changed->FindColumn(c.name)] = value;
  TableData data(this);
  co_return co_await data.Rewrite(table, changed, std::move(values));
}

Task<absl::Status> Ddl::AlterIdentity(const ast::AlterTableCommand& c, const TablePtr& table) {
  v1::Descriptor d = Copy(table->oid);
  CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, c.name));
  std::string what = StrCat("column \"", c.name, "\" of relation \"", d.name(), "\"");
  if (c.action == A::kAddIdentity) {
    if (!column->identity().empty()) co_return PgError(sqlstate::kObjectNotInPrerequisiteState, StrCat(what, " is already an identity column"));
    if (!column->default_expression().empty()) co_return PgError(sqlstate::kObjectNotInPrerequisiteState, StrCat(what, " already has a default value"));
    if (!column->not_null()) co_return PgError(sqlstate::kObjectNotInPrerequisiteState, StrCat(what, " must be declared NOT NULL before identity can be added"));
    if (!IsInteger(column->type_oid())) co_return PgError(sqlstate::kInvalidParameterValue, "identity column type must be smallint, integer, or bigint");
    uint32_t id = column->id();
    CO_ASSIGN_OR_RETURN(Oid sequence, co_await CreateOwnedSequence(d, *column, column->type_oid(), c.constraint->options, true));
    column = d.mutable_table()->mutable_columns(OrdinalOfColumn(d.table(), id));
    column->set_identity(std::string(1, c.constraint->generated_when));
    column->set_default_expression(StrCat("nextval('", sequence, "'::regclass)"));
    column->add_depends_on(sequence);
    Put(d);
    co_return absl::OkStatus();
  }
  if (column->identity().empty()) {
    if (c.if_exists) {
      Notice("00000", StrCat(what, " is not an identity column, skipping"));
      co_return absl::OkStatus();
    }
    co_return PgError(sqlstate::kObjectNotInPrerequisiteState, StrCat(what, " is not an identity column"));
  }
  std::vector<Oid> sequences = OwnedSequences(table->oid, column->id());
  if (c.action == A::kDropIdentity) {
    column->clear_identity();
    column->clear_default_expression();
    column->clear_depends_on();
    Put(d);
    co_return co_await DropRelations({sequences.begin(), sequences.end()}, false);
  }
  std::vector<ast::Option> sequence_options;
  for (const ast::Option& o : c.options) {
    if (o.name == "generated") {
      column->set_identity(o.value.value_or("d"));
    } else {
      sequence_options.push_back(o);
    }
  }
  Put(d);
  if (sequence_options.empty() || sequences.empty()) co_return absl::OkStatus();
  v1::Descriptor sequence = Copy(sequences[0]);
  CO_RETURN_IF_ERROR(co_await ChangeSequence(&sequence, sequence_options, false));
  Put(sequence);
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::ChangeOwner(Oid object, const ast::RoleName& owner) {
  v1::Descriptor d = Copy(object);
  CO_RETURN_IF_ERROR(CheckOwner(object, d.has_schema() ? "schema" : d.has_database() ? "database" : d.has_sequence() ? "sequence" : d.has_view() ? "view" : "table", d.name()));
  CO_ASSIGN_OR_RETURN(Oid role, Role(owner));
  if (!IsSuperuser() && !snapshot().state().IsMember(User(), role)) {
    co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("must be member of role \"", snapshot().state().FindRole(role)->name, "\""));
  }
  Oid before = d.owner();
  d.set_owner(role);
  if (auto list = StoredAcl(d)) {
    for (AclItem& item : *list) {
      if (item.grantee == before) item.grantee = role;
      if (item.grantor == before) item.grantor = role;
    }
    SetAcl(*list, &d);
  }
  c_.catalog->BeginChanges();
  Put(d);
  if (d.has_table()) {
    for (Oid sequence : OwnedSequences(object, 0)) {
      v1::Descriptor s = Copy(sequence);
      s.set_owner(role);
      Put(s);
    }
  }
  c_.catalog->EndChanges();
  co_return absl::OkStatus();
}

}  // namespace insula::sql
