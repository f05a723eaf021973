#include "base/process/process_manager.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "base/strings.h"

extern char** environ;

namespace insula {
namespace {

constexpr int kReadyFd = 3;
constexpr size_t kMaxReadyLine = 4096;

absl::Status ErrnoStatus(const std::string& what, int error) {
  return absl::UnavailableError(StrCat(what, ": ", std::strerror(error)));
}

int PidfdOpen(int pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }
int PidfdSignal(int pidfd, int signal) { return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0)); }

std::string DescribeExit(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return StrCat("exited with ", info.si_status);
  return StrCat("killed by signal ", info.si_status);
}

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void ExecChild(char* const* argv, char* const* envp, int log_fd, int ready_fd) {
  setsid();
  int null_fd = open("/dev/null", O_RDONLY);
  dup2(null_fd, 0);
  dup2(log_fd, 1);
  dup2(log_fd, 2);
  if (ready_fd == kReadyFd) {
    fcntl(ready_fd, F_SETFD, 0);
  } else {
    dup2(ready_fd, kReadyFd);
  }
  syscall(SYS_close_range, kReadyFd + 1, ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(argv[0], argv, envp);
  _exit(127);
}

}  // namespace

class ProcessManager::Impl {
 public:
  explicit Impl(Executor* executor) : executor_(executor), alive_(std::make_shared<bool>(true)) {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    stop_fd_ = eventfd(0, EFD_CLOEXEC);
    CHECK(epoll_fd_ >= 0 && stop_fd_ >= 0) << std::strerror(errno);
    Watch(stop_fd_);
    thread_ = std::thread([this] { Loop(); });
  }

  ~Impl() {
    *alive_ = false;
    uint64_t one = 1;
    CHECK_EQ(write(stop_fd_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    thread_.join();
    for (auto& [fd, entry] : entries_) close(fd);
    close(stop_fd_);
    close(epoll_fd_);
  }

  absl::StatusOr<int> Start(const ProcessSpec& spec, OnReady on_ready, OnExit on_exit) {
    int log_fd = open(spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) return ErrnoStatus(StrCat("cannot open the log file ", spec.log_path), errno);
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
      int error = errno;
      close(log_fd);
      return ErrnoStatus("cannot create a pipe", error);
    }
    std::vector<std::string> environment = Environment(spec);
    std::vector<char*> argv, envp;
    for (auto& a : spec.argv) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    for (auto& e : environment) envp.push_back(e.data());
    envp.push_back(nullptr);

    pid_t pid = fork();
    if (pid == 0) ExecChild(argv.data(), envp.data(), log_fd, pipe_fds[1]);
    int error = errno;
    close(log_fd);
    close(pipe_fds[1]);
    if (pid < 0) {
      close(pipe_fds[0]);
      return ErrnoStatus("cannot fork", error);
    }
    int pidfd = PidfdOpen(pid);
    CHECK_GE(pidfd, 0) << "pidfd_open: " << std::strerror(errno);
    Add(pipe_fds[0], Entry{.pid = pid, .kind = Kind::kReadyPipe, .on_ready = std::move(on_ready), .on_exit = {}, .line = {}});
    Add(pidfd, Entry{.pid = pid, .kind = Kind::kChild, .on_ready = {}, .on_exit = std::move(on_exit), .line = {}});
    return pid;
  }

  absl::Status Adopt(int pid, uint64_t start_time, OnExit on_exit) {
    int pidfd = PidfdOpen(pid);
    // The start time is compared after the pidfd is open: from then on the pid cannot mean another process.
    if (pidfd < 0 || ProcessStartTime(pid) != start_time) {
      if (pidfd >= 0) close(pidfd);
      return absl::NotFoundError(StrCat("process ", pid, " has ended"));
    }
    Add(pidfd, Entry{.pid = pid, .kind = Kind::kAdopted, .on_ready = {}, .on_exit = std::move(on_exit), .line = {}});
    return absl::OkStatus();
  }

  absl::Status Signal(int pid, int signal) {
    std::lock_guard lock(mutex_);
    for (auto& [fd, entry] : entries_) {
      if (entry.pid != pid || entry.kind == Kind::kReadyPipe) continue;
      if (PidfdSignal(fd, signal) == 0) return absl::OkStatus();
      return absl::NotFoundError(StrCat("cannot signal process ", pid, ": ", std::strerror(errno)));
    }
    return absl::NotFoundError(StrCat("process ", pid, " has ended"));
  }

 private:
  enum class Kind { kReadyPipe, kChild, kAdopted };
  struct Entry {
    int pid;
    Kind kind;
    OnReady on_ready;
    OnExit on_exit;
    std::string line;
  };

  static std::vector<std::string> Environment(const ProcessSpec& spec) {
    std::vector<std::string> out;
    for (char** e = environ; *e != nullptr; ++e) {
      if (std::string_view(*e).rfind("INSULA_READY_FD=", 0) != 0) out.emplace_back(*e);
    }
    for (auto& [name, value] : spec.environment) out.push_back(StrCat(name, "=", value));
    out.push_back(StrCat("INSULA_READY_FD=", kReadyFd));
    return out;
  }

  void Watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    CHECK_EQ(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event), 0) << std::strerror(errno);
  }

  void Add(int fd, Entry entry) {
    {
      std::lock_guard lock(mutex_);
      entries_.emplace(fd, std::move(entry));
    }
    Watch(fd);
  }

  // Takes an entry off, closes its descriptor.
  Entry Take(int fd) {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(fd);
    Entry entry = std::move(it->second);
    entries_.erase(it);
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    close(fd);
    return entry;
  }

  template <typename Callback, typename Value>
  void Deliver(Callback callback, Value value) {
    executor_->Post([alive = alive_, callback = std::move(callback), value = std::move(value)]() mutable {
      if (*alive && callback) callback(std::move(value));
    });
  }

  void Loop() {
    while (true) {
      epoll_event events[16];
      int n = epoll_wait(epoll_fd_, events, 16, -1);
      if (n < 0 && errno == EINTR) continue;
      CHECK_GE(n, 0) << std::strerror(errno);
      for (int i = 0; i < n; ++i) {
        if (events[i].data.fd == stop_fd_) return;
        Handle(events[i].data.fd);
      }
    }
  }

  void Handle(int fd) {
    Kind kind;
    int pid;
    {
      std::lock_guard lock(mutex_);
      auto it = entries_.find(fd);
      if (it == entries_.end()) return;
      kind = it->second.kind;
      pid = it->second.pid;
    }
    switch (kind) {
      case Kind::kReadyPipe:
        return HandlePipe(fd);
      case Kind::kChild: {
        siginfo_t info{};
        waitid(P_PID, pid, &info, WEXITED);
        return Deliver(Take(fd).on_exit, DescribeExit(info));
      }
      case Kind::kAdopted:
        return Deliver(Take(fd).on_exit, std::string("ended"));
    }
  }

  void HandlePipe(int fd) {
    char buffer[512];
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) return;
    bool complete = false;
    {
      std::lock_guard lock(mutex_);
      std::string& line = entries_.at(fd).line;
      if (n > 0) line.append(buffer, n);
      complete = line.find('\n') != std::string::npos;
      if (n > 0 && !complete && line.size() < kMaxReadyLine) return;
    }
    Entry entry = Take(fd);
    absl::StatusOr<std::string> result = absl::UnavailableError("the process ended before it was ready");
    if (complete) result = entry.line.substr(0, entry.line.find('\n'));
    Deliver(std::move(entry.on_ready), std::move(result));
  }

  Executor* executor_;
  std::shared_ptr<bool> alive_;  // read and written on the loop thread only
  int epoll_fd_;
  int stop_fd_;
  std::mutex mutex_;
  std::map<int, Entry> entries_;  // by descriptor; guarded by mutex_
  std::thread thread_;
};

ProcessManager::ProcessManager(Executor* executor) : impl_(std::make_unique<Impl>(executor)) {}
ProcessManager::~ProcessManager() = default;
absl::StatusOr<int> ProcessManager::Start(const ProcessSpec& spec, OnReady on_ready, OnExit on_exit) {
  return impl_->Start(spec, std::move(on_ready), std::move(on_exit));
}
absl::Status ProcessManager::Adopt(int pid, uint64_t start_time, OnExit on_exit) {
  return impl_->Adopt(pid, start_time, std::move(on_exit));
}
absl::Status ProcessManager::Signal(int pid, int signal) { return impl_->Signal(pid, signal); }

uint64_t ProcessStartTime(int pid) {
  std::ifstream in(StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  // The command name may hold anything; fields are counted from its closing parenthesis.
  size_t paren = text.rfind(')');
  if (paren == std::string::npos) return 0;
  std::istringstream fields(text.substr(paren + 1));
  std::string field;
  for (int number = 3; number <= 22 && fields >> field; ++number) {
    if (number == 3 && (field == "Z" || field == "X")) return 0;
    if (number == 22) return std::strtoull(field.c_str(), nullptr, 10);
  }
  return 0;
}

void ReportReady(const std::string& line) {
  const char* number = std::getenv("INSULA_READY_FD");
  if (number == nullptr) return;
  int fd = std::atoi(number);
  std::string text = line + "\n";
  size_t at = 0;
  while (at < text.size()) {
    ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n <= 0 && errno != EINTR) break;  // the parent has gone: nobody waits for the line
    if (n > 0) at += n;
  }
  close(fd);
  unsetenv("INSULA_READY_FD");
}

}  // namespace insula
