// Runs in processes of their own: forked, one line of text per fact over a pipe, what they say on stderr among it.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "test/sim/run.h"

namespace insula::simtest {
namespace {

constexpr rlim_t kMostSeconds = 120;  // of processor time, so that a busy machine fails no run; a run takes one or two

struct Child {
  size_t index = 0;
  pid_t pid = 0;
  int pipe = -1;
  std::string said;
};

void Tell(const RunResult& result) {
  std::string text = StrCat("\n@workloads ", result.workloads, "\n@trace ", result.trace_hash, "\n@ms ", static_cast<uint64_t>(result.virtual_seconds * 1000), "\n");
  for (std::string violation : result.violations) {
    for (char& c : violation) c = c == '\n' ? ' ' : c;
    StrAppend(&text, "@violation ", violation, "\n");
  }
  for (const auto& [name, n] : result.faults) StrAppend(&text, "@fault ", n, " ", name, "\n");
  for (const auto& [name, n] : result.counts) StrAppend(&text, "@count ", n, " ", name, "\n");
  for (const auto& [name, n] : result.probes) StrAppend(&text, "@probe ", n, " ", name, "\n");
  StrAppend(&text, "@end\n");
  for (size_t at = 0; at < text.size();) {
    ssize_t n = write(STDOUT_FILENO, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(3);
    at += static_cast<size_t>(n);
  }
}

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

RunResult Parse(std::string_view text, uint64_t seed, int status) {
  RunResult result;
  result.seed = seed;
  std::string last;
  bool complete = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t space = std::min(line.find(' '), line.size());
    std::string_view kind = line.substr(0, space), rest = line.substr(std::min(space + 1, line.size()));
    const size_t gap = std::min(rest.find(' '), rest.size());
    std::string name(rest.substr(std::min(gap + 1, rest.size())));
    if (kind == "@workloads") {
      result.workloads = std::string(rest);
    } else if (kind == "@trace") {
      result.trace_hash = Number(rest);
    } else if (kind == "@ms") {
      result.virtual_seconds = static_cast<double>(Number(rest)) / 1000;
    } else if (kind == "@violation") {
      result.violations.emplace_back(rest);
    } else if (kind == "@fault") {
      result.faults[name] = Number(rest);
    } else if (kind == "@count") {
      result.counts[name] = Number(rest);
    } else if (kind == "@probe") {
      result.probes[name] = Number(rest);
    } else if (kind == "@end") {
      complete = true;
    } else if (!line.empty()) {
      last = std::string(line);
    }
  }
  if (!complete) {
    std::string how = WIFSIGNALED(status) ? StrCat("signal ", WTERMSIG(status), WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? ", it did not end" : "") : StrCat("status ", WEXITSTATUS(status));
    result.violations.push_back(StrCat("the run died (", how, "): ", last));
  }
  return result;
}

Child Begin(size_t index, const RunOptions& options) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0) << std::strerror(errno);
  std::fflush(nullptr);
  pid_t pid = fork();
  CHECK_GE(pid, 0) << std::strerror(errno);
  if (pid == 0) {
    close(ends[0]);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    const rlimit most{.rlim_cur = kMostSeconds, .rlim_max = kMostSeconds};
    CHECK_EQ(setrlimit(RLIMIT_CPU, &most), 0) << std::strerror(errno);
    Tell(RunSeed(options));
    _exit(0);
  }
  close(ends[1]);
  return {index, pid, ends[0], ""};
}

// False: it has ended.
bool Listen(Child& child) {
  char buffer[65536];
  ssize_t n = read(child.pipe, buffer, sizeof(buffer));
  if (n < 0 && errno == EINTR) return true;
  if (n > 0) child.said.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

int End(Child& child) {
  close(child.pipe);
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

void RunApart(const std::vector<RunOptions>& runs, int jobs, const std::function<bool(size_t index, RunResult result)>& done) {
  std::vector<Child> children;
  size_t next = 0;
  bool go_on = true;
  while (true) {
    while (go_on && next < runs.size() && children.size() < static_cast<size_t>(jobs)) {
      children.push_back(Begin(next, runs[next]));
      ++next;
    }
    if (children.empty()) return;
    std::vector<pollfd> waits;
    for (const Child& child : children) waits.push_back({child.pipe, POLLIN, 0});
    if (poll(waits.data(), waits.size(), -1) < 0) continue;
    for (size_t i = children.size(); i-- > 0;) {
      if (waits[i].revents == 0 || Listen(children[i])) continue;
      Child ended = std::move(children[i]);
      children.erase(children.begin() + static_cast<ptrdiff_t>(i));
      int status = End(ended);
      if (go_on) go_on = done(ended.index, Parse(ended.said, runs[ended.index].seed, status));
    }
  }
}

}  // namespace insula::simtest
