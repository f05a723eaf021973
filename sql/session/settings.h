// The configuration parameters of one session, with PostgreSQL's transactional behaviour.
//
//   SET        holds for the session from here on; undone if the transaction (or the part after a savepoint) rolls back
//   SET LOCAL  holds until the transaction ends
//
//   values      what holds now                  ┐ both immutable maps, shared with the savepoints that remember them,
//   persistent  what holds after COMMIT         ┘ so a savepoint costs two pointers
//
// A value given at the connection's start (by the client, the role or the database) is what RESET goes back to.
// What code asks often is derived once per change: Current().
// Thread safety: one session.
#ifndef INSULA_SQL_SESSION_SETTINGS_H_
#define INSULA_SQL_SESSION_SETTINGS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/time.h"
#include "kv/api/txn.h"
#include "sql/session/setting_info.h"
#include "sql/types/io.h"

namespace insula::sql {

// The session's settings as code uses them.
struct DerivedSettings {
  IoContext io;  // time zone, styles, digits; the rest is the statement's
  std::vector<std::string> search_path;  // as written; "$user" is not replaced
  Duration statement_timeout = Duration::zero();
  Duration lock_timeout = Duration::zero();
  Duration idle_in_transaction_timeout = Duration::zero();
  Duration idle_session_timeout = Duration::zero();
  kv::Isolation default_isolation = kv::Isolation::kReadCommitted;
  bool default_read_only = false;
  int client_min_messages = 0;  // rank of the least severity that is sent
  size_t work_mem_bytes = 0;
  // Equal for two settings under which every statement binds to the same plan.
  std::string plan_key;
};

// Rank of a severity for client_min_messages: "DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "ERROR".
int SeverityRank(std::string_view severity);
// "read committed" and the like; nullopt if it is none of them.
std::optional<kv::Isolation> IsolationByName(std::string_view name);
std::string_view IsolationName(kv::Isolation isolation);
// The elements of a list such as search_path: identifiers, perhaps quoted, separated by commas. nullopt if malformed.
std::optional<std::vector<std::string>> SplitIdentifierList(std::string_view text);

class Settings {
 public:
  enum class Source { kSession, kLocal, kStartup };

  Settings();

  // Sets a parameter. 42704 unknown, 22023 bad value, 55P02 not changeable, 42501 for superusers only. transaction_* and the
  // roles are the session's to handle before it comes here: they are stored without further checks.
  absl::Status Set(std::string_view name, std::string_view value, Source source, bool superuser);
  // A SET with several values: joined as PostgreSQL joins them. 22023 if the parameter takes one only.
  absl::Status SetList(std::string_view name, const std::vector<std::string>& values, Source source, bool superuser);
  // To the value from the connection's start.
  absl::Status Reset(std::string_view name, Source source, bool superuser);
  void ResetAll();
  // Values of parameters that nobody may SET: server_version, is_superuser, session_authorization, ….
  void SetInternal(std::string_view name, std::string_view value);

  // What SHOW prints. 42704 for an unknown name.
  absl::StatusOr<std::string> Show(std::string_view name) const;
  std::optional<std::string> Find(std::string_view name) const;  // the same, or nothing
  // The canonical value of a parameter that exists.
  std::string_view Get(std::string_view name) const;
  const DerivedSettings& Current() const;

  // Transactions and savepoints.
  struct Snapshot;
  using Mark = std::shared_ptr<const Snapshot>;
  Mark Save() const;
  void RollbackTo(const Mark& mark);
  void Commit();  // LOCAL values end

  // Every parameter that is not at its default, canonical, for tokens; built-in and custom.
  std::vector<std::pair<std::string, std::string>> NonDefault() const;
  // Reported parameters whose value changed since the last call (all of them at first), as SHOW prints them.
  std::vector<std::pair<std::string_view, std::string>> TakeChangedReports();
  bool MayHaveReports() const { return values_ != reported_values_; }

 private:
  using Values = std::map<std::string, std::string, std::less<>>;  // lower-case name → canonical; absent = startup or default
  using ValuesPtr = std::shared_ptr<const Values>;

  absl::StatusOr<std::string> Check(const SettingInfo& info, std::string_view value) const;
  void Store(const std::string& name, std::optional<std::string> value, Source source);
  const std::string* Lookup(std::string_view lower_name) const;

  ValuesPtr values_;
  ValuesPtr persistent_;
  Values startup_;
  Values internal_;
  ValuesPtr reported_values_;
  std::map<std::string_view, std::string> reported_;
  mutable ValuesPtr derived_from_;
  mutable DerivedSettings derived_;
};

// For scopes that have something else called Settings.
using SessionSettings = Settings;

struct Settings::Snapshot {
  ValuesPtr values, persistent;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_SETTINGS_H_
