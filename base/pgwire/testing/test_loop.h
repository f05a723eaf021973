// A loop with a virtual clock for tests: runs until nothing is ready, then jumps to the next timer.
#ifndef INSULA_BASE_PGWIRE_TESTING_TEST_LOOP_H_
#define INSULA_BASE_PGWIRE_TESTING_TEST_LOOP_H_

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

class WireTestLoop : public Executor, private Clock {
 public:
  void Post(Function fn) override { posted_.push_back(std::move(fn)); }
  TimerId StartTimer(MonoTime when, Function fn) override {
    timers_.emplace(std::pair(when, ++last_), std::move(fn));
    return last_;
  }
  void CancelTimer(TimerId id) override {
    std::erase_if(timers_, [id](const auto& t) { return t.first.second == id; });
  }
  void RunBlocking(Function work, Function done) override {
    work();
    Post(std::move(done));
  }
  const Clock& clock() const override { return *this; }

  void RunUntilIdle() {
    while (HasReady() || !posted_.empty()) {
      DrainReady(1000);
      auto posted = std::exchange(posted_, {});
      for (auto& fn : posted) fn();
    }
  }
  // Runs `task` to its end and gives its result. Timers fire when nothing else can go on.
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> result;
    TaskGroup group(Context::Background(this));
    group.SpawnFn([&]() -> Task<void> { result.emplace(co_await std::move(task)); });
    RunUntilIdle();
    while (!result.has_value() && !timers_.empty()) {
      auto first = timers_.begin();
      if (first->first.first > now_) now_ = first->first.first;
      auto fn = std::move(first->second);
      timers_.erase(first);
      fn();
      RunUntilIdle();
    }
    CHECK(result.has_value()) << "the task waits for something that never comes";
    return *std::move(result);
  }
  Context ctx() { return Context::Background(this); }
  size_t timers() const { return timers_.size(); }
  void Advance(Duration d) { now_ += d; }
  void set_wall(WallTime wall) { wall_ = wall; }

 protected:
  void WakeUp() override {}

 private:
  MonoTime Mono() const override { return now_; }
  WallTime Wall() const override { return wall_ + std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch()); }

  MonoTime now_;
  WallTime wall_{std::chrono::microseconds(1'700'000'000'000'000)};
  TimerId last_ = 0;
  std::vector<Function> posted_;
  std::map<std::pair<MonoTime, TimerId>, Function> timers_;
};

}  // namespace insula

#endif  // INSULA_BASE_PGWIRE_TESTING_TEST_LOOP_H_
