// The loop of the real world, as the other sources of base/real see it (private to this folder: it shows Asio).
//
//   gRPC threads ─► PostQueue ─┐ one Asio post per batch
//   pool threads ─► PostQueue ─┤
//   sockets, timers ───────────┴► RunHandler: the handler, then every coroutine that it made ready
#ifndef INSULA_BASE_REAL_LOOP_H_
#define INSULA_BASE_REAL_LOOP_H_

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/real/real_world.h"

namespace insula::real {

class Loop;

// Functions on their way to the loop from other threads. Outlives the loop (what is posted afterwards is dropped), so that
// a late callback of a foreign thread has something to talk to.
class PostQueue {
 public:
  explicit PostQueue(Loop* loop) : loop_(loop) {}
  void Post(Executor::Function fn);

 private:
  friend class Loop;
  std::vector<Executor::Function> Take();
  void Close();

  std::mutex mutex_;
  Loop* loop_;                            // null once closed
  std::vector<Executor::Function> queue_;  // non-empty: a run of it is under way
};

// Threads for blocking work, started one by one as work finds none idle.
class BlockingPool {
 public:
  BlockingPool(int max_threads, std::shared_ptr<PostQueue> posts) : max_threads_(max_threads), posts_(std::move(posts)) {}
  // Waits for what runs; drops what does not yet.
  ~BlockingPool();
  void Run(Executor::Function work, Executor::Function done);

 private:
  struct Item {
    Executor::Function work;
    Executor::Function done;
  };
  void ThreadMain();

  const int max_threads_;
  std::shared_ptr<PostQueue> posts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> items_;
  int idle_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

class Loop : public RealExecutor {
 public:
  explicit Loop(const RealExecutorOptions& options);
  ~Loop() override;

  void Run() override;
  void Stop() override { io_.stop(); }
  void Post(Function fn) override { posts_->Post(std::move(fn)); }
  TimerId StartTimer(MonoTime when, Function fn) override;
  void CancelTimer(TimerId id) override;
  void RunBlocking(Function work, Function done) override { pool_.Run(std::move(work), std::move(done)); }
  const Clock& clock() const override;
  Task<absl::StatusOr<int>> WaitForSignal(Context ctx, std::vector<int> signals) override;

  asio::io_context& io() { return io_; }
  const std::shared_ptr<PostQueue>& posts() const { return posts_; }

  // Every entry from Asio: runs `f`, then what it made ready, without another turn of the loop.
  template <typename F>
  void RunHandler(F&& f) {
    in_handler_ = true;
    f();
    in_handler_ = false;
    Drain();
  }

 private:
  friend class PostQueue;
  static constexpr int kDrainBatch = 256;

  void WakeUp() override {
    if (!in_handler_) ScheduleDrain();
  }
  void Drain() {
    if (DrainReady(kDrainBatch)) ScheduleDrain();
  }
  void ScheduleDrain();
  void ScheduleRunPosted();  // any thread
  void ArmTimer();
  void RunTimers();

  asio::io_context io_{1};
  std::shared_ptr<PostQueue> posts_;
  bool in_handler_ = false;
  bool drain_scheduled_ = false;

  std::map<std::pair<MonoTime, TimerId>, Function> timers_;
  std::map<TimerId, MonoTime> timer_times_;
  TimerId last_timer_ = 0;
  asio::steady_timer alarm_{io_};
  MonoTime armed_for_ = MonoTime::max();

  BlockingPool pool_;
};

// Loop-thread helper of the network sources.
inline Loop* AsLoop(RealExecutor* executor) { return static_cast<Loop*>(executor); }

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_LOOP_H_
