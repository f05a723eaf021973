// Statements as a session handles them: parsed text, and what was planned from it. Immutable and shared: between prepared
// statements, portals and the pod's plan cache.
#ifndef INSULA_SQL_SESSION_STATEMENT_H_
#define INSULA_SQL_SESSION_STATEMENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/parser/ast.h"
#include "sql/parser/normalize.h"
#include "sql/parser/parser.h"
#include "sql/plan/physical.h"

namespace insula::sql {

// A query string and all of its statements.
struct ParsedText {
  std::string sql;
  std::vector<ParsedStatement> statements;
};
absl::StatusOr<std::shared_ptr<const ParsedText>> ParseText(std::string_view sql);

// One statement of a text, or the one inside it (of PREPARE, DECLARE, EXPLAIN): points into the text and keeps it.
struct StatementSource {
  std::shared_ptr<const ParsedText> text;
  const ast::Statement* ast = nullptr;
  std::string_view sql;  // its own text
  std::string tag;       // "SELECT", "INSERT", …
  int parameter_count = 0;
  bool inner = false;    // `sql` is the text of the statement around it

  // SELECT, VALUES, INSERT, UPDATE, DELETE: what is bound and planned.
  bool is_query() const;
};
using SourcePtr = std::shared_ptr<const StatementSource>;

SourcePtr MakeSource(std::shared_ptr<const ParsedText> text, size_t index);
// `ast` lies within outer's tree.
SourcePtr MakeInnerSource(const StatementSource& outer, const ast::Statement* ast);

// A query with its plan, and what the plan depends on.
struct PlannedStatement {
  SourcePtr source;
  PlanPtr plan;
  uint64_t catalog_version = 0;
  std::string plan_key;        // DerivedSettings::plan_key it was made under
  std::string database;
  bool reads_catalog = false;  // scans virtual tables: needs a catalog that is known to be new
  std::optional<LiteralParameters> literals;  // the text's literals are its parameters
};
using PlannedPtr = std::shared_ptr<const PlannedStatement>;

// Whether some node of the plan scans a table of pg_catalog or information_schema.
bool ReadsCatalog(const PhysicalNode& node);

// Whether the statement may run in a failed transaction block: COMMIT, ROLLBACK, ROLLBACK TO, PREPARE TRANSACTION.
bool EndsFailedTransaction(const ast::Statement& statement);

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_STATEMENT_H_
