#include "proxy/cluster_selector.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::proxy {
namespace {

constexpr char kFormHint[] =
    "Name the cluster in the connection's options, for example: psql \"host=... user=... dbname=defaultdb options=--cluster=acme-7\", "
    "or as the database acme-7.defaultdb.";

absl::Status Rejected(std::string_view message, std::string_view detail = "") {
  return PgErrorBuilder(sqlstate::kConnectionRejected, message).Detail(detail).Hint(kFormHint).Severity("FATAL").Build();
}

std::optional<std::string_view> After(std::string_view text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return std::nullopt;
  return text.substr(prefix.size());
}

// Takes cluster options out of `words`; gives their values.
std::vector<std::string> TakeClusterOptions(std::vector<std::string>* words) {
  std::vector<std::string> values, kept;
  for (size_t i = 0; i < words->size(); ++i) {
    const std::string& word = (*words)[i];
    std::optional<std::string_view> value = After(word, "--cluster=");
    if (!value) value = After(word, "-ccluster=");
    bool two_words = !value && word == "-c" && i + 1 < words->size() && After((*words)[i + 1], "cluster=");
    if (two_words) value = After((*words)[++i], "cluster=");
    if (value) {
      values.emplace_back(*value);
    } else {
      kept.push_back(word);
    }
  }
  *words = std::move(kept);
  return values;
}

// Collects what each source says, and notices when two differ.
class Choice {
 public:
  absl::Status Add(const ClusterName& cluster, std::string_view source) {
    if (chosen_ && chosen_->ToString() != cluster.ToString()) {
      return Rejected("two different clusters are named", StrCat("The ", source_, " names ", chosen_->ToString(), ", the ", source, " names ", cluster.ToString(), "."));
    }
    chosen_ = cluster;
    source_ = source;
    return absl::OkStatus();
  }
  const std::optional<ClusterName>& chosen() const { return chosen_; }

 private:
  std::optional<ClusterName> chosen_;
  std::string source_;
};

}  // namespace

absl::StatusOr<Selection> SelectCluster(pgwire::StartupMessage message, std::string_view sni) {
  Choice choice;
  if (auto options = message.Find("options")) {
    std::vector<std::string> words = pgwire::SplitOptions(*options);
    for (const std::string& value : TakeClusterOptions(&words)) {
      auto cluster = ParseClusterName(value);
      if (!cluster.ok()) return Rejected("the cluster option is malformed", StrCat(std::string(cluster.status().message()), "."));
      RETURN_IF_ERROR(choice.Add(*cluster, "option --cluster"));
    }
    message.Set("options", words.empty() ? std::nullopt : std::optional(pgwire::JoinOptions(words)));
  }
  // PostgreSQL's default: a database is named like its user.
  std::string database(message.Find("database").value_or(message.Find("user").value_or("")));
  if (size_t dot = database.find('.'); dot != std::string::npos) {
    // A database name may hold a dot of its own: only a well-formed NAME-ID before it counts.
    if (auto cluster = ParseClusterName(std::string_view(database).substr(0, dot)); cluster.ok()) {
      RETURN_IF_ERROR(choice.Add(*cluster, "database"));
      message.Set("database", database.substr(dot + 1));
    }
  }
  if (auto cluster = ParseClusterName(sni.substr(0, sni.find('.'))); cluster.ok()) {
    RETURN_IF_ERROR(choice.Add(*cluster, "TLS server name"));
  }
  if (!choice.chosen()) return Rejected("the connection does not say which cluster it is for");
  return Selection{*choice.chosen(), std::move(message)};
}

absl::Status UnknownCluster(const ClusterName& cluster) { return Rejected(StrCat("there is no cluster \"", cluster.ToString(), "\"")); }

}  // namespace insula::proxy
