// COPY's options, checked as PostgreSQL checks them.
#ifndef INSULA_SQL_BULK_COPY_OPTIONS_H_
#define INSULA_SQL_BULK_COPY_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/parser/ast.h"

namespace insula::sql {

struct CopyOptions {
  bool csv = false;
  char delimiter = '\t';
  std::string null_text = "\\N";
  enum Header { kNone, kSkip, kMatch } header = kNone;
  char quote = '"';
  char escape = '"';
  bool force_quote_all = false;
  std::vector<std::string> force_quote, force_not_null, force_null;  // columns
};

// 0A000 for binary, 22023 and 42601 for what makes no sense.
absl::StatusOr<CopyOptions> ParseCopyOptions(const std::vector<ast::Option>& options, bool from);

}  // namespace insula::sql

#endif  // INSULA_SQL_BULK_COPY_OPTIONS_H_
