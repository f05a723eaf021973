// Child processes, watched without polling: started, adopted after our own restart, signalled, and heard of when they end.
//
//   Start ──► running ──(one line on the ready pipe)──► on_ready(line) ──► … ──► on_exit(status)
//   Adopt ──► running ───────────────────────────────────────────────────────► on_exit(unknown status)
//
// A watcher thread waits in epoll on pidfds and pipes, and posts what happens to the executor; callbacks run there.
// Children are not tied to our life: a supervisor that is killed finds them again by their run files (run_file.h).
#ifndef INSULA_BASE_PROCESS_PROCESS_MANAGER_H_
#define INSULA_BASE_PROCESS_PROCESS_MANAGER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/executor.h"

namespace insula {

struct ProcessSpec {
  std::vector<std::string> argv;                            // argv[0]: path of the binary
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string log_path;                                     // stdout and stderr are appended here (created 0600)
};

class ProcessManager {
 public:
  // What a child wrote as its ready line (without the newline), or kUnavailable if it closed the pipe or ended before.
  using OnReady = std::function<void(absl::StatusOr<std::string> line)>;
  // `status` in words: "exited with 1", "killed by signal 9"; "ended" for an adopted process.
  using OnExit = std::function<void(std::string status)>;

  explicit ProcessManager(Executor* executor);
  ~ProcessManager();
  ProcessManager(const ProcessManager&) = delete;
  ProcessManager& operator=(const ProcessManager&) = delete;

  // Starts a child and gives its pid. The child finds the ready pipe's number in INSULA_READY_FD.
  absl::StatusOr<int> Start(const ProcessSpec& spec, OnReady on_ready, OnExit on_exit);
  // Watches a process that is not our child. kNotFound if there is none with that pid and start time.
  absl::Status Adopt(int pid, uint64_t start_time, OnExit on_exit);
  // kNotFound if it has ended. Only processes that were started or adopted here.
  absl::Status Signal(int pid, int signal);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Start time of a process in clock ticks since boot (/proc/PID/stat, field 22): with the pid it names a process for good.
// 0 if there is no such process (or only its corpse).
uint64_t ProcessStartTime(int pid);

// Child side: writes `line` to the pipe that INSULA_READY_FD names, and closes it. No effect without one.
void ReportReady(const std::string& line);

}  // namespace insula

#endif  // INSULA_BASE_PROCESS_PROCESS_MANAGER_H_
