#include "sql/plan/deparse.h"

#include "base/strings.h"

namespace insula::sql {
namespace {

class Deparser {
 public:
  explicit Deparser(const DeparseOptions& options) : options_(options) {}

  // `top`: a cast that nobody wrote is left out there, as the place gives the type anyway.
  std::string Show(const ExprPtr& e, bool top = false) {
    switch (e->kind) {
      case ExprKind::kConstant: return Constant(e->As<ConstantExpr>());
      case ExprKind::kParameter: return StrCat("$", e->As<ParameterExpr>().index + 1);
      case ExprKind::kExecParam: {
        const auto& p = e->As<ExecParamExpr>();
        return p.name.empty() ? StrCat("outer#", p.index) : p.name;
      }
      case ExprKind::kColumn: {
        const auto& c = e->As<ColumnExpr>();
        if (options_.column) return options_.column(c);
        return c.name.empty() ? StrCat("column", c.column) : c.name;
      }
      case ExprKind::kFunction: return Function(e->As<FunctionExpr>());
      case ExprKind::kCast: return Cast(e->As<CastExpr>(), top);
      case ExprKind::kAnd: return Joined(e->args, " AND ");
      case ExprKind::kOr: return Joined(e->args, " OR ");
      case ExprKind::kNot: return StrCat("(NOT ", Show(e->args[0]), ")");
      case ExprKind::kCase: return Case(e->As<CaseExpr>());
      case ExprKind::kCoalesce: return StrCat("COALESCE(", List(e->args), ")");
      case ExprKind::kNullIf: return StrCat("NULLIF(", Show(e->args[0]), ", ", Show(e->args[1]), ")");
      case ExprKind::kMinMax: return StrCat(e->As<MinMaxExpr>().greatest ? "GREATEST(" : "LEAST(", List(e->args), ")");
      case ExprKind::kInList: {
        std::vector<ExprPtr> list(e->args.begin() + 1, e->args.end());
        const bool negated = e->As<InListExpr>().negated;
        return StrCat("(", Show(e->args[0]), negated ? " <> ALL (ARRAY[" : " = ANY (ARRAY[", List(list), "]))");
      }
      case ExprKind::kQuantified: {
        const auto& q = e->As<QuantifiedExpr>();
        return StrCat("(", Show(e->args[0]), " ", q.op->name, q.all ? " ALL (" : " ANY (", Show(e->args[1]), "))");
      }
      case ExprKind::kNullTest:
        return StrCat("(", Show(e->args[0]), e->As<NullTestExpr>().negated ? " IS NOT NULL)" : " IS NULL)");
      case ExprKind::kDistinctFrom:
        return StrCat("(", Show(e->args[0]), e->As<DistinctFromExpr>().negated ? " IS NOT DISTINCT FROM " : " IS DISTINCT FROM ", Show(e->args[1]), ")");
      case ExprKind::kBooleanTest: {
        static constexpr std::string_view kNames[] = {"IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"};
        return StrCat("(", Show(e->args[0]), " ", kNames[static_cast<int>(e->As<BooleanTestExpr>().test)], ")");
      }
      case ExprKind::kRow: return StrCat("ROW(", List(e->args), ")");
      case ExprKind::kRowCompare: {
        static constexpr std::string_view kNames[] = {"<", "<=", ">", ">="};
        const long n = static_cast<long>(e->args.size() / 2);
        return StrCat("(ROW(", List({e->args.begin(), e->args.begin() + n}), ") ", kNames[static_cast<int>(e->As<RowCompareExpr>().op)], " ROW(",
                      List({e->args.begin() + n, e->args.end()}), "))");
      }
      case ExprKind::kArray:
        return e->args.empty() ? StrCat("ARRAY[]::", FormatType(e->type.oid)) : StrCat("ARRAY[", List(e->args), "]");
      case ExprKind::kSubscript: return Subscript(e->As<SubscriptExpr>());
      case ExprKind::kFieldSelect: return StrCat("(", Show(e->args[0]), ").f", e->As<FieldSelectExpr>().field + 1);
      case ExprKind::kSubquery: return "(SubPlan)";
      case ExprKind::kDefault: return "DEFAULT";
    }
    return "?";
  }

 private:
  std::string List(const std::vector<ExprPtr>& args) {
    std::string out;
    for (size_t i = 0; i < args.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", Show(args[i]));
    return out;
  }
  std::string Joined(const std::vector<ExprPtr>& args, std::string_view by) {
    std::string out = "(";
    for (size_t i = 0; i < args.size(); ++i) StrAppend(&out, i > 0 ? by : "", Show(args[i]));
    return out + ")";
  }

  std::string Constant(const ConstantExpr& c) {
    const std::string type = FormatType(c.type.oid, c.type.oid == oid::kInterval ? c.type.typmod : -1);
    if (c.value.is_null()) return StrCat("NULL::", type);
    if (c.type.oid == oid::kBool) return c.value.bool_value() ? "true" : "false";
    IoContext fallback;
    const std::string text = TextOut(options_.io != nullptr ? *options_.io : fallback, SqlType{c.type.oid, -1}, c.value);
    if (c.type.oid == oid::kUnknown) return QuoteLiteral(text);
    const bool plain = !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
    if (c.type.oid == oid::kInt4 && plain) return text;
    if (c.type.oid == oid::kNumeric && plain) return text.find('.') != std::string::npos ? text : StrCat("(", text, ")::numeric");
    return StrCat(QuoteLiteral(text), "::", type == "bpchar" ? "bpchar" : type);
  }

  std::string Function(const FunctionExpr& f) {
    if (!f.keyword.empty()) return f.keyword;
    if (f.op != nullptr) {
      if (f.args.size() == 1) return StrCat("(", f.op->name, " ", Show(f.args[0]), ")");
      return StrCat("(", Show(f.args[0]), " ", f.op->name, " ", Show(f.args[1]), ")");
    }
    if (f.function->name == "extract" && f.args.size() == 2 && f.args[0]->kind == ExprKind::kConstant) {
      const auto& field = f.args[0]->As<ConstantExpr>().value;
      if (!field.is_null()) return StrCat("EXTRACT(", field.bytes_value(), " FROM ", Show(f.args[1]), ")");
    }
    std::string args;
    for (size_t i = 0; i < f.args.size(); ++i) {
      StrAppend(&args, i > 0 ? ", " : "", f.variadic && i + 1 == f.args.size() ? "VARIADIC " : "", Show(f.args[i]));
    }
    return StrCat(QuoteIdent(f.function->name), "(", args, ")");
  }

  std::string Cast(const CastExpr& c, bool top) {
    if (!c.keyword.empty()) return c.keyword;
    if (top && c.context != CastContext::kExplicit) return Show(c.args[0], true);
    const std::string type = FormatType(c.type.oid, c.type.typmod);
    return StrCat("(", Show(c.args[0]), ")::", type);
  }

  std::string Case(const CaseExpr& c) {
    std::string out = "CASE";
    size_t i = 0;
    for (; i + 1 < c.args.size(); i += 2) StrAppend(&out, " WHEN ", Show(c.args[i]), " THEN ", Show(c.args[i + 1]));
    if (c.has_else()) {
      StrAppend(&out, " ELSE ", Show(c.args.back()));
    } else {
      StrAppend(&out, " ELSE NULL::", FormatType(c.type.oid, -1));
    }
    return out + " END";
  }

  std::string Subscript(const SubscriptExpr& s) {
    std::string out = s.args[0]->kind == ExprKind::kColumn ? Show(s.args[0]) : StrCat("(", Show(s.args[0]), ")");
    for (size_t i = 1; i < s.args.size(); ++i) {
      if (!s.slice) {
        StrAppend(&out, "[", Show(s.args[i]), "]");
        continue;
      }
      auto bound = [&](size_t k) { return s.omitted[k - 1] ? std::string() : Show(s.args[k]); };
      StrAppend(&out, "[", bound(i), ":", bound(i + 1), "]");
      ++i;
    }
    return out;
  }

  const DeparseOptions& options_;
};

}  // namespace

std::string Deparse(const ExprPtr& expr, const DeparseOptions& options) { return Deparser(options).Show(expr, /*top=*/true); }

}  // namespace insula::sql
