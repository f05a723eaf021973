#include "sql/opt/prune.h"

#include <algorithm>

#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

void Prune(LogicalPtr& node, ColumnSet needed) {
  switch (node->kind) {
    case LogicalKind::kScan: {
      auto& s = node->As<LogicalScan>();
      std::vector<int> ordinals;
      std::vector<ColumnId> columns;
      for (size_t i = 0; i < s.columns.size(); ++i) {
        if (!needed.contains(s.columns[i])) continue;
        ordinals.push_back(s.ordinals[i]);
        columns.push_back(s.columns[i]);
      }
      // Index expressions stay over all columns; they are matched, never evaluated here.
      s.ordinals = std::move(ordinals);
      s.columns = std::move(columns);
      return;
    }
    case LogicalKind::kProject: {
      auto& p = node->As<LogicalProject>();
      std::erase_if(p.items, [&](const NamedExpr& i) { return !needed.contains(i.column); });
      ColumnSet below;
      for (const auto& i : p.items) CollectColumns(i.expr, &below);
      Prune(node->children[0], std::move(below));
      return;
    }
    case LogicalKind::kAggregate: {
      auto& a = node->As<LogicalAggregate>();
      std::erase_if(a.aggregates, [&](const AggregateSpec& s) { return !needed.contains(s.output); });
      ColumnSet below;
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      Prune(node->children[0], std::move(below));
      return;
    }
    case LogicalKind::kWindow: {
      auto& w = node->As<LogicalWindow>();
      std::erase_if(w.calls, [&](const WindowCall& c) { return !needed.contains(c.output); });
      ColumnSet below = needed;
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      if (w.calls.empty()) {
        node = node->children[0];
        return Prune(node, std::move(below));
      }
      return Prune(node->children[0], std::move(below));
    }
    case LogicalKind::kSetOperation: {
      auto& s = node->As<LogicalSetOperation>();
      // Rows are compared as a whole unless it is UNION ALL.
      if (s.operation == SetOperationKind::kUnion && s.all) {
        std::vector<ColumnId> columns;
        std::vector<std::vector<ColumnId>> inputs(s.inputs.size());
        for (size_t k = 0; k < s.columns.size(); ++k) {
          if (!needed.contains(s.columns[k])) continue;
          columns.push_back(s.columns[k]);
          for (size_t i = 0; i < inputs.size(); ++i) inputs[i].push_back(s.inputs[i][k]);
        }
        s.columns = std::move(columns);
        s.inputs = std::move(inputs);
      }
      for (size_t i = 0; i < node->children.size(); ++i) Prune(node->children[i], ColumnSet(s.inputs[i].begin(), s.inputs[i].end()));
      return;
    }
    case LogicalKind::kRecursiveUnion: {
      auto& r = node->As<LogicalRecursiveUnion>();
      for (size_t i = 0; i < node->children.size(); ++i) Prune(node->children[i], ColumnSet(r.inputs[i].begin(), r.inputs[i].end()));
      return;
    }
    case LogicalKind::kDistinct: {
      auto& d = node->As<LogicalDistinct>();
      ColumnSet below = needed;
      if (d.on.empty()) {
        auto all = node->Output();
        below.insert(all.begin(), all.end());
      }
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      return Prune(node->children[0], std::move(below));
    }
    case LogicalKind::kCteScan: {
      auto& s = node->As<LogicalCteScan>();
      std::vector<ColumnId> source, columns;
      for (size_t i = 0; i < s.columns.size(); ++i) {
        if (!needed.contains(s.columns[i])) continue;
        source.push_back(s.source[i]);
        columns.push_back(s.columns[i]);
      }
      s.source = std::move(source);
      s.columns = std::move(columns);
      return;
    }
    case LogicalKind::kWorkTableScan: {
      auto& s = node->As<LogicalWorkTableScan>();
      std::vector<int> source;
      std::vector<ColumnId> columns;
      for (size_t i = 0; i < s.columns.size(); ++i) {
        if (!needed.contains(s.columns[i])) continue;
        source.push_back(s.source[i]);
        columns.push_back(s.columns[i]);
      }
      s.source = std::move(source);
      s.columns = std::move(columns);
      return;
    }
    case LogicalKind::kCte: {
      Prune(node->children[1], needed);
      // The definition keeps what any reader reads; a write keeps all that it returns.
      auto& c = node->As<LogicalCte>();
      ColumnSet read;
      VisitPlan(*node->children[1], [&](LogicalNode& n) {
        if (auto* s = n.TryAs<LogicalCteScan>(); s != nullptr && s->cte == c.cte) read.insert(s->source.begin(), s->source.end());
      });
      if (c.modifies || node->children[0]->kind == LogicalKind::kRecursiveUnion) {
        auto all = node->children[0]->Output();
        read.insert(all.begin(), all.end());
      }
      return Prune(node->children[0], std::move(read));
    }
    case LogicalKind::kJoin: {
      ColumnSet below = needed;
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      if (node->As<LogicalJoin>().lateral) {
        const ColumnSet outer = OuterColumns(*node->children[1]);
        below.insert(outer.begin(), outer.end());
      }
      for (auto& child : node->children) Prune(child, below);
      return;
    }
    case LogicalKind::kLock: {
      ColumnSet below = needed;
      for (const auto& t : node->As<LogicalLock>().targets) below.insert(t.key.begin(), t.key.end());
      return Prune(node->children[0], std::move(below));
    }
    case LogicalKind::kInsert: {
      auto& i = node->As<LogicalInsert>();
      return Prune(node->children[0], ColumnSet(i.source.begin(), i.source.end()));
    }
    case LogicalKind::kUpdate:
    case LogicalKind::kDelete: {
      ColumnSet below;
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      const auto& old = node->kind == LogicalKind::kUpdate ? node->As<LogicalUpdate>().spec.old_columns : node->As<LogicalDelete>().spec.old_columns;
      below.insert(old.begin(), old.end());
      return Prune(node->children[0], std::move(below));
    }
    case LogicalKind::kSingleRow:
    case LogicalKind::kFilter:
    case LogicalKind::kSort:
    case LogicalKind::kLimit:
    case LogicalKind::kProjectSet: {
      ColumnSet below = needed;
      node->ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &below); });
      return Prune(node->children[0], std::move(below));
    }
    case LogicalKind::kValues:
    case LogicalKind::kFunctionScan:
    case LogicalKind::kExternalSource:
      return;
  }
}

}  // namespace

void PruneColumns(LogicalPtr* plan, const ColumnSet& needed) { Prune(*plan, needed); }

}  // namespace insula::sql
