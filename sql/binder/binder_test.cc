// Scenarios of names and types: testdata/*.txt. Commands:
//   ddl      statements for the catalog
//   bind     one statement: its result columns with their types, its parameters; or the error with SQLSTATE and position
//   default, check, view: what is stored of an expression or a query
#include "sql/binder/binder.h"

#include <gtest/gtest.h>

#include "base/datadriven/datadriven.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/binder/testing/fake_catalog.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

std::string ShowError(const absl::Status& status) {
  PgErrorFields f = ToPgError(status);
  std::string out = StrCat("ERROR ", f.sqlstate, ": ", f.message);
  if (f.position > 0) StrAppend(&out, "\nPOSITION: ", f.position);
  if (!f.detail.empty()) StrAppend(&out, "\nDETAIL: ", f.detail);
  if (!f.hint.empty()) StrAppend(&out, "\nHINT: ", f.hint);
  return out;
}

std::string ShowBound(const BoundStatement& bound) {
  std::string out;
  for (const ResultColumn& c : bound.info.columns) {
    StrAppend(&out, out.empty() ? "" : ", ", c.name, " ", FormatType(c.type.oid, c.type.typmod));
    if (c.table != 0) StrAppend(&out, " @", c.attnum);
  }
  if (out.empty()) out = "ok";
  for (size_t i = 0; i < bound.info.parameter_types.size(); ++i) StrAppend(&out, i == 0 ? "\nparameters: " : ", ", FormatType(bound.info.parameter_types[i].oid));
  return out;
}

std::string RunCase(FakeCatalog& catalog, const datadriven::Case& c) {
  if (c.command == "ddl") {
    absl::Status s = catalog.Run(c.input);
    return s.ok() ? "ok" : ShowError(s);
  }
  if (c.command == "default" || c.command == "check") {
    auto e = ParseExpression(c.input);
    if (!e.ok()) return ShowError(e.status());
    TablePtr table = catalog.FindTable("public", c.Get("table", "t"));
    const bool check = c.command == "check";
    std::optional<SqlType> target;
    if (check) target = SqlType{oid::kBool, -1};
    if (c.Has("type")) target = *TypeByName(c.Get("type"));
    auto bound = BindTableExpression(**e, *table, check ? ExpressionUse::kCheck : ExpressionUse::kDefault, target, catalog.Context());
    if (!bound.ok()) return ShowError(bound.status());
    // What is stored means the same again.
    auto again = BindStoredExpression(bound->text, *table, check ? ExpressionUse::kCheck : ExpressionUse::kDefault, target, catalog.Context());
    if (!again.ok()) return StrCat(bound->text, "\nstored text does not bind: ", ShowError(again.status()));
    return again->text == bound->text ? bound->shown : StrCat(bound->text, "\nbinds again as ", again->text);
  }
  auto parsed = ParseSql(c.input);
  if (!parsed.ok()) return ShowError(parsed.status());
  if (c.command == "view") {
    auto view = BindView((*parsed)[0].statement->As<ast::SelectStatement>(), {}, catalog.Context());
    return view.ok() ? view->text : ShowError(view.status());
  }
  EXPECT_EQ(parsed->size(), 1u) << c.input;
  auto bound = Bind(*(*parsed)[0].statement, catalog.Context());
  return bound.ok() ? ShowBound(**bound) : ShowError(bound.status());
}

TEST(Binder, Scenarios) {
  auto files = datadriven::ListFiles("sql/binder/testdata", ".txt");
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

}  // namespace
}  // namespace insula::sql
