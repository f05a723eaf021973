#include "sql/catalog/catalog_functions.h"

#include <algorithm>
#include <charconv>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/acl.h"
#include "sql/catalog/names.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual/type_facts.h"
#include "sql/catalog/virtual_table.h"
#include "sql/functions/registry.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

absl::Status NoRelation(std::string_view name) {
  return PgError(sqlstate::kUndefinedTable, StrCat("relation \"", name, "\" does not exist"));
}

std::optional<Oid> AsNumber(std::string_view text) {
  Oid out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return out;
}

const IndexInfo* FindIndex(const TableInfo& table, Oid index) {
  for (const auto& i : table.indexes) {
    if (i.oid == index) return &i;
  }
  return nullptr;
}

std::string ColumnList(const TableInfo& table, const std::vector<int>& ordinals) {
  std::string out;
  for (int o : ordinals) StrAppend(&out, out.empty() ? "" : ", ", QuoteIdent(table.columns[o].name));
  return out;
}

// One element of an index as CREATE INDEX writes it.
std::string IndexElement(const TableInfo& table, const IndexColumnInfo& c, bool with_order) {
  std::string out;
  if (c.ordinal >= 0) {
    out = QuoteIdent(table.columns[c.ordinal].name);
  } else {
    out = LooksLikeCall(c.expression) ? c.expression : StrCat("(", c.expression, ")");
  }
  if (!with_order) return out;
  if (c.descending) {
    out += " DESC";
    if (!c.nulls_first) out += " NULLS LAST";
  } else if (c.nulls_first) {
    out += " NULLS FIRST";
  }
  return out;
}

std::string_view ActionWords(ForeignKeyAction a) {
  switch (a) {
    case ForeignKeyAction::kNoAction: return "";
    case ForeignKeyAction::kRestrict: return "RESTRICT";
    case ForeignKeyAction::kCascade: return "CASCADE";
    case ForeignKeyAction::kSetNull: return "SET NULL";
    case ForeignKeyAction::kSetDefault: return "SET DEFAULT";
  }
  return "";
}

std::vector<std::string> SplitNames(std::string_view names) {
  std::vector<std::string> out;
  if (names.empty()) return out;
  for (size_t begin = 0; begin <= names.size();) {
    size_t comma = std::min(names.find(',', begin), names.size());
    out.emplace_back(names.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return out;
}

}  // namespace

SessionCatalog::SessionCatalog(SnapshotPtr snapshot, const SessionInfo* session) : snapshot_(std::move(snapshot)), session_(session) {}

std::vector<std::string> SessionCatalog::SearchPath() const {
  if (session_ == nullptr) return {"pg_catalog", "public"};
  return session_->CurrentSchemas(true);
}

Oid SessionCatalog::CurrentRole() const { return session_ == nullptr ? kBootstrapRoleOid : snapshot_->FindRole(session_->CurrentUser()); }

// --- names

absl::StatusOr<Oid> SessionCatalog::ResolveRelation(std::string_view name) const {
  ASSIGN_OR_RETURN(std::vector<std::string> parts, ParseQualifiedName(name));
  if (parts.size() == 3 && parts[0] == snapshot_->database_name()) parts.erase(parts.begin());
  if (parts.size() > 2) {
    return PgUnsupported(StrCat("cross-database references: \"", name, "\""));
  }
  if (parts.size() == 2) {
    auto schema = snapshot_->FindSchema(parts[0]);
    Oid oid = schema ? snapshot_->FindRelationOid(schema->oid, parts[1]) : 0;
    if (oid == 0) return NoRelation(StrCat(parts[0], ".", parts[1]));
    return oid;
  }
  for (const std::string& schema_name : SearchPath()) {
    auto schema = snapshot_->FindSchema(schema_name);
    if (!schema) continue;
    if (Oid oid = snapshot_->FindRelationOid(schema->oid, parts[0])) return oid;
  }
  return NoRelation(parts[0]);
}

bool SessionCatalog::RelationVisible(Oid oid) const {
  TablePtr t = snapshot_->FindTableByOid(oid);
  if (t == nullptr) return false;
  for (const std::string& schema_name : SearchPath()) {
    auto schema = snapshot_->FindSchema(schema_name);
    if (!schema) continue;
    if (Oid found = snapshot_->FindRelationOid(schema->oid, t->name)) return found == oid;
  }
  return false;
}

absl::StatusOr<Oid> SessionCatalog::Resolve(Oid reg_type, std::string_view name) const {
  if (name == "-") return 0;
  if (auto number = AsNumber(name)) return *number;
  auto last_of = [](std::string_view text) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(std::vector<std::string> parts, ParseQualifiedName(text));
    return parts.back();
  };
  switch (reg_type) {
    case oid::kRegclass: return ResolveRelation(name);
    case oid::kRegnamespace: {
      ASSIGN_OR_RETURN(std::string schema, last_of(name));
      auto info = snapshot_->FindSchema(schema);
      if (!info) return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", schema, "\" does not exist"));
      return info->oid;
    }
    case oid::kRegrole: {
      ASSIGN_OR_RETURN(std::string role, last_of(name));
      Oid oid = snapshot_->FindRole(role);
      if (oid == 0) return PgError(sqlstate::kUndefinedObject, StrCat("role \"", role, "\" does not exist"));
      return oid;
    }
    case oid::kRegproc: {
      ASSIGN_OR_RETURN(std::string function, last_of(name));
      auto found = FunctionsNamed(function);
      if (found.empty()) return PgError(sqlstate::kUndefinedFunction, StrCat("function \"", name, "\" does not exist"));
      if (found.size() > 1) return PgError(sqlstate::kAmbiguousFunction, StrCat("more than one function named \"", name, "\""));
      return found[0].oid;
    }
    case oid::kRegprocedure: {
      size_t open = name.find('(');
      if (open == std::string_view::npos || !name.ends_with(')')) return PgError("22P02", "expected a left parenthesis");
      ASSIGN_OR_RETURN(std::string function, last_of(name.substr(0, open)));
      std::vector<Oid> args;
      std::string_view list = name.substr(open + 1, name.size() - open - 2);
      while (!list.empty()) {
        size_t comma = std::min(list.find(','), list.size());
        ASSIGN_OR_RETURN(SqlType type, ParseTypeName(list.substr(0, comma)));
        args.push_back(type.oid);
        list.remove_prefix(std::min(list.size(), comma + 1));
      }
      const FunctionInfo* f = FindFunctionExact(function, args);
      if (f == nullptr) return PgError(sqlstate::kUndefinedFunction, StrCat("function \"", name, "\" does not exist"));
      return f->oid;
    }
    case oid::kRegoper: {
      auto found = OperatorsNamed(name);
      if (found.empty()) return PgError(sqlstate::kUndefinedFunction, StrCat("operator does not exist: ", name));
      if (found.size() > 1) return PgError(sqlstate::kAmbiguousFunction, StrCat("more than one operator named ", name));
      return found[0].oid;
    }
    case oid::kRegcollation: {
      ASSIGN_OR_RETURN(std::string collation, last_of(name));
      if (collation == "default") return kDefaultCollation;
      if (collation == "C") return kCCollation;
      if (collation == "POSIX") return 951;
      return PgError(sqlstate::kUndefinedObject, StrCat("collation \"", collation, "\" for encoding \"UTF8\" does not exist"));
    }
    case oid::kRegtype: {
      ASSIGN_OR_RETURN(SqlType type, ParseTypeName(name));
      return type.oid;
    }
    default: return PgUnsupported(StrCat("type ", FormatType(reg_type)));
  }
}

std::string SessionCatalog::Name(Oid reg_type, Oid value) const {
  switch (reg_type) {
    case oid::kRegclass: {
      TablePtr t = snapshot_->FindTableByOid(value);
      if (t == nullptr) return "";
      return RelationVisible(value) ? QuoteIdent(t->name) : QuoteQualified(t->schema, t->name);
    }
    case oid::kRegnamespace: {
      auto info = snapshot_->FindSchemaByOid(value);
      return info ? QuoteIdent(info->name) : "";
    }
    case oid::kRegrole: {
      const RoleInfo* role = snapshot_->state().FindRole(value);
      return role == nullptr ? "" : QuoteIdent(role->name);
    }
    case oid::kRegproc: {
      const FunctionInfo* f = FindFunction(value);
      if (f == nullptr) return "";
      bool unique = FunctionsNamed(f->name).size() == 1;
      return unique ? QuoteIdent(f->name) : StrCat("pg_catalog.", QuoteIdent(f->name));
    }
    case oid::kRegprocedure: {
      const FunctionInfo* f = FindFunction(value);
      if (f == nullptr) return "";
      std::string args;
      for (Oid a : f->args) StrAppend(&args, args.empty() ? "" : ",", FormatType(a));
      return StrCat(QuoteIdent(f->name), "(", args, ")");
    }
    case oid::kRegoper:
    case oid::kRegoperator: {
      const OperatorInfo* o = FindOperator(value);
      if (o == nullptr) return "";
      if (reg_type == oid::kRegoper) {
        return OperatorsNamed(o->name).size() == 1 ? std::string(o->name) : StrCat("pg_catalog.", o->name);
      }
      return StrCat(o->name, "(", o->left == 0 ? "NONE" : FormatType(o->left), ",", FormatType(o->right), ")");
    }
    case oid::kRegcollation:
      return value == kDefaultCollation ? "\"default\"" : value == kCCollation ? "\"C\"" : value == 951 ? "\"POSIX\"" : "";
    case oid::kRegtype: return FindType(value) == nullptr ? "" : FormatType(value);
    default: return "";
  }
}

std::string SessionCatalog::UserName(Oid role) {
  const RoleInfo* info = snapshot_->state().FindRole(role);
  return info == nullptr ? StrCat("unknown (OID=", role, ")") : info->name;
}

absl::StatusOr<Oid> SessionCatalog::ObjectByName(std::string_view kind, std::string_view name) {
  if (kind == "table" || kind == "sequence" || kind == "any_column" || kind == "column") return ResolveRelation(name);
  if (kind == "schema") {
    auto info = snapshot_->FindSchema(name);
    if (!info) return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", name, "\" does not exist"));
    return info->oid;
  }
  if (kind == "database") {
    const DatabaseInfo* d = snapshot_->state().FindDatabase(name);
    if (d == nullptr) return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", name, "\" does not exist"));
    return d->oid;
  }
  if (kind == "role") {
    Oid oid = snapshot_->FindRole(name);
    if (oid == 0) return PgError(sqlstate::kUndefinedObject, StrCat("role \"", name, "\" does not exist"));
    return oid;
  }
  if (kind == "function") return Resolve(oid::kRegprocedure, name);
  if (kind == "type") return Resolve(oid::kRegtype, name);
  if (kind == "tablespace" && (name == "pg_default" || name == "pg_global")) return name == "pg_default" ? kDefaultTablespace : 1664;
  if (kind == "language") {
    for (auto [oid, language] : {std::pair<Oid, std::string_view>(12, "internal"), {13, "c"}, {14, "sql"}}) {
      if (language == name) return oid;
    }
  }
  return PgError(sqlstate::kUndefinedObject, StrCat(kind, " \"", name, "\" does not exist"));
}

absl::StatusOr<int32_t> SessionCatalog::ColumnByName(Oid relation, std::string_view column) {
  TablePtr t = snapshot_->FindTableByOid(relation);
  int ordinal = t == nullptr ? -1 : t->FindColumn(column);
  if (ordinal < 0) {
    return PgError(sqlstate::kUndefinedColumn,
                   StrCat("column \"", column, "\" of relation \"", t == nullptr ? "" : t->name, "\" does not exist"));
  }
  return t->columns[ordinal].attnum;
}

std::optional<bool> SessionCatalog::IsVisible(std::string_view kind, Oid object) {
  if (kind == "class" || kind == "table") {
    if (snapshot_->FindTableByOid(object) == nullptr) return std::nullopt;
    return RelationVisible(object);
  }
  // All others are built in, and pg_catalog is always searched.
  if (kind == "type" && FindType(object) == nullptr) return std::nullopt;
  if ((kind == "proc" || kind == "function") && FindFunction(object) == nullptr) return std::nullopt;
  if (kind == "operator" && FindOperator(object) == nullptr) return std::nullopt;
  if (kind == "statistics_obj" || kind.starts_with("ts_")) return std::nullopt;
  return true;
}

// --- definitions

std::optional<std::string> SessionCatalog::IndexDef(Oid index, int32_t column, bool pretty) {
  TablePtr t = snapshot_->FindTableOfIndex(index);
  const IndexInfo* i = t == nullptr ? nullptr : FindIndex(*t, index);
  if (i == nullptr) return std::nullopt;
  if (column != 0) {
    size_t n = static_cast<size_t>(column);
    if (column < 0 || n > i->columns.size() + i->include.size()) return "";
    if (n > i->columns.size()) return QuoteIdent(t->columns[i->include[n - i->columns.size() - 1]].name);
    return IndexElement(*t, i->columns[n - 1], false);
  }
  std::string out = StrCat("CREATE ", i->unique || i->primary ? "UNIQUE " : "", "INDEX ", QuoteIdent(i->name), " ON ",
                           pretty && RelationVisible(t->oid) ? QuoteIdent(t->name) : QuoteQualified(t->schema, t->name), " USING btree (");
  for (size_t c = 0; c < i->columns.size(); ++c) StrAppend(&out, c == 0 ? "" : ", ", IndexElement(*t, i->columns[c], true));
  out += ")";
  if (!i->include.empty()) StrAppend(&out, " INCLUDE (", ColumnList(*t, i->include), ")");
  if (i->nulls_not_distinct) out += " NULLS NOT DISTINCT";
  if (!i->predicate.empty()) StrAppend(&out, " WHERE ", pretty ? StripParentheses(i->predicate) : std::string_view(i->predicate));
  return out;
}

std::optional<std::string> SessionCatalog::ConstraintDef(Oid constraint, bool pretty) {
  TablePtr t = snapshot_->FindTableOfConstraint(constraint);
  if (t == nullptr) return std::nullopt;
  const v1::Table& stored = snapshot_->FindDescriptor(t->oid)->table();
  for (int n = 0; n < stored.indexes_size(); ++n) {
    if (stored.indexes(n).constraint_oid() != constraint) continue;
    const IndexInfo& i = t->indexes[n];
    std::vector<int> ordinals;
    for (const auto& c : i.columns) ordinals.push_back(c.ordinal);
    std::string out = StrCat(i.primary ? "PRIMARY KEY" : "UNIQUE", i.nulls_not_distinct ? " NULLS NOT DISTINCT" : "", " (", ColumnList(*t, ordinals), ")");
    if (!i.include.empty()) StrAppend(&out, " INCLUDE (", ColumnList(*t, i.include), ")");
    return out;
  }
  for (const auto& c : stored.checks()) {
    if (c.oid() != constraint) continue;
    std::string_view text = c.expression();
    return StrCat("CHECK (", pretty ? StripParentheses(text) : text, ")", c.no_inherit() ? " NO INHERIT" : "", c.validated() ? "" : " NOT VALID");
  }
  for (const auto& k : t->foreign_keys) {
    if (k.oid != constraint) continue;
    TablePtr referenced = snapshot_->FindTableByOid(k.referenced_table);
    std::string name = pretty && RelationVisible(referenced->oid) ? QuoteIdent(referenced->name) : QuoteQualified(referenced->schema, referenced->name);
    if (!pretty && RelationVisible(referenced->oid)) name = QuoteIdent(referenced->name);
    std::string out = StrCat("FOREIGN KEY (", ColumnList(*t, k.columns), ") REFERENCES ", name, "(", ColumnList(*referenced, k.referenced_columns), ")");
    if (k.match == ForeignKeyMatch::kFull) out += " MATCH FULL";
    if (k.on_update != ForeignKeyAction::kNoAction) StrAppend(&out, " ON UPDATE ", ActionWords(k.on_update));
    if (k.on_delete != ForeignKeyAction::kNoAction) StrAppend(&out, " ON DELETE ", ActionWords(k.on_delete));
    if (k.deferrable) out += " DEFERRABLE";
    if (k.initially_deferred) out += " INITIALLY DEFERRED";
    if (!k.validated) out += " NOT VALID";
    return out;
  }
  return std::nullopt;
}

// Stored expressions name relations by OID, which renaming leaves alone: '16399'::regclass. People read names.
std::optional<std::string> SessionCatalog::Expr(std::string_view tree, Oid relation, bool pretty) {
  constexpr std::string_view kCast = "::regclass";
  std::string_view rest = pretty ? StripParentheses(tree) : tree;
  std::string out;
  for (size_t cast; (cast = rest.find(kCast)) != std::string_view::npos; rest.remove_prefix(cast + kCast.size())) {
    std::string_view before = rest.substr(0, cast);
    const size_t quote = before.ends_with('\'') ? before.substr(0, cast - 1).rfind('\'') : std::string_view::npos;
    std::optional<Oid> named = quote == std::string_view::npos ? std::nullopt : AsNumber(before.substr(quote + 1, cast - quote - 2));
    std::string name = named ? Name(oid::kRegclass, *named) : "";
    StrAppend(&out, name.empty() ? before : before.substr(0, quote), name.empty() ? "" : QuoteLiteral(name), kCast);
  }
  StrAppend(&out, rest);
  return out;
}

std::optional<std::string> SessionCatalog::ViewDef(Oid view, bool pretty) {
  TablePtr t = snapshot_->FindTableByOid(view);
  if (t == nullptr || t->kind != RelationKind::kView) return std::nullopt;
  return StrCat(" ", t->view_definition, ";");
}

std::optional<std::string> SessionCatalog::RuleDef(Oid rule, bool pretty) {
  TablePtr t = snapshot_->FindTableByOid(ViewOfRule(rule));
  if (t == nullptr || t->kind != RelationKind::kView) return std::nullopt;
  return StrCat("CREATE RULE \"_RETURN\" AS\n    ON SELECT TO ", QuoteQualified(t->schema, t->name), " DO INSTEAD  ", t->view_definition, ";");
}

std::optional<std::string> SessionCatalog::TriggerDef(Oid trigger, bool pretty) { return std::nullopt; }
std::optional<std::string> SessionCatalog::FunctionDef(Oid function) { return std::nullopt; }
std::optional<std::string> SessionCatalog::StatisticsObjectDef(Oid statistics, bool columns_only) { return std::nullopt; }
std::optional<std::string> SessionCatalog::PartitionKeyDef(Oid relation) { return std::nullopt; }
std::optional<std::string> SessionCatalog::FormatUserType(Oid type, int32_t typmod) { return std::nullopt; }

std::optional<std::string> SessionCatalog::FunctionArguments(Oid function, bool identity) {
  const FunctionInfo* f = FindFunction(function);
  if (f == nullptr) return std::nullopt;
  std::vector<std::string> names = SplitNames(f->arg_names);
  std::string out;
  auto add = [&](size_t position, std::string_view mode, Oid type) {
    StrAppend(&out, out.empty() ? "" : ", ", mode);
    if (position < names.size() && !names[position].empty()) StrAppend(&out, QuoteIdent(names[position]), " ");
    out += FormatType(type);
  };
  for (size_t a = 0; a < f->args.size(); ++a) add(a, f->variadic != 0 && a + 1 == f->args.size() ? "VARIADIC " : "", f->args[a]);
  if (!identity) {
    for (size_t a = 0; a < f->out_types.size(); ++a) add(f->args.size() + a, "OUT ", f->out_types[a]);
  }
  return out;
}

std::optional<std::string> SessionCatalog::FunctionResult(Oid function) {
  const FunctionInfo* f = FindFunction(function);
  if (f == nullptr) return std::nullopt;
  return StrCat(f->returns_set ? "SETOF " : "", FormatType(f->result));
}

std::optional<std::string> SessionCatalog::SerialSequence(std::string_view table, std::string_view column, absl::Status* error) {
  absl::StatusOr<Oid> oid = ResolveRelation(table);
  if (!oid.ok()) {
    *error = oid.status();
    return std::nullopt;
  }
  TablePtr t = snapshot_->FindTableByOid(*oid);
  int ordinal = t == nullptr ? -1 : t->FindColumn(column);
  if (ordinal < 0) {
    *error = PgError(sqlstate::kUndefinedColumn, StrCat("column \"", column, "\" of relation \"", t == nullptr ? std::string(table) : t->name, "\" does not exist"));
    return std::nullopt;
  }
  for (const auto& [sequence, d] : snapshot_->state().descriptors()) {
    if (!d->has_sequence() || d->sequence().owned_by_table() != t->oid || d->sequence().owned_by_column() != t->columns[ordinal].id) continue;
    TablePtr s = snapshot_->FindTableByOid(sequence);
    if (s != nullptr) return QuoteQualified(s->schema, s->name);
  }
  return std::nullopt;
}

std::optional<std::string> SessionCatalog::Description(Oid object, std::string_view catalog, int32_t sub, bool shared) {
  auto text = [](std::string_view s) -> std::optional<std::string> {
    if (s.empty()) return std::nullopt;
    return std::string(s);
  };
  auto is = [&](std::string_view name) { return catalog.empty() || catalog == name; };
  if (object == kPgCatalogOid && is("pg_namespace") && !shared) return "system catalog schema";
  if (is("pg_type") && !shared) {
    for (const TypeDescription& t : TypeDescriptions()) {
      if (t.oid == object) return std::string(t.text);
    }
  }
  if (is("pg_class") && !shared) {
    if (TablePtr t = snapshot_->FindTableOfIndex(object)) {
      for (const auto& i : snapshot_->FindDescriptor(t->oid)->table().indexes()) {
        if (i.oid() == object) return text(i.comment());
      }
    }
  }
  if (is("pg_constraint") && !shared) {
    if (TablePtr t = snapshot_->FindTableOfConstraint(object)) {
      const v1::Table& stored = snapshot_->FindDescriptor(t->oid)->table();
      for (const auto& i : stored.indexes()) {
        if (i.constraint_oid() == object) return text(i.constraint_comment());
      }
      for (const auto& c : stored.checks()) {
        if (c.oid() == object) return text(c.comment());
      }
      for (const auto& k : stored.foreign_keys()) {
        if (k.oid() == object) return text(k.comment());
      }
    }
  }
  DescriptorPtr d = snapshot_->FindDescriptor(object);
  if (d == nullptr) return std::nullopt;
  bool is_shared = d->has_database() || d->has_role();
  if (is_shared != shared) return std::nullopt;
  std::string_view own = d->has_database() ? "pg_database" : d->has_role() ? "pg_authid" : d->has_schema() ? "pg_namespace" : "pg_class";
  if (!is(own)) return std::nullopt;
  if (sub == 0) return text(d->comment());
  const auto& columns = d->has_table() ? d->table().columns() : d->view().columns();
  for (const auto& c : columns) {
    if (c.attnum() == sub) return text(c.comment());
  }
  return std::nullopt;
}

// --- privileges

absl::StatusOr<std::optional<bool>> SessionCatalog::HasPrivilege(std::string_view kind, Oid role, Oid object, int32_t column,
                                                                 std::string_view privileges) {
  if (role == 0) role = CurrentRole();
  if (kind == "role") {
    const RoleInfo* target = snapshot_->state().FindRole(object);
    if (target == nullptr) return std::nullopt;
    const RoleInfo* me = snapshot_->state().FindRole(role);
    return (me != nullptr && me->superuser) || snapshot_->state().IsMember(role, object);
  }
  if (kind == "function" || kind == "type" || kind == "language" || kind == "tablespace" || kind == "parameter") {
    ASSIGN_OR_RETURN(std::vector<PrivilegeBits> wanted, ParsePrivileges(privileges));
    if (kind == "function" && FindFunction(object) == nullptr) return std::nullopt;
    if (kind == "type" && FindType(object) == nullptr) return std::nullopt;
    return kind != "parameter" && kind != "tablespace" ? true : snapshot_->state().FindRole(role) != nullptr && snapshot_->state().FindRole(role)->superuser;
  }
  ASSIGN_OR_RETURN(std::vector<PrivilegeBits> wanted, ParsePrivileges(privileges));
  TablePtr t = snapshot_->FindTableByOid(object);
  bool known = t != nullptr || snapshot_->FindSchemaByOid(object) || snapshot_->state().FindDatabase(object) != nullptr;
  if (!known) return std::nullopt;
  // Any of the listed privileges is enough.
  for (PrivilegeBits bits : wanted) {
    if (snapshot_->HasPrivileges(role, object, bits)) return true;
    if (t == nullptr) continue;
    if (kind == "column" && snapshot_->HasColumnPrivileges(role, object, bits, {static_cast<int16_t>(column)})) return true;
    if (kind != "any_column") continue;
    for (const auto& c : t->columns) {
      if (!c.hidden && snapshot_->HasColumnPrivileges(role, object, bits, {c.attnum})) return true;
    }
  }
  return false;
}

// --- sizes and properties

// Nobody counts a relation's bytes yet; NULL says so.
absl::StatusOr<std::optional<int64_t>> SessionCatalog::RelationSize(Oid relation, std::string_view which) { return std::nullopt; }
absl::StatusOr<std::optional<int64_t>> SessionCatalog::DatabaseSize(Oid database) { return std::nullopt; }

int32_t SessionCatalog::UpdatableEvents(Oid relation) {
  constexpr int32_t kUpdate = 1 << 2, kInsert = 1 << 3, kDelete = 1 << 4;
  TablePtr t = snapshot_->FindTableByOid(relation);
  return t != nullptr && t->kind == RelationKind::kTable && !t->is_virtual ? kUpdate | kInsert | kDelete : 0;
}

std::optional<bool> SessionCatalog::IndexProperty(Oid index, int32_t column, std::string_view property) {
  TablePtr t = snapshot_->FindTableOfIndex(index);
  const IndexInfo* i = t == nullptr ? nullptr : FindIndex(*t, index);
  if (i == nullptr) return std::nullopt;
  if (column == 0) {
    if (property == "clusterable" || property == "bitmap_scan") return false;
    if (property == "index_scan" || property == "backward_scan") return true;
    return std::nullopt;
  }
  size_t n = static_cast<size_t>(column);
  if (column < 0 || n > i->columns.size() + i->include.size()) return std::nullopt;
  if (property == "returnable") return true;
  if (property == "distance_orderable") return false;
  bool key = n <= i->columns.size();
  if (property == "orderable" || property == "search_array" || property == "search_nulls") return key;
  if (!key) return std::nullopt;
  const IndexColumnInfo& c = i->columns[n - 1];
  if (property == "asc") return !c.descending;
  if (property == "desc") return c.descending;
  if (property == "nulls_first") return c.nulls_first;
  if (property == "nulls_last") return !c.nulls_first;
  return std::nullopt;
}

}  // namespace insula::sql
