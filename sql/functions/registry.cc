#include "sql/functions/registry.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/facts/facts.h"
#include "sql/functions/registrar.h"

namespace insula::sql {
namespace internal {
namespace {

// All that lives behind the lookups. Type lists of the functions point into `pool`.
struct Registry {
  std::vector<FunctionInfo> functions;
  std::vector<OperatorInfo> operators;
  std::vector<Oid> pool;
  std::unordered_map<Oid, const FunctionInfo*> function_by_oid;
  std::unordered_map<Oid, const OperatorInfo*> operator_by_oid;
};

struct Range {
  size_t begin = 0, size = 0;
};

Range ParseList(const char* text, std::vector<Oid>* pool) {
  Range range{pool->size(), 0};
  std::string_view s(text);
  while (!s.empty()) {
    Oid v = 0;
    auto end = std::from_chars(s.data(), s.data() + s.size(), v).ptr;
    pool->push_back(v);
    ++range.size;
    s.remove_prefix(static_cast<size_t>(end - s.data()));
    if (!s.empty()) s.remove_prefix(1);
  }
  return range;
}

FunctionInfo FromFact(const ProcFact& fact) {
  FunctionInfo f{};
  f.oid = fact.oid;
  f.name = fact.name;
  f.source = fact.source;
  f.kind = fact.flags[0] == 'a' ? FunctionKind::kAggregate
                                : (fact.flags[0] == 'w' ? FunctionKind::kWindow
                                                        : (fact.flags[0] == 'p' ? FunctionKind::kProcedure : FunctionKind::kScalar));
  f.volatility = fact.flags[1] == 'i' ? Volatility::kImmutable : (fact.flags[1] == 's' ? Volatility::kStable : Volatility::kVolatile);
  f.strict = fact.flags[2] == '1';
  f.returns_set = fact.flags[3] == '1';
  f.parallel = fact.flags[4];
  f.leakproof = fact.flags[5] == '1';
  f.variadic = fact.variadic;
  f.result = fact.result;
  f.arg_names = fact.arg_names;
  f.defaults = fact.defaults;
  return f;
}

void LoadFacts(Registry* registry) {
  std::vector<std::pair<Range, Range>> lists;
  for (auto part : {ProcsAToH(), ProcsIToO(), ProcsPToZ()}) {
    for (const ProcFact& fact : part) {
      registry->functions.push_back(FromFact(fact));
      lists.emplace_back(ParseList(fact.args, &registry->pool), ParseList(fact.out_types, &registry->pool));
    }
  }
  const Oid* pool = registry->pool.data();
  for (size_t i = 0; i < lists.size(); ++i) {
    registry->functions[i].args = {pool + lists[i].first.begin, lists[i].first.size};
    registry->functions[i].out_types = {pool + lists[i].second.begin, lists[i].second.size};
    registry->function_by_oid[registry->functions[i].oid] = &registry->functions[i];
  }
  for (const OperatorFact& fact : Operators()) {
    auto function = registry->function_by_oid.find(fact.function);
    CHECK(function != registry->function_by_oid.end()) << "operator " << fact.oid;
    registry->operators.push_back({fact.oid, fact.name, fact.left, fact.right, fact.result, fact.commutator, fact.negator,
                                   fact.can_merge, fact.can_hash, function->second});
  }
  for (const OperatorInfo& op : registry->operators) registry->operator_by_oid[op.oid] = &op;
}

const Registry& Get() {
  static const Registry* const registry = [] {
    auto* built = new Registry;
    LoadFacts(built);
    Registrar r(&built->functions);
    RegisterOperators(r);
    RegisterMathFunctions(r);
    RegisterNumericFunctions(r);
    RegisterStringFunctions(r);
    RegisterTextCodecFunctions(r);
    RegisterBitFunctions(r);
    RegisterPatternFunctions(r);
    RegisterDateTimeFunctions(r);
    RegisterFormatFunctions(r);
    RegisterArrayFunctions(r);
    RegisterJsonFunctions(r);
    RegisterSystemFunctions(r);
    RegisterCatalogFunctions(r);
    RegisterCastFunctions(r);
    RegisterSetFunctions(r);
    RegisterAggregates(r);
    RegisterStatisticalAggregates(r);
    return built;
  }();
  return *registry;
}

}  // namespace

Registrar::Registrar(std::vector<FunctionInfo>* functions) : functions_(functions) {
  for (FunctionInfo& f : *functions) {
    if (!f.source.empty()) by_source_[f.source].push_back(&f);
  }
}

std::vector<FunctionInfo*>& Registrar::BySource(std::string_view source) {
  auto it = by_source_.find(source);
  CHECK(it != by_source_.end()) << "no function has the source " << source;
  return it->second;
}

// "name(type,type)" with typnames.
FunctionInfo& Registrar::BySignature(std::string_view signature) {
  size_t open = signature.find('(');
  CHECK(open != std::string_view::npos && signature.ends_with(")")) << signature;
  std::string_view name = signature.substr(0, open), rest = signature.substr(open + 1, signature.size() - open - 2);
  std::vector<Oid> args;
  while (!rest.empty()) {
    size_t comma = std::min(rest.find(','), rest.size());
    const TypeInfo* type = FindTypeByTypname(rest.substr(0, comma));
    CHECK(type != nullptr) << signature;
    args.push_back(type->oid);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  for (FunctionInfo& f : *functions_) {
    if (f.name == name && std::equal(f.args.begin(), f.args.end(), args.begin(), args.end())) return f;
  }
  CHECK(false) << "no function " << signature;
  __builtin_unreachable();
}

void Registrar::Scalar(std::string_view source, ScalarEval eval) {
  for (FunctionInfo* f : BySource(source)) f->eval = eval;
}
void Registrar::ScalarFor(std::string_view signature, ScalarEval eval) { BySignature(signature).eval = eval; }
void Registrar::Set(std::string_view source, SetEval eval) {
  for (FunctionInfo* f : BySource(source)) f->set_eval = eval;
}
void Registrar::SetFor(std::string_view signature, SetEval eval) { BySignature(signature).set_eval = eval; }
void Registrar::NeedsSequence(std::string_view source) {
  for (FunctionInfo* f : BySource(source)) f->needs_sequence = true;
}

void Registrar::Aggregate(std::string_view name, AggregateFactory factory) {
  bool found = false;
  for (FunctionInfo& f : *functions_) {
    if (f.name != name || f.kind != FunctionKind::kAggregate) continue;
    f.aggregate = factory;
    found = true;
  }
  CHECK(found) << "no aggregate " << name;
}
void Registrar::AggregateFor(std::string_view signature, AggregateFactory factory) {
  FunctionInfo& f = BySignature(signature);
  CHECK(f.kind == FunctionKind::kAggregate) << signature;
  f.aggregate = factory;
}

}  // namespace internal

namespace {

struct ByName {
  bool operator()(const FunctionInfo& f, std::string_view n) const { return f.name < n; }
  bool operator()(std::string_view n, const FunctionInfo& f) const { return n < f.name; }
  bool operator()(const OperatorInfo& o, std::string_view n) const { return o.name < n; }
  bool operator()(std::string_view n, const OperatorInfo& o) const { return n < o.name; }
};

}  // namespace

std::span<const FunctionInfo> AllFunctions() { return internal::Get().functions; }
std::span<const OperatorInfo> AllOperators() { return internal::Get().operators; }

const FunctionInfo* FindFunction(Oid oid) {
  const auto& map = internal::Get().function_by_oid;
  auto it = map.find(oid);
  return it == map.end() ? nullptr : it->second;
}

const OperatorInfo* FindOperator(Oid oid) {
  const auto& map = internal::Get().operator_by_oid;
  auto it = map.find(oid);
  return it == map.end() ? nullptr : it->second;
}

std::span<const FunctionInfo> FunctionsNamed(std::string_view name) {
  const auto& all = internal::Get().functions;
  auto [begin, end] = std::equal_range(all.begin(), all.end(), name, ByName());
  return {begin, end};
}

std::span<const OperatorInfo> OperatorsNamed(std::string_view name) {
  const auto& all = internal::Get().operators;
  auto [begin, end] = std::equal_range(all.begin(), all.end(), name, ByName());
  return {begin, end};
}

const OperatorInfo* FindOperatorExact(std::string_view name, Oid left, Oid right) {
  for (const OperatorInfo& op : OperatorsNamed(name)) {
    if (op.left == left && op.right == right) return &op;
  }
  return nullptr;
}

const FunctionInfo* FindFunctionExact(std::string_view name, std::span<const Oid> args) {
  for (const FunctionInfo& f : FunctionsNamed(name)) {
    if (std::equal(f.args.begin(), f.args.end(), args.begin(), args.end())) return &f;
  }
  return nullptr;
}

bool FunctionNameExists(std::string_view name) { return !FunctionsNamed(name).empty(); }

const OperatorInfo* DefaultOperator(std::string_view name, Oid type) {
  if (!IsOrderable(type) && !(name == "=" && IsHashable(type))) return nullptr;
  if (const OperatorInfo* op = FindOperatorExact(name, type, type)) return op;
  if (type == oid::kVarchar) return FindOperatorExact(name, oid::kText, oid::kText);
  if (IsRegType(type)) return FindOperatorExact(name, oid::kOid, oid::kOid);
  if (type == oid::kInt2Vector || IsArray(type)) return FindOperatorExact(name, oid::kAnyArray, oid::kAnyArray);
  return nullptr;
}

absl::StatusOr<Datum> DefaultArgument(const FunctionInfo& function, size_t i) {
  CHECK(i < function.args.size() && i + function.defaults >= function.args.size());
  std::string_view name = function.name;
  if (name == "make_interval") return i == 6 ? Datum::Float(0) : Datum::Int(0);
  if (name == "normalize" || name == "is_normalized") return Datum::Bytes("NFC");
  if (name == "jsonb_set" || name == "parse_ident") return Datum::Bool(true);
  if (name == "jsonb_set_lax") return i == 3 ? Datum::Bool(true) : Datum::Bytes("use_json_null");
  if (name == "jsonb_insert" || name == "json_populate_record" || name == "json_populate_recordset") return Datum::Bool(false);
  if (name == "pg_terminate_backend") return Datum::Int(0);
  return PgUnsupported(StrCat("the default of an argument of function ", name));
}

}  // namespace insula::sql
