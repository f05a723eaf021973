#include "sql/session/setting_info.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status Invalid(const SettingInfo& info, std::string_view text, std::string_view hint = {}) {
  PgErrorBuilder error(sqlstate::kInvalidParameterValue, StrCat("invalid value for parameter \"", info.name, "\": \"", text, "\""));
  if (!hint.empty()) error.Hint(hint);
  return error.Build();
}

// on, off, true, false, yes, no, 1, 0 and unambiguous beginnings of the words.
std::optional<bool> BoolOf(std::string_view text) {
  std::string s = AsciiLower(text);
  auto begins = [&s](std::string_view word, size_t least) { return s.size() >= least && word.starts_with(s); };
  if (s.empty()) return std::nullopt;
  if (s == "1" || begins("true", 1) || begins("yes", 1) || s == "on") return true;
  if (s == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2)) return false;
  return std::nullopt;
}

struct UnitFactor {
  std::string_view name;
  double factor;  // in bytes, or in milliseconds
};
constexpr UnitFactor kMemoryUnits[] = {{"TB", 1099511627776.0}, {"GB", 1073741824.0}, {"MB", 1048576.0}, {"kB", 1024.0}, {"B", 1.0}};
constexpr UnitFactor kTimeUnits[] = {{"d", 86400000.0}, {"h", 3600000.0}, {"min", 60000.0}, {"s", 1000.0}, {"ms", 1.0}, {"us", 0.001}};

double BaseOf(SettingUnit unit) {
  switch (unit) {
    case SettingUnit::kKilobytes: return 1024;
    case SettingUnit::kBlocks: return 8192;
    case SettingUnit::kMegabytes: return 1048576;
    case SettingUnit::kSeconds: return 1000;
    case SettingUnit::kMinutes: return 60000;
    default: return 1;
  }
}
bool IsMemory(SettingUnit unit) {
  return unit == SettingUnit::kBytes || unit == SettingUnit::kKilobytes || unit == SettingUnit::kBlocks || unit == SettingUnit::kMegabytes;
}
std::span<const UnitFactor> UnitsOf(SettingUnit unit) {
  if (unit == SettingUnit::kNone) return {};
  return IsMemory(unit) ? std::span<const UnitFactor>(kMemoryUnits) : std::span<const UnitFactor>(kTimeUnits);
}

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t' || s.front() == '\n')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\n')) s.remove_suffix(1);
  return s;
}

// A number in base units, its unit applied.
absl::StatusOr<double> NumberOf(const SettingInfo& info, std::string_view text) {
  std::string_view s = Trim(text);
  double value = 0;
  const char* begin = s.data();
  const char* end = s.data() + s.size();
  std::from_chars_result parsed{begin, std::errc::invalid_argument};
  bool negative = s.starts_with("-");
  std::string_view digits = s.substr(negative || s.starts_with("+") ? 1 : 0);
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    int64_t whole = 0;
    parsed = std::from_chars(digits.data() + 2, end, whole, 16);
    value = static_cast<double>(negative ? -whole : whole);
  } else if (!digits.empty() && (std::isdigit(static_cast<unsigned char>(digits[0])) || digits[0] == '.')) {
    parsed = std::from_chars(digits.data(), end, value);
    if (negative) value = -value;
  }
  if (parsed.ec != std::errc()) return Invalid(info, text);
  std::string_view unit = Trim(std::string_view(parsed.ptr, end - parsed.ptr));
  if (unit.empty()) return value;
  for (const UnitFactor& known : UnitsOf(info.unit)) {
    if (known.name == unit) return value * known.factor / BaseOf(info.unit);
  }
  if (info.unit == SettingUnit::kNone) return Invalid(info, text);
  return Invalid(info, text,
                 IsMemory(info.unit) ? "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
                                     : "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".");
}

std::string NumberText(double v) { return v == std::floor(v) && std::abs(v) < 1e15 ? StrCat(static_cast<int64_t>(v)) : StrCat(v); }

absl::StatusOr<std::string> ParseNumber(const SettingInfo& info, std::string_view text) {
  ASSIGN_OR_RETURN(double value, NumberOf(info, text));
  bool integer = info.type == SettingType::kInt;
  if (integer) value = std::nearbyint(value);
  if (!(value >= info.min && value <= info.max)) {
    std::string unit(SettingUnitName(info.unit));
    if (!unit.empty()) unit.insert(0, " ");
    return PgError(sqlstate::kInvalidParameterValue,
                   StrCat(NumberText(value), unit, " is outside the valid range for parameter \"", info.name, "\" (", NumberText(info.min),
                          " .. ", NumberText(info.max), ")"));
  }
  return NumberText(value);
}

// "a,b|c=a" → visible choices, and what each taken word stands for.
absl::StatusOr<std::string> ParseEnum(const SettingInfo& info, std::string_view text) {
  std::string wanted = AsciiLower(text);
  std::string_view visible = info.choices.substr(0, info.choices.find('|'));
  std::string_view hidden = info.choices.size() > visible.size() ? info.choices.substr(visible.size() + 1) : std::string_view();
  std::vector<std::string_view> names;
  for (std::string_view rest = visible;;) {
    size_t comma = rest.find(',');
    names.push_back(rest.substr(0, comma));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  for (std::string_view name : names) {
    if (name == wanted) return std::string(name);
  }
  for (std::string_view rest = hidden; !rest.empty();) {
    size_t comma = rest.find(',');
    std::string_view pair = rest.substr(0, comma);
    size_t equals = pair.find('=');
    if (pair.substr(0, equals) == wanted) return std::string(pair.substr(equals + 1));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return Invalid(info, text, StrCat("Available values: ", StrJoin(names, ", "), "."));
}

}  // namespace

const SettingInfo* FindSetting(std::string_view name) {
  std::string wanted = AsciiLower(name);
  // Old names that PostgreSQL still takes.
  if (wanted == "time zone") wanted = "timezone";
  std::span<const SettingInfo> all = AllSettings();
  auto it = std::lower_bound(all.begin(), all.end(), wanted, [](const SettingInfo& s, const std::string& n) { return AsciiLower(s.name) < n; });
  return it != all.end() && AsciiLower(it->name) == wanted ? &*it : nullptr;
}

std::string_view SettingUnitName(SettingUnit unit) {
  switch (unit) {
    case SettingUnit::kNone: return "";
    case SettingUnit::kBytes: return "B";
    case SettingUnit::kKilobytes: return "kB";
    case SettingUnit::kBlocks: return "8kB";
    case SettingUnit::kMegabytes: return "MB";
    case SettingUnit::kMilliseconds: return "ms";
    case SettingUnit::kSeconds: return "s";
    case SettingUnit::kMinutes: return "min";
  }
  return "";
}

absl::StatusOr<std::string> ParseSettingValue(const SettingInfo& info, std::string_view text) {
  switch (info.type) {
    case SettingType::kBool: {
      std::optional<bool> value = BoolOf(text);
      if (!value) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("parameter \"", info.name, "\" requires a Boolean value"));
      }
      return std::string(*value ? "on" : "off");
    }
    case SettingType::kInt:
    case SettingType::kReal:
      return ParseNumber(info, text);
    case SettingType::kEnum:
      return ParseEnum(info, text);
    case SettingType::kString:
      return std::string(text);
  }
  return Invalid(info, text);
}

std::string ShowSettingValue(const SettingInfo& info, std::string_view canonical) {
  if (info.type != SettingType::kInt || info.unit == SettingUnit::kNone) return std::string(canonical);
  int64_t value = 0;
  std::from_chars(canonical.data(), canonical.data() + canonical.size(), value);
  if (value <= 0) return std::string(canonical);
  double total = static_cast<double>(value) * BaseOf(info.unit);
  for (const UnitFactor& unit : UnitsOf(info.unit)) {
    if (std::fmod(total, unit.factor) == 0) return StrCat(static_cast<int64_t>(total / unit.factor), unit.name);
  }
  return std::string(canonical);
}

}  // namespace insula::sql
