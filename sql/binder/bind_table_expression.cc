// Expressions of table definitions: defaults, checks, generated columns, index expressions and predicates.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/parser.h"
#include "sql/plan/deparse.h"

namespace insula::sql {
namespace {

Clause ClauseFor(ExpressionUse use) {
  switch (use) {
    case ExpressionUse::kDefault: return Clause::kDefault;
    case ExpressionUse::kCheck: return Clause::kCheck;
    case ExpressionUse::kGenerated: return Clause::kGenerated;
    case ExpressionUse::kIndexExpression: return Clause::kIndexExpression;
    case ExpressionUse::kIndexPredicate: return Clause::kIndexPredicate;
    case ExpressionUse::kUsing: return Clause::kUsing;
  }
  return Clause::kCheck;
}

}  // namespace

absl::StatusOr<TableExpression> Binder::ForTable(const ast::Expr& expr, const TableInfo& table, ExpressionUse use, std::optional<SqlType> target,
                                                 bool stored) {
  positions_ = !stored;
  allow_parameters_ = false;
  require_ = false;
  Scope scope;
  scope.depth = 1;
  scope.clause = ClauseFor(use);
  TablePtr shared(&table, [](const TableInfo*) {});  // outlives this call
  std::vector<ColumnId> row;
  if (use != ExpressionUse::kDefault) {
    row = RowColumns(shared, table.name, scope);
    scope.items.push_back(ItemForRow(shared, table.name, row));
  }
  ASSIGN_OR_RETURN(ExprPtr e, Expression(expr, scope));
  if (ContainsSetFunction(e)) {
    return Error(sqlstate::kFeatureNotSupported, StrCat("set-returning functions are not allowed in ", ClauseName(scope.clause)), expr.position);
  }
  if (target) {
    const SqlType from = e->type;
    if (target->oid == oid::kBool && (use == ExpressionUse::kCheck || use == ExpressionUse::kIndexPredicate)) {
      ASSIGN_OR_RETURN(e, CoerceToBool(std::move(e), use == ExpressionUse::kCheck ? "CHECK" : "WHERE"));
    } else {
      ASSIGN_OR_RETURN(e, Coerce(std::move(e), *target, CastContext::kAssignment));
      if (e == nullptr) {
        if (use == ExpressionUse::kUsing) {
          return Error(sqlstate::kDatatypeMismatch, StrCat("result of USING clause cannot be cast automatically to type ", TypeName(*target)), expr.position);
        }
        return PgErrorBuilder(sqlstate::kDatatypeMismatch,
                              StrCat(use == ExpressionUse::kGenerated ? "generation" : "default", " expression is of type ", TypeName(from),
                                     " but the column is of type ", TypeName(*target)))
            .Hint("You will need to rewrite or cast the expression.")
            .Build();
      }
    }
  } else {
    ASSIGN_OR_RETURN(e, ResolveUnknown(std::move(e)));
  }

  TableExpression out;
  out.volatility = ExprVolatility(e);
  if (out.volatility != Volatility::kImmutable) {
    if (use == ExpressionUse::kGenerated) return PgError("42P17", "generation expression is not immutable");
    if (use == ExpressionUse::kIndexExpression) return PgError("42P17", "functions in index expression must be marked IMMUTABLE");
    if (use == ExpressionUse::kIndexPredicate) return PgError("42P17", "functions in index predicate must be marked IMMUTABLE");
  }
  std::map<ColumnId, int> ordinals;
  for (size_t i = 0; i < row.size(); ++i) ordinals[row[i]] = static_cast<int>(i);
  for (ColumnId c : ColumnsOf(e)) out.columns.push_back(ordinals.at(c));
  std::sort(out.columns.begin(), out.columns.end());
  if (use == ExpressionUse::kGenerated) {
    for (int o : out.columns) {
      if (table.columns[o].generated == GeneratedKind::kNone) continue;
      return PgErrorBuilder("42P17", StrCat("cannot use generated column \"", table.columns[o].name, "\" in column generation expression"))
          .Detail("A generated column cannot reference another generated column.")
          .Build();
    }
  }
  out.expr = RewriteExpr(e, [&](const ExprPtr& x) -> ExprPtr {
    const auto* c = x->TryAs<ColumnExpr>();
    if (c == nullptr) return nullptr;
    auto slotted = std::static_pointer_cast<ColumnExpr>(c->Clone());
    slotted->slot = ordinals.at(c->column);
    slotted->name = table.columns[slotted->slot].name;
    return slotted;
  });
  DeparseOptions options;
  options.column = [&](const ColumnExpr& c) { return QuoteIdent(table.columns[ordinals.at(c.column)].name); };
  IoContext plain;  // stored text does not depend on settings; names of relations may change, their OIDs do not
  options.io = &plain;
  out.text = Deparse(e, options);
  if (context_.functions != nullptr) {
    plain.reg_names = context_.functions->io.reg_names;
    out.shown = Deparse(e, options);
  } else {
    out.shown = out.text;
  }
  return out;
}

absl::StatusOr<TableExpression> BindTableExpression(const ast::Expr& expr, const TableInfo& table, ExpressionUse use, std::optional<SqlType> target,
                                                    const BindContext& context) {
  return Binder(context).ForTable(expr, table, use, target, /*stored=*/false);
}

absl::StatusOr<TableExpression> BindStoredExpression(std::string_view text, const TableInfo& table, ExpressionUse use, std::optional<SqlType> target,
                                                     const BindContext& context) {
  ASSIGN_OR_RETURN(ast::ExprPtr parsed, ParseExpression(text));
  return Binder(context).ForTable(*parsed, table, use, target, /*stored=*/true);
}

}  // namespace insula::sql
