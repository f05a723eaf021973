// Blocking work as a Task: leaves the loop for a pool thread and comes back with the result.
//
//   std::string key = co_await Blocking<std::string>(ctx, [salt, password] { return Pbkdf2(password, salt, 4096); });
//
// `work` must own what it uses: it runs to its end even when the awaiting frame is destroyed. So it is not cancelled by the
// context either; a caller that must not wait checks its context before.
#ifndef INSULA_BASE_ASYNC_BLOCKING_H_
#define INSULA_BASE_ASYNC_BLOCKING_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"

namespace insula {

template <typename T>
Task<T> Blocking(const Context& ctx, absl::AnyInvocable<T()> work) {
  struct State {
    std::optional<T> result;
    Event done;
  };
  auto state = std::make_shared<State>();
  Context uncancelled = Context::Background(&ctx.executor());
  ctx.executor().RunBlocking([state, work = std::move(work)]() mutable { state->result.emplace(work()); },
                             [state] { state->done.Set(); });
  absl::Status waited = co_await state->done.Wait(uncancelled);
  CHECK_OK(waited);
  co_return std::move(*state->result);
}

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_BLOCKING_H_
