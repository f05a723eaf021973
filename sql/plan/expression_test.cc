#include "sql/plan/expression.h"

#include <gtest/gtest.h>

namespace insula::sql {
namespace {

const SqlType kInt{oid::kInt4, -1};

ExprPtr Int(int64_t v) { return std::make_shared<ConstantExpr>(kInt, Datum::Int(v)); }
ExprPtr Column(ColumnId id) { return MakeColumn(id, kInt); }

ExprPtr Equal(ExprPtr a, ExprPtr b) {
  const OperatorInfo* op = FindOperatorExact("=", oid::kInt4, oid::kInt4);
  auto e = std::make_shared<FunctionExpr>(SqlType{oid::kBool, -1}, op->function);
  e->op = op;
  e->args = {std::move(a), std::move(b)};
  return e;
}

TEST(Expression, EqualityIsByStructure) {
  EXPECT_TRUE(ExprEquals(Equal(Column(1), Int(5)), Equal(Column(1), Int(5))));
  EXPECT_FALSE(ExprEquals(Equal(Column(1), Int(5)), Equal(Column(2), Int(5))));
  EXPECT_FALSE(ExprEquals(Equal(Column(1), Int(5)), Equal(Column(1), Int(6))));
  EXPECT_FALSE(ExprEquals(MakeNull(kInt), Int(0)));
  EXPECT_FALSE(ExprEquals(MakeNull(kInt), MakeNull(SqlType{oid::kText, -1})));
}

TEST(Expression, ConjunctsFlatten) {
  ExprPtr e = MakeAnd({Equal(Column(1), Int(1)), MakeAnd({Equal(Column(2), Int(2)), MakeBool(true), Equal(Column(3), Int(3))})});
  std::vector<ExprPtr> parts;
  SplitConjuncts(e, &parts);
  EXPECT_EQ(parts.size(), 3u);
  EXPECT_TRUE(IsTrue(MakeAnd({})));
  EXPECT_TRUE(IsFalseOrNull(MakeOr({})));
}

TEST(Expression, RewriteSharesWhatStays) {
  ExprPtr left = Equal(Column(1), Int(1)), right = Equal(Column(2), Int(2));
  ExprPtr e = MakeAnd({left, right});
  ExprPtr changed = RewriteExpr(e, [](const ExprPtr& x) -> ExprPtr {
    const auto* c = x->TryAs<ColumnExpr>();
    return c != nullptr && c->column == 2 ? Column(9) : nullptr;
  });
  EXPECT_EQ(changed->args[0], left);
  EXPECT_NE(changed->args[1], right);
  EXPECT_EQ(ColumnsOf(changed), (ColumnSet{1, 9}));
  EXPECT_EQ(ColumnsOf(e), (ColumnSet{1, 2}));
  EXPECT_EQ(RewriteExpr(e, [](const ExprPtr&) { return nullptr; }), e);
}

TEST(Expression, VolatilityDecidesWhatMayMove) {
  auto call = [](std::string_view name) {
    auto e = std::make_shared<FunctionExpr>(SqlType{oid::kFloat8, -1}, &FunctionsNamed(name)[0]);
    return ExprPtr(e);
  };
  EXPECT_FALSE(IsStable(call("random")));
  EXPECT_TRUE(IsStable(call("now")));
  EXPECT_FALSE(IsImmutableConstant(call("now")));
  EXPECT_TRUE(IsRowIndependent(call("now")));
  EXPECT_FALSE(IsRowIndependent(call("random")));
  EXPECT_TRUE(IsImmutableConstant(Equal(Int(1), Int(2))));
  EXPECT_FALSE(IsImmutableConstant(Equal(Int(1), Column(2))));
  auto to_text = std::make_shared<CastExpr>(SqlType{oid::kText, -1}, CastContext::kExplicit);
  to_text->args = {std::make_shared<ConstantExpr>(SqlType{oid::kTimestamptz, -1}, Datum::Int(0))};
  EXPECT_EQ(ExprVolatility(to_text), Volatility::kStable);  // depends on TimeZone and DateStyle
}

}  // namespace
}  // namespace insula::sql
