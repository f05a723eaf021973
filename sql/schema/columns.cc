// Columns of tables: types, defaults, serial and identity, the hidden row id.
#include <algorithm>

#include "sql/plan/expression.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {
namespace {

bool IsSystemColumn(std::string_view name) {
  return name == "tableoid" || name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax";
}

std::string OidDefault(Oid sequence) { return StrCat("nextval('", sequence, "'::regclass)"); }

}  // namespace

v1::Column* Ddl::FindColumn(v1::Table* table, std::string_view name) {
  for (auto& c : *table->mutable_columns()) {
    if (!c.hidden() && c.name() == name) return &c;
  }
  return nullptr;
}

absl::StatusOr<v1::Column*> Ddl::RequireColumn(v1::Descriptor* d, std::string_view name) {
  v1::Column* c = FindColumn(d->mutable_table(), name);
  if (c == nullptr) return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" of relation \"", d->name(), "\" does not exist"));
  return c;
}

// Before the hidden row id, which stays last.
void Ddl::PlaceColumn(v1::Table* table, const v1::Column& column) {
  *table->add_columns() = column;
  int last = table->columns_size() - 1;
  if (last > 0 && table->columns(last - 1).hidden()) table->mutable_columns()->SwapElements(last - 1, last);
}

void Ddl::AddHiddenRowId(v1::Descriptor* d) {
  v1::Table* table = d->mutable_table();
  v1::Column column;
  column.set_id(table->next_column_id());
  table->set_next_column_id(column.id() + 1);
  column.set_name("rowid");
  column.set_type_oid(oid::kInt8);
  column.set_typmod(-1);
  column.set_not_null(true);
  column.set_hidden(true);
  *table->add_columns() = column;
  v1::Index index;
  index.set_id(table->next_index_id());
  table->set_next_index_id(index.id() + 1);
  index.set_primary(true);
  index.set_unique(true);
  v1::IndexColumn* c = index.add_columns();
  c->set_column_id(column.id());
  c->set_type_oid(oid::kInt8);
  c->set_typmod(-1);
  *table->add_indexes() = index;
  for (int i = table->indexes_size() - 1; i > 0; --i) table->mutable_indexes()->SwapElements(i, i - 1);
}

std::vector<uint32_t> Ddl::RelationsIn(const ExprPtr& expr) {
  std::set<uint32_t> out;
  VisitExpr(expr, [&](const Expr& e) {
    const auto* c = e.TryAs<ConstantExpr>();
    if (c != nullptr && c->type.oid == oid::kRegclass && !c->value.is_null()) out.insert(static_cast<uint32_t>(c->value.int_value()));
    return true;
  });
  return {out.begin(), out.end()};
}

Task<absl::Status> Ddl::AddColumn(const ast::ColumnDefinition& column, v1::Descriptor* d, std::vector<const ast::Constraint*>* rest) {
  v1::Table* table = d->mutable_table();
  if (FindColumn(table, column.name) != nullptr) {
    co_return PgError(sqlstate::kDuplicateColumn, StrCat("column \"", column.name, "\" specified more than once"));
  }
  if (IsSystemColumn(column.name)) {
    co_return PgError(sqlstate::kDuplicateColumn, StrCat("column name \"", column.name, "\" conflicts with a system column name"));
  }
  if (!column.collation.empty() && column.collation.back() != "default" && column.collation.back() != "C" && column.collation.back() != "POSIX") {
    co_return PgUnsupported(StrCat("collation \"", column.collation.back(), "\""));
  }
  v1::Column c;
  c.set_id(table->next_column_id());
  c.set_attnum(table->next_attnum());
  c.set_name(column.name);
  SqlType type;
  Oid serial = SerialType(column.type);
  if (serial != 0) {
    type = {serial, -1};
  } else {
    CO_ASSIGN_OR_RETURN(type, ResolveType(column.type, Binding()));
  }
  const TypeInfo* info = FindType(type.oid);
  if (info != nullptr && info->typtype == 'p') {
    co_return PgError(sqlstate::kInvalidTableDefinition, StrCat("column \"", column.name, "\" has pseudo-type ", FormatType(type.oid)));
  }
  if (info == nullptr || !info->supported) co_return PgUnsupported(StrCat("type ", FormatType(type.oid)));
  c.set_type_oid(type.oid);
  c.set_typmod(type.typmod);
  if (!column.collation.empty()) c.set_collation(column.collation.back());

  const ast::Constraint *default_value = nullptr, *generated = nullptr, *identity = nullptr;
  std::optional<bool> not_null;
  for (const ast::Constraint& k : column.constraints) {
    switch (k.kind) {
      case ast::ConstraintKind::kNull:
      case ast::ConstraintKind::kNotNull: {
        bool value = k.kind == ast::ConstraintKind::kNotNull;
        if (not_null && *not_null != value) {
          co_return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("conflicting NULL/NOT NULL declarations for column \"", column.name,
                                                                  "\" of table \"", d->name(), "\""))
              .Position(k.position)
              .Build();
        }
        not_null = value;
        break;
      }
      case ast::ConstraintKind::kDefault:
        if (default_value != nullptr) {
          co_return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("multiple default values specified for column \"", column.name, "\" of table \"", d->name(), "\""))
              .Position(k.position)
              .Build();
        }
        default_value = &k;
        break;
      case ast::ConstraintKind::kIdentity: identity = &k; break;
      case ast::ConstraintKind::kGenerated: generated = &k; break;
      default: rest->push_back(&k);
    }
  }
  int ways = (default_value != nullptr) + (identity != nullptr) + (generated != nullptr);
  if (ways > 1 || (serial != 0 && ways > 0)) {
    co_return PgError(sqlstate::kSyntaxError, StrCat(serial != 0                                        ? "multiple default values"
                                                     : default_value != nullptr && identity != nullptr  ? "both default and identity"
                                                     : default_value != nullptr && generated != nullptr ? "both default and generation expression"
                                                                                                        : "both identity and generation expression",
                                                     " specified for column \"", column.name, "\" of table \"", d->name(), "\""));
  }
  if ((serial != 0 || identity != nullptr) && not_null == false) {
    co_return PgError(sqlstate::kSyntaxError, StrCat("conflicting NULL/NOT NULL declarations for column \"", column.name, "\" of table \"", d->name(), "\""));
  }
  c.set_not_null(not_null.value_or(false) || serial != 0 || identity != nullptr);
  table->set_next_column_id(c.id() + 1);
  table->set_next_attnum(c.attnum() + 1);

  if (serial != 0 || identity != nullptr) {
    if (identity != nullptr && !IsInteger(type.oid)) {
      co_return PgError(sqlstate::kInvalidParameterValue, "identity column type must be smallint, integer, or bigint");
    }
    CO_ASSIGN_OR_RETURN(Oid sequence, co_await CreateOwnedSequence(*d, c, type.oid, identity != nullptr ? identity->options : std::vector<ast::Option>(), identity != nullptr));
    c.set_default_expression(OidDefault(sequence));
    c.add_depends_on(sequence);
    if (identity != nullptr) {
      c.set_identity(std::string(1, identity->generated_when));
    } else {
      CO_ASSIGN_OR_RETURN(Oid default_oid, co_await NewOid());
      c.set_default_oid(default_oid);
    }
  }
  PlaceColumn(table, c);
  if (default_value != nullptr) CO_RETURN_IF_ERROR(co_await AddDefault(*default_value->expr, false, d, c.id()));
  if (generated != nullptr) {
    // Generation expressions may mention columns that come later: they are bound when all are there.
    FindColumn(table, column.name)->set_generated(true);
    rest->push_back(generated);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Ddl::AddDefault(const ast::Expr& expr, bool generated, v1::Descriptor* d, uint32_t column_id) {
  std::shared_ptr<TableInfo> info = InfoOf(*d);
  int ordinal = OrdinalOfColumn(d->table(), column_id);
  SqlType type = info->columns[ordinal].type;
  if (generated) info->columns[ordinal].generated = GeneratedKind::kStored;
  CO_ASSIGN_OR_RETURN(TableExpression bound,
                      BindTableExpression(expr, *info, generated ? ExpressionUse::kGenerated : ExpressionUse::kDefault, type, Binding()));
  v1::Column* c = d->mutable_table()->mutable_columns(ordinal);
  c->clear_depends_on();
  // DEFAULT NULL is no default.
  const auto* constant = bound.expr->TryAs<ConstantExpr>();
  if (!generated && constant != nullptr && constant->value.is_null()) {
    c->clear_default_expression();
    co_return absl::OkStatus();
  }
  c->set_default_expression(bound.text);
  c->set_generated(generated);
  for (uint32_t oid : RelationsIn(bound.expr)) c->add_depends_on(oid);
  if (c->default_oid() == 0) {
    CO_ASSIGN_OR_RETURN(Oid default_oid, co_await NewOid());
    d->mutable_table()->mutable_columns(ordinal)->set_default_oid(default_oid);
  }
  co_return absl::OkStatus();
}

}  // namespace insula::sql
