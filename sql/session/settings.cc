#include "sql/session/settings.h"

#include <charconv>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status Unknown(std::string_view name) {
  return PgError(sqlstate::kUndefinedObject, StrCat("unrecognized configuration parameter \"", name, "\""));
}

absl::Status InvalidValue(const SettingInfo& info, std::string_view value) {
  return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid value for parameter \"", info.name, "\": \"", value, "\""));
}

// A name of a parameter that an application makes up: "myapp.user_id".
bool IsCustomName(std::string_view name) {
  size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return false;
  char last = '.';
  for (char c : name) {
    bool letter = std::isalpha(static_cast<unsigned char>(c)) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    bool inner = letter || std::isdigit(static_cast<unsigned char>(c)) || c == '$';
    if (last == '.' ? !letter : !(inner || c == '.')) return false;
    last = c;
  }
  return last != '.';
}

std::string_view TrimBlanks(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

int64_t ToInt(std::string_view s) {
  int64_t v = 0;
  std::from_chars(s.data(), s.data() + s.size(), v);
  return v;
}

struct DateFormat {
  DateStyle style = DateStyle::kIso;
  DateOrder order = DateOrder::kMdy;
};

std::string DateFormatText(const DateFormat& f) {
  constexpr std::string_view kStyles[] = {"ISO", "SQL", "Postgres", "German"};
  constexpr std::string_view kOrders[] = {"MDY", "DMY", "YMD"};
  return StrCat(kStyles[static_cast<int>(f.style)], ", ", kOrders[static_cast<int>(f.order)]);
}

// "ISO, DMY", in any order and case; what is not said stays as in `format`.
bool ParseDateFormat(std::string_view text, DateFormat* format) {
  bool have_style = false, have_order = false;
  for (std::string_view rest = text; !rest.empty();) {
    size_t comma = rest.find(',');
    std::string word = AsciiLower(TrimBlanks(rest.substr(0, comma)));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    auto style = [&](DateStyle s) {
      bool ok = !have_style || format->style == s;
      format->style = s;
      have_style = true;
      return ok;
    };
    auto order = [&](DateOrder o) {
      bool ok = !have_order || format->order == o;
      format->order = o;
      have_order = true;
      return ok;
    };
    bool ok = false;
    if (word == "iso") ok = style(DateStyle::kIso);
    else if (word == "sql") ok = style(DateStyle::kSql);
    else if (word.starts_with("postgres")) ok = style(DateStyle::kPostgres);
    else if (word == "german") ok = style(DateStyle::kGerman), format->order = have_order ? format->order : DateOrder::kDmy;
    else if (word == "ymd") ok = order(DateOrder::kYmd);
    else if (word == "dmy" || word.starts_with("euro")) ok = order(DateOrder::kDmy);
    else if (word == "mdy" || word == "us" || word.starts_with("noneuro")) ok = order(DateOrder::kMdy);
    else if (word == "default") *format = DateFormat(), ok = true;
    if (!ok) return false;
  }
  return true;
}

// UTF-8 under its names; SQL_ASCII passes bytes through. Others would need a conversion.
absl::StatusOr<std::string> CheckEncoding(const SettingInfo& info, std::string_view value) {
  std::string plain;
  for (char c : AsciiLower(value)) {
    if (std::isalnum(static_cast<unsigned char>(c))) plain.push_back(c);
  }
  if (plain == "utf8" || plain == "unicode") return std::string("UTF8");
  if (plain == "sqlascii") return std::string("SQL_ASCII");
  for (std::string_view known : {"latin", "iso8859", "win", "windows", "koi8", "euc", "sjis", "big5", "gb", "uhc", "johab", "mule", "shift", "abc", "tcvn", "vscii", "alt", "mskanji"}) {
    if (plain.starts_with(known)) return PgUnsupported(StrCat("client_encoding ", value));
  }
  return InvalidValue(info, value);
}

absl::StatusOr<std::string> CheckTimeZone(const SettingInfo& info, std::string_view value) {
  // INTERVAL '-08:00' HOUR TO MINUTE arrives as the interval's text.
  std::string_view name = TrimBlanks(value);
  const TimeZone* zone = TimeZone::Find(name);
  if (zone == nullptr) return InvalidValue(info, value);
  return zone->name();
}

IntervalStyle IntervalStyleByName(std::string_view name) {
  if (name == "postgres_verbose") return IntervalStyle::kPostgresVerbose;
  if (name == "sql_standard") return IntervalStyle::kSqlStandard;
  if (name == "iso_8601") return IntervalStyle::kIso8601;
  return IntervalStyle::kPostgres;
}

std::string QuoteListElement(std::string_view name) { return QuoteIdent(name); }

}  // namespace

int SeverityRank(std::string_view severity) {
  std::string s = AsciiLower(severity);
  constexpr std::string_view kOrder[] = {"debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"};
  if (s == "debug") return 3;
  if (s == "info") return 100;  // always sent
  for (int i = 0; i < 9; ++i) {
    if (s == kOrder[i]) return i;
  }
  return 100;
}

std::optional<kv::Isolation> IsolationByName(std::string_view name) {
  std::string s = AsciiLower(name);
  if (s == "read committed" || s == "read uncommitted") return kv::Isolation::kReadCommitted;
  if (s == "repeatable read") return kv::Isolation::kSnapshot;
  if (s == "serializable") return kv::Isolation::kSerializable;
  return std::nullopt;
}

std::string_view IsolationName(kv::Isolation isolation) {
  switch (isolation) {
    case kv::Isolation::kReadCommitted: return "read committed";
    case kv::Isolation::kSnapshot: return "repeatable read";
    case kv::Isolation::kSerializable: return "serializable";
  }
  return "serializable";
}

std::optional<std::vector<std::string>> SplitIdentifierList(std::string_view text) {
  std::vector<std::string> out;
  std::string_view rest = TrimBlanks(text);
  if (rest.empty()) return out;
  for (;;) {
    std::string name;
    if (rest.starts_with('"')) {
      size_t i = 1;
      for (;; ++i) {
        if (i >= rest.size()) return std::nullopt;
        if (rest[i] != '"') {
          name.push_back(rest[i]);
        } else if (i + 1 < rest.size() && rest[i + 1] == '"') {
          name.push_back(rest[i++]);
        } else {
          break;
        }
      }
      rest = TrimBlanks(rest.substr(i + 1));
      if (!rest.empty() && rest.front() != ',') return std::nullopt;
    } else {
      size_t comma = rest.find(',');
      std::string_view word = TrimBlanks(rest.substr(0, comma));
      if (word.empty() || word.find_first_of(" \t\n\"") != std::string_view::npos) return std::nullopt;
      name = AsciiLower(word);
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma);
    }
    out.push_back(std::move(name));
    if (rest.empty()) return out;
    rest = TrimBlanks(rest.substr(1));
    if (rest.empty()) return std::nullopt;
  }
}

Settings::Settings() : values_(std::make_shared<Values>()), persistent_(values_) {}

const std::string* Settings::Lookup(std::string_view lower_name) const {
  for (const Values* values : {&internal_, values_.get(), &startup_}) {
    auto it = values->find(lower_name);
    if (it != values->end()) return &it->second;
  }
  return nullptr;
}

std::string_view Settings::Get(std::string_view name) const {
  std::string lower = AsciiLower(name);
  if (const std::string* value = Lookup(lower)) return *value;
  const SettingInfo* info = FindSetting(lower);
  CHECK(info != nullptr) << "setting " << name;
  return info->default_value;
}

std::optional<std::string> Settings::Find(std::string_view name) const {
  std::string lower = AsciiLower(name);
  const SettingInfo* info = FindSetting(lower);
  if (info != nullptr) return ShowSettingValue(*info, Get(info->name));
  const std::string* value = Lookup(lower);
  return value == nullptr ? std::nullopt : std::optional<std::string>(*value);
}

absl::StatusOr<std::string> Settings::Show(std::string_view name) const {
  std::optional<std::string> value = Find(name);
  if (!value) return Unknown(name);
  return *std::move(value);
}

absl::StatusOr<std::string> Settings::Check(const SettingInfo& info, std::string_view value) const {
  ASSIGN_OR_RETURN(std::string canonical, ParseSettingValue(info, value));
  if (info.name == "client_encoding") return CheckEncoding(info, value);
  if (info.name == "TimeZone") return CheckTimeZone(info, value);
  if (info.name == "DateStyle") {
    DateFormat format;
    ParseDateFormat(Get("datestyle"), &format);
    if (!ParseDateFormat(value, &format)) return InvalidValue(info, value);
    return DateFormatText(format);
  }
  if (info.quote_list && !SplitIdentifierList(value)) {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat("invalid value for parameter \"", info.name, "\": \"", value, "\""))
        .Detail("List syntax is invalid.")
        .Build();
  }
  if (info.name == "standard_conforming_strings" && canonical == "off") return PgUnsupported("standard_conforming_strings = off");
  if (info.name == "password_encryption" && canonical == "md5") return PgUnsupported("password_encryption = md5");
  return canonical;
}

absl::Status Settings::Set(std::string_view name, std::string_view value, Source source, bool superuser) {
  const SettingInfo* info = FindSetting(name);
  if (info == nullptr) {
    if (!IsCustomName(name)) {
      if (name.find('.') == std::string_view::npos) return Unknown(name);
      return PgErrorBuilder("42602", StrCat("invalid configuration parameter name \"", name, "\""))
          .Detail("Custom parameter names must be two or more simple identifiers separated by dots.")
          .Build();
    }
    Store(AsciiLower(name), std::string(value), source);
    return absl::OkStatus();
  }
  switch (info->context) {
    case SettingContext::kInternal:
      return PgError("55P02", StrCat("parameter \"", info->name, "\" cannot be changed"));
    case SettingContext::kPostmaster:
      return PgError("55P02", StrCat("parameter \"", info->name, "\" cannot be changed without restarting the server"));
    case SettingContext::kSighup:
      return PgError("55P02", StrCat("parameter \"", info->name, "\" cannot be changed now"));
    case SettingContext::kBackend:
      if (source != Source::kStartup) {
        return PgError("55P02", StrCat("parameter \"", info->name, "\" cannot be set after connection start"));
      }
      break;
    case SettingContext::kSuperuser:
      if (!superuser) return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied to set parameter \"", info->name, "\""));
      break;
    case SettingContext::kUser:
      break;
  }
  ASSIGN_OR_RETURN(std::string canonical, Check(*info, value));
  Store(AsciiLower(info->name), std::move(canonical), source);
  return absl::OkStatus();
}

absl::Status Settings::SetList(std::string_view name, const std::vector<std::string>& values, Source source, bool superuser) {
  const SettingInfo* info = FindSetting(name);
  bool list = info != nullptr && info->list;
  if (values.size() != 1 && !list) return PgError(sqlstate::kInvalidParameterValue, StrCat("SET ", name, " takes only one argument"));
  if (list && info->quote_list) {
    std::vector<std::string> quoted;
    for (const std::string& value : values) quoted.push_back(QuoteListElement(value));
    return Set(name, StrJoin(quoted, ", "), source, superuser);
  }
  return Set(name, StrJoin(values, ", "), source, superuser);
}

absl::Status Settings::Reset(std::string_view name, Source source, bool superuser) {
  const SettingInfo* info = FindSetting(name);
  std::string lower = AsciiLower(info != nullptr ? info->name : name);
  if (info == nullptr && !IsCustomName(name)) return Unknown(name);
  if (info != nullptr && info->context < SettingContext::kBackend) {
    return PgError("55P02", StrCat("parameter \"", info->name, "\" cannot be changed"));
  }
  if (info != nullptr && info->context == SettingContext::kSuperuser && !superuser) {
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied to set parameter \"", info->name, "\""));
  }
  // A custom parameter that was set once stays known, empty, as in PostgreSQL.
  std::optional<std::string> value;
  if (info == nullptr && startup_.find(lower) == startup_.end()) value = "";
  Store(lower, value, source);
  return absl::OkStatus();
}

void Settings::ResetAll() {
  auto next = std::make_shared<Values>();
  // These follow the transaction and the session's identity, not RESET ALL.
  for (std::string_view kept : {"transaction_isolation", "transaction_read_only", "transaction_deferrable", "role", "session_authorization"}) {
    auto it = values_->find(kept);
    if (it != values_->end()) next->insert(*it);
  }
  values_ = persistent_ = std::move(next);
}

void Settings::SetInternal(std::string_view name, std::string_view value) {
  internal_[AsciiLower(name)] = value;
  // The maps compare by identity: a new one says that something changed.
  values_ = std::make_shared<Values>(*values_);
}

void Settings::Store(const std::string& name, std::optional<std::string> value, Source source) {
  if (source == Source::kStartup) {
    if (value) startup_[name] = *std::move(value);
    values_ = std::make_shared<Values>(*values_);
    return;
  }
  auto apply = [&](ValuesPtr* map) {
    auto next = std::make_shared<Values>(**map);
    if (value) {
      (*next)[name] = *value;
    } else {
      next->erase(name);
    }
    *map = std::move(next);
  };
  bool same = values_ == persistent_;
  apply(&values_);
  if (source == Source::kLocal) return;
  if (same) {
    persistent_ = values_;
  } else {
    apply(&persistent_);
  }
}

Settings::Mark Settings::Save() const { return std::make_shared<Snapshot>(Snapshot{values_, persistent_}); }
void Settings::RollbackTo(const Mark& mark) {
  values_ = mark->values;
  persistent_ = mark->persistent;
}
void Settings::Commit() { values_ = persistent_; }

const DerivedSettings& Settings::Current() const {
  if (derived_from_ == values_) return derived_;
  derived_from_ = values_;
  DerivedSettings d;
  if (const TimeZone* zone = TimeZone::Find(Get("timezone"))) d.io.time_zone = zone;
  DateFormat format;
  ParseDateFormat(Get("datestyle"), &format);
  d.io.date_style = format.style;
  d.io.date_order = format.order;
  d.io.interval_style = IntervalStyleByName(Get("intervalstyle"));
  d.io.extra_float_digits = static_cast<int>(ToInt(Get("extra_float_digits")));
  d.io.bytea_hex = Get("bytea_output") == "hex";
  d.io.array_nulls = Get("array_nulls") == "on";
  d.search_path = SplitIdentifierList(Get("search_path")).value_or(std::vector<std::string>());
  auto ms = [this](std::string_view name) { return Duration(std::chrono::milliseconds(ToInt(Get(name)))); };
  d.statement_timeout = ms("statement_timeout");
  d.lock_timeout = ms("lock_timeout");
  d.idle_in_transaction_timeout = ms("idle_in_transaction_session_timeout");
  d.idle_session_timeout = ms("idle_session_timeout");
  d.default_isolation = IsolationByName(Get("default_transaction_isolation")).value_or(kv::Isolation::kReadCommitted);
  d.default_read_only = Get("default_transaction_read_only") == "on";
  d.client_min_messages = SeverityRank(Get("client_min_messages"));
  d.work_mem_bytes = static_cast<size_t>(ToInt(Get("work_mem"))) << 10;
  for (std::string_view name : {"timezone", "datestyle", "intervalstyle", "search_path", "role", "session_authorization",
                                "extra_float_digits", "bytea_output", "array_nulls", "enable_hashjoin", "enable_nestloop", "enable_indexscan",
                                "enable_hashagg", "enable_sort"}) {
    StrAppend(&d.plan_key, Get(name), "\x1f");
  }
  derived_ = std::move(d);
  return derived_;
}

std::vector<std::pair<std::string, std::string>> Settings::NonDefault() const {
  Values merged = startup_;
  for (const auto& [name, value] : *persistent_) merged[name] = value;
  return {merged.begin(), merged.end()};
}

std::vector<std::pair<std::string_view, std::string>> Settings::TakeChangedReports() {
  std::vector<std::pair<std::string_view, std::string>> out;
  if (reported_values_ == values_) return out;
  reported_values_ = values_;
  for (const SettingInfo& info : AllSettings()) {
    if (!info.report) continue;
    std::string shown = ShowSettingValue(info, Get(info.name));
    auto [it, is_new] = reported_.try_emplace(info.name);
    if (!is_new && it->second == shown) continue;
    it->second = shown;
    out.emplace_back(info.name, std::move(shown));
  }
  return out;
}

}  // namespace insula::sql
