// Functions that ask the catalog: pg_get_…, …_is_visible, has_…_privilege, descriptions, relation sizes, to_reg….
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using V = std::string_view;
using OptionalText = absl::StatusOr<std::optional<std::string>>;
using OptionalBool = absl::StatusOr<std::optional<bool>>;
using OptionalInt = absl::StatusOr<std::optional<int64_t>>;

Oid AsOid(int64_t v) { return static_cast<Oid>(v); }

absl::Status FormatTypeEval(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    Oid type = AsOid(args[0]->ints()[i]);
    bool has_typmod = !args[1]->IsNull(i);
    int32_t typmod = has_typmod ? static_cast<int32_t>(args[1]->ints()[i]) : -1;
    if (FindType(type) == nullptr && type != 0 && ctx.catalog != nullptr) {
      if (auto name = ctx.catalog->FormatUserType(type, typmod)) {
        out->SetBytes(i, *name);
        continue;
      }
    }
    out->SetBytes(i, has_typmod ? FormatType(type, typmod) : FormatType(type));
  }
  return absl::OkStatus();
}

// ---- …_is_visible

constexpr V kVisible[] = {"collation", "conversion", "function", "opclass", "operator", "opfamily", "statistics_obj",
                          "table", "type", "ts_config", "ts_dict", "ts_parser", "ts_template"};
// What CatalogFunctions calls the kind.
constexpr V kVisibleKind[] = {"collation", "conversion", "proc", "opclass", "operator", "opfamily", "statistics",
                              "class", "type", "ts_config", "ts_dict", "ts_parser", "ts_template"};

template <size_t kind>
OptionalBool IsVisible(FunctionContext& ctx, int64_t object) {
  ASSIGN_OR_RETURN(CatalogFunctions * catalog, ctx.Catalog());
  return catalog->IsVisible(kVisibleKind[kind], AsOid(object));
}

template <size_t... kinds>
void RegisterVisible(Registrar& r, std::index_sequence<kinds...>) {
  (r.Scalar(StrCat("pg_", kVisible[kinds], "_is_visible"), Lift<[](FunctionContext& ctx, int64_t o) { return IsVisible<kinds>(ctx, o); }>),
   ...);
}

// ---- has_…_privilege

constexpr V kPrivileges[] = {"table", "any_column", "column", "schema", "database", "sequence", "function", "type", "tablespace",
                             "language", "foreign_data_wrapper", "server", "parameter", "role"};

absl::StatusOr<Oid> ObjectOf(CatalogFunctions& catalog, V kind, const Vector& v, size_t i) {
  if (v.kind() == PhysicalKind::kInt) return AsOid(v.ints()[i]);
  if (kind == "role" && v.bytes(i) == "public") return kPublicRole;
  return catalog.ObjectByName(kind == "column" || kind == "any_column" ? "table" : kind, v.bytes(i));
}

// ([role,] object, [column,] privileges)
template <size_t kind>
absl::Status HasPrivilege(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  ASSIGN_OR_RETURN(CatalogFunctions * catalog, ctx.Catalog());
  constexpr V name = kPrivileges[kind];
  size_t objects = name == "column" ? 2 : 1;
  size_t first = args.size() - 1 - objects;  // 0: without a role
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    Oid role = 0;
    if (first == 1) {
      ASSIGN_OR_RETURN(role, ObjectOf(*catalog, "role", *args[0], i));
    }
    ASSIGN_OR_RETURN(Oid object, ObjectOf(*catalog, name, *args[first], i));
    int32_t column = 0;
    if (objects == 2) {
      const Vector& c = *args[first + 1];
      if (c.kind() == PhysicalKind::kInt) {
        column = static_cast<int32_t>(c.ints()[i]);
      } else {
        ASSIGN_OR_RETURN(column, catalog->ColumnByName(object, c.bytes(i)));
      }
    }
    ASSIGN_OR_RETURN(auto allowed, catalog->HasPrivilege(name, role, object, column, args.back()->bytes(i)));
    if (allowed) out->bools()[i] = *allowed;
    else out->SetNull(i);
  }
  return absl::OkStatus();
}

template <size_t kind>
void RegisterPrivilege(Registrar& r) {
  constexpr V name = kPrivileges[kind];
  std::string prefix = name == "role" ? "pg_has_role" : StrCat("has_", name, "_privilege");
  for (V role : {"", "_name", "_id"}) {
    for (V object : {"_name", "_id"}) {
      if (name == "parameter" && object == "_id") continue;
      if constexpr (name == "column") {
        for (V column : {"_name", "_attnum"}) r.Scalar(StrCat(prefix, role, object, column), HasPrivilege<kind>);
      } else {
        r.Scalar(StrCat(prefix, role, object), HasPrivilege<kind>);
      }
    }
  }
}

template <size_t... kinds>
void RegisterPrivileges(Registrar& r, std::index_sequence<kinds...>) {
  (RegisterPrivilege<kinds>(r), ...);
}

// ---- to_reg…: NULL instead of an error for what does not exist

absl::Status ToReg(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    auto value = TextIn(ctx.io, out->type(), args[0]->bytes(i));
    if (value.ok()) {
      out->ints()[i] = value->int_value();
      continue;
    }
    std::string state = ToPgError(value.status()).sqlstate;
    bool missing = state == sqlstate::kUndefinedTable || state == sqlstate::kUndefinedObject || state == sqlstate::kUndefinedFunction ||
                   state == sqlstate::kInvalidSchemaName || state == sqlstate::kAmbiguousFunction;
    if (!missing) return value.status();
    out->SetNull(i);
  }
  return absl::OkStatus();
}

absl::Status NoRows(FunctionContext&, Args, size_t rows, Vector* out) {
  out->SetAllNull();
  return absl::OkStatus();
}

// pg_partition_ancestors, pg_partition_tree: no table is partitioned.
class EmptyCursor : public SetCursor {
 public:
  absl::Status Next(FunctionContext&, size_t, Batch*) override { return absl::OkStatus(); }
};
absl::StatusOr<std::unique_ptr<SetCursor>> OpenEmpty(FunctionContext&, const SetCall&) { return std::make_unique<EmptyCursor>(); }

#define INSULA_ASK(expr)                                      \
  Lift<[](FunctionContext& ctx, int64_t o) -> OptionalText {  \
    ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());    \
    return c->expr;                                           \
  }>
#define INSULA_ASK_PRETTY(expr)                                       \
  Lift<[](FunctionContext& ctx, int64_t o, bool pretty) -> OptionalText { \
    ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());            \
    return c->expr;                                                   \
  }>

void RegisterDefinitions(Registrar& r) {
  r.Scalar("pg_get_userbyid", Lift<[](FunctionContext& ctx, int64_t o) -> absl::StatusOr<std::string> {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->UserName(AsOid(o));
           }>);
  r.Scalar("pg_get_indexdef", INSULA_ASK(IndexDef(AsOid(o), 0, false)));
  r.Scalar("pg_get_indexdef_ext", Lift<[](FunctionContext& ctx, int64_t o, int64_t column, bool pretty) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->IndexDef(AsOid(o), static_cast<int32_t>(column), pretty);
           }>);
  r.Scalar("pg_get_constraintdef", INSULA_ASK(ConstraintDef(AsOid(o), false)));
  r.Scalar("pg_get_constraintdef_ext", INSULA_ASK_PRETTY(ConstraintDef(AsOid(o), pretty)));
  r.Scalar("pg_get_expr", Lift<[](FunctionContext& ctx, V tree, int64_t o) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->Expr(tree, AsOid(o), false);
           }>);
  r.Scalar("pg_get_expr_ext", Lift<[](FunctionContext& ctx, V tree, int64_t o, bool pretty) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->Expr(tree, AsOid(o), pretty);
           }>);
  r.Scalar("pg_get_viewdef", INSULA_ASK(ViewDef(AsOid(o), false)));
  r.Scalar("pg_get_viewdef_ext", INSULA_ASK_PRETTY(ViewDef(AsOid(o), pretty)));
  r.Scalar("pg_get_viewdef_wrap", Lift<[](FunctionContext& ctx, int64_t o, int64_t) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->ViewDef(AsOid(o), true);
           }>);
  r.Scalar("pg_get_viewdef_name", Lift<[](FunctionContext& ctx, V name) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             ASSIGN_OR_RETURN(Oid o, c->ObjectByName("table", name));
             return c->ViewDef(o, false);
           }>);
  r.Scalar("pg_get_viewdef_name_ext", Lift<[](FunctionContext& ctx, V name, bool pretty) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             ASSIGN_OR_RETURN(Oid o, c->ObjectByName("table", name));
             return c->ViewDef(o, pretty);
           }>);
  r.Scalar("pg_get_ruledef", INSULA_ASK(RuleDef(AsOid(o), false)));
  r.Scalar("pg_get_ruledef_ext", INSULA_ASK_PRETTY(RuleDef(AsOid(o), pretty)));
  r.Scalar("pg_get_triggerdef", INSULA_ASK(TriggerDef(AsOid(o), false)));
  r.Scalar("pg_get_triggerdef_ext", INSULA_ASK_PRETTY(TriggerDef(AsOid(o), pretty)));
  r.Scalar("pg_get_functiondef", INSULA_ASK(FunctionDef(AsOid(o))));
  r.Scalar("pg_get_function_arguments", INSULA_ASK(FunctionArguments(AsOid(o), false)));
  r.Scalar("pg_get_function_identity_arguments", INSULA_ASK(FunctionArguments(AsOid(o), true)));
  r.Scalar("pg_get_function_result", INSULA_ASK(FunctionResult(AsOid(o))));
  r.Scalar("pg_get_statisticsobjdef", INSULA_ASK(StatisticsObjectDef(AsOid(o), false)));
  r.Scalar("pg_get_statisticsobjdef_columns", INSULA_ASK(StatisticsObjectDef(AsOid(o), true)));
  r.Scalar("pg_get_partkeydef", INSULA_ASK(PartitionKeyDef(AsOid(o))));
  r.Scalar("pg_get_partition_constraintdef", NoRows);
  r.Scalar("pg_get_function_sqlbody", NoRows);
  r.Scalar("pg_get_serial_sequence", Lift<[](FunctionContext& ctx, V table, V column) -> OptionalText {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             absl::Status error;
             auto name = c->SerialSequence(table, column, &error);
             RETURN_IF_ERROR(error);
             return name;
           }>);
}

void RegisterDescriptions(Registrar& r) {
  r.ScalarFor("obj_description(oid,name)", Lift<[](FunctionContext& ctx, int64_t o, V catalog) -> OptionalText {
                ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
                return c->Description(AsOid(o), catalog, 0, false);
              }>);
  r.ScalarFor("obj_description(oid)", INSULA_ASK(Description(AsOid(o), "", 0, false)));
  r.ScalarFor("col_description(oid,int4)", Lift<[](FunctionContext& ctx, int64_t o, int64_t column) -> OptionalText {
                ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
                return c->Description(AsOid(o), "pg_class", static_cast<int32_t>(column), false);
              }>);
  r.ScalarFor("shobj_description(oid,name)", Lift<[](FunctionContext& ctx, int64_t o, V catalog) -> OptionalText {
                ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
                return c->Description(AsOid(o), catalog, 0, true);
              }>);
}

OptionalInt SizeOf(FunctionContext& ctx, int64_t relation, V which) {
  ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
  return c->RelationSize(AsOid(relation), which);
}

void RegisterSizes(Registrar& r) {
  r.ScalarFor("pg_relation_size(regclass)", Lift<[](FunctionContext& ctx, int64_t o) { return SizeOf(ctx, o, "main"); }>);
  r.Scalar("pg_relation_size", Lift<[](FunctionContext& ctx, int64_t o, V fork) -> OptionalInt {
             if (fork == "main") return SizeOf(ctx, o, fork);
             if (fork == "fsm" || fork == "vm" || fork == "init") return std::optional<int64_t>(0);
             return PgErrorBuilder(sqlstate::kInvalidParameterValue, "invalid fork name")
                 .Hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")
                 .Build();
           }>);
  r.Scalar("pg_table_size", Lift<[](FunctionContext& ctx, int64_t o) { return SizeOf(ctx, o, "table"); }>);
  r.Scalar("pg_indexes_size", Lift<[](FunctionContext& ctx, int64_t o) { return SizeOf(ctx, o, "indexes"); }>);
  r.Scalar("pg_total_relation_size", Lift<[](FunctionContext& ctx, int64_t o) { return SizeOf(ctx, o, "total"); }>);
  r.Scalar("pg_database_size_oid", Lift<[](FunctionContext& ctx, int64_t o) -> OptionalInt {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->DatabaseSize(AsOid(o));
           }>);
  r.Scalar("pg_database_size_name", Lift<[](FunctionContext& ctx, V name) -> OptionalInt {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             ASSIGN_OR_RETURN(Oid o, c->ObjectByName("database", name));
             return c->DatabaseSize(o);
           }>);
}

}  // namespace

void RegisterCatalogFunctions(Registrar& r) {
  r.Scalar("format_type", FormatTypeEval);
  RegisterVisible(r, std::make_index_sequence<std::size(kVisible)>());
  RegisterPrivileges(r, std::make_index_sequence<std::size(kPrivileges)>());
  RegisterDefinitions(r);
  RegisterDescriptions(r);
  RegisterSizes(r);
  for (V source : {"to_regclass", "to_regcollation", "to_regnamespace", "to_regoper", "to_regoperator", "to_regproc",
                   "to_regprocedure", "to_regrole", "to_regtype"}) {
    r.Scalar(source, ToReg);
  }
  r.Scalar("pg_relation_is_updatable", Lift<[](FunctionContext& ctx, int64_t o, bool) -> absl::StatusOr<int64_t> {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->UpdatableEvents(AsOid(o));
           }>);
  r.Scalar("pg_column_is_updatable", Lift<[](FunctionContext& ctx, int64_t o, int64_t column, bool) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             constexpr int32_t kUpdateAndDelete = (1 << 2) | (1 << 4);
             return column > 0 && (c->UpdatableEvents(AsOid(o)) & kUpdateAndDelete) == kUpdateAndDelete;
           }>);
  r.Scalar("pg_index_column_has_property", Lift<[](FunctionContext& ctx, int64_t o, int64_t column, V property) -> OptionalBool {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->IndexProperty(AsOid(o), static_cast<int32_t>(column), property);
           }>);
  r.Scalar("pg_index_has_property", Lift<[](FunctionContext& ctx, int64_t o, V property) -> OptionalBool {
             ASSIGN_OR_RETURN(CatalogFunctions * c, ctx.Catalog());
             return c->IndexProperty(AsOid(o), 0, property);
           }>);
  // Partitioning, publications and row security do not exist yet: what the questions about them answer then.
  r.Scalar("pg_relation_is_publishable", Lift<[](int64_t) { return false; }>);
  r.Scalar("pg_partition_root", NoRows);
  r.Set("pg_partition_ancestors", OpenEmpty);
  r.Set("pg_partition_tree", OpenEmpty);
  r.Scalar("row_security_active", Lift<[](int64_t) { return false; }>);
  r.Scalar("row_security_active_name", Lift<[](V) { return false; }>);
  r.Scalar("pg_tablespace_location", Lift<[](int64_t) { return std::string(); }>);
  r.Scalar("pg_relation_filenode", Lift<[](int64_t o) { return o; }>);
}

}  // namespace insula::sql::internal
