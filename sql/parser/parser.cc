#include "sql/parser/parser.h"

#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "pg_query.h"
#include "sql/parser/convert.h"
#include "sql/parser/depth.h"

namespace insula::sql {
namespace {

// Owns what libpg_query returns.
struct RawParse {
  explicit RawParse(const std::string& sql) : result(pg_query_parse_protobuf(sql.c_str())) {}
  RawParse(const RawParse&) = delete;
  RawParse& operator=(const RawParse&) = delete;
  ~RawParse() {
    if (tree != nullptr) pg_query__parse_result__free_unpacked(tree, nullptr);
    pg_query_free_protobuf_parse_result(result);
  }
  PgQueryProtobufParseResult result;
  PgQuery__ParseResult* tree = nullptr;
};

absl::Status Error(const PgQueryError& e) {
  std::string_view message = e.message != nullptr ? e.message : "syntax error";
  // Of what the raw parser can raise, nearly all is 42601.
  std::string_view code = sqlstate::kSyntaxError;
  if (message.starts_with("stack depth limit exceeded")) code = "54001";
  if (message.starts_with("memory exhausted")) code = sqlstate::kOutOfMemory;
  if (message.find("is not yet implemented") != std::string_view::npos || message.find("not supported") != std::string_view::npos) {
    code = sqlstate::kFeatureNotSupported;
  }
  if (message.find("invalid Unicode") != std::string_view::npos && message.find("surrogate") == std::string_view::npos) code = "22025";
  if (message.find("identifier too long") != std::string_view::npos) code = "42622";
  std::string_view hint;  // libpg_query does not hand hints on
  if (message == "subquery in FROM must have an alias") hint = "For example, FROM (SELECT ...) [AS] foo.";
  if (message == "VALUES in FROM must have an alias") hint = "For example, FROM (VALUES ...) [AS] foo.";
  return PgErrorBuilder(code, message).Hint(hint).Position(e.cursorpos).Build();
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

}  // namespace

absl::StatusOr<std::vector<ParsedStatement>> ParseSql(std::string_view sql) {
  if (sql.find('\0') != std::string_view::npos) {
    return PgError("22021", "invalid byte sequence for encoding \"UTF8\": 0x00");
  }
  if (EstimateTreeDepth(sql) > kMaxTreeDepth) return PgError("54001", "stack depth limit exceeded");
  RawParse raw{std::string(sql)};
  if (raw.result.error != nullptr) return Error(*raw.result.error);
  raw.tree = pg_query__parse_result__unpack(nullptr, raw.result.parse_tree.len,
                                            reinterpret_cast<const uint8_t*>(raw.result.parse_tree.data));
  if (raw.tree == nullptr) return PgError("54001", "statement is too complex");

  PositionMap positions(sql);
  std::vector<ParsedStatement> out;
  for (size_t i = 0; i < raw.tree->n_stmts; ++i) {
    const PgQuery__RawStmt* stmt = raw.tree->stmts[i];
    if (stmt->stmt == nullptr) continue;
    ParsedStatement parsed;
    parsed.begin = static_cast<size_t>(stmt->stmt_location);
    parsed.end = stmt->stmt_len > 0 ? parsed.begin + static_cast<size_t>(stmt->stmt_len) : sql.size();
    while (parsed.begin < parsed.end && IsBlank(sql[parsed.begin])) ++parsed.begin;
    while (parsed.end > parsed.begin && IsBlank(sql[parsed.end - 1])) --parsed.end;
    Converter converter(positions, sql);
    parsed.statement = converter.Statement(stmt->stmt);
    parsed.parameter_count = converter.max_parameter();
    if (!converter.unsupported().empty()) {
      auto unsupported = std::make_unique<ast::UnsupportedStatement>();
      unsupported->feature = converter.unsupported();
      unsupported->position = converter.unsupported_position();
      unsupported->tag = CommandTag(*parsed.statement);
      parsed.statement = std::move(unsupported);
    }
    out.push_back(std::move(parsed));
  }
  return out;
}

absl::StatusOr<ast::ExprPtr> ParseExpression(std::string_view text) {
  // The grammar has no entry for expressions alone. Parentheses keep the text from being more than one expression, the line
  // end keeps a comment in it from hiding them.
  constexpr std::string_view kBefore = "SELECT (", kAfter = "\n)";
  auto statements = ParseSql(StrCat(kBefore, text, kAfter));
  if (!statements.ok()) {
    PgErrorFields f = ToPgError(statements.status());
    return PgErrorBuilder(f.sqlstate, f.message).Build();
  }
  if (statements->size() == 1) {
    if (const auto* u = (*statements)[0].statement->TryAs<ast::UnsupportedStatement>()) return PgUnsupported(u->feature);
    if ((*statements)[0].statement->kind == ast::StatementKind::kSelect) {
      auto& select = static_cast<ast::SelectStatement&>(*(*statements)[0].statement);
      const bool plain = select.from.empty() && !select.where && select.group_by.empty() && select.order_by.empty() &&
                         select.set_operation == ast::SetOperation::kNone && !select.limit;
      if (plain && select.items.size() == 1 && select.items[0].alias.empty()) return std::move(select.items[0].expr);
    }
  }
  return PgError(sqlstate::kSyntaxError, StrCat("invalid expression \"", text, "\""));
}

absl::StatusOr<ast::TypeName> ParseTypeNode(std::string_view text) {
  ASSIGN_OR_RETURN(ast::ExprPtr expr, ParseExpression(StrCat("CAST(NULL AS ", text, "\n)")));
  if (expr->kind != ast::ExprKind::kTypeCast) return PgError(sqlstate::kSyntaxError, StrCat("invalid type name \"", text, "\""));
  return std::move(static_cast<ast::TypeCast&>(*expr).type);
}

}  // namespace insula::sql
