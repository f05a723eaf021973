#include "sql/types/type.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/type_table.h"

namespace insula::sql {
namespace {

// OIDs below this are indexed directly.
constexpr size_t kDirect = 6000;

struct Index {
  std::vector<const TypeInfo*> by_oid;
  std::map<Oid, const TypeInfo*> rest;
  std::map<std::string_view, const TypeInfo*> by_name;
};

const Index& TypeIndex() {
  static const Index* const index = [] {
    auto* built = new Index;
    built->by_oid.resize(kDirect, nullptr);
    for (const TypeInfo& t : internal::TypeTable()) {
      if (t.oid < kDirect) {
        built->by_oid[t.oid] = &t;
      } else {
        built->rest[t.oid] = &t;
      }
      built->by_name[t.typname] = &t;
    }
    return built;
  }();
  return *index;
}

// Names that SQL's grammar knows and pg_type does not.
struct Alias {
  std::string_view name;
  Oid oid;
};
constexpr Alias kAliases[] = {
    {"bigint", oid::kInt8},
    {"bit varying", oid::kVarbit},
    {"boolean", oid::kBool},
    {"char varying", oid::kVarchar},
    {"character", oid::kBpchar},
    {"character varying", oid::kVarchar},
    {"dec", oid::kNumeric},
    {"decimal", oid::kNumeric},
    {"double precision", oid::kFloat8},
    {"float", oid::kFloat8},
    {"int", oid::kInt4},
    {"integer", oid::kInt4},
    {"national char", oid::kBpchar},
    {"national char varying", oid::kVarchar},
    {"national character", oid::kBpchar},
    {"national character varying", oid::kVarchar},
    {"nchar", oid::kBpchar},
    {"nchar varying", oid::kVarchar},
    {"real", oid::kFloat4},
    {"smallint", oid::kInt2},
    {"time with time zone", oid::kTimetz},
    {"time without time zone", oid::kTime},
    {"timestamp with time zone", oid::kTimestamptz},
    {"timestamp without time zone", oid::kTimestamp},
};

absl::Status NoSuchType(std::string_view name) {
  return PgError(sqlstate::kUndefinedObject, StrCat("type \"", name, "\" does not exist"));
}

absl::StatusOr<int32_t> PrecisionIn(std::string_view what, std::string_view suffix, int32_t p) {
  if (p < 0) {
    return PgError(sqlstate::kInvalidParameterValue, StrCat(what, "(", p, ")", suffix, " precision must not be negative"));
  }
  return std::min(p, 6);
}

// The fields an interval's typmod may name, as bit masks of DateTime token numbers.
constexpr int32_t kYear = 1 << 2, kMonth = 1 << 1, kDay = 1 << 3, kHour = 1 << 10, kMinute = 1 << 11, kSecond = 1 << 12;
constexpr int32_t kFullRange = 0x7FFF, kFullPrecision = 0xFFFF;

std::string_view IntervalRangeName(int32_t range) {
  switch (range) {
    case kYear: return " year";
    case kMonth: return " month";
    case kDay: return " day";
    case kHour: return " hour";
    case kMinute: return " minute";
    case kSecond: return " second";
    case kYear | kMonth: return " year to month";
    case kDay | kHour: return " day to hour";
    case kDay | kHour | kMinute: return " day to minute";
    case kDay | kHour | kMinute | kSecond: return " day to second";
    case kHour | kMinute: return " hour to minute";
    case kHour | kMinute | kSecond: return " hour to second";
    case kMinute | kSecond: return " minute to second";
    default: return "";
  }
}

std::string TypmodOut(Oid type, int32_t typmod) {
  switch (type) {
    case oid::kBpchar:
    case oid::kVarchar: return typmod > 4 ? StrCat("(", typmod - 4, ")") : "";
    case oid::kBit:
    case oid::kVarbit: return StrCat("(", typmod, ")");
    case oid::kNumeric: return StrCat("(", NumericPrecisionOf(typmod), ",", NumericScaleOf(typmod), ")");
    case oid::kInterval: {
      int32_t range = (typmod >> 16) & 0x7FFF, precision = typmod & 0xFFFF;
      std::string out(IntervalRangeName(range));
      if (precision != kFullPrecision) StrAppend(&out, "(", precision, ")");
      return out;
    }
    default: return StrCat("(", typmod, ")");
  }
}

std::string FormatBase(const TypeInfo& t, bool typmod_given, int32_t typmod) {
  if (!typmod_given) return std::string(t.name);
  if (typmod < 0) return t.oid == oid::kBpchar ? "bpchar" : std::string(t.name);
  std::string mod = TypmodOut(t.oid, typmod);
  switch (t.oid) {
    case oid::kTime: return StrCat("time", mod, " without time zone");
    case oid::kTimetz: return StrCat("time", mod, " with time zone");
    case oid::kTimestamp: return StrCat("timestamp", mod, " without time zone");
    case oid::kTimestamptz: return StrCat("timestamp", mod, " with time zone");
    default: return StrCat(t.name, mod);
  }
}

std::string FormatAny(Oid oid, bool typmod_given, int32_t typmod) {
  const TypeInfo* t = FindType(oid);
  if (t == nullptr) return oid == kInvalidOid ? "-" : "???";
  if (t->true_array && t->storage != 'p') {
    // An array's typmod is its element's.
    return FormatBase(GetType(t->element_oid), typmod_given, typmod) + "[]";
  }
  return FormatBase(*t, typmod_given, typmod);
}

// Splits a type's text into words, punctuation and numbers, for ParseTypeName.
class TypeNameParser {
 public:
  explicit TypeNameParser(std::string_view text) : text_(text), rest_(text) {}

  absl::StatusOr<SqlType> Parse() {
    Skip();
    std::string name;
    bool quoted = false;
    RETURN_IF_ERROR(Word(&name, &quoted));
    if (Eat('.')) {
      if (name != "pg_catalog") return NoSuchType(text_);
      RETURN_IF_ERROR(Word(&name, &quoted));
    }
    std::vector<int32_t> mods;
    if (!quoted) {
      RETURN_IF_ERROR(MoreWords(&name, &mods));
    }
    if (mods.empty() && Eat('(')) RETURN_IF_ERROR(Modifiers(&mods));
    bool array = false;
    while (Eat('[')) {
      Digits();
      if (!Eat(']')) return Syntax();
      array = true;
    }
    if (!rest_.empty()) return Syntax();
    return Finish(name, quoted, mods, array);
  }

 private:
  absl::Status Syntax() const {
    return PgError(sqlstate::kSyntaxError, StrCat("invalid type name \"", text_, "\""));
  }
  void Skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || (rest_[0] >= '\t' && rest_[0] <= '\r'))) rest_.remove_prefix(1);
  }
  bool Eat(char c) {
    Skip();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    Skip();
    return true;
  }
  std::string Digits() {
    size_t n = 0;
    while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9') ++n;
    std::string out(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return out;
  }
  static bool IsWordByte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || (c & 0x80);
  }
  absl::Status Word(std::string* out, bool* quoted) {
    out->clear();
    if (!rest_.empty() && rest_[0] == '"') {
      *quoted = true;
      rest_.remove_prefix(1);
      while (true) {
        if (rest_.empty()) return Syntax();
        char c = rest_[0];
        rest_.remove_prefix(1);
        if (c != '"') {
          out->push_back(c);
        } else if (!rest_.empty() && rest_[0] == '"') {
          out->push_back('"');
          rest_.remove_prefix(1);
        } else {
          break;
        }
      }
      Skip();
      return absl::OkStatus();
    }
    *quoted = false;
    size_t n = 0;
    while (n < rest_.size() && IsWordByte(rest_[n])) ++n;
    if (n == 0) return Syntax();
    *out = AsciiLower(rest_.substr(0, n));
    rest_.remove_prefix(n);
    Skip();
    return absl::OkStatus();
  }
  // "character varying", "timestamp (3) with time zone", "double precision".
  absl::Status MoreWords(std::string* name, std::vector<int32_t>* mods) {
    while (!rest_.empty() && (IsWordByte(rest_[0]) || (rest_[0] == '(' && (*name == "timestamp" || *name == "time")))) {
      if (Eat('(')) {
        RETURN_IF_ERROR(Modifiers(mods));
        if (rest_.empty() || !IsWordByte(rest_[0])) return absl::OkStatus();
        continue;
      }
      std::string word;
      bool quoted;
      RETURN_IF_ERROR(Word(&word, &quoted));
      StrAppend(name, " ", word);
    }
    return absl::OkStatus();
  }
  absl::Status Modifiers(std::vector<int32_t>* mods) {
    do {
      bool negative = Eat('-');
      std::string digits = Digits();
      int32_t v = 0;
      if (digits.empty() || std::from_chars(digits.data(), digits.data() + digits.size(), v).ec != std::errc()) return Syntax();
      mods->push_back(negative ? -v : v);
    } while (Eat(','));
    return Eat(')') ? absl::OkStatus() : Syntax();
  }
  absl::StatusOr<SqlType> Finish(const std::string& name, bool quoted, std::vector<int32_t> mods, bool array) {
    SqlType type;
    if (quoted) {
      const TypeInfo* t = FindTypeByTypname(name);
      if (t == nullptr) return NoSuchType(name);
      type.oid = t->oid;
      if (!mods.empty()) {
        ASSIGN_OR_RETURN(type.typmod, TypmodIn(*t, mods));
      }
    } else if (name == "float" && mods.size() == 1) {
      if (mods[0] < 1) return PgError(sqlstate::kInvalidParameterValue, "precision for type float must be at least 1 bit");
      if (mods[0] > 53) return PgError(sqlstate::kInvalidParameterValue, "precision for type float must be less than 54 bits");
      type.oid = mods[0] <= 24 ? oid::kFloat4 : oid::kFloat8;
    } else {
      bool is_char = name == "char" || name == "character" || name == "nchar" || name == "national char" ||
                     name == "national character";
      if ((is_char || name == "bit") && mods.empty()) mods.push_back(1);
      if (name == "interval" && mods.size() == 1) mods.insert(mods.begin(), kFullRange);  // only the precision was given
      ASSIGN_OR_RETURN(type, TypeByName(is_char ? "character" : name, mods));
    }
    if (!array) return type;
    Oid array_oid = ArrayTypeOf(type.oid);
    if (array_oid == kInvalidOid) return NoSuchType(StrCat(FormatType(type.oid), "[]"));
    return SqlType{array_oid, type.typmod};
  }

  std::string_view text_, rest_;
};

}  // namespace

std::span<const TypeInfo> AllTypes() { return internal::TypeTable(); }

const TypeInfo* FindType(Oid oid) {
  const Index& index = TypeIndex();
  if (oid < kDirect) return index.by_oid[oid];
  auto it = index.rest.find(oid);
  return it == index.rest.end() ? nullptr : it->second;
}

const TypeInfo& GetType(Oid oid) {
  const TypeInfo* t = FindType(oid);
  CHECK(t != nullptr) << "type " << oid << " is not built in";
  return *t;
}

const TypeInfo* FindTypeByTypname(std::string_view typname) {
  const auto& names = TypeIndex().by_name;
  auto it = names.find(typname);
  return it == names.end() ? nullptr : it->second;
}

absl::StatusOr<int32_t> TypmodIn(const TypeInfo& type, std::span<const int32_t> mods) {
  if (mods.empty()) return -1;
  Oid base = type.true_array ? type.element_oid : type.oid;
  auto invalid = [] { return PgError(sqlstate::kInvalidParameterValue, "invalid type modifier"); };
  switch (base) {
    case oid::kVarchar:
    case oid::kBpchar: {
      if (mods.size() != 1) return invalid();
      std::string_view name = base == oid::kVarchar ? "varchar" : "char";
      if (mods[0] < 1) return PgError(sqlstate::kInvalidParameterValue, StrCat("length for type ", name, " must be at least 1"));
      if (mods[0] > 10485760) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("length for type ", name, " cannot exceed 10485760"));
      }
      return CharTypmod(mods[0]);
    }
    case oid::kBit:
    case oid::kVarbit: {
      if (mods.size() != 1) return invalid();
      std::string_view name = base == oid::kBit ? "bit" : "varbit";
      if (mods[0] < 1) return PgError(sqlstate::kInvalidParameterValue, StrCat("length for type ", name, " must be at least 1"));
      if (mods[0] > 83886080) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("length for type ", name, " cannot exceed 83886080"));
      }
      return mods[0];
    }
    case oid::kNumeric: {
      if (mods.size() > 2) return PgError(sqlstate::kInvalidParameterValue, "invalid NUMERIC type modifier");
      if (mods[0] < 1 || mods[0] > 1000) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("NUMERIC precision ", mods[0], " must be between 1 and 1000"));
      }
      int32_t scale = mods.size() == 2 ? mods[1] : 0;
      if (scale < -1000 || scale > 1000) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("NUMERIC scale ", scale, " must be between -1000 and 1000"));
      }
      return NumericTypmod(mods[0], scale);
    }
    case oid::kTime:
      if (mods.size() != 1) return invalid();
      return PrecisionIn("TIME", "", mods[0]);
    case oid::kTimetz:
      if (mods.size() != 1) return invalid();
      return PrecisionIn("TIME", " WITH TIME ZONE", mods[0]);
    case oid::kTimestamp:
      if (mods.size() != 1) return invalid();
      return PrecisionIn("TIMESTAMP", "", mods[0]);
    case oid::kTimestamptz:
      if (mods.size() != 1) return invalid();
      return PrecisionIn("TIMESTAMP", " WITH TIME ZONE", mods[0]);
    case oid::kInterval: {
      if (mods.size() > 2) return PgError(sqlstate::kInvalidParameterValue, "invalid INTERVAL type modifier");
      if (mods[0] != kFullRange && IntervalRangeName(mods[0]).empty()) {
        return PgError(sqlstate::kInvalidParameterValue, "invalid INTERVAL type modifier");
      }
      if (mods.size() == 1) return mods[0] == kFullRange ? -1 : (mods[0] << 16) | kFullPrecision;
      if (mods[1] < 0) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("INTERVAL(", mods[1], ") precision must not be negative"));
      }
      return (mods[0] << 16) | std::min(mods[1], 6);
    }
    default:
      return PgError(sqlstate::kSyntaxError, StrCat("type modifier is not allowed for type \"", type.typname, "\""));
  }
}

absl::StatusOr<SqlType> TypeByName(std::string_view name, std::span<const int32_t> modifiers) {
  std::string folded = AsciiLower(name);
  bool array = folded.size() > 2 && folded.ends_with("[]");
  if (array) folded.resize(folded.size() - 2);
  const TypeInfo* type = FindTypeByTypname(folded);
  if (type == nullptr) {
    for (const Alias& a : kAliases) {
      if (a.name == folded) type = &GetType(a.oid);
    }
  }
  if (type == nullptr) return NoSuchType(name);
  SqlType result{type->oid, -1};
  ASSIGN_OR_RETURN(result.typmod, TypmodIn(*type, modifiers));
  if (array) {
    if (type->array_oid == kInvalidOid) return NoSuchType(name);
    result.oid = type->array_oid;
  }
  return result;
}

absl::StatusOr<SqlType> ParseTypeName(std::string_view text) { return TypeNameParser(text).Parse(); }

std::string FormatType(Oid oid) { return FormatAny(oid, false, -1); }
std::string FormatType(Oid oid, int32_t typmod) { return FormatAny(oid, true, typmod); }

Oid ArrayTypeOf(Oid element) {
  const TypeInfo* t = FindType(element);
  return t == nullptr ? kInvalidOid : t->array_oid;
}

Oid ElementTypeOf(Oid array) {
  const TypeInfo* t = FindType(array);
  return t != nullptr && t->true_array ? t->element_oid : kInvalidOid;
}

bool IsRegType(Oid t) {
  switch (t) {
    case oid::kRegproc:
    case oid::kRegprocedure:
    case oid::kRegoper:
    case oid::kRegoperator:
    case oid::kRegclass:
    case oid::kRegtype:
    case oid::kRegrole:
    case oid::kRegnamespace:
    case oid::kRegcollation:
    case oid::kRegconfig:
    case oid::kRegdictionary: return true;
    default: return false;
  }
}

}  // namespace insula::sql
