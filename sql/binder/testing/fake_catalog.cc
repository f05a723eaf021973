#include "sql/binder/testing/fake_catalog.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/parser/parser.h"

namespace insula::sql {

FakeCatalog::FakeCatalog() { functions_.io.reg_names = this; }

BindContext FakeCatalog::Context() {
  BindContext context;
  context.catalog = this;
  context.search_path = {"public"};
  context.functions = &functions_;
  return context;
}

TablePtr FakeCatalog::FindTable(std::string_view schema, std::string_view name) const {
  auto it = tables_.find({std::string(schema), std::string(name)});
  return it == tables_.end() ? nullptr : it->second;
}

TablePtr FakeCatalog::FindTableByOid(Oid oid) const {
  for (const auto& [name, table] : tables_) {
    if (table->oid == oid) return table;
  }
  return nullptr;
}

std::optional<SchemaInfo> FakeCatalog::FindSchema(std::string_view name) const {
  auto it = std::find(schemas_.begin(), schemas_.end(), name);
  if (it == schemas_.end()) return std::nullopt;
  return SchemaInfo{static_cast<Oid>(2200 + (it - schemas_.begin())), *it, 10};
}

std::optional<SchemaInfo> FakeCatalog::FindSchemaByOid(Oid oid) const {
  if (oid < 2200 || oid >= 2200 + schemas_.size()) return std::nullopt;
  return FindSchema(schemas_[oid - 2200]);
}

absl::StatusOr<Oid> FakeCatalog::Resolve(Oid reg_type, std::string_view name) const {
  std::string_view bare = name.starts_with("pg_catalog.") ? name.substr(11) : name;
  if (reg_type == oid::kRegclass) {
    for (const char* schema : {"public", "pg_catalog"}) {
      if (TablePtr t = FindTable(schema, bare)) return t->oid;
    }
  }
  return PgError(sqlstate::kUndefinedTable, StrCat("relation \"", name, "\" does not exist"));
}

std::string FakeCatalog::Name(Oid reg_type, Oid value) const {
  TablePtr t = reg_type == oid::kRegclass ? FindTableByOid(value) : nullptr;
  return t != nullptr ? t->name : "";
}

void FakeCatalog::Add(TableInfo table) {
  if (table.oid == 0) table.oid = next_oid_++;
  table.schema_oid = FindSchema(table.schema)->oid;
  ++version_;
  auto key = std::make_pair(table.schema, table.name);
  tables_[key] = std::make_shared<const TableInfo>(std::move(table));
}

absl::Status FakeCatalog::SetRows(std::string_view table, double rows) {
  TablePtr t = FindTable("public", table);
  if (t == nullptr) return absl::NotFoundError(std::string(table));
  TableInfo copy = *t;
  copy.statistics.known = true;
  copy.statistics.row_count = rows;
  Add(std::move(copy));
  return absl::OkStatus();
}

absl::Status FakeCatalog::SetDistinct(std::string_view table, std::string_view column, double distinct) {
  TablePtr t = FindTable("public", table);
  if (t == nullptr || t->FindColumn(column) < 0) return absl::NotFoundError(StrCat(table, ".", column));
  TableInfo copy = *t;
  copy.statistics.columns.resize(copy.columns.size());
  copy.statistics.columns[copy.FindColumn(column)].distinct = distinct;
  Add(std::move(copy));
  return absl::OkStatus();
}

absl::Status FakeCatalog::Run(std::string_view ddl) {
  ASSIGN_OR_RETURN(auto statements, ParseSql(ddl));
  for (const auto& s : statements) RETURN_IF_ERROR(Statement(*s.statement));
  return absl::OkStatus();
}

absl::Status FakeCatalog::Statement(const ast::Statement& s) {
  switch (s.kind) {
    case ast::StatementKind::kCreateTable: return CreateTable(s.As<ast::CreateTableStatement>());
    case ast::StatementKind::kCreateIndex: return CreateIndex(s.As<ast::CreateIndexStatement>());
    case ast::StatementKind::kCreateView: return CreateView(s.As<ast::CreateViewStatement>());
    case ast::StatementKind::kCreateSchema:
      schemas_.push_back(s.As<ast::CreateSchemaStatement>().name);
      return absl::OkStatus();
    case ast::StatementKind::kCreateSequence: {
      TableInfo sequence;
      sequence.schema = "public";
      sequence.name = s.As<ast::CreateSequenceStatement>().sequence.name;
      sequence.kind = RelationKind::kSequence;
      sequence.sequence.emplace();
      for (auto [name, type] : {std::pair{"last_value", oid::kInt8}, {"log_cnt", oid::kInt8}, {"is_called", oid::kBool}}) {
        ColumnInfo c;
        c.name = name;
        c.type = SqlType{type, -1};
        c.attnum = static_cast<int16_t>(sequence.columns.size() + 1);
        sequence.columns.push_back(std::move(c));
      }
      Add(std::move(sequence));
      return absl::OkStatus();
    }
    default:
      return PgUnsupported(CommandTag(s));
  }
}

absl::Status FakeCatalog::AddKey(TableInfo* table, const std::vector<std::string>& columns, bool primary, std::string name) {
  IndexInfo index;
  index.oid = next_oid_++;
  index.name = name.empty() ? StrCat(table->name, primary ? "_pkey" : StrCat("_", StrJoin(columns, "_"), "_key")) : std::move(name);
  index.unique = true;
  index.primary = primary;
  index.constraint = true;
  for (const std::string& c : columns) {
    const int ordinal = table->FindColumn(c);
    if (ordinal < 0) return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", c, "\" named in key does not exist"));
    if (primary) table->columns[ordinal].not_null = true;
    index.columns.push_back({ordinal, "", table->columns[ordinal].type, false, false});
  }
  if (primary) {
    table->indexes.insert(table->indexes.begin(), std::move(index));
  } else {
    table->indexes.push_back(std::move(index));
  }
  return absl::OkStatus();
}

absl::Status FakeCatalog::CreateTable(const ast::CreateTableStatement& s) {
  TableInfo table;
  table.schema = s.table.schema.empty() ? "public" : s.table.schema;
  table.name = s.table.name;
  table.is_virtual = table.schema == "pg_catalog";
  const BindContext context = Context();
  for (const auto& c : s.columns) {
    ColumnInfo column;
    column.name = c.name;
    column.attnum = static_cast<int16_t>(table.columns.size() + 1);
    column.id = column.attnum;
    if (Oid serial = SerialType(c.type)) {
      column.type = SqlType{serial, -1};
      column.not_null = true;
      RETURN_IF_ERROR(Run(StrCat("create sequence ", table.name, "_", c.name, "_seq")));
      column.default_expression = StrCat("nextval('", FindTable("public", StrCat(table.name, "_", c.name, "_seq"))->oid, "'::regclass)");
    } else {
      ASSIGN_OR_RETURN(column.type, ResolveType(c.type, context));
    }
    table.columns.push_back(std::move(column));
  }
  for (size_t i = 0; i < s.columns.size(); ++i) {
    for (const auto& k : s.columns[i].constraints) {
      ColumnInfo& column = table.columns[i];
      switch (k.kind) {
        case ast::ConstraintKind::kNotNull: column.not_null = true; break;
        case ast::ConstraintKind::kDefault: {
          ASSIGN_OR_RETURN(auto e, BindTableExpression(*k.expr, table, ExpressionUse::kDefault, column.type, context));
          column.default_expression = e.text;
          break;
        }
        case ast::ConstraintKind::kGenerated: {
          ASSIGN_OR_RETURN(auto e, BindTableExpression(*k.expr, table, ExpressionUse::kGenerated, column.type, context));
          column.default_expression = e.text;
          column.generated = GeneratedKind::kStored;
          break;
        }
        case ast::ConstraintKind::kIdentity: column.identity = k.generated_when == 'a' ? IdentityKind::kAlways : IdentityKind::kByDefault; break;
        case ast::ConstraintKind::kPrimaryKey: RETURN_IF_ERROR(AddKey(&table, {column.name}, true, k.name)); break;
        case ast::ConstraintKind::kUnique: RETURN_IF_ERROR(AddKey(&table, {column.name}, false, k.name)); break;
        case ast::ConstraintKind::kCheck: {
          ASSIGN_OR_RETURN(auto e, BindTableExpression(*k.expr, table, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, context));
          table.checks.push_back({next_oid_++, StrCat(table.name, "_", column.name, "_check"), e.text, true});
          break;
        }
        default: break;
      }
    }
  }
  for (const auto& k : s.constraints) {
    if (k.kind == ast::ConstraintKind::kPrimaryKey || k.kind == ast::ConstraintKind::kUnique) {
      RETURN_IF_ERROR(AddKey(&table, k.keys, k.kind == ast::ConstraintKind::kPrimaryKey, k.name));
    } else if (k.kind == ast::ConstraintKind::kCheck) {
      ASSIGN_OR_RETURN(auto e, BindTableExpression(*k.expr, table, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, context));
      table.checks.push_back({next_oid_++, k.name.empty() ? StrCat(table.name, "_check") : k.name, e.text, true});
    }
  }
  if (!table.is_virtual && (table.indexes.empty() || !table.indexes[0].primary)) {
    ColumnInfo rowid;
    rowid.name = "rowid";
    rowid.type = SqlType{oid::kInt8, -1};
    rowid.not_null = rowid.hidden = true;
    table.columns.push_back(std::move(rowid));
    IndexInfo index;
    index.name = StrCat(table.name, "_rowid");
    index.unique = index.primary = true;
    index.columns.push_back({static_cast<int>(table.columns.size()) - 1, "", SqlType{oid::kInt8, -1}, false, false});
    table.indexes.insert(table.indexes.begin(), std::move(index));
  }
  Add(std::move(table));
  return absl::OkStatus();
}

absl::Status FakeCatalog::CreateIndex(const ast::CreateIndexStatement& s) {
  ASSIGN_OR_RETURN(TablePtr found, ResolveTable(s.table, Context()));
  TableInfo table = *found;
  IndexInfo index;
  index.oid = next_oid_++;
  index.unique = s.unique;
  std::string name = table.name;
  for (const auto& e : s.elements) {
    IndexColumnInfo c;
    if (e.expr != nullptr) {
      ASSIGN_OR_RETURN(auto bound, BindTableExpression(*e.expr, table, ExpressionUse::kIndexExpression, std::nullopt, Context()));
      c.expression = bound.text;
      c.type = bound.expr->type;
      name += "_expr";
    } else {
      c.ordinal = table.FindColumn(e.column);
      if (c.ordinal < 0) return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", e.column, "\" does not exist"));
      c.type = table.columns[c.ordinal].type;
      name += StrCat("_", e.column);
    }
    c.descending = e.direction == ast::SortDirection::kDescending;
    c.nulls_first = e.nulls == ast::NullsOrder::kDefault ? c.descending : e.nulls == ast::NullsOrder::kFirst;
    index.columns.push_back(std::move(c));
  }
  for (const auto& i : s.include) index.include.push_back(table.FindColumn(i));
  if (s.where != nullptr) {
    ASSIGN_OR_RETURN(auto bound, BindTableExpression(*s.where, table, ExpressionUse::kIndexPredicate, SqlType{oid::kBool, -1}, Context()));
    index.predicate = bound.text;
  }
  index.name = s.name.empty() ? name + "_idx" : s.name;
  table.indexes.push_back(std::move(index));
  Add(std::move(table));
  return absl::OkStatus();
}

absl::Status FakeCatalog::CreateView(const ast::CreateViewStatement& s) {
  ASSIGN_OR_RETURN(ViewDefinition definition, BindView(*s.query, s.columns, Context()));
  TableInfo view;
  view.schema = "public";
  view.name = s.view.name;
  view.kind = RelationKind::kView;
  view.view_definition = definition.text;
  for (const auto& c : definition.columns) {
    ColumnInfo column;
    column.name = c.name;
    column.type = c.type;
    column.attnum = static_cast<int16_t>(view.columns.size() + 1);
    view.columns.push_back(std::move(column));
  }
  Add(std::move(view));
  return absl::OkStatus();
}

}  // namespace insula::sql
