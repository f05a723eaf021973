// Children that run side by side under one parent, awaited or cancelled together.
//
//   TaskGroup group(ctx);
//   for (auto& peer : peers) group.Spawn(SendTo(group.ctx(), peer));
//   co_await group.Wait();        // all done
//   group.Cancel();               // or: end them; still Wait() for them
//
// A child starts on the ready list (never inline). A group that is destroyed destroys what still runs, at its awaits.
// A component that serves for as long as it lives holds a TaskGroup as its last member.
#ifndef INSULA_BASE_ASYNC_TASK_GROUP_H_
#define INSULA_BASE_ASYNC_TASK_GROUP_H_

#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"

namespace insula {

class TaskGroup {
 public:
  explicit TaskGroup(const Context& parent);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  const Context& ctx() const { return ctx_; }
  // Runs `task` as a child. What it references must outlive the group.
  void Spawn(Task<void> task);
  // Same, for a callable that makes the task; the callable (a coroutine lambda with captures) lives as long as the child.
  template <typename F>
  void SpawnFn(F fn) {
    Spawn(RunFn(std::move(fn)));
  }
  void Cancel() { ctx_.Cancel(); }
  // Until no child is left. Not cancelled by anything but the end of the children.
  Task<void> Wait();
  size_t size() const { return children_.size(); }

 private:
  struct Child;
  template <typename F>
  static Task<void> RunFn(F fn) {
    co_await fn();
  }
  static Task<void> RunChild(TaskGroup* group, Child* child);

  Context ctx_;
  Context uncancelled_;
  Condition empty_;
  std::list<std::unique_ptr<Child>> children_;
};

// All of `tasks` side by side; results in the order given.
template <typename T>
Task<std::vector<T>> WhenAll(const Context& ctx, std::vector<Task<T>> tasks) {
  std::vector<std::optional<T>> slots(tasks.size());
  TaskGroup group(ctx);
  for (size_t i = 0; i < tasks.size(); ++i) {
    group.SpawnFn([task = std::move(tasks[i]), slot = &slots[i]]() mutable -> Task<void> { slot->emplace(co_await std::move(task)); });
  }
  co_await group.Wait();
  std::vector<T> out;
  out.reserve(slots.size());
  for (auto& slot : slots) out.push_back(std::move(*slot));
  co_return out;
}

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_TASK_GROUP_H_
