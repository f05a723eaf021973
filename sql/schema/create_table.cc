// CREATE TABLE, CREATE TABLE AS and SELECT INTO.
#include <algorithm>

#include "sql/exec/executor.h"
#include "sql/opt/optimizer.h"
#include "sql/schema/ddl_internal.h"
#include "sql/schema/table_data.h"

namespace insula::sql {
namespace {

// Storage parameters that PostgreSQL knows for tables. They tune its heap and its vacuum; here they are kept and shown.
constexpr std::string_view kTableOptions[] = {
    "fillfactor", "toast_tuple_target", "parallel_workers", "autovacuum_enabled", "vacuum_index_cleanup", "vacuum_truncate", "user_catalog_table",
    "log_autovacuum_min_duration",
};

bool IsTableOption(std::string_view name) {
  return name.starts_with("autovacuum_") || std::find(std::begin(kTableOptions), std::end(kTableOptions), name) != std::end(kTableOptions);
}

// PostgreSQL's bits of LIKE … INCLUDING.
enum LikeOption : uint32_t { kLikeComments = 1, kLikeConstraints = 4, kLikeDefaults = 8, kLikeGenerated = 16, kLikeIdentity = 32, kLikeIndexes = 64 };

}  // namespace

absl::Status Ddl::SetTableOptions(const std::vector<ast::Option>& options, v1::Table* table) const {
  for (const ast::Option& o : options) {
    if (!o.schema.empty() && o.schema != "toast") return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized parameter namespace \"", o.schema, "\""));
    if (o.name == "oids" && o.AsBool() == false) continue;
    if (!IsTableOption(o.name)) return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized parameter \"", o.name, "\""));
    std::string name = o.schema.empty() ? o.name : StrCat(o.schema, ".", o.name);
    std::string value = o.value.value_or("true");
    if (o.name == "fillfactor") {
      auto n = o.AsInteger();
      if (!n) return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid value for integer option \"fillfactor\": ", value));
      if (*n < 10 || *n > 100) {
        return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat("value ", *n, " out of bounds for option \"fillfactor\""))
            .Detail("Valid values are between \"10\" and \"100\".")
            .Build();
      }
    }
    auto* settings = table->mutable_options();
    auto known = std::find_if(settings->begin(), settings->end(), [&](const auto& s) { return s.name() == name; });
    v1::Setting* s = known == settings->end() ? settings->Add() : &*known;
    s->set_name(name);
    s->set_value(value);
  }
  return absl::OkStatus();
}

Task<absl::StatusOr<v1::Descriptor>> Ddl::NewTable(const ast::RelationName& name, const SchemaInfo& schema, char persistence) {
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_name(name.name);
  d.set_owner(User());
  v1::Table* table = d.mutable_table();
  table->set_schema_oid(schema.oid);
  table->set_storage_id(oid);
  table->set_next_column_id(1);
  table->set_next_attnum(1);
  table->set_next_index_id(1);
  table->set_persistence(std::string(1, persistence));
  chosen_.insert({schema.oid, name.name});
  c_.catalog->DeclareFresh(oid);
  co_return d;
}

Task<absl::StatusOr<DdlResult>> Ddl::CreateTable(const ast::CreateTableStatement& s) {
  if (s.persistence == 't') co_return PgUnsupported("CREATE TEMPORARY TABLE");
  if (!s.inherits.empty()) co_return PgUnsupported("table inheritance");
  if (s.partition_by || s.partition_of) co_return PgUnsupported("table partitioning");
  if (s.of_type) co_return PgUnsupported("CREATE TABLE ... OF");
  if (!s.access_method.empty() && s.access_method != "heap") {
    co_return PgError(sqlstate::kUndefinedObject, StrCat("access method \"", s.access_method, "\" does not exist"));
  }
  if (!s.tablespace.empty() && s.tablespace != "pg_default") {
    co_return PgError(sqlstate::kUndefinedObject, StrCat("tablespace \"", s.tablespace, "\" does not exist"));
  }
  CO_ASSIGN_OR_RETURN(SchemaInfo schema, CreationSchema(s.table));
  if (NameTaken(schema.oid, s.table.name)) {
    if (!s.if_not_exists) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", s.table.name, "\" already exists"));
    Notice(sqlstate::kDuplicateTable, StrCat("relation \"", s.table.name, "\" already exists, skipping"));
    co_return DdlResult{"CREATE TABLE", std::nullopt};
  }
  CO_ASSIGN_OR_RETURN(v1::Descriptor d, co_await NewTable(s.table, schema, s.persistence));
  CO_RETURN_IF_ERROR(SetTableOptions(s.options, d.mutable_table()));
  c_.catalog->BeginChanges();
  std::vector<std::pair<std::string, std::vector<const ast::Constraint*>>> column_constraints;
  for (const auto& column : s.columns) {
    column_constraints.emplace_back(column.name, std::vector<const ast::Constraint*>());
    CO_RETURN_IF_ERROR(co_await AddColumn(column, &d, &column_constraints.back().second));
  }
  for (const auto& like : s.like) CO_RETURN_IF_ERROR(co_await AddLike(like, &d));
  // Keys first: they make columns NOT NULL; then what mentions columns.
  auto add = [&](bool keys) -> Task<absl::Status> {
    auto wanted = [keys](const ast::Constraint& c) { return (c.kind == ast::ConstraintKind::kPrimaryKey || c.kind == ast::ConstraintKind::kUnique) == keys; };
    for (const auto& [name, list] : column_constraints) {
      for (const ast::Constraint* c : list) {
        if (wanted(*c)) CO_RETURN_IF_ERROR(co_await AddConstraint(*c, name, &d));
      }
    }
    for (const auto& c : s.constraints) {
      if (wanted(c)) CO_RETURN_IF_ERROR(co_await AddConstraint(c, "", &d));
    }
    co_return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await add(true));
  CO_RETURN_IF_ERROR(co_await add(false));
  if (!HasPrimaryKey(d.table())) AddHiddenRowId(&d);
  Put(d);
  c_.catalog->EndChanges();
  co_return DdlResult{"CREATE TABLE", std::nullopt};
}

Task<absl::Status> Ddl::AddLike(const ast::TableLike& like, v1::Descriptor* d) {
  CO_ASSIGN_OR_RETURN(TablePtr source, ResolveTable(like.table, Binding()));
  if (source->kind != RelationKind::kTable && source->kind != RelationKind::kView) {
    co_return PgError(sqlstate::kWrongObjectType, StrCat("relation \"", source->name, "\" is invalid in LIKE clause"));
  }
  DescriptorPtr stored = snapshot().FindDescriptor(source->oid);
  v1::Table* table = d->mutable_table();
  std::vector<std::pair<uint32_t, uint32_t>> ids;  // of the source, here
  for (size_t o = 0; o < source->columns.size(); ++o) {
    const ColumnInfo& from = source->columns[o];
    if (from.hidden) continue;
    if (FindColumn(table, from.name) != nullptr) {
      co_return PgError(sqlstate::kDuplicateColumn, StrCat("column \"", from.name, "\" specified more than once"));
    }
    v1::Column c;
    c.set_id(table->next_column_id());
    c.set_attnum(table->next_attnum());
    table->set_next_column_id(c.id() + 1);
    table->set_next_attnum(c.attnum() + 1);
    c.set_name(from.name);
    c.set_type_oid(from.type.oid);
    c.set_typmod(from.type.typmod);
    c.set_not_null(from.not_null);
    bool generated = from.generated == GeneratedKind::kStored, identity = from.identity != IdentityKind::kNone;
    bool copy = generated ? (like.options & kLikeGenerated) : !identity && (like.options & kLikeDefaults);
    if (copy && !from.default_expression.empty()) {
      c.set_default_expression(from.default_expression);
      c.set_generated(generated);
      if (stored != nullptr) *c.mutable_depends_on() = stored->table().columns(static_cast<int>(o)).depends_on();
      CO_ASSIGN_OR_RETURN(Oid default_oid, co_await NewOid());
      c.set_default_oid(default_oid);
    }
    if (identity && (like.options & kLikeIdentity)) {
      CO_ASSIGN_OR_RETURN(Oid sequence, co_await CreateOwnedSequence(*d, c, from.type.oid, {}, true));
      c.set_default_expression(StrCat("nextval('", sequence, "'::regclass)"));
      c.add_depends_on(sequence);
      c.set_identity(from.identity == IdentityKind::kAlways ? "a" : "d");
    }
    if ((like.options & kLikeComments) && stored != nullptr && stored->has_table()) c.set_comment(stored->table().columns(static_cast<int>(o)).comment());
    ids.emplace_back(from.id, c.id());
    PlaceColumn(table, c);
  }
  if (stored == nullptr || !stored->has_table()) co_return absl::OkStatus();
  auto id_here = [&ids](uint32_t there) {
    auto it = std::find_if(ids.begin(), ids.end(), [there](const auto& p) { return p.first == there; });
    return it == ids.end() ? 0u : it->second;
  };
  if (like.options & kLikeConstraints) {
    for (v1::Check check : stored->table().checks()) {
      CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
      check.set_oid(oid);
      for (auto& id : *check.mutable_column_ids()) id = id_here(id);
      *table->add_checks() = check;
    }
  }
  if (like.options & kLikeIndexes) {
    for (v1::Index index : stored->table().indexes()) {
      if (index.name().empty()) continue;
      std::string label;
      for (auto& c : *index.mutable_columns()) {
        if (c.column_id() != 0) {
          c.set_column_id(id_here(c.column_id()));
          StrAppend(&label, label.empty() ? "" : "_", table->columns(OrdinalOfColumn(*table, c.column_id())).name());
        } else {
          StrAppend(&label, label.empty() ? "" : "_", "expr");
        }
      }
      for (auto& id : *index.mutable_include()) id = id_here(id);
      bool constraint = index.constraint_oid() != 0;
      index.set_name(index.primary() ? ChooseName(table->schema_oid(), d->name(), "", "pkey")
                                     : ChooseName(table->schema_oid(), d->name(), label, constraint ? "key" : "idx"));
      CO_ASSIGN_OR_RETURN(Oid oid, co_await c_.catalog->catalog().AllocateOids(ctx_, 2));
      index.set_oid(oid);
      index.set_constraint_oid(constraint ? oid + 1 : 0);
      index.set_id(table->next_index_id());
      table->set_next_index_id(index.id() + 1);
      *table->add_indexes() = index;
    }
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DdlResult>> Ddl::CreateTableAs(const ast::IntoClause& into, const ast::Statement& query, bool if_not_exists,
                                                   const std::vector<ast::Option>& options, bool select_into) {
  if (into.persistence == 't') co_return PgUnsupported("CREATE TEMPORARY TABLE");
  if (query.kind != ast::StatementKind::kSelect) co_return PgUnsupported("CREATE TABLE AS EXECUTE");
  CO_ASSIGN_OR_RETURN(SchemaInfo schema, CreationSchema(into.relation));
  if (NameTaken(schema.oid, into.relation.name)) {
    if (!if_not_exists) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", into.relation.name, "\" already exists"));
    Notice(sqlstate::kDuplicateTable, StrCat("relation \"", into.relation.name, "\" already exists, skipping"));
    co_return DdlResult{"CREATE TABLE AS", std::nullopt};
  }
  BindContext binding = Binding();
  binding.allow_parameters = true;
  binding.parameter_types = c_.parameter_types;
  SnapshotPtr before = c_.catalog->snapshot();  // the query does not see the new table
  // The binder takes a SELECT for what it yields: its INTO is ours, and out of sight meanwhile.
  auto& select = const_cast<ast::SelectStatement&>(query.As<ast::SelectStatement>());
  std::unique_ptr<ast::IntoClause> hidden = std::move(select.into);
  absl::StatusOr<std::unique_ptr<BoundStatement>> bound_or = Bind(query, binding);
  select.into = std::move(hidden);
  CO_ASSIGN_OR_RETURN(std::unique_ptr<BoundStatement> bound, std::move(bound_or));
  CO_RETURN_IF_ERROR(CheckPrivileges(*before, User(), bound->info));
  CO_ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound), {.functions = c_.functions}));

  CO_ASSIGN_OR_RETURN(v1::Descriptor d, co_await NewTable(into.relation, schema, into.persistence));
  CO_RETURN_IF_ERROR(SetTableOptions(options, d.mutable_table()));
  v1::Table* table = d.mutable_table();
  if (into.columns.size() > plan->info.columns.size()) co_return PgError(sqlstate::kSyntaxError, "too many column names were specified");
  for (size_t i = 0; i < plan->info.columns.size(); ++i) {
    const ResultColumn& from = plan->info.columns[i];
    std::string name = i < into.columns.size() ? into.columns[i] : from.name;
    if (FindColumn(table, name) != nullptr) co_return PgError(sqlstate::kDuplicateColumn, StrCat("column \"", name, "\" specified more than once"));
    SqlType type = from.type.oid == oid::kUnknown ? SqlType{oid::kText, -1} : from.type;
    const TypeInfo* info = FindType(type.oid);
    if (info == nullptr || info->typtype == 'p') {
      co_return PgError(sqlstate::kInvalidTableDefinition, StrCat("column \"", name, "\" has pseudo-type ", FormatType(type.oid)));
    }
    v1::Column c;
    c.set_id(table->next_column_id());
    c.set_attnum(table->next_attnum());
    table->set_next_column_id(c.id() + 1);
    table->set_next_attnum(c.attnum() + 1);
    c.set_name(name);
    c.set_type_oid(type.oid);
    c.set_typmod(type.typmod);
    PlaceColumn(table, c);
  }
  AddHiddenRowId(&d);
  Put(d);
  if (!into.with_data) co_return DdlResult{"CREATE TABLE AS", std::nullopt};
  TableData data(this);
  CO_ASSIGN_OR_RETURN(uint64_t rows, co_await data.Fill(snapshot().FindTableByOid(d.oid()), plan, before));
  co_return DdlResult{StrCat("SELECT ", rows), rows};
}

}  // namespace insula::sql
