// What coroutines wait on: Event, OneShot<T>, Channel<T>, Semaphore. All on one loop thread; none is thread-safe.
//
// Waking is never inline: a woken coroutine goes onto the executor's ready list and runs after the waker's next wait. So a
// caller of Set() or Push() keeps its invariants without thinking about re-entry.
// A waiter leaves with OK, or with the status of the context that ended first. Waiters are served first come, first served.
// Frames may be destroyed at any await. A primitive may be destroyed while frames wait on it only if they are never resumed
// by their context afterwards (that is: destroy frames first, or cancel them).
#ifndef INSULA_BASE_ASYNC_WAIT_H_
#define INSULA_BASE_ASYNC_WAIT_H_

#include <coroutine>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/check.h"
#include "base/runtime/executor.h"

namespace insula {
namespace internal {

class YieldAwaiter {
 public:
  explicit YieldAwaiter(Executor* executor) : executor_(executor) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    node_.handle = h;
    executor_->MakeReady(&node_);
  }
  void await_resume() {}

 private:
  Executor* executor_;
  ReadyNode node_;
};

struct WaitLink {
  WaitLink* prev = nullptr;
  WaitLink* next = nullptr;
  void Unlink() {
    if (next == nullptr) return;
    prev->next = next;
    next->prev = prev;
    next = prev = nullptr;
  }
};

class Waiter;

// Waiters in order of arrival.
class WaitList {
 public:
  WaitList() { head_.prev = head_.next = &head_; }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() {
    while (!empty()) head_.next->Unlink();
    head_.prev = head_.next = nullptr;
  }

  // co_await list.Wait(ctx) -> absl::Status
  inline Waiter Wait(const Context& ctx);
  bool empty() const { return head_.next == &head_; }
  inline void WakeOne();
  void WakeAll() {
    while (!empty()) WakeOne();
  }

 private:
  friend class Waiter;
  void PushBack(WaitLink* link) {
    link->prev = head_.prev;
    link->next = &head_;
    head_.prev->next = link;
    head_.prev = link;
  }
  WaitLink head_;
};

// One waiting coroutine: linked in a WaitList and hooked to its context, until one of the two wakes it.
class Waiter : private WaitLink, private CancelHook {
 public:
  Waiter(WaitList* list, const Context& ctx) : list_(list), ctx_(ctx) {}
  ~Waiter() override { WaitLink::Unlink(); }

  bool await_ready() {
    status_ = ctx_.status();
    return !status_.ok();
  }
  void await_suspend(std::coroutine_handle<> h) {
    node_.handle = h;
    list_->PushBack(this);
    ctx_.AddHook(this);
  }
  absl::Status await_resume() { return std::move(status_); }

 private:
  friend class WaitList;
  void OnCancel(const absl::Status& why) override { Wake(why); }
  void Wake(const absl::Status& status) {
    UnlinkHook();
    WaitLink::Unlink();
    status_ = status;
    ctx_.executor().MakeReady(&node_);
  }

  WaitList* list_;
  Context ctx_;
  absl::Status status_;
  ReadyNode node_;
};

inline Waiter WaitList::Wait(const Context& ctx) { return Waiter(this, ctx); }
inline void WaitList::WakeOne() {
  if (!empty()) static_cast<Waiter*>(head_.next)->Wake(absl::OkStatus());
}

}  // namespace internal

// Unset, then set for good (or until Reset). Wait returns at once when set.
class Event {
 public:
  explicit Event(Executor* = nullptr) {}
  void Set() {
    set_ = true;
    waiters_.WakeAll();
  }
  void Reset() { set_ = false; }
  bool is_set() const { return set_; }
  Task<absl::Status> Wait(Context ctx) {
    if (set_) co_return absl::OkStatus();
    co_return co_await waiters_.Wait(ctx);
  }

 private:
  bool set_ = false;
  internal::WaitList waiters_;
};

// A condition to be re-checked: Wait until somebody calls NotifyAll/NotifyOne after the Wait began. Use in a loop.
class Condition {
 public:
  void NotifyAll() { waiters_.WakeAll(); }
  void NotifyOne() { waiters_.WakeOne(); }
  bool has_waiters() const { return !waiters_.empty(); }
  internal::Waiter Wait(const Context& ctx) { return waiters_.Wait(ctx); }

 private:
  internal::WaitList waiters_;
};

// A value that arrives once. Set at most once; taken by one waiter.
template <typename T>
class OneShot {
  // Take could not tell a status that arrived from the end of the context: use an Event beside a Status.
  static_assert(!std::is_same_v<T, absl::Status>);

 public:
  void Set(T value) {
    CHECK(!value_.has_value()) << "OneShot set twice";
    value_.emplace(std::move(value));
    event_.Set();
  }
  bool is_set() const { return event_.is_set(); }
  // The value, or why the context ended first.
  Task<absl::StatusOr<T>> Take(Context ctx) {
    absl::Status s = co_await event_.Wait(ctx);
    if (!s.ok()) co_return s;
    co_return std::move(*value_);
  }

 private:
  Event event_;
  std::optional<T> value_;
};

// A queue between coroutines. `capacity` bounds what Push may hold without waiting (0: unbounded).
// After Close, Push fails with kFailedPrecondition, and Pop drains what is left, then gives nullopt.
template <typename T>
class Channel {
 public:
  explicit Channel(size_t capacity = 0) : capacity_(capacity) {}

  Task<absl::Status> Push(Context ctx, T value) {
    while (!closed_ && capacity_ != 0 && queue_.size() >= capacity_) {
      absl::Status s = co_await not_full_.Wait(ctx);
      if (!s.ok()) co_return s;
    }
    if (!TryPush(std::move(value), /*force=*/true)) co_return absl::FailedPreconditionError("channel closed");
    co_return absl::OkStatus();
  }
  // Without waiting: false if closed, or full unless `force`.
  bool TryPush(T value, bool force = false) {
    if (closed_ || (!force && capacity_ != 0 && queue_.size() >= capacity_)) return false;
    queue_.push_back(std::move(value));
    not_empty_.NotifyOne();
    return true;
  }
  Task<absl::StatusOr<std::optional<T>>> Pop(Context ctx) {
    while (queue_.empty()) {
      if (closed_) co_return std::optional<T>();
      absl::Status s = co_await not_empty_.Wait(ctx);
      if (!s.ok()) co_return s;
    }
    co_return TryPop();
  }
  std::optional<T> TryPop() {
    if (queue_.empty()) return std::nullopt;
    std::optional<T> out(std::move(queue_.front()));
    queue_.pop_front();
    not_full_.NotifyOne();
    return out;
  }
  void Close() {
    closed_ = true;
    not_empty_.NotifyAll();
    not_full_.NotifyAll();
  }
  bool closed() const { return closed_; }
  size_t size() const { return queue_.size(); }

 private:
  size_t capacity_;
  bool closed_ = false;
  std::deque<T> queue_;
  Condition not_empty_;
  Condition not_full_;
};

// Permits, given out first come, first served. A mutex across awaits is Semaphore(1).
class Semaphore {
 public:
  explicit Semaphore(size_t permits) : permits_(permits) {}
  Task<absl::Status> Acquire(Context ctx) {
    while (permits_ == 0) {
      absl::Status s = co_await waiters_.Wait(ctx);
      if (!s.ok()) co_return s;
    }
    --permits_;
    co_return absl::OkStatus();
  }
  void Release() {
    ++permits_;
    waiters_.NotifyOne();
  }
  size_t available() const { return permits_; }

 private:
  size_t permits_;
  Condition waiters_;
};

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_WAIT_H_
