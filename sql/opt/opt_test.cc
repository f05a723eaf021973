// Scenarios of plans: testdata/*.txt. Commands:
//   ddl                         statements for the catalog
//   stats table=t rows=1000 distinct=(column,n)
//   plan [costs] [verbose]      EXPLAIN of one statement
#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "base/datadriven/datadriven.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/binder/testing/fake_catalog.h"
#include "sql/opt/explain.h"
#include "sql/opt/optimizer.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

std::string ShowError(const absl::Status& status) { return StrCat("ERROR ", ToPgError(status).sqlstate, ": ", ToPgError(status).message); }

absl::StatusOr<PlanPtr> PlanOf(FakeCatalog& catalog, std::string_view sql) {
  auto parsed = ParseSql(sql);
  if (!parsed.ok()) return parsed.status();
  auto bound = Bind(*(*parsed)[0].statement, catalog.Context());
  if (!bound.ok()) return bound.status();
  OptimizerOptions options;
  options.functions = catalog.functions();
  return Optimize(*std::move(bound), options);
}

std::string RunCase(FakeCatalog& catalog, const datadriven::Case& c) {
  if (c.command == "ddl") {
    absl::Status s = catalog.Run(c.input);
    return s.ok() ? "ok" : ShowError(s);
  }
  if (c.command == "stats") {
    double rows = 0;
    if (absl::SimpleAtod(c.Get("rows"), &rows)) {
      absl::Status s = catalog.SetRows(c.Get("table"), rows);
      if (!s.ok()) return s.ToString();
    }
    for (const auto& a : c.args) {
      double n = 0;
      if (a.key != "distinct" || a.values.size() != 2 || !absl::SimpleAtod(a.values[1], &n)) continue;
      absl::Status s = catalog.SetDistinct(c.Get("table"), a.values[0], n);
      if (!s.ok()) return s.ToString();
    }
    return "ok";
  }
  auto plan = PlanOf(catalog, c.input);
  if (!plan.ok()) return ShowError(plan.status());
  ExplainOptions options;
  options.costs = c.Has("costs");
  options.verbose = c.Has("verbose");
  options.json = c.Has("json");
  return StrJoin(Explain(**plan, options), "\n");
}

TEST(Optimizer, Scenarios) {
  auto files = datadriven::ListFiles("sql/opt/testdata", ".txt");
  ASSERT_FALSE(files.empty());
  for (const std::string& path : files) {
    FakeCatalog catalog;
    auto result = datadriven::RunFile(path, [&](const datadriven::Case& c) { return RunCase(catalog, c); });
    ASSERT_TRUE(result.ok()) << path << ": " << result.status();
    if (datadriven::RewriteRequested()) {
      ASSERT_TRUE(datadriven::WriteSource(path, result->rewritten).ok());
      continue;
    }
    for (const auto& f : result->failures) ADD_FAILURE() << f.ToString(path);
  }
}

// Every column of a plan's expressions has its place in the input row, and every exec parameter is set above where it is read.
void CheckSlots(const PhysicalNode& node, std::set<int> params) {
  size_t width = 0;
  for (const auto& c : node.children) width += c->output.size();
  auto check = [&](const ExprPtr& e, size_t columns) {
    VisitExpr(e, [&](const Expr& x) {
      if (const auto* c = x.TryAs<ColumnExpr>()) {
        EXPECT_GE(c->slot, 0) << c->name;
        EXPECT_LT(static_cast<size_t>(c->slot), columns) << c->name;
      }
      if (const auto* p = x.TryAs<ExecParamExpr>()) EXPECT_TRUE(params.contains(p->index)) << p->name;
      EXPECT_NE(x.kind, ExprKind::kSubquery);
      return true;
    });
  };
  switch (node.kind) {
    case PlanKind::kIndexScan: {
      const auto& s = node.As<PhysicalIndexScan>();
      if (s.filter) check(s.filter, s.output.size());
      for (const auto& span : s.spans) {
        for (const auto& p : span.prefix) {
          for (const auto& v : p.values) check(v, 0);
        }
        if (span.lower) check(span.lower, 0);
        if (span.upper) check(span.upper, 0);
      }
      break;
    }
    case PlanKind::kFilter: check(node.As<PhysicalFilter>().condition, width); break;
    case PlanKind::kProject:
      for (const auto& e : node.As<PhysicalProject>().exprs) check(e, width);
      break;
    case PlanKind::kHashJoin:
    case PlanKind::kNestedLoop:
    case PlanKind::kLookupJoin: {
      const auto& j = static_cast<const PhysicalJoin&>(node);
      size_t both = width;
      if (node.kind == PlanKind::kLookupJoin) both += node.As<PhysicalLookupJoin>().columns.size();
      if (j.condition) check(j.condition, both);
      for (int p : j.projection) EXPECT_LT(static_cast<size_t>(p), OnlyLeftColumns(j.join) ? node.children[0]->output.size() + 1 : both);
      if (node.kind == PlanKind::kNestedLoop) {
        CheckSlots(*node.children[0], params);
        for (const auto& b : node.As<PhysicalNestedLoop>().bindings) {
          EXPECT_LT(static_cast<size_t>(b.left_slot), node.children[0]->output.size());
          params.insert(b.exec_param);
        }
        CheckSlots(*node.children[1], params);
        return;
      }
      break;
    }
    default: break;
  }
  for (const auto& c : node.children) CheckSlots(*c, params);
}

TEST(Optimizer, SlotsAndParametersAreResolved) {
  FakeCatalog catalog;
  ASSERT_TRUE(catalog.Run("create table t (a int primary key, b int, c text); create table u (x int primary key, y int, z text);"
                          "create index on t (b); create index on u (y)").ok());
  for (const char* sql : {
           "select t.a, (select max(x) from u where u.y = t.b and u.z > t.c) from t where exists (select 1 from u where u.x = t.a or u.y < t.b)",
           "select * from t, lateral (select * from u where u.y = t.b order by z limit 3) l where l.z > t.c",
           "select * from t left join lateral (select x, (select count(*) from t t2 where t2.b = u.y + t.a) n from u where y = t.b) q on q.x > t.a",
           "select a, array(select x from u where y = t.a order by z) from t where b not in (select y from u where u.z = t.c)",
           "select case when a > 1 then (select z from u where x = t.b) end from t order by (select y from u where x = a)",
           "update t set b = (select y from u where x = t.a) where c = (select min(z) from u)",
           "with q as materialized (select a, b from t) select q.a, r.b from q join q r on q.b = r.a where q.a in (select y from u where x > r.b)",
       }) {
    auto plan = PlanOf(catalog, sql);
    ASSERT_TRUE(plan.ok()) << sql << ": " << plan.status();
    CheckSlots(*(*plan)->root, {});
  }
}

}  // namespace
}  // namespace insula::sql
