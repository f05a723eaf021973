#include "base/real/loop.h"

#include <signal.h>
#include <sys/random.h>

#include <asio/executor_work_guard.hpp>
#include <asio/signal_set.hpp>
#include <cerrno>
#include <chrono>
#include <ctime>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/check.h"

namespace insula {
namespace real {

// ---------------------------------------------------------------------------------------------------------- posting

void PostQueue::Post(Executor::Function fn) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (loop_ == nullptr) return;
  queue_.push_back(std::move(fn));
  if (queue_.size() == 1) loop_->ScheduleRunPosted();
}

std::vector<Executor::Function> PostQueue::Take() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(queue_, {});
}

void PostQueue::Close() {
  std::vector<Executor::Function> dropped;  // destroyed outside the lock
  std::lock_guard<std::mutex> lock(mutex_);
  loop_ = nullptr;
  dropped.swap(queue_);
}

// ------------------------------------------------------------------------------------------------------------- pool

BlockingPool::~BlockingPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::Run(Executor::Function work, Executor::Function done) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    items_.push_back({std::move(work), std::move(done)});
    if (static_cast<int>(items_.size()) > idle_ && static_cast<int>(threads_.size()) < max_threads_) {
      threads_.emplace_back([this] { ThreadMain(); });
    }
  }
  wake_.notify_one();
}

void BlockingPool::ThreadMain() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stop_ || !items_.empty(); });
    --idle_;
    if (stop_) return;
    Item item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    item.work();
    item.work = nullptr;
    posts_->Post(std::move(item.done));
    lock.lock();
  }
}

// ------------------------------------------------------------------------------------------------------------- loop

namespace {

class RealClock : public Clock {
 public:
  MonoTime Mono() const override { return MonoTime(std::chrono::steady_clock::now().time_since_epoch()); }
  WallTime Wall() const override {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return WallTime(std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_nsec / 1000));
  }
};

class KernelRandom : public Random {
 public:
  uint64_t Next64() override {
    if (next_ == kWords) Refill();
    return std::exchange(words_[next_++], 0);
  }

 private:
  static constexpr size_t kWords = 32;  // 256 bytes: getrandom gives that much without interruption
  void Refill() {
    ssize_t n;
    do {
      n = getrandom(words_, sizeof(words_), 0);
    } while (n < 0 && errno == EINTR);
    CHECK_EQ(n, static_cast<ssize_t>(sizeof(words_))) << "getrandom";
    next_ = 0;
  }
  uint64_t words_[kWords];
  size_t next_ = kWords;
};

}  // namespace

Loop::Loop(const RealExecutorOptions& options)
    : posts_(std::make_shared<PostQueue>(this)), pool_(options.blocking_threads, posts_) {
  signal(SIGPIPE, SIG_IGN);
}

Loop::~Loop() { posts_->Close(); }

void Loop::Run() {
  io_.restart();
  auto guard = asio::make_work_guard(io_);
  io_.run();
}

const Clock& Loop::clock() const {
  static const RealClock clock;
  return clock;
}

void Loop::ScheduleDrain() {
  if (std::exchange(drain_scheduled_, true)) return;
  asio::post(io_, [this] {
    drain_scheduled_ = false;
    Drain();
  });
}

void Loop::ScheduleRunPosted() {
  asio::post(io_, [this] {
    RunHandler([this] {
      for (Function& fn : posts_->Take()) fn();
    });
  });
}

TimerId Loop::StartTimer(MonoTime when, Function fn) {
  TimerId id = ++last_timer_;
  timers_.emplace(std::pair(when, id), std::move(fn));
  timer_times_.emplace_hint(timer_times_.end(), id, when);
  if (when < armed_for_) ArmTimer();
  return id;
}

void Loop::CancelTimer(TimerId id) {
  auto it = timer_times_.find(id);
  if (it == timer_times_.end()) return;
  // The alarm stays set: at worst it rings once for nothing.
  timers_.erase({it->second, id});
  timer_times_.erase(it);
}

void Loop::ArmTimer() {
  if (timers_.empty()) {
    armed_for_ = MonoTime::max();
    return;
  }
  armed_for_ = timers_.begin()->first.first;
  alarm_.expires_at(std::chrono::steady_clock::time_point(armed_for_.time_since_epoch()));
  alarm_.async_wait([this](const asio::error_code& error) {
    if (error) return;  // re-armed for an earlier time
    RunHandler([this] { RunTimers(); });
  });
}

void Loop::RunTimers() {
  MonoTime now = Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
  ArmTimer();
}

Task<absl::StatusOr<int>> Loop::WaitForSignal(Context ctx, std::vector<int> signals) {
  if (signals.empty()) signals = {SIGTERM, SIGINT};
  struct State {
    explicit State(asio::io_context& io) : set(io) {}
    asio::signal_set set;
    OneShot<int> arrived;
  };
  auto state = std::make_shared<State>(io_);
  for (int number : signals) state->set.add(number);
  // The handler keeps the state; ending the wait cancels the set, which ends the handler.
  state->set.async_wait([this, state](const asio::error_code& error, int number) {
    if (error) return;
    RunHandler([&] { state->arrived.Set(number); });
  });
  struct CancelOnExit {
    State* state;
    ~CancelOnExit() {
      asio::error_code ignored;  // only closes what is open
      state->set.cancel(ignored);
    }
  } cancel{state.get()};
  co_return co_await state->arrived.Take(ctx);
}

}  // namespace real

absl::Status RealExecutor::RunMain(std::function<Task<absl::Status>(Context)> main) {
  absl::Status result = absl::CancelledError("the loop was stopped");
  {
    TaskGroup group(Context::Background(this));
    group.SpawnFn([&]() -> Task<void> {
      result = co_await main(group.ctx());
      Stop();
    });
    Run();
  }
  return result;
}

std::unique_ptr<RealExecutor> MakeRealExecutor(RealExecutorOptions options) { return std::make_unique<real::Loop>(options); }

std::unique_ptr<Random> MakeKernelRandom() { return std::make_unique<real::KernelRandom>(); }

}  // namespace insula
