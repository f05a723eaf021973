// Session, transaction and cursor statements of libpg_query's tree → ours; the dispatch over all statements.
#include <optional>

#include "base/strings.h"
#include "sql/parser/convert.h"

namespace insula::sql {
namespace {

// The modes' names within transaction statements.
constexpr std::string_view kIsolation = "transaction_isolation", kReadOnly = "transaction_read_only",
                           kDeferrable = "transaction_deferrable";

}  // namespace

PositionMap::PositionMap(std::string_view sql) {
  for (char c : sql) ascii_ = ascii_ && static_cast<unsigned char>(c) < 0x80;
  if (ascii_) return;
  positions_.reserve(sql.size() + 1);
  int characters = 0;
  for (char c : sql) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++characters;  // not a continuation byte
    positions_.push_back(characters);
  }
  positions_.push_back(characters + 1);
}

int PositionMap::At(int byte_offset) const {
  if (byte_offset < 0) return 0;
  if (ascii_) return byte_offset + 1;
  return static_cast<size_t>(byte_offset) < positions_.size() ? positions_[byte_offset] : positions_.back();
}

void Converter::Unsupported(std::string_view feature, int position) {
  if (!unsupported_.empty()) return;
  unsupported_ = feature;
  unsupported_position_ = position;
}

std::string Converter::StringOf(const Node* node) {
  if (node == nullptr) return "";
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_STRING: return node->string->sval;
    case PG_QUERY__NODE__NODE_INTEGER: return StrCat(node->integer->ival);
    case PG_QUERY__NODE__NODE_FLOAT: return node->float_->fval;
    case PG_QUERY__NODE__NODE_BOOLEAN: return node->boolean->boolval ? "true" : "false";
    case PG_QUERY__NODE__NODE_ROLE_SPEC: return node->role_spec->rolename;
    case PG_QUERY__NODE__NODE_RANGE_VAR: return node->range_var->relname;
    case PG_QUERY__NODE__NODE_TYPE_NAME: {
      auto names = Strings(node->type_name->n_names, node->type_name->names);
      return names.empty() ? "" : names.back();
    }
    case PG_QUERY__NODE__NODE_A_CONST:
      if (node->a_const->isnull) return "";
      switch (node->a_const->val_case) {
        case PG_QUERY__A__CONST__VAL_IVAL: return StrCat(node->a_const->ival->ival);
        case PG_QUERY__A__CONST__VAL_FVAL: return node->a_const->fval->fval;
        case PG_QUERY__A__CONST__VAL_BOOLVAL: return node->a_const->boolval->boolval ? "true" : "false";
        case PG_QUERY__A__CONST__VAL_SVAL: return node->a_const->sval->sval;
        case PG_QUERY__A__CONST__VAL_BSVAL: return node->a_const->bsval->bsval;
        default: return "";
      }
    case PG_QUERY__NODE__NODE_TYPE_CAST:  // SET TIME ZONE INTERVAL '1' HOUR
      return StringOf(node->type_cast->arg);
    default: return "";
  }
}

std::vector<std::string> Converter::Strings(size_t n, Node** nodes) {
  std::vector<std::string> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(StringOf(nodes[i]));
  return out;
}

ast::Option Converter::OptionOf(const PgQuery__DefElem* d) {
  ast::Option out;
  out.schema = d->defnamespace;
  out.name = d->defname;
  out.position = At(d->location);
  if (d->arg == nullptr) return out;
  switch (d->arg->node_case) {
    case PG_QUERY__NODE__NODE_A_STAR:
      out.star = true;
      break;
    case PG_QUERY__NODE__NODE_LIST:
      out.list = Strings(d->arg->list->n_items, d->arg->list->items);
      break;
    default:
      out.quoted = d->arg->node_case == PG_QUERY__NODE__NODE_STRING;
      out.value = StringOf(d->arg);
  }
  return out;
}

std::vector<ast::Option> Converter::Options(size_t n, Node** nodes) {
  std::vector<ast::Option> out;
  for (size_t i = 0; i < n; ++i) {
    if (nodes[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM) out.push_back(OptionOf(nodes[i]->def_elem));
  }
  return out;
}

ast::RoleName Converter::Role(const PgQuery__RoleSpec* r) {
  ast::RoleName out;
  if (r == nullptr) return out;
  out.name = r->rolename;
  out.position = At(r->location);
  switch (r->roletype) {
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE: out.kind = ast::RoleKind::kCurrentRole; break;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER: out.kind = ast::RoleKind::kCurrentUser; break;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER: out.kind = ast::RoleKind::kSessionUser; break;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC: out.kind = ast::RoleKind::kPublic; break;
    default: break;
  }
  return out;
}

std::vector<ast::RoleName> Converter::Roles(size_t n, Node** nodes) {
  std::vector<ast::RoleName> out;
  for (size_t i = 0; i < n; ++i) out.push_back(Role(nodes[i]->role_spec));
  return out;
}

ast::TransactionModes Converter::Modes(size_t n, Node** options) {
  ast::TransactionModes out;
  for (const ast::Option& o : Options(n, options)) {
    if (o.name == kIsolation) out.isolation = o.value;
    if (o.name == kReadOnly) out.read_only = o.AsInteger() != 0;
    if (o.name == kDeferrable) out.deferrable = o.AsInteger() != 0;
  }
  return out;
}

ast::StatementPtr Converter::Transaction(const PgQuery__TransactionStmt* s) {
  using A = ast::TransactionAction;
  auto out = std::make_unique<ast::TransactionStatement>();
  switch (s->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: out->action = A::kStart; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: out->action = A::kCommit; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK: out->action = A::kRollback; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT: out->action = A::kSavepoint; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE: out->action = A::kRelease; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO: out->action = A::kRollbackTo; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE: out->action = A::kPrepare; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED: out->action = A::kCommitPrepared; break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED: out->action = A::kRollbackPrepared; break;
    default: out->action = A::kBegin;
  }
  out->modes = Modes(s->n_options, s->options);
  out->savepoint = s->savepoint_name;
  out->gid = s->gid;
  out->chain = s->chain;
  return out;
}

ast::StatementPtr Converter::Set(const PgQuery__VariableSetStmt* s) {
  auto out = std::make_unique<ast::SetStatement>();
  out->name = s->name;
  out->local = s->is_local;
  switch (s->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT: out->action = ast::SetAction::kDefault; break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT: out->action = ast::SetAction::kCurrent; break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET: out->action = ast::SetAction::kReset; break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL: out->action = ast::SetAction::kResetAll; break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
      out->action = out->name == "SESSION CHARACTERISTICS" ? ast::SetAction::kSessionCharacteristics : ast::SetAction::kTransaction;
      if (out->name == "TRANSACTION SNAPSHOT") {
        if (s->n_args > 0) out->snapshot = StringOf(s->args[0]);
      } else {
        out->modes = Modes(s->n_args, s->args);
      }
      break;
    default:
      out->values = Strings(s->n_args, s->args);
  }
  return out;
}

ast::StatementPtr Converter::Explain(const PgQuery__ExplainStmt* s) {
  auto out = std::make_unique<ast::ExplainStatement>();
  out->query = Statement(s->query);
  out->options = Options(s->n_options, s->options);
  return out;
}

ast::StatementPtr Converter::DeclareCursor(const PgQuery__DeclareCursorStmt* s) {
  // PostgreSQL's CURSOR_OPT_* bits.
  enum : int { kBinary = 1, kScroll = 2, kNoScroll = 4, kInsensitive = 8, kHold = 32 };
  auto out = std::make_unique<ast::DeclareCursorStatement>();
  out->name = s->portalname;
  out->binary = s->options & kBinary;
  out->scroll = s->options & kScroll;
  out->no_scroll = s->options & kNoScroll;
  out->insensitive = s->options & kInsensitive;
  out->hold = s->options & kHold;
  out->query = Statement(s->query);
  return out;
}

ast::StatementPtr Converter::Fetch(const PgQuery__FetchStmt* s) {
  auto out = std::make_unique<ast::FetchStatement>();
  out->cursor = s->portalname;
  out->count = s->how_many;
  out->move = s->ismove;
  switch (s->direction) {
    case PG_QUERY__FETCH_DIRECTION__FETCH_BACKWARD: out->direction = ast::FetchDirection::kBackward; break;
    case PG_QUERY__FETCH_DIRECTION__FETCH_ABSOLUTE: out->direction = ast::FetchDirection::kAbsolute; break;
    case PG_QUERY__FETCH_DIRECTION__FETCH_RELATIVE: out->direction = ast::FetchDirection::kRelative; break;
    default: break;
  }
  return out;
}

ast::StatementPtr Converter::Copy(const PgQuery__CopyStmt* s) {
  auto out = std::make_unique<ast::CopyStatement>();
  if (s->relation != nullptr) out->table = Relation(s->relation);
  if (s->query != nullptr) out->query = Statement(s->query);
  out->columns = Strings(s->n_attlist, s->attlist);
  out->from = s->is_from;
  out->program = s->is_program;
  out->filename = s->filename;
  out->options = Options(s->n_options, s->options);
  out->where = Expression(s->where_clause);
  return out;
}

ast::StatementPtr Converter::Vacuum(const PgQuery__VacuumStmt* s) {
  auto out = std::make_unique<ast::VacuumStatement>();
  out->vacuum = s->is_vacuumcmd;
  out->options = Options(s->n_options, s->options);
  out->analyze = !out->vacuum;
  if (const ast::Option* o = ast::FindOption(out->options, "analyze")) out->analyze = o->AsBool().value_or(true);
  for (size_t i = 0; i < s->n_rels; ++i) {
    const PgQuery__VacuumRelation* r = s->rels[i]->vacuum_relation;
    out->targets.push_back({Relation(r->relation), Strings(r->n_va_cols, r->va_cols)});
  }
  return out;
}

ast::StatementPtr Converter::Do(const PgQuery__DoStmt* s) {
  auto out = std::make_unique<ast::DoStatement>();
  out->language = "plpgsql";
  for (const ast::Option& o : Options(s->n_args, s->args)) {
    if (o.name == "as") out->body = o.value.value_or("");
    if (o.name == "language") out->language = o.value.value_or("");
  }
  return out;
}

ast::StatementPtr Converter::OtherUtility(const Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT: {
      auto out = std::make_unique<ast::ShowStatement>();
      out->name = node->variable_show_stmt->name;
      return out;
    }
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT: {
      auto out = std::make_unique<ast::SetConstraintsStatement>();
      out->constraints = Relations(node->constraints_set_stmt->n_constraints, node->constraints_set_stmt->constraints);
      out->deferred = node->constraints_set_stmt->deferred;
      return out;
    }
    case PG_QUERY__NODE__NODE_DISCARD_STMT: {
      auto out = std::make_unique<ast::DiscardStatement>();
      out->target = static_cast<ast::DiscardTarget>(node->discard_stmt->target - 1);  // same order, after an undefined value
      return out;
    }
    case PG_QUERY__NODE__NODE_PREPARE_STMT: {
      auto out = std::make_unique<ast::PrepareStatement>();
      out->name = node->prepare_stmt->name;
      for (size_t i = 0; i < node->prepare_stmt->n_argtypes; ++i) out->types.push_back(Type(node->prepare_stmt->argtypes[i]->type_name));
      out->query = Statement(node->prepare_stmt->query);
      return out;
    }
    case PG_QUERY__NODE__NODE_EXECUTE_STMT: {
      auto out = std::make_unique<ast::ExecuteStatement>();
      out->name = node->execute_stmt->name;
      out->args = Expressions(node->execute_stmt->n_params, node->execute_stmt->params);
      return out;
    }
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT: {
      auto out = std::make_unique<ast::DeallocateStatement>();
      out->name = node->deallocate_stmt->name;
      return out;
    }
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT: {
      auto out = std::make_unique<ast::CloseCursorStatement>();
      out->cursor = node->close_portal_stmt->portalname;
      return out;
    }
    case PG_QUERY__NODE__NODE_LOCK_STMT: {
      auto out = std::make_unique<ast::LockStatement>();
      out->tables = Relations(node->lock_stmt->n_relations, node->lock_stmt->relations);
      out->mode = node->lock_stmt->mode;
      out->nowait = node->lock_stmt->nowait;
      return out;
    }
    case PG_QUERY__NODE__NODE_LISTEN_STMT: {
      auto out = std::make_unique<ast::ListenStatement>();
      out->channel = node->listen_stmt->conditionname;
      return out;
    }
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT: {
      auto out = std::make_unique<ast::UnlistenStatement>();
      out->channel = node->unlisten_stmt->conditionname;
      return out;
    }
    case PG_QUERY__NODE__NODE_NOTIFY_STMT: {
      auto out = std::make_unique<ast::NotifyStatement>();
      out->channel = node->notify_stmt->conditionname;
      out->payload = node->notify_stmt->payload;
      return out;
    }
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
      return std::make_unique<ast::CheckpointStatement>();
    case PG_QUERY__NODE__NODE_CALL_STMT: {
      auto out = std::make_unique<ast::CallStatement>();
      out->call = FuncCall(node->call_stmt->funccall);
      return out;
    }
    default:
      return nullptr;
  }
}

ast::StatementPtr Converter::Statement(const Node* node) {
  ast::StatementPtr out;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT: return Select(node->select_stmt);
    case PG_QUERY__NODE__NODE_INSERT_STMT: return Insert(node->insert_stmt);
    case PG_QUERY__NODE__NODE_UPDATE_STMT: return Update(node->update_stmt);
    case PG_QUERY__NODE__NODE_DELETE_STMT: return Delete(node->delete_stmt);
    case PG_QUERY__NODE__NODE_CREATE_STMT: return CreateTable(node->create_stmt);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return CreateTableAs(node->create_table_as_stmt);
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return AlterTable(node->alter_table_stmt);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return Rename(node->rename_stmt);
    case PG_QUERY__NODE__NODE_DROP_STMT: return Drop(node->drop_stmt);
    case PG_QUERY__NODE__NODE_INDEX_STMT: return CreateIndex(node->index_stmt);
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: return CreateSchema(node->create_schema_stmt);
    case PG_QUERY__NODE__NODE_VIEW_STMT: return CreateView(node->view_stmt);
    case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT: return CreateRole(node->create_role_stmt);
    case PG_QUERY__NODE__NODE_GRANT_STMT: return Grant(node->grant_stmt);
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT: return GrantRole(node->grant_role_stmt);
    case PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT: return Grant(node->alter_default_privileges_stmt->action);
    case PG_QUERY__NODE__NODE_COMMENT_STMT: return Comment(node->comment_stmt);
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT: return Transaction(node->transaction_stmt);
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT: return Set(node->variable_set_stmt);
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT: return Explain(node->explain_stmt);
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT: return DeclareCursor(node->declare_cursor_stmt);
    case PG_QUERY__NODE__NODE_FETCH_STMT: return Fetch(node->fetch_stmt);
    case PG_QUERY__NODE__NODE_COPY_STMT: return Copy(node->copy_stmt);
    case PG_QUERY__NODE__NODE_VACUUM_STMT: return Vacuum(node->vacuum_stmt);
    case PG_QUERY__NODE__NODE_DO_STMT: return Do(node->do_stmt);
    default: break;
  }
  if ((out = OtherDdl(node)) || (out = OtherUtility(node))) return out;
  auto unsupported = std::make_unique<ast::UnsupportedStatement>();
  unsupported->tag = TagOfNode(node);
  unsupported->feature = unsupported->tag;
  return unsupported;
}

}  // namespace insula::sql
