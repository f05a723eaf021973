#include "sql/opt/push_filters.h"

#include <algorithm>
#include <map>

#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

using Conjuncts = std::vector<ExprPtr>;

ColumnSet OutputSet(LogicalNode& node) {
  auto v = node.Output();
  return ColumnSet(v.begin(), v.end());
}
bool Contains(const ColumnSet& all, const ColumnSet& some) {
  return std::all_of(some.begin(), some.end(), [&](ColumnId c) { return all.contains(c); });
}
bool Intersects(const ColumnSet& a, const ColumnSet& b) {
  return std::any_of(a.begin(), a.end(), [&](ColumnId c) { return b.contains(c); });
}

LogicalPtr Above(LogicalPtr node, Conjuncts conjuncts) {
  if (conjuncts.empty()) return node;
  auto filter = std::make_shared<LogicalFilter>();
  filter->condition = MakeAnd(std::move(conjuncts));
  filter->children.push_back(std::move(node));
  return filter;
}

// NULL whenever all of `columns` are.
bool IsStrictIn(const ExprPtr& e, const ColumnSet& columns) {
  switch (e->kind) {
    case ExprKind::kColumn: return columns.contains(e->As<ColumnExpr>().column);
    case ExprKind::kFunction:
      return e->As<FunctionExpr>().function->strict && std::any_of(e->args.begin(), e->args.end(), [&](const ExprPtr& a) { return IsStrictIn(a, columns); });
    case ExprKind::kCast: return IsStrictIn(e->args[0], columns);
    case ExprKind::kInList: return IsStrictIn(e->args[0], columns);
    case ExprKind::kNot: return IsStrictIn(e->args[0], columns);
    default: return false;
  }
}

class Pusher {
 public:
  // `node` with `conjuncts` applied to its rows, as far down as they go.
  LogicalPtr Push(LogicalPtr node, Conjuncts conjuncts) {
    switch (node->kind) {
      case LogicalKind::kFilter: {
        SplitConjuncts(node->As<LogicalFilter>().condition, &conjuncts);
        return Push(node->children[0], std::move(conjuncts));
      }
      case LogicalKind::kProject: return Project(std::move(node), std::move(conjuncts));
      case LogicalKind::kJoin: return Join(std::move(node), std::move(conjuncts));
      case LogicalKind::kAggregate: return Aggregate(std::move(node), std::move(conjuncts));
      case LogicalKind::kSetOperation: return SetOperation(std::move(node), std::move(conjuncts));
      case LogicalKind::kSort:
      case LogicalKind::kLock: return Through(std::move(node), std::move(conjuncts), [](const ExprPtr& c) { return IsStable(c); });
      case LogicalKind::kDistinct: {
        auto& d = node->As<LogicalDistinct>();
        ColumnSet keys;
        for (const auto& k : d.on) CollectColumns(k, &keys);
        const bool all = d.on.empty();
        return Through(std::move(node), std::move(conjuncts), [&](const ExprPtr& c) { return IsStable(c) && (all || Contains(keys, ColumnsOf(c))); });
      }
      case LogicalKind::kWindow: {
        ColumnSet keys;
        for (const auto& p : node->As<LogicalWindow>().partition_by) {
          if (p->kind == ExprKind::kColumn) CollectColumns(p, &keys);
        }
        return Through(std::move(node), std::move(conjuncts), [&](const ExprPtr& c) { return IsStable(c) && Contains(keys, ColumnsOf(c)); });
      }
      case LogicalKind::kProjectSet: {
        const ColumnSet input = OutputSet(*node->children[0]);
        return Through(std::move(node), std::move(conjuncts), [&](const ExprPtr& c) { return IsStable(c) && Contains(input, ColumnsOf(c)); });
      }
      case LogicalKind::kCte: {
        node->children[0] = Push(node->children[0], {});
        node->children[1] = Push(node->children[1], std::move(conjuncts));
        return node;
      }
      default:
        for (auto& child : node->children) child = Push(child, {});
        return Above(std::move(node), std::move(conjuncts));
    }
  }

 private:
  template <typename May>
  LogicalPtr Through(LogicalPtr node, Conjuncts conjuncts, const May& may) {
    Conjuncts down, stay;
    for (auto& c : conjuncts) (may(c) ? down : stay).push_back(std::move(c));
    node->children[0] = Push(node->children[0], std::move(down));
    return Above(std::move(node), std::move(stay));
  }

  LogicalPtr Project(LogicalPtr node, Conjuncts conjuncts) {
    auto& project = node->As<LogicalProject>();
    std::map<ColumnId, ExprPtr> values;
    ColumnSet costly;  // computed anew for every mention, or not the same each time
    for (const auto& item : project.items) {
      values[item.column] = item.expr;
      if (!IsStable(item.expr)) costly.insert(item.column);
    }
    Conjuncts down, stay;
    for (auto& c : conjuncts) {
      if (IsStable(c) && !Intersects(ColumnsOf(c), costly)) {
        down.push_back(SubstituteColumns(c, values));
      } else {
        stay.push_back(std::move(c));
      }
    }
    node->children[0] = Push(node->children[0], std::move(down));
    return Above(std::move(node), std::move(stay));
  }

  LogicalPtr Aggregate(LogicalPtr node, Conjuncts conjuncts) {
    auto& a = node->As<LogicalAggregate>();
    std::map<ColumnId, ExprPtr> keys;
    ColumnSet key_columns;
    if (a.grouping_sets.empty()) {
      for (const auto& k : a.keys) {
        if (!IsStable(k.expr)) continue;
        keys[k.column] = k.expr;
        key_columns.insert(k.column);
      }
    }
    Conjuncts down, stay;
    for (auto& c : conjuncts) {
      const ColumnSet used = ColumnsOf(c);
      if (!keys.empty() && !used.empty() && IsStable(c) && Contains(key_columns, used)) {
        down.push_back(SubstituteColumns(c, keys));
      } else {
        stay.push_back(std::move(c));
      }
    }
    node->children[0] = Push(node->children[0], std::move(down));
    return Above(std::move(node), std::move(stay));
  }

  LogicalPtr SetOperation(LogicalPtr node, Conjuncts conjuncts) {
    auto& s = node->As<LogicalSetOperation>();
    Conjuncts down, stay;
    for (auto& c : conjuncts) (IsStable(c) ? down : stay).push_back(std::move(c));
    for (size_t i = 0; i < node->children.size(); ++i) {
      std::map<ColumnId, ExprPtr> map;
      auto output = node->children[i]->Output();
      for (size_t k = 0; k < s.columns.size(); ++k) {
        // The type is the same on both sides, but for its modifier.
        for (const auto& c : down) {
          VisitExpr(c, [&](const Expr& e) {
            if (const auto* x = e.TryAs<ColumnExpr>(); x != nullptr && x->column == s.columns[k]) map[s.columns[k]] = MakeColumn(s.inputs[i][k], x->type, x->name);
            return true;
          });
        }
      }
      Conjuncts own;
      for (const auto& c : down) own.push_back(SubstituteColumns(c, map));
      node->children[i] = Push(node->children[i], std::move(own));
    }
    return Above(std::move(node), std::move(stay));
  }

  // a = b and b = 5 give a = 5, so that both sides of a join can use it.
  static void AddImplied(Conjuncts* conjuncts) {
    std::vector<std::pair<const FunctionExpr*, ExprPtr>> constants;  // column = constant
    std::vector<const FunctionExpr*> pairs;                          // column = column
    for (const auto& c : *conjuncts) {
      const auto* f = c->TryAs<FunctionExpr>();
      if (f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2) continue;
      const bool l = f->args[0]->kind == ExprKind::kColumn, r = f->args[1]->kind == ExprKind::kColumn;
      if (l && r) {
        if (f->args[0]->type.oid == f->args[1]->type.oid) pairs.push_back(f);
      } else if (l && IsRowIndependent(f->args[1])) {
        constants.emplace_back(f, f->args[1]);
      }
    }
    Conjuncts added;
    for (const auto* p : pairs) {
      for (const auto& [c, value] : constants) {
        for (size_t side : {0, 1}) {
          if (!ExprEquals(p->args[side], c->args[0])) continue;
          auto implied = std::static_pointer_cast<FunctionExpr>(c->Clone());
          implied->args[0] = p->args[1 - side];
          const bool known = std::any_of(conjuncts->begin(), conjuncts->end(), [&](const ExprPtr& x) { return ExprEquals(x, implied); }) ||
                             std::any_of(added.begin(), added.end(), [&](const ExprPtr& x) { return ExprEquals(x, implied); });
          if (!known) added.push_back(implied);
        }
      }
    }
    conjuncts->insert(conjuncts->end(), added.begin(), added.end());
  }

  LogicalPtr Join(LogicalPtr node, Conjuncts conjuncts) {
    auto& join = node->As<LogicalJoin>();
    if (join.join == JoinType::kRight) {
      std::swap(node->children[0], node->children[1]);
      join.join = JoinType::kLeft;
    }
    ColumnSet left = OutputSet(*node->children[0]);
    ColumnSet right = OutputSet(*node->children[1]);
    auto rejects = [&](const ColumnSet& side) {
      return std::any_of(conjuncts.begin(), conjuncts.end(), [&](const ExprPtr& c) { return RejectsNulls(c, side); });
    };
    if (join.join == JoinType::kFull) {
      const bool no_left_nulls = rejects(left), no_right_nulls = rejects(right);
      if (no_left_nulls && no_right_nulls) {
        join.join = JoinType::kInner;
      } else if (no_left_nulls) {
        join.join = JoinType::kLeft;
      } else if (no_right_nulls) {
        std::swap(node->children[0], node->children[1]);
        std::swap(left, right);
        join.join = JoinType::kLeft;
      }
    }
    if (join.join == JoinType::kLeft && join.guard == nullptr && rejects(right)) join.join = JoinType::kInner;

    Conjuncts to_left, to_right, on, stay;
    SplitConjuncts(join.condition, &on);
    switch (join.join) {
      case JoinType::kInner: {
        for (auto& c : conjuncts) (IsStable(c) ? on : stay).push_back(std::move(c));
        AddImplied(&on);
        Conjuncts keep;
        for (auto& c : on) {
          const ColumnSet used = ColumnsOf(c);
          const bool uses_left = Intersects(used, left), uses_right = Intersects(used, right);
          if (!IsStable(c)) {
            keep.push_back(std::move(c));
          } else if (!uses_right) {
            to_left.push_back(std::move(c));
          } else if (!uses_left || join.lateral) {
            to_right.push_back(std::move(c));  // a lateral side may look at the left row, and use an index for it
          } else {
            keep.push_back(std::move(c));
          }
        }
        on = std::move(keep);
        break;
      }
      case JoinType::kLeft:
      case JoinType::kSemi:
      case JoinType::kAnti:
      case JoinType::kMark: {
        for (auto& c : conjuncts) (IsStable(c) && !Uses(c, right) && !UsesMark(c, join) ? to_left : stay).push_back(std::move(c));
        Conjuncts keep;
        for (auto& c : on) {
          const ColumnSet used = ColumnsOf(c);
          const bool uses_left = Intersects(used, left);
          if (!IsStable(c)) {
            keep.push_back(std::move(c));
          } else if (!uses_left && join.join != JoinType::kMark) {
            to_right.push_back(std::move(c));
          } else if (join.join == JoinType::kSemi && !Intersects(used, right)) {
            to_left.push_back(std::move(c));
          } else if (join.lateral && join.join != JoinType::kMark && Intersects(used, right)) {
            to_right.push_back(std::move(c));
          } else {
            keep.push_back(std::move(c));
          }
        }
        on = std::move(keep);
        break;
      }
      default:
        stay = std::move(conjuncts);
    }
    join.condition = on.empty() ? nullptr : MakeAnd(std::move(on));
    node->children[0] = Push(node->children[0], std::move(to_left));
    node->children[1] = Push(node->children[1], std::move(to_right));
    return Above(std::move(node), std::move(stay));
  }

  static bool Uses(const ExprPtr& c, const ColumnSet& columns) { return Intersects(ColumnsOf(c), columns); }
  static bool UsesMark(const ExprPtr& c, const LogicalJoin& join) {
    return join.join == JoinType::kMark && ColumnsOf(c).contains(join.mark);
  }
};

}  // namespace

bool RejectsNulls(const ExprPtr& condition, const ColumnSet& columns) {
  switch (condition->kind) {
    case ExprKind::kAnd:
      return std::any_of(condition->args.begin(), condition->args.end(), [&](const ExprPtr& a) { return RejectsNulls(a, columns); });
    case ExprKind::kOr:
      return std::all_of(condition->args.begin(), condition->args.end(), [&](const ExprPtr& a) { return RejectsNulls(a, columns); });
    case ExprKind::kNullTest: return condition->As<NullTestExpr>().negated && IsStrictIn(condition->args[0], columns);
    case ExprKind::kBooleanTest: {
      const auto test = condition->As<BooleanTestExpr>().test;
      return (test == BooleanTestKind::kTrue || test == BooleanTestKind::kFalse || test == BooleanTestKind::kNotUnknown) && IsStrictIn(condition->args[0], columns);
    }
    default: return IsStrictIn(condition, columns);
  }
}

void PushFilters(LogicalPtr* plan) { *plan = Pusher().Push(*plan, {}); }

}  // namespace insula::sql
