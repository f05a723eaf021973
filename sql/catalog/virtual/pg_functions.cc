// Functions, operators and languages.
#include "sql/catalog/virtual/fill.h"
#include "sql/functions/registry.h"

namespace insula::sql {
namespace {

constexpr Oid kInternalLanguage = 12, kCLanguage = 13, kSqlLanguage = 14;

char KindChar(FunctionKind k) {
  switch (k) {
    case FunctionKind::kScalar: return 'f';
    case FunctionKind::kAggregate: return 'a';
    case FunctionKind::kWindow: return 'w';
    case FunctionKind::kProcedure: return 'p';
  }
  return 'f';
}
char VolatilityChar(Volatility v) { return v == Volatility::kImmutable ? 'i' : v == Volatility::kStable ? 's' : 'v'; }

std::vector<int64_t> Numbers(std::span<const Oid> oids) { return {oids.begin(), oids.end()}; }

Datum ArgumentNames(std::string_view names) {
  if (names.empty()) return Datum::Null();
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= names.size();) {
    size_t comma = std::min(names.find(',', begin), names.size());
    out.emplace_back(names.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return TextArray(out);
}

}  // namespace

void FillPgProc(VirtualScan& scan) {
  for (const FunctionInfo& f : AllFunctions()) {
    Datum all_types, modes;
    if (!f.out_types.empty() || f.variadic != 0) {
      std::vector<int64_t> types = Numbers(f.args);
      std::string mode_letters(f.args.size(), 'i');
      if (f.variadic != 0 && !mode_letters.empty()) mode_letters.back() = 'v';
      for (Oid t : f.out_types) {
        types.push_back(t);
        mode_letters.push_back(f.returns_set && f.result != oid::kRecord ? 't' : 'o');
      }
      all_types = OidArray(types);
      modes = CharArray(mode_letters);
    }
    scan.Row(f.oid, f.name, kPgCatalogOid, kBootstrapRoleOid, kInternalLanguage, 1.0, f.returns_set ? 1000.0 : 0.0, f.variadic, 0, KindChar(f.kind),
             false, f.leakproof, f.strict, f.returns_set, VolatilityChar(f.volatility), f.parallel, f.args.size(), f.defaults, f.result,
             OidVectorOf(Numbers(f.args)), all_types, modes, ArgumentNames(f.arg_names), nullptr, nullptr, f.source, nullptr, nullptr, nullptr,
             nullptr);
  }
}

void FillPgOperator(VirtualScan& scan) {
  for (const OperatorInfo& o : AllOperators()) {
    scan.Row(o.oid, o.name, kPgCatalogOid, kBootstrapRoleOid, o.left == 0 ? 'l' : 'b', o.can_merge, o.can_hash, o.left, o.right, o.result,
             o.commutator, o.negator, o.function == nullptr ? 0 : o.function->oid, 0, 0);
  }
}

void FillPgLanguage(VirtualScan& scan) {
  scan.Row(kInternalLanguage, "internal", kBootstrapRoleOid, false, false, 0, 0, 2246, nullptr);
  scan.Row(kCLanguage, "c", kBootstrapRoleOid, false, false, 0, 0, 2247, nullptr);
  scan.Row(kSqlLanguage, "sql", kBootstrapRoleOid, false, true, 0, 0, 2248, nullptr);
}

}  // namespace insula::sql
