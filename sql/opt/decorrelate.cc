#include "sql/opt/decorrelate.h"

#include <algorithm>
#include <map>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

// One step on the way from an expression's root to a subquery in it, where evaluation may not get there.
struct Found {
  std::shared_ptr<const SubqueryExpr> subquery;
  ExprPtr guard;  // the subquery's value is looked at only where this is TRUE; null: always
};

ExprPtr IsTest(const ExprPtr& e, BooleanTestKind test) {
  auto out = std::make_shared<BooleanTestExpr>(test);
  out->args.push_back(e);
  return out;
}

ExprPtr AndGuard(const ExprPtr& a, const ExprPtr& b) {
  if (a == nullptr) return b;
  return MakeAnd({a, b});
}

// The outermost subqueries of `e`, each once, with their guards.
void Find(const ExprPtr& e, const ExprPtr& guard, std::vector<Found>* out) {
  if (e->kind == ExprKind::kSubquery) {
    for (auto& f : *out) {
      if (f.subquery.get() != e.get()) continue;
      f.guard = nullptr;  // looked at from two places: always computed
      return;
    }
    for (const auto& a : e->args) Find(a, guard, out);
    out->push_back({std::static_pointer_cast<const SubqueryExpr>(e), guard});
    return;
  }
  if (!ContainsSubquery(e)) return;
  if (e->kind == ExprKind::kCase) {
    ExprPtr reached = guard;
    size_t i = 0;
    for (; i + 1 < e->args.size(); i += 2) {
      const ExprPtr& condition = e->args[i];
      Find(condition, reached, out);
      // A condition that contains a subquery itself cannot be asked below it; then there is no guard from here on.
      const bool usable = !ContainsSubquery(condition);
      Find(e->args[i + 1], usable ? AndGuard(reached, IsTest(condition, BooleanTestKind::kTrue)) : reached, out);
      if (usable) reached = AndGuard(reached, IsTest(condition, BooleanTestKind::kNotTrue));
    }
    if (i < e->args.size()) Find(e->args[i], reached, out);
    return;
  }
  if (e->kind == ExprKind::kCoalesce) {
    ExprPtr reached = guard;
    for (const auto& a : e->args) {
      Find(a, reached, out);
      if (!ContainsSubquery(a)) reached = AndGuard(reached, MakeNullTest(a, false));
    }
    return;
  }
  for (const auto& a : e->args) Find(a, guard, out);
}

bool YieldsOneRow(LogicalNode& node) {
  switch (node.kind) {
    case LogicalKind::kSingleRow: return true;
    case LogicalKind::kAggregate: return node.As<LogicalAggregate>().keys.empty() && node.As<LogicalAggregate>().grouping_sets.empty();
    case LogicalKind::kValues: return node.As<LogicalValues>().rows.size() == 1;
    case LogicalKind::kProject:
    case LogicalKind::kSort: return YieldsOneRow(*node.children[0]);
    default: return false;
  }
}

bool Intersects(const ColumnSet& a, const ColumnSet& b) {
  return std::any_of(a.begin(), a.end(), [&](ColumnId c) { return b.contains(c); });
}
bool Contains(const ColumnSet& all, const ColumnSet& some) {
  return std::all_of(some.begin(), some.end(), [&](ColumnId c) { return all.contains(c); });
}
ColumnSet OutputSet(LogicalNode& node) {
  auto v = node.Output();
  return ColumnSet(v.begin(), v.end());
}

class Remover {
 public:
  Remover(Columns* columns, const Statistics& statistics) : columns_(columns), statistics_(statistics) {}

  absl::Status Node(LogicalPtr& node) {
    for (auto& child : node->children) RETURN_IF_ERROR(Node(child));
    switch (node->kind) {
      case LogicalKind::kFilter: return Filter(node);
      case LogicalKind::kJoin: return Join(node);
      case LogicalKind::kFunctionScan: return FunctionScan(node);
      case LogicalKind::kProject:
      case LogicalKind::kAggregate:
      case LogicalKind::kWindow:
      case LogicalKind::kSort:
      case LogicalKind::kProjectSet:
      case LogicalKind::kDistinct: return Generic(node);
      default: {
        bool left = false;
        node->ForEachExpr([&](ExprPtr& e) { left = left || ContainsSubquery(e); });
        if (left) return PgUnsupported("a subquery in this place");
        return absl::OkStatus();
      }
    }
  }

 private:
  // Subqueries in any expression of a node with one input.
  absl::Status Generic(LogicalPtr& node) {
    std::vector<Found> found;
    node->ForEachExpr([&](ExprPtr& e) { Find(e, nullptr, &found); });
    if (found.empty()) return absl::OkStatus();
    std::map<const Expr*, ExprPtr> values;
    RETURN_IF_ERROR(AttachAll(found, &node->children[0], &values));
    node->ForEachExpr([&](ExprPtr& e) { e = Replace(e, values); });
    return absl::OkStatus();
  }

  ExprPtr Replace(const ExprPtr& e, const std::map<const Expr*, ExprPtr>& values) {
    // Top down: an outer subquery is looked up by its own identity, before its arguments are rewritten.
    auto it = values.find(e.get());
    if (it != values.end()) return it->second;
    std::shared_ptr<Expr> copy;
    for (size_t i = 0; i < e->args.size(); ++i) {
      ExprPtr arg = Replace(e->args[i], values);
      if (arg == e->args[i]) continue;
      if (!copy) copy = e->Clone();
      copy->args[i] = std::move(arg);
    }
    return copy ? ExprPtr(copy) : e;
  }

  absl::Status AttachAll(const std::vector<Found>& found, LogicalPtr* input, std::map<const Expr*, ExprPtr>* values) {
    for (const Found& f : found) {
      std::shared_ptr<SubqueryExpr> s = std::static_pointer_cast<SubqueryExpr>(f.subquery->Clone());
      for (auto& a : s->args) a = Replace(a, *values);
      ASSIGN_OR_RETURN(ExprPtr value, Attach(*s, f.guard, input));
      (*values)[f.subquery.get()] = std::move(value);
    }
    return absl::OkStatus();
  }

  absl::Status Filter(LogicalPtr& node) {
    auto& filter = node->As<LogicalFilter>();
    if (!ContainsSubquery(filter.condition)) return absl::OkStatus();
    std::vector<ExprPtr> conjuncts, plain, rest;
    SplitConjuncts(filter.condition, &conjuncts);
    for (auto& c : conjuncts) (ContainsSubquery(c) ? rest : plain).push_back(c);
    LogicalPtr input = node->children[0];
    // What needs no subquery first, so that those run for fewer rows.
    if (!plain.empty()) {
      auto first = std::make_shared<LogicalFilter>();
      first->condition = MakeAnd(std::move(plain));
      first->children.push_back(input);
      input = first;
    }
    std::vector<ExprPtr> left;
    for (auto& c : rest) {
      bool negated = false;
      const Expr* e = c.get();
      while (e->kind == ExprKind::kNot) {
        negated = !negated;
        e = e->args[0].get();
      }
      const auto* s = e->TryAs<SubqueryExpr>();
      const bool nested = s != nullptr && std::any_of(s->args.begin(), s->args.end(), ContainsSubquery);
      if (s != nullptr && !nested && (s->subquery == SubqueryKind::kExists || (s->subquery == SubqueryKind::kAny && !negated))) {
        RETURN_IF_ERROR(SemiJoin(*s, negated, &input));
      } else {
        left.push_back(c);
      }
    }
    if (left.empty()) {
      node = input;
      return absl::OkStatus();
    }
    auto last = std::make_shared<LogicalFilter>();
    last->condition = MakeAnd(std::move(left));
    last->children.push_back(input);
    node = last;
    const std::vector<ColumnId> output = input->Output();
    RETURN_IF_ERROR(Generic(node));
    // The joins added columns; drop them again.
    node = Narrow(node, output);
    return absl::OkStatus();
  }

  LogicalPtr Narrow(LogicalPtr node, const std::vector<ColumnId>& output) {
    if (node->Output() == output) return node;
    auto project = std::make_shared<LogicalProject>();
    for (ColumnId c : output) project->items.push_back({c, columns_->Ref(c)});
    project->children.push_back(std::move(node));
    return project;
  }

  absl::Status Join(LogicalPtr& node) {
    auto& join = node->As<LogicalJoin>();
    if (join.condition == nullptr || !ContainsSubquery(join.condition)) return absl::OkStatus();
    const std::vector<ColumnId> output = node->Output();
    if (join.join == JoinType::kInner) {
      auto filter = std::make_shared<LogicalFilter>();
      filter->condition = std::move(join.condition);
      join.condition = nullptr;
      filter->children.push_back(node);
      node = filter;
      return Filter(node);
    }
    if (join.join == JoinType::kLeft || join.join == JoinType::kRight) {
      // The condition becomes a filter of the side that may be missing, which then looks at the other side.
      const size_t inner = join.join == JoinType::kLeft ? 1 : 0;
      if (inner == 0) {
        std::swap(join.children[0], join.children[1]);
        join.join = JoinType::kLeft;
      }
      auto filter = std::make_shared<LogicalFilter>();
      filter->condition = std::move(join.condition);
      join.condition = nullptr;
      filter->children.push_back(join.children[1]);
      LogicalPtr right = filter;
      RETURN_IF_ERROR(Filter(right));
      join.children[1] = right;
      join.lateral = join.lateral || Intersects(OuterColumns(*right), OutputSet(*join.children[0]));
      node = Narrow(node, output);
      return absl::OkStatus();
    }
    return PgUnsupported("a subquery in the condition of a FULL JOIN");
  }

  // FROM f((SELECT …)): the arguments are a row of their own, and the function looks at it.
  absl::Status FunctionScan(LogicalPtr& node) {
    std::vector<Found> found;
    node->ForEachExpr([&](ExprPtr& e) { Find(e, nullptr, &found); });
    if (found.empty()) return absl::OkStatus();
    auto one = std::make_shared<LogicalValues>();
    one->rows.emplace_back();
    LogicalPtr row = one;
    std::map<const Expr*, ExprPtr> values;
    RETURN_IF_ERROR(AttachAll(found, &row, &values));
    node->ForEachExpr([&](ExprPtr& e) { e = Replace(e, values); });
    const std::vector<ColumnId> output = node->Output();
    auto join = std::make_shared<LogicalJoin>();
    join->lateral = true;
    join->children = {row, node};
    node = Narrow(join, output);
    return absl::OkStatus();
  }

  // Takes conjuncts that look outside off the filters at the top of `plan`, as far as they can be asked above it instead.
  // Columns they need are added to the plan's projections.
  void PullConjuncts(LogicalPtr& plan, const ColumnSet& outer, std::vector<ExprPtr>* pulled) {
    switch (plan->kind) {
      case LogicalKind::kFilter: {
        PullConjuncts(plan->children[0], outer, pulled);
        auto& filter = plan->As<LogicalFilter>();
        std::vector<ExprPtr> conjuncts, kept;
        SplitConjuncts(filter.condition, &conjuncts);
        const ColumnSet made = OutputSet(*plan->children[0]);
        for (auto& c : conjuncts) {
          ColumnSet used = ColumnsOf(c);
          ColumnSet local;
          for (ColumnId x : used) {
            if (!outer.contains(x)) local.insert(x);
          }
          if (Intersects(used, outer) && IsStable(c) && !ContainsSubquery(c) && Contains(made, local)) {
            pulled->push_back(c);
          } else {
            kept.push_back(c);
          }
        }
        if (kept.size() == conjuncts.size()) return;
        if (kept.empty()) {
          plan = plan->children[0];
        } else {
          filter.condition = MakeAnd(std::move(kept));
        }
        return;
      }
      case LogicalKind::kProject: {
        const size_t before = pulled->size();
        PullConjuncts(plan->children[0], outer, pulled);
        auto& project = plan->As<LogicalProject>();
        const ColumnSet made = OutputSet(*plan);
        ColumnSet needed;
        for (size_t i = before; i < pulled->size(); ++i) CollectColumns((*pulled)[i], &needed);
        for (ColumnId c : needed) {
          if (!outer.contains(c) && !made.contains(c)) project.items.push_back({c, columns_->Ref(c)});
        }
        return;
      }
      case LogicalKind::kJoin: {
        auto& join = plan->As<LogicalJoin>();
        if (join.join == JoinType::kInner && !join.lateral) {
          for (auto& child : plan->children) PullConjuncts(child, outer, pulled);
          std::vector<ExprPtr> conjuncts, kept;
          SplitConjuncts(join.condition, &conjuncts);
          for (auto& c : conjuncts) (Intersects(ColumnsOf(c), outer) && IsStable(c) ? *pulled : kept).push_back(c);
          join.condition = kept.empty() ? nullptr : MakeAnd(std::move(kept));
        } else if (join.join == JoinType::kLeft || join.join == JoinType::kSemi || join.join == JoinType::kAnti) {
          PullConjuncts(plan->children[0], outer, pulled);
        }
        return;
      }
      case LogicalKind::kSort:
        PullConjuncts(plan->children[0], outer, pulled);
        return;
      default:
        return;
    }
  }

  // What EXISTS does not care about: what is selected, its order, duplicates.
  void StripForExists(LogicalPtr& plan) {
    for (;;) {
      if (plan->kind == LogicalKind::kProject || plan->kind == LogicalKind::kSort ||
          (plan->kind == LogicalKind::kDistinct)) {
        plan = plan->children[0];
        continue;
      }
      if (auto* limit = plan->TryAs<LogicalLimit>(); limit != nullptr && limit->offset == nullptr && limit->limit != nullptr) {
        const auto* c = limit->limit->TryAs<ConstantExpr>();
        if (c != nullptr && !c->value.is_null() && c->value.int_value() > 0) {
          plan = plan->children[0];
          continue;
        }
      }
      return;
    }
  }

  ExprPtr TestOf(const SubqueryExpr& s) {
    std::map<ColumnId, ExprPtr> left;
    for (size_t i = 0; i < s.test_columns.size(); ++i) left[s.test_columns[i]] = s.args[i];
    return SubstituteColumns(s.test, left);
  }

  // [NOT] EXISTS and IN as whole conjuncts.
  absl::Status SemiJoin(const SubqueryExpr& s, bool negated, LogicalPtr* input) {
    LogicalPtr plan = s.plan;
    RETURN_IF_ERROR(Node(plan));
    if (s.subquery == SubqueryKind::kExists) StripForExists(plan);
    std::vector<ExprPtr> condition;
    const ColumnSet left = OutputSet(**input);
    ColumnSet outer = OuterColumns(*plan);
    ColumnSet local;
    for (ColumnId c : outer) {
      if (left.contains(c)) local.insert(c);
    }
    if (!local.empty()) PullConjuncts(plan, local, &condition);
    if (s.subquery == SubqueryKind::kAny) condition.push_back(TestOf(s));
    auto join = std::make_shared<LogicalJoin>();
    join->join = negated ? JoinType::kAnti : JoinType::kSemi;
    if (!condition.empty()) join->condition = MakeAnd(std::move(condition));
    join->lateral = Intersects(OuterColumns(*plan), left);
    join->children = {*input, plan};
    *input = join;
    return absl::OkStatus();
  }

  // Joins the subquery to `input`; the expression that has its value.
  absl::StatusOr<ExprPtr> Attach(const SubqueryExpr& s, const ExprPtr& guard, LogicalPtr* input) {
    LogicalPtr plan = s.plan;
    RETURN_IF_ERROR(Node(plan));
    switch (s.subquery) {
      case SubqueryKind::kScalar: return AttachScalar(s, plan, guard, input);
      case SubqueryKind::kArray: return AttachArray(s, plan, guard, input);
      default: return AttachMark(s, plan, guard, input);
    }
  }

  absl::StatusOr<ExprPtr> AttachMark(const SubqueryExpr& s, LogicalPtr plan, const ExprPtr& guard, LogicalPtr* input) {
    const bool exists = s.subquery == SubqueryKind::kExists;
    const bool all = s.subquery == SubqueryKind::kAll;
    if (exists) StripForExists(plan);
    const ColumnSet left = OutputSet(**input);
    std::vector<ExprPtr> pulled, condition;
    ColumnSet local;
    for (ColumnId c : OuterColumns(*plan)) {
      if (left.contains(c)) local.insert(c);
    }
    // With a test, what is pulled must count as a filter (never NULL), so that NULL tests of other rows do not show.
    if (!local.empty() && exists) PullConjuncts(plan, local, &pulled);
    for (auto& c : pulled) condition.push_back(c);
    if (!exists) {
      ExprPtr test = TestOf(s);
      condition.push_back(all ? MakeNot(test) : test);
    }
    auto join = std::make_shared<LogicalJoin>();
    join->join = JoinType::kMark;
    join->two_valued = exists;
    join->mark = columns_->Add(exists ? "exists" : "any", SqlType{oid::kBool, -1});
    if (!condition.empty()) join->condition = MakeAnd(std::move(condition));
    join->lateral = Intersects(OuterColumns(*plan), left);
    if (join->lateral) join->guard = guard;
    join->children = {*input, plan};
    *input = join;
    ExprPtr mark = columns_->Ref(join->mark);
    if (exists) return IsTest(mark, BooleanTestKind::kTrue);
    return all ? MakeNot(mark) : mark;
  }

  absl::StatusOr<ExprPtr> AttachScalar(const SubqueryExpr& s, LogicalPtr plan, const ExprPtr& guard, LogicalPtr* input) {
    const ColumnSet left = OutputSet(**input);
    // (SELECT expression): the expression.
    if (auto* project = plan->TryAs<LogicalProject>(); project != nullptr && project->children[0]->kind == LogicalKind::kValues &&
                                                        project->children[0]->Output().empty() && YieldsOneRow(*project->children[0])) {
      for (const auto& item : project->items) {
        if (item.column == s.column) return item.expr;
      }
    }
    const bool correlated = Intersects(OuterColumns(*plan), left);
    if (correlated) {
      if (AtMostOneRow(*plan)) {
        // A lookup by a unique key: a left join finds the row or none.
        ColumnSet local;
        for (ColumnId c : OuterColumns(*plan)) {
          if (left.contains(c)) local.insert(c);
        }
        std::vector<ExprPtr> condition;
        PullConjuncts(plan, local, &condition);
        auto join = std::make_shared<LogicalJoin>();
        join->join = JoinType::kLeft;
        if (!condition.empty()) join->condition = MakeAnd(std::move(condition));
        join->lateral = Intersects(OuterColumns(*plan), left);
        join->children = {*input, plan};
        *input = join;
        return columns_->Ref(s.column);
      }
      if (ExprPtr value = AttachGrouped(s, plan, input)) return value;
    }
    if (!YieldsOneRow(*plan)) {
      auto single = std::make_shared<LogicalSingleRow>();
      single->children.push_back(plan);
      plan = single;
    }
    auto join = std::make_shared<LogicalJoin>();
    join->join = guard != nullptr ? JoinType::kLeft : JoinType::kInner;
    join->guard = guard;
    join->lateral = Intersects(OuterColumns(*plan), left);
    // The outer row and the subquery may come from one scan's ids when a view is used twice; ids are unique, so no clash.
    join->children = {*input, plan};
    *input = join;
    return columns_->Ref(s.column);
  }

  // Whether equalities fix all columns of a unique index of the one table that the plan reads.
  bool AtMostOneRow(LogicalNode& plan) {
    std::vector<ExprPtr> conjuncts;
    LogicalNode* node = &plan;
    while (node->kind == LogicalKind::kFilter || node->kind == LogicalKind::kProject || node->kind == LogicalKind::kSort) {
      if (auto* f = node->TryAs<LogicalFilter>()) SplitConjuncts(f->condition, &conjuncts);
      node = node->children[0].get();
    }
    auto* scan = node->TryAs<LogicalScan>();
    if (scan == nullptr) return false;
    const ColumnSet own = OutputSet(*scan);
    auto fixed = [&](int ordinal) {
      return std::any_of(conjuncts.begin(), conjuncts.end(), [&](const ExprPtr& c) {
        const auto* f = c->TryAs<FunctionExpr>();
        if (f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2) return false;
        for (size_t side : {0, 1}) {
          const auto* ref = f->args[side]->TryAs<ColumnExpr>();
          const Statistics::Source* source = ref != nullptr ? statistics_.Find(ref->column) : nullptr;
          if (source != nullptr && own.contains(ref->column) && source->ordinal == ordinal && !Intersects(ColumnsOf(f->args[1 - side]), own)) return true;
        }
        return false;
      });
    };
    for (const IndexInfo& index : scan->table->indexes) {
      if (!index.unique || !index.readable || !index.predicate.empty()) continue;
      if (std::all_of(index.columns.begin(), index.columns.end(), [&](const IndexColumnInfo& k) { return k.ordinal >= 0 && fixed(k.ordinal); })) return true;
    }
    return false;
  }

  // (SELECT f(agg(…)) FROM … WHERE inner = outer): the aggregate by `inner`, left-joined on the equality.
  ExprPtr AttachGrouped(const SubqueryExpr& s, LogicalPtr& plan, LogicalPtr* input) {
    // Project? over Aggregate without keys, and nothing else.
    LogicalProject* project = plan->TryAs<LogicalProject>();
    LogicalPtr below = project != nullptr ? plan->children[0] : plan;
    auto* aggregate = below->TryAs<LogicalAggregate>();
    if (aggregate == nullptr || !aggregate->keys.empty() || !aggregate->grouping_sets.empty()) return nullptr;
    const ColumnSet left = OutputSet(**input);
    bool uses_outer = false;
    aggregate->ForEachExpr([&](ExprPtr& e) { uses_outer = uses_outer || Intersects(ColumnsOf(e), left); });
    if (uses_outer) return nullptr;
    for (const auto& a : aggregate->aggregates) {
      // On no rows all aggregates but count yield NULL; others of that kind are not taken here.
      if (a.function->name != "count" && (a.function->name.starts_with("regr_count") || a.function->name.starts_with("grouping"))) return nullptr;
    }
    if (!WorthGrouping(*aggregate->children[0], left, **input)) return nullptr;
    ColumnSet local;
    for (ColumnId c : OuterColumns(*aggregate->children[0])) {
      if (left.contains(c)) local.insert(c);
    }
    // Look before taking apart: every conjunct that looks outside must be an equality of an outer and an inner side.
    if (!OnlyEqualities(*aggregate->children[0], local)) return nullptr;
    std::vector<ExprPtr> pulled;
    PullConjuncts(aggregate->children[0], local, &pulled);
    std::vector<ExprPtr> condition;
    for (const auto& c : pulled) {
      const auto& f = c->As<FunctionExpr>();
      const size_t inner = Intersects(ColumnsOf(f.args[0]), local) ? 1 : 0;
      ExprPtr key = f.args[inner];
      ColumnId id = 0;
      for (const auto& k : aggregate->keys) {
        if (ExprEquals(k.expr, key)) id = k.column;
      }
      if (id == 0) {
        const auto* column = key->TryAs<ColumnExpr>();
        id = column != nullptr ? column->column : columns_->Add("key", key->type);
        aggregate->keys.push_back({id, key});
      }
      auto equal = std::static_pointer_cast<FunctionExpr>(f.Clone());
      equal->args[inner] = columns_->Ref(id);
      condition.push_back(equal);
    }
    auto join = std::make_shared<LogicalJoin>();
    join->join = JoinType::kLeft;
    join->condition = MakeAnd(std::move(condition));
    join->children = {*input, below};
    *input = join;
    // No group: count is 0, all else NULL.
    std::map<ColumnId, ExprPtr> empty;
    for (const auto& a : aggregate->aggregates) {
      if (a.function->name != "count") continue;
      auto coalesce = std::make_shared<CoalesceExpr>(a.type);
      coalesce->args = {columns_->Ref(a.output), std::make_shared<ConstantExpr>(a.type, Datum::Int(0))};
      empty[a.output] = coalesce;
    }
    ExprPtr value = columns_->Ref(s.column);
    if (project != nullptr) {
      for (const auto& item : project->items) {
        if (item.column == s.column) value = item.expr;
      }
    }
    return SubstituteColumns(value, empty);
  }

  // Whether everything in `plan` that looks at `outer` is an equality at the top, between an outer and an inner side.
  bool OnlyEqualities(LogicalNode& plan, const ColumnSet& outer) {
    switch (plan.kind) {
      case LogicalKind::kFilter: {
        std::vector<ExprPtr> conjuncts;
        SplitConjuncts(plan.As<LogicalFilter>().condition, &conjuncts);
        for (const auto& c : conjuncts) {
          if (!Intersects(ColumnsOf(c), outer)) continue;
          const auto* f = c->TryAs<FunctionExpr>();
          if (f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2 || !IsStable(c)) return false;
          const ColumnSet l = ColumnsOf(f->args[0]), r = ColumnsOf(f->args[1]);
          const bool sides = (Contains(outer, l) && !Intersects(r, outer) && !r.empty()) || (Contains(outer, r) && !Intersects(l, outer) && !l.empty());
          if (!sides || l.empty() || r.empty()) return false;
        }
        return OnlyEqualities(*plan.children[0], outer);
      }
      case LogicalKind::kProject: {
        bool uses = false;
        plan.ForEachExpr([&](ExprPtr& e) { uses = uses || Intersects(ColumnsOf(e), outer); });
        return !uses && OnlyEqualities(*plan.children[0], outer);
      }
      case LogicalKind::kJoin: {
        auto& join = plan.As<LogicalJoin>();
        if (join.join != JoinType::kInner || join.lateral) return !Intersects(OuterColumns(plan), outer);
        if (join.condition != nullptr && Intersects(ColumnsOf(join.condition), outer)) return false;
        return OnlyEqualities(*plan.children[0], outer) && OnlyEqualities(*plan.children[1], outer);
      }
      default: return !Intersects(OuterColumns(plan), outer);
    }
  }

  // Running the subquery for each row is better where an index finds its rows and there are few outer rows.
  bool WorthGrouping(LogicalNode& inner, const ColumnSet& outer, LogicalNode& input) {
    std::vector<ExprPtr> conjuncts;
    LogicalNode* node = &inner;
    while (node->kind == LogicalKind::kFilter || node->kind == LogicalKind::kProject) {
      if (auto* f = node->TryAs<LogicalFilter>()) SplitConjuncts(f->condition, &conjuncts);
      node = node->children[0].get();
    }
    auto* scan = node->TryAs<LogicalScan>();
    if (scan == nullptr || scan->table->is_virtual) return true;
    for (const auto& c : conjuncts) {
      const auto* f = c->TryAs<FunctionExpr>();
      if (f == nullptr || f->op == nullptr || f->op->name != "=" || !Intersects(ColumnsOf(c), outer)) continue;
      for (const auto& a : f->args) {
        const auto* column = a->TryAs<ColumnExpr>();
        const Statistics::Source* source = column != nullptr ? statistics_.Find(column->column) : nullptr;
        if (source == nullptr || source->table != scan->table) continue;
        for (const IndexInfo& index : scan->table->indexes) {
          if (index.readable && index.predicate.empty() && !index.columns.empty() && index.columns[0].ordinal == source->ordinal) {
            // A lookup costs about as much as reading a hundred rows in sequence.
            return statistics_.Rows(input) * 100 > Statistics::TableRows(*scan->table);
          }
        }
      }
    }
    return true;
  }

  absl::StatusOr<ExprPtr> AttachArray(const SubqueryExpr& s, LogicalPtr plan, const ExprPtr& guard, LogicalPtr* input) {
    const SqlType element = (*columns_)[s.column].type;
    auto call = ResolveFunction("array_agg", std::vector<Oid>{element.oid});
    if (!call.ok()) return call.status();
    auto aggregate = std::make_shared<LogicalAggregate>();
    AggregateSpec spec;
    spec.function = call->function;
    spec.type = s.type;
    spec.args = {columns_->Ref(s.column)};
    spec.output = columns_->Add("array", s.type);
    aggregate->aggregates.push_back(spec);
    aggregate->children.push_back(plan);
    auto join = std::make_shared<LogicalJoin>();
    join->join = guard != nullptr ? JoinType::kLeft : JoinType::kInner;
    join->guard = guard;
    join->lateral = Intersects(OuterColumns(*plan), OutputSet(**input));
    join->children = {*input, aggregate};
    *input = join;
    // No rows make the empty array, not NULL.
    auto empty = std::make_shared<ArrayExpr>(s.type);
    auto value = std::make_shared<CoalesceExpr>(s.type);
    value->args = {columns_->Ref(spec.output), empty};
    return value;
  }

  Columns* columns_;
  const Statistics& statistics_;
};

}  // namespace

absl::Status RemoveSubqueries(LogicalPtr* plan, Columns* columns, const Statistics& statistics) {
  return Remover(columns, statistics).Node(*plan);
}

}  // namespace insula::sql
