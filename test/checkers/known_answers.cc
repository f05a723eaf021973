#include "test/checkers/known_answers.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/strings.h"
#include "test/checkers/linearizability.h"
#include "test/checkers/list_append.h"
#include "test/checkers/models.h"
#include "test/checkers/rw_register.h"
#include "test/checkers/workloads.h"

namespace insula::checkers {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Split(std::string_view text, std::string_view separators) {
  std::vector<std::string> out(1);
  for (char c : text) {
    if (separators.find(c) != std::string_view::npos) {
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

absl::StatusOr<std::string> ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(StrCat("cannot read ", path.string()));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// ---- options ----

struct JudgeOptions {
  TxnCheckOptions txn;
  BankOptions bank;
  size_t group_size = 0;
};

Names NamesOf(std::string_view list) {
  Names out;
  for (std::string& name : Split(list, ", ")) {
    if (!name.empty()) out.insert(name[0] == ':' ? name.substr(1) : name);
  }
  return out;
}

absl::StatusOr<int64_t> ParseNumber(const std::string& text) {
  int64_t number = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), number);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return absl::InvalidArgumentError(StrCat("no number: ", text));
  return number;
}

absl::Status SetOption(const std::string& name, const std::string& value, JudgeOptions* out) {
  if (name == "consistency-models" || name == "c") {
    out->txn.consistency_models = NamesOf(value);
    return absl::OkStatus();
  }
  if (name == "anomalies" || name == "a") {
    out->txn.anomalies = NamesOf(value);
    return absl::OkStatus();
  }
  static const auto& without_influence = *new std::set<std::string>{
      "model", "m", "format", "f", "output", "directory", "d", "plot-format", "p", "plot-timeout", "t", "max-plot-bytes", "b",
      "max-transfer", "cycle-search-timeout", "s"};
  if (without_influence.count(name) > 0) return absl::OkStatus();
  auto number = ParseNumber(value);
  if (!number.ok()) return absl::InvalidArgumentError(StrCat("option ", name, ": ", value));
  if (name == "group-size" || name == "g") {
    out->group_size = static_cast<size_t>(*number);
  } else if (name == "total-amount" || name == "o") {
    out->bank.total_amount = *number;
  } else {
    return absl::InvalidArgumentError(StrCat("an option that is not known: ", name));
  }
  return absl::OkStatus();
}

// "--group-size 3 --allow-negative-balances", "-g 3", "group-size=3".
absl::StatusOr<JudgeOptions> ParseOptions(std::string_view text) {
  JudgeOptions out;
  out.txn.consistency_models = {"strict-serializable"};
  out.txn.anomalies = {"G0"};
  const auto words = Split(text, " =");
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string name = words[i].substr(std::min(words[i].find_first_not_of('-'), words[i].size()));
    if (name.empty() || name == "verbose") continue;
    if (name == "allow-negative-balances" || name == "n") {
      out.bank.allow_negative_balances = true;
      if (i + 1 < words.size() && (words[i + 1] == "true" || words[i + 1] == "false")) {
        out.bank.allow_negative_balances = words[++i] == "true";
      }
      continue;
    }
    if (i + 1 >= words.size()) return absl::InvalidArgumentError(StrCat("an option without a value: ", name));
    if (auto status = SetOption(name, words[++i], &out); !status.ok()) return status;
  }
  return out;
}

// ---- judging ----

// "kv (get/put/append)" is "kv".
std::string ModelName(std::string_view model) { return std::string(model.substr(0, model.find(' '))); }

bool IsTxnModel(std::string_view name) { return name == "list-append" || name == "rw-register"; }

bool IsWorkload(std::string_view name) {
  static const auto& names =
      *new std::set<std::string, std::less<>>{"bank", "counter", "set", "set-full", "long-fork", "comments", "sequential"};
  return names.count(name) > 0;
}

WorkloadResult CheckWorkload(const std::vector<Event>& events, std::string_view name, const JudgeOptions& options) {
  if (name == "bank") return CheckBank(events, options.bank);
  if (name == "counter") return CheckCounter(events);
  if (name == "set") return CheckSet(events);
  if (name == "set-full") return CheckSetFull(events);
  if (name == "long-fork") return CheckLongFork(events, options.group_size);
  if (name == "comments") return CheckComments(events);
  return CheckSequential(events);
}

TxnCheckResult CheckTxns(const std::vector<Event>& events, std::string_view name, const TxnCheckOptions& options) {
  auto history = TxnHistory::FromEvents(events);
  if (!history.ok()) {
    TxnCheckResult result;
    result.error = std::string(Sv(history.status().message()));
    return result;
  }
  return name == "list-append" ? CheckListAppend(*history, options) : CheckRwRegister(*history, options);
}

Verdict CheckObject(const std::vector<Event>& events, const std::string& name, Convention convention) {
  const bool knossos = convention == Convention::kKnossos;
  Verdict verdict = Verdict::kValid;
  for (const auto& part :
       Partition(OperationsFromEvents(events, knossos ? FailMeans::kDidNotHappen : FailMeans::kAnsweredNo))) {
    const auto model = NewModel(name, knossos ? NilRead::kNotTold : NilRead::kEmpty);
    const auto result = CheckLinearizable(part, model.get());
    if (result.verdict == Verdict::kInvalid) return Verdict::kInvalid;
    if (result.verdict == Verdict::kUnknown) verdict = Verdict::kUnknown;
  }
  return verdict;
}

// ---- checks of a JSON case ----

std::optional<Names> NamesIn(const Value& map, std::string_view key) {
  const Value* list = map.Get(key);
  if (list == nullptr) return std::nullopt;
  Names out;
  for (const Value& name : list->items) out.insert(name.text);
  return out;
}

// Of an option under any of its spellings: wfr_keys, wfr-keys, wfr-keys?
bool IsTrue(const Value& map, std::string_view key) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    std::string name = map.items[i].text;
    std::replace(name.begin(), name.end(), '-', '_');
    if (!name.empty() && name.back() == '?') name.pop_back();
    const Value& v = map.items[i + 1];
    if (name == key && v.kind == Value::Kind::kBool && v.number != 0) return true;
  }
  return false;
}

// "internal_cases": only what one detector finds.
const std::map<std::string, Names>& Detectors() {
  static const auto& detectors = *new std::map<std::string, Names>{
      {"internal_cases", {"internal", "future-read"}},
      {"g1a_cases", {"G1a"}},
      {"g1b_cases", {"G1b"}},
      {"dirty_update_cases", {"dirty-update"}},
      {"lost_update_cases", {"lost-update"}},
      {"duplicates", {"duplicate-elements"}},
      {"duplicates_cases", {"duplicate-elements"}},
      {"incompatible_orders", {"incompatible-order"}},
      {"incompatible_order_cases", {"incompatible-order"}},
  };
  return detectors;
}

// What a check asks: options, and the only anomalies to look at if it asks for one detector.
absl::Status ReadAsk(const Value& check, TxnCheckOptions* options, std::optional<Names>* only) {
  const Value none = Value::Map({});
  const Value& ask = check.Get("ask") ? *check.Get("ask") : none;
  const Value& opts = check.Get("opts") ? *check.Get("opts") : none;
  for (size_t i = 0; i < ask.items.size(); i += 2) {
    const std::string& what = ask.items[i].text;
    if (const auto it = Detectors().find(what); it != Detectors().end()) {
      *only = it->second;
    } else if (what != "anomalies" && what != "consistency_models") {
      return absl::InvalidArgumentError(StrCat("nobody knows how to answer: ", what));
    }
  }
  options->anomalies = NamesIn(ask, "anomalies").value_or(Names());
  options->consistency_models = NamesIn(ask, "consistency_models").value_or(Names());
  for (const std::string& model : options->consistency_models) {
    if (!IsModel(model)) return absl::InvalidArgumentError(StrCat("no consistency model: ", model));
  }
  if (*only) options->anomalies = **only;
  options->writes_follow_reads = IsTrue(opts, "wfr_keys");
  options->sequential_keys = IsTrue(opts, "sequential_keys");
  options->linearizable_keys = IsTrue(opts, "linearizable_keys");
  const Names graphs = NamesIn(opts, "additional_graphs").value_or(Names());
  if (graphs.count("process") > 0) options->least_order = SessionOrder::kProcess;
  if (graphs.count("realtime") > 0) options->least_order = SessionOrder::kRealtime;
  return absl::OkStatus();
}

std::string VerdictOf(const Value& v) { return v.kind == Value::Kind::kBool ? (v.number ? "true" : "false") : v.text; }

// ---- folders ----

class FolderRun {
 public:
  std::vector<KnownAnswer> Run(const fs::path& folder) {
    if (fs::is_directory(folder)) RunFolder(folder);
    return std::move(answers_);
  }

 private:
  static std::vector<fs::path> Sorted(const fs::path& folder) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  void Add(std::string name, std::string failure) {
    std::replace(failure.begin(), failure.end(), '\n', ' ');
    answers_.push_back({.name = std::move(name), .failure = std::move(failure)});
  }

  void RunFolder(const fs::path& folder) {
    if (fs::exists(folder / "expected.tsv")) return RunTable(folder);
    const std::string name = folder.filename().string();
    const bool verdict = name == "good" || name == "bad";
    for (const fs::path& path : Sorted(folder)) {
      if (fs::is_directory(path)) {
        RunFolder(path);
      } else if (verdict) {
        RunFile(path, folder.parent_path().filename().string(), "", name == "good" ? "true" : "false", Convention::kKnossos);
      } else if (path.extension() == ".json") {
        RunCases(path);
      }
    }
  }

  void RunFile(const fs::path& path, std::string_view model, std::string_view options, std::string_view expected,
               Convention convention) {
    if (!IsClaimedModel(model)) return;
    auto text = ReadFile(path);
    if (!text.ok()) return Add(path.string(), text.status().ToString());
    auto events = ParseHistory(*text);
    if (!events.ok()) return Add(path.string(), events.status().ToString());
    auto verdict = JudgeHistory(*events, model, options, convention);
    if (!verdict.ok()) return Add(path.string(), verdict.status().ToString());
    Add(path.string(), *verdict == expected ? "" : StrCat(model, ": ", *verdict, ", not ", expected));
  }

  void RunTable(const fs::path& folder) {
    auto text = ReadFile(folder / "expected.tsv");
    if (!text.ok()) return Add(folder.string(), text.status().ToString());
    std::vector<std::string> header;
    for (const std::string& line : Split(*text, "\n")) {
      if (line.empty()) continue;
      std::vector<std::string> cells = Split(line, "\t\r");
      if (header.empty()) {
        header = std::move(cells);
        continue;
      }
      std::map<std::string, std::string> row;
      for (size_t i = 0; i < std::min(header.size(), cells.size()); ++i) row[header[i]] = cells[i];
      const bool porcupine = row.count("linearizable") > 0;
      RunFile(folder / row["file"], row["model"], row["options"], porcupine ? row["linearizable"] : row["valid"],
              porcupine ? Convention::kPorcupine : Convention::kKnossos);
    }
  }

  void RunCases(const fs::path& path) {
    auto text = ReadFile(path);
    if (!text.ok()) return Add(path.string(), text.status().ToString());
    auto document = ParseJson(*text);
    if (!document.ok()) return Add(path.string(), document.status().ToString());
    for (const Value& item : document->items) {
      const Value* model = item.Get("model");
      const Value* checks = item.Get("checks");
      const Value* history = item.Get("history");
      if (model == nullptr || checks == nullptr || history == nullptr || !IsTxnModel(model->text)) continue;
      const std::string name = StrCat(path.string(), ": ", model->text, ": ", item.Get("name") ? item.Get("name")->text : "?");
      auto events = EventsFromValues(history->items);
      for (const Value& check : checks->items) {
        if (!events.ok()) {
          Add(name, events.status().ToString());
          continue;
        }
        KnownAnswer answer = JudgeCheck(name, *events, model->text, check);
        Add(std::move(answer.name), std::move(answer.failure));
      }
    }
  }

  std::vector<KnownAnswer> answers_;
};

}  // namespace

bool IsClaimedModel(std::string_view model) {
  const std::string name = ModelName(model);
  return IsTxnModel(name) || IsWorkload(name) || NewModel(name) != nullptr;
}

absl::StatusOr<std::string> JudgeHistory(const std::vector<Event>& events, std::string_view model, std::string_view options,
                                         Convention convention) {
  if (!IsClaimedModel(model)) return absl::InvalidArgumentError(StrCat("no model: ", model));
  auto parsed = ParseOptions(options);
  if (!parsed.ok()) return parsed.status();
  const std::string name = ModelName(model);
  if (IsTxnModel(name)) return VerdictName(CheckTxns(events, name, parsed->txn).verdict);
  if (IsWorkload(name)) return VerdictName(CheckWorkload(events, name, *parsed).verdict);
  return VerdictName(CheckObject(events, name, convention));
}

KnownAnswer JudgeCheck(std::string name, const std::vector<Event>& events, std::string_view model, const Value& check) {
  KnownAnswer answer;
  answer.name = StrCat(name, ": ", check.Get("ask") ? check.Get("ask")->ToString() : "{}");
  TxnCheckOptions options;
  std::optional<Names> only;
  if (auto status = ReadAsk(check, &options, &only); !status.ok()) {
    answer.failure = status.ToString();
    return answer;
  }
  TxnCheckResult result = CheckTxns(events, model, options);
  Names types;
  for (const auto& [anomaly, cases] : result.anomalies) types.insert(anomaly);
  std::string verdict = VerdictName(result.verdict);
  if (only) {
    std::erase_if(types, [&](const std::string& type) { return only->count(type) == 0; });
    verdict = types.empty() ? "true" : "false";
  }
  const Value* valid = check.Get("valid");
  if (valid == nullptr || verdict != VerdictOf(*valid)) {
    answer.failure = StrCat(verdict, ", not ", valid ? VerdictOf(*valid) : "?", "; ", result.ToString());
  } else if (const auto expected = NamesIn(check, "anomaly_types"); expected && *expected != types) {
    answer.failure = StrCat("anomalies: ", StrJoin(types, ", "), "; not: ", StrJoin(*expected, ", "));
  } else {
    for (const std::string& not_held : NamesIn(check, "not").value_or(Names())) {
      if (result.ruled_out.count(CanonicalModel(not_held)) == 0) answer.failure = StrCat(not_held, " is not ruled out");
    }
  }
  return answer;
}

std::vector<KnownAnswer> RunKnownAnswers(const std::string& folder) { return FolderRun().Run(folder); }

}  // namespace insula::checkers
