// Statements about the session, transactions, cursors and the server, as written.
#ifndef INSULA_SQL_PARSER_AST_UTILITY_H_
#define INSULA_SQL_PARSER_AST_UTILITY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/parser/ast_ddl.h"

namespace insula::sql::ast {

enum class TransactionAction {
  kBegin, kStart, kCommit, kRollback, kSavepoint, kRelease, kRollbackTo, kPrepare, kCommitPrepared, kRollbackPrepared,
};

// Modes given with BEGIN, START TRANSACTION and SET TRANSACTION. Not given: nullopt.
struct TransactionModes {
  std::optional<std::string> isolation;  // "read committed", "serializable", …
  std::optional<bool> read_only;
  std::optional<bool> deferrable;
};

struct TransactionStatement : StatementOf<StatementKind::kTransaction> {
  TransactionAction action = TransactionAction::kBegin;
  TransactionModes modes;
  std::string savepoint;
  std::string gid;     // two-phase commit
  bool chain = false;  // COMMIT AND CHAIN
};

enum class SetAction { kValue, kDefault, kCurrent, kReset, kResetAll, kTransaction, kSessionCharacteristics };

// SET, RESET, SET TRANSACTION, SET SESSION CHARACTERISTICS AS TRANSACTION; SET TIME ZONE is name "timezone".
struct SetStatement : StatementOf<StatementKind::kSet> {
  SetAction action = SetAction::kValue;
  std::string name;                 // as written, folded by the lexer
  std::vector<std::string> values;  // SET search_path = a, b gives two
  TransactionModes modes;           // kTransaction, kSessionCharacteristics
  std::string snapshot;             // SET TRANSACTION SNAPSHOT
  bool local = false;
};

struct ShowStatement : StatementOf<StatementKind::kShow> {
  std::string name;  // "all" for SHOW ALL
};

struct SetConstraintsStatement : StatementOf<StatementKind::kSetConstraints> {
  std::vector<RelationName> constraints;  // empty: ALL
  bool deferred = false;
};

enum class DiscardTarget { kAll, kPlans, kSequences, kTemp };
struct DiscardStatement : StatementOf<StatementKind::kDiscard> {
  DiscardTarget target = DiscardTarget::kAll;
};

struct ExplainStatement : StatementOf<StatementKind::kExplain> {
  StatementPtr query;
  std::vector<Option> options;  // analyze, verbose, costs, buffers, format, timing, summary, …
};

struct PrepareStatement : StatementOf<StatementKind::kPrepare> {
  std::string name;
  std::vector<TypeName> types;
  StatementPtr query;
};
struct ExecuteStatement : StatementOf<StatementKind::kExecute> {
  std::string name;
  std::vector<ExprPtr> args;
};
struct DeallocateStatement : StatementOf<StatementKind::kDeallocate> {
  std::string name;  // empty: ALL
};

struct DeclareCursorStatement : StatementOf<StatementKind::kDeclareCursor> {
  std::string name;
  bool binary = false, scroll = false, no_scroll = false, insensitive = false, hold = false;
  StatementPtr query;
};
enum class FetchDirection { kForward, kBackward, kAbsolute, kRelative };
inline constexpr int64_t kFetchAll = INT64_MAX;
struct FetchStatement : StatementOf<StatementKind::kFetch> {
  std::string cursor;
  FetchDirection direction = FetchDirection::kForward;
  int64_t count = 1;
  bool move = false;
};
struct CloseCursorStatement : StatementOf<StatementKind::kCloseCursor> {
  std::string cursor;  // empty: ALL
};

struct CopyStatement : StatementOf<StatementKind::kCopy> {
  RelationName table;
  StatementPtr query;  // COPY (query) TO
  std::vector<std::string> columns;
  bool from = false;
  bool program = false;
  std::string filename;  // empty: STDIN or STDOUT
  std::vector<Option> options;
  ExprPtr where;
};

struct VacuumTarget {
  RelationName table;
  std::vector<std::string> columns;
};
struct VacuumStatement : StatementOf<StatementKind::kVacuum> {
  bool vacuum = true;  // false: plain ANALYZE
  bool analyze = false;
  std::vector<Option> options;
  std::vector<VacuumTarget> targets;  // empty: all tables
};

struct LockStatement : StatementOf<StatementKind::kLock> {
  std::vector<RelationName> tables;
  int mode = 8;  // PostgreSQL's 1 (ACCESS SHARE) … 8 (ACCESS EXCLUSIVE)
  bool nowait = false;
};

struct ListenStatement : StatementOf<StatementKind::kListen> {
  std::string channel;
};
struct UnlistenStatement : StatementOf<StatementKind::kUnlisten> {
  std::string channel;  // empty: *
};
struct NotifyStatement : StatementOf<StatementKind::kNotify> {
  std::string channel, payload;
};
struct CheckpointStatement : StatementOf<StatementKind::kCheckpoint> {};
struct DoStatement : StatementOf<StatementKind::kDo> {
  std::string language, body;
};
struct CallStatement : StatementOf<StatementKind::kCall> {
  ExprPtr call;  // a FunctionCall
};

// What PostgreSQL's grammar knows and we do not run: answered with 0A000 naming `feature`.
struct UnsupportedStatement : StatementOf<StatementKind::kUnsupported> {
  std::string feature;  // "CREATE TRIGGER", "TABLESAMPLE", …
  std::string tag;      // the command tag that PostgreSQL would give
  int position = 0;
};

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_UTILITY_H_
