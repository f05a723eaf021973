// What SQL functions ask the catalog (pg_get_indexdef, pg_table_is_visible, has_table_privilege, …) and how names become OIDs
// and back (regclass and its relatives), for one statement of one session.
//
//   SessionCatalog names(changes.snapshot(), &session_info);
//   functions.catalog = &names;
//   functions.io.reg_names = &names;
//
// Thread safety: one thread; lives as long as the statement.
#ifndef INSULA_SQL_CATALOG_CATALOG_FUNCTIONS_H_
#define INSULA_SQL_CATALOG_CATALOG_FUNCTIONS_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/catalog/snapshot.h"
#include "sql/functions/function_context.h"
#include "sql/types/io.h"

namespace insula::sql {

class SessionCatalog : public CatalogFunctions, public RegNames {
 public:
  // `session` gives the search path and the current user; not owned, may be null (search path public; no user).
  SessionCatalog(SnapshotPtr snapshot, const SessionInfo* session);

  // RegNames
  absl::StatusOr<Oid> Resolve(Oid reg_type, std::string_view name) const override;
  std::string Name(Oid reg_type, Oid value) const override;

  // CatalogFunctions
  std::string UserName(Oid role) override;
  std::optional<std::string> IndexDef(Oid index, int32_t column, bool pretty) override;
  std::optional<std::string> ConstraintDef(Oid constraint, bool pretty) override;
  std::optional<std::string> Expr(std::string_view tree, Oid relation, bool pretty) override;
  std::optional<std::string> ViewDef(Oid view, bool pretty) override;
  std::optional<std::string> RuleDef(Oid rule, bool pretty) override;
  std::optional<std::string> TriggerDef(Oid trigger, bool pretty) override;
  std::optional<std::string> FunctionDef(Oid function) override;
  std::optional<std::string> FunctionArguments(Oid function, bool identity) override;
  std::optional<std::string> FunctionResult(Oid function) override;
  std::optional<std::string> StatisticsObjectDef(Oid statistics, bool columns_only) override;
  std::optional<std::string> PartitionKeyDef(Oid relation) override;
  std::optional<std::string> SerialSequence(std::string_view table, std::string_view column, absl::Status* error) override;
  std::optional<bool> IsVisible(std::string_view kind, Oid object) override;
  std::optional<std::string> Description(Oid object, std::string_view catalog, int32_t sub, bool shared) override;
  std::optional<std::string> FormatUserType(Oid type, int32_t typmod) override;
  absl::StatusOr<std::optional<bool>> HasPrivilege(std::string_view kind, Oid role, Oid object, int32_t column,
                                                   std::string_view privileges) override;
  absl::StatusOr<Oid> ObjectByName(std::string_view kind, std::string_view name) override;
  absl::StatusOr<int32_t> ColumnByName(Oid relation, std::string_view column) override;
  absl::StatusOr<std::optional<int64_t>> RelationSize(Oid relation, std::string_view which) override;
  absl::StatusOr<std::optional<int64_t>> DatabaseSize(Oid database) override;
  int32_t UpdatableEvents(Oid relation) override;
  std::optional<bool> IndexProperty(Oid index, int32_t column, std::string_view property) override;

 private:
  // A relation by possibly qualified, possibly quoted name; 42P01.
  absl::StatusOr<Oid> ResolveRelation(std::string_view name) const;
  std::vector<std::string> SearchPath() const;
  bool RelationVisible(Oid oid) const;
  Oid CurrentRole() const;

  SnapshotPtr snapshot_;
  const SessionInfo* session_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_CATALOG_FUNCTIONS_H_
