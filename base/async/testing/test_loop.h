// An event loop for unit tests: runs a task to its end, with a clock that moves only when nothing else can.
//
//   TestLoop loop;
//   absl::Status s = loop.Run(DoIt(loop.ctx()));
#ifndef INSULA_BASE_ASYNC_TESTING_TEST_LOOP_H_
#define INSULA_BASE_ASYNC_TESTING_TEST_LOOP_H_

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/check.h"
#include "base/runtime/executor.h"

namespace insula {

class TestLoop : public Executor, private Clock {
 public:
  TestLoop() : ctx_(Context::Background(this)) {}

  const Context& ctx() const { return ctx_; }

  // Runs `task` until it is done. Stops the process if it waits for something that nobody will ever do.
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> result;
    TaskGroup group(ctx_);
    group.SpawnFn([&result, task = std::move(task)]() mutable -> Task<void> { result.emplace(co_await std::move(task)); });
    while (!result) CHECK(Step()) << "the task waits for ever";
    return std::move(*result);
  }

  // Runs until all of `group` is done.
  void Await(TaskGroup& group) {
    Run([](TaskGroup& group) -> Task<bool> {
      co_await group.Wait();
      co_return true;
    }(group));
  }

  // Runs all that can run now, timers that are due included.
  void RunUntilIdle() {
    while (RunReady() || RunDueTimer()) {
    }
  }

  // How many timers are set.
  size_t timers() const { return timers_.size(); }

  // Lets `duration` of time pass, running what becomes due.
  void RunFor(Duration duration) {
    MonoTime end = now_ + duration;
    RunUntilIdle();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      now_ = std::max(now_, timers_.begin()->first.first);
      RunDueTimer();
      RunUntilIdle();
    }
    now_ = end;
  }

  void Post(Function fn) override { posted_.push_back(std::move(fn)); }
  TimerId StartTimer(MonoTime when, Function fn) override {
    timers_.emplace(std::pair(when, ++last_timer_), std::move(fn));
    return last_timer_;
  }
  void CancelTimer(TimerId id) override {
    std::erase_if(timers_, [id](const auto& t) { return t.first.second == id; });
  }
  void RunBlocking(Function work, Function done) override {
    work();
    Post(std::move(done));
  }
  const Clock& clock() const override { return *this; }

 protected:
  void WakeUp() override {}

 private:
  MonoTime Mono() const override { return now_; }
  WallTime Wall() const override { return WallTime(std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch())); }

  bool RunReady() {
    bool ran = HasReady() || !posted_.empty();
    DrainReady(1000);
    auto posted = std::exchange(posted_, {});
    for (auto& fn : posted) fn();
    return ran;
  }
  bool RunDueTimer() {
    if (timers_.empty() || timers_.begin()->first.first > now_) return false;
    auto fn = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    fn();
    return true;
  }
  // One round of work; time jumps to the next timer if there is nothing else to do.
  bool Step() {
    if (RunReady() || RunDueTimer()) return true;
    if (timers_.empty()) return false;
    now_ = timers_.begin()->first.first;
    return RunDueTimer();
  }

  MonoTime now_{};
  TimerId last_timer_ = 0;
  std::vector<Function> posted_;
  std::map<std::pair<MonoTime, TimerId>, Function> timers_;
  Context ctx_;
};

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_TESTING_TEST_LOOP_H_
