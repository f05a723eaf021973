// Which function or operator a call means: PostgreSQL 15, chapter 10.
//
//   candidates by name and number of arguments
//     → exactly these types?                                     done
//     → those whose arguments coerce implicitly
//     → most exact matches; then most exact or preferred types
//     → for untyped literals: the category all agree on (strings win), preferred types first
//     → untyped literals as the one known type
//     → one left: done; more: ambiguous; none: does not exist
#include <algorithm>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/registry.h"
#include "sql/types/cast.h"

namespace insula::sql {
namespace {

struct Candidate {
  const FunctionInfo* function = nullptr;
  const OperatorInfo* op = nullptr;
  std::vector<Oid> args;      // declared, as many as given (variadic ones repeated)
  int variadic_index = -1;
  int defaults_used = 0;
};

bool IsPreferred(char category, Oid type) {
  const TypeInfo* t = FindType(type);
  return t != nullptr && t->category == category && t->preferred;
}
char Category(Oid type) {
  const TypeInfo* t = FindType(type);
  return t == nullptr ? 'U' : t->category;
}

bool IsCompatibleFamily(Oid t) {
  return t == oid::kAnyCompatible || t == oid::kAnyCompatibleArray || t == oid::kAnyCompatibleNonArray;
}

// ---- polymorphic types

// What the polymorphic types of a call stand for; 0: not known (only untyped arguments).
struct Polymorphism {
  Oid element = 0, array = 0;                    // anyelement, anyarray, anynonarray, anyenum
  Oid compatible = 0;                            // anycompatible…
  bool has_any = false, has_compatible = false;
};

absl::StatusOr<Oid> CommonTypeOf(std::span<const Oid> types);

// Binds the polymorphic declared types to the actual ones; fails where they contradict each other.
absl::StatusOr<Polymorphism> Bind(std::span<const Oid> actual, std::span<const Oid> declared) {
  Polymorphism p;
  std::vector<Oid> compatible;
  for (size_t i = 0; i < declared.size(); ++i) {
    Oid d = declared[i], a = actual[i];
    if (!IsPolymorphic(d)) continue;
    if (IsCompatibleFamily(d)) {
      p.has_compatible = true;
      if (a == oid::kUnknown) continue;
      if (d == oid::kAnyCompatibleArray) {
        Oid element = ElementTypeOf(a);
        if (element == 0) {
          return PgError(sqlstate::kDatatypeMismatch,
                         StrCat("argument declared anycompatiblearray is not an array but type ", FormatType(a)));
        }
        a = element;
      } else if (d == oid::kAnyCompatibleNonArray && IsArray(a)) {
        return PgError(sqlstate::kDatatypeMismatch, "argument declared anycompatiblenonarray is an array");
      }
      compatible.push_back(a);
      continue;
    }
    p.has_any = true;
    if (a == oid::kUnknown) continue;
    if (d == oid::kAnyArray) {
      Oid element = a == oid::kAnyArray ? oid::kAnyElement : ElementTypeOf(a);
      if (element == 0) {
        return PgError(sqlstate::kDatatypeMismatch, StrCat("argument declared anyarray is not an array but type ", FormatType(a)));
      }
      if (p.array != 0 && p.array != a) {
        return PgErrorBuilder(sqlstate::kDatatypeMismatch, "arguments declared \"anyarray\" are not all alike")
            .Detail(StrCat(FormatType(p.array), " versus ", FormatType(a)))
            .Build();
      }
      p.array = a;
      if (p.element != 0 && p.element != element) {
        return PgErrorBuilder(sqlstate::kDatatypeMismatch,
                              "argument declared anyarray is not consistent with argument declared anyelement")
            .Detail(StrCat(FormatType(a), " versus ", FormatType(p.element)))
            .Build();
      }
      p.element = element;
      continue;
    }
    if (d == oid::kAnyNonArray && IsArray(a)) {
      return PgError(sqlstate::kDatatypeMismatch, StrCat("type matched to anynonarray is an array type: ", FormatType(a)));
    }
    if (d == oid::kAnyEnum) {
      return PgError(sqlstate::kDatatypeMismatch, StrCat("type matched to anyenum is not an enum type: ", FormatType(a)));
    }
    if (p.element != 0 && p.element != a) {
      return PgErrorBuilder(sqlstate::kDatatypeMismatch, "arguments declared \"anyelement\" are not all alike")
          .Detail(StrCat(FormatType(p.element), " versus ", FormatType(a)))
          .Build();
    }
    p.element = a;
  }
  if (p.element != 0 && p.array == 0) p.array = ArrayTypeOf(p.element);
  if (!compatible.empty()) {
    ASSIGN_OR_RETURN(p.compatible, CommonTypeOf(compatible));
  } else if (p.has_compatible) {
    p.compatible = oid::kText;  // only untyped literals: text, as in PostgreSQL
  }
  return p;
}

absl::StatusOr<Oid> Substitute(const Polymorphism& p, Oid declared) {
  auto undetermined = [] {
    return PgError(sqlstate::kDatatypeMismatch, "could not determine polymorphic type because input has type unknown");
  };
  switch (declared) {
    case oid::kAnyElement:
    case oid::kAnyNonArray:
    case oid::kAnyEnum:
      if (p.element == 0) return undetermined();
      return p.element;
    case oid::kAnyArray:
      if (p.element == 0) return undetermined();
      if (p.array == 0) {
        return PgError(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", FormatType(p.element)));
      }
      return p.array;
    case oid::kAnyCompatible:
    case oid::kAnyCompatibleNonArray: return p.compatible;
    case oid::kAnyCompatibleArray: return ArrayTypeOf(p.compatible);
    default: return declared;
  }
}

// ---- matching

bool ArgumentsMatch(std::span<const Oid> actual, const Candidate& c) {
  bool polymorphic = false;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!CanCoerce(actual[i], c.args[i], CastContext::kImplicit)) return false;
    polymorphic |= IsPolymorphic(c.args[i]);
  }
  if (!polymorphic) return true;
  auto bound = Bind(actual, c.args);
  if (!bound.ok()) return false;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!IsCompatibleFamily(c.args[i]) || actual[i] == oid::kUnknown) continue;
    auto type = Substitute(*bound, c.args[i]);
    if (!type.ok() || !CanCoerce(actual[i], *type, CastContext::kImplicit)) return false;
  }
  return true;
}

// Keeps the candidates with the highest score.
template <typename Score>
void KeepBest(std::vector<Candidate>* candidates, Score score) {
  int best = -1;
  std::vector<Candidate> kept;
  for (Candidate& c : *candidates) {
    int s = score(c);
    if (s > best) {
      best = s;
      kept.clear();
    }
    if (s == best) kept.push_back(std::move(c));
  }
  *candidates = std::move(kept);
}

struct SlotCategory {
  char category = 0;
  bool preferred = false;
};

// For each untyped argument the category that the candidates want; false if they disagree and none wants a string.
bool UnknownCategories(std::span<const Oid> actual, const std::vector<Candidate>& candidates, std::vector<SlotCategory>* slots) {
  slots->assign(actual.size(), {});
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != oid::kUnknown) continue;
    SlotCategory& slot = (*slots)[i];
    bool conflict = false;
    for (const Candidate& c : candidates) {
      const TypeInfo* t = FindType(c.args[i]);
      char category = t == nullptr ? 'U' : t->category;
      bool preferred = t != nullptr && t->preferred;
      if (slot.category == 0) {
        slot = {category, preferred};
      } else if (category == slot.category) {
        slot.preferred |= preferred;
      } else if (category == 'S') {
        slot = {category, preferred};
      } else {
        conflict = true;
      }
    }
    if (conflict && slot.category != 'S') return false;
  }
  return true;
}

// Narrows to one candidate if the rules can; otherwise several remain.
void Select(std::span<const Oid> actual, std::vector<Candidate>* candidates) {
  KeepBest(candidates, [&](const Candidate& c) {
    int n = 0;
    for (size_t i = 0; i < actual.size(); ++i) n += actual[i] != oid::kUnknown && c.args[i] == actual[i];
    return n;
  });
  if (candidates->size() == 1) return;
  KeepBest(candidates, [&](const Candidate& c) {
    int n = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
      n += actual[i] != oid::kUnknown && (c.args[i] == actual[i] || IsPreferred(Category(actual[i]), c.args[i]));
    }
    return n;
  });
  if (candidates->size() == 1) return;
  if (std::find(actual.begin(), actual.end(), oid::kUnknown) == actual.end()) return;

  std::vector<SlotCategory> slots;
  if (UnknownCategories(actual, *candidates, &slots)) {
    std::vector<Candidate> kept;
    for (const Candidate& c : *candidates) {
      bool keep = true;
      for (size_t i = 0; i < actual.size() && keep; ++i) {
        if (actual[i] != oid::kUnknown) continue;
        const TypeInfo* t = FindType(c.args[i]);
        keep = t != nullptr && t->category == slots[i].category && (!slots[i].preferred || t->preferred);
      }
      if (keep) kept.push_back(c);
    }
    if (!kept.empty()) *candidates = std::move(kept);
    if (candidates->size() == 1) return;
  }

  Oid known = 0;
  for (Oid t : actual) {
    if (t == oid::kUnknown) continue;
    if (known != 0 && known != t) return;
    known = t;
  }
  if (known == 0) return;
  std::vector<Oid> assumed(actual.size(), known);
  const Candidate* only = nullptr;
  for (const Candidate& c : *candidates) {
    if (!ArgumentsMatch(assumed, c)) continue;
    if (only != nullptr) return;
    only = &c;
  }
  if (only != nullptr) *candidates = {Candidate(*only)};
}

absl::StatusOr<ResolvedCall> Finish(const Candidate& c, std::span<const Oid> actual) {
  ResolvedCall call;
  call.function = c.function;
  call.variadic_index = c.variadic_index;
  call.defaults_used = c.defaults_used;
  ASSIGN_OR_RETURN(Polymorphism p, Bind(actual, c.args));
  for (size_t i = 0; i < c.args.size(); ++i) {
    Oid declared = c.args[i];
    if (declared == oid::kAny) {
      call.arg_types.push_back(actual[i]);  // whatever it is, even unknown
      continue;
    }
    ASSIGN_OR_RETURN(Oid type, Substitute(p, declared));
    call.arg_types.push_back(type);
  }
  if (c.variadic_index >= 0) call.variadic_element = call.arg_types[static_cast<size_t>(c.variadic_index)];
  Oid result = c.op != nullptr ? c.op->result : c.function->result;
  if (IsPolymorphic(result)) {
    // count-like functions of anyelement need it resolved; others do not care.
    ASSIGN_OR_RETURN(result, Substitute(p, result));
  }
  call.result = result;
  for (Oid t : c.function->out_types) {
    ASSIGN_OR_RETURN(Oid type, Substitute(p, t));
    call.out_types.push_back(type);
  }
  return call;
}

std::string Signature(std::string_view name, std::span<const Oid> args) {
  std::string out = StrCat(name, "(");
  for (size_t i = 0; i < args.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", FormatType(args[i]));
  out.push_back(')');
  return out;
}

std::vector<Candidate> FunctionCandidates(std::string_view name, size_t given, bool variadic_call) {
  std::vector<Candidate> out;
  for (const FunctionInfo& f : FunctionsNamed(name)) {
    size_t declared = f.args.size();
    Candidate c;
    c.function = &f;
    if (f.variadic != 0 && !variadic_call && given >= declared) {
      c.args.assign(f.args.begin(), f.args.end() - 1);
      c.args.resize(given, f.variadic);
      if (f.variadic != oid::kAny) c.variadic_index = static_cast<int>(declared) - 1;
    } else if (given == declared && (f.variadic == 0 || variadic_call)) {
      c.args.assign(f.args.begin(), f.args.end());
    } else if (given < declared && given + f.defaults >= declared && f.variadic == 0) {
      c.args.assign(f.args.begin(), f.args.begin() + static_cast<std::ptrdiff_t>(given));
      c.defaults_used = static_cast<int>(declared - given);
    } else {
      continue;
    }
    out.push_back(std::move(c));
  }
  return out;
}

// A function of one argument that is named like a type is a cast, if the type can be had from it without I/O tricks.
bool IsCastNotation(std::string_view name, std::span<const Oid> args, Oid* target) {
  if (args.size() != 1) return false;
  const TypeInfo* type = FindTypeByTypname(name);
  if (type == nullptr || type->typtype == 'p') return false;
  *target = type->oid;
  if (args[0] == oid::kUnknown) return true;
  auto path = FindCast(args[0], type->oid, CastContext::kExplicit);
  if (!path) return false;
  if (path->method == CastMethod::kInOut) return !(args[0] == oid::kRecord && type->category == 'S');
  return path->method == CastMethod::kSame || path->method == CastMethod::kFunction;
}

}  // namespace

absl::StatusOr<ResolvedCall> ResolveFunction(std::string_view name, std::span<const Oid> args, bool variadic_call) {
  std::vector<Candidate> candidates = FunctionCandidates(name, args.size(), variadic_call);
  for (const Candidate& c : candidates) {
    if (c.variadic_index < 0 && c.defaults_used == 0 && std::equal(c.args.begin(), c.args.end(), args.begin(), args.end())) {
      return Finish(c, args);
    }
  }
  Oid cast_target;
  if (IsCastNotation(name, args, &cast_target)) {
    ResolvedCall call;
    call.is_cast = true;
    call.arg_types = {args[0]};
    call.result = cast_target;
    return call;
  }
  std::erase_if(candidates, [&](const Candidate& c) { return !ArgumentsMatch(args, c); });
  if (candidates.size() > 1) Select(args, &candidates);
  if (candidates.empty()) {
    return PgErrorBuilder(sqlstate::kUndefinedFunction, StrCat("function ", Signature(name, args), " does not exist"))
        .Hint("No function matches the given name and argument types. You might need to add explicit type casts.")
        .Build();
  }
  if (candidates.size() > 1) {
    // Of functions that take the same, one without VARIADIC or defaults goes first.
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::pair(a.variadic_index >= 0, a.defaults_used) < std::pair(b.variadic_index >= 0, b.defaults_used);
    });
    const Candidate &a = candidates[0], &b = candidates[1];
    bool better = a.args == b.args && std::pair(a.variadic_index >= 0, a.defaults_used) != std::pair(b.variadic_index >= 0, b.defaults_used);
    if (!better) {
      return PgErrorBuilder(sqlstate::kAmbiguousFunction, StrCat("function ", Signature(name, args), " is not unique"))
          .Hint("Could not choose a best candidate function. You might need to add explicit type casts.")
          .Build();
    }
  }
  return Finish(candidates[0], args);
}

absl::StatusOr<ResolvedOperator> ResolveOperator(std::string_view name, Oid left, Oid right) {
  bool prefix = left == kInvalidOid;
  std::vector<Oid> args;
  if (!prefix) args.push_back(left);
  args.push_back(right);
  auto found = [&](const OperatorInfo& op, std::vector<Oid> declared) -> absl::StatusOr<ResolvedOperator> {
    Candidate c;
    c.function = op.function;
    c.op = &op;
    c.args = std::move(declared);
    ResolvedOperator result;
    result.op = &op;
    ASSIGN_OR_RETURN(result.call, Finish(c, args));
    return result;
  };
  auto declared_of = [&](const OperatorInfo& op) {
    return prefix ? std::vector<Oid>{op.right} : std::vector<Oid>{op.left, op.right};
  };
  // An untyped literal is first taken for the other side's type.
  Oid exact_left = left, exact_right = right;
  if (!prefix && exact_left == oid::kUnknown) exact_left = exact_right;
  else if (!prefix && exact_right == oid::kUnknown) exact_right = exact_left;
  if (exact_right != oid::kUnknown) {
    if (const OperatorInfo* op = FindOperatorExact(name, exact_left, exact_right)) return found(*op, declared_of(*op));
  }
  std::vector<Candidate> candidates;
  for (const OperatorInfo& op : OperatorsNamed(name)) {
    if ((op.left == kInvalidOid) != prefix) continue;
    Candidate c;
    c.function = op.function;
    c.op = &op;
    c.args = declared_of(op);
    if (ArgumentsMatch(args, c)) candidates.push_back(std::move(c));
  }
  if (candidates.size() > 1) Select(args, &candidates);
  if (candidates.size() == 1) return found(*candidates[0].op, candidates[0].args);
  std::string text = prefix ? StrCat(name, " ", FormatType(right)) : StrCat(FormatType(left), " ", name, " ", FormatType(right));
  if (candidates.empty()) {
    return PgErrorBuilder(sqlstate::kUndefinedFunction, StrCat("operator does not exist: ", text))
        .Hint(prefix ? "No operator matches the given name and argument type. You might need to add an explicit type cast."
                     : "No operator matches the given name and argument types. You might need to add explicit type casts.")
        .Build();
  }
  return PgErrorBuilder(sqlstate::kAmbiguousFunction, StrCat("operator is not unique: ", text))
      .Hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
      .Build();
}

absl::StatusOr<Oid> CommonType(std::span<const Oid> types, std::string_view what) {
  if (types.empty()) return oid::kText;
  Oid common = types[0];
  if (common != oid::kUnknown && std::all_of(types.begin(), types.end(), [&](Oid t) { return t == common; })) return common;
  for (Oid t : types.subspan(1)) {
    if (t == oid::kUnknown || t == common) continue;
    if (common == oid::kUnknown) {
      common = t;
    } else if (Category(t) != Category(common)) {
      return PgError(sqlstate::kDatatypeMismatch,
                     StrCat(what, " types ", FormatType(common), " and ", FormatType(t), " cannot be matched"));
    } else if (!IsPreferred(Category(common), common) && CanCoerce(common, t, CastContext::kImplicit) &&
               !CanCoerce(t, common, CastContext::kImplicit)) {
      common = t;
    }
  }
  return common == oid::kUnknown ? oid::kText : common;
}

namespace {

absl::StatusOr<Oid> CommonTypeOf(std::span<const Oid> types) { return CommonType(types, "anycompatible"); }

}  // namespace

}  // namespace insula::sql
