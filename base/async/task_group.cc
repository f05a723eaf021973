#include "base/async/task_group.h"

namespace insula {

// A child's frame and its place in the ready list. `wrapper` awaits `task` and then takes the child off the list.
struct TaskGroup::Child {
  Task<void> task;
  Task<void> wrapper;
  ReadyNode start;
  std::list<std::unique_ptr<Child>>::iterator self;
};

TaskGroup::TaskGroup(const Context& parent) : ctx_(parent.WithCancel()), uncancelled_(Context::Background(&parent.executor())) {}

TaskGroup::~TaskGroup() {
  // Frames go youngest first; each unregisters from what it waits on.
  while (!children_.empty()) {
    std::unique_ptr<Child> child = std::move(children_.back());
    children_.pop_back();
    child.reset();
  }
}

void TaskGroup::Spawn(Task<void> task) {
  auto owned = std::make_unique<Child>();
  Child* child = owned.get();
  child->task = std::move(task);
  child->self = children_.insert(children_.end(), std::move(owned));
  child->wrapper = RunChild(this, child);
  child->start.handle = child->wrapper.handle();
  ctx_.executor().MakeReady(&child->start);
}

namespace {

// Deletes a finished child from outside its own frame: a frame cannot destroy itself while it runs.
template <typename F>
struct Reaper {
  F reap;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) noexcept { reap(); }
  void await_resume() noexcept {}
};
template <typename F>
Reaper(F) -> Reaper<F>;

}  // namespace

Task<void> TaskGroup::RunChild(TaskGroup* group, Child* child) {
  co_await std::move(child->task);
  // Suspended here, so the frame may be destroyed; nothing of it is touched afterwards.
  auto reap = [group, child] {
    auto self = child->self;
    std::unique_ptr<Child> doomed = std::move(*self);
    group->children_.erase(self);
    if (group->children_.empty()) group->empty_.NotifyAll();
  };
  co_await Reaper{reap};
}

Task<void> TaskGroup::Wait() {
  while (!children_.empty()) {
    absl::Status status = co_await empty_.Wait(uncancelled_);
    CHECK_OK(status);
  }
}

}  // namespace insula
