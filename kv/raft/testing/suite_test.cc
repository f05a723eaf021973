// etcd/raft's own scenario files, read in place (INSULA_SUITES). Prints "raft: passed/scored".
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "base/check.h"
#include "base/datadriven/datadriven.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/raft/confchange/changer.h"
#include "kv/raft/quorum/quorum.h"
#include "kv/raft/testing/interaction.h"

namespace insula::raft::testing {
namespace {

using datadriven::Case;

// ---- quorum ----

struct QuorumCase {
  quorum::JointConfig config;
  bool joint = false;
  std::map<NodeId, std::string> values;  // by voter; absent: unknown
};

uint64_t ParseNumber(const std::string& text) {
  uint64_t v = 0;
  CHECK(std::from_chars(text.data(), text.data() + text.size(), v).ec == std::errc()) << text;
  return v;
}

QuorumCase ParseQuorum(const Case& c, std::string_view values_key) {
  QuorumCase out;
  std::vector<NodeId> order;  // values are listed by first appearance of their voter, incoming half first
  auto add = [&](NodeSet* half, const std::vector<std::string>& ids) {
    for (const std::string& text : ids) {
      const NodeId id = ParseNumber(text);
      half->insert(id);
      if (std::find(order.begin(), order.end(), id) == order.end()) order.push_back(id);
    }
  };
  if (const auto* arg = c.Find("cfg")) add(&out.config.incoming, arg->values);
  if (const auto* arg = c.Find("cfgj")) {
    out.joint = true;
    if (arg->values != std::vector<std::string>{"zero"}) add(&out.config.outgoing, arg->values);
  }
  if (const auto* arg = c.Find(values_key)) {
    CHECK_EQ(arg->values.size(), order.size()) << "line " << c.line;
    for (size_t i = 0; i < order.size(); ++i) {
      if (arg->values[i] != "_") out.values[order[i]] = arg->values[i];
    }
  }
  return out;
}

std::string IndexToString(uint64_t index) { return index == quorum::kInfinity ? "∞" : StrCat(index); }

std::string PadLeft(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

// One line per voter: a bar as long as the number of voters that have acknowledged less.
std::string Chart(const NodeSet& voters, const std::map<NodeId, std::string>& values) {
  if (voters.empty()) return "<empty majority quorum>";
  const size_t n = voters.size();
  std::vector<std::pair<uint64_t, NodeId>> order;
  for (NodeId id : voters) order.push_back({values.count(id) ? ParseNumber(values.at(id)) : 0, id});
  std::sort(order.begin(), order.end());
  std::map<NodeId, size_t> bar;
  for (size_t i = 0; i < n; ++i) {
    const bool tie = i > 0 && order[i].first == order[i - 1].first;
    bar[order[i].second] = tie ? bar[order[i - 1].second] : i;
  }
  std::string out = StrCat(std::string(n, ' '), "    idx\n");
  for (NodeId id : voters) {
    const bool known = values.count(id);
    const std::string mark = known ? StrCat(std::string(bar[id], 'x'), ">", std::string(n - bar[id], ' '))
                                   : StrCat("?", std::string(n, ' '));
    StrAppend(&out, mark, " ", PadLeft(known ? StrCat(ParseNumber(values.at(id))) : "0", 5), "    (id=", id, ")\n");
  }
  return out;
}

std::string HandleQuorum(const Case& c) {
  if (c.command == "committed") {
    QuorumCase q = ParseQuorum(c, "idx");
    const uint64_t committed = q.config.Committed([&](NodeId id) -> std::optional<uint64_t> {
      return q.values.count(id) ? std::optional(ParseNumber(q.values[id])) : std::nullopt;
    });
    return StrCat(Chart(q.config.All(), q.values), IndexToString(committed));
  }
  if (c.command == "vote") {
    QuorumCase q = ParseQuorum(c, "votes");
    return std::string(quorum::VoteResultName(q.config.Tally([&](NodeId id) -> std::optional<bool> {
      return q.values.count(id) ? std::optional(q.values[id] == "y") : std::nullopt;
    })));
  }
  return StrCat("unknown command ", c.command);
}

// ---- confchange ----

class ConfChangeEnv {
 public:
  std::string Handle(const Case& c) {
    std::vector<ConfChangeSingle> changes;
    if (!ParseConfChanges(c.input, &changes)) return "unknown input";
    const confchange::Changer changer(tracker_, last_index_++);
    absl::StatusOr<confchange::Next> next = absl::UnimplementedError(StrCat("unknown command ", c.command));
    if (c.command == "simple") next = changer.Simple(changes);
    if (c.command == "enter-joint") next = changer.EnterJoint(c.Get("autoleave") == "true", changes);
    if (c.command == "leave-joint") next = changer.LeaveJoint();
    if (!next.ok()) return StrCat(Sv(next.status().message()));
    tracker_.config = next->config;
    tracker_.progress = next->progress;
    return StrCat(tracker_.config.ToString(), "\n", tracker::ProgressMapToString(tracker_.progress));
  }

 private:
  tracker::Tracker tracker_{10, 0};
  uint64_t last_index_ = 0;
};

// ---- running ----

std::optional<std::string> SuiteFolder() {
  const char* root = std::getenv("INSULA_SUITES");
  if (root == nullptr || *root == 0) return std::nullopt;
  std::string folder = StrCat(root, "/raft/etcd-io-raft");
  return std::filesystem::is_directory(folder) ? std::optional(folder) : std::nullopt;
}

struct Score {
  int passed = 0;
  int scored = 0;
  int files = 0;
  std::string failures;
};

// What running one file gave; in a process of its own, as a broken invariant ends it.
struct FileOutcome {
  int passed = 0;
  std::string failures;
};

FileOutcome RunIsolated(const std::string& path, const datadriven::Handler& handler, const datadriven::Same& same) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  const pid_t child = fork();
  CHECK_GE(child, 0);
  if (child == 0) {
    close(ends[0]);
    auto result = datadriven::RunFile(path, handler, same);
    std::string out = StrCat(result.ok() ? result->passed() : 0, "\n");
    if (!result.ok()) StrAppend(&out, result.status().ToString(), "\n");
    for (const auto& failure : result.ok() ? result->failures : std::vector<datadriven::Failure>()) {
      StrAppend(&out, failure.ToString(path), "\n");
    }
    for (size_t at = 0; at < out.size();) {
      const ssize_t n = write(ends[1], out.data() + at, out.size() - at);
      if (n <= 0) _exit(1);
      at += static_cast<size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  if (status != 0 || text.empty()) return {.passed = 0, .failures = StrCat(path, ": ended by a broken invariant\n")};
  const size_t line = text.find('\n');
  return {.passed = static_cast<int>(ParseNumber(text.substr(0, line))), .failures = text.substr(line + 1)};
}

template <typename NewHandler>
void RunFolder(const std::string& folder, Score* score, const datadriven::Same& same, NewHandler new_handler) {
  for (const std::string& path : datadriven::ListFiles(folder, ".txt")) {
    auto text = datadriven::ReadFile(path);
    ASSERT_TRUE(text.ok()) << text.status().ToString();
    auto file = datadriven::File::Parse(*text);
    ASSERT_TRUE(file.ok()) << path << ": " << file.status().ToString();
    const FileOutcome outcome = RunIsolated(path, new_handler(), same);
    score->passed += outcome.passed;
    score->scored += static_cast<int>(file->cases.size());
    ++score->files;
    score->failures += outcome.failures;
    // Later cases of a scenario follow from its first difference.
    if (!outcome.failures.empty()) ADD_FAILURE() << outcome.failures.substr(0, 4000);
  }
}

TEST(EtcdRaftSuite, EveryFileGivesWhatItSays) {
  const auto folder = SuiteFolder();
  if (!folder) {
    ASSERT_FALSE(std::getenv("CI") != nullptr && std::string_view(std::getenv("CI")) == "true")
        << "the outside suites are missing: INSULA_SUITES must name their folder";
    GTEST_SKIP() << "outside suites not found; set INSULA_SUITES to their folder";
  }
  Score score;
  RunFolder(*folder + "/quorum/testdata", &score, nullptr, [] { return datadriven::Handler(HandleQuorum); });
  RunFolder(*folder + "/confchange/testdata", &score, nullptr, [] {
    auto env = std::make_shared<ConfChangeEnv>();
    return datadriven::Handler([env](const Case& c) { return env->Handle(c); });
  });
  RunFolder(*folder + "/testdata", &score, Interaction::SameButForLogs, [] {
    auto env = std::make_shared<Interaction>();
    return datadriven::Handler([env](const Case& c) { return env->Handle(c); });
  });
  EXPECT_GT(score.files, 0);
  std::printf("raft: %d/%d\n", score.passed, score.scored);
  if (const char* outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) {
    std::ofstream(StrCat(outputs, "/raft.failures.txt")) << score.failures;
  }
}

}  // namespace
}  // namespace insula::raft::testing
