#include "sql/parser/ast.h"

#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace insula::sql::ast {

Subquery::Subquery() = default;
Subquery::~Subquery() = default;
FromFunction::FromFunction() = default;
FromFunction::~FromFunction() = default;

int LeftmostPosition(const Expr& e) {
  const Expr* first = nullptr;
  switch (e.kind) {
    case ExprKind::kOperator: first = e.As<Operator>().left.get(); break;
    case ExprKind::kIn: first = e.As<In>().left.get(); break;
    case ExprKind::kBetween: first = e.As<Between>().value.get(); break;
    case ExprKind::kLike: first = e.As<Like>().value.get(); break;
    case ExprKind::kDistinctFrom: first = e.As<DistinctFrom>().left.get(); break;
    case ExprKind::kBool: first = e.As<Bool>().op == BoolKind::kNot || e.As<Bool>().args.empty() ? nullptr : e.As<Bool>().args[0].get(); break;
    case ExprKind::kTypeCast: first = e.As<TypeCast>().arg.get(); break;
    case ExprKind::kNullTest: first = e.As<NullTest>().arg.get(); break;
    case ExprKind::kBooleanTest: first = e.As<BooleanTest>().arg.get(); break;
    case ExprKind::kCollate: first = e.As<Collate>().arg.get(); break;
    case ExprKind::kSubquery: first = e.As<Subquery>().test.get(); break;
    default: break;
  }
  const int inner = first != nullptr ? LeftmostPosition(*first) : 0;
  if (inner == 0) return e.position;
  return e.position == 0 || inner < e.position ? inner : e.position;
}

std::optional<bool> Option::AsBool() const {
  if (!value) return true;
  std::string v = AsciiLower(*value);
  if (v == "true" || v == "on" || v == "1" || v == "yes") return true;
  if (v == "false" || v == "off" || v == "0" || v == "no") return false;
  return std::nullopt;
}

std::optional<int64_t> Option::AsInteger() const {
  int64_t v = 0;
  if (!value || !absl::SimpleAtoi(*value, &v)) return std::nullopt;
  return v;
}

const Option* FindOption(const std::vector<Option>& options, std::string_view name) {
  for (const Option& o : options) {
    if (o.name == name) return &o;
  }
  return nullptr;
}

std::string_view ObjectTypeName(ObjectType type) {
  switch (type) {
    case ObjectType::kTable: return "TABLE";
    case ObjectType::kView: return "VIEW";
    case ObjectType::kMaterializedView: return "MATERIALIZED VIEW";
    case ObjectType::kIndex: return "INDEX";
    case ObjectType::kSequence: return "SEQUENCE";
    case ObjectType::kSchema: return "SCHEMA";
    case ObjectType::kDatabase: return "DATABASE";
    case ObjectType::kRole: return "ROLE";
    case ObjectType::kColumn: return "COLUMN";
    case ObjectType::kConstraint: return "CONSTRAINT";
    case ObjectType::kType: return "TYPE";
    case ObjectType::kDomain: return "DOMAIN";
    case ObjectType::kFunction: return "FUNCTION";
    case ObjectType::kProcedure: return "PROCEDURE";
    case ObjectType::kAggregate: return "AGGREGATE";
    case ObjectType::kTrigger: return "TRIGGER";
    case ObjectType::kExtension: return "EXTENSION";
    case ObjectType::kTablespace: return "TABLESPACE";
    case ObjectType::kRule: return "RULE";
    case ObjectType::kPolicy: return "POLICY";
    case ObjectType::kCollation: return "COLLATION";
    case ObjectType::kOperator: return "OPERATOR";
    case ObjectType::kCast: return "CAST";
    case ObjectType::kLanguage: return "LANGUAGE";
    case ObjectType::kForeignTable: return "FOREIGN TABLE";
    case ObjectType::kLargeObject: return "LARGE OBJECT";
    case ObjectType::kOther: return "OBJECT";
  }
  return "OBJECT";
}

}  // namespace insula::sql::ast
