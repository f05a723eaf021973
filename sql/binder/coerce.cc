// Types: names of types, implicit and assignment casts, untyped literals and parameters, common types.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// Modifiers of a type name, which are constants: (10, 2).
absl::StatusOr<std::vector<int32_t>> Modifiers(const ast::TypeName& name) {
  std::vector<int32_t> out;
  for (const auto& m : name.modifiers) {
    const auto* c = m->TryAs<ast::Constant>();
    if (c == nullptr || c->constant != ast::ConstantKind::kInteger) {
      return PgErrorBuilder(sqlstate::kSyntaxError, "type modifiers must be simple constants or identifiers").Position(name.position).Build();
    }
    out.push_back(static_cast<int32_t>(c->integer));
  }
  return out;
}

// The input function is called without the modifier, except interval's; the modifier then comes as a cast of its own.
SqlType InputType(const SqlType& t) { return t.oid == oid::kInterval ? t : SqlType{t.oid, -1}; }

}  // namespace

Oid SerialType(const ast::TypeName& name) {
  if (name.names.size() != 1 || name.array_dimensions != 0) return kInvalidOid;
  const std::string& n = name.names[0];
  if (n == "smallserial" || n == "serial2") return oid::kInt2;
  if (n == "serial" || n == "serial4") return oid::kInt4;
  if (n == "bigserial" || n == "serial8") return oid::kInt8;
  return kInvalidOid;
}

absl::StatusOr<SqlType> ResolveType(const ast::TypeName& name, const BindContext& context) {
  auto at = [&](absl::Status s) { return WithPosition(std::move(s), name.position); };
  if (name.setof) return at(PgError(sqlstate::kInvalidTableDefinition, "type cannot be a set"));
  if (name.percent_type) return at(PgUnsupported("%TYPE"));
  if (name.names.empty()) return at(PgError(sqlstate::kUndefinedObject, "type has no name"));
  ASSIGN_OR_RETURN(std::vector<int32_t> modifiers, Modifiers(name));
  const std::string& base = name.names.back();
  const std::string schema = name.names.size() > 1 ? name.names[name.names.size() - 2] : "";
  SqlType type;
  auto user = [&](std::string_view s) -> bool {
    auto found = context.catalog->FindType(s, base);
    if (found) type = *found;
    return found.has_value();
  };
  bool found = false;
  if (!schema.empty() && schema != "pg_catalog") {
    found = user(schema);
  } else if (const TypeInfo* t = FindTypeByTypname(base)) {
    auto typmod = modifiers.empty() ? absl::StatusOr<int32_t>(-1) : TypmodIn(*t, modifiers);
    if (!typmod.ok()) return at(typmod.status());
    type = SqlType{t->oid, *typmod};
    found = true;
  } else {
    for (const std::string& s : context.search_path) found = found || user(s);
  }
  if (!found) {
    return at(PgError(sqlstate::kUndefinedObject, StrCat("type \"", schema.empty() || schema == "pg_catalog" ? base : StrCat(schema, ".", base), "\" does not exist")));
  }
  if (name.array_dimensions > 0) {
    Oid array = ArrayTypeOf(type.oid);
    if (array == kInvalidOid) {
      if (IsArray(type.oid)) return type;
      return at(PgError(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", FormatType(type.oid))));
    }
    type.oid = array;
  }
  const TypeInfo* info = FindType(type.oid);
  if (info != nullptr && !info->supported && info->typtype != 'p') {
    return at(PgError(sqlstate::kFeatureNotSupported, StrCat("type ", info->name, " is not supported yet")));
  }
  return type;
}

absl::StatusOr<SqlType> Binder::Type(const ast::TypeName& name) {
  auto type = ResolveType(name, context_);
  if (!type.ok() && !positions_) {
    PgErrorFields f = ToPgError(type.status());
    return PgErrorBuilder(f.sqlstate, f.message).Hint(f.hint).Build();
  }
  return type;
}

absl::StatusOr<ExprPtr> Binder::Coerce(ExprPtr expr, SqlType target, CastContext context) {
  const Oid from = expr->type.oid;
  if (IsPolymorphic(target.oid) || target.oid == oid::kAny || target.oid == oid::kRecord) return expr;
  if (from == oid::kUnknown && target.oid != oid::kUnknown) {
    if (const auto* c = expr->TryAs<ConstantExpr>()) {
      Datum value;
      if (!c->value.is_null()) {
        IoContext fallback;
        const IoContext& io = context_.functions != nullptr ? context_.functions->io : fallback;
        auto parsed = TextIn(io, InputType(target), c->value.bytes_value());
        if (!parsed.ok()) return WithPosition(parsed.status(), Position(c->position));
        value = *std::move(parsed);
        if (target.typmod >= 0) {
          auto limited = ApplyTypmod(io, target, std::move(value), context == CastContext::kExplicit ? CastContext::kExplicit : CastContext::kAssignment);
          if (!limited.ok()) return WithPosition(limited.status(), Position(c->position));
          value = *std::move(limited);
        }
      }
      auto out = std::make_shared<ConstantExpr>(target, std::move(value));
      out->position = c->position;
      return out;
    }
    if (const auto* p = expr->TryAs<ParameterExpr>()) {
      SqlType& known = parameter_types_[p->index];
      if (known.oid == oid::kUnknown) {
        known = SqlType{target.oid, -1};
      } else if (known.oid != target.oid) {
        return PgErrorBuilder("42P08", StrCat("inconsistent types deduced for parameter $", p->index + 1))
            .Detail(StrCat(FormatType(known.oid), " versus ", FormatType(target.oid)))
            .Position(Position(p->position))
            .Build();
      }
      auto out = std::make_shared<ParameterExpr>(SqlType{target.oid, -1}, p->index);
      out->position = p->position;
      if (target.typmod < 0) return out;
      expr = out;
    }
  }
  if (expr->type == target || (expr->type.oid == target.oid && target.typmod < 0)) return expr;
  if (expr->type.oid == target.oid) {
    if (!NeedsTypmodCoercion(expr->type, target)) return expr;
  } else if (from != oid::kUnknown && !FindCast(expr->type.oid, target.oid, context)) {
    // An array constructor casts its elements.
    const auto* array = expr->TryAs<ArrayExpr>();
    const Oid element = ElementTypeOf(target.oid);
    if (array == nullptr || element == kInvalidOid || !IsArray(expr->type.oid)) return nullptr;
    auto out = std::static_pointer_cast<ArrayExpr>(expr->Clone());
    out->type = target;
    for (auto& a : out->args) {
      ASSIGN_OR_RETURN(a, Coerce(a, array->multidimensional ? target : SqlType{element, target.typmod}, context));
      if (a == nullptr) return nullptr;
    }
    return out;
  }
  auto cast = std::make_shared<CastExpr>(target, context);
  cast->position = expr->position;
  cast->args.push_back(std::move(expr));
  return cast;
}

absl::StatusOr<ExprPtr> Binder::CoerceOr(ExprPtr expr, SqlType target, CastContext context) {
  const SqlType from = expr->type;
  const int position = LeftmostPosition(*expr);
  ASSIGN_OR_RETURN(ExprPtr out, Coerce(std::move(expr), target, context));
  if (out == nullptr) return Error(sqlstate::kCannotCoerce, StrCat("cannot cast type ", TypeName(from), " to ", TypeName(target)), position);
  return out;
}

absl::StatusOr<ExprPtr> Binder::CoerceToBool(ExprPtr expr, std::string_view what) {
  const SqlType from = expr->type;
  const int position = LeftmostPosition(*expr);
  ASSIGN_OR_RETURN(ExprPtr out, Coerce(std::move(expr), SqlType{oid::kBool, -1}, CastContext::kAssignment));
  if (out == nullptr) {
    return Error(sqlstate::kDatatypeMismatch, StrCat("argument of ", what, " must be type boolean, not type ", TypeName(from)), position);
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::CoerceAssign(ExprPtr expr, const ColumnInfo& column, int position) {
  const SqlType from = expr->type;
  ASSIGN_OR_RETURN(ExprPtr out, Coerce(std::move(expr), column.type, CastContext::kAssignment));
  if (out == nullptr) {
    return PgErrorBuilder(sqlstate::kDatatypeMismatch,
                          StrCat("column \"", column.name, "\" is of type ", TypeName(column.type), " but expression is of type ", TypeName(from)))
        .Hint("You will need to rewrite or cast the expression.")
        .Position(Position(position))
        .Build();
  }
  return out;
}

absl::StatusOr<ExprPtr> Binder::ResolveUnknown(ExprPtr expr) {
  if (expr->type.oid != oid::kUnknown) return expr;
  return CoerceOr(std::move(expr), SqlType{oid::kText, -1}, CastContext::kImplicit);
}

// The item of a projection or VALUES list that makes column i, if it may still be typed.
absl::Status Binder::CoerceColumn(QueryResult* result, size_t i, SqlType target, CastContext context, Scope& scope) {
  FromColumn& column = result->columns[i];
  const SqlType from = out_->columns[column.id].type;
  if (from == target) return absl::OkStatus();
  auto retype = [&](ExprPtr& e) -> absl::Status {
    ASSIGN_OR_RETURN(e, CoerceOr(e, target, context));
    return absl::OkStatus();
  };
  if (result->source != nullptr && from.oid == oid::kUnknown) {
    if (auto* project = result->source->TryAs<LogicalProject>()) {
      for (auto& item : project->items) {
        if (item.column != column.id) continue;
        RETURN_IF_ERROR(retype(item.expr));
        out_->columns.Mutable(column.id).type = item.expr->type;
      }
    } else if (auto* values = result->source->TryAs<LogicalValues>()) {
      for (size_t k = 0; k < values->columns.size(); ++k) {
        if (values->columns[k] != column.id) continue;
        for (auto& row : values->rows) RETURN_IF_ERROR(retype(row[k]));
        out_->columns.Mutable(column.id).type = target;
      }
    }
    if (out_->columns[column.id].type == target) return absl::OkStatus();
  }
  // Cast above the query: one projection of all columns, shared by successive calls.
  LogicalProject* cast = result->plan->TryAs<LogicalProject>();
  if (cast == nullptr || cast == result->source.get() || result->source != nullptr) {
    auto project = std::make_shared<LogicalProject>();
    for (const FromColumn& c : result->columns) project->items.push_back({c.id, Ref(c.id)});
    project->children.push_back(result->plan);
    result->plan = project;
    result->source = nullptr;
    cast = project.get();
  }
  for (auto& item : cast->items) {
    if (item.column != column.id) continue;
    RETURN_IF_ERROR(retype(item.expr));
    const ColumnId id = AddColumn(column.name, item.expr->type, scope);
    item.column = id;
    column.id = id;
    break;
  }
  return absl::OkStatus();
}

absl::Status Binder::ResolveUnknown(QueryResult* result) {
  Scope scope;
  for (size_t i = 0; i < result->columns.size(); ++i) {
    if (out_->columns[result->columns[i].id].type.oid != oid::kUnknown) continue;
    RETURN_IF_ERROR(CoerceColumn(result, i, SqlType{oid::kText, -1}, CastContext::kImplicit, scope));
  }
  return absl::OkStatus();
}

absl::StatusOr<Oid> Binder::Common(const std::vector<ExprPtr>& exprs, std::string_view what) {
  std::vector<Oid> types;
  for (const auto& e : exprs) types.push_back(e->type.oid);
  auto type = CommonType(types, what);
  if (type.ok()) return type;
  // The first expression that does not go with those before it is the one to point at.
  int position = 0;
  for (size_t i = 1; i < exprs.size() && position == 0; ++i) {
    std::vector<Oid> prefix(types.begin(), types.begin() + static_cast<long>(i) + 1);
    if (!CommonType(prefix, what).ok()) position = LeftmostPosition(*exprs[i]);
  }
  return WithPosition(type.status(), Position(position));
}

// A typmod that all share is kept: CASE over two varchar(3) is varchar(3).
SqlType Binder::CommonWithTypmod(const std::vector<ExprPtr>& exprs, Oid type) const {
  int32_t typmod = -1;
  for (size_t i = 0; i < exprs.size(); ++i) {
    if (exprs[i]->type.oid != type) return SqlType{type, -1};
    if (i > 0 && exprs[i]->type.typmod != typmod) return SqlType{type, -1};
    typmod = exprs[i]->type.typmod;
  }
  return SqlType{type, typmod};
}

}  // namespace insula::sql
