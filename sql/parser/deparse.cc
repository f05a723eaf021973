#include "sql/parser/deparse.h"

#include "base/strings.h"

namespace insula::sql {
namespace {

std::string Literal(std::string_view text) {
  std::string out = text.find('\\') != std::string_view::npos ? " E'" : "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  return out + "'";
}

class Writer {
 public:
  explicit Writer(const SqlNames& names) : names_(names) {}

  std::string Select(const ast::SelectStatement& s) {
    std::string out = WithClause(s.with);
    if (s.set_operation != ast::SetOperation::kNone) {
      static constexpr std::string_view kNames[] = {"", "UNION", "INTERSECT", "EXCEPT"};
      StrAppend(&out, Arm(*s.left), "\n", kNames[static_cast<int>(s.set_operation)], s.all ? " ALL\n" : "\n", Arm(*s.right));
    } else if (!s.values.empty()) {
      out += "VALUES ";
      for (size_t i = 0; i < s.values.size(); ++i) StrAppend(&out, i > 0 ? ", (" : "(", List(s.values[i]), ")");
    } else {
      out += Simple(s);
    }
    if (!s.order_by.empty()) StrAppend(&out, "\n  ORDER BY ", Sorts(s.order_by));
    if (s.offset) StrAppend(&out, "\n OFFSET ", Show(*s.offset));
    if (s.limit && s.with_ties) StrAppend(&out, "\n FETCH FIRST ", Show(*s.limit), " ROWS WITH TIES");
    if (s.limit && !s.with_ties) StrAppend(&out, "\n LIMIT ", IsNull(*s.limit) ? "ALL" : Show(*s.limit));
    for (const auto& l : s.locking) {
      static constexpr std::string_view kStrengths[] = {"KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"};
      static constexpr std::string_view kWaits[] = {"", " SKIP LOCKED", " NOWAIT"};
      StrAppend(&out, "\n FOR ", kStrengths[static_cast<int>(l.strength)]);
      for (size_t i = 0; i < l.relations.size(); ++i) StrAppend(&out, i == 0 ? " OF " : ", ", SqlIdent(l.relations[i].name));
      out += kWaits[static_cast<int>(l.wait)];
    }
    return out;
  }

  std::string Show(const ast::Expr& e) {
    switch (e.kind) {
      case ast::ExprKind::kConstant: return Constant(e.As<ast::Constant>());
      case ast::ExprKind::kColumnRef: return Column(e.As<ast::ColumnRef>());
      case ast::ExprKind::kParameter: return StrCat("$", e.As<ast::Parameter>().number);
      case ast::ExprKind::kOperator: return Operator(e.As<ast::Operator>());
      case ast::ExprKind::kIn: {
        const auto& x = e.As<ast::In>();
        return StrCat("(", Show(*x.left), x.negated ? " NOT IN (" : " IN (", List(x.list), "))");
      }
      case ast::ExprKind::kBetween: {
        const auto& x = e.As<ast::Between>();
        return StrCat("(", Show(*x.value), x.negated ? " NOT BETWEEN " : " BETWEEN ", x.symmetric ? "SYMMETRIC " : "", Show(*x.low), " AND ", Show(*x.high), ")");
      }
      case ast::ExprKind::kLike: {
        const auto& x = e.As<ast::Like>();
        // As the operators that they are: the pattern may already carry its escape as a call.
        static constexpr std::string_view kNames[] = {"~~", "~~*", "~"};
        return StrCat("(", Show(*x.value), x.negated ? " !" : " ", kNames[static_cast<int>(x.like)], " ", Show(*x.pattern), ")");
      }
      case ast::ExprKind::kDistinctFrom: {
        const auto& x = e.As<ast::DistinctFrom>();
        return StrCat("(", Show(*x.left), x.negated ? " IS NOT DISTINCT FROM " : " IS DISTINCT FROM ", Show(*x.right), ")");
      }
      case ast::ExprKind::kNullIf: return StrCat("NULLIF(", Show(*e.As<ast::NullIf>().left), ", ", Show(*e.As<ast::NullIf>().right), ")");
      case ast::ExprKind::kBool: return Bool(e.As<ast::Bool>());
      case ast::ExprKind::kFunctionCall: return Call(e.As<ast::FunctionCall>());
      case ast::ExprKind::kTypeCast: return StrCat("(", Show(*e.As<ast::TypeCast>().arg), ")::", Type(e.As<ast::TypeCast>().type));
      case ast::ExprKind::kCase: return Case(e.As<ast::Case>());
      case ast::ExprKind::kCoalesce: return StrCat("COALESCE(", List(e.As<ast::Coalesce>().args), ")");
      case ast::ExprKind::kMinMax: return StrCat(e.As<ast::MinMax>().greatest ? "GREATEST(" : "LEAST(", List(e.As<ast::MinMax>().args), ")");
      case ast::ExprKind::kNullTest: return StrCat("(", Show(*e.As<ast::NullTest>().arg), e.As<ast::NullTest>().negated ? " IS NOT NULL)" : " IS NULL)");
      case ast::ExprKind::kBooleanTest: {
        static constexpr std::string_view kNames[] = {"IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"};
        return StrCat("(", Show(*e.As<ast::BooleanTest>().arg), " ", kNames[static_cast<int>(e.As<ast::BooleanTest>().test)], ")");
      }
      case ast::ExprKind::kSubquery: return Subquery(e.As<ast::Subquery>());
      case ast::ExprKind::kArray: return StrCat("ARRAY[", List(e.As<ast::Array>().elements), "]");
      case ast::ExprKind::kRow: return StrCat("ROW(", List(e.As<ast::Row>().args), ")");
      case ast::ExprKind::kSubscript: {
        const auto& x = e.As<ast::Subscript>();
        return StrCat("(", Show(*x.base), ")[", x.low ? Show(*x.low) : "", x.slice ? ":" : "", x.high ? Show(*x.high) : "", "]");
      }
      case ast::ExprKind::kFieldSelect: {
        const auto& x = e.As<ast::FieldSelect>();
        return StrCat("(", Show(*x.base), ").", x.star ? "*" : SqlIdent(x.field));
      }
      case ast::ExprKind::kCollate: return StrCat("(", Show(*e.As<ast::Collate>().arg), " COLLATE ", Name(e.As<ast::Collate>().collation), ")");
      case ast::ExprKind::kSqlValue: return SqlValue(e.As<ast::SqlValue>());
      case ast::ExprKind::kDefault: return "DEFAULT";
      case ast::ExprKind::kNamedArgument: return StrCat(SqlIdent(e.As<ast::NamedArgument>().name), " => ", Show(*e.As<ast::NamedArgument>().arg));
      case ast::ExprKind::kGroupingSet: return Grouping(e.As<ast::GroupingSet>());
      case ast::ExprKind::kGrouping: return StrCat("GROUPING(", List(e.As<ast::Grouping>().args), ")");
      case ast::ExprKind::kCurrentOf: return StrCat("CURRENT OF ", SqlIdent(e.As<ast::CurrentOf>().cursor));
      case ast::ExprKind::kMultiAssign: return "";
    }
    return "";
  }

 private:
  static bool IsNull(const ast::Expr& e) {
    const auto* c = e.TryAs<ast::Constant>();
    return c != nullptr && c->constant == ast::ConstantKind::kNull;
  }

  std::string Name(const ast::QualifiedName& name) {
    std::string out;
    for (size_t i = 0; i < name.size(); ++i) StrAppend(&out, i > 0 ? "." : "", SqlIdent(name[i]));
    return out;
  }

  std::string List(const std::vector<ast::ExprPtr>& list) {
    std::string out;
    for (size_t i = 0; i < list.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", Show(*list[i]));
    return out;
  }

  // An arm of a set operation keeps what is its own in brackets.
  std::string Arm(const ast::SelectStatement& s) {
    const bool bracket = !s.order_by.empty() || s.limit || s.offset || !s.with.ctes.empty() || !s.locking.empty() || s.set_operation != ast::SetOperation::kNone;
    return bracket ? StrCat("(", Select(s), ")") : Select(s);
  }

  std::string Simple(const ast::SelectStatement& s) {
    std::string out = " SELECT ";
    if (s.distinct) out += s.distinct_on.empty() ? "DISTINCT " : StrCat("DISTINCT ON (", List(s.distinct_on), ") ");
    bool first = true;
    auto add = [&](std::string_view expr, std::string_view alias) {
      StrAppend(&out, first ? "" : ",\n    ", expr);
      if (!alias.empty()) StrAppend(&out, " AS ", SqlIdent(alias));
      first = false;
    };
    for (const auto& item : s.items) {
      const auto* ref = item.expr->TryAs<ast::ColumnRef>();
      if (ref != nullptr && ref->star && names_.star) {
        if (auto columns = names_.star(*ref)) {
          for (auto& [expr, name] : *columns) add(expr, "");
          continue;
        }
      }
      add(Show(*item.expr), item.alias);
    }
    for (size_t i = 0; i < s.from.size(); ++i) StrAppend(&out, i == 0 ? "\n   FROM " : ",\n    ", From(*s.from[i]));
    if (s.where) StrAppend(&out, "\n  WHERE ", Show(*s.where));
    if (!s.group_by.empty()) StrAppend(&out, "\n  GROUP BY ", s.group_distinct ? "DISTINCT " : "", List(s.group_by));
    if (s.having) StrAppend(&out, "\n HAVING ", Show(*s.having));
    for (size_t i = 0; i < s.windows.size(); ++i) {
      StrAppend(&out, i == 0 ? "\n  WINDOW " : ", ", SqlIdent(s.windows[i].name), " AS ", Window(s.windows[i]));
    }
    return out;
  }

  std::string WithClause(const ast::With& w) {
    if (w.ctes.empty()) return "";
    std::string out = w.recursive ? " WITH RECURSIVE " : " WITH ";
    for (size_t i = 0; i < w.ctes.size(); ++i) {
      const ast::Cte& c = w.ctes[i];
      StrAppend(&out, i > 0 ? ", " : "", SqlIdent(c.name), Columns(c.columns), " AS ");
      if (c.materialize == ast::CteMaterialize::kAlways) out += "MATERIALIZED ";
      if (c.materialize == ast::CteMaterialize::kNever) out += "NOT MATERIALIZED ";
      const auto* select = c.query->TryAs<ast::SelectStatement>();
      StrAppend(&out, "(", select != nullptr ? Select(*select) : "", ")");
    }
    return out;
  }

  std::string Columns(const std::vector<std::string>& columns) {
    if (columns.empty()) return "";
    std::string out = "(";
    for (size_t i = 0; i < columns.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", SqlIdent(columns[i]));
    return out + ")";
  }

  std::string Alias(const ast::Alias& a) { return a.name.empty() ? "" : StrCat(" ", SqlIdent(a.name), Columns(a.columns)); }

  std::string From(const ast::FromItem& f) {
    switch (f.kind) {
      case ast::FromKind::kTable: {
        const auto& t = f.As<ast::FromTable>();
        std::optional<std::string> name = names_.table ? names_.table(t) : std::nullopt;
        if (!name) name = t.table.schema.empty() ? SqlIdent(t.table.name) : StrCat(SqlIdent(t.table.schema), ".", SqlIdent(t.table.name));
        return StrCat(t.only ? "ONLY " : "", *name, Alias(t.alias));
      }
      case ast::FromKind::kSubquery: {
        const auto& s = f.As<ast::FromSubquery>();
        return StrCat(s.lateral ? "LATERAL (" : "(", Select(*s.select), ")", Alias(s.alias));
      }
      case ast::FromKind::kFunction: {
        const auto& x = f.As<ast::FromFunction>();
        std::string calls;
        for (size_t i = 0; i < x.functions.size(); ++i) {
          StrAppend(&calls, i > 0 ? ", " : "", Show(*x.functions[i].call));
          if (!x.functions[i].columns.empty() && x.rows_from) StrAppend(&calls, " AS ", Definitions(x.functions[i].columns));
        }
        std::string out = StrCat(x.lateral ? "LATERAL " : "", x.rows_from ? StrCat("ROWS FROM (", calls, ")") : calls, x.ordinality ? " WITH ORDINALITY" : "");
        if (!x.rows_from && !x.functions.empty() && !x.functions[0].columns.empty()) {
          return StrCat(out, x.alias.name.empty() ? " AS " : StrCat(" ", SqlIdent(x.alias.name)), Definitions(x.functions[0].columns));
        }
        return out + Alias(x.alias);
      }
      case ast::FromKind::kJoin: return Join(f.As<ast::FromJoin>());
    }
    return "";
  }

  std::string Definitions(const std::vector<std::unique_ptr<ast::ColumnDefinition>>& columns) {
    std::string out = "(";
    for (size_t i = 0; i < columns.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", SqlIdent(columns[i]->name), " ", Type(columns[i]->type));
    return out + ")";
  }

  std::string Join(const ast::FromJoin& j) {
    std::string_view name = "JOIN";
    switch (j.join) {
      case ast::JoinKind::kCross: name = "CROSS JOIN"; break;
      case ast::JoinKind::kInner: name = "JOIN"; break;
      case ast::JoinKind::kLeft: name = "LEFT JOIN"; break;
      case ast::JoinKind::kRight: name = "RIGHT JOIN"; break;
      case ast::JoinKind::kFull: name = "FULL JOIN"; break;
    }
    const bool nested = j.right->kind == ast::FromKind::kJoin;
    std::string right = nested ? StrCat("(", From(*j.right), ")") : From(*j.right);
    std::string out = StrCat(From(*j.left), "\n     ", j.natural ? "NATURAL " : "", name, " ", right);
    if (!j.using_columns.empty()) {
      StrAppend(&out, " USING ", Columns(j.using_columns));
      if (!j.using_alias.empty()) StrAppend(&out, " AS ", SqlIdent(j.using_alias));
    }
    if (j.condition) StrAppend(&out, " ON ", Show(*j.condition));
    return j.alias.name.empty() ? out : StrCat("(", out, ")", Alias(j.alias));
  }

  std::string Sorts(const std::vector<ast::SortItem>& items) {
    std::string out;
    for (size_t i = 0; i < items.size(); ++i) {
      StrAppend(&out, i > 0 ? ", " : "", Show(*items[i].expr));
      if (items[i].direction == ast::SortDirection::kDescending) out += " DESC";
      if (items[i].direction == ast::SortDirection::kUsing) StrAppend(&out, " USING ", items[i].using_operator.back());
      if (items[i].nulls == ast::NullsOrder::kFirst) out += " NULLS FIRST";
      if (items[i].nulls == ast::NullsOrder::kLast) out += " NULLS LAST";
    }
    return out;
  }

  std::string Window(const ast::WindowDefinition& w) {
    std::vector<std::string> parts;
    if (!w.base_name.empty()) parts.push_back(SqlIdent(w.base_name));
    if (!w.partition_by.empty()) parts.push_back(StrCat("PARTITION BY ", List(w.partition_by)));
    if (!w.order_by.empty()) parts.push_back(StrCat("ORDER BY ", Sorts(w.order_by)));
    if (w.has_frame) {
      static constexpr std::string_view kModes[] = {"RANGE", "ROWS", "GROUPS"};
      static constexpr std::string_view kExclusions[] = {"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"};
      auto bound = [&](ast::FrameBound b, const ast::ExprPtr& offset) -> std::string {
        switch (b) {
          case ast::FrameBound::kUnboundedPreceding: return "UNBOUNDED PRECEDING";
          case ast::FrameBound::kPreceding: return StrCat(Show(*offset), " PRECEDING");
          case ast::FrameBound::kCurrentRow: return "CURRENT ROW";
          case ast::FrameBound::kFollowing: return StrCat(Show(*offset), " FOLLOWING");
          case ast::FrameBound::kUnboundedFollowing: return "UNBOUNDED FOLLOWING";
        }
        return "";
      };
      parts.push_back(StrCat(kModes[static_cast<int>(w.mode)], " BETWEEN ", bound(w.start, w.start_offset), " AND ", bound(w.end, w.end_offset),
                             kExclusions[static_cast<int>(w.exclusion)]));
    }
    return StrCat("(", StrJoin(parts, " "), ")");
  }

  std::string Constant(const ast::Constant& c) {
    switch (c.constant) {
      case ast::ConstantKind::kNull: return "NULL";
      case ast::ConstantKind::kInteger: return c.integer < 0 ? StrCat("(", c.integer, ")") : StrCat(c.integer);
      case ast::ConstantKind::kFloat: return !c.text.empty() && c.text[0] == '-' ? StrCat("(", c.text, ")") : c.text;
      case ast::ConstantKind::kBoolean: return c.integer ? "true" : "false";
      case ast::ConstantKind::kString: return Literal(c.text);
      case ast::ConstantKind::kBitString: return StrCat(c.text.substr(0, 1), Literal(c.text.substr(1)));
    }
    return "";
  }

  std::string Column(const ast::ColumnRef& c) {
    if (!c.star && names_.column) {
      if (auto name = names_.column(c)) return *name;
    }
    std::string out = Name(c.fields);
    if (c.star) StrAppend(&out, out.empty() ? "*" : ".*");
    return out;
  }

  std::string Operator(const ast::Operator& o) {
    std::string name = o.name.back();
    if (o.name.size() > 1) name = StrCat("OPERATOR(", SqlIdent(o.name[0]), ".", o.name.back(), ")");
    if (!o.left) return StrCat("(", name, " ", Show(*o.right), ")");
    if (o.quantifier == ast::Quantifier::kNone) return StrCat("(", Show(*o.left), " ", name, " ", Show(*o.right), ")");
    return StrCat("(", Show(*o.left), " ", name, o.quantifier == ast::Quantifier::kAll ? " ALL (" : " ANY (", Show(*o.right), "))");
  }

  std::string Bool(const ast::Bool& b) {
    if (b.op == ast::BoolKind::kNot) return StrCat("(NOT ", Show(*b.args[0]), ")");
    std::string out = "(";
    for (size_t i = 0; i < b.args.size(); ++i) StrAppend(&out, i == 0 ? "" : b.op == ast::BoolKind::kAnd ? " AND " : " OR ", Show(*b.args[i]));
    return out + ")";
  }

  std::string Call(const ast::FunctionCall& f) {
    // EXTRACT's field is a word in SQL; every other SQL form is also a plain call of a (quoted) name.
    if (f.sql_syntax && f.name.back() == "extract" && f.args.size() == 2 && f.args[0]->kind == ast::ExprKind::kConstant) {
      return StrCat("EXTRACT(", f.args[0]->As<ast::Constant>().text, " FROM ", Show(*f.args[1]), ")");
    }
    std::string args = f.star ? "*" : "";
    for (size_t i = 0; i < f.args.size(); ++i) {
      StrAppend(&args, i > 0 ? ", " : "", f.variadic && i + 1 == f.args.size() ? "VARIADIC " : "", Show(*f.args[i]));
    }
    std::string out = StrCat(Name(f.name), "(", f.distinct ? "DISTINCT " : "", args);
    if (!f.order_by.empty() && !f.within_group) StrAppend(&out, " ORDER BY ", Sorts(f.order_by));
    out += ")";
    if (f.within_group) StrAppend(&out, " WITHIN GROUP (ORDER BY ", Sorts(f.order_by), ")");
    if (f.filter) StrAppend(&out, " FILTER (WHERE ", Show(*f.filter), ")");
    if (f.over) StrAppend(&out, " OVER ", !f.over->name.empty() ? SqlIdent(f.over->name) : Window(*f.over));
    return out;
  }

  std::string Type(const ast::TypeName& t) {
    if (names_.type) {
      if (auto name = names_.type(t)) return *name;
    }
    std::string out = Name(t.names);
    if (!t.modifiers.empty()) StrAppend(&out, "(", List(t.modifiers), ")");
    for (int i = 0; i < t.array_dimensions; ++i) out += "[]";
    return out;
  }

  std::string Case(const ast::Case& c) {
    std::string out = "CASE";
    if (c.arg) StrAppend(&out, " ", Show(*c.arg));
    for (const auto& w : c.whens) StrAppend(&out, " WHEN ", Show(*w.condition), " THEN ", Show(*w.result));
    if (c.otherwise) StrAppend(&out, " ELSE ", Show(*c.otherwise));
    return out + " END";
  }

  std::string Subquery(const ast::Subquery& s) {
    std::string select = StrCat("(", Select(*s.select), ")");
    switch (s.subquery) {
      case ast::SubqueryKind::kScalar: return select;
      case ast::SubqueryKind::kExists: return StrCat("(EXISTS ", select, ")");
      case ast::SubqueryKind::kArray: return StrCat("ARRAY", select);
      case ast::SubqueryKind::kAny:
        if (s.operator_.empty()) return StrCat("(", Show(*s.test), " IN ", select, ")");
        return StrCat("(", Show(*s.test), " ", s.operator_.back(), " ANY ", select, ")");
      case ast::SubqueryKind::kAll: return StrCat("(", Show(*s.test), " ", s.operator_.back(), " ALL ", select, ")");
    }
    return "";
  }

  std::string SqlValue(const ast::SqlValue& v) {
    std::string out;
    for (char c : v.name) out.push_back(static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c));
    return v.precision ? StrCat(out, "(", *v.precision, ")") : out;
  }

  std::string Grouping(const ast::GroupingSet& g) {
    switch (g.set) {
      case ast::GroupingSetKind::kEmpty: return "()";
      case ast::GroupingSetKind::kSimple: return StrCat("(", List(g.content), ")");
      case ast::GroupingSetKind::kRollup: return StrCat("ROLLUP(", List(g.content), ")");
      case ast::GroupingSetKind::kCube: return StrCat("CUBE(", List(g.content), ")");
      case ast::GroupingSetKind::kSets: return StrCat("GROUPING SETS (", List(g.content), ")");
    }
    return "";
  }

  const SqlNames& names_;
};

}  // namespace

std::string SqlIdent(std::string_view name) {
  // Quoting a name that would not need it changes nothing; keywords are many, so all but plain short words of lower-case
  // letters that SQL does not reserve are quoted by the caller's hooks or here.
  static constexpr std::string_view kReserved =
      " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char character "
      "check coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role "
      "current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists "
      "extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout int "
      "integer intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural "
      "nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position "
      "precision primary real references returning right row select session_user setof similar smallint some substring symmetric table "
      "tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where "
      "window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";
  bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9') && name[0] != '$';
  for (char c : name) plain = plain && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$');
  if (plain && kReserved.find(StrCat(" ", name, " ")) == std::string_view::npos) return std::string(name);
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back(c);
    out.push_back(c);
  }
  return out + "\"";
}

std::string ToSql(const ast::SelectStatement& query, const SqlNames& names) { return Writer(names).Select(query); }
std::string ToSql(const ast::Expr& expr, const SqlNames& names) { return Writer(names).Show(expr); }

}  // namespace insula::sql
