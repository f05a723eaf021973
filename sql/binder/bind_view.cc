// CREATE VIEW: what a view's query yields, and the text to keep of it.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/deparse.h"

namespace insula::sql {

absl::StatusOr<ViewDefinition> Binder::View(const ast::SelectStatement& query, const std::vector<std::string>& column_names) {
  if (query.into) return Error(sqlstate::kFeatureNotSupported, "views must not contain SELECT INTO", query.into->relation.position);
  allow_parameters_ = false;
  ViewNames names;
  view_names_ = &names;
  ASSIGN_OR_RETURN(QueryResult result, Query(query, nullptr, /*resolve_unknown=*/true));
  view_names_ = nullptr;
  ViewDefinition out;
  if (column_names.size() > result.columns.size()) {
    return PgError(sqlstate::kSyntaxError, "CREATE VIEW specifies more column names than columns");
  }
  for (size_t i = 0; i < result.columns.size(); ++i) {
    const std::string& name = i < column_names.size() ? column_names[i] : result.columns[i].name;
    for (const ResultColumn& known : out.columns) {
      if (known.name == name) return PgError(sqlstate::kDuplicateColumn, StrCat("column \"", name, "\" specified more than once"));
    }
    const ColumnMeta& meta = out_->columns[result.columns[i].id];
    out.columns.push_back({name, meta.type, 0, 0});
  }
  for (const auto& [from, table] : names.tables) {
    if (!table->is_virtual) out.depends_on.push_back(table->oid);
  }
  std::sort(out.depends_on.begin(), out.depends_on.end());
  out.depends_on.erase(std::unique(out.depends_on.begin(), out.depends_on.end()), out.depends_on.end());

  SqlNames sql;
  sql.column = [&](const ast::ColumnRef& c) -> std::optional<std::string> {
    auto it = names.columns.find(&c);
    return it == names.columns.end() ? std::nullopt : std::optional(it->second);
  };
  sql.star = [&](const ast::ColumnRef& c) -> std::optional<std::vector<std::pair<std::string, std::string>>> {
    auto it = names.stars.find(&c);
    return it == names.stars.end() ? std::nullopt : std::optional(it->second);
  };
  sql.table = [&](const ast::FromTable& t) -> std::optional<std::string> {
    auto it = names.tables.find(&t);
    if (it == names.tables.end()) return std::nullopt;
    return StrCat(QuoteIdent(it->second->schema), ".", QuoteIdent(it->second->name));
  };
  sql.type = [&](const ast::TypeName& t) -> std::optional<std::string> {
    auto type = Type(t);
    if (!type.ok()) return std::nullopt;
    return FormatType(type->oid, type->typmod);
  };
  out.text = ToSql(query, sql);
  return out;
}

absl::StatusOr<ViewDefinition> BindView(const ast::SelectStatement& query, const std::vector<std::string>& column_names, const BindContext& context) {
  return Binder(context).View(query, column_names);
}

}  // namespace insula::sql
