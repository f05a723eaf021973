#include "sql/server/warm_up.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/log/log.h"
#include "sql/binder/binder.h"
#include "sql/binder/catalog_view.h"
#include "sql/functions/registry.h"
#include "sql/opt/optimizer.h"
#include "sql/parser/normalize.h"
#include "sql/parser/parser.h"
#include "sql/session/setting_info.h"
#include "sql/types/cast.h"
#include "sql/types/type.h"

namespace insula::sql {
namespace {

// A database with nothing in it.
class EmptyCatalog : public CatalogView {
 public:
  uint64_t version() const override { return 0; }
  std::string_view database_name() const override { return "none"; }
  TablePtr FindTable(std::string_view schema, std::string_view name) const override { return nullptr; }
  TablePtr FindTableByOid(Oid oid) const override { return nullptr; }
  std::optional<SchemaInfo> FindSchema(std::string_view name) const override { return std::nullopt; }
  std::optional<SchemaInfo> FindSchemaByOid(Oid oid) const override { return std::nullopt; }
  std::optional<SqlType> FindType(std::string_view schema, std::string_view name) const override { return std::nullopt; }
  Oid FindRole(std::string_view name) const override { return 0; }
};

void Plan(const std::string& sql) {
  EmptyCatalog catalog;
  FunctionContext functions;
  std::optional<SqlShape> shape = NormalizeSql(sql);
  absl::StatusOr<std::vector<ParsedStatement>> statements = ParseSql(sql);
  absl::Status status = statements.status();
  for (size_t i = 0; status.ok() && i < statements->size(); ++i) {
    BindContext bind;
    bind.catalog = &catalog;
    bind.functions = &functions;
    auto bound = Bind(*(*statements)[i].statement, bind);
    status = bound.status();
    OptimizerOptions options;
    options.functions = &functions;
    if (status.ok()) status = Optimize(*std::move(bound), options).status();
  }
  if (!status.ok()) LOG_WARNING("a warm-up statement was not planned", {"sql", sql}, {"status", status});
}

}  // namespace

void WarmUp() {
  (void)AllTypes();
  (void)AllFunctions();
  (void)AllOperators();
  (void)AllCasts();
  (void)AllSettings();
  Plan("select 1");
  Plan("select a + 1, b || 'x', count(*) from (values (1, 'y'), (2, 'z')) v(a, b) where a > 1 and b like 'z%' group by 1, 2 order by 1 limit 5");
}

}  // namespace insula::sql
