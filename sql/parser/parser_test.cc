#include "sql/parser/parser.h"

#include <gtest/gtest.h>

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

std::vector<ParsedStatement> Parse(std::string_view sql) {
  auto r = ParseSql(sql);
  EXPECT_TRUE(r.ok()) << sql << ": " << r.status().ToString();
  return r.ok() ? *std::move(r) : std::vector<ParsedStatement>();
}

template <typename T>
const T& One(const std::vector<ParsedStatement>& v) {
  EXPECT_EQ(v.size(), 1u);
  return v.at(0).statement->As<T>();
}

PgErrorFields ErrorOf(std::string_view sql) {
  auto r = ParseSql(sql);
  EXPECT_FALSE(r.ok()) << sql;
  return ToPgError(r.status());
}

TEST(Parser, SyntaxErrorsCarryMessageAndCharacterPosition) {
  auto e = ErrorOf("select 'é', 1 from t t t");
  EXPECT_EQ(e.sqlstate, "42601");
  EXPECT_EQ(e.message, "syntax error at or near \"t\"");
  EXPECT_EQ(e.position, 24);
  EXPECT_EQ(ErrorOf("select 1 from").message, "syntax error at end of input");
  EXPECT_EQ(ErrorOf("select 'abc").message, "unterminated quoted string at or near \"'abc\"");
}

TEST(Parser, SplitsStatementsWithTheirRanges) {
  std::string_view sql = "select 1;\n insert into t values (2) ;; ";
  auto v = Parse(sql);
  ASSERT_EQ(v.size(), 2u);
  EXPECT_EQ(sql.substr(v[0].begin, v[0].end - v[0].begin), "select 1");
  EXPECT_EQ(sql.substr(v[1].begin, v[1].end - v[1].begin), "insert into t values (2)");
  EXPECT_TRUE(Parse("  -- nothing\n").empty());
}

TEST(Parser, PositionsCountCharactersOfTheWholeString) {
  auto v = Parse("select 'é'; select x");
  const auto& s = v.at(1).statement->As<ast::SelectStatement>();
  EXPECT_EQ(s.items[0].expr->position, 20);
}

TEST(Parser, Select) {
  auto v = Parse(
      "with c(x) as materialized (select 1) select distinct on (a) a, b as bb, t.* from s.t as t left join u using (id), "
      "lateral (select 2) q(z) where a = $2 and b in (1, 2) group by a, b having count(*) > 1 "
      "order by 1 desc nulls last limit 10 offset 5 for update of t skip locked");
  const auto& s = One<ast::SelectStatement>(v);
  EXPECT_EQ(v[0].parameter_count, 2);
  ASSERT_EQ(s.with.ctes.size(), 1u);
  EXPECT_EQ(s.with.ctes[0].materialize, ast::CteMaterialize::kAlways);
  EXPECT_EQ(s.distinct_on.size(), 1u);
  ASSERT_EQ(s.items.size(), 3u);
  EXPECT_EQ(s.items[1].alias, "bb");
  EXPECT_TRUE(s.items[2].expr->As<ast::ColumnRef>().star);
  ASSERT_EQ(s.from.size(), 2u);
  const auto& join = s.from[0]->As<ast::FromJoin>();
  EXPECT_EQ(join.join, ast::JoinKind::kLeft);
  EXPECT_EQ(join.using_columns, std::vector<std::string>{"id"});
  EXPECT_EQ(join.left->As<ast::FromTable>().table.schema, "s");
  EXPECT_TRUE(s.from[1]->As<ast::FromSubquery>().lateral);
  EXPECT_EQ(s.from[1]->alias.columns, std::vector<std::string>{"z"});
  EXPECT_EQ(s.where->As<ast::Bool>().args.size(), 2u);
  EXPECT_EQ(s.order_by[0].direction, ast::SortDirection::kDescending);
  EXPECT_EQ(s.order_by[0].nulls, ast::NullsOrder::kLast);
  ASSERT_EQ(s.locking.size(), 1u);
  EXPECT_EQ(s.locking[0].wait, ast::LockWait::kSkip);
}

TEST(Parser, DistinctWithoutOn) {
  auto v = Parse("select distinct a from t");
  EXPECT_TRUE(One<ast::SelectStatement>(v).distinct);
  EXPECT_TRUE(One<ast::SelectStatement>(v).distinct_on.empty());
}

TEST(Parser, SetOperationsNest) {
  auto v = Parse("(select 1 union all select 2) except values (3) order by 1");
  const auto& s = One<ast::SelectStatement>(v);
  EXPECT_EQ(s.set_operation, ast::SetOperation::kExcept);
  EXPECT_EQ(s.left->set_operation, ast::SetOperation::kUnion);
  EXPECT_TRUE(s.left->all);
  EXPECT_EQ(s.right->values.size(), 1u);
  EXPECT_EQ(s.order_by.size(), 1u);
}

TEST(Parser, ExpressionForms) {
  auto v = Parse(
      "select -5, 3000000000, 'x', null, a between 1 and 2, a not like 'b', a is distinct from b, (1, 2) < (3, 4), a[1:2], "
      "(r).f, case a when 1 then 2 else 3 end, a = any(array[1]), exists (select 1), x in (select 2), "
      "current_timestamp(3), cast(a as numeric(10,2)[]), a collate \"C\", f(b => 1), count(*) filter (where a) over w, "
      "a operator(pg_catalog.~) 'x' from t window w as (partition by a order by b rows between 1 preceding and current row)");
  const auto& s = One<ast::SelectStatement>(v);
  auto item = [&](size_t i) -> const ast::Expr& { return *s.items.at(i).expr; };
  EXPECT_EQ(item(0).As<ast::Constant>().integer, -5);
  EXPECT_EQ(item(1).As<ast::Constant>().text, "3000000000");
  EXPECT_EQ(item(2).As<ast::Constant>().constant, ast::ConstantKind::kString);
  EXPECT_EQ(item(3).As<ast::Constant>().constant, ast::ConstantKind::kNull);
  EXPECT_TRUE(item(4).As<ast::Between>().high != nullptr);
  EXPECT_TRUE(item(5).As<ast::Like>().negated);
  EXPECT_FALSE(item(6).As<ast::DistinctFrom>().negated);
  EXPECT_EQ(item(7).As<ast::Operator>().left->As<ast::Row>().args.size(), 2u);
  EXPECT_TRUE(item(8).As<ast::Subscript>().slice);
  EXPECT_EQ(item(9).As<ast::FieldSelect>().field, "f");
  EXPECT_EQ(item(10).As<ast::Case>().whens.size(), 1u);
  EXPECT_EQ(item(11).As<ast::Operator>().quantifier, ast::Quantifier::kAny);
  EXPECT_EQ(item(12).As<ast::Subquery>().subquery, ast::SubqueryKind::kExists);
  EXPECT_EQ(item(13).As<ast::Subquery>().subquery, ast::SubqueryKind::kAny);
  EXPECT_EQ(item(14).As<ast::SqlValue>().precision, 3);
  const auto& cast = item(15).As<ast::TypeCast>();
  EXPECT_EQ(cast.type.names.back(), "numeric");
  EXPECT_EQ(cast.type.modifiers.size(), 2u);
  EXPECT_EQ(cast.type.array_dimensions, 1);
  EXPECT_EQ(item(16).As<ast::Collate>().collation.back(), "C");
  EXPECT_EQ(item(17).As<ast::FunctionCall>().args[0]->As<ast::NamedArgument>().name, "b");
  const auto& call = item(18).As<ast::FunctionCall>();
  EXPECT_TRUE(call.star);
  EXPECT_TRUE(call.filter != nullptr);
  EXPECT_EQ(call.over->name, "w");
  EXPECT_EQ(item(19).As<ast::Operator>().name, (ast::QualifiedName{"pg_catalog", "~"}));
  ASSERT_EQ(s.windows.size(), 1u);
  EXPECT_EQ(s.windows[0].mode, ast::FrameMode::kRows);
  EXPECT_EQ(s.windows[0].start, ast::FrameBound::kPreceding);
  EXPECT_EQ(s.windows[0].end, ast::FrameBound::kCurrentRow);
}

TEST(Parser, InsertOnConflict) {
  auto v = Parse(
      "insert into t as x (a, b) values (1, default) on conflict (a, lower(b)) where a > 0 do update set b = excluded.b, "
      "(c, d) = (1, 2) where x.a < 3 returning *");
  const auto& s = One<ast::InsertStatement>(v);
  EXPECT_EQ(s.alias, "x");
  EXPECT_EQ(s.columns.size(), 2u);
  EXPECT_EQ(s.source->values[0][1]->kind, ast::ExprKind::kDefault);
  EXPECT_EQ(s.on_conflict.action, ast::ConflictAction::kUpdate);
  EXPECT_EQ(s.on_conflict.elements.size(), 2u);
  EXPECT_TRUE(s.on_conflict.index_where != nullptr);
  ASSERT_EQ(s.on_conflict.set.size(), 3u);
  EXPECT_EQ(s.on_conflict.set[2].value->As<ast::MultiAssign>().column, 2);
  EXPECT_TRUE(One<ast::InsertStatement>(Parse("insert into t default values")).source == nullptr);
}

TEST(Parser, CreateTable) {
  auto v = Parse(
      "create table if not exists s.t (a int primary key, b varchar(10) not null default 'x' check (b <> ''), "
      "c serial references u (id) on delete cascade deferrable initially deferred, "
      "d int generated always as (a * 2) stored, e bigint generated by default as identity (start 5), "
      "constraint k unique (a, b), foreign key (a) references w match full on update set null) with (fillfactor=70)");
  const auto& s = One<ast::CreateTableStatement>(v);
  EXPECT_TRUE(s.if_not_exists);
  ASSERT_EQ(s.columns.size(), 5u);
  EXPECT_EQ(s.columns[0].constraints[0].kind, ast::ConstraintKind::kPrimaryKey);
  EXPECT_EQ(s.columns[1].constraints.size(), 3u);
  const auto& fk = s.columns[2].constraints[0];
  EXPECT_EQ(fk.on_delete, 'c');
  EXPECT_TRUE(fk.initially_deferred);
  EXPECT_EQ(s.columns[3].constraints[0].kind, ast::ConstraintKind::kGenerated);
  EXPECT_EQ(s.columns[4].constraints[0].kind, ast::ConstraintKind::kIdentity);
  EXPECT_EQ(*ast::FindOption(s.columns[4].constraints[0].options, "start")->AsInteger(), 5);
  ASSERT_EQ(s.constraints.size(), 2u);
  EXPECT_EQ(s.constraints[0].name, "k");
  EXPECT_EQ(s.constraints[1].match, 'f');
  EXPECT_EQ(s.constraints[1].on_update, 'n');
  EXPECT_EQ(*ast::FindOption(s.options, "fillfactor")->AsInteger(), 70);
  EXPECT_TRUE(One<ast::CreateTableStatement>(Parse("create table t (a int) partition by range (a)")).partition_by);
  EXPECT_TRUE(One<ast::CreateTableStatement>(Parse("create table t partition of p for values in (1)")).partition_of);
}

TEST(Parser, AlterTable) {
  auto v = Parse("alter table t add column a int, alter b type text using b::text, drop column if exists c cascade, "
                 "add primary key (a), owner to r, set (fillfactor=9), enable row level security");
  const auto& s = One<ast::AlterTableStatement>(v);
  using A = ast::AlterTableAction;
  ASSERT_EQ(s.commands.size(), 7u);
  EXPECT_EQ(s.commands[0].action, A::kAddColumn);
  EXPECT_EQ(s.commands[1].action, A::kAlterType);
  EXPECT_TRUE(s.commands[1].expr != nullptr);
  EXPECT_TRUE(s.commands[2].if_exists && s.commands[2].cascade);
  EXPECT_EQ(s.commands[3].constraint->kind, ast::ConstraintKind::kPrimaryKey);
  EXPECT_EQ(s.commands[4].owner.name, "r");
  EXPECT_EQ(s.commands[5].action, A::kSetOptions);
  EXPECT_EQ(s.commands[6].action, A::kOther);
  auto rename = Parse("alter table t rename column a to b");
  const auto& r = One<ast::RenameStatement>(rename);
  EXPECT_EQ(r.type, ast::ObjectType::kColumn);
  EXPECT_EQ(r.name, "a");
  EXPECT_EQ(r.new_name, "b");
}

TEST(Parser, TransactionsAndSettings) {
  auto b = Parse("begin isolation level repeatable read, read only");
  EXPECT_EQ(*One<ast::TransactionStatement>(b).modes.isolation, "repeatable read");
  EXPECT_TRUE(*One<ast::TransactionStatement>(b).modes.read_only);
  auto w = Parse("begin read write");
  EXPECT_FALSE(*One<ast::TransactionStatement>(w).modes.read_only);
  EXPECT_EQ(One<ast::TransactionStatement>(Parse("rollback to savepoint s")).savepoint, "s");
  EXPECT_EQ(One<ast::SetStatement>(Parse("set search_path = a, \"B\", 'c'")).values, (std::vector<std::string>{"a", "B", "c"}));
  EXPECT_EQ(One<ast::SetStatement>(Parse("set time zone 'UTC'")).name, "timezone");
  EXPECT_EQ(One<ast::SetStatement>(Parse("set transaction isolation level serializable")).action, ast::SetAction::kTransaction);
  EXPECT_EQ(One<ast::SetStatement>(Parse("set session characteristics as transaction read only")).action,
            ast::SetAction::kSessionCharacteristics);
  EXPECT_EQ(One<ast::SetStatement>(Parse("reset all")).action, ast::SetAction::kResetAll);
  EXPECT_EQ(One<ast::ShowStatement>(Parse("show all")).name, "all");
}

TEST(Parser, CopyOptions) {
  auto v = Parse("copy t (a, b) from stdin with (format csv, header, force_quote (a), null '')");
  const auto& s = One<ast::CopyStatement>(v);
  EXPECT_TRUE(s.from);
  EXPECT_EQ(s.columns.size(), 2u);
  EXPECT_EQ(*ast::FindOption(s.options, "format")->value, "csv");
  EXPECT_TRUE(*ast::FindOption(s.options, "header")->AsBool());
  EXPECT_EQ(ast::FindOption(s.options, "force_quote")->list.size(), 1u);
  EXPECT_TRUE(One<ast::CopyStatement>(Parse("copy (select 1) to stdout")).query != nullptr);
}

TEST(Parser, TagsAreThoseOfPostgres) {
  for (auto [sql, tag] : std::vector<std::pair<const char*, const char*>>{
           {"select 1", "SELECT"},
           {"create table t (a int)", "CREATE TABLE"},
           {"create table t as select 1", "CREATE TABLE AS"},
           {"create unique index on t (a)", "CREATE INDEX"},
           {"drop materialized view v", "DROP MATERIALIZED VIEW"},
           {"alter table t rename column a to b", "ALTER TABLE"},
           {"alter index i rename to j", "ALTER INDEX"},
           {"alter schema s rename to t", "ALTER SCHEMA"},
           {"start transaction", "START TRANSACTION"},
           {"end", "COMMIT"},
           {"rollback to s", "ROLLBACK"},
           {"truncate t", "TRUNCATE TABLE"},
           {"vacuum analyze t", "VACUUM"},
           {"analyze", "ANALYZE"},
           {"grant a to b", "GRANT ROLE"},
           {"revoke select on t from b", "REVOKE"},
           {"create user u", "CREATE ROLE"},
           {"deallocate all", "DEALLOCATE ALL"},
           {"move 3 in c", "MOVE"},
           {"reset x", "RESET"},
           {"discard all", "DISCARD ALL"},
           {"lock t", "LOCK TABLE"},
           {"merge into t using u on true when matched then do nothing", "MERGE"},
           {"create trigger x before insert on t execute function f()", "CREATE TRIGGER"},
       }) {
    auto v = Parse(sql);
    ASSERT_EQ(v.size(), 1u) << sql;
    EXPECT_EQ(CommandTag(*v[0].statement), tag) << sql;
  }
}

TEST(Parser, WhatWeDoNotRunIsNamed) {
  auto v = Parse("select 1; select * from t tablesample system (10)");
  ASSERT_EQ(v.size(), 2u);
  EXPECT_EQ(v[0].statement->kind, ast::StatementKind::kSelect);
  EXPECT_EQ(v[1].statement->As<ast::UnsupportedStatement>().feature, "TABLESAMPLE");
  EXPECT_EQ(One<ast::UnsupportedStatement>(Parse("create extension x")).feature, "CREATE EXTENSION");
}

TEST(Parser, ExpressionsAndTypesAlone) {
  auto e = ParseExpression("a > 1 -- why");
  ASSERT_TRUE(e.ok());
  EXPECT_EQ((*e)->kind, ast::ExprKind::kOperator);
  EXPECT_FALSE(ParseExpression("1) from t where (true").ok());
  EXPECT_FALSE(ParseExpression("1; select 2").ok());
  auto t = ParseTypeNode("timestamp(3) with time zone");
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->names.back(), "timestamptz");
}

TEST(Parser, DeepNestingIsAnErrorNotACrash) {
  auto repeat = [](std::string_view s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  for (int n : {10000, 100000}) {
    for (const std::string& sql : {"select " + repeat("(", n) + "1" + repeat(")", n), "select 1" + repeat("+1", n), "select " + repeat("not ", n) + "true",
                                   repeat("select (", n) + "1" + repeat(")", n), "select 1" + repeat(" union select 1", n), "select a" + repeat("[1", n)}) {
      auto r = ParseSql(sql);
      ASSERT_FALSE(r.ok());
      EXPECT_EQ(ToPgError(r.status()).sqlstate, "54001");
    }
  }
  // Long is not deep.
  EXPECT_TRUE(ParseSql("select * from t where " + repeat("a = 1 and ", 20000) + "true").ok());
  EXPECT_TRUE(ParseSql("insert into t values (1, 'a')" + repeat(", (-1, '((((')", 20000)).ok());
  EXPECT_TRUE(ParseSql("select 1" + repeat("+1", 1500)).ok());
  EXPECT_TRUE(ParseSql("select 1" + repeat(" union select 1", 1500)).ok());
}

}  // namespace
}  // namespace insula::sql
