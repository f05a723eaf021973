#include "sql/functions/function_context.h"

#include "base/pgerror/pg_error.h"
#include "sql/functions/pattern.h"

namespace insula::sql {
namespace {

absl::Status Absent(std::string_view what) {
  return PgError(sqlstate::kInternalError, std::string("no ") + std::string(what) + " in this context");
}

}  // namespace

FunctionContext::FunctionContext() : patterns_(std::make_unique<PatternCache>()) {}
FunctionContext::~FunctionContext() = default;

absl::StatusOr<SessionInfo*> FunctionContext::Session() const {
  if (session == nullptr) return Absent("session");
  return session;
}
absl::StatusOr<CatalogFunctions*> FunctionContext::Catalog() const {
  if (catalog == nullptr) return Absent("catalog");
  return catalog;
}
absl::StatusOr<SequenceAccess*> FunctionContext::Sequences() const {
  if (sequences == nullptr) return Absent("sequences");
  return sequences;
}
absl::StatusOr<Random*> FunctionContext::RandomSource() const {
  if (random == nullptr) return Absent("random source");
  return random;
}

}  // namespace insula::sql
