#include "sql/binder/binder.h"

#include <algorithm>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/parser.h"

namespace insula::sql {

std::string_view ClauseName(Clause clause) {
  switch (clause) {
    case Clause::kSelect: return "SELECT";
    case Clause::kWhere: return "WHERE";
    case Clause::kJoinOn: return "JOIN conditions";
    case Clause::kFromFunction: return "functions in FROM";
    case Clause::kGroupBy: return "GROUP BY";
    case Clause::kHaving: return "HAVING";
    case Clause::kOrderBy: return "ORDER BY";
    case Clause::kDistinctOn: return "DISTINCT ON";
    case Clause::kLimit: return "LIMIT";
    case Clause::kOffset: return "OFFSET";
    case Clause::kValues: return "VALUES";
    case Clause::kUpdateSet: return "UPDATE";
    case Clause::kReturning: return "RETURNING";
    case Clause::kFilter: return "FILTER";
    case Clause::kWindowPartition: return "window PARTITION BY";
    case Clause::kWindowOrder: return "window ORDER BY";
    case Clause::kWindowFrame: return "window frame";
    case Clause::kOnConflict: return "ON CONFLICT";
    case Clause::kCopyWhere: return "COPY FROM WHERE conditions";
    case Clause::kDefault: return "DEFAULT expressions";
    case Clause::kCheck: return "check constraints";
    case Clause::kGenerated: return "column generation expressions";
    case Clause::kIndexExpression: return "index expressions";
    case Clause::kIndexPredicate: return "index predicates";
    case Clause::kUsing: return "transform expressions";
    case Clause::kExecuteArgument: return "EXECUTE parameters";
  }
  return "";
}

std::string TypeName(const SqlType& type) { return FormatType(type.oid); }

Binder::Binder(const BindContext& context) : context_(context), out_(std::make_unique<BoundStatement>()) {
  if (std::find(context.search_path.begin(), context.search_path.end(), "pg_catalog") == context.search_path.end()) {
    search_path_.push_back("pg_catalog");
  }
  search_path_.insert(search_path_.end(), context.search_path.begin(), context.search_path.end());
  parameter_types_ = context.parameter_types;
  for (SqlType& t : parameter_types_) {
    if (t.oid == kInvalidOid) t = SqlType{oid::kUnknown, -1};
  }
  allow_parameters_ = context.allow_parameters;
  column_levels_.push_back(0);  // ids begin at 1
}

absl::Status Binder::Error(std::string_view sqlstate, std::string_view message, int position) const {
  return PgErrorBuilder(sqlstate, message).Position(Position(position)).Build();
}

void Binder::Require(const TableInfo& table, uint32_t privileges, int ordinal) {
  if (!require_) return;
  RequiredPrivilege& r = privileges_[table.oid];
  r.table = table.oid;
  r.privileges |= privileges;
  if (ordinal >= 0 && std::find(r.columns.begin(), r.columns.end(), ordinal) == r.columns.end()) r.columns.push_back(ordinal);
}

absl::StatusOr<std::unique_ptr<BoundStatement>> Binder::Finish(LogicalPtr root, std::vector<FromColumn> output, StatementTag tag) {
  for (size_t i = 0; i < parameter_types_.size(); ++i) {
    if (parameter_types_[i].oid == oid::kUnknown) {
      return PgError(sqlstate::kIndeterminateDatatype, StrCat("could not determine data type of parameter $", i + 1));
    }
  }
  out_->root = std::move(root);
  StatementInfo& info = out_->info;
  info.tag = tag;
  for (const FromColumn& c : output) {
    const ColumnMeta& meta = out_->columns[c.id];
    ResultColumn column{c.name, meta.type, 0, 0};
    if (auto it = scanned_.find(c.id); it != scanned_.end() && meta.ordinal >= 0) {
      column.table = it->second->oid;
      column.attnum = it->second->columns[meta.ordinal].attnum;
    }
    info.columns.push_back(std::move(column));
    out_->output.push_back(c.id);
  }
  info.parameter_types = parameter_types_;
  for (auto& [oid, privilege] : privileges_) {
    std::sort(privilege.columns.begin(), privilege.columns.end());
    info.privileges.push_back(std::move(privilege));
  }
  info.catalog_version = context_.catalog->version();
  return std::move(out_);
}

absl::StatusOr<std::unique_ptr<BoundStatement>> Binder::Statement(const ast::Statement& statement) {
  StatementTag tag = StatementTag::kSelect;
  QueryResult result;
  switch (statement.kind) {
    case ast::StatementKind::kSelect: {
      const auto& select = statement.As<ast::SelectStatement>();
      if (select.into) return Error(sqlstate::kFeatureNotSupported, "SELECT ... INTO is not allowed here", select.into->relation.position);
      ASSIGN_OR_RETURN(result, Query(select, nullptr, /*resolve_unknown=*/true));
      break;
    }
    case ast::StatementKind::kInsert:
      tag = StatementTag::kInsert;
      break;
    case ast::StatementKind::kUpdate:
      tag = StatementTag::kUpdate;
      break;
    case ast::StatementKind::kDelete:
      tag = StatementTag::kDelete;
      break;
    case ast::StatementKind::kUnsupported:
      return PgUnsupported(statement.As<ast::UnsupportedStatement>().feature);
    default:
      return PgError(sqlstate::kFeatureNotSupported, StrCat(CommandTag(statement), " cannot be planned"));
  }
  if (tag != StatementTag::kSelect) {
    ASSIGN_OR_RETURN(result, Write(statement, nullptr));
  }
  return Finish(std::move(result.plan), std::move(result.columns), tag);
}

absl::StatusOr<std::unique_ptr<BoundStatement>> Bind(const ast::Statement& statement, const BindContext& context) {
  return Binder(context).Statement(statement);
}

absl::StatusOr<BoundCopyFrom> BindCopyFrom(const TablePtr& table, const std::vector<std::string>& columns, const ast::Expr* where,
                                           const BindContext& context) {
  return Binder(context).CopyFrom(table, columns, where);
}

TablePtr FindRelation(const ast::RelationName& name, const BindContext& context) {
  if (!name.catalog.empty() && name.catalog != context.catalog->database_name()) return nullptr;
  if (!name.schema.empty()) return context.catalog->FindTable(name.schema, name.name);
  const auto& path = context.search_path;
  if (std::find(path.begin(), path.end(), "pg_catalog") == path.end()) {
    if (TablePtr t = context.catalog->FindTable("pg_catalog", name.name)) return t;
  }
  for (const std::string& schema : path) {
    if (TablePtr t = context.catalog->FindTable(schema, name.name)) return t;
  }
  return nullptr;
}

absl::StatusOr<TablePtr> ResolveTable(const ast::RelationName& name, const BindContext& context) {
  std::string full = name.schema.empty() ? name.name : StrCat(name.schema, ".", name.name);
  if (!name.catalog.empty() && name.catalog != context.catalog->database_name()) {
    return PgErrorBuilder(sqlstate::kFeatureNotSupported,
                          StrCat("cross-database references are not implemented: \"", name.catalog, ".", full, "\""))
        .Position(name.position)
        .Build();
  }
  if (TablePtr t = FindRelation(name, context)) return t;
  return PgErrorBuilder(sqlstate::kUndefinedTable, StrCat("relation \"", full, "\" does not exist")).Position(name.position).Build();
}

}  // namespace insula::sql
