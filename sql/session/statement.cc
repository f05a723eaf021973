#include "sql/session/statement.h"

#include "base/status_macros.h"

namespace insula::sql {

absl::StatusOr<std::shared_ptr<const ParsedText>> ParseText(std::string_view sql) {
  auto text = std::make_shared<ParsedText>();
  text->sql = sql;
  ASSIGN_OR_RETURN(text->statements, ParseSql(text->sql));
  return std::shared_ptr<const ParsedText>(std::move(text));
}

bool StatementSource::is_query() const {
  switch (ast->kind) {
    case ast::StatementKind::kSelect:
      return ast->As<ast::SelectStatement>().into == nullptr;
    case ast::StatementKind::kInsert:
    case ast::StatementKind::kUpdate:
    case ast::StatementKind::kDelete:
      return true;
    default:
      return false;
  }
}

SourcePtr MakeSource(std::shared_ptr<const ParsedText> text, size_t index) {
  const ParsedStatement& parsed = text->statements[index];
  auto source = std::make_shared<StatementSource>();
  source->ast = parsed.statement.get();
  source->sql = std::string_view(text->sql).substr(parsed.begin, parsed.end - parsed.begin);
  source->tag = CommandTag(*parsed.statement);
  source->parameter_count = parsed.parameter_count;
  source->text = std::move(text);
  return source;
}

SourcePtr MakeInnerSource(const StatementSource& outer, const ast::Statement* ast) {
  auto source = std::make_shared<StatementSource>();
  source->text = outer.text;
  source->ast = ast;
  source->sql = outer.sql;
  source->inner = true;
  source->tag = CommandTag(*ast);
  source->parameter_count = outer.parameter_count;
  return source;
}

bool ReadsCatalog(const PhysicalNode& node) {
  if (node.kind == PlanKind::kVirtualScan) return true;
  for (const PhysicalPtr& child : node.children) {
    if (ReadsCatalog(*child)) return true;
  }
  return false;
}

bool EndsFailedTransaction(const ast::Statement& statement) {
  const auto* t = statement.TryAs<ast::TransactionStatement>();
  if (t == nullptr) return false;
  switch (t->action) {
    case ast::TransactionAction::kCommit:
    case ast::TransactionAction::kRollback:
    case ast::TransactionAction::kRollbackTo:
    case ast::TransactionAction::kPrepare:
      return true;
    default:
      return false;
  }
}

}  // namespace insula::sql
