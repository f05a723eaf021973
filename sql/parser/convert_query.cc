// SELECT, INSERT, UPDATE, DELETE of libpg_query's tree → ours.
#include "base/strings.h"
#include "sql/parser/convert.h"

namespace insula::sql {

ast::RelationName Converter::Relation(const PgQuery__RangeVar* r) {
  return {r->catalogname, r->schemaname, r->relname, At(r->location)};
}

std::vector<ast::RelationName> Converter::Relations(size_t n, Node** nodes) {
  std::vector<ast::RelationName> out;
  for (size_t i = 0; i < n; ++i) out.push_back(Relation(nodes[i]->range_var));
  return out;
}

ast::Alias Converter::AliasOf(const PgQuery__Alias* a) {
  if (a == nullptr) return {};
  return {a->aliasname, Strings(a->n_colnames, a->colnames)};
}

std::vector<ast::FromPtr> Converter::FromList(size_t n, Node** nodes) {
  std::vector<ast::FromPtr> out;
  for (size_t i = 0; i < n; ++i) {
    if (ast::FromPtr f = From(nodes[i])) out.push_back(std::move(f));
  }
  return out;
}

ast::FromPtr Converter::FromJoin(const PgQuery__JoinExpr* j) {
  auto out = std::make_unique<ast::FromJoin>();
  out->alias = AliasOf(j->alias);
  out->left = From(j->larg);
  out->right = From(j->rarg);
  out->natural = j->is_natural;
  out->using_columns = Strings(j->n_using_clause, j->using_clause);
  if (j->join_using_alias != nullptr) out->using_alias = j->join_using_alias->aliasname;
  out->condition = Expression(j->quals);
  switch (j->jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT: out->join = ast::JoinKind::kLeft; break;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT: out->join = ast::JoinKind::kRight; break;
    case PG_QUERY__JOIN_TYPE__JOIN_FULL: out->join = ast::JoinKind::kFull; break;
    default:
      out->join = !out->condition && !out->natural && out->using_columns.empty() ? ast::JoinKind::kCross : ast::JoinKind::kInner;
  }
  if (!out->left || !out->right) return nullptr;
  return out;
}

ast::FromPtr Converter::FromFunction(const PgQuery__RangeFunction* f) {
  auto out = std::make_unique<ast::FromFunction>();
  out->alias = AliasOf(f->alias);
  out->lateral = f->lateral;
  out->ordinality = f->ordinality;
  out->rows_from = f->is_rowsfrom;
  for (size_t i = 0; i < f->n_functions; ++i) {
    const PgQuery__List* pair = f->functions[i]->list;  // (call, column definitions or nothing)
    ast::TableFunction t;
    t.call = Expression(pair->items[0]);
    if (pair->n_items > 1 && pair->items[1]->node_case == PG_QUERY__NODE__NODE_LIST) {
      const PgQuery__List* columns = pair->items[1]->list;
      for (size_t c = 0; c < columns->n_items; ++c) {
        t.columns.push_back(std::make_unique<ast::ColumnDefinition>(Column(columns->items[c]->column_def)));
      }
    }
    out->functions.push_back(std::move(t));
  }
  if (f->n_coldeflist > 0 && !out->functions.empty()) {
    for (size_t c = 0; c < f->n_coldeflist; ++c) {
      out->functions[0].columns.push_back(std::make_unique<ast::ColumnDefinition>(Column(f->coldeflist[c]->column_def)));
    }
  }
  if (!out->functions.empty()) out->position = out->functions[0].call->position;
  return out;
}

ast::FromPtr Converter::From(const Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: {
      auto out = std::make_unique<ast::FromTable>();
      out->table = Relation(node->range_var);
      out->only = !node->range_var->inh;
      out->alias = AliasOf(node->range_var->alias);
      out->position = out->table.position;
      return out;
    }
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: {
      auto out = std::make_unique<ast::FromSubquery>();
      out->select = SelectNode(node->range_subselect->subquery);
      out->lateral = node->range_subselect->lateral;
      out->alias = AliasOf(node->range_subselect->alias);
      return out;
    }
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
      return FromJoin(node->join_expr);
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
      return FromFunction(node->range_function);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
      Unsupported("TABLESAMPLE", At(node->range_table_sample->location));
      return nullptr;
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC:
      Unsupported("XMLTABLE", At(node->range_table_func->location));
      return nullptr;
    default:
      Unsupported("this item in FROM");
      return nullptr;
  }
}

std::vector<ast::SelectItem> Converter::Items(size_t n, Node** nodes) {
  std::vector<ast::SelectItem> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const PgQuery__ResTarget* r = nodes[i]->res_target;
    out.push_back({r->name, Expression(r->val), At(r->location)});
  }
  return out;
}

std::vector<ast::Assignment> Converter::Assignments(size_t n, Node** nodes) {
  std::vector<ast::Assignment> out;
  for (size_t i = 0; i < n; ++i) {
    const PgQuery__ResTarget* r = nodes[i]->res_target;
    ast::Assignment a;
    a.column = r->name;
    for (size_t k = 0; k < r->n_indirection; ++k) a.indirection.push_back(Indirection(nullptr, 1, r->indirection + k));
    a.value = Expression(r->val);
    a.position = At(r->location);
    out.push_back(std::move(a));
  }
  return out;
}

ast::With Converter::With(const PgQuery__WithClause* w) {
  ast::With out;
  if (w == nullptr) return out;
  out.recursive = w->recursive;
  out.position = At(w->location);
  for (size_t i = 0; i < w->n_ctes; ++i) {
    const PgQuery__CommonTableExpr* c = w->ctes[i]->common_table_expr;
    ast::Cte cte;
    cte.name = c->ctename;
    cte.columns = Strings(c->n_aliascolnames, c->aliascolnames);
    if (c->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeAlways) cte.materialize = ast::CteMaterialize::kAlways;
    if (c->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeNever) cte.materialize = ast::CteMaterialize::kNever;
    cte.query = Statement(c->ctequery);
    cte.has_search = c->search_clause != nullptr;
    cte.has_cycle = c->cycle_clause != nullptr;
    cte.position = At(c->location);
    out.ctes.push_back(std::move(cte));
  }
  return out;
}

ast::IntoClause Converter::Into(const PgQuery__IntoClause* i) {
  ast::IntoClause out;
  out.relation = Relation(i->rel);
  if (i->rel->relpersistence[0] != 0) out.persistence = i->rel->relpersistence[0];
  out.columns = Strings(i->n_col_names, i->col_names);
  out.with_data = !i->skip_data;
  return out;
}

ast::LockingClause Converter::Locking(const PgQuery__LockingClause* l) {
  ast::LockingClause out;
  out.relations = Relations(l->n_locked_rels, l->locked_rels);
  switch (l->strength) {
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORKEYSHARE: out.strength = ast::LockStrength::kKeyShare; break;
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORSHARE: out.strength = ast::LockStrength::kShare; break;
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE: out.strength = ast::LockStrength::kNoKeyUpdate; break;
    default: break;
  }
  if (l->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitSkip) out.wait = ast::LockWait::kSkip;
  if (l->wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitError) out.wait = ast::LockWait::kError;
  return out;
}

std::unique_ptr<ast::SelectStatement> Converter::SelectNode(const Node* node) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    Unsupported("a data-modifying subquery");
    return std::make_unique<ast::SelectStatement>();
  }
  return Select(node->select_stmt);
}

std::unique_ptr<ast::SelectStatement> Converter::Select(const PgQuery__SelectStmt* s) {
  auto out = std::make_unique<ast::SelectStatement>();
  if (s->n_distinct_clause > 0) {
    out->distinct = true;
    // Plain DISTINCT is a list with one empty node.
    for (size_t i = 0; i < s->n_distinct_clause; ++i) {
      if (s->distinct_clause[i] != nullptr && s->distinct_clause[i]->node_case != PG_QUERY__NODE__NODE__NOT_SET) {
        out->distinct_on.push_back(Expression(s->distinct_clause[i]));
      }
    }
  }
  if (s->into_clause != nullptr) out->into = std::make_unique<ast::IntoClause>(Into(s->into_clause));
  out->items = Items(s->n_target_list, s->target_list);
  out->from = FromList(s->n_from_clause, s->from_clause);
  out->where = Expression(s->where_clause);
  out->group_by = Expressions(s->n_group_clause, s->group_clause);
  out->group_distinct = s->group_distinct;
  out->having = Expression(s->having_clause);
  for (size_t i = 0; i < s->n_window_clause; ++i) out->windows.push_back(Window(s->window_clause[i]->window_def));
  for (size_t i = 0; i < s->n_values_lists; ++i) {
    out->values.push_back(Expressions(s->values_lists[i]->list->n_items, s->values_lists[i]->list->items));
  }
  out->order_by = Sorts(s->n_sort_clause, s->sort_clause);
  out->offset = Expression(s->limit_offset);
  out->limit = Expression(s->limit_count);
  out->with_ties = s->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES;
  for (size_t i = 0; i < s->n_locking_clause; ++i) out->locking.push_back(Locking(s->locking_clause[i]->locking_clause));
  out->with = With(s->with_clause);
  switch (s->op) {
    case PG_QUERY__SET_OPERATION__SETOP_UNION: out->set_operation = ast::SetOperation::kUnion; break;
    case PG_QUERY__SET_OPERATION__SETOP_INTERSECT: out->set_operation = ast::SetOperation::kIntersect; break;
    case PG_QUERY__SET_OPERATION__SETOP_EXCEPT: out->set_operation = ast::SetOperation::kExcept; break;
    default: break;
  }
  if (out->set_operation != ast::SetOperation::kNone) {
    out->all = s->all;
    out->left = Select(s->larg);
    out->right = Select(s->rarg);
  }
  return out;
}

ast::OnConflict Converter::Conflict(const PgQuery__OnConflictClause* c) {
  ast::OnConflict out;
  if (c == nullptr) return out;
  out.action = c->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE ? ast::ConflictAction::kUpdate : ast::ConflictAction::kNothing;
  out.position = At(c->location);
  if (c->infer != nullptr) {
    out.constraint = c->infer->conname;
    out.index_where = Expression(c->infer->where_clause);
    for (size_t i = 0; i < c->infer->n_index_elems; ++i) {
      const PgQuery__IndexElem* e = c->infer->index_elems[i]->index_elem;
      out.elements.push_back({e->name, Expression(e->expr), Strings(e->n_collation, e->collation), Strings(e->n_opclass, e->opclass)});
    }
  }
  out.set = Assignments(c->n_target_list, c->target_list);
  out.where = Expression(c->where_clause);
  return out;
}

ast::StatementPtr Converter::Insert(const PgQuery__InsertStmt* s) {
  auto out = std::make_unique<ast::InsertStatement>();
  out->with = With(s->with_clause);
  out->table = Relation(s->relation);
  out->alias = AliasOf(s->relation->alias).name;
  out->columns = Assignments(s->n_cols, s->cols);
  if (s->select_stmt != nullptr) out->source = SelectNode(s->select_stmt);
  out->on_conflict = Conflict(s->on_conflict_clause);
  out->returning = Items(s->n_returning_list, s->returning_list);
  if (s->override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_USER_VALUE) out->overriding = ast::Overriding::kUser;
  if (s->override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_SYSTEM_VALUE) out->overriding = ast::Overriding::kSystem;
  return out;
}

ast::StatementPtr Converter::Update(const PgQuery__UpdateStmt* s) {
  auto out = std::make_unique<ast::UpdateStatement>();
  out->with = With(s->with_clause);
  out->table = Relation(s->relation);
  out->alias = AliasOf(s->relation->alias).name;
  out->only = !s->relation->inh;
  out->set = Assignments(s->n_target_list, s->target_list);
  out->from = FromList(s->n_from_clause, s->from_clause);
  out->where = Expression(s->where_clause);
  out->returning = Items(s->n_returning_list, s->returning_list);
  return out;
}

ast::StatementPtr Converter::Delete(const PgQuery__DeleteStmt* s) {
  auto out = std::make_unique<ast::DeleteStatement>();
  out->with = With(s->with_clause);
  out->table = Relation(s->relation);
  out->alias = AliasOf(s->relation->alias).name;
  out->only = !s->relation->inh;
  out->using_ = FromList(s->n_using_clause, s->using_clause);
  out->where = Expression(s->where_clause);
  out->returning = Items(s->n_returning_list, s->returning_list);
  return out;
}

}  // namespace insula::sql
