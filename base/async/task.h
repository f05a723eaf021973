// Task<T>: a lazy C++20 coroutine. It starts when awaited (or spawned into a TaskGroup) and its frame is owned by the Task.
//
//   Task<absl::StatusOr<int>> Sum(const Context& ctx, Source& source) {
//     CO_ASSIGN_OR_RETURN(int a, co_await source.Read(ctx));
//     CO_ASSIGN_OR_RETURN(int b, co_await source.Read(ctx));
//     co_return a + b;
//   }
//
// Structured: a Task that is destroyed destroys its frame, and with it every child that it awaits. Whatever a coroutine
// waits on (base/async/wait.h) unregisters itself when its frame goes, so destroying a suspended Task at any await is safe;
// the simulator crashes processes that way.
//
// Parameters: a coroutine copies its by-value parameters into the frame and keeps references as references, so what is
// passed by reference must outlive the await. `Foo(ctx, StrCat(…))` with a `std::string_view` parameter is fine when
// awaited in the same full expression, and wrong when spawned.
//
// Never throw: exceptions leaving a coroutine end the process. Not thread-safe: a Task lives on one executor.
#ifndef INSULA_BASE_ASYNC_TASK_H_
#define INSULA_BASE_ASYNC_TASK_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.h"

namespace insula {

template <typename T = void>
class Task;

namespace internal {

class TaskPromiseBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      auto continuation = h.promise().continuation_;
      return continuation ? continuation : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }
  void set_continuation(std::coroutine_handle<> c) { continuation_ = c; }

 private:
  std::coroutine_handle<> continuation_;
};

template <typename T>
class TaskPromise : public TaskPromiseBase {
 public:
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& value) { value_.emplace(std::forward<U>(value)); }
  T Take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void Take() {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      Reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { Reset(); }

  explicit operator bool() const { return handle_ != nullptr; }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        handle.promise().set_continuation(parent);
        return handle;
      }
      T await_resume() { return handle.promise().Take(); }
    };
    DCHECK(handle_ && !handle_.done());
    return Awaiter{handle_};
  }

  // For TaskGroup and the executors only.
  Handle handle() const { return handle_; }

 private:
  void Reset() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }
  Handle handle_ = nullptr;
};

namespace internal {
template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}
}  // namespace internal

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_TASK_H_
