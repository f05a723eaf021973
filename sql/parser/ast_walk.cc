#include "sql/parser/ast_walk.h"

namespace insula::sql::ast {
namespace {

class Walker {
 public:
  explicit Walker(const std::function<void(ExprPtr&)>& visit) : visit_(visit) {}

  void Walk(Statement& s) {
    switch (s.kind) {
      case StatementKind::kSelect: return Select(static_cast<SelectStatement&>(s));
      case StatementKind::kInsert: return Insert(static_cast<InsertStatement&>(s));
      case StatementKind::kUpdate: {
        auto& u = static_cast<UpdateStatement&>(s);
        WithClause(u.with);
        Assignments(u.set);
        FromList(u.from);
        One(u.where);
        Items(u.returning);
        return;
      }
      case StatementKind::kDelete: {
        auto& d = static_cast<DeleteStatement&>(s);
        WithClause(d.with);
        FromList(d.using_);
        One(d.where);
        Items(d.returning);
        return;
      }
      default: return;
    }
  }

 private:
  void One(ExprPtr& e) {
    if (!e) return;
    visit_(e);
    Children(*e);
  }
  void Many(std::vector<ExprPtr>& list) {
    for (auto& e : list) One(e);
  }
  // Where an integer is a column number.
  void OneUnlessOrdinal(ExprPtr& e) {
    if (e && e->kind != ExprKind::kConstant) One(e);
  }
  void Sorts(std::vector<SortItem>& list) {
    for (auto& s : list) OneUnlessOrdinal(s.expr);
  }
  void Items(std::vector<SelectItem>& list) {
    for (auto& i : list) One(i.expr);
  }
  void Assignments(std::vector<Assignment>& list) {
    for (auto& a : list) {
      Many(a.indirection);
      One(a.value);
    }
  }
  void Window(WindowDefinition& w) {
    Many(w.partition_by);
    Sorts(w.order_by);
    One(w.start_offset);
    One(w.end_offset);
  }
  void WithClause(With& w) {
    for (auto& c : w.ctes) Walk(*c.query);
  }
  void FromList(std::vector<FromPtr>& list) {
    for (auto& f : list) From(*f);
  }
  void From(FromItem& f) {
    switch (f.kind) {
      case FromKind::kTable: return;
      case FromKind::kSubquery: return Select(*static_cast<FromSubquery&>(f).select);
      case FromKind::kJoin: {
        auto& j = static_cast<FromJoin&>(f);
        From(*j.left);
        From(*j.right);
        One(j.condition);
        return;
      }
      case FromKind::kFunction:
        for (auto& t : static_cast<FromFunction&>(f).functions) One(t.call);
        return;
    }
  }
  void Select(SelectStatement& s) {
    WithClause(s.with);
    for (auto& e : s.distinct_on) OneUnlessOrdinal(e);
    Items(s.items);
    FromList(s.from);
    One(s.where);
    for (auto& e : s.group_by) OneUnlessOrdinal(e);
    One(s.having);
    for (auto& w : s.windows) Window(w);
    for (auto& row : s.values) Many(row);
    if (s.left) Select(*s.left);
    if (s.right) Select(*s.right);
    Sorts(s.order_by);
    One(s.limit);
    One(s.offset);
  }
  void Insert(InsertStatement& s) {
    WithClause(s.with);
    Assignments(s.columns);
    if (s.source) Select(*s.source);
    for (auto& e : s.on_conflict.elements) One(e.expr);
    One(s.on_conflict.index_where);
    Assignments(s.on_conflict.set);
    One(s.on_conflict.where);
    Items(s.returning);
  }

  void Children(Expr& e) {
    switch (e.kind) {
      case ExprKind::kOperator: {
        auto& x = static_cast<Operator&>(e);
        One(x.left);
        return One(x.right);
      }
      case ExprKind::kIn: {
        auto& x = static_cast<In&>(e);
        One(x.left);
        return Many(x.list);
      }
      case ExprKind::kBetween: {
        auto& x = static_cast<Between&>(e);
        One(x.value);
        One(x.low);
        return One(x.high);
      }
      case ExprKind::kLike: {
        auto& x = static_cast<Like&>(e);
        One(x.value);
        return One(x.pattern);
      }
      case ExprKind::kDistinctFrom: {
        auto& x = static_cast<DistinctFrom&>(e);
        One(x.left);
        return One(x.right);
      }
      case ExprKind::kNullIf: {
        auto& x = static_cast<NullIf&>(e);
        One(x.left);
        return One(x.right);
      }
      case ExprKind::kBool: return Many(static_cast<Bool&>(e).args);
      case ExprKind::kFunctionCall: {
        auto& x = static_cast<FunctionCall&>(e);
        Many(x.args);
        Sorts(x.order_by);
        One(x.filter);
        if (x.over) Window(*x.over);
        return;
      }
      case ExprKind::kTypeCast: return One(static_cast<TypeCast&>(e).arg);
      case ExprKind::kCase: {
        auto& x = static_cast<Case&>(e);
        One(x.arg);
        for (auto& w : x.whens) {
          One(w.condition);
          One(w.result);
        }
        return One(x.otherwise);
      }
      case ExprKind::kCoalesce: return Many(static_cast<Coalesce&>(e).args);
      case ExprKind::kMinMax: return Many(static_cast<MinMax&>(e).args);
      case ExprKind::kNullTest: return One(static_cast<NullTest&>(e).arg);
      case ExprKind::kBooleanTest: return One(static_cast<BooleanTest&>(e).arg);
      case ExprKind::kSubquery: {
        auto& x = static_cast<Subquery&>(e);
        One(x.test);
        return Select(*x.select);
      }
      case ExprKind::kArray: return Many(static_cast<Array&>(e).elements);
      case ExprKind::kRow: return Many(static_cast<Row&>(e).args);
      case ExprKind::kSubscript: {
        auto& x = static_cast<Subscript&>(e);
        One(x.base);
        One(x.low);
        return One(x.high);
      }
      case ExprKind::kFieldSelect: return One(static_cast<FieldSelect&>(e).base);
      case ExprKind::kCollate: return One(static_cast<Collate&>(e).arg);
      case ExprKind::kNamedArgument: return One(static_cast<NamedArgument&>(e).arg);
      case ExprKind::kGroupingSet: return Many(static_cast<GroupingSet&>(e).content);
      case ExprKind::kGrouping: return Many(static_cast<Grouping&>(e).args);
      case ExprKind::kMultiAssign: return One(static_cast<MultiAssign&>(e).source);
      case ExprKind::kConstant:
      case ExprKind::kColumnRef:
      case ExprKind::kParameter:
      case ExprKind::kSqlValue:
      case ExprKind::kDefault:
      case ExprKind::kCurrentOf:
        return;
    }
  }

  const std::function<void(ExprPtr&)>& visit_;
};

}  // namespace

void WalkExpressions(Statement& statement, const std::function<void(ExprPtr&)>& visit) { Walker(visit).Walk(statement); }

}  // namespace insula::sql::ast
