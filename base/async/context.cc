#include "base/async/context.h"

#include <utility>

#include "base/async/wait.h"

namespace insula {
namespace internal {

// A node of the tree of contexts. It hears of its parent's end as a hook there, and holds the parent alive.
class ContextState : public CancelHook {
 public:
  class Head : public CancelHook {
   public:
    void OnCancel(const absl::Status&) override {}
  };

  ContextState(Executor* executor, RequestInfo info) : executor_(executor), info_(info) { InitHead(); }
  ContextState(std::shared_ptr<ContextState> parent, RequestInfo info)
      : executor_(parent->executor_), info_(info), parent_(std::move(parent)), deadline_(parent_->deadline_) {
    InitHead();
    if (parent_->status_.ok()) {
      parent_->Add(this);
    } else {
      status_ = parent_->status_;
    }
  }
  ~ContextState() override {
    if (timer_ != 0) executor_->CancelTimer(timer_);
    Splice();
  }

  void SetDeadline(MonoTime deadline) {
    if (deadline_ && *deadline_ <= deadline) return;
    deadline_ = deadline;
    if (!status_.ok()) return;
    timer_ = executor_->StartTimer(deadline, [this] {
      timer_ = 0;
      End(absl::DeadlineExceededError("deadline exceeded"));
    });
  }

  void Add(CancelHook* hook) {
    CHECK(status_.ok());
    hook->prev_ = head_.prev_;
    hook->next_ = &head_;
    head_.prev_->next_ = hook;
    head_.prev_ = hook;
  }

  void OnCancel(const absl::Status& why) override { End(why); }

  void End(const absl::Status& why) {
    if (!status_.ok()) return;
    status_ = why;
    if (timer_ != 0) executor_->CancelTimer(std::exchange(timer_, 0));
    while (head_.next_ != &head_) {
      CancelHook* hook = head_.next_;
      hook->UnlinkHook();
      hook->OnCancel(status_);
    }
  }

  Executor* executor_;
  RequestInfo info_;
  std::shared_ptr<ContextState> parent_;
  std::optional<MonoTime> deadline_;
  TimerId timer_ = 0;
  absl::Status status_;

 private:
  void InitHead() { head_.prev_ = head_.next_ = &head_; }
  // Lets go of hooks that outlive this state (only their frames' destruction is to come).
  void Splice() {
    while (head_.next_ != &head_) head_.next_->UnlinkHook();
    head_.prev_ = head_.next_ = nullptr;
  }
  Head head_;
};

}  // namespace internal

using internal::ContextState;

Context Context::Background(Executor* executor, RequestInfo info) { return Context(std::make_shared<ContextState>(executor, info)); }

Context Context::WithCancel() const { return Context(std::make_shared<ContextState>(state_, state_->info_)); }

Context Context::WithTimeout(Duration timeout) const { return WithDeadline(state_->executor_->Now() + timeout); }

Context Context::WithDeadline(MonoTime deadline) const {
  Context child = WithCancel();
  child.state_->SetDeadline(deadline);
  return child;
}

Context Context::WithInfo(RequestInfo info) const { return Context(std::make_shared<ContextState>(state_, info)); }

void Context::Cancel(absl::Status why) const {
  auto keep_alive = state_;
  keep_alive->End(why);
}

const absl::Status& Context::status() const { return state_->status_; }
std::optional<MonoTime> Context::deadline() const { return state_->deadline_; }
const RequestInfo& Context::info() const { return state_->info_; }
Executor& Context::executor() const { return *state_->executor_; }
void Context::AddHook(internal::CancelHook* hook) const { state_->Add(hook); }

Task<absl::Status> Context::Yield() const {
  if (!status().ok()) co_return status();
  co_await internal::YieldAwaiter(&executor());
  co_return status();
}

Task<absl::Status> Sleep(const Context& ctx, Duration duration) {
  Event never(&ctx.executor());
  Context timed = ctx.WithTimeout(duration);
  absl::Status why = co_await never.Wait(timed);
  // The timer's end is the normal one; an end of the outer context (its own deadline included) is reported.
  co_return ctx.status();
}

}  // namespace insula
