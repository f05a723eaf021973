// What a function may know besides its arguments: settings, time, session, catalog, sequences.
//
// One FunctionContext lives for one statement. The interfaces are implemented above (session, catalog); all of their calls
// answer at once, from what the statement has already: nothing here waits.
// Thread safety: one thread.
#ifndef INSULA_SQL_FUNCTIONS_FUNCTION_CONTEXT_H_
#define INSULA_SQL_FUNCTIONS_FUNCTION_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/random.h"
#include "sql/types/io.h"
#include "sql/types/type.h"

namespace insula::sql {

// The session, as functions see it.
class SessionInfo {
 public:
  virtual ~SessionInfo() = default;
  virtual std::string CurrentUser() const = 0;
  virtual std::string SessionUser() const = 0;
  virtual std::string CurrentDatabase() const = 0;
  // Existing schemas of search_path, in order; with implicit ones (pg_catalog, pg_temp) if asked.
  virtual std::vector<std::string> CurrentSchemas(bool include_implicit) const = 0;
  virtual std::string Version() const = 0;      // version()
  virtual int32_t BackendPid() const = 0;
  virtual int64_t BackendStartUs() const = 0;   // µs since 2000-01-01
  // current_setting(): nullopt if there is no such setting.
  virtual std::optional<std::string> GetSetting(std::string_view name) const = 0;
  // set_config(): the new value as SHOW would print it. 42704, 22023.
  virtual absl::StatusOr<std::string> SetSetting(std::string_view name, std::string_view value, bool local) = 0;
  virtual std::string ClientAddress() const { return ""; }  // inet_client_addr(); "" for none
  virtual int32_t ClientPort() const { return -1; }
  virtual uint64_t TransactionId() { return 0; }            // txid_current()
  virtual bool InRecovery() const { return false; }
  // All settings, for pg_settings; values as pg_settings prints them.
  struct Setting {
    std::string name, setting, unit, category, description, context, vartype, source, boot_value, reset_value;
    std::string min_value, max_value;       // "" for none
    std::vector<std::string> enum_values;
  };
  virtual std::vector<Setting> Settings() const { return {}; }
  // RAISE NOTICE and the like.
  virtual void Notice(const absl::Status& notice) {}
};

// Sequences. A call cannot wait, so for functions flagged needs_sequence the executor first reserves values (it knows the number
// of rows); Next() then takes from what was reserved and fails with XX000 if there is none.
class SequenceAccess {
 public:
  virtual ~SequenceAccess() = default;
  virtual absl::StatusOr<int64_t> Next(Oid sequence) = 0;               // nextval; 42501, 2200H
  virtual absl::StatusOr<int64_t> Current(Oid sequence) = 0;            // currval; 55000 if not called yet
  virtual absl::StatusOr<int64_t> Last() = 0;                           // lastval; 55000
  virtual absl::Status Set(Oid sequence, int64_t value, bool is_called) = 0;  // setval; 22003
};

// PUBLIC, where a role is wanted.
inline constexpr Oid kPublicRole = 0xFFFFFFFF;

// What functions ask the catalog. nullopt and "" mean SQL NULL unless it says otherwise. OIDs are 0 where SQL gave none.
class CatalogFunctions {
 public:
  virtual ~CatalogFunctions() = default;
  virtual std::string UserName(Oid role) = 0;  // pg_get_userbyid; "unknown (OID=n)" if none
  virtual std::optional<std::string> IndexDef(Oid index, int32_t column, bool pretty) = 0;  // column 0: the whole
  virtual std::optional<std::string> ConstraintDef(Oid constraint, bool pretty) = 0;
  // pg_get_expr: `tree` as the catalog stores it in pg_node_tree columns.
  virtual std::optional<std::string> Expr(std::string_view tree, Oid relation, bool pretty) = 0;
  virtual std::optional<std::string> ViewDef(Oid view, bool pretty) = 0;
  virtual std::optional<std::string> RuleDef(Oid rule, bool pretty) = 0;
  virtual std::optional<std::string> TriggerDef(Oid trigger, bool pretty) = 0;
  virtual std::optional<std::string> FunctionDef(Oid function) = 0;
  virtual std::optional<std::string> FunctionArguments(Oid function, bool identity) = 0;
  virtual std::optional<std::string> FunctionResult(Oid function) = 0;
  virtual std::optional<std::string> StatisticsObjectDef(Oid statistics, bool columns_only) = 0;
  virtual std::optional<std::string> PartitionKeyDef(Oid relation) = 0;
  virtual std::optional<std::string> SerialSequence(std::string_view table, std::string_view column, absl::Status* error) = 0;
  // kind: "class", "type", "proc", "operator", "opclass", "collation", … as in pg_X_is_visible. nullopt if no such object.
  virtual std::optional<bool> IsVisible(std::string_view kind, Oid object) = 0;
  // obj_description(object, class name) with sub = 0; col_description(table, column) with class "pg_class" and sub = column;
  // shobj_description has shared = true. class "" is any.
  virtual std::optional<std::string> Description(Oid object, std::string_view catalog, int32_t sub, bool shared) = 0;
  // format_type of a type that is not built in.
  virtual std::optional<std::string> FormatUserType(Oid type, int32_t typmod) = 0;
  // has_X_privilege. kind: "table", "column", "schema", "database", "sequence", "function", "type", "tablespace", "language",
  // "any_column", "foreign_data_wrapper", "server", "parameter", and "role" for pg_has_role. `privileges` as given ("SELECT,
  // UPDATE WITH GRANT OPTION"). role 0 is current_user. column: attribute number for kind "column". nullopt if no such object.
  virtual absl::StatusOr<std::optional<bool>> HasPrivilege(std::string_view kind, Oid role, Oid object, int32_t column,
                                                           std::string_view privileges) = 0;
  // Name → OID where has_X_privilege takes names; errors as PostgreSQL's (42P01, 3F000, 42704).
  virtual absl::StatusOr<Oid> ObjectByName(std::string_view kind, std::string_view name) = 0;
  virtual absl::StatusOr<int32_t> ColumnByName(Oid relation, std::string_view column) = 0;
  // Bytes. which: "main", "table", "indexes", "total", "database".
  virtual absl::StatusOr<std::optional<int64_t>> RelationSize(Oid relation, std::string_view which) = 0;
  virtual absl::StatusOr<std::optional<int64_t>> DatabaseSize(Oid database) = 0;
  // 0x…-bit mask as pg_relation_is_updatable; pg_column_is_updatable is derived.
  virtual int32_t UpdatableEvents(Oid relation) = 0;
  // Whether index column has the property ("asc", "returnable", …): pg_index_column_has_property and friends. column 0: the index.
  virtual std::optional<bool> IndexProperty(Oid index, int32_t column, std::string_view property) = 0;
};

// Compiled regular expressions and the like, so that a pattern repeated row by row is compiled once.
class PatternCache;

struct FunctionContext {
  FunctionContext();
  ~FunctionContext();
  FunctionContext(const FunctionContext&) = delete;
  FunctionContext& operator=(const FunctionContext&) = delete;

  IoContext io;                                // io.now_us is the transaction's start
  int64_t transaction_time_us = 0;             // now(); µs since 2000-01-01 UTC
  int64_t statement_time_us = 0;               // statement_timestamp()
  std::function<int64_t()> clock_us;           // clock_timestamp(); statement time if not set
  Random* random = nullptr;                    // random(), gen_random_uuid(); not owned. XX000 when asked and absent
  SessionInfo* session = nullptr;              // not owned; functions that need an absent one answer XX000
  CatalogFunctions* catalog = nullptr;         // not owned
  SequenceAccess* sequences = nullptr;         // not owned
  // Asked now and then by long computations: an error (57014) ends them.
  std::function<absl::Status()> check_cancel;
  // A single value may not take more than this.
  size_t max_value_bytes = size_t{1} << 30;

  int64_t ClockUs() const { return clock_us ? clock_us() : statement_time_us; }
  absl::StatusOr<SessionInfo*> Session() const;
  absl::StatusOr<CatalogFunctions*> Catalog() const;
  absl::StatusOr<SequenceAccess*> Sequences() const;
  absl::StatusOr<Random*> RandomSource() const;
  PatternCache& patterns() { return *patterns_; }

  // setseed(): random() follows this generator once it is set. Owned by the statement; the session carries it on.
  std::optional<SeededRandom> seeded;

 private:
  std::unique_ptr<PatternCache> patterns_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_FUNCTION_CONTEXT_H_
