// Names: columns, whole rows, stars, WITH queries.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// Columns that every stored row has in PostgreSQL.
bool IsSystemColumn(std::string_view name) {
  return name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax";
}

}  // namespace

ColumnId Binder::AddColumn(std::string_view name, const SqlType& type, Scope& scope) {
  column_levels_.push_back(scope.depth);
  return out_->columns.Add(name, type);
}

int Binder::LevelOf(ColumnId id) const { return column_levels_.at(id); }

// A reference to item.columns[i]; records that it is read.
ExprPtr Binder::UseColumn(const NamespaceItem& item, size_t i, int position) {
  if (item.table != nullptr) Require(*item.table, kPrivilegeSelect, static_cast<int>(i));
  const ColumnMeta& meta = out_->columns[item.columns[i].id];
  auto e = std::make_shared<ColumnExpr>(meta.type, item.columns[i].id);
  e->name = item.name.empty() ? item.columns[i].name : StrCat(item.name, ".", item.columns[i].name);
  e->position = Position(position);
  return e;
}

ExprPtr Binder::WholeRow(const NamespaceItem& item, int position) {
  if (item.scalar_function) return UseColumn(item, 0, position);
  auto row = std::make_shared<RowExpr>(SqlType{oid::kRecord, -1});
  row->position = Position(position);
  for (size_t i = 0; i < item.columns.size(); ++i) {
    if (item.table != nullptr && item.table->columns[i].hidden) continue;
    row->args.push_back(UseColumn(item, i, position));
    row->names.push_back(item.columns[i].name);
  }
  return row;
}

absl::StatusOr<ExprPtr> Binder::ItemColumn(const NamespaceItem& item, std::string_view name, int position) {
  std::optional<size_t> match;
  for (size_t i = 0; i < item.columns.size(); ++i) {
    if (item.columns[i].name != name || (item.table != nullptr && item.table->columns[i].hidden)) continue;
    if (match) return Error(sqlstate::kAmbiguousColumn, StrCat("column reference \"", name, "\" is ambiguous"), position);
    match = i;
  }
  if (match) return UseColumn(item, *match, position);
  if (item.table != nullptr && item.table->kind != RelationKind::kView) {
    if (name == "tableoid") {
      auto e = std::make_shared<ConstantExpr>(SqlType{oid::kOid, -1}, Datum::Int(item.table->oid));
      e->position = Position(position);
      return e;
    }
    if (IsSystemColumn(name)) return Error(sqlstate::kFeatureNotSupported, StrCat("system column \"", name, "\" is not supported yet"), position);
  }
  return nullptr;
}

absl::StatusOr<ExprPtr> Binder::FindColumn(std::string_view name, Scope& scope, int position, bool* found) {
  *found = false;
  for (Scope* s = &scope; s != nullptr; s = s->outer) {
    ExprPtr match;
    const NamespaceItem* match_item = nullptr;
    for (const NamespaceItem& item : s->items) {
      if (!item.columns_visible || (item.lateral_only && !s->lateral_active)) continue;
      ASSIGN_OR_RETURN(ExprPtr e, ItemColumn(item, name, position));
      if (e == nullptr) continue;
      if (match != nullptr) return Error(sqlstate::kAmbiguousColumn, StrCat("column reference \"", name, "\" is ambiguous"), position);
      match = e;
      match_item = &item;
    }
    if (match == nullptr) continue;
    if (match_item->lateral_only && !match_item->lateral_ok) {
      return PgErrorBuilder(sqlstate::kInvalidColumnReference, StrCat("invalid reference to FROM-clause entry for table \"", match_item->name, "\""))
          .Detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
          .Position(Position(position))
          .Build();
    }
    *found = true;
    return match;
  }
  return nullptr;
}

absl::StatusOr<const NamespaceItem*> Binder::FindItem(std::string_view schema, std::string_view name, Scope& scope, int position,
                                                      Scope** owner) {
  for (Scope* s = &scope; s != nullptr; s = s->outer) {
    const NamespaceItem* match = nullptr;
    for (const NamespaceItem& item : s->items) {
      if (!item.table_visible || (item.lateral_only && !s->lateral_active) || item.name != name) continue;
      if (!schema.empty() && item.schema != schema) continue;
      if (match != nullptr) return Error(sqlstate::kDuplicateAlias, StrCat("table reference \"", name, "\" is ambiguous"), position);
      match = &item;
    }
    if (match == nullptr) continue;
    if (match->lateral_only && !match->lateral_ok) {
      return PgErrorBuilder(sqlstate::kInvalidColumnReference, StrCat("invalid reference to FROM-clause entry for table \"", name, "\""))
          .Detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
          .Position(Position(position))
          .Build();
    }
    if (owner != nullptr) *owner = s;
    return match;
  }
  return nullptr;
}

absl::Status Binder::NoSuchItem(std::string_view name, const Scope& scope, int position) {
  for (const Scope* s = &scope; s != nullptr; s = s->outer) {
    for (const NamespaceItem& item : s->items) {
      PgErrorBuilder error("42P01", StrCat("invalid reference to FROM-clause entry for table \"", name, "\""));
      if (item.name == name) {
        return error.Detail(StrCat("There is an entry for table \"", name, "\", but it cannot be referenced from this part of the query."))
            .Position(Position(position))
            .Build();
      }
      if (item.table != nullptr && item.table->name == name) {
        return error.Hint(StrCat("Perhaps you meant to reference the table alias \"", item.name, "\".")).Position(Position(position)).Build();
      }
    }
  }
  return Error("42P01", StrCat("missing FROM-clause entry for table \"", name, "\""), position);
}

absl::Status Binder::NoSuchColumn(std::string_view name, const Scope& scope, int position) {
  PgErrorBuilder error(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" does not exist"));
  error.Position(Position(position));
  for (const Scope* s = &scope; s != nullptr; s = s->outer) {
    for (const NamespaceItem& item : s->items) {
      const bool reachable = item.columns_visible && !(item.lateral_only && !s->lateral_active);
      for (const FromColumn& c : item.columns) {
        if (c.name == name && !reachable && item.table_visible && !item.name.empty()) {
          return error.Detail(StrCat("There is a column named \"", name, "\" in table \"", item.name, "\", but it cannot be referenced from this part of the query."))
              .Build();
        }
      }
    }
  }
  // One that is spelt nearly so.
  std::string best;
  size_t best_distance = std::min<size_t>(3, name.size() / 2) + 1;
  bool tie = false;
  for (const NamespaceItem& item : scope.items) {
    if (item.name.empty()) continue;
    for (const FromColumn& c : item.columns) {
      std::vector<size_t> row(c.name.size() + 1);
      for (size_t j = 0; j < row.size(); ++j) row[j] = j;
      for (size_t i = 1; i <= name.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j < row.size(); ++j) {
          size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (name[i - 1] != c.name[j - 1] ? 1 : 0)});
          diagonal = row[j];
          row[j] = next;
        }
      }
      if (row.back() == best_distance) tie = true;
      if (row.back() < best_distance) {
        best_distance = row.back();
        best = StrCat(item.name, ".", c.name);
        tie = false;
      }
    }
  }
  if (!best.empty() && !tie) error.Hint(StrCat("Perhaps you meant to reference the column \"", best, "\"."));
  return error.Build();
}

absl::StatusOr<ExprPtr> Binder::Column(const ast::ColumnRef& ref, Scope& scope) {
  if (scope.clause == Clause::kDefault) return Error(sqlstate::kFeatureNotSupported, "cannot use column reference in DEFAULT expression", ref.position);
  const auto& f = ref.fields;
  if (f.size() == 1) {
    bool found = false;
    ASSIGN_OR_RETURN(ExprPtr e, FindColumn(f[0], scope, ref.position, &found));
    if (found) {
      const auto* column = e->TryAs<ColumnExpr>();
      if (view_names_ != nullptr && column != nullptr && column->name.find('.') != std::string::npos) {
        const size_t dot = column->name.find('.');
        view_names_->columns[&ref] = StrCat(QuoteIdent(column->name.substr(0, dot)), ".", QuoteIdent(column->name.substr(dot + 1)));
      }
      return e;
    }
    ASSIGN_OR_RETURN(const NamespaceItem* item, FindItem("", f[0], scope, ref.position, nullptr));
    if (item != nullptr) return WholeRow(*item, ref.position);
    return NoSuchColumn(f[0], scope, ref.position);
  }
  if (f.size() > 4) return Error(sqlstate::kSyntaxError, StrCat("improper qualified name (too many dotted names): ", StrJoin(f, ".")), ref.position);
  size_t n = f.size();
  if (n == 4 && f[0] != context_.catalog->database_name()) {
    return Error(sqlstate::kFeatureNotSupported, StrCat("cross-database references are not implemented: ", StrJoin(f, ".")), ref.position);
  }
  const std::string& table = f[n - 2];
  ASSIGN_OR_RETURN(const NamespaceItem* item, FindItem(n > 2 ? f[n - 3] : "", table, scope, ref.position, nullptr));
  if (item == nullptr) {
    // column.field of a composite column is written (column).field only; so this names a missing table.
    return NoSuchItem(table, scope, ref.position);
  }
  ASSIGN_OR_RETURN(ExprPtr e, ItemColumn(*item, f[n - 1], ref.position));
  if (e != nullptr) return e;
  return Error(sqlstate::kUndefinedColumn, StrCat("column ", table, ".", f[n - 1], " does not exist"), ref.position);
}

absl::StatusOr<std::vector<std::pair<std::string, ExprPtr>>> Binder::ExpandStar(const ast::ColumnRef& ref, Scope& scope) {
  std::vector<std::pair<std::string, ExprPtr>> out;
  auto expand = [&](const NamespaceItem& item) {
    for (size_t i = 0; i < item.columns.size(); ++i) {
      if (item.table != nullptr && item.table->columns[i].hidden) continue;
      out.emplace_back(item.columns[i].name, UseColumn(item, i, ref.position));
      if (view_names_ != nullptr) {
        const std::string name = QuoteIdent(item.columns[i].name);
        view_names_->stars[&ref].emplace_back(item.name.empty() ? name : StrCat(QuoteIdent(item.name), ".", name), item.columns[i].name);
      }
    }
  };
  if (!ref.fields.empty()) {
    size_t n = ref.fields.size();
    ASSIGN_OR_RETURN(const NamespaceItem* item, FindItem(n > 1 ? ref.fields[n - 2] : "", ref.fields[n - 1], scope, ref.position, nullptr));
    if (item == nullptr) return NoSuchItem(ref.fields[n - 1], scope, ref.position);
    expand(*item);
    return out;
  }
  bool any = false;
  for (const NamespaceItem& item : scope.items) {
    if (!item.columns_visible || item.lateral_only) continue;
    any = true;
    expand(item);
  }
  if (!any) return Error(sqlstate::kSyntaxError, "SELECT * with no tables specified is not valid", ref.position);
  return out;
}

absl::Status Binder::CheckDuplicateNames(const std::vector<NamespaceItem>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].table_visible || items[i].name.empty()) continue;
    for (size_t j = i + 1; j < items.size(); ++j) {
      if (!items[j].table_visible || items[i].name != items[j].name) continue;
      // schema1.t and schema2.t may stand side by side.
      if (!items[i].schema.empty() && !items[j].schema.empty() && items[i].schema != items[j].schema) continue;
      return PgError(sqlstate::kDuplicateAlias, StrCat("table name \"", items[i].name, "\" specified more than once"));
    }
  }
  return absl::OkStatus();
}

std::shared_ptr<BoundCte> Binder::FindCte(std::string_view name, Scope& scope) {
  for (Scope* s = &scope; s != nullptr; s = s->outer) {
    for (auto it = s->ctes.rbegin(); it != s->ctes.rend(); ++it) {
      if ((*it)->name == name) return *it;
    }
  }
  return nullptr;
}

}  // namespace insula::sql
