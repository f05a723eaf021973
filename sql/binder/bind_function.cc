// Function calls: scalar, aggregate, window and set-returning.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

std::vector<std::string_view> SplitNames(std::string_view names) {
  std::vector<std::string_view> out;
  while (!names.empty()) {
    size_t comma = names.find(',');
    out.push_back(names.substr(0, comma));
    names = comma == std::string_view::npos ? "" : names.substr(comma + 1);
  }
  return out;
}

bool SameExprs(const std::vector<ExprPtr>& a, const std::vector<ExprPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ExprPtr& x, const ExprPtr& y) { return ExprEquals(x, y); });
}

bool SameKeys(const std::vector<SortKey>& a, const std::vector<SortKey>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const SortKey& x, const SortKey& y) {
    return ExprEquals(x.expr, y.expr) && x.descending == y.descending && x.nulls_first == y.nulls_first;
  });
}

bool SameAggregate(const AggregateSpec& a, const AggregateSpec& b) {
  return a.function == b.function && a.distinct == b.distinct && SameExprs(a.args, b.args) && SameExprs(a.direct_args, b.direct_args) &&
         SameKeys(a.order_by, b.order_by) && ((a.filter == nullptr) == (b.filter == nullptr)) && (a.filter == nullptr || ExprEquals(a.filter, b.filter)) &&
         std::all_of(a.args.begin(), a.args.end(), IsStable);
}

// What a place without window functions is called; "" where they are allowed.
std::string_view NoWindow(Clause clause) {
  switch (clause) {
    case Clause::kSelect:
    case Clause::kOrderBy:
    case Clause::kDistinctOn:
      return "";
    case Clause::kWindowPartition:
    case Clause::kWindowOrder:
    case Clause::kWindowFrame:
      return "window definitions";
    default:
      return ClauseName(clause);
  }
}

}  // namespace

absl::Status Binder::CheckAggregateAllowed(const Scope& scope, int position) {
  switch (scope.clause) {
    case Clause::kSelect:
    case Clause::kHaving:
    case Clause::kOrderBy:
    case Clause::kDistinctOn:
    case Clause::kWindowPartition:
    case Clause::kWindowOrder:
    case Clause::kWindowFrame:
      return absl::OkStatus();
    default:
      return Error(sqlstate::kGroupingError, StrCat("aggregate functions are not allowed in ", ClauseName(scope.clause)), position);
  }
}

absl::Status Binder::CheckSetFunctionAllowed(const Scope& scope, int position) {
  if (scope.in_aggregate) {
    return Error(sqlstate::kFeatureNotSupported, "aggregate function calls cannot contain set-returning function calls", position);
  }
  switch (scope.clause) {
    case Clause::kSelect:
    case Clause::kFromFunction:
    case Clause::kOrderBy:
    case Clause::kGroupBy:
    case Clause::kDistinctOn:
      return absl::OkStatus();
    default:
      return Error(sqlstate::kFeatureNotSupported, StrCat("set-returning functions are not allowed in ", ClauseName(scope.clause)), position);
  }
}

absl::StatusOr<std::vector<ExprPtr>> Binder::FinishArgs(const ResolvedCall& call, std::vector<ExprPtr> args) {
  const size_t given = args.size();
  std::vector<ExprPtr> out;
  auto array = std::make_shared<ArrayExpr>(SqlType{call.variadic_index >= 0 ? ArrayTypeOf(call.variadic_element) : kInvalidOid, -1});
  for (size_t i = 0; i < given; ++i) {
    const Oid type = i < call.arg_types.size() ? call.arg_types[i] : args[i]->type.oid;
    ExprPtr arg;
    if (type == oid::kAny || type == oid::kUnknown) {
      ASSIGN_OR_RETURN(arg, ResolveUnknown(std::move(args[i])));
    } else {
      ASSIGN_OR_RETURN(arg, CoerceOr(std::move(args[i]), SqlType{type, -1}, CastContext::kImplicit));
    }
    if (call.variadic_index >= 0 && i >= static_cast<size_t>(call.variadic_index)) {
      array->args.push_back(std::move(arg));
    } else {
      out.push_back(std::move(arg));
    }
  }
  if (call.variadic_index >= 0) out.push_back(array);
  for (int i = 0; i < call.defaults_used; ++i) {
    const size_t at = out.size();
    ASSIGN_OR_RETURN(Datum value, DefaultArgument(*call.function, at));
    out.push_back(std::make_shared<ConstantExpr>(SqlType{call.function->args[at], -1}, std::move(value)));
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::FinishCall(const ResolvedCall& call, std::vector<ExprPtr> args, bool variadic, int position) {
  ASSIGN_OR_RETURN(args, FinishArgs(call, std::move(args)));
  auto out = std::make_shared<FunctionExpr>(SqlType{call.result, -1}, call.function);
  out->args = std::move(args);
  out->variadic = variadic || call.variadic_index >= 0;
  out->position = Position(position);
  if (call.function->needs_sequence || call.function->name == "setval") out_->info.writes = true;
  return out;
}

absl::StatusOr<ExprPtr> Binder::CallByName(std::string_view name, std::vector<ExprPtr> args, int position) {
  std::vector<Oid> types;
  for (const auto& a : args) types.push_back(a->type.oid);
  auto call = ResolveFunction(name, types);
  if (!call.ok()) return WithPosition(call.status(), Position(position));
  return FinishCall(*call, std::move(args), false, position);
}

absl::StatusOr<ExprPtr> Binder::Function(const ast::FunctionCall& f, Scope& scope) {
  const std::string name = f.name.empty() ? "" : f.name.back();
  const bool known_schema = f.name.size() == 1 || f.name[f.name.size() - 2] == "pg_catalog";

  // Arguments first; an aggregate's must be told apart afterwards, when it is known to be one.
  const bool maybe_aggregate = known_schema && !f.over && std::any_of(FunctionsNamed(name).begin(), FunctionsNamed(name).end(),
                                                           [](const FunctionInfo& i) { return i.kind == FunctionKind::kAggregate; });
  const bool was_in_aggregate = scope.in_aggregate;
  if (maybe_aggregate) scope.in_aggregate = true;
  struct Restore {
    bool& flag;
    bool value;
    ~Restore() { flag = value; }
  } restore{scope.in_aggregate, was_in_aggregate};

  std::vector<ExprPtr> args;
  std::vector<std::string> names;
  for (const auto& a : f.args) {
    const ast::Expr* node = a.get();
    std::string arg_name;
    if (const auto* named = a->TryAs<ast::NamedArgument>()) {
      arg_name = named->name;
      node = named->arg.get();
    } else if (!names.empty() && !names.back().empty()) {
      return Error(sqlstate::kSyntaxError, "positional argument cannot follow named argument", a->position);
    }
    ASSIGN_OR_RETURN(ExprPtr e, Expression(*node, scope));
    args.push_back(std::move(e));
    names.push_back(std::move(arg_name));
  }
  if (!names.empty() && !names.back().empty()) {
    // Put named arguments where the one function that has these names wants them.
    bool placed = false;
    for (const FunctionInfo& candidate : FunctionsNamed(name)) {
      auto formal = SplitNames(candidate.arg_names);
      std::vector<ExprPtr> full(candidate.args.size());
      bool fits = args.size() <= full.size();
      for (size_t i = 0; fits && i < args.size(); ++i) {
        size_t at = i;
        if (!names[i].empty()) at = std::find(formal.begin(), formal.end(), names[i]) - formal.begin();
        fits = at < full.size() && full[at] == nullptr;
        if (fits) full[at] = args[i];
      }
      for (size_t i = 0; fits && i < full.size(); ++i) {
        if (full[i] != nullptr) continue;
        fits = i + candidate.defaults >= full.size();
        if (!fits) break;
        ASSIGN_OR_RETURN(Datum value, DefaultArgument(candidate, i));
        full[i] = std::make_shared<ConstantExpr>(SqlType{candidate.args[i], -1}, std::move(value));
      }
      if (!fits) continue;
      args = std::move(full);
      placed = true;
      break;
    }
    if (!placed) return Error(sqlstate::kUndefinedFunction, StrCat("function ", name, " with these argument names does not exist"), f.position);
  }

  size_t direct = args.size();
  std::vector<SortKey> order;
  for (const auto& item : f.order_by) {
    ASSIGN_OR_RETURN(ExprPtr e, Expression(*item.expr, scope));
    if (f.within_group) {
      args.push_back(e);
    } else {
      ASSIGN_OR_RETURN(e, ResolveUnknown(std::move(e)));
    }
    ASSIGN_OR_RETURN(SortKey key, MakeSortKey(item, std::move(e)));
    order.push_back(std::move(key));
  }

  std::vector<Oid> types;
  for (const auto& a : args) types.push_back(a->type.oid);
  if (!known_schema) {
    std::vector<std::string> shown;
    for (Oid t : types) shown.push_back(FormatType(t));
    return PgErrorBuilder(sqlstate::kUndefinedFunction, StrCat("function ", StrJoin(f.name, "."), "(", StrJoin(shown, ", "), ") does not exist"))
        .Hint("No function matches the given name and argument types. You might need to add explicit type casts.")
        .Position(Position(f.position))
        .Build();
  }
  auto resolved = ResolveFunction(name, types, f.variadic);
  if (!resolved.ok()) return WithPosition(resolved.status(), Position(f.position));
  const ResolvedCall& call = *resolved;
  if (call.is_cast) return CoerceOr(std::move(args[0]), SqlType{call.result, -1}, CastContext::kExplicit);

  const FunctionKind kind = call.function->kind;
  if (kind == FunctionKind::kProcedure) {
    return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat(name, " is a procedure")).Hint("To call a procedure, use CALL.").Position(Position(f.position)).Build();
  }
  if (kind == FunctionKind::kScalar) {
    auto not_aggregate = [&](std::string_view what) {
      return Error(sqlstate::kWrongObjectType, StrCat(what, " specified, but ", name, " is not an aggregate function"), f.position);
    };
    if (f.star) return Error(sqlstate::kWrongObjectType, StrCat(name, "(*) specified, but ", name, " is not an aggregate function"), f.position);
    if (f.distinct) return not_aggregate("DISTINCT");
    if (f.within_group) return not_aggregate("WITHIN GROUP");
    if (!f.order_by.empty()) return not_aggregate("ORDER BY");
    if (f.filter) return not_aggregate("FILTER");
    if (f.over) {
      return Error(sqlstate::kWrongObjectType, StrCat("OVER specified, but ", name, " is not a window function nor an aggregate function"), f.position);
    }
    if (call.function->returns_set) RETURN_IF_ERROR(CheckSetFunctionAllowed(scope, f.position));
    if (f.variadic && call.function->variadic == oid::kAny && !args.empty() && !IsArray(args.back()->type.oid)) {
      return Error(sqlstate::kDatatypeMismatch, "VARIADIC argument must be an array", LeftmostPosition(*args.back()));
    }
    return FinishCall(call, std::move(args), f.variadic, f.position);
  }
  if (f.over) return Window(f, call, std::move(args), scope);
  if (kind == FunctionKind::kWindow) return Error(sqlstate::kWrongObjectType, StrCat("window function ", name, " requires an OVER clause"), f.position);

  // An aggregate. Split off the direct arguments of WITHIN GROUP.
  if (f.star && !args.empty()) return Error(sqlstate::kSyntaxError, "syntax error", f.position);
  if (f.within_group) {
    ASSIGN_OR_RETURN(std::vector<ExprPtr> all, FinishArgs(call, args));
    for (size_t i = 0; i < order.size(); ++i) order[i].expr = all[direct + i];
    AggregateSpec spec;
    spec.direct_args.assign(all.begin(), all.begin() + static_cast<long>(direct));
    spec.args.assign(all.begin() + static_cast<long>(direct), all.end());
    spec.function = call.function;
    spec.type = SqlType{call.result, -1};
    spec.order_by = order;
    RETURN_IF_ERROR(CheckAggregateAllowed(scope, f.position));
    if (f.filter) {
      ASSIGN_OR_RETURN(spec.filter, ExpressionIn(*f.filter, scope, Clause::kFilter));
      ASSIGN_OR_RETURN(spec.filter, CoerceToBool(std::move(spec.filter), "FILTER"));
    }
    spec.output = AddColumn(name, spec.type, scope);
    scope.aggregate_outputs.insert(spec.output);
    scope.aggregates.push_back(spec);
    return Ref(spec.output);
  }
  return Aggregate(f, call, std::move(args), scope);
}

absl::StatusOr<ExprPtr> Binder::Aggregate(const ast::FunctionCall& f, const ResolvedCall& call, std::vector<ExprPtr> args, Scope& scope) {
  AggregateSpec spec;
  spec.function = call.function;
  spec.type = SqlType{call.result, -1};
  spec.distinct = f.distinct;
  ASSIGN_OR_RETURN(spec.args, FinishArgs(call, std::move(args)));
  for (const auto& item : f.order_by) {
    ASSIGN_OR_RETURN(ExprPtr e, Expression(*item.expr, scope));
    ASSIGN_OR_RETURN(e, ResolveUnknown(std::move(e)));
    ASSIGN_OR_RETURN(SortKey key, MakeSortKey(item, std::move(e)));
    spec.order_by.push_back(std::move(key));
  }
  if (f.filter) {
    ASSIGN_OR_RETURN(spec.filter, ExpressionIn(*f.filter, scope, Clause::kFilter));
    ASSIGN_OR_RETURN(spec.filter, CoerceToBool(std::move(spec.filter), "FILTER"));
  }
  if (spec.distinct) {
    for (const auto& a : spec.args) {
      if (!IsHashable(a->type.oid) && !IsOrderable(a->type.oid)) {
        return Error(sqlstate::kUndefinedFunction, StrCat("could not identify an equality operator for type ", TypeName(a->type)), a->position);
      }
    }
    for (const SortKey& k : spec.order_by) {
      // The argument may have been cast; what was written is what counts.
      bool listed = std::any_of(spec.args.begin(), spec.args.end(), [&](const ExprPtr& a) {
        return ExprEquals(a, k.expr) || (a->kind == ExprKind::kCast && ExprEquals(a->args[0], k.expr));
      });
      if (!listed) {
        return Error(sqlstate::kInvalidColumnReference, "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list", k.expr->position);
      }
    }
  }

  // The query it belongs to: that of its innermost columns.
  ColumnSet used;
  for (const auto& a : spec.args) CollectColumns(a, &used);
  for (const auto& k : spec.order_by) CollectColumns(k.expr, &used);
  if (spec.filter) CollectColumns(spec.filter, &used);
  int level = -1;
  for (ColumnId c : used) level = std::max(level, LevelOf(c));
  Scope* owner = &scope;
  while (level >= 0 && owner->outer != nullptr && owner->depth > level) owner = owner->outer;
  for (ColumnId c : used) {
    if (!owner->aggregate_outputs.contains(c)) continue;
    bool window = std::none_of(owner->aggregates.begin(), owner->aggregates.end(), [&](const AggregateSpec& a) { return a.output == c; });
    if (window) return Error(sqlstate::kGroupingError, "aggregate function calls cannot contain window function calls", f.position);
    int position = f.position;  // of the inner call
    for (const auto& a : spec.args) {
      VisitExpr(a, [&](const Expr& e) {
        const auto* column = e.TryAs<ColumnExpr>();
        if (column != nullptr && column->column == c && e.position > 0) position = e.position;
        return true;
      });
    }
    return Error(sqlstate::kGroupingError, "aggregate function calls cannot be nested", position);
  }
  RETURN_IF_ERROR(CheckAggregateAllowed(*owner, f.position));

  for (const AggregateSpec& known : owner->aggregates) {
    if (!SameAggregate(known, spec)) continue;
    auto again = std::make_shared<ColumnExpr>(known.type, known.output);
    again->name = std::string(call.function->name);
    again->position = Position(f.position);
    return again;
  }
  spec.output = AddColumn(call.function->name, spec.type, *owner);
  owner->aggregate_outputs.insert(spec.output);
  owner->aggregates.push_back(spec);
  auto out = std::make_shared<ColumnExpr>(spec.type, spec.output);
  out->name = std::string(call.function->name);
  out->position = Position(f.position);
  return out;
}

absl::StatusOr<const ast::WindowDefinition*> Binder::NamedWindow(std::string_view name, int position, Scope& scope) {
  if (scope.window_definitions != nullptr) {
    for (const auto& w : *scope.window_definitions) {
      if (w.name == name) return &w;
    }
  }
  return Error(sqlstate::kUndefinedObject, StrCat("window \"", name, "\" does not exist"), position);
}

absl::StatusOr<WindowFrame> Binder::Frame(const ast::WindowDefinition& w, const std::vector<SortKey>& order, Scope& scope) {
  WindowFrame out;
  // The enumerations have the same order as the syntax tree's.
  out.mode = static_cast<FrameMode>(w.mode);
  out.start = static_cast<FrameBound>(w.start);
  out.end = static_cast<FrameBound>(w.end);
  out.exclusion = static_cast<FrameExclusion>(w.exclusion);
  if (out.mode == FrameMode::kGroups && order.empty()) return Error("42P20", "GROUPS mode requires an ORDER BY clause", w.position);
  auto offset = [&](const ast::Expr& e) -> absl::StatusOr<ExprPtr> {
    ASSIGN_OR_RETURN(ExprPtr x, ExpressionIn(e, scope, Clause::kWindowFrame));
    SqlType type{oid::kInt8, -1};
    std::string_view name = out.mode == FrameMode::kRows ? "ROWS" : "GROUPS";
    if (out.mode == FrameMode::kRange) {
      if (order.size() != 1) return Error("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column", w.position);
      const Oid key = order[0].expr->type.oid;
      const bool time = key == oid::kDate || key == oid::kTimestamp || key == oid::kTimestamptz || key == oid::kTime || key == oid::kTimetz;
      type.oid = time ? oid::kInterval : key == oid::kFloat4 ? oid::kFloat8 : key;
      name = "RANGE";
      auto integer = [](Oid t) { return t == oid::kInt2 || t == oid::kInt4 || t == oid::kInt8; };
      if (integer(key) && integer(x->type.oid)) type = x->type;
    }
    const SqlType from = x->type;
    ASSIGN_OR_RETURN(x, Coerce(std::move(x), type, CastContext::kImplicit));
    if (x == nullptr) {
      return Error(sqlstate::kDatatypeMismatch, StrCat("argument of ", name, " must be type ", TypeName(type), ", not type ", TypeName(from)), e.position);
    }
    if (!ColumnsOf(x).empty()) return Error(sqlstate::kInvalidColumnReference, StrCat("argument of ", name, " must not contain variables"), e.position);
    return x;
  };
  if (w.start_offset) {
    ASSIGN_OR_RETURN(out.start_offset, offset(*w.start_offset));
  }
  if (w.end_offset) {
    ASSIGN_OR_RETURN(out.end_offset, offset(*w.end_offset));
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::Window(const ast::FunctionCall& f, const ResolvedCall& call, std::vector<ExprPtr> args, Scope& scope) {
  if (std::string_view where = NoWindow(scope.clause); !where.empty()) {
    return Error("42P20", StrCat("window functions are not allowed in ", where), f.position);
  }
  if (scope.in_window) return Error("42P20", "window function calls cannot be nested", f.position);
  if (f.distinct) return Error(sqlstate::kFeatureNotSupported, "DISTINCT is not implemented for window functions", f.position);
  if (!f.order_by.empty()) return Error(sqlstate::kFeatureNotSupported, "aggregate ORDER BY is not implemented for window functions", f.position);
  const bool aggregate = call.function->kind == FunctionKind::kAggregate;
  if (f.filter && !aggregate) return Error(sqlstate::kFeatureNotSupported, "FILTER is not implemented for non-aggregate window functions", f.position);

  WindowCall window_call;
  window_call.function = call.function;
  window_call.type = SqlType{call.result, -1};
  ASSIGN_OR_RETURN(window_call.args, FinishArgs(call, std::move(args)));
  for (const auto& a : window_call.args) {
    for (ColumnId c : ColumnsOf(a)) {
      for (const auto& w : scope.windows) {
        for (const auto& known : w.calls) {
          if (known.output == c) return Error("42P20", "window function calls cannot be nested", f.position);
        }
      }
    }
  }
  if (f.filter) {
    ASSIGN_OR_RETURN(window_call.filter, ExpressionIn(*f.filter, scope, Clause::kFilter));
    ASSIGN_OR_RETURN(window_call.filter, CoerceToBool(std::move(window_call.filter), "FILTER"));
  }

  // OVER name is the named window as it is; OVER (name …) copies its partition and, if it has one, its order.
  const ast::WindowDefinition* definition = f.over.get();
  if (!definition->name.empty()) {
    ASSIGN_OR_RETURN(definition, NamedWindow(definition->name, f.over->position, scope));
  }
  Scope::Window window;
  std::vector<const ast::WindowDefinition*> chain = {definition};
  while (!chain.back()->base_name.empty()) {
    ASSIGN_OR_RETURN(const ast::WindowDefinition* base, NamedWindow(chain.back()->base_name, chain.back()->position, scope));
    if (!chain.back()->partition_by.empty()) {
      return Error("42P20", StrCat("cannot override PARTITION BY clause of window \"", base->name, "\""), chain.back()->position);
    }
    if (!chain.back()->order_by.empty() && !base->order_by.empty()) {
      return Error("42P20", StrCat("cannot override ORDER BY clause of window \"", base->name, "\""), chain.back()->position);
    }
    if (base->has_frame) return Error("42P20", StrCat("cannot copy window \"", base->name, "\" because it has a frame clause"), chain.back()->position);
    if (chain.size() > 32) return Error("42P20", "window definitions are nested too deeply", f.position);
    chain.push_back(base);
  }
  scope.in_window = true;
  absl::Status bound = [&]() -> absl::Status {
    for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
      for (const auto& e : (*it)->partition_by) {
        ASSIGN_OR_RETURN(ExprPtr p, ExpressionIn(*e, scope, Clause::kWindowPartition));
        ASSIGN_OR_RETURN(p, ResolveUnknown(std::move(p)));
        window.partition_by.push_back(std::move(p));
      }
      for (const auto& item : (*it)->order_by) {
        ASSIGN_OR_RETURN(ExprPtr e, ExpressionIn(*item.expr, scope, Clause::kWindowOrder));
        ASSIGN_OR_RETURN(e, ResolveUnknown(std::move(e)));
        ASSIGN_OR_RETURN(SortKey key, MakeSortKey(item, std::move(e)));
        window.order_by.push_back(std::move(key));
      }
    }
    ASSIGN_OR_RETURN(window_call.frame, Frame(*definition, window.order_by, scope));
    return absl::OkStatus();
  }();
  scope.in_window = false;
  RETURN_IF_ERROR(bound);

  window_call.output = AddColumn(call.function->name, window_call.type, scope);
  scope.aggregate_outputs.insert(window_call.output);
  for (auto& known : scope.windows) {
    if (SameExprs(known.partition_by, window.partition_by) && SameKeys(known.order_by, window.order_by)) {
      known.calls.push_back(window_call);
      return Ref(window_call.output);
    }
  }
  window.calls.push_back(window_call);
  scope.windows.push_back(std::move(window));
  return Ref(window_call.output);
}

}  // namespace insula::sql
