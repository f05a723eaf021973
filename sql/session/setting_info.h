// What is known of every configuration parameter: name, type, default, bounds, who may change it.
//
// The table has PostgreSQL 15's parameters that clients, drivers, tools and scripts set or read. Most steer something that
// exists here; some only take the values that PostgreSQL takes, because what they tune (buffers, background writers, the
// planner's methods) has no counterpart. `effect` says which.
// Thread safety: the table is constant.
#ifndef INSULA_SQL_SESSION_SETTING_INFO_H_
#define INSULA_SQL_SESSION_SETTING_INFO_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace insula::sql {

enum class SettingType : uint8_t { kBool, kInt, kReal, kString, kEnum };

// Who may change it, and when; PostgreSQL's contexts.
enum class SettingContext : uint8_t { kInternal, kPostmaster, kSighup, kBackend, kSuperuser, kUser };

// What numbers without a unit mean.
enum class SettingUnit : uint8_t { kNone, kBytes, kKilobytes, kBlocks, kMegabytes, kMilliseconds, kSeconds, kMinutes };

// Does changing it change what this server does?
enum class SettingEffect : uint8_t { kYes, kAccepted };

struct SettingInfo {
  std::string_view name;  // as SHOW ALL prints it
  SettingType type = SettingType::kString;
  SettingContext context = SettingContext::kUser;
  std::string_view default_value = {};  // canonical: numbers in base units
  SettingUnit unit = SettingUnit::kNone;
  double min = 0, max = 0;       // numbers
  std::string_view choices = {};   // enums: "a,b,c"; after '|' those that are taken but stand for another: "yes=on"
  bool report = false;           // told to the client by ParameterStatus
  bool list = false;             // takes several values, joined by ", "
  bool quote_list = false;       // and each is an identifier
  SettingEffect effect = SettingEffect::kAccepted;
  std::string_view category = {};
  std::string_view description = {};
};

std::span<const SettingInfo> AllSettings();  // sorted by name, ignoring case
// By name, ignoring case; nullptr if there is none.
const SettingInfo* FindSetting(std::string_view name);

// Text as a user gives it → canonical value. 22023, worded as PostgreSQL words it.
absl::StatusOr<std::string> ParseSettingValue(const SettingInfo& info, std::string_view text);
// Canonical value → what SHOW prints: "4MB", "on".
std::string ShowSettingValue(const SettingInfo& info, std::string_view canonical);
// The unit as pg_settings prints it: "kB", "8kB", "ms"; "" for none.
std::string_view SettingUnitName(SettingUnit unit);

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_SETTING_INFO_H_
