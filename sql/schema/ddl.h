// Executes statements that change the schema, inside the caller's transaction: they commit or roll back with its data.
//
//   DdlContext ddl{.catalog = &changes, .txn = txn.get(), .user = role, …};
//   CO_ASSIGN_OR_RETURN(DdlResult result, co_await ExecuteDdl(ctx, *statement, ddl));   // tag "CREATE TABLE"
//
// Covers CREATE/ALTER/DROP of tables, indexes, sequences, views, schemas, databases and roles, CREATE TABLE AS, renames,
// owners, COMMENT, GRANT/REVOKE, TRUNCATE, REINDEX, and VACUUM/ANALYZE. What it does not do answers 0A000.
// On an error the caller undoes to its savepoint: kv::Txn::RollbackTo and CatalogTxn::RollbackTo.
// Memory is bounded: rewrites and backfills go page by page and flush.
#ifndef INSULA_SQL_SCHEMA_DDL_H_
#define INSULA_SQL_SCHEMA_DDL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/txn.h"
#include "sql/catalog/catalog.h"
#include "sql/exec/memory.h"
#include "sql/exec/sequences.h"
#include "sql/functions/function_context.h"
#include "sql/parser/ast.h"

namespace insula::sql {

// What DDL and COPY need of the session and its transaction. Pointers are not owned.
struct DdlContext {
  CatalogTxn* catalog = nullptr;
  kv::Txn* txn = nullptr;
  FunctionContext* functions = nullptr;
  SessionSequences* sequences = nullptr;
  MemoryAccount* memory = nullptr;
  std::string user;                         // current_user
  std::vector<std::string> search_path;     // existing schemas, in order, without implicit ones; the first takes new objects
  Duration lock_timeout = Duration::zero();
  // NOTICEs and WARNINGs (PgErrors whose severity says which).
  std::function<void(absl::Status)> notice;
  // Hashes a clear-text password for CREATE/ALTER ROLE … PASSWORD into a SCRAM verifier. Null: only verifiers are taken (0A000).
  std::function<Task<absl::StatusOr<std::string>>(const Context& ctx, std::string password)> make_verifier;
  // The statement's own text, for what keeps it.
  std::string_view sql;
  // Parameters ($n) of CREATE TABLE AS and COPY (query) TO.
  std::vector<SqlType> parameter_types;
  std::vector<Datum> parameters;
};

struct DdlResult {
  std::string tag;             // "CREATE TABLE"; "SELECT 10" for CREATE TABLE AS
  std::optional<uint64_t> rows;  // CREATE TABLE AS
};

// Whether ExecuteDdl takes the statement.
bool IsDdl(const ast::Statement& statement);
// Whether it may not run inside a transaction block (25001): CREATE/DROP DATABASE, VACUUM, CREATE INDEX CONCURRENTLY, …
bool MustRunAlone(const ast::Statement& statement);

Task<absl::StatusOr<DdlResult>> ExecuteDdl(const Context& ctx, const ast::Statement& statement, DdlContext& ddl);

}  // namespace insula::sql

#endif  // INSULA_SQL_SCHEMA_DDL_H_
