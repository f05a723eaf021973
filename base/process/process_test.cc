#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>

#include "base/process/process_manager.h"
#include "base/process/run_file.h"

namespace insula {
namespace {

// Runs posted functions on the test's thread until a condition holds.
class QueueExecutor : public Executor, private Clock {
 public:
  void Post(Function fn) override {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(fn));
    changed_.notify_one();
  }
  TimerId StartTimer(MonoTime, Function) override { return 0; }
  void CancelTimer(TimerId) override {}
  void RunBlocking(Function, Function) override {}
  const Clock& clock() const override { return *this; }
  template <typename Condition>
  void RunUntil(Condition done) {
    while (!done()) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !queue_.empty(); });
      Function fn = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      fn();
    }
  }

 protected:
  void WakeUp() override {}

 private:
  MonoTime Mono() const override { return MonoTime(); }
  WallTime Wall() const override { return WallTime(); }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Function> queue_;
};

std::string TempFolder() { return testing::TempDir(); }

TEST(ProcessManager, ReportsTheReadyLineAndTheExit) {
  QueueExecutor executor;
  ProcessManager manager(&executor);
  std::string ready, exit;
  auto pid = manager.Start({.argv = {"/bin/sh", "-c", "echo \"hello $GREETED\" >&$INSULA_READY_FD; exit 7"},
                            .environment = {{"GREETED", "world"}},
                            .log_path = TempFolder() + "/log1"},
                           [&](absl::StatusOr<std::string> line) { ready = line.value_or("none"); }, [&](std::string status) { exit = status; });
  ASSERT_TRUE(pid.ok()) << pid.status();
  executor.RunUntil([&] { return !ready.empty() && !exit.empty(); });
  EXPECT_EQ(ready, "hello world");
  EXPECT_EQ(exit, "exited with 7");
  EXPECT_EQ(manager.Signal(*pid, SIGTERM).code(), absl::StatusCode::kNotFound);
}

TEST(ProcessManager, TellsWhenAChildDiesBeforeItIsReady) {
  QueueExecutor executor;
  ProcessManager manager(&executor);
  absl::StatusOr<std::string> ready = std::string("not called");
  std::string exit;
  auto pid = manager.Start({.argv = {"/bin/sh", "-c", "kill -9 $$"}, .environment = {}, .log_path = TempFolder() + "/log2"},
                           [&](absl::StatusOr<std::string> line) { ready = line; }, [&](std::string status) { exit = status; });
  ASSERT_TRUE(pid.ok());
  executor.RunUntil([&] { return !ready.ok() && !exit.empty(); });
  EXPECT_EQ(exit, "killed by signal 9");
}

TEST(ProcessManager, AdoptsByPidAndStartTimeOnly) {
  QueueExecutor executor;
  ProcessManager owner(&executor), adopter(&executor);
  std::string own_exit, adopted_exit;
  auto pid = owner.Start({.argv = {"/bin/sh", "-c", "read line < /dev/zero"}, .environment = {}, .log_path = TempFolder() + "/log3"}, {},
                         [&](std::string status) { own_exit = status; });
  ASSERT_TRUE(pid.ok());
  uint64_t start = ProcessStartTime(*pid);
  EXPECT_NE(start, 0u);
  EXPECT_EQ(adopter.Adopt(*pid, start + 1, {}).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(adopter.Adopt(*pid, start, [&](std::string status) { adopted_exit = status; }).ok());
  ASSERT_TRUE(adopter.Signal(*pid, SIGKILL).ok());
  executor.RunUntil([&] { return !own_exit.empty() && !adopted_exit.empty(); });
  EXPECT_EQ(own_exit, "killed by signal 9");
}

TEST(RunFile, RoundTripsAndKnowsWhoLives) {
  std::string folder = TempFolder();
  RunFile file{.role = "kv", .id = "1", .tenant = 0, .generation = 0, .pid = getpid(), .start_time = ProcessStartTime(getpid()), .address = "127.0.0.1:1", .http = "127.0.0.1:2", .control = "", .state = "ready"};
  ASSERT_TRUE(WriteRunFile(folder, file).ok());
  auto files = ReadRunFiles(folder);
  ASSERT_TRUE(files.ok());
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ((*files)[0].address, "127.0.0.1:1");
  EXPECT_TRUE((*files)[0].Alive());
  file.start_time += 1;
  EXPECT_FALSE(file.Alive());
  ASSERT_TRUE(RemoveRunFile(folder, "kv", "1").ok());
  std::ofstream(folder + "/bad.json") << "{";
  EXPECT_EQ(ReadRunFiles(folder).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace insula
