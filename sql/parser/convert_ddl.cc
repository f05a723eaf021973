// Schema changes of libpg_query's tree → ours.
#include "base/strings.h"
#include "sql/parser/convert.h"

namespace insula::sql {
namespace {

char FirstOr(const char* s, char otherwise) { return s != nullptr && s[0] != 0 ? s[0] : otherwise; }

bool IsCascade(PgQuery__DropBehavior b) { return b == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE; }

}  // namespace

ast::ObjectType Converter::Object(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE: return ast::ObjectType::kTable;
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW: return ast::ObjectType::kView;
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: return ast::ObjectType::kMaterializedView;
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX: return ast::ObjectType::kIndex;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: return ast::ObjectType::kSequence;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: return ast::ObjectType::kSchema;
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE: return ast::ObjectType::kDatabase;
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROLE: return ast::ObjectType::kRole;
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: return ast::ObjectType::kColumn;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: return ast::ObjectType::kConstraint;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE: return ast::ObjectType::kType;
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: return ast::ObjectType::kDomain;
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE: return ast::ObjectType::kFunction;
    case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE: return ast::ObjectType::kProcedure;
    case PG_QUERY__OBJECT_TYPE__OBJECT_AGGREGATE: return ast::ObjectType::kAggregate;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER: return ast::ObjectType::kTrigger;
    case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION: return ast::ObjectType::kExtension;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE: return ast::ObjectType::kTablespace;
    case PG_QUERY__OBJECT_TYPE__OBJECT_RULE: return ast::ObjectType::kRule;
    case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY: return ast::ObjectType::kPolicy;
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLLATION: return ast::ObjectType::kCollation;
    case PG_QUERY__OBJECT_TYPE__OBJECT_OPERATOR: return ast::ObjectType::kOperator;
    case PG_QUERY__OBJECT_TYPE__OBJECT_CAST: return ast::ObjectType::kCast;
    case PG_QUERY__OBJECT_TYPE__OBJECT_LANGUAGE: return ast::ObjectType::kLanguage;
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE: return ast::ObjectType::kForeignTable;
    case PG_QUERY__OBJECT_TYPE__OBJECT_LARGEOBJECT: return ast::ObjectType::kLargeObject;
    default: return ast::ObjectType::kOther;
  }
}

// A name given as String, List of String, RangeVar, TypeName or ObjectWithArgs.
ast::QualifiedName Converter::ObjectName(const Node* node) {
  if (node == nullptr) return {};
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_LIST: return Strings(node->list->n_items, node->list->items);
    case PG_QUERY__NODE__NODE_TYPE_NAME: return Strings(node->type_name->n_names, node->type_name->names);
    case PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS: return Strings(node->object_with_args->n_objname, node->object_with_args->objname);
    case PG_QUERY__NODE__NODE_RANGE_VAR: {
      ast::QualifiedName out;
      const PgQuery__RangeVar* r = node->range_var;
      if (r->catalogname[0] != 0) out.push_back(r->catalogname);
      if (r->schemaname[0] != 0) out.push_back(r->schemaname);
      out.push_back(r->relname);
      return out;
    }
    default: return {StringOf(node)};
  }
}

ast::Constraint Converter::Constraint(const PgQuery__Constraint* c) {
  ast::Constraint out;
  out.name = c->conname;
  out.position = At(c->location);
  out.deferrable = c->deferrable;
  out.initially_deferred = c->initdeferred;
  out.no_inherit = c->is_no_inherit;
  out.not_valid = c->skip_validation;
  out.expr = Expression(c->raw_expr);
  out.keys = Strings(c->n_keys, c->keys);
  out.including = Strings(c->n_including, c->including);
  out.options = Options(c->n_options, c->options);
  out.nulls_not_distinct = c->nulls_not_distinct;
  out.using_index = c->indexname;
  switch (c->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL: out.kind = ast::ConstraintKind::kNull; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL: out.kind = ast::ConstraintKind::kNotNull; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT: out.kind = ast::ConstraintKind::kDefault; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: out.kind = ast::ConstraintKind::kCheck; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: out.kind = ast::ConstraintKind::kPrimaryKey; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: out.kind = ast::ConstraintKind::kUnique; break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
      out.kind = ast::ConstraintKind::kExclusion;
      Unsupported("EXCLUDE", out.position);
      break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
      out.kind = ast::ConstraintKind::kIdentity;
      out.generated_when = FirstOr(c->generated_when, 'd');
      break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
      out.kind = ast::ConstraintKind::kGenerated;
      out.generated_when = FirstOr(c->generated_when, 'a');
      break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
      out.kind = ast::ConstraintKind::kForeignKey;
      out.keys = Strings(c->n_fk_attrs, c->fk_attrs);
      if (c->pktable != nullptr) out.referenced = Relation(c->pktable);
      out.referenced_columns = Strings(c->n_pk_attrs, c->pk_attrs);
      out.match = FirstOr(c->fk_matchtype, 's');
      out.on_update = FirstOr(c->fk_upd_action, 'a');
      out.on_delete = FirstOr(c->fk_del_action, 'a');
      out.delete_set_columns = Strings(c->n_fk_del_set_cols, c->fk_del_set_cols);
      break;
    default: Unsupported("this constraint", out.position);
  }
  return out;
}

// [NOT] DEFERRABLE and INITIALLY … follow the constraint that they belong to as nodes of their own.
void Converter::AddColumnConstraints(size_t n, Node** nodes, std::vector<ast::Constraint>* out) {
  for (size_t i = 0; i < n; ++i) {
    if (nodes[i]->node_case != PG_QUERY__NODE__NODE_CONSTRAINT) continue;
    const PgQuery__Constraint* c = nodes[i]->constraint;
    switch (c->contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
        if (!out->empty()) out->back().deferrable = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
        if (!out->empty()) out->back().deferrable = out->back().initially_deferred = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE:
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE:
        break;
      default:
        out->push_back(Constraint(c));
    }
  }
}

ast::ColumnDefinition Converter::Column(const PgQuery__ColumnDef* c) {
  ast::ColumnDefinition out;
  out.name = c->colname;
  out.has_type = c->type_name != nullptr;
  out.type = Type(c->type_name);
  if (c->coll_clause != nullptr) out.collation = Strings(c->coll_clause->n_collname, c->coll_clause->collname);
  out.compression = c->compression;
  out.storage = c->storage;
  out.position = At(c->location);
  AddColumnConstraints(c->n_constraints, c->constraints, &out.constraints);
  return out;
}

ast::StatementPtr Converter::CreateTable(const PgQuery__CreateStmt* s) {
  auto out = std::make_unique<ast::CreateTableStatement>();
  out->table = Relation(s->relation);
  out->persistence = FirstOr(s->relation->relpersistence, 'p');
  out->if_not_exists = s->if_not_exists;
  for (size_t i = 0; i < s->n_table_elts; ++i) {
    const Node* e = s->table_elts[i];
    if (e->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF) {
      out->columns.push_back(Column(e->column_def));
    } else if (e->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
      out->constraints.push_back(Constraint(e->constraint));
    } else if (e->node_case == PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE) {
      out->like.push_back({Relation(e->table_like_clause->relation), e->table_like_clause->options});
    } else {
      Unsupported("this table element");
    }
  }
  for (size_t i = 0; i < s->n_constraints; ++i) out->constraints.push_back(Constraint(s->constraints[i]->constraint));
  out->partition_by = s->partspec != nullptr;
  out->partition_of = s->partbound != nullptr;
  out->of_type = s->of_typename != nullptr;
  if (!out->partition_of) out->inherits = Relations(s->n_inh_relations, s->inh_relations);
  out->options = Options(s->n_options, s->options);
  switch (s->oncommit) {
    case PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_PRESERVE_ROWS: out->on_commit = 'p'; break;
    case PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DELETE_ROWS: out->on_commit = 'd'; break;
    case PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP: out->on_commit = 'x'; break;
    default: break;
  }
  out->tablespace = s->tablespacename;
  out->access_method = s->access_method;
  return out;
}

ast::StatementPtr Converter::CreateTableAs(const PgQuery__CreateTableAsStmt* s) {
  auto out = std::make_unique<ast::CreateTableAsStatement>();
  out->into = Into(s->into);
  out->options = Options(s->into->n_options, s->into->options);
  out->if_not_exists = s->if_not_exists;
  out->materialized_view = s->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
  out->query = Statement(s->query);
  return out;
}

ast::AlterTableCommand Converter::AlterTableCommand(const PgQuery__AlterTableCmd* c) {
  using A = ast::AlterTableAction;
  ast::AlterTableCommand out;
  out.name = c->name;
  out.cascade = IsCascade(c->behavior);
  out.if_exists = c->missing_ok;
  auto constraint = [&] {
    if (c->def != nullptr && c->def->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
      out.constraint = std::make_unique<ast::Constraint>(Constraint(c->def->constraint));
    }
  };
  auto options = [&] {
    if (c->def != nullptr && c->def->node_case == PG_QUERY__NODE__NODE_LIST) out.options = Options(c->def->list->n_items, c->def->list->items);
  };
  auto other = [&](std::string_view feature) {
    out.action = A::kOther;
    out.feature = feature;
  };
  switch (c->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
      out.action = A::kAddColumn;
      out.column = std::make_unique<ast::ColumnDefinition>(Column(c->def->column_def));
      out.name = out.column->name;
      out.if_not_exists = c->missing_ok;
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
      out.action = c->def != nullptr ? A::kSetDefault : A::kDropDefault;
      out.expr = Expression(c->def);
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull: out.action = A::kDropNotNull; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull: out.action = A::kSetNotNull; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression: out.action = A::kDropExpression; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics: out.action = A::kSetStatistics; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage: out.action = A::kSetStorage; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn: out.action = A::kDropColumn; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
      out.action = A::kAddConstraint;
      constraint();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint:
      out.action = A::kAlterConstraint;
      constraint();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint: out.action = A::kValidateConstraint; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint: out.action = A::kDropConstraint; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
      out.action = A::kAlterType;
      out.column = std::make_unique<ast::ColumnDefinition>(Column(c->def->column_def));
      out.column->name = out.name;
      out.expr = Expression(c->def->column_def->raw_default);
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
      out.action = A::kChangeOwner;
      out.owner = Role(c->newowner);
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged: out.action = A::kSetLogged; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged: out.action = A::kSetUnlogged; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace: out.action = A::kSetTablespace; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ClusterOn: out.action = A::kClusterOn; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions:
      out.action = A::kSetOptions;
      options();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions:
      out.action = A::kResetOptions;
      options();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ReplicaIdentity: out.action = A::kReplicaIdentity; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
      out.action = A::kAddIdentity;
      constraint();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetIdentity:
      out.action = A::kSetIdentity;
      options();
      break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity: out.action = A::kDropIdentity; break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition: other("ALTER TABLE ... ATTACH PARTITION"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition: other("ALTER TABLE ... DETACH PARTITION"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddInherit: other("ALTER TABLE ... INHERIT"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropInherit: other("ALTER TABLE ... NO INHERIT"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity: other("ALTER TABLE ... ROW LEVEL SECURITY"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableAlwaysTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableReplicaTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigUser: other("ALTER TABLE ... ENABLE TRIGGER"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigUser: other("ALTER TABLE ... DISABLE TRIGGER"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetAccessMethod: other("ALTER TABLE ... SET ACCESS METHOD"); break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetCompression: other("ALTER TABLE ... SET COMPRESSION"); break;
    default: other("this ALTER TABLE command");
  }
  return out;
}

ast::StatementPtr Converter::AlterTable(const PgQuery__AlterTableStmt* s) {
  auto out = std::make_unique<ast::AlterTableStatement>();
  out->table = Relation(s->relation);
  out->type = Object(s->objtype);
  out->if_exists = s->missing_ok;
  for (size_t i = 0; i < s->n_cmds; ++i) out->commands.push_back(AlterTableCommand(s->cmds[i]->alter_table_cmd));
  return out;
}

ast::StatementPtr Converter::Rename(const PgQuery__RenameStmt* s) {
  auto out = std::make_unique<ast::RenameStatement>();
  out->type = Object(s->rename_type);
  out->relation_type = Object(s->relation_type);
  if (s->relation != nullptr) out->relation = Relation(s->relation);
  out->object = ObjectName(s->object);
  out->name = s->subname;
  out->new_name = s->newname;
  out->if_exists = s->missing_ok;
  return out;
}

ast::StatementPtr Converter::Drop(const PgQuery__DropStmt* s) {
  auto out = std::make_unique<ast::DropStatement>();
  out->type = Object(s->remove_type);
  for (size_t i = 0; i < s->n_objects; ++i) out->objects.push_back(ObjectName(s->objects[i]));
  out->if_exists = s->missing_ok;
  out->cascade = IsCascade(s->behavior);
  out->concurrently = s->concurrent;
  return out;
}

ast::IndexElement Converter::IndexElement(const PgQuery__IndexElem* e) {
  ast::IndexElement out;
  out.column = e->name;
  out.expr = Expression(e->expr);
  out.collation = Strings(e->n_collation, e->collation);
  out.operator_class = Strings(e->n_opclass, e->opclass);
  if (e->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_ASC) out.direction = ast::SortDirection::kAscending;
  if (e->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC) out.direction = ast::SortDirection::kDescending;
  if (e->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST) out.nulls = ast::NullsOrder::kFirst;
  if (e->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST) out.nulls = ast::NullsOrder::kLast;
  return out;
}

ast::StatementPtr Converter::CreateIndex(const PgQuery__IndexStmt* s) {
  auto out = std::make_unique<ast::CreateIndexStatement>();
  out->name = s->idxname;
  out->table = Relation(s->relation);
  out->access_method = s->access_method[0] != 0 ? s->access_method : "btree";
  for (size_t i = 0; i < s->n_index_params; ++i) out->elements.push_back(IndexElement(s->index_params[i]->index_elem));
  for (size_t i = 0; i < s->n_index_including_params; ++i) out->include.push_back(s->index_including_params[i]->index_elem->name);
  out->options = Options(s->n_options, s->options);
  out->where = Expression(s->where_clause);
  out->unique = s->unique;
  out->nulls_not_distinct = s->nulls_not_distinct;
  out->concurrently = s->concurrent;
  out->if_not_exists = s->if_not_exists;
  out->tablespace = s->table_space;
  return out;
}

ast::StatementPtr Converter::CreateSchema(const PgQuery__CreateSchemaStmt* s) {
  auto out = std::make_unique<ast::CreateSchemaStatement>();
  out->name = s->schemaname;
  if (s->authrole != nullptr) out->owner = Role(s->authrole);
  out->if_not_exists = s->if_not_exists;
  for (size_t i = 0; i < s->n_schema_elts; ++i) out->elements.push_back(Statement(s->schema_elts[i]));
  return out;
}

ast::StatementPtr Converter::CreateView(const PgQuery__ViewStmt* s) {
  auto out = std::make_unique<ast::CreateViewStatement>();
  out->view = Relation(s->view);
  out->persistence = FirstOr(s->view->relpersistence, 'p');
  out->columns = Strings(s->n_aliases, s->aliases);
  out->query = SelectNode(s->query);
  out->replace = s->replace;
  out->options = Options(s->n_options, s->options);
  if (s->with_check_option == PG_QUERY__VIEW_CHECK_OPTION__LOCAL_CHECK_OPTION) out->check_option = 'l';
  if (s->with_check_option == PG_QUERY__VIEW_CHECK_OPTION__CASCADED_CHECK_OPTION) out->check_option = 'c';
  return out;
}

ast::StatementPtr Converter::CreateRole(const PgQuery__CreateRoleStmt* s) {
  using S = ast::CreateRoleStatement;
  auto out = std::make_unique<S>();
  out->name = s->role;
  out->role_kind = s->stmt_type == PG_QUERY__ROLE_STMT_TYPE__ROLESTMT_USER    ? S::kUser
                   : s->stmt_type == PG_QUERY__ROLE_STMT_TYPE__ROLESTMT_GROUP ? S::kGroup
                                                                              : S::kRole;
  out->options = Options(s->n_options, s->options);
  return out;
}

ast::StatementPtr Converter::Grant(const PgQuery__GrantStmt* s) {
  auto out = std::make_unique<ast::GrantStatement>();
  out->grant = s->is_grant;
  out->all_in_schema = s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA;
  out->default_privileges = s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_DEFAULTS;
  out->type = Object(s->objtype);
  for (size_t i = 0; i < s->n_objects; ++i) out->objects.push_back(ObjectName(s->objects[i]));
  for (size_t i = 0; i < s->n_privileges; ++i) {
    const PgQuery__AccessPriv* p = s->privileges[i]->access_priv;
    out->privileges.push_back({AsciiLower(p->priv_name), Strings(p->n_cols, p->cols)});
  }
  out->grantees = Roles(s->n_grantees, s->grantees);
  out->grant_option = s->grant_option;
  out->cascade = IsCascade(s->behavior);
  return out;
}

ast::StatementPtr Converter::GrantRole(const PgQuery__GrantRoleStmt* s) {
  auto out = std::make_unique<ast::GrantRoleStatement>();
  out->grant = s->is_grant;
  for (size_t i = 0; i < s->n_granted_roles; ++i) out->granted.push_back(s->granted_roles[i]->access_priv->priv_name);
  out->grantees = Roles(s->n_grantee_roles, s->grantee_roles);
  out->admin_option = s->admin_opt;
  out->cascade = IsCascade(s->behavior);
  return out;
}

ast::StatementPtr Converter::Comment(const PgQuery__CommentStmt* s) {
  auto out = std::make_unique<ast::CommentStatement>();
  out->type = Object(s->objtype);
  out->object = ObjectName(s->object);
  if (s->comment[0] != 0) out->comment = s->comment;  // '' drops the comment, as NULL does
  return out;
}

// The rest: kinds with a field or two.
ast::StatementPtr Converter::OtherDdl(const Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: {
      const PgQuery__CreateSeqStmt* s = node->create_seq_stmt;
      auto out = std::make_unique<ast::CreateSequenceStatement>();
      out->sequence = Relation(s->sequence);
      out->persistence = FirstOr(s->sequence->relpersistence, 'p');
      out->options = Options(s->n_options, s->options);
      out->if_not_exists = s->if_not_exists;
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT: {
      auto out = std::make_unique<ast::AlterSequenceStatement>();
      out->sequence = Relation(node->alter_seq_stmt->sequence);
      out->options = Options(node->alter_seq_stmt->n_options, node->alter_seq_stmt->options);
      out->if_exists = node->alter_seq_stmt->missing_ok;
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT: {
      const PgQuery__AlterObjectSchemaStmt* s = node->alter_object_schema_stmt;
      auto out = std::make_unique<ast::AlterSchemaStatement>();
      out->type = Object(s->object_type);
      if (s->relation != nullptr) out->relation = Relation(s->relation);
      out->object = ObjectName(s->object);
      out->new_schema = s->newschema;
      out->if_exists = s->missing_ok;
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT: {
      auto out = std::make_unique<ast::AlterOwnerStatement>();
      out->type = Object(node->alter_owner_stmt->object_type);
      out->object = ObjectName(node->alter_owner_stmt->object);
      out->owner = Role(node->alter_owner_stmt->newowner);
      return out;
    }
    case PG_QUERY__NODE__NODE_CREATEDB_STMT: {
      auto out = std::make_unique<ast::CreateDatabaseStatement>();
      out->name = node->createdb_stmt->dbname;
      out->options = Options(node->createdb_stmt->n_options, node->createdb_stmt->options);
      return out;
    }
    case PG_QUERY__NODE__NODE_DROPDB_STMT: {
      auto out = std::make_unique<ast::DropDatabaseStatement>();
      out->name = node->dropdb_stmt->dbname;
      out->if_exists = node->dropdb_stmt->missing_ok;
      out->options = Options(node->dropdb_stmt->n_options, node->dropdb_stmt->options);
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT: {
      auto out = std::make_unique<ast::AlterDatabaseSetStatement>();
      out->database = node->alter_database_set_stmt->dbname;
      out->set = Set(node->alter_database_set_stmt->setstmt);
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT: {
      auto out = std::make_unique<ast::AlterRoleStatement>();
      out->role = Role(node->alter_role_stmt->role);
      out->options = Options(node->alter_role_stmt->n_options, node->alter_role_stmt->options);
      return out;
    }
    case PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT: {
      auto out = std::make_unique<ast::AlterRoleSetStatement>();
      if (node->alter_role_set_stmt->role != nullptr) out->role = Role(node->alter_role_set_stmt->role);
      out->database = node->alter_role_set_stmt->database;
      out->set = Set(node->alter_role_set_stmt->setstmt);
      return out;
    }
    case PG_QUERY__NODE__NODE_DROP_ROLE_STMT: {
      auto out = std::make_unique<ast::DropRoleStatement>();
      out->roles = Roles(node->drop_role_stmt->n_roles, node->drop_role_stmt->roles);
      out->if_exists = node->drop_role_stmt->missing_ok;
      return out;
    }
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT: {
      auto out = std::make_unique<ast::TruncateStatement>();
      out->tables = Relations(node->truncate_stmt->n_relations, node->truncate_stmt->relations);
      out->restart_identity = node->truncate_stmt->restart_seqs;
      out->cascade = IsCascade(node->truncate_stmt->behavior);
      return out;
    }
    case PG_QUERY__NODE__NODE_REINDEX_STMT: {
      using S = ast::ReindexStatement;
      auto out = std::make_unique<S>();
      if (node->reindex_stmt->relation != nullptr) out->relation = Relation(node->reindex_stmt->relation);
      out->name = node->reindex_stmt->name;
      out->reindex_kind = static_cast<S::Kind>(node->reindex_stmt->kind - 1);  // same order, after an undefined value
      return out;
    }
    default:
      return nullptr;
  }
}

}  // namespace insula::sql
