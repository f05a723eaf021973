// WITH: named queries, recursive ones included.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/ast_walk.h"

namespace insula::sql {
namespace {

bool Mentions(const ast::SelectStatement& s, std::string_view name);

bool Mentions(const ast::FromItem& f, std::string_view name) {
  switch (f.kind) {
    case ast::FromKind::kTable: return f.As<ast::FromTable>().table.schema.empty() && f.As<ast::FromTable>().table.name == name;
    case ast::FromKind::kSubquery: return Mentions(*f.As<ast::FromSubquery>().select, name);
    case ast::FromKind::kJoin: return Mentions(*f.As<ast::FromJoin>().left, name) || Mentions(*f.As<ast::FromJoin>().right, name);
    case ast::FromKind::kFunction: return false;
  }
  return false;
}

// Whether a table of that name is read anywhere in the query.
bool Mentions(const ast::SelectStatement& s, std::string_view name) {
  for (const auto& f : s.from) {
    if (Mentions(*f, name)) return true;
  }
  if ((s.left && Mentions(*s.left, name)) || (s.right && Mentions(*s.right, name))) return true;
  for (const auto& c : s.with.ctes) {
    const auto* select = c.query->TryAs<ast::SelectStatement>();
    if (select != nullptr && Mentions(*select, name)) return true;
  }
  bool found = false;
  // The walk only looks.
  ast::WalkExpressions(const_cast<ast::SelectStatement&>(s), [&](ast::ExprPtr& e) {
    if (const auto* q = e->TryAs<ast::Subquery>()) found = found || Mentions(*q->select, name);
  });
  return found;
}

int CountScans(LogicalNode& plan, int cte) {
  int n = 0;
  VisitPlan(plan, [&](LogicalNode& node) {
    if (auto* scan = node.TryAs<LogicalCteScan>(); scan != nullptr && scan->cte == cte) ++n;
  });
  return n;
}

}  // namespace

absl::Status Binder::With(const ast::With& with, Scope& scope) {
  for (const ast::Cte& cte : with.ctes) {
    for (const auto& known : scope.ctes) {
      if (known->name == cte.name) return Error(sqlstate::kDuplicateAlias, StrCat("WITH query name \"", cte.name, "\" specified more than once"), cte.position);
    }
    ASSIGN_OR_RETURN(auto bound, Cte(cte, with.recursive, scope));
    scope.ctes.push_back(std::move(bound));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<BoundCte>> Binder::Cte(const ast::Cte& cte, bool recursive, Scope& scope) {
  if (cte.has_search || cte.has_cycle) {
    return Error(sqlstate::kFeatureNotSupported, StrCat(cte.has_search ? "SEARCH" : "CYCLE", " clauses are not supported yet"), cte.position);
  }
  auto out = std::make_shared<BoundCte>();
  out->name = cte.name;
  out->number = out_->cte_count++;
  out->always = cte.materialize == ast::CteMaterialize::kAlways;
  out->never = cte.materialize == ast::CteMaterialize::kNever;
  auto rename = [&]() -> absl::Status {
    if (cte.columns.size() > out->columns.size()) {
      return Error(sqlstate::kInvalidColumnReference,
                   StrCat("WITH query \"", cte.name, "\" has ", out->columns.size(), " columns available but ", cte.columns.size(), " columns specified"), cte.position);
    }
    for (size_t i = 0; i < cte.columns.size(); ++i) out->columns[i].name = cte.columns[i];
    return absl::OkStatus();
  };
  const auto* select = cte.query->TryAs<ast::SelectStatement>();
  if (select == nullptr) {
    if (scope.outer != nullptr) return Error(sqlstate::kFeatureNotSupported, "WITH clause containing a data-modifying statement must be at the top level", cte.position);
    ASSIGN_OR_RETURN(QueryResult result, Write(*cte.query, &scope));
    out->plan = std::move(result.plan);
    out->columns = std::move(result.columns);
    out->modifies = true;
    out_->info.writes = true;
    RETURN_IF_ERROR(rename());
    return out;
  }
  if (recursive && Mentions(*select, cte.name)) {
    RETURN_IF_ERROR(RecursiveCte(cte, out.get(), scope));
    return out;
  }
  ASSIGN_OR_RETURN(QueryResult result, Query(*select, &scope, /*resolve_unknown=*/true));
  out->plan = std::move(result.plan);
  out->columns = std::move(result.columns);
  out->volatile_ = PlanVolatility(*out->plan) == Volatility::kVolatile;
  RETURN_IF_ERROR(rename());
  return out;
}

absl::Status Binder::RecursiveCte(const ast::Cte& cte, BoundCte* out, Scope& scope) {
  const auto& s = cte.query->As<ast::SelectStatement>();
  if (s.set_operation != ast::SetOperation::kUnion || !s.left || !s.right) {
    return Error("42P19", StrCat("recursive query \"", cte.name, "\" does not have the form non-recursive-term UNION [ALL] recursive-term"), cte.position);
  }
  auto refuse = [&](std::string_view what) { return Error(sqlstate::kFeatureNotSupported, StrCat(what, " in a recursive query is not implemented"), cte.position); };
  if (!s.order_by.empty()) return refuse("ORDER BY");
  if (s.offset) return refuse("OFFSET");
  if (s.limit) return refuse("LIMIT");
  if (!s.locking.empty()) return refuse("FOR UPDATE/SHARE");
  if (!s.with.ctes.empty()) return refuse("WITH");
  if (Mentions(*s.left, cte.name)) {
    return Error("42P19", StrCat("recursive reference to query \"", cte.name, "\" must not appear within its non-recursive term"), cte.position);
  }
  ASSIGN_OR_RETURN(QueryResult start, Query(*s.left, &scope, /*resolve_unknown=*/true));
  auto plan = std::make_shared<LogicalRecursiveUnion>();
  plan->work_table = out_->work_table_count++;
  plan->distinct = !s.all;
  for (const FromColumn& c : start.columns) {
    out->columns.push_back({c.name, AddColumn(c.name, out_->columns[c.id].type, scope)});
    plan->columns.push_back(out->columns.back().id);
  }
  if (cte.columns.size() > out->columns.size()) {
    return Error(sqlstate::kInvalidColumnReference,
                 StrCat("WITH query \"", cte.name, "\" has ", out->columns.size(), " columns available but ", cte.columns.size(), " columns specified"), cte.position);
  }
  for (size_t i = 0; i < cte.columns.size(); ++i) out->columns[i].name = cte.columns[i];

  // The step sees the query by its own name.
  auto step_view = std::make_shared<BoundCte>(*out);
  step_view->work_table = plan->work_table;
  scope.ctes.push_back(step_view);
  auto step_or = Query(*s.right, &scope, /*resolve_unknown=*/false);
  scope.ctes.pop_back();
  if (!step_or.ok()) return step_or.status();
  QueryResult step = *std::move(step_or);
  if (step.columns.size() != start.columns.size()) {
    return Error(sqlstate::kSyntaxError, "each UNION query must have the same number of columns", cte.position);
  }
  for (size_t i = 0; i < step.columns.size(); ++i) {
    const SqlType want = out_->columns[out->columns[i].id].type, have = out_->columns[step.columns[i].id].type;
    if (want == have) continue;
    if (have.oid != want.oid) {
      auto common = CommonType(std::vector<Oid>{want.oid, have.oid}, "UNION");
      if (!common.ok()) return common.status();
      if (*common != want.oid) {
        return PgErrorBuilder(sqlstate::kDatatypeMismatch,
                              StrCat("recursive query \"", cte.name, "\" column ", i + 1, " has type ", TypeName(want), " in non-recursive term but type ",
                                     FormatType(*common), " overall"))
            .Hint("Cast the output of the non-recursive term to the correct type.")
            .Position(Position(i < s.left->items.size() ? s.left->items[i].position : 0))
            .Build();
      }
    }
    RETURN_IF_ERROR(CoerceColumn(&step, i, SqlType{want.oid, -1}, CastContext::kImplicit, scope));
  }
  for (const QueryResult* side : {&start, &step}) {
    plan->children.push_back(side->plan);
    std::vector<ColumnId> ids;
    for (const FromColumn& c : side->columns) ids.push_back(c.id);
    plan->inputs.push_back(std::move(ids));
  }
  out->plan = std::move(plan);
  out->recursive = true;
  return absl::OkStatus();
}

// Puts the WITH queries of `scope` around its plan, the last one innermost: each as a LogicalCte, or inlined where it is read
// once and may be, or left out where it is not read.
absl::StatusOr<LogicalPtr> Binder::WrapCtes(LogicalPtr plan, Scope& scope) {
  for (auto it = scope.ctes.rbegin(); it != scope.ctes.rend(); ++it) {
    BoundCte& cte = **it;
    const int reads = CountScans(*plan, cte.number);
    if (reads == 0 && !cte.modifies) continue;
    if (reads == 1 && !cte.modifies && !cte.volatile_ && !cte.recursive && !cte.always) {
      for (auto& reference : cte.references) {
        for (size_t i = 0; i < reference->items.size(); ++i) reference->items[i].expr = Ref(cte.columns[i].id);
        reference->children[0] = cte.plan;
      }
      continue;
    }
    auto wrapped = std::make_shared<LogicalCte>();
    wrapped->cte = cte.number;
    wrapped->name = cte.name;
    wrapped->modifies = cte.modifies;
    wrapped->children = {cte.plan, std::move(plan)};
    plan = std::move(wrapped);
  }
  return plan;
}

}  // namespace insula::sql
