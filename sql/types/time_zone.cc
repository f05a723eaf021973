#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <memory>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/types/datetime.h"
#include "sql/types/datetime_names.h"

namespace insula::sql {
namespace {

using Seconds = cctz::time_point<cctz::seconds>;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }

class FixedZone final : public TimeZone {
 public:
  FixedZone(std::string name, std::string abbreviation, int32_t offset_s)
      : name_(std::move(name)), local_{offset_s, false, std::move(abbreviation)} {}
  const std::string& name() const override { return name_; }
  Local At(int64_t) const override { return local_; }
  int32_t OffsetForLocal(int64_t) const override { return local_.offset_s; }

 private:
  std::string name_;
  Local local_;
};

class IanaZone final : public TimeZone {
 public:
  IanaZone(std::string name, cctz::time_zone zone) : name_(std::move(name)), zone_(zone) {}
  const std::string& name() const override { return name_; }
  Local At(int64_t timestamp_us) const override {
    int64_t unix_s = FloorDiv(timestamp_us, kUsPerSecond) + kPostgresEpochDays * 86400;
    auto found = zone_.lookup(Seconds(cctz::seconds(unix_s)));
    return {static_cast<int32_t>(found.offset), found.is_dst, found.abbr};
  }
  int32_t OffsetForLocal(int64_t local_us) const override {
    int64_t local_s = FloorDiv(local_us, kUsPerSecond) + kPostgresEpochDays * 86400;
    cctz::civil_second civil = cctz::civil_second(1970, 1, 1, 0, 0, 0) + local_s;
    auto found = zone_.lookup(civil);
    // In a gap clocks went by the offset before it; in a fold we take the later reading.
    Seconds instant = found.kind == cctz::time_zone::civil_lookup::REPEATED ? found.post : found.pre;
    return static_cast<int32_t>(local_s - instant.time_since_epoch().count());
  }

 private:
  std::string name_;
  cctz::time_zone zone_;
};

// Zones by the name they were asked by; also remembers names that do not exist.
std::map<std::string, std::unique_ptr<TimeZone>, std::less<>>& Known() {
  static auto* known = new std::map<std::string, std::unique_ptr<TimeZone>, std::less<>>;
  return *known;
}
constexpr size_t kMaxKnown = 4096;

bool IsSafeName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name[0] == '/' || name.find("..") != std::string_view::npos) return false;
  if (name.starts_with("Fixed/") || name == "localtime" || name.starts_with("posix")) return false;
  for (char c : name) {
    bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/' || c == '+' ||
              c == '-';
    if (!ok) return false;
  }
  return true;
}

// "america/new_york" → "America/New_York": how nearly all IANA names are written.
std::string TitleCase(std::string_view name) {
  std::string out = AsciiLower(name);
  bool start = true;
  for (char& c : out) {
    if (start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    start = c == '/' || c == '_' || c == '-';
  }
  return out;
}

std::string UpperCase(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = (c >= 'a' && c <= 'z') ? static_cast<char>(c - 32) : c;
  return out;
}

std::unique_ptr<TimeZone> LoadIana(std::string_view name) {
  if (!IsSafeName(name)) return nullptr;
  // US/Pacific, Etc/GMT+5
  const size_t slash = std::min(name.find('/'), name.size());
  const std::string upper_first = UpperCase(name.substr(0, slash)) + TitleCase(name.substr(slash));
  const std::string upper_rest = TitleCase(name.substr(0, slash)) + UpperCase(name.substr(slash));
  for (const std::string& spelling : {std::string(name), TitleCase(name), UpperCase(name), upper_first, upper_rest}) {
    cctz::time_zone zone;
    if (cctz::load_time_zone(spelling, &zone)) return std::make_unique<IanaZone>(spelling, zone);
  }
  return nullptr;
}

// [+-]h[h][:mm[:ss]] in full → seconds; false if it is something else.
bool ParseOffset(std::string_view s, int32_t* out) {
  bool negative = false;
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  int32_t parts[3] = {0, 0, 0};
  for (int i = 0; i < 3; ++i) {
    auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), parts[i]);
    if (error != std::errc() || parts[i] < 0) return false;
    s.remove_prefix(end - s.data());
    if (s.empty()) break;
    if (s[0] != ':' || i == 2) return false;
    s.remove_prefix(1);
  }
  if (parts[0] > 167 || parts[1] > 59 || parts[2] > 59) return false;
  *out = parts[0] * 3600 + parts[1] * 60 + parts[2];
  if (negative) *out = -*out;
  return true;
}

// POSIX: a name (letters, or anything in <>) and an offset WEST of Greenwich; without daylight saving rules.
std::unique_ptr<TimeZone> ParsePosix(std::string_view name) {
  std::string_view rest = name;
  std::string abbreviation;
  if (rest.starts_with("<")) {
    size_t end = rest.find('>');
    if (end == std::string_view::npos) return nullptr;
    abbreviation = std::string(rest.substr(1, end - 1));
    rest.remove_prefix(end + 1);
  } else {
    size_t n = 0;
    while (n < rest.size() && ((rest[n] >= 'a' && rest[n] <= 'z') || (rest[n] >= 'A' && rest[n] <= 'Z'))) ++n;
    if (n < 3) return nullptr;
    abbreviation = UpperCase(rest.substr(0, n));
    rest.remove_prefix(n);
  }
  int32_t west;
  if (rest.empty() || !ParseOffset(rest, &west)) return nullptr;
  return std::make_unique<FixedZone>(std::string(name), abbreviation, -west);
}

std::unique_ptr<TimeZone> Load(std::string_view name) {
  std::string lower = AsciiLower(name);
  if (lower == "utc" || lower == "gmt" || lower == "uct" || lower == "zulu" || lower == "z") {
    return std::make_unique<FixedZone>(lower == "z" ? "UTC" : UpperCase(name), lower == "gmt" ? "GMT" : "UTC", 0);
  }
  if (auto zone = LoadIana(name)) return zone;
  int32_t hours = 0;
  auto [end, error] = std::from_chars(name.data() + (name.starts_with("+") ? 1 : 0), name.data() + name.size(), hours);
  if (error == std::errc() && end == name.data() + name.size() && hours >= -167 && hours <= 167) {
    const TimeZone* fixed = TimeZone::Fixed(hours * 3600);
    return std::make_unique<FixedZone>(fixed->name(), fixed->At(0).abbreviation, hours * 3600);
  }
  return ParsePosix(name);
}

}  // namespace

const TimeZone* TimeZone::Utc() {
  static const TimeZone* const utc = new FixedZone("UTC", "UTC", 0);
  return utc;
}

const TimeZone* TimeZone::Find(std::string_view name) {
  if (name == "UTC") return Utc();
  auto& known = Known();
  auto it = known.find(name);
  if (it != known.end()) return it->second.get();
  std::unique_ptr<TimeZone> zone = Load(name);
  // Names that do not exist are remembered only while there is room: a client can invent any number of them.
  if (zone == nullptr && known.size() >= kMaxKnown) return nullptr;
  return known.emplace(std::string(name), std::move(zone)).first->second.get();
}

const TimeZone* TimeZone::Fixed(int32_t offset_s) {
  int32_t a = offset_s < 0 ? -offset_s : offset_s;
  auto two = [](int32_t v) { return StrCat(v < 10 ? "0" : "", v); };
  std::string digits = two(a / 3600);
  if (a % 3600 != 0) StrAppend(&digits, ":", two(a / 60 % 60));
  if (a % 60 != 0) StrAppend(&digits, ":", two(a % 60));
  std::string abbreviation = StrCat(offset_s < 0 ? "-" : "+", digits);
  std::string name = StrCat("<", abbreviation, ">", offset_s < 0 ? "+" : "-", digits);
  auto& known = Known();
  auto it = known.find(name);
  if (it == known.end()) it = known.emplace(name, std::make_unique<FixedZone>(name, abbreviation, offset_s)).first;
  return it->second.get();
}

absl::StatusOr<const TimeZone*> TimeZoneByName(std::string_view name) {
  int32_t offset;
  if (internal::FindZoneAbbreviation(AsciiLower(name), &offset)) return TimeZone::Fixed(offset);
  // A bare offset has POSIX's sign here, west of Greenwich (SET TimeZone, and so Find, has ISO's).
  if (!name.empty() && !(name[0] >= 'a' && name[0] <= 'z') && !(name[0] >= 'A' && name[0] <= 'Z') && ParseOffset(name, &offset)) {
    return TimeZone::Fixed(-offset);
  }
  const TimeZone* zone = TimeZone::Find(name);
  if (zone == nullptr) {
    return PgError(sqlstate::kInvalidParameterValue, StrCat("time zone \"", name, "\" not recognized"));
  }
  return zone;
}

}  // namespace insula::sql
