// Columns become places in the row that an expression is evaluated on.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/opt/planner.h"

namespace insula::sql {

Layout Planner::LayoutOf(const PhysicalNode& node) {
  Layout out;
  for (const PhysicalColumn& c : node.output) out.push_back(c.id);
  return out;
}

ExprPtr Planner::Slotted(const ExprPtr& expr, const Layout& layout) const {
  return RewriteExpr(expr, [&](const ExprPtr& e) -> ExprPtr {
    const auto* c = e->TryAs<ColumnExpr>();
    if (c == nullptr) return nullptr;
    auto it = std::find(layout.begin(), layout.end(), c->column);
    if (it == layout.end()) {  // a column of an enclosing row, if it is one
      auto param = exec_params_.find(c->column);
      if (param == exec_params_.end()) {
        if (lost_column_.ok()) {
          lost_column_ = PgError(sqlstate::kInternalError, StrCat("column ", c->column, " (", statement_->columns[c->column].name, ") is not in the input row"));
        }
        return MakeNull(c->type);
      }
      auto p = std::make_shared<ExecParamExpr>(c->type, param->second);
      p->name = c->name;
      return p;
    }
    auto out = std::static_pointer_cast<ColumnExpr>(c->Clone());
    out->slot = static_cast<int>(it - layout.begin());
    return out;
  });
}

std::vector<ExprPtr> Planner::Slotted(const std::vector<ExprPtr>& exprs, const Layout& layout) const {
  std::vector<ExprPtr> out;
  for (const auto& e : exprs) out.push_back(e == nullptr ? nullptr : Slotted(e, layout));
  return out;
}

std::vector<SortKey> Planner::Slotted(const std::vector<SortKey>& keys, const Layout& layout) const {
  std::vector<SortKey> out;
  for (const SortKey& k : keys) out.push_back({Slotted(k.expr, layout), k.descending, k.nulls_first});
  return out;
}

std::vector<PhysicalColumn> Planner::OutputOf(const std::vector<ColumnId>& columns) const {
  std::vector<PhysicalColumn> out;
  for (ColumnId c : columns) {
    const ColumnMeta& m = statement_->columns[c];
    out.push_back({c, m.type, m.relation.empty() ? m.name : m.relation + "." + m.name});
  }
  return out;
}

int Planner::WidthOf(const std::vector<PhysicalColumn>& output) const {
  double width = 0;
  for (const PhysicalColumn& c : output) width += statistics_.Width(c.id);
  return static_cast<int>(width);
}

}  // namespace insula::sql
