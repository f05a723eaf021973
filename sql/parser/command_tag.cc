// Command tags: what CommandComplete says of a statement.
#include "base/strings.h"
#include "sql/parser/convert.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

std::string TransactionTag(const ast::TransactionStatement& s) {
  switch (s.action) {
    case ast::TransactionAction::kBegin: return "BEGIN";
    case ast::TransactionAction::kStart: return "START TRANSACTION";
    case ast::TransactionAction::kCommit: return "COMMIT";
    case ast::TransactionAction::kRollback: return "ROLLBACK";
    case ast::TransactionAction::kSavepoint: return "SAVEPOINT";
    case ast::TransactionAction::kRelease: return "RELEASE";
    case ast::TransactionAction::kRollbackTo: return "ROLLBACK";
    case ast::TransactionAction::kPrepare: return "PREPARE TRANSACTION";
    case ast::TransactionAction::kCommitPrepared: return "COMMIT PREPARED";
    case ast::TransactionAction::kRollbackPrepared: return "ROLLBACK PREPARED";
  }
  return "";
}

std::string DiscardTag(ast::DiscardTarget t) {
  switch (t) {
    case ast::DiscardTarget::kAll: return "DISCARD ALL";
    case ast::DiscardTarget::kPlans: return "DISCARD PLANS";
    case ast::DiscardTarget::kSequences: return "DISCARD SEQUENCES";
    case ast::DiscardTarget::kTemp: return "DISCARD TEMP";
  }
  return "";
}

// ALTER … RENAME and SET SCHEMA name the thing altered; a column's or constraint's change is one of its relation.
std::string AlterTag(ast::ObjectType type, ast::ObjectType relation) {
  if (type == ast::ObjectType::kColumn || type == ast::ObjectType::kConstraint) type = relation;
  return StrCat("ALTER ", ast::ObjectTypeName(type));
}

}  // namespace

std::string CommandTag(const ast::Statement& s) {
  using K = ast::StatementKind;
  switch (s.kind) {
    case K::kSelect: return "SELECT";
    case K::kInsert: return "INSERT";
    case K::kUpdate: return "UPDATE";
    case K::kDelete: return "DELETE";
    case K::kCreateTable: return "CREATE TABLE";
    case K::kCreateTableAs:
      return s.As<ast::CreateTableAsStatement>().materialized_view ? "CREATE MATERIALIZED VIEW" : "CREATE TABLE AS";
    case K::kAlterTable: return StrCat("ALTER ", ast::ObjectTypeName(s.As<ast::AlterTableStatement>().type));
    case K::kRename: return AlterTag(s.As<ast::RenameStatement>().type, s.As<ast::RenameStatement>().relation_type);
    case K::kAlterSchema: return AlterTag(s.As<ast::AlterSchemaStatement>().type, ast::ObjectType::kTable);
    case K::kAlterOwner: return AlterTag(s.As<ast::AlterOwnerStatement>().type, ast::ObjectType::kTable);
    case K::kDrop: return StrCat("DROP ", ast::ObjectTypeName(s.As<ast::DropStatement>().type));
    case K::kCreateIndex: return "CREATE INDEX";
    case K::kCreateSchema: return "CREATE SCHEMA";
    case K::kCreateSequence: return "CREATE SEQUENCE";
    case K::kAlterSequence: return "ALTER SEQUENCE";
    case K::kCreateView: return "CREATE VIEW";
    case K::kCreateDatabase: return "CREATE DATABASE";
    case K::kDropDatabase: return "DROP DATABASE";
    case K::kAlterDatabaseSet: return "ALTER DATABASE";
    case K::kCreateRole: return "CREATE ROLE";
    case K::kAlterRole: return "ALTER ROLE";
    case K::kAlterRoleSet: return "ALTER ROLE";
    case K::kDropRole: return "DROP ROLE";
    case K::kTruncate: return "TRUNCATE TABLE";
    case K::kComment: return "COMMENT";
    case K::kGrant: {
      const auto& g = s.As<ast::GrantStatement>();
      if (g.default_privileges) return "ALTER DEFAULT PRIVILEGES";
      return g.grant ? "GRANT" : "REVOKE";
    }
    case K::kGrantRole: return s.As<ast::GrantRoleStatement>().grant ? "GRANT ROLE" : "REVOKE ROLE";
    case K::kReindex: return "REINDEX";
    case K::kTransaction: return TransactionTag(s.As<ast::TransactionStatement>());
    case K::kSet: {
      auto a = s.As<ast::SetStatement>().action;
      return a == ast::SetAction::kReset || a == ast::SetAction::kResetAll ? "RESET" : "SET";
    }
    case K::kShow: return "SHOW";
    case K::kSetConstraints: return "SET CONSTRAINTS";
    case K::kDiscard: return DiscardTag(s.As<ast::DiscardStatement>().target);
    case K::kExplain: return "EXPLAIN";
    case K::kPrepare: return "PREPARE";
    case K::kExecute: return "EXECUTE";
    case K::kDeallocate: return s.As<ast::DeallocateStatement>().name.empty() ? "DEALLOCATE ALL" : "DEALLOCATE";
    case K::kDeclareCursor: return "DECLARE CURSOR";
    case K::kFetch: return s.As<ast::FetchStatement>().move ? "MOVE" : "FETCH";
    case K::kCloseCursor: return s.As<ast::CloseCursorStatement>().cursor.empty() ? "CLOSE CURSOR ALL" : "CLOSE CURSOR";
    case K::kCopy: return "COPY";
    case K::kVacuum: return s.As<ast::VacuumStatement>().vacuum ? "VACUUM" : "ANALYZE";
    case K::kLock: return "LOCK TABLE";
    case K::kListen: return "LISTEN";
    case K::kNotify: return "NOTIFY";
    case K::kUnlisten: return "UNLISTEN";
    case K::kCheckpoint: return "CHECKPOINT";
    case K::kDo: return "DO";
    case K::kCall: return "CALL";
    case K::kUnsupported: return s.As<ast::UnsupportedStatement>().tag;
  }
  return "";
}

std::string TagOfNode(const PgQuery__Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_MERGE_STMT: return "MERGE";
    case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT: return "ALTER DOMAIN";
    case PG_QUERY__NODE__NODE_CLUSTER_STMT: return "CLUSTER";
    case PG_QUERY__NODE__NODE_DEFINE_STMT:
      switch (node->define_stmt->kind) {
        case PG_QUERY__OBJECT_TYPE__OBJECT_AGGREGATE: return "CREATE AGGREGATE";
        case PG_QUERY__OBJECT_TYPE__OBJECT_OPERATOR: return "CREATE OPERATOR";
        case PG_QUERY__OBJECT_TYPE__OBJECT_COLLATION: return "CREATE COLLATION";
        case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE: return "CREATE TYPE";
        default: return "CREATE TEXT SEARCH OBJECT";
      }
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
      return node->create_function_stmt->is_procedure ? "CREATE PROCEDURE" : "CREATE FUNCTION";
    case PG_QUERY__NODE__NODE_ALTER_FUNCTION_STMT: return "ALTER FUNCTION";
    case PG_QUERY__NODE__NODE_RULE_STMT: return "CREATE RULE";
    case PG_QUERY__NODE__NODE_LOAD_STMT: return "LOAD";
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT: return "CREATE DOMAIN";
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT: return "CREATE TRIGGER";
    case PG_QUERY__NODE__NODE_CREATE_PLANG_STMT: return "CREATE LANGUAGE";
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT: return "ALTER DATABASE";
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_REFRESH_COLL_STMT: return "ALTER DATABASE";
    case PG_QUERY__NODE__NODE_CREATE_CONVERSION_STMT: return "CREATE CONVERSION";
    case PG_QUERY__NODE__NODE_CREATE_CAST_STMT: return "CREATE CAST";
    case PG_QUERY__NODE__NODE_CREATE_OP_CLASS_STMT: return "CREATE OPERATOR CLASS";
    case PG_QUERY__NODE__NODE_CREATE_OP_FAMILY_STMT: return "CREATE OPERATOR FAMILY";
    case PG_QUERY__NODE__NODE_ALTER_OP_FAMILY_STMT: return "ALTER OPERATOR FAMILY";
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT: return "CREATE TABLESPACE";
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT: return "DROP TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_TABLE_SPACE_OPTIONS_STMT: return "ALTER TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT: return "ALTER TABLE ALL IN TABLESPACE";
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_DEPENDS_STMT: return "ALTER ... DEPENDS ON EXTENSION";
    case PG_QUERY__NODE__NODE_ALTER_OPERATOR_STMT: return "ALTER OPERATOR";
    case PG_QUERY__NODE__NODE_ALTER_TYPE_STMT: return "ALTER TYPE";
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT: return "ALTER TYPE";
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT: return "DROP OWNED";
    case PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT: return "REASSIGN OWNED";
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT: return "CREATE TYPE";
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT: return "CREATE TYPE";
    case PG_QUERY__NODE__NODE_CREATE_RANGE_STMT: return "CREATE TYPE";
    case PG_QUERY__NODE__NODE_CREATE_FDW_STMT: return "CREATE FOREIGN DATA WRAPPER";
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_SERVER_STMT: return "CREATE SERVER";
    case PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT: return "CREATE FOREIGN TABLE";
    case PG_QUERY__NODE__NODE_CREATE_USER_MAPPING_STMT: return "CREATE USER MAPPING";
    case PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT: return "IMPORT FOREIGN SCHEMA";
    case PG_QUERY__NODE__NODE_SEC_LABEL_STMT: return "SECURITY LABEL";
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT: return "CREATE EXTENSION";
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT: return "ALTER EXTENSION";
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_CONTENTS_STMT: return "ALTER EXTENSION";
    case PG_QUERY__NODE__NODE_CREATE_EVENT_TRIG_STMT: return "CREATE EVENT TRIGGER";
    case PG_QUERY__NODE__NODE_ALTER_EVENT_TRIG_STMT: return "ALTER EVENT TRIGGER";
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT: return "REFRESH MATERIALIZED VIEW";
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT: return "ALTER SYSTEM";
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT: return "CREATE POLICY";
    case PG_QUERY__NODE__NODE_ALTER_POLICY_STMT: return "ALTER POLICY";
    case PG_QUERY__NODE__NODE_CREATE_TRANSFORM_STMT: return "CREATE TRANSFORM";
    case PG_QUERY__NODE__NODE_CREATE_AM_STMT: return "CREATE ACCESS METHOD";
    case PG_QUERY__NODE__NODE_CREATE_PUBLICATION_STMT: return "CREATE PUBLICATION";
    case PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT: return "ALTER PUBLICATION";
    case PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT: return "CREATE SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT: return "ALTER SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT: return "DROP SUBSCRIPTION";
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT: return "CREATE STATISTICS";
    case PG_QUERY__NODE__NODE_ALTER_STATS_STMT: return "ALTER STATISTICS";
    case PG_QUERY__NODE__NODE_ALTER_COLLATION_STMT: return "ALTER COLLATION";
    default: return "this statement";
  }
}

}  // namespace insula::sql
