// Expressions other than operators, function calls and subqueries.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// Deeper trees than the parser lets through can only come from views within views.
constexpr int kMaxNesting = 4000;

template <typename T>
ExprPtr At(std::shared_ptr<T> e, int position) {
  e->position = position;
  return e;
}

// Collations that order text by its bytes, as we do.
bool IsByteCollation(std::string_view name) {
  return name == "C" || name == "POSIX" || name == "default" || name == "ucs_basic" || name == "C.UTF-8" || name == "C.utf8";
}

}  // namespace

absl::StatusOr<ExprPtr> Binder::Expression(const ast::Expr& e, Scope& scope) {
  if (++nesting_ > kMaxNesting) return PgError("54001", "stack depth limit exceeded");
  auto out = Dispatch(e, scope);
  --nesting_;
  return out;
}

absl::StatusOr<ExprPtr> Binder::ExpressionIn(const ast::Expr& e, Scope& scope, Clause clause) {
  const Clause before = scope.clause;
  scope.clause = clause;
  auto out = Expression(e, scope);
  scope.clause = before;
  return out;
}

absl::StatusOr<std::vector<ExprPtr>> Binder::Expressions(const std::vector<ast::ExprPtr>& list, Scope& scope) {
  std::vector<ExprPtr> out;
  out.reserve(list.size());
  for (const auto& e : list) {
    ASSIGN_OR_RETURN(ExprPtr bound, Expression(*e, scope));
    out.push_back(std::move(bound));
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::Dispatch(const ast::Expr& e, Scope& scope) {
  switch (e.kind) {
    case ast::ExprKind::kConstant: return Constant(e.As<ast::Constant>());
    case ast::ExprKind::kColumnRef: {
      const auto& ref = e.As<ast::ColumnRef>();
      if (!ref.star) return Column(ref, scope);
      if (ref.fields.empty()) return Error(sqlstate::kSyntaxError, "row expansion via \"*\" is not supported here", e.position);
      ASSIGN_OR_RETURN(const NamespaceItem* item,
                       FindItem(ref.fields.size() > 1 ? ref.fields[ref.fields.size() - 2] : "", ref.fields.back(), scope, e.position, nullptr));
      if (item == nullptr) return NoSuchItem(ref.fields.back(), scope, e.position);
      return WholeRow(*item, e.position);  // count(t.*)
    }
    case ast::ExprKind::kParameter: return Parameter(e.As<ast::Parameter>());
    case ast::ExprKind::kOperator: return Operator(e.As<ast::Operator>(), scope);
    case ast::ExprKind::kIn: return In(e.As<ast::In>(), scope);
    case ast::ExprKind::kBetween: return Between(e.As<ast::Between>(), scope);
    case ast::ExprKind::kLike: return Like(e.As<ast::Like>(), scope);
    case ast::ExprKind::kDistinctFrom: return DistinctFrom(e.As<ast::DistinctFrom>(), scope);
    case ast::ExprKind::kNullIf: return NullIf(e.As<ast::NullIf>(), scope);
    case ast::ExprKind::kBool: return Bool(e.As<ast::Bool>(), scope);
    case ast::ExprKind::kFunctionCall: return Function(e.As<ast::FunctionCall>(), scope);
    case ast::ExprKind::kTypeCast: return Cast(e.As<ast::TypeCast>(), scope);
    case ast::ExprKind::kCase: return Case(e.As<ast::Case>(), scope);
    case ast::ExprKind::kCoalesce: return Coalesce(e.As<ast::Coalesce>(), scope);
    case ast::ExprKind::kMinMax: return MinMax(e.As<ast::MinMax>(), scope);
    case ast::ExprKind::kNullTest: {
      const auto& t = e.As<ast::NullTest>();
      ASSIGN_OR_RETURN(ExprPtr arg, Expression(*t.arg, scope));
      ASSIGN_OR_RETURN(arg, ResolveUnknown(std::move(arg)));
      auto out = std::make_shared<NullTestExpr>();
      out->args.push_back(std::move(arg));
      out->negated = t.negated;
      return At(out, Position(e.position));
    }
    case ast::ExprKind::kBooleanTest: {
      const auto& t = e.As<ast::BooleanTest>();
      static constexpr std::string_view kNames[] = {"IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"};
      ASSIGN_OR_RETURN(ExprPtr arg, Expression(*t.arg, scope));
      ASSIGN_OR_RETURN(arg, CoerceToBool(std::move(arg), kNames[static_cast<int>(t.test)]));
      auto out = std::make_shared<BooleanTestExpr>(static_cast<BooleanTestKind>(t.test));  // same order
      out->args.push_back(std::move(arg));
      return At(out, Position(e.position));
    }
    case ast::ExprKind::kSubquery: return Subquery(e.As<ast::Subquery>(), scope);
    case ast::ExprKind::kArray: return Array(e.As<ast::Array>(), scope, std::nullopt);
    case ast::ExprKind::kRow: return Row(e.As<ast::Row>(), scope);
    case ast::ExprKind::kSubscript: return Subscript(e.As<ast::Subscript>(), scope);
    case ast::ExprKind::kFieldSelect: return FieldSelect(e.As<ast::FieldSelect>(), scope);
    case ast::ExprKind::kCollate: return Collate(e.As<ast::Collate>(), scope);
    case ast::ExprKind::kSqlValue: return SqlValue(e.As<ast::SqlValue>());
    case ast::ExprKind::kDefault: return Error(sqlstate::kSyntaxError, "DEFAULT is not allowed in this context", e.position);
    case ast::ExprKind::kNamedArgument: return Error(sqlstate::kFeatureNotSupported, "named arguments are not supported yet", e.position);
    case ast::ExprKind::kGrouping: return Grouping(e.As<ast::Grouping>(), scope);
    case ast::ExprKind::kCurrentOf: return Error(sqlstate::kFeatureNotSupported, "WHERE CURRENT OF is not supported yet", e.position);
    case ast::ExprKind::kGroupingSet:
    case ast::ExprKind::kMultiAssign: return Error(sqlstate::kSyntaxError, "syntax error", e.position);
  }
  return Error(sqlstate::kInternalError, "unrecognized expression", e.position);
}

absl::StatusOr<ExprPtr> Binder::Constant(const ast::Constant& c) {
  auto make = [&](Oid type, Datum value) { return At(std::make_shared<ConstantExpr>(SqlType{type, -1}, std::move(value)), Position(c.position)); };
  switch (c.constant) {
    case ast::ConstantKind::kNull: return make(oid::kUnknown, Datum::Null());
    case ast::ConstantKind::kInteger: return make(oid::kInt4, Datum::Int(c.integer));
    case ast::ConstantKind::kBoolean: return make(oid::kBool, Datum::Bool(c.integer != 0));
    case ast::ConstantKind::kString: return make(oid::kUnknown, Datum::Bytes(c.text));
    case ast::ConstantKind::kFloat: {
      if (c.text.find_first_of(".eE") == std::string::npos) {
        auto v = ParseInteger(c.text, oid::kInt8);
        // -2147483648 is one constant, and an int4.
        if (v.ok()) return make(*v == INT32_MIN ? oid::kInt4 : oid::kInt8, Datum::Int(*v));
      }
      auto n = Numeric::Parse(c.text);
      if (!n.ok()) return WithPosition(n.status(), Position(c.position));
      return make(oid::kNumeric, Datum::Num(*std::move(n)));
    }
    case ast::ConstantKind::kBitString: return Error(sqlstate::kFeatureNotSupported, "type bit is not supported yet", c.position);
  }
  return Error(sqlstate::kInternalError, "unrecognized constant", c.position);
}

absl::StatusOr<ExprPtr> Binder::Parameter(const ast::Parameter& p) {
  if (!allow_parameters_ || p.number <= 0 || p.number > 65535) {
    return Error(sqlstate::kUndefinedParameter, StrCat("there is no parameter $", p.number), p.position);
  }
  if (parameter_types_.size() < static_cast<size_t>(p.number)) parameter_types_.resize(p.number, SqlType{oid::kUnknown, -1});
  return At(std::make_shared<ParameterExpr>(parameter_types_[p.number - 1], p.number - 1), Position(p.position));
}

absl::StatusOr<ExprPtr> Binder::Bool(const ast::Bool& b, Scope& scope) {
  const std::string_view name = b.op == ast::BoolKind::kAnd ? "AND" : b.op == ast::BoolKind::kOr ? "OR" : "NOT";
  std::vector<ExprPtr> args;
  for (const auto& a : b.args) {
    ASSIGN_OR_RETURN(ExprPtr arg, Expression(*a, scope));
    ASSIGN_OR_RETURN(arg, CoerceToBool(std::move(arg), name));
    args.push_back(std::move(arg));
  }
  if (b.op == ast::BoolKind::kNot) {
    auto out = std::make_shared<NotExpr>();
    out->args = std::move(args);
    return At(out, Position(b.position));
  }
  std::shared_ptr<Expr> out;
  if (b.op == ast::BoolKind::kAnd) {
    out = std::make_shared<AndExpr>();
  } else {
    out = std::make_shared<OrExpr>();
  }
  out->args = std::move(args);
  return At(out, Position(b.position));
}

absl::StatusOr<ExprPtr> Binder::Cast(const ast::TypeCast& c, Scope& scope) {
  ASSIGN_OR_RETURN(SqlType target, Type(c.type));
  ExprPtr arg;
  if (c.arg->kind == ast::ExprKind::kArray && ElementTypeOf(target.oid) != kInvalidOid) {
    ASSIGN_OR_RETURN(arg, Array(c.arg->As<ast::Array>(), scope, target));
  } else {
    ASSIGN_OR_RETURN(arg, Expression(*c.arg, scope));
  }
  const SqlType from = arg->type;
  ASSIGN_OR_RETURN(ExprPtr out, Coerce(std::move(arg), target, CastContext::kExplicit));
  if (out == nullptr) {
    return Error(sqlstate::kCannotCoerce, StrCat("cannot cast type ", TypeName(from), " to ", TypeName(target)), c.position);
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::Case(const ast::Case& c, Scope& scope) {
  ExprPtr arg;
  if (c.arg) {
    ASSIGN_OR_RETURN(arg, Expression(*c.arg, scope));
    ASSIGN_OR_RETURN(arg, ResolveUnknown(std::move(arg)));
  }
  std::vector<ExprPtr> conditions, results;
  for (const auto& w : c.whens) {
    ASSIGN_OR_RETURN(ExprPtr condition, Expression(*w.condition, scope));
    if (arg) {
      ASSIGN_OR_RETURN(condition, MakeOperator("=", arg, std::move(condition), w.condition->position));
    }
    ASSIGN_OR_RETURN(condition, CoerceToBool(std::move(condition), "CASE/WHEN"));
    ASSIGN_OR_RETURN(ExprPtr result, Expression(*w.result, scope));
    conditions.push_back(std::move(condition));
    results.push_back(std::move(result));
  }
  // PostgreSQL looks at ELSE first when it picks the type.
  std::vector<ExprPtr> all;
  if (c.otherwise) {
    ASSIGN_OR_RETURN(ExprPtr otherwise, Expression(*c.otherwise, scope));
    all.push_back(std::move(otherwise));
  } else {
    all.push_back(MakeNull(SqlType{oid::kUnknown, -1}));
  }
  all.insert(all.end(), results.begin(), results.end());
  ASSIGN_OR_RETURN(Oid type, Common(all, "CASE"));
  SqlType target = CommonWithTypmod(c.otherwise ? all : results, type);
  auto out = std::make_shared<CaseExpr>(target);
  for (size_t i = 0; i < results.size(); ++i) {
    out->args.push_back(conditions[i]);
    ASSIGN_OR_RETURN(ExprPtr r, CoerceOr(results[i], target, CastContext::kImplicit));
    out->args.push_back(std::move(r));
  }
  if (c.otherwise) {
    ASSIGN_OR_RETURN(ExprPtr r, CoerceOr(all[0], target, CastContext::kImplicit));
    out->args.push_back(std::move(r));
  }
  return At(out, Position(c.position));
}

absl::StatusOr<ExprPtr> Binder::Coalesce(const ast::Coalesce& c, Scope& scope) {
  ASSIGN_OR_RETURN(std::vector<ExprPtr> args, Expressions(c.args, scope));
  ASSIGN_OR_RETURN(Oid type, Common(args, "COALESCE"));
  auto out = std::make_shared<CoalesceExpr>(CommonWithTypmod(args, type));
  for (auto& a : args) {
    if (ContainsSetFunction(a)) {
      return Error(sqlstate::kFeatureNotSupported, "set-returning functions are not allowed in COALESCE", a->position);
    }
    ASSIGN_OR_RETURN(ExprPtr arg, CoerceOr(a, out->type, CastContext::kImplicit));
    out->args.push_back(std::move(arg));
  }
  return At(out, Position(c.position));
}

absl::StatusOr<ExprPtr> Binder::MinMax(const ast::MinMax& m, Scope& scope) {
  const std::string_view name = m.greatest ? "GREATEST" : "LEAST";
  ASSIGN_OR_RETURN(std::vector<ExprPtr> args, Expressions(m.args, scope));
  ASSIGN_OR_RETURN(Oid type, Common(args, name));
  auto out = std::make_shared<MinMaxExpr>(CommonWithTypmod(args, type));
  out->greatest = m.greatest;
  if (!IsOrderable(type)) {
    return Error(sqlstate::kUndefinedFunction, StrCat("could not identify a comparison function for type ", FormatType(type)), m.position);
  }
  for (auto& a : args) {
    ASSIGN_OR_RETURN(ExprPtr arg, CoerceOr(a, out->type, CastContext::kImplicit));
    out->args.push_back(std::move(arg));
  }
  return At(out, Position(m.position));
}

absl::StatusOr<ExprPtr> Binder::Array(const ast::Array& a, Scope& scope, std::optional<SqlType> target) {
  std::vector<ExprPtr> elements;
  bool nested = false;
  for (const auto& e : a.elements) {
    ExprPtr element;
    if (e->kind == ast::ExprKind::kArray) {
      ASSIGN_OR_RETURN(element, Array(e->As<ast::Array>(), scope, target));
      nested = true;
    } else {
      ASSIGN_OR_RETURN(element, Expression(*e, scope));
      nested = nested || IsArray(element->type.oid);
    }
    elements.push_back(std::move(element));
  }
  SqlType element_type, array_type;
  if (target) {
    array_type = SqlType{target->oid, -1};
    element_type = nested ? array_type : SqlType{ElementTypeOf(target->oid), target->typmod};
  } else {
    if (elements.empty()) {
      return PgErrorBuilder(sqlstate::kIndeterminateDatatype, "cannot determine type of empty array")
          .Hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
          .Position(Position(a.position))
          .Build();
    }
    ASSIGN_OR_RETURN(Oid common, Common(elements, "ARRAY"));
    element_type = SqlType{common, -1};
    nested = IsArray(common);
    array_type = SqlType{nested ? common : ArrayTypeOf(common), -1};
    if (array_type.oid == kInvalidOid) {
      return Error(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", FormatType(common)), a.position);
    }
  }
  auto out = std::make_shared<ArrayExpr>(array_type);
  out->multidimensional = nested;
  for (auto& e : elements) {
    const SqlType from = e->type;
    const int position = e->position;
    ASSIGN_OR_RETURN(ExprPtr arg, Coerce(std::move(e), element_type, target ? CastContext::kExplicit : CastContext::kImplicit));
    if (arg == nullptr) {
      return Error(sqlstate::kCannotCoerce, StrCat("cannot cast type ", TypeName(from), " to ", TypeName(element_type)), position);
    }
    out->args.push_back(std::move(arg));
  }
  return At(out, Position(a.position));
}

absl::StatusOr<ExprPtr> Binder::Row(const ast::Row& r, Scope& scope) {
  auto out = std::make_shared<RowExpr>(SqlType{oid::kRecord, -1});
  for (const auto& a : r.args) {
    const auto* ref = a->TryAs<ast::ColumnRef>();
    if (ref != nullptr && ref->star) {
      ASSIGN_OR_RETURN(auto columns, ExpandStar(*ref, scope));
      for (auto& [name, e] : columns) out->args.push_back(std::move(e));
      continue;
    }
    ASSIGN_OR_RETURN(ExprPtr arg, Expression(*a, scope));
    out->args.push_back(std::move(arg));
  }
  for (size_t i = 0; i < out->args.size(); ++i) out->names.push_back(StrCat("f", i + 1));
  return At(out, Position(r.position));
}

absl::StatusOr<ExprPtr> Binder::Subscript(const ast::Subscript& s, Scope& scope) {
  // a[1][2] arrives nested; for arrays it is one subscription.
  std::vector<const ast::Subscript*> chain;
  const ast::Expr* base_node = &s;
  while (base_node->kind == ast::ExprKind::kSubscript) {
    chain.insert(chain.begin(), &base_node->As<ast::Subscript>());
    base_node = base_node->As<ast::Subscript>().base.get();
  }
  ASSIGN_OR_RETURN(ExprPtr base, Expression(*base_node, scope));
  if (base->type.oid == oid::kJsonb) {
    for (const auto* c : chain) {
      if (c->slice) return Error(sqlstate::kDatatypeMismatch, "jsonb subscript does not support slices", s.position);
      ASSIGN_OR_RETURN(ExprPtr key, Expression(*c->high, scope));
      ASSIGN_OR_RETURN(base, MakeOperator("->", std::move(base), std::move(key), s.position));
    }
    return base;
  }
  const Oid element = ElementTypeOf(base->type.oid);
  if (element == kInvalidOid) {
    return Error(sqlstate::kDatatypeMismatch, StrCat("cannot subscript type ", TypeName(base->type), " because it does not support subscripting"),
                 s.position);
  }
  const bool slice = std::any_of(chain.begin(), chain.end(), [](const ast::Subscript* c) { return c->slice; });
  auto out = std::make_shared<SubscriptExpr>(slice ? SqlType{base->type.oid, base->type.typmod} : SqlType{element, base->type.typmod});
  out->slice = slice;
  out->args.push_back(std::move(base));
  const SqlType int4{oid::kInt4, -1};
  auto bound = [&](const ast::ExprPtr& e, int otherwise) -> absl::Status {
    if (!e && otherwise == 0) {
      out->args.push_back(MakeNull(int4));
      out->omitted.push_back(true);
      return absl::OkStatus();
    }
    if (!e) {
      out->args.push_back(std::make_shared<ConstantExpr>(int4, Datum::Int(otherwise)));
      out->omitted.push_back(false);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(ExprPtr x, Expression(*e, scope));
    ASSIGN_OR_RETURN(x, Coerce(std::move(x), int4, CastContext::kAssignment));
    if (x == nullptr) {
      return Error(sqlstate::kDatatypeMismatch, "array subscript must have type integer", e->position);
    }
    out->args.push_back(std::move(x));
    out->omitted.push_back(false);
    return absl::OkStatus();
  };
  for (const auto* c : chain) {
    // In a slice, [n] alone means [1:n].
    if (slice) RETURN_IF_ERROR(bound(c->low, c->slice ? 0 : 1));
    RETURN_IF_ERROR(bound(c->high, 0));
  }
  if (!slice) out->omitted.clear();
  return At(out, Position(s.position));
}

// The fields of a record whose shape is known.
absl::StatusOr<std::vector<std::pair<std::string, ExprPtr>>> Binder::ExpandRecord(const ExprPtr& record, int position) {
  std::vector<std::pair<std::string, ExprPtr>> out;
  if (const auto* row = record->TryAs<RowExpr>()) {
    for (size_t i = 0; i < row->args.size(); ++i) out.emplace_back(row->names[i], row->args[i]);
    return out;
  }
  const auto* call = record->TryAs<FunctionExpr>();
  if (call != nullptr && !call->function->out_types.empty()) {
    std::vector<std::string> names;
    std::string_view rest = call->function->arg_names;
    while (!rest.empty()) {
      size_t comma = rest.find(',');
      names.emplace_back(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    }
    const size_t outs = call->function->out_types.size();
    for (size_t i = 0; i < outs; ++i) {
      auto field = std::make_shared<FieldSelectExpr>(SqlType{call->function->out_types[i], -1}, static_cast<int>(i));
      field->args.push_back(record);
      const size_t at = names.size() >= outs ? names.size() - outs + i : names.size();
      out.emplace_back(at < names.size() ? names[at] : StrCat("column", i + 1), At(field, Position(position)));
    }
    return out;
  }
  if (record->type.oid == oid::kRecord) return Error(sqlstate::kFeatureNotSupported, "selecting fields of this record is not supported yet", position);
  return Error(sqlstate::kWrongObjectType, StrCat("column notation .* applied to type ", TypeName(record->type), ", which is not a composite type"), position);
}

absl::StatusOr<ExprPtr> Binder::FieldSelect(const ast::FieldSelect& f, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr base, Expression(*f.base, scope));
  if (f.star) return base;
  if (base->type.oid != oid::kRecord) {
    return Error(sqlstate::kWrongObjectType,
                 StrCat("column notation .", f.field, " applied to type ", TypeName(base->type), ", which is not a composite type"), f.position);
  }
  ASSIGN_OR_RETURN(auto fields, ExpandRecord(base, f.position));
  for (auto& [name, e] : fields) {
    if (name == f.field) return e;
  }
  return Error(sqlstate::kUndefinedColumn, StrCat("could not identify column \"", f.field, "\" in record data type"), f.position);
}

absl::StatusOr<ExprPtr> Binder::Collate(const ast::Collate& c, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr arg, Expression(*c.arg, scope));
  const std::string& name = c.collation.empty() ? "" : c.collation.back();
  if (!IsByteCollation(name)) {
    return Error(sqlstate::kUndefinedObject, StrCat("collation \"", name, "\" for encoding \"UTF8\" does not exist"), c.position);
  }
  const TypeInfo* type = FindType(arg->type.oid);
  if (arg->type.oid != oid::kUnknown && type != nullptr && !type->collatable) {
    return Error(sqlstate::kDatatypeMismatch, StrCat("collations are not supported by type ", TypeName(arg->type)), c.position);
  }
  return arg;
}

absl::StatusOr<ExprPtr> Binder::SqlValue(const ast::SqlValue& v) {
  struct Meaning {
    std::string_view keyword, function;
    Oid type;
  };
  static constexpr Meaning kMeanings[] = {
      {"current_date", "now", oid::kDate},          {"current_time", "now", oid::kTimetz},
      {"current_timestamp", "now", oid::kTimestamptz}, {"localtime", "now", oid::kTime},
      {"localtimestamp", "now", oid::kTimestamp},   {"current_role", "current_user", oid::kName},
      {"current_user", "current_user", oid::kName}, {"user", "current_user", oid::kName},
      {"session_user", "session_user", oid::kName}, {"current_catalog", "current_database", oid::kName},
      {"current_schema", "current_schema", oid::kName},
  };
  for (const Meaning& m : kMeanings) {
    if (m.keyword != v.name) continue;
    ASSIGN_OR_RETURN(ExprPtr call, CallByName(m.function, {}, v.position));
    std::string keyword(m.keyword);
    for (char& c : keyword) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    if (v.precision) keyword = StrCat(keyword, "(", *v.precision, ")");
    SqlType target{m.type, v.precision.value_or(-1)};
    if (call->type == target) {
      auto named = std::static_pointer_cast<FunctionExpr>(call->Clone());
      named->keyword = std::move(keyword);
      return At(named, Position(v.position));
    }
    auto cast = std::make_shared<CastExpr>(target, CastContext::kExplicit);
    cast->args.push_back(std::move(call));
    cast->keyword = std::move(keyword);
    return At(cast, Position(v.position));
  }
  return Error(sqlstate::kFeatureNotSupported, StrCat(v.name, " is not supported yet"), v.position);
}

absl::StatusOr<ExprPtr> Binder::Grouping(const ast::Grouping& g, Scope& scope) {
  if (!scope.grouped) {
    return Error(sqlstate::kGroupingError, "arguments to GROUPING must be grouping expressions of the associated query level", g.position);
  }
  if (g.args.size() > 31) return Error(sqlstate::kGroupingError, "GROUPING must have fewer than 32 arguments", g.position);
  ASSIGN_OR_RETURN(std::vector<ExprPtr> args, Expressions(g.args, scope));
  LogicalAggregate::GroupingCall call;
  call.column = AddColumn("grouping", SqlType{oid::kInt4, -1}, scope);
  scope.groupings.push_back(call);
  scope.grouping_args.push_back(std::move(args));
  scope.aggregate_outputs.insert(call.column);
  return Ref(call.column);
}

}  // namespace insula::sql
