// Expressions of libpg_query's tree → ast::Expr.
#include <cstring>

#include "base/strings.h"
#include "sql/parser/convert.h"

namespace insula::sql {
namespace {

template <typename T>
std::unique_ptr<T> Make(int position) {
  auto e = std::make_unique<T>();
  e->position = position;
  return e;
}

}  // namespace

std::vector<ast::ExprPtr> Converter::Expressions(size_t n, Node** nodes) {
  std::vector<ast::ExprPtr> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(Expression(nodes[i]));
  return out;
}

std::vector<ast::SortItem> Converter::Sorts(size_t n, Node** nodes) {
  std::vector<ast::SortItem> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(Sort(nodes[i]));
  return out;
}

ast::ExprPtr Converter::Constant(const PgQuery__AConst* c) {
  auto out = Make<ast::Constant>(At(c->location));
  if (c->isnull) return out;
  switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
      out->constant = ast::ConstantKind::kInteger;
      out->integer = c->ival->ival;
      break;
    case PG_QUERY__A__CONST__VAL_FVAL:
      out->constant = ast::ConstantKind::kFloat;
      out->text = c->fval->fval;
      break;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
      out->constant = ast::ConstantKind::kBoolean;
      out->integer = c->boolval->boolval;
      break;
    case PG_QUERY__A__CONST__VAL_SVAL:
      out->constant = ast::ConstantKind::kString;
      out->text = c->sval->sval;
      break;
    case PG_QUERY__A__CONST__VAL_BSVAL:
      out->constant = ast::ConstantKind::kBitString;
      out->text = c->bsval->bsval;
      break;
    default:
      break;
  }
  return out;
}

ast::ExprPtr Converter::ColumnRef(const PgQuery__ColumnRef* c) {
  auto out = Make<ast::ColumnRef>(At(c->location));
  for (size_t i = 0; i < c->n_fields; ++i) {
    if (c->fields[i]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
      out->star = true;
    } else {
      out->fields.push_back(StringOf(c->fields[i]));
    }
  }
  return out;
}

ast::ExprPtr Converter::AExpr(const PgQuery__AExpr* e) {
  const int at = At(e->location);
  auto name = Strings(e->n_name, e->name);
  auto list = [&](const Node* n) {  // the List on the right of IN and BETWEEN
    return n != nullptr && n->node_case == PG_QUERY__NODE__NODE_LIST ? Expressions(n->list->n_items, n->list->items)
                                                                    : std::vector<ast::ExprPtr>();
  };
  switch (e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL: {
      auto out = Make<ast::Operator>(at);
      out->name = std::move(name);
      out->left = Expression(e->lexpr);
      out->right = Expression(e->rexpr);
      if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY) out->quantifier = ast::Quantifier::kAny;
      if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL) out->quantifier = ast::Quantifier::kAll;
      return out;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: {
      auto out = Make<ast::DistinctFrom>(at);
      out->left = Expression(e->lexpr);
      out->right = Expression(e->rexpr);
      out->negated = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT;
      return out;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF: {
      auto out = Make<ast::NullIf>(at);
      out->left = Expression(e->lexpr);
      out->right = Expression(e->rexpr);
      return out;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: {
      auto out = Make<ast::In>(at);
      out->left = Expression(e->lexpr);
      out->list = list(e->rexpr);
      out->negated = !name.empty() && name[0] == "<>";
      return out;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR: {
      auto out = Make<ast::Like>(at);
      out->like = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_LIKE    ? ast::LikeKind::kLike
                  : e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE ? ast::LikeKind::kILike
                                                                    : ast::LikeKind::kSimilar;
      out->negated = !name.empty() && name[0][0] == '!';
      out->value = Expression(e->lexpr);
      out->pattern = Expression(e->rexpr);
      return out;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM: {
      auto out = Make<ast::Between>(at);
      out->value = Expression(e->lexpr);
      auto bounds = list(e->rexpr);
      if (bounds.size() == 2) {
        out->low = std::move(bounds[0]);
        out->high = std::move(bounds[1]);
      }
      out->negated = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN || e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
      out->symmetric = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM || e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
      return out;
    }
    default:
      Unsupported("this expression", at);
      return Make<ast::Constant>(at);
  }
}

ast::ExprPtr Converter::BoolExpr(const PgQuery__BoolExpr* e) {
  auto out = Make<ast::Bool>(At(e->location));
  out->op = e->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? ast::BoolKind::kAnd
            : e->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? ast::BoolKind::kOr
                                                             : ast::BoolKind::kNot;
  out->args = Expressions(e->n_args, e->args);
  return out;
}

ast::ExprPtr Converter::FuncCall(const PgQuery__FuncCall* f) {
  auto out = Make<ast::FunctionCall>(At(f->location));
  out->name = Strings(f->n_funcname, f->funcname);
  out->args = Expressions(f->n_args, f->args);
  out->order_by = Sorts(f->n_agg_order, f->agg_order);
  out->filter = Expression(f->agg_filter);
  if (f->over != nullptr) out->over = std::make_unique<ast::WindowDefinition>(Window(f->over));
  out->star = f->agg_star;
  out->distinct = f->agg_distinct;
  out->variadic = f->func_variadic;
  out->within_group = f->agg_within_group;
  out->sql_syntax = f->funcformat == PG_QUERY__COERCION_FORM__COERCE_SQL_SYNTAX;
  return out;
}

ast::TypeName Converter::Type(const PgQuery__TypeName* t) {
  ast::TypeName out;
  if (t == nullptr) return out;
  out.names = Strings(t->n_names, t->names);
  out.modifiers = Expressions(t->n_typmods, t->typmods);
  out.array_dimensions = static_cast<int>(t->n_array_bounds);
  out.setof = t->setof;
  out.percent_type = t->pct_type;
  out.position = At(t->location);
  return out;
}

ast::ExprPtr Converter::TypeCast(const PgQuery__TypeCast* c) {
  // The position of `'x'::type` is that of the operator or, for `type 'x'`, of the type.
  auto out = Make<ast::TypeCast>(At(c->location));
  out->arg = Expression(c->arg);
  out->type = Type(c->type_name);
  return out;
}

ast::ExprPtr Converter::CaseExpr(const PgQuery__CaseExpr* c) {
  auto out = Make<ast::Case>(At(c->location));
  out->arg = Expression(c->arg);
  for (size_t i = 0; i < c->n_args; ++i) {
    const PgQuery__CaseWhen* w = c->args[i]->case_when;
    out->whens.push_back({Expression(w->expr), Expression(w->result), At(w->location)});
  }
  out->otherwise = Expression(c->defresult);
  return out;
}

ast::ExprPtr Converter::SubLink(const PgQuery__SubLink* s) {
  auto out = Make<ast::Subquery>(At(s->location));
  switch (s->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: out->subquery = ast::SubqueryKind::kExists; break;
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK: out->subquery = ast::SubqueryKind::kAny; break;
    case PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK: out->subquery = ast::SubqueryKind::kAll; break;
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK: out->subquery = ast::SubqueryKind::kScalar; break;
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: out->subquery = ast::SubqueryKind::kArray; break;
    default: Unsupported("this kind of subquery", out->position);
  }
  out->test = Expression(s->testexpr);
  out->operator_ = Strings(s->n_oper_name, s->oper_name);
  out->select = SelectNode(s->subselect);
  return out;
}

ast::ExprPtr Converter::Indirection(ast::ExprPtr base, size_t n, Node** items) {
  for (size_t i = 0; i < n; ++i) {
    const int at = base ? base->position : 0;
    if (items[i]->node_case == PG_QUERY__NODE__NODE_A_INDICES) {
      const PgQuery__AIndices* x = items[i]->a_indices;
      auto s = Make<ast::Subscript>(at);
      s->slice = x->is_slice;
      s->low = Expression(x->lidx);
      s->high = Expression(x->uidx);
      s->base = std::move(base);
      base = std::move(s);
    } else {
      auto f = Make<ast::FieldSelect>(at);
      f->star = items[i]->node_case == PG_QUERY__NODE__NODE_A_STAR;
      if (!f->star) f->field = StringOf(items[i]);
      f->base = std::move(base);
      base = std::move(f);
    }
  }
  return base;
}

ast::ExprPtr Converter::SqlValue(const PgQuery__SQLValueFunction* f) {
  auto out = Make<ast::SqlValue>(At(f->location));
  bool precision = false;
  switch (f->op) {
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE: out->name = "current_date"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N: precision = true; [[fallthrough]];
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME: out->name = "current_time"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N: precision = true; [[fallthrough]];
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP: out->name = "current_timestamp"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N: precision = true; [[fallthrough]];
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME: out->name = "localtime"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N: precision = true; [[fallthrough]];
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP: out->name = "localtimestamp"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE: out->name = "current_role"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER: out->name = "current_user"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER: out->name = "user"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER: out->name = "session_user"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG: out->name = "current_catalog"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA: out->name = "current_schema"; break;
    default: Unsupported("this value function", out->position);
  }
  if (precision) out->precision = f->typmod;
  return out;
}

ast::ExprPtr Converter::GroupingSet(const PgQuery__GroupingSet* g) {
  auto out = Make<ast::GroupingSet>(At(g->location));
  switch (g->kind) {
    case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_EMPTY: out->set = ast::GroupingSetKind::kEmpty; break;
    case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_SIMPLE: out->set = ast::GroupingSetKind::kSimple; break;
    case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_ROLLUP: out->set = ast::GroupingSetKind::kRollup; break;
    case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_CUBE: out->set = ast::GroupingSetKind::kCube; break;
    default: out->set = ast::GroupingSetKind::kSets; break;
  }
  out->content = Expressions(g->n_content, g->content);
  return out;
}

ast::ExprPtr Converter::MultiAssign(const PgQuery__MultiAssignRef* m) {
  auto out = Make<ast::MultiAssign>(0);
  out->column = m->colno;
  out->columns = m->ncolumns;
  if (m->colno == 1) out->source = Expression(m->source);
  return out;
}

ast::SortItem Converter::Sort(const Node* node) {
  ast::SortItem out;
  if (node->node_case != PG_QUERY__NODE__NODE_SORT_BY) {
    out.expr = Expression(node);
    return out;
  }
  const PgQuery__SortBy* s = node->sort_by;
  out.expr = Expression(s->node);
  switch (s->sortby_dir) {
    case PG_QUERY__SORT_BY_DIR__SORTBY_ASC: out.direction = ast::SortDirection::kAscending; break;
    case PG_QUERY__SORT_BY_DIR__SORTBY_DESC: out.direction = ast::SortDirection::kDescending; break;
    case PG_QUERY__SORT_BY_DIR__SORTBY_USING: out.direction = ast::SortDirection::kUsing; break;
    default: break;
  }
  if (s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST) out.nulls = ast::NullsOrder::kFirst;
  if (s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST) out.nulls = ast::NullsOrder::kLast;
  out.using_operator = Strings(s->n_use_op, s->use_op);
  out.position = out.expr ? ast::LeftmostPosition(*out.expr) : At(s->location);
  return out;
}

ast::WindowDefinition Converter::Window(const PgQuery__WindowDef* w) {
  // PostgreSQL's FRAMEOPTION_* bits (nodes/parsenodes.h).
  enum : int {
    kNonDefault = 0x1, kRange = 0x2, kRows = 0x4, kGroups = 0x8, kStartUnboundedPreceding = 0x20,
    kEndUnboundedPreceding = 0x40, kStartUnboundedFollowing = 0x80, kEndUnboundedFollowing = 0x100, kStartCurrent = 0x200,
    kEndCurrent = 0x400, kStartPreceding = 0x800, kEndPreceding = 0x1000, kStartFollowing = 0x2000, kEndFollowing = 0x4000,
    kExcludeCurrent = 0x8000, kExcludeGroup = 0x10000, kExcludeTies = 0x20000,
  };
  ast::WindowDefinition out;
  out.name = w->name;
  out.base_name = w->refname;
  out.partition_by = Expressions(w->n_partition_clause, w->partition_clause);
  out.order_by = Sorts(w->n_order_clause, w->order_clause);
  const int f = w->frame_options;
  out.has_frame = (f & kNonDefault) != 0;
  out.mode = (f & kRows) ? ast::FrameMode::kRows : (f & kGroups) ? ast::FrameMode::kGroups : ast::FrameMode::kRange;
  out.start = (f & kStartUnboundedFollowing) ? ast::FrameBound::kUnboundedFollowing
              : (f & kStartCurrent)          ? ast::FrameBound::kCurrentRow
              : (f & kStartPreceding)        ? ast::FrameBound::kPreceding
              : (f & kStartFollowing)        ? ast::FrameBound::kFollowing
                                             : ast::FrameBound::kUnboundedPreceding;
  out.end = (f & kEndUnboundedPreceding)   ? ast::FrameBound::kUnboundedPreceding
            : (f & kEndUnboundedFollowing) ? ast::FrameBound::kUnboundedFollowing
            : (f & kEndPreceding)          ? ast::FrameBound::kPreceding
            : (f & kEndFollowing)          ? ast::FrameBound::kFollowing
                                           : ast::FrameBound::kCurrentRow;
  out.exclusion = (f & kExcludeCurrent) ? ast::FrameExclusion::kCurrentRow
                  : (f & kExcludeGroup) ? ast::FrameExclusion::kGroup
                  : (f & kExcludeTies)  ? ast::FrameExclusion::kTies
                                        : ast::FrameExclusion::kNone;
  out.start_offset = Expression(w->start_offset);
  out.end_offset = Expression(w->end_offset);
  out.position = At(w->location);
  return out;
}

ast::ExprPtr Converter::Expression(const Node* node) {
  if (node == nullptr) return nullptr;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
      return Constant(node->a_const);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return ColumnRef(node->column_ref);
    case PG_QUERY__NODE__NODE_PARAM_REF: {
      auto out = Make<ast::Parameter>(At(node->param_ref->location));
      out->number = node->param_ref->number;
      max_parameter_ = std::max(max_parameter_, out->number);
      return out;
    }
    case PG_QUERY__NODE__NODE_A_EXPR:
      return AExpr(node->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
      return BoolExpr(node->bool_expr);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return FuncCall(node->func_call);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
      return TypeCast(node->type_cast);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
      return CaseExpr(node->case_expr);
    case PG_QUERY__NODE__NODE_SUB_LINK:
      return SubLink(node->sub_link);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
      return SqlValue(node->sqlvalue_function);
    case PG_QUERY__NODE__NODE_GROUPING_SET:
      return GroupingSet(node->grouping_set);
    case PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF:
      return MultiAssign(node->multi_assign_ref);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: {
      auto out = Make<ast::Coalesce>(At(node->coalesce_expr->location));
      out->args = Expressions(node->coalesce_expr->n_args, node->coalesce_expr->args);
      return out;
    }
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: {
      auto out = Make<ast::MinMax>(At(node->min_max_expr->location));
      out->greatest = node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
      out->args = Expressions(node->min_max_expr->n_args, node->min_max_expr->args);
      return out;
    }
    case PG_QUERY__NODE__NODE_NULL_TEST: {
      auto out = Make<ast::NullTest>(At(node->null_test->location));
      out->arg = Expression(node->null_test->arg);
      out->negated = node->null_test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL;
      return out;
    }
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: {
      auto out = Make<ast::BooleanTest>(At(node->boolean_test->location));
      out->arg = Expression(node->boolean_test->arg);
      // The enumerations have the same order; the other one starts with an undefined value.
      out->test = static_cast<ast::BooleanTestKind>(node->boolean_test->booltesttype - 1);
      return out;
    }
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: {
      auto out = Make<ast::Array>(At(node->a_array_expr->location));
      out->elements = Expressions(node->a_array_expr->n_elements, node->a_array_expr->elements);
      return out;
    }
    case PG_QUERY__NODE__NODE_ROW_EXPR: {
      auto out = Make<ast::Row>(At(node->row_expr->location));
      out->args = Expressions(node->row_expr->n_args, node->row_expr->args);
      out->explicit_row = node->row_expr->row_format == PG_QUERY__COERCION_FORM__COERCE_EXPLICIT_CALL;
      return out;
    }
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
      return Indirection(Expression(node->a_indirection->arg), node->a_indirection->n_indirection, node->a_indirection->indirection);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: {
      auto out = Make<ast::Collate>(At(node->collate_clause->location));
      out->arg = Expression(node->collate_clause->arg);
      out->collation = Strings(node->collate_clause->n_collname, node->collate_clause->collname);
      return out;
    }
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT:
      return Make<ast::Default>(At(node->set_to_default->location));
    case PG_QUERY__NODE__NODE_NAMED_ARG_EXPR: {
      auto out = Make<ast::NamedArgument>(At(node->named_arg_expr->location));
      out->name = node->named_arg_expr->name;
      out->arg = Expression(node->named_arg_expr->arg);
      return out;
    }
    case PG_QUERY__NODE__NODE_GROUPING_FUNC: {
      auto out = Make<ast::Grouping>(At(node->grouping_func->location));
      out->args = Expressions(node->grouping_func->n_args, node->grouping_func->args);
      return out;
    }
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR: {
      auto out = Make<ast::CurrentOf>(0);
      out->cursor = node->current_of_expr->cursor_name;
      return out;
    }
    case PG_QUERY__NODE__NODE_XML_EXPR:
      Unsupported("XML", At(node->xml_expr->location));
      break;
    case PG_QUERY__NODE__NODE_XML_SERIALIZE:
      Unsupported("XML", At(node->xml_serialize->location));
      break;
    case PG_QUERY__NODE__NODE_LIST: {  // a row on the right of (a, b) = ANY …, or an element of GROUP BY
      auto out = Make<ast::Row>(0);
      out->args = Expressions(node->list->n_items, node->list->items);
      return out;
    }
    default:
      Unsupported("this expression");
  }
  return Make<ast::Constant>(0);
}

}  // namespace insula::sql
