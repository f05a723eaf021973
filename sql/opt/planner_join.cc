// Joins: order and methods.
//
// Inner joins that touch are one cluster of relations and conditions. Up to kDynamicLimit relations every way to join them is
// weighed (dynamic programming over subsets, bushy trees included); beyond that the cheapest next join is taken. Methods:
//   hash         builds on the right side; needs an equality between the sides
//   lookup       for batches of left rows, reads the right table by an index
//   nested loop  all pairs
//   lateral      the right side anew for each left row
// Outer, semi, anti and mark joins are planned where they stand, with their sides as they are.
#include <algorithm>
#include <limits>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "sql/opt/cost.h"
#include "sql/opt/planner.h"
#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

constexpr size_t kDynamicLimit = 9;

ColumnSet SetOf(const std::vector<ColumnId>& v) { return ColumnSet(v.begin(), v.end()); }
bool Contains(const ColumnSet& all, const ColumnSet& some) {
  return std::all_of(some.begin(), some.end(), [&](ColumnId c) { return all.contains(c); });
}
bool Intersects(const ColumnSet& a, const ColumnSet& b) {
  return std::any_of(a.begin(), a.end(), [&](ColumnId c) { return b.contains(c); });
}

ExprPtr CastTo(const ExprPtr& e, const SqlType& type) {
  auto cast = std::make_shared<CastExpr>(type, CastContext::kImplicit);
  cast->args.push_back(e);
  return cast;
}

}  // namespace

// --- Pieces --------------------------------------------------------------------------------------------------------

void Planner::FillScan(LogicalPtr plan, LogicalScan** scan, std::vector<ExprPtr>* filters) {
  *scan = nullptr;
  std::vector<ExprPtr> conjuncts;
  if (plan->kind == LogicalKind::kFilter && plan->children[0]->kind == LogicalKind::kScan) {
    SplitConjuncts(plan->As<LogicalFilter>().condition, &conjuncts);
    plan = plan->children[0];
  }
  if (plan->kind != LogicalKind::kScan || !std::all_of(conjuncts.begin(), conjuncts.end(), IsStable)) return;
  auto& s = plan->As<LogicalScan>();
  if (s.table->PrimaryIndex() == nullptr) return;
  *scan = &s;
  *filters = std::move(conjuncts);
}

std::vector<ColumnId> Planner::BindOuter(LogicalNode& right, const ColumnSet& left) {
  if (auto known = bound_.find(&right); known != bound_.end()) return known->second;
  std::vector<ColumnId> bound;
  std::map<ColumnId, ExprPtr> params;
  for (ColumnId c : OuterColumns(right)) {
    if (!left.contains(c)) continue;
    const ColumnMeta& meta = statement_->columns[c];
    auto [it, fresh] = exec_params_.emplace(c, static_cast<int>(exec_param_types_.size()));
    if (fresh) exec_param_types_.push_back(meta.type);
    auto p = std::make_shared<ExecParamExpr>(meta.type, it->second);
    p->name = meta.relation.empty() ? meta.name : meta.relation + "." + meta.name;
    params[c] = p;
    bound.push_back(c);
  }
  SubstituteColumns(right, params);
  bound_[&right] = bound;
  return bound;
}

void Planner::SplitEqualities(const std::vector<ExprPtr>& conjuncts, const ColumnSet& left, const ColumnSet& right, std::vector<ExprPtr>* left_keys,
                              std::vector<ExprPtr>* right_keys, std::vector<ExprPtr>* rest) const {
  for (const auto& c : conjuncts) {
    const auto* f = c->TryAs<FunctionExpr>();
    if (f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2 || !f->op->can_hash || !IsStable(c)) {
      rest->push_back(c);
      continue;
    }
    ExprPtr l = f->args[0], r = f->args[1];
    const ColumnSet lc = ColumnsOf(l), rc = ColumnsOf(r);
    if (!lc.empty() && !rc.empty() && Contains(right, lc) && Contains(left, rc)) {
      std::swap(l, r);
    } else if (lc.empty() || rc.empty() || !Contains(left, lc) || !Contains(right, rc)) {
      rest->push_back(c);
      continue;
    }
    if (l->type.oid != r->type.oid) {  // bigint = integer: as bigint
      if (IsInteger(l->type.oid) && IsInteger(r->type.oid)) {
        const SqlType wide{oid::kInt8, -1};
        if (l->type.oid != oid::kInt8) l = CastTo(l, wide);
        if (r->type.oid != oid::kInt8) r = CastTo(r, wide);
      } else if (FindCast(l->type.oid, r->type.oid, CastContext::kImplicit)) {
        l = CastTo(l, SqlType{r->type.oid, -1});
      } else if (FindCast(r->type.oid, l->type.oid, CastContext::kImplicit)) {
        r = CastTo(r, SqlType{l->type.oid, -1});
      } else {
        rest->push_back(c);
        continue;
      }
    }
    if (!IsHashable(l->type.oid)) {
      rest->push_back(c);
      continue;
    }
    left_keys->push_back(std::move(l));
    right_keys->push_back(std::move(r));
  }
}

void Planner::FinishJoin(PhysicalJoin* join, const SubPlan& left, const std::vector<PhysicalColumn>& right, ColumnId mark, double rows, SubPlan* out) {
  join->output = left.node->output;
  if (join->join == JoinType::kMark) join->output.push_back(OutputOf({mark})[0]);
  if (!OnlyLeftColumns(join->join)) join->output.insert(join->output.end(), right.begin(), right.end());
  for (size_t i = 0; i < join->output.size(); ++i) join->projection.push_back(static_cast<int>(i));
  join->width = WidthOf(join->output);
  join->row_estimate = std::max(1.0, rows);
  // Left rows come out in their order, but for joins that also bring out unmatched right rows.
  if (join->join != JoinType::kRight && join->join != JoinType::kFull) {
    out->ordering = left.ordering;
    out->constants = left.constants;
    out->not_null = left.not_null;
    const bool repeats = !OnlyLeftColumns(join->join);
    out->unique = left.unique && !repeats;
    out->unique_prefix = left.unique_prefix;
  }
}

SubPlan Planner::HashJoin(JoinType type, const SubPlan& left, const SubPlan& right, const std::vector<ExprPtr>& conjuncts, ColumnId mark, double rows) {
  const Layout l = LayoutOf(*left.node), r = LayoutOf(*right.node);
  auto join = std::make_shared<PhysicalHashJoin>();
  join->join = type;
  std::vector<ExprPtr> left_keys, right_keys, rest;
  SplitEqualities(conjuncts, SetOf(l), SetOf(r), &left_keys, &right_keys, &rest);
  join->left_keys = Slotted(left_keys, l);
  join->right_keys = Slotted(right_keys, r);
  Layout both = l;
  both.insert(both.end(), r.begin(), r.end());
  if (!rest.empty()) join->condition = Slotted(MakeAnd(rest), both);
  join->null_aware = type == JoinType::kMark && left_keys.size() == 1 && rest.empty();
  join->children = {left.node, right.node};
  SubPlan out;
  FinishJoin(join.get(), left, right.node->output, mark, rows, &out);
  join->startup_cost = left.node->startup_cost + right.cost() + right.rows() * kHashBuildCost;
  join->total_cost = left.cost() + right.cost() + right.rows() * kHashBuildCost + left.rows() * kHashProbeCost + join->row_estimate * kCpuRowCost;
  out.node = join;
  return out;
}

SubPlan Planner::NestedLoop(JoinType type, const SubPlan& left, const SubPlan& right, const std::vector<ExprPtr>& conjuncts, ColumnId mark, double rows,
                            const std::vector<ColumnId>& bindings, const ExprPtr& guard) {
  const Layout l = LayoutOf(*left.node), r = LayoutOf(*right.node);
  Layout both = l;
  both.insert(both.end(), r.begin(), r.end());
  auto join = std::make_shared<PhysicalNestedLoop>();
  join->join = type;
  if (!conjuncts.empty()) join->condition = Slotted(MakeAnd(conjuncts), both);
  for (ColumnId c : bindings) {
    auto it = std::find(l.begin(), l.end(), c);
    if (it == l.end()) continue;  // bound further out
    join->bindings.push_back({exec_params_.at(c), static_cast<int>(it - l.begin())});
  }
  if (guard != nullptr) join->guard = Slotted(guard, l);
  join->children = {left.node, right.node};
  SubPlan out;
  FinishJoin(join.get(), left, right.node->output, mark, rows, &out);
  const double pairs = left.rows() * right.rows();
  if (join->bindings.empty()) {
    join->startup_cost = left.node->startup_cost + right.cost();
    join->total_cost = left.cost() + right.cost() + pairs * (kCpuRowCost + kExprCost * static_cast<double>(conjuncts.size()));
  } else {
    join->startup_cost = left.node->startup_cost + right.node->startup_cost;
    join->total_cost = left.cost() + left.rows() * (right.cost() + kRestartCost) + pairs * kCpuRowCost;
  }
  out.node = join;
  return out;
}

// An index of the scanned table whose first columns are all bound by equalities with the left side or with constants.
std::optional<Planner::LookupChoice> Planner::FindLookup(const LogicalScan& scan, const std::vector<ExprPtr>& filters,
                                                         const std::vector<ExprPtr>& conjuncts, const ColumnSet& left) const {
  if (!options_.enable_lookupjoin) return std::nullopt;
  std::optional<LookupChoice> best;
  std::map<int, ColumnId> id_of;
  for (size_t i = 0; i < scan.ordinals.size(); ++i) id_of[scan.ordinals[i]] = scan.columns[i];
  for (size_t x = 0; x < scan.table->indexes.size(); ++x) {
    const IndexInfo& index = scan.table->indexes[x];
    if (!index.readable || !index.predicate.empty()) continue;
    LookupChoice choice;
    choice.index = static_cast<int>(x);
    bool from_left = false;
    for (const IndexColumnInfo& k : index.columns) {
      auto id = k.ordinal >= 0 ? id_of.find(k.ordinal) : id_of.end();
      if (id == id_of.end()) break;
      const Oid type = scan.table->columns[k.ordinal].type.oid;
      ExprPtr key, used;
      auto consider = [&](const ExprPtr& c, bool join_condition) {
        const auto* f = c->TryAs<FunctionExpr>();
        if (key != nullptr || f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2) return;
        for (size_t side : {0, 1}) {
          const Expr* column = f->args[side].get();
          while (column->kind == ExprKind::kCast && IsBinaryCoercible(column->args[0]->type.oid, column->type.oid)) column = column->args[0].get();
          const auto* ref = column->TryAs<ColumnExpr>();
          const ExprPtr& value = f->args[1 - side];
          if (ref == nullptr || ref->column != id->second || !IsStable(value)) continue;
          if (join_condition ? !Contains(left, ColumnsOf(value)) : !IsRowIndependent(value)) continue;
          const bool same = value->type.oid == type || (IsInteger(value->type.oid) && IsInteger(type)) ||
                            ((value->type.oid == oid::kText || value->type.oid == oid::kVarchar) && (type == oid::kText || type == oid::kVarchar));
          if (!same) continue;
          key = value;
          used = c;
          from_left = from_left || join_condition;
          return;
        }
      };
      for (const auto& c : conjuncts) consider(c, true);
      for (const auto& c : filters) consider(c, false);
      if (key == nullptr) break;
      choice.keys.push_back(key);
      choice.used.push_back(used);
    }
    if (choice.keys.empty() || !from_left) continue;
    choice.unique = index.unique && choice.keys.size() == index.columns.size();
    const bool better = !best || (choice.unique && !best->unique) || (choice.unique == best->unique && choice.keys.size() > best->keys.size());
    if (better) best = std::move(choice);
  }
  return best;
}

SubPlan Planner::LookupJoin(JoinType type, const SubPlan& left, const LogicalScan& scan, const LookupChoice& choice, const std::vector<ExprPtr>& filters,
                            const std::vector<ExprPtr>& conjuncts, double rows) {
  const Layout l = LayoutOf(*left.node);
  auto join = std::make_shared<PhysicalLookupJoin>();
  join->join = type;
  join->table = scan.table;
  join->index = choice.index;
  join->columns = scan.ordinals;
  join->alias = scan.alias;
  join->lock = scan.lock;
  join->keys = Slotted(choice.keys, l);
  join->unique = choice.unique;
  const IndexInfo& index = scan.table->indexes[choice.index];
  if (choice.index > 0) {
    std::set<int> covered(index.include.begin(), index.include.end());
    for (const auto& c : index.columns) covered.insert(c.ordinal);
    for (const auto& c : scan.table->PrimaryIndex()->columns) covered.insert(c.ordinal);
    join->index_join = std::any_of(scan.ordinals.begin(), scan.ordinals.end(), [&](int o) { return !covered.contains(o); });
  }
  auto said = [&](const ExprPtr& c) { return std::find(choice.used.begin(), choice.used.end(), c) != choice.used.end(); };
  std::vector<ExprPtr> own, rest;
  for (const auto& c : filters) {
    if (!said(c)) own.push_back(c);
  }
  for (const auto& c : conjuncts) {
    if (!said(c)) rest.push_back(c);
  }
  if (!own.empty()) join->right_filter = Slotted(MakeAnd(own), scan.columns);
  Layout both = l;
  both.insert(both.end(), scan.columns.begin(), scan.columns.end());
  if (!rest.empty()) join->condition = Slotted(MakeAnd(rest), both);
  join->children = {left.node};
  SubPlan out;
  FinishJoin(join.get(), left, OutputOf(scan.columns), 0, rows, &out);
  const double found = choice.unique ? left.rows() : left.rows() * std::max(1.0, Statistics::TableRows(*scan.table) * statistics_.Selectivity(choice.used));
  join->startup_cost = left.node->startup_cost + kPointCost;
  join->total_cost = left.cost() + kPointCost + left.rows() * kLookupCost + found * (kScanRowCost + (join->index_join ? kLookupCost : 0)) + join->row_estimate * kCpuRowCost;
  out.node = join;
  return out;
}

// --- Inner joins ---------------------------------------------------------------------------------------------------

// The search for an order. Subsets of relations are bit masks.
class Planner::JoinOrder {
 public:
  struct Entry {
    double cost = std::numeric_limits<double>::infinity();
    double rows = 0;
    uint64_t left = 0, right = 0;
    JoinMethod method = JoinMethod::kNone;
  };

  JoinOrder(Planner* planner, std::vector<Relation>* relations, std::vector<ExprPtr> conjuncts)
      : planner_(planner), relations_(*relations), conjuncts_(std::move(conjuncts)) {
    for (const auto& c : conjuncts_) {
      const ColumnSet used = ColumnsOf(c);
      uint64_t mask = 0;
      double most = 1, least = std::numeric_limits<double>::max();
      for (size_t i = 0; i < relations_.size(); ++i) {
        if (!Intersects(used, relations_[i].columns)) continue;
        mask |= uint64_t{1} << i;
        most = std::max(most, relations_[i].rows);
        least = std::min(least, relations_[i].rows);
      }
      masks_.push_back(mask);
      selectivities_.push_back(planner_->statistics_.JoinSelectivity({c}, most, least));
    }
  }

  // `pinned`: the relation that must stay leftmost (its order is wanted), or -1. False if no order exists.
  bool Search(int pinned) {
    pinned_ = pinned < 0 ? 0 : uint64_t{1} << pinned;
    entries_.clear();
    for (size_t i = 0; i < relations_.size(); ++i) {
      Entry& e = entries_[uint64_t{1} << i];
      e.rows = relations_[i].rows;
      e.cost = relations_[i].cost;
    }
    const uint64_t all = (uint64_t{1} << relations_.size()) - 1;
    if (relations_.size() <= kDynamicLimit) {
      for (uint64_t set = 1; set <= all; ++set) {
        if ((set & (set - 1)) == 0) continue;
        for (uint64_t left = (set - 1) & set; left != 0; left = (left - 1) & set) Consider(left, set & ~left);
      }
    } else {
      Greedy(all);
    }
    auto it = entries_.find(all);
    return it != entries_.end() && it->second.method != JoinMethod::kNone;
  }

  absl::StatusOr<SubPlan> Build(uint64_t set) {
    if ((set & (set - 1)) == 0) return relations_[IndexOf(set)].path;
    const Entry e = entries_.at(set);
    ASSIGN_OR_RETURN(SubPlan left, Build(e.left));
    const std::vector<ExprPtr> conjuncts = Between(e.left, e.right);
    const Relation* single = (e.right & (e.right - 1)) == 0 ? &relations_[IndexOf(e.right)] : nullptr;
    if (e.method == JoinMethod::kLookup) {
      auto choice = planner_->FindLookup(*single->scan, single->filters, conjuncts, ColumnsOfSet(e.left));
      CHECK(choice.has_value()) << "a lookup join that was chosen exists";
      return planner_->LookupJoin(JoinType::kInner, left, *single->scan, *choice, single->filters, conjuncts, e.rows);
    }
    ASSIGN_OR_RETURN(SubPlan right, Build(e.right));
    if (e.method == JoinMethod::kHash) return planner_->HashJoin(JoinType::kInner, left, right, conjuncts, 0, e.rows);
    return planner_->NestedLoop(JoinType::kInner, left, right, conjuncts, 0, e.rows, e.method == JoinMethod::kLateral ? single->bindings : std::vector<ColumnId>(),
                                nullptr);
  }

 private:
  static size_t IndexOf(uint64_t set) { return static_cast<size_t>(__builtin_ctzll(set)); }

  ColumnSet ColumnsOfSet(uint64_t set) const {
    ColumnSet out;
    for (size_t i = 0; i < relations_.size(); ++i) {
      if (set & (uint64_t{1} << i)) out.insert(relations_[i].columns.begin(), relations_[i].columns.end());
    }
    return out;
  }

  // Conditions that can be asked once both sides are there, and not before.
  std::vector<ExprPtr> Between(uint64_t left, uint64_t right) const {
    std::vector<ExprPtr> out;
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      const uint64_t m = masks_[i];
      if ((m & ~(left | right)) != 0) continue;
      const bool single_left = (left & (left - 1)) == 0, single_right = (right & (right - 1)) == 0;
      const bool done_left = (m & ~left) == 0 && !single_left, done_right = (m & ~right) == 0 && !single_right;
      if (done_left || done_right) continue;
      // A condition on one relation alone, or on none, is asked at that relation's first join.
      if ((m & ~left) == 0 && single_left) {
        out.push_back(conjuncts_[i]);
        continue;
      }
      if (m == 0 && !(single_left && single_right)) continue;
      out.push_back(conjuncts_[i]);
    }
    return out;
  }

  double RowsOf(uint64_t set) const {
    double rows = 1;
    for (size_t i = 0; i < relations_.size(); ++i) {
      if (set & (uint64_t{1} << i)) rows *= relations_[i].rows;
    }
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if ((masks_[i] & ~set) == 0) rows *= selectivities_[i];
    }
    return std::max(1.0, rows);
  }

  void Consider(uint64_t left, uint64_t right) {
    auto l = entries_.find(left), r = entries_.find(right);
    if (l == entries_.end() || r == entries_.end()) return;
    const bool left_single = (left & (left - 1)) == 0, right_single = (right & (right - 1)) == 0;
    if ((!left_single && l->second.method == JoinMethod::kNone) || (!right_single && r->second.method == JoinMethod::kNone)) return;
    if (pinned_ != 0 && ((right & pinned_) != 0)) return;
    // A lateral relation stands on the right of what it looks at.
    if (left_single && !relations_[IndexOf(left)].needs.empty()) return;
    JoinMethod method = JoinMethod::kNone;
    double cost = std::numeric_limits<double>::infinity();
    const uint64_t set = left | right;
    const double rows = RowsOf(set);
    auto offer = [&](JoinMethod m, double c) {
      if (c < cost) {
        cost = c;
        method = m;
      }
    };
    const std::vector<ExprPtr> conjuncts = Between(left, right);
    const double lr = l->second.rows, rr = r->second.rows;
    if (right_single && !relations_[IndexOf(right)].needs.empty()) {
      const Relation& lateral = relations_[IndexOf(right)];
      if (!Contains(ColumnsOfSet(left), lateral.needs)) return;
      offer(JoinMethod::kLateral, l->second.cost + lr * (lateral.cost + kRestartCost) + lr * rr * kCpuRowCost);
    } else {
      const double penalty = planner_->options_.enable_nestloop ? 0 : 1e10;
      // Estimates of a row or two are often wrong, and all pairs then cost dearly: count on a few more, unless a key says so.
      const double pairs = (left_single && relations_[IndexOf(left)].single_row ? lr : std::max(lr, 10.0)) *
                           (right_single && relations_[IndexOf(right)].single_row ? rr : std::max(rr, 10.0));
      offer(JoinMethod::kNestedLoop, l->second.cost + r->second.cost + penalty + pairs * (kCpuRowCost + kExprCost * static_cast<double>(conjuncts.size())));
      if (!conjuncts.empty()) {
        const ColumnSet left_columns = ColumnsOfSet(left);
        std::vector<ExprPtr> lk, rk, rest;
        planner_->SplitEqualities(conjuncts, left_columns, ColumnsOfSet(right), &lk, &rk, &rest);
        if (!lk.empty()) {
          const double off = planner_->options_.enable_hashjoin ? 0 : 1e9;
          offer(JoinMethod::kHash, l->second.cost + r->second.cost + off + rr * kHashBuildCost + lr * kHashProbeCost + rows * kCpuRowCost);
        }
        if (right_single && relations_[IndexOf(right)].scan != nullptr) {
          const Relation& relation = relations_[IndexOf(right)];
          if (auto choice = planner_->FindLookup(*relation.scan, relation.filters, conjuncts, left_columns)) {
            const double table = Statistics::TableRows(*relation.scan->table);
            const double found = choice->unique ? lr : lr * std::max(1.0, table * planner_->statistics_.Selectivity(choice->used));
            const double fetch = choice->index > 0 ? kLookupCost : 0;
            offer(JoinMethod::kLookup, l->second.cost + kPointCost + lr * kLookupCost + found * (kScanRowCost + fetch) + rows * kCpuRowCost);
          }
        }
      }
    }
    if (method == JoinMethod::kNone) return;
    Entry& e = entries_[set];
    if (e.method != JoinMethod::kNone && e.cost <= cost) return;
    e = Entry{cost, rows, left, right, method};
  }

  void Greedy(uint64_t all) {
    std::vector<uint64_t> parts;
    for (size_t i = 0; i < relations_.size(); ++i) parts.push_back(uint64_t{1} << i);
    while (parts.size() > 1) {
      double best = std::numeric_limits<double>::infinity();
      size_t bl = 0, br = 0;
      for (size_t i = 0; i < parts.size(); ++i) {
        for (size_t k = 0; k < parts.size(); ++k) {
          if (i == k) continue;
          Consider(parts[i], parts[k]);
          auto it = entries_.find(parts[i] | parts[k]);
          if (it == entries_.end() || it->second.method == JoinMethod::kNone || it->second.left != parts[i]) continue;
          // What the join adds, and what it hands on.
          const double score = it->second.cost - entries_[parts[i]].cost - entries_[parts[k]].cost + it->second.rows * kHashProbeCost;
          if (score < best) {
            best = score;
            bl = i;
            br = k;
          }
        }
      }
      if (best == std::numeric_limits<double>::infinity()) return;
      const uint64_t joined = parts[bl] | parts[br];
      parts.erase(parts.begin() + static_cast<long>(std::max(bl, br)));
      parts.erase(parts.begin() + static_cast<long>(std::min(bl, br)));
      parts.push_back(joined);
    }
  }

  Planner* planner_;
  std::vector<Relation>& relations_;
  std::vector<ExprPtr> conjuncts_;
  std::vector<uint64_t> masks_;
  std::vector<double> selectivities_;
  std::map<uint64_t, Entry> entries_;
  uint64_t pinned_ = 0;
};

void Planner::Gather(LogicalPtr node, std::vector<Relation>* relations, std::vector<ExprPtr>* conjuncts) {
  auto* join = node->TryAs<LogicalJoin>();
  if (join != nullptr && join->join == JoinType::kInner && join->guard == nullptr && relations->size() < 60) {
    SplitConjuncts(join->condition, conjuncts);
    Gather(node->children[0], relations, conjuncts);
    if (!join->lateral) {
      Gather(node->children[1], relations, conjuncts);
      return;
    }
    node = node->children[1];
  }
  Relation r;
  r.plan = node;
  r.columns = SetOf(node->Output());
  relations->push_back(std::move(r));
}

absl::StatusOr<SubPlan> Planner::PlanCluster(LogicalPtr node, const Wanted& wanted) {
  std::vector<Relation> relations;
  std::vector<ExprPtr> conjuncts;
  Gather(node, &relations, &conjuncts);
  ColumnSet all;
  for (const Relation& r : relations) all.insert(r.columns.begin(), r.columns.end());
  for (Relation& r : relations) {
    for (ColumnId c : OuterColumns(*r.plan)) {
      if (all.contains(c) && !r.columns.contains(c)) r.needs.insert(c);
    }
    if (auto known = bound_.find(r.plan.get()); known != bound_.end()) r.needs = SetOf(known->second);
    if (!r.needs.empty()) {
      r.bindings = BindOuter(*r.plan, r.needs);
    } else {
      FillScan(r.plan, &r.scan, &r.filters);
    }
    ASSIGN_OR_RETURN(r.path, Plan(r.plan, Wanted()));
    r.rows = std::max(1.0, r.path.rows());
    r.cost = r.path.cost();
    const PhysicalNode* top = r.path.node.get();
    while (top->kind == PlanKind::kProject) top = top->children[0].get();
    r.single_row = r.rows <= 1 && ((top->kind == PlanKind::kIndexScan && top->As<PhysicalIndexScan>().point) || top->kind == PlanKind::kSingleRow ||
                                   top->kind == PlanKind::kValues || top->kind == PlanKind::kHashAggregate);
  }
  const uint64_t whole = (uint64_t{1} << relations.size()) - 1;
  JoinOrder order(this, &relations, conjuncts);
  if (!order.Search(-1)) return PgError(sqlstate::kInternalError, "no join order found");
  ASSIGN_OR_RETURN(SubPlan best, order.Build(whole));
  if (wanted.ordering.empty() || wanted.soft || Satisfies(best, wanted.ordering)) return best;

  // The order wanted may be one relation's: keep that relation leftmost, read in order, and nothing has to be sorted.
  for (size_t i = 0; i < relations.size(); ++i) {
    const bool one = std::all_of(wanted.ordering.begin(), wanted.ordering.end(), [&](const OrderColumn& o) { return relations[i].columns.contains(o.column); });
    if (!one || !relations[i].needs.empty()) continue;
    SubPlan kept = relations[i].path;
    Wanted ordered;
    ordered.ordering = wanted.ordering;
    ASSIGN_OR_RETURN(relations[i].path, Plan(relations[i].plan, ordered));
    if (Satisfies(relations[i].path, wanted.ordering)) {
      // Under a LIMIT only its first rows will be read.
      const double part = wanted.limit ? std::min(1.0, *wanted.limit / best.rows()) : 1;
      relations[i].rows = std::max(1.0, relations[i].path.rows() * part);
      relations[i].cost = relations[i].path.cost() * part;
      JoinOrder pinned(this, &relations, conjuncts);
      if (pinned.Search(static_cast<int>(i))) {
        ASSIGN_OR_RETURN(SubPlan sorted, pinned.Build(whole));
        const double cost = sorted.node->startup_cost + (sorted.cost() - sorted.node->startup_cost) * part;
        if (Satisfies(sorted, wanted.ordering) && cost < best.cost() + SortCost(best.rows())) return sorted;
      }
    }
    relations[i].path = std::move(kept);
    break;
  }
  return best;
}

// --- Other joins ---------------------------------------------------------------------------------------------------

// Left rows whose key is among few right ones: take the right keys once each and look the left rows up.
std::optional<SubPlan> Planner::SemiByLookup(const LogicalJoin& join, const SubPlan& right, const std::vector<ExprPtr>& conjuncts) {
  LogicalScan* scan = nullptr;
  std::vector<ExprPtr> filters;
  FillScan(join.children[0], &scan, &filters);
  if (scan == nullptr || scan->lock.locks()) return std::nullopt;
  const Layout r = LayoutOf(*right.node);
  auto choice = FindLookup(*scan, filters, conjuncts, SetOf(r));
  if (!choice) return std::nullopt;
  // Every condition must be one of the keys, or duplicates would have to be dropped afterwards.
  for (const auto& c : conjuncts) {
    if (std::find(choice->used.begin(), choice->used.end(), c) == choice->used.end()) return std::nullopt;
  }
  std::vector<NamedExpr> items;
  std::vector<ExprPtr> keys;
  for (size_t i = 0; i < choice->keys.size(); ++i) {
    ExprPtr& key = choice->keys[i];
    if (ColumnsOf(key).empty()) continue;
    const auto* c = key->TryAs<ColumnExpr>();
    const ColumnId id = c != nullptr ? c->column : statement_->columns.Add("key", key->type);
    keys.push_back(key);
    items.push_back({id, key});
    key = statement_->columns.Ref(id);
  }
  SubPlan source = Projected(right, items);
  auto distinct = std::make_shared<PhysicalDistinct>();
  distinct->output = source.node->output;
  distinct->width = source.node->width;
  distinct->row_estimate = statistics_.Groups(keys, source.rows());
  distinct->startup_cost = distinct->total_cost = source.cost() + source.rows() * kHashBuildCost;
  distinct->children.push_back(source.node);
  SubPlan left;
  left.node = distinct;
  const double rows = std::max(1.0, distinct->row_estimate * std::max(1.0, Statistics::TableRows(*scan->table) * statistics_.Selectivity(choice->used)));
  SubPlan joined = LookupJoin(JoinType::kInner, left, *scan, *choice, filters, conjuncts, rows);
  return Arranged(std::move(joined), scan->columns);
}

absl::StatusOr<SubPlan> Planner::PlanOuterJoin(LogicalJoin& join, const Wanted& wanted) {
  std::vector<ExprPtr> conjuncts;
  SplitConjuncts(join.condition, &conjuncts);
  Wanted left_wanted;
  const bool keeps_left_order = join.join != JoinType::kRight && join.join != JoinType::kFull;
  const ColumnSet left_columns = SetOf(join.children[0]->Output());
  if (keeps_left_order && std::all_of(wanted.ordering.begin(), wanted.ordering.end(), [&](const OrderColumn& o) { return left_columns.contains(o.column); })) {
    left_wanted = wanted;
    if (join.join == JoinType::kSemi || join.join == JoinType::kAnti) left_wanted.limit.reset();
  }
  ASSIGN_OR_RETURN(SubPlan left, Plan(join.children[0], left_wanted));
  std::vector<ColumnId> bindings;
  if (join.lateral) bindings = BindOuter(*join.children[1], left_columns);
  Wanted right_wanted;
  if (!bindings.empty() && conjuncts.empty() && OnlyLeftColumns(join.join)) right_wanted.limit = 1;  // one match is enough
  ASSIGN_OR_RETURN(SubPlan right, Plan(join.children[1], right_wanted));

  double rows = left.rows();
  const double matches = left.rows() * right.rows() * statistics_.JoinSelectivity(conjuncts, left.rows(), right.rows());
  switch (join.join) {
    case JoinType::kInner: rows = matches; break;
    case JoinType::kLeft: rows = std::max(left.rows(), bindings.empty() ? matches : left.rows() * right.rows()); break;
    case JoinType::kRight: rows = std::max(right.rows(), matches); break;
    case JoinType::kFull: rows = std::max(left.rows() + right.rows() * 0.1, matches); break;
    case JoinType::kSemi: rows = std::min(left.rows(), std::max(1.0, std::min(matches, left.rows() * 0.5))); break;
    case JoinType::kAnti: rows = std::max(1.0, left.rows() - std::min(matches, left.rows() * 0.5)); break;
    case JoinType::kMark: rows = left.rows(); break;
  }
  if (!bindings.empty() || join.guard != nullptr) return NestedLoop(join.join, left, right, conjuncts, join.mark, rows, bindings, join.guard);

  std::vector<ExprPtr> left_keys, right_keys, rest;
  SplitEqualities(conjuncts, left_columns, SetOf(LayoutOf(*right.node)), &left_keys, &right_keys, &rest);
  // Three-valued marks over several conditions need every pair looked at.
  const bool hashable = !left_keys.empty() && (join.join != JoinType::kMark || join.two_valued || (left_keys.size() == 1 && rest.empty()));
  std::optional<SubPlan> best;
  auto offer = [&](SubPlan plan) {
    double score = plan.cost();
    if (!left_wanted.ordering.empty() && !wanted.soft && !Satisfies(plan, wanted.ordering)) score += SortCost(plan.rows());
    double best_score = best ? best->cost() : 0;
    if (best && !left_wanted.ordering.empty() && !wanted.soft && !Satisfies(*best, wanted.ordering)) best_score += SortCost(best->rows());
    if (!best || score < best_score) best = std::move(plan);
  };
  if (hashable) {
    offer(HashJoin(join.join, left, right, conjuncts, join.mark, rows));
    // The table is built of the smaller side: a left join from the right is a right join.
    if (join.join == JoinType::kLeft && right.rows() > 2 * left.rows()) {
      SubPlan swapped = HashJoin(JoinType::kRight, right, left, conjuncts, 0, rows);
      offer(std::move(swapped));
    }
  }
  if (join.join == JoinType::kLeft || join.join == JoinType::kSemi || join.join == JoinType::kAnti) {
    LogicalScan* scan = nullptr;
    std::vector<ExprPtr> filters;
    FillScan(join.children[1], &scan, &filters);
    if (scan != nullptr) {
      if (auto choice = FindLookup(*scan, filters, conjuncts, left_columns)) {
        offer(LookupJoin(join.join, left, *scan, *choice, filters, conjuncts, rows));
      }
    }
  }
  if (join.join == JoinType::kSemi && !conjuncts.empty()) {
    if (auto plan = SemiByLookup(join, right, conjuncts)) offer(*std::move(plan));
  }
  if (!best || (!options_.enable_hashjoin && hashable)) offer(NestedLoop(join.join, left, right, conjuncts, join.mark, rows, {}, nullptr));
  return *std::move(best);
}

absl::StatusOr<SubPlan> Planner::PlanJoin(LogicalPtr node, const Wanted& wanted) {
  auto& join = node->As<LogicalJoin>();
  if (join.join == JoinType::kInner && join.guard == nullptr) return PlanCluster(node, wanted);
  return PlanOuterJoin(join, wanted);
}

}  // namespace insula::sql
