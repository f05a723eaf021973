// Runs sqllogictest suites in this process, through the real protocol and a Session, over a database in memory.
//
//   slt [--suites=DIR] [--only=TEXT] [--failures=FILE] [--seconds=N] [--jobs=N] [NAME…]
//
// NAME: sqllogictest, slt-duckdb, slt-risingwave, tpch-sf0.001, or the path of a file (sqlite dialect). Without names: all four.
// Prints `NAME: passed/scored` per suite. One fresh database and one child process per file, so that a crash costs one file.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/real/real_world.h"
#include "base/strings.h"
#include "kv/api/testing/memory_database.h"
#include "nlohmann/json.hpp"
#include "sql/session/testing/test_server.h"
#include "test/slt/slt_file.h"
#include "test/slt/slt_runner.h"

namespace insula::slt {
namespace {

namespace fs = std::filesystem;

struct Job {
  std::string suite = {};
  std::string path = {};
  std::string name = {};  // within the suite
  Dialect dialect = Dialect::kSqlite;
  std::set<int> scored_lines = {};    // duckdb, risingwave
  std::set<int> excluded_lines = {};  // sqlite
  bool has_list = false;
};

struct Options {
  std::string suites;
  std::string only;
  std::string failures = "slt_failures.txt";
  int seconds = 120;
  int jobs = 1;
  std::vector<std::string> names;
};

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// file → lines that PostgreSQL itself fails.
std::map<std::string, std::set<int>> ReadDeviations(const std::string& path) {
  std::map<std::string, std::set<int>> out;
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    int number = std::atoi(line.c_str() + tab + 1);
    if (number > 0) out[line.substr(0, tab)].insert(number);
  }
  return out;
}

void AddSqlite(const std::string& root, std::vector<Job>* jobs) {
  auto deviations = ReadDeviations(root + "/pg15_deviations.tsv");
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".test") continue;
    Job job{.suite = "sqllogictest", .path = entry.path(), .name = fs::relative(entry.path(), root)};
    job.excluded_lines = deviations[job.name];
    jobs->push_back(std::move(job));
  }
}

void AddListed(const std::string& suites, const std::string& suite, Dialect dialect, std::vector<Job>* jobs) {
  std::ifstream in(suites + "/" + suite + "/pg15_passes.jsonl");
  std::string line;
  while (std::getline(in, line)) {
    nlohmann::json entry = nlohmann::json::parse(line);
    Job job{.suite = suite, .dialect = dialect, .has_list = true};
    job.name = StrCat(entry["root"].get<std::string>(), "/", entry["file"].get<std::string>());
    job.path = StrCat(suites, "/", suite, "/", job.name);
    for (int n : entry["pass_lines"]) job.scored_lines.insert(n);
    jobs->push_back(std::move(job));
  }
}

std::vector<Job> FindJobs(const Options& options) {
  std::vector<Job> jobs;
  for (const std::string& name : options.names) {
    if (name == "sqllogictest") AddSqlite(options.suites + "/sqllogictest", &jobs);
    else if (name == "slt-duckdb") AddListed(options.suites, name, Dialect::kDuckdb, &jobs);
    else if (name == "slt-risingwave") AddListed(options.suites, name, Dialect::kRisingwave, &jobs);
    else if (name == "tpch-sf0.001") jobs.push_back({.suite = name, .path = options.suites + "/tpch-sf0.001/tpch.slt", .name = "tpch.slt", .dialect = Dialect::kRisingwave});
    else jobs.push_back({.suite = "files", .path = name, .name = name});
  }
  if (!options.only.empty()) std::erase_if(jobs, [&](const Job& j) { return j.name.find(options.only) == std::string::npos; });
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return std::tie(a.suite, a.name) < std::tie(b.suite, b.name); });
  return jobs;
}

std::string OneLine(std::string s) {
  for (char& c : s) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  return s.size() > 300 ? s.substr(0, 297) + "..." : s;
}

// How many records of the file would be scored: what a crash counts against.
int CountScored(const Job& job, const std::vector<Record>& records) {
  int n = 0;
  for (const Record& r : records) {
    if (r.kind != RecordKind::kStatement && r.kind != RecordKind::kQuery) continue;
    if (job.has_list ? !r.expect_error && job.scored_lines.count(r.block_line) != 0 : !r.skip) ++n;
  }
  return n;
}

// In the child: one line per record into `out`: "ok", or "fail LINE<tab>SQL<tab>WHY"; "end" last.
void RunJob(const Job& job, const Options& options, FILE* out) {
  std::vector<Record> records = ParseSltFile(ReadAll(job.path), job.dialect);
  RealWorld world;
  absl::Status status = world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
    kv::MemoryDatabase database;
    sql::TestServer server(ctx, &database);
    absl::Status ready = co_await server.Bootstrap();
    if (!ready.ok()) co_return ready;
    RunOptions run;
    run.dialect = job.dialect;
    if (job.has_list) run.scored_lines = &job.scored_lines;
    if (!job.excluded_lines.empty()) run.excluded_lines = &job.excluded_lines;
    run.deadline = world.executor()->Now() + std::chrono::seconds(options.seconds);
    run.connect = [&server, &options]() {
      return server.Connect({.user = "app", .database = "defaultdb", .settings = {{"statement_timeout", StrCat(options.seconds / 4 + 1, "s")}}});
    };
    run.on_record = [&](bool passed, const Failure* failure) {
      if (passed) {
        std::fputs("ok\n", out);
      } else {
        std::fprintf(out, "fail %d\t%s\t%s\n", failure->line, OneLine(failure->sql).c_str(), OneLine(failure->why).c_str());
      }
      std::fflush(out);
    };
    co_await RunRecords(ctx, std::move(records), std::move(run));
    co_return absl::OkStatus();
  });
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", job.name.c_str(), status.ToString().c_str());
    std::fflush(out);
    _exit(1);
  }
  std::fputs("end\n", out);
  std::fflush(out);
  _exit(0);
}

struct Total {
  int passed = 0, scored = 0, files = 0, whole = 0, crashed = 0;
};

// Reads what a child wrote; adds to the total and to the list of failures.
void Collect(const Job& job, FILE* in, std::ofstream& failures, Total* total) {
  int passed = 0, failed = 0;
  bool ended = false;
  std::rewind(in);
  char* line = nullptr;
  size_t capacity = 0;
  ssize_t n;
  while ((n = getline(&line, &capacity, in)) > 0) {
    std::string_view text(line, n);
    if (text == "ok\n") {
      ++passed;
    } else if (text == "end\n") {
      ended = true;
    } else if (text.starts_with("fail ")) {
      ++failed;
      failures << job.suite << "/" << job.name << ":" << text.substr(5);
    }
  }
  free(line);
  int scored = passed + failed;
  if (!ended) {
    scored = std::max(scored + 1, CountScored(job, ParseSltFile(ReadAll(job.path), job.dialect)));
    failures << job.suite << "/" << job.name << ":0\t\tthe process died after " << passed + failed << " records\n";
    ++total->crashed;
  }
  total->passed += passed;
  total->scored += scored;
  ++total->files;
  if (ended && failed == 0) ++total->whole;
  std::printf("  %s: %d/%d%s\n", job.name.c_str(), passed, scored, ended ? "" : " (died)");
  std::fflush(stdout);
}

int Main(const Options& options) {
  std::vector<Job> jobs = FindJobs(options);
  std::ofstream failures(options.failures);
  std::map<std::string, Total> totals;
  std::map<pid_t, std::pair<const Job*, FILE*>> running;
  size_t next = 0;
  while (next < jobs.size() || !running.empty()) {
    if (next < jobs.size() && static_cast<int>(running.size()) < options.jobs) {
      const Job& job = jobs[next++];
      FILE* file = std::tmpfile();
      std::fflush(stdout);
      pid_t pid = fork();
      if (pid == 0) RunJob(job, options, file);
      running[pid] = {&job, file};
      continue;
    }
    int wait_status = 0;
    pid_t pid = wait(&wait_status);
    auto it = running.find(pid);
    if (it == running.end()) continue;
    Collect(*it->second.first, it->second.second, failures, &totals[it->second.first->suite]);
    std::fclose(it->second.second);
    running.erase(it);
  }
  for (const auto& [suite, total] : totals) {
    std::printf("%s: %d/%d\n", suite.c_str(), total.passed, total.scored);
    std::fprintf(stderr, "%s: %d files, %d whole, %d died; failures in %s\n", suite.c_str(), total.files, total.whole, total.crashed,
                 options.failures.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace insula::slt

int main(int argc, char** argv) {
  insula::slt::Options options;
  if (const char* suites = std::getenv("INSULA_SUITES")) options.suites = suites;
  for (int i = 1; i < argc; ++i) {
    std::string_view arg = argv[i];
    auto value = [&](std::string_view flag) -> std::optional<std::string> {
      if (!arg.starts_with(flag)) return std::nullopt;
      return std::string(arg.substr(flag.size()));
    };
    if (auto v = value("--suites=")) options.suites = *v;
    else if (auto v = value("--only=")) options.only = *v;
    else if (auto v = value("--failures=")) options.failures = *v;
    else if (auto v = value("--seconds=")) options.seconds = std::max(1, std::atoi(v->c_str()));
    else if (auto v = value("--jobs=")) options.jobs = std::max(1, std::atoi(v->c_str()));
    else if (arg.starts_with("--")) {
      std::fprintf(stderr, "slt: no option '%s'\n", argv[i]);
      return 2;
    } else {
      options.names.emplace_back(arg);
    }
  }
  if (options.names.empty()) options.names = {"sqllogictest", "slt-duckdb", "slt-risingwave", "tpch-sf0.001"};
  if (options.suites.empty() && options.names[0].find('/') == std::string::npos) {
    std::fprintf(stderr, "slt: where are the suites? Set INSULA_SUITES or give --suites=DIR.\n");
    return 2;
  }
  return insula::slt::Main(options);
}
