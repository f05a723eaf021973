// Statements that change the schema, as written.
#ifndef INSULA_SQL_PARSER_AST_DDL_H_
#define INSULA_SQL_PARSER_AST_DDL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sql/parser/ast_query.h"

namespace insula::sql::ast {

// name = value in WITH (…), in COPY's and EXPLAIN's parentheses, in sequence and role options.
struct Option {
  std::string schema;  // toast.autovacuum_enabled
  std::string name;
  std::optional<std::string> value;  // a string, number, boolean ("true"/"false") or type name as text
  std::vector<std::string> list;     // (a, b)
  bool star = false;                 // FORCE_QUOTE *
  bool quoted = false;               // the value was a string constant
  int position = 0;

  // true/on/1/no value; nullopt when the value is not a boolean.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInteger() const;
};
const Option* FindOption(const std::vector<Option>& options, std::string_view name);

enum class RoleKind { kNamed, kCurrentRole, kCurrentUser, kSessionUser, kPublic };
struct RoleName {
  RoleKind kind = RoleKind::kNamed;
  std::string name;
  int position = 0;
};

enum class ConstraintKind {
  kNull, kNotNull, kDefault, kIdentity, kGenerated, kCheck, kPrimaryKey, kUnique, kExclusion, kForeignKey,
};

// A constraint of a column or of a table.
struct Constraint {
  ConstraintKind kind = ConstraintKind::kCheck;
  std::string name;  // empty: to be generated
  ExprPtr expr;      // kDefault, kCheck, kGenerated
  char generated_when = 'd';  // kIdentity: 'a' ALWAYS, 'd' BY DEFAULT; kGenerated: 'a'
  std::vector<Option> options;        // kIdentity: sequence options; index WITH (…)
  std::vector<std::string> keys;      // kPrimaryKey, kUnique, kForeignKey: this table's columns (empty on a column)
  std::vector<std::string> including;
  bool nulls_not_distinct = false;
  std::string using_index;            // ADD PRIMARY KEY USING INDEX name
  RelationName referenced;            // kForeignKey
  std::vector<std::string> referenced_columns;
  char match = 's';      // s simple, f full, p partial
  char on_update = 'a';  // a no action, r restrict, c cascade, n set null, d set default
  char on_delete = 'a';
  std::vector<std::string> delete_set_columns;
  bool deferrable = false, initially_deferred = false, no_inherit = false, not_valid = false;
  int position = 0;
};

struct ColumnDefinition {
  std::string name;
  TypeName type;
  bool has_type = true;
  QualifiedName collation;
  std::string compression, storage;
  std::vector<Constraint> constraints;
  int position = 0;
};

struct TableLike {
  RelationName table;
  uint32_t options = 0;  // PostgreSQL's CREATE_TABLE_LIKE_* bits
};

struct CreateTableStatement : StatementOf<StatementKind::kCreateTable> {
  RelationName table;
  char persistence = 'p';  // p permanent, t temporary, u unlogged
  bool if_not_exists = false;
  std::vector<ColumnDefinition> columns;
  std::vector<Constraint> constraints;
  std::vector<TableLike> like;
  std::vector<RelationName> inherits;
  bool partition_by = false;   // PARTITION BY …
  bool partition_of = false;   // PARTITION OF …
  bool of_type = false;        // OF type
  std::vector<Option> options;
  char on_commit = 'n';        // n none, p preserve rows, d delete rows, x drop
  std::string tablespace, access_method;
};

struct CreateTableAsStatement : StatementOf<StatementKind::kCreateTableAs> {
  IntoClause into;
  bool if_not_exists = false;
  bool materialized_view = false;
  std::vector<Option> options;
  StatementPtr query;  // a SelectStatement, or an ExecuteStatement
};

enum class AlterTableAction {
  kAddColumn, kDropColumn, kSetDefault, kDropDefault, kSetNotNull, kDropNotNull, kAlterType, kAddConstraint,
  kDropConstraint, kValidateConstraint, kAlterConstraint, kChangeOwner, kSetOptions, kResetOptions, kSetStatistics,
  kSetStorage, kSetLogged, kSetUnlogged, kAddIdentity, kSetIdentity, kDropIdentity, kDropExpression,
  kReplicaIdentity, kSetTablespace, kClusterOn, kOther,
};
struct AlterTableCommand {
  AlterTableAction action = AlterTableAction::kOther;
  std::string name;  // column or constraint
  std::unique_ptr<ColumnDefinition> column;  // kAddColumn; kAlterType: its type, and USING in `expr`
  std::unique_ptr<Constraint> constraint;    // kAddConstraint, kAddIdentity
  ExprPtr expr;                              // kSetDefault; kAlterType's USING
  std::vector<Option> options;
  RoleName owner;
  bool if_exists = false, if_not_exists = false, cascade = false;
  std::string feature;  // kOther: what to call it in 0A000
};
enum class ObjectType {
  kTable, kView, kMaterializedView, kIndex, kSequence, kSchema, kDatabase, kRole, kColumn, kConstraint, kType, kDomain,
  kFunction, kProcedure, kAggregate, kTrigger, kExtension, kTablespace, kRule, kPolicy, kCollation, kOperator, kCast,
  kLanguage, kForeignTable, kLargeObject, kOther,
};
// As PostgreSQL says it in tags: "TABLE", "MATERIALIZED VIEW".
std::string_view ObjectTypeName(ObjectType type);

struct AlterTableStatement : StatementOf<StatementKind::kAlterTable> {
  RelationName table;
  ObjectType type = ObjectType::kTable;
  bool if_exists = false;
  std::vector<AlterTableCommand> commands;
};

struct RenameStatement : StatementOf<StatementKind::kRename> {
  ObjectType type = ObjectType::kTable;           // what gets the new name
  ObjectType relation_type = ObjectType::kTable;  // for a column or constraint: of what
  RelationName relation;  // of relations, columns, constraints
  QualifiedName object;   // of others (a schema's, role's or database's name is in `name`)
  std::string name;       // the column, constraint, schema, role or database
  std::string new_name;
  bool if_exists = false;
};

// ALTER … SET SCHEMA
struct AlterSchemaStatement : StatementOf<StatementKind::kAlterSchema> {
  ObjectType type = ObjectType::kTable;
  RelationName relation;
  QualifiedName object;
  std::string new_schema;
  bool if_exists = false;
};

// ALTER … OWNER TO, for what is not a relation
struct AlterOwnerStatement : StatementOf<StatementKind::kAlterOwner> {
  ObjectType type = ObjectType::kSchema;
  QualifiedName object;
  RoleName owner;
};

struct DropStatement : StatementOf<StatementKind::kDrop> {
  ObjectType type = ObjectType::kTable;
  std::vector<QualifiedName> objects;
  bool if_exists = false, cascade = false, concurrently = false;
};

struct IndexElement {
  std::string column;  // or
  ExprPtr expr;
  QualifiedName collation, operator_class;
  SortDirection direction = SortDirection::kDefault;
  NullsOrder nulls = NullsOrder::kDefault;
};
struct CreateIndexStatement : StatementOf<StatementKind::kCreateIndex> {
  std::string name;  // empty: to be generated
  RelationName table;
  std::string access_method;  // "btree" when not given
  std::vector<IndexElement> elements;
  std::vector<std::string> include;
  std::vector<Option> options;
  ExprPtr where;
  bool unique = false, nulls_not_distinct = false, concurrently = false, if_not_exists = false;
  std::string tablespace;
};

struct CreateSchemaStatement : StatementOf<StatementKind::kCreateSchema> {
  std::string name;  // empty: the role's name
  std::optional<RoleName> owner;
  bool if_not_exists = false;
  std::vector<StatementPtr> elements;
};

struct CreateSequenceStatement : StatementOf<StatementKind::kCreateSequence> {
  RelationName sequence;
  char persistence = 'p';
  std::vector<Option> options;  // as, increment, minvalue, maxvalue, start, restart, cache, cycle, owned_by
  bool if_not_exists = false;
};
struct AlterSequenceStatement : StatementOf<StatementKind::kAlterSequence> {
  RelationName sequence;
  std::vector<Option> options;
  bool if_exists = false;
};

struct CreateViewStatement : StatementOf<StatementKind::kCreateView> {
  RelationName view;
  char persistence = 'p';
  std::vector<std::string> columns;
  std::unique_ptr<SelectStatement> query;
  bool replace = false;
  std::vector<Option> options;
  char check_option = 'n';  // n none, l local, c cascaded
};

struct CreateDatabaseStatement : StatementOf<StatementKind::kCreateDatabase> {
  std::string name;
  std::vector<Option> options;
};
struct DropDatabaseStatement : StatementOf<StatementKind::kDropDatabase> {
  std::string name;
  bool if_exists = false;
  std::vector<Option> options;
};

struct SetStatement;  // ast_utility.h
struct AlterDatabaseSetStatement : StatementOf<StatementKind::kAlterDatabaseSet> {
  std::string database;
  StatementPtr set;  // a SetStatement
};

struct CreateRoleStatement : StatementOf<StatementKind::kCreateRole> {
  std::string name;
  enum Kind { kRole, kUser, kGroup } role_kind = kRole;
  std::vector<Option> options;
};
struct AlterRoleStatement : StatementOf<StatementKind::kAlterRole> {
  RoleName role;
  std::vector<Option> options;
};
struct AlterRoleSetStatement : StatementOf<StatementKind::kAlterRoleSet> {
  std::optional<RoleName> role;  // none: ALL
  std::string database;
  StatementPtr set;
};
struct DropRoleStatement : StatementOf<StatementKind::kDropRole> {
  std::vector<RoleName> roles;
  bool if_exists = false;
};

struct TruncateStatement : StatementOf<StatementKind::kTruncate> {
  std::vector<RelationName> tables;
  bool restart_identity = false, cascade = false;
};

struct CommentStatement : StatementOf<StatementKind::kComment> {
  ObjectType type = ObjectType::kTable;
  QualifiedName object;
  std::optional<std::string> comment;  // none: NULL, which drops it
};

struct Privilege {
  std::string name;  // lower case; empty = ALL
  std::vector<std::string> columns;
};
struct GrantStatement : StatementOf<StatementKind::kGrant> {
  bool grant = true;
  bool all_in_schema = false;
  bool default_privileges = false;  // ALTER DEFAULT PRIVILEGES
  ObjectType type = ObjectType::kTable;
  std::vector<QualifiedName> objects;
  std::vector<Privilege> privileges;  // empty = ALL
  std::vector<RoleName> grantees;
  bool grant_option = false, cascade = false;
};
struct GrantRoleStatement : StatementOf<StatementKind::kGrantRole> {
  bool grant = true;
  std::vector<std::string> granted;
  std::vector<RoleName> grantees;
  bool admin_option = false, cascade = false;
};

struct ReindexStatement : StatementOf<StatementKind::kReindex> {
  enum Kind { kIndex, kTable, kSchema, kSystem, kDatabase } reindex_kind = kTable;
  RelationName relation;
  std::string name;
};

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_DDL_H_
