#include "kv/server/leader_calls.h"

#include <utility>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "tenant/method_access.h"

namespace insula::kv {

void LeaderCalls::Add(Transport* server, std::string method, Local local, IsRelayed is_relayed) {
  if (!is_relayed) is_relayed = [](const Identity& caller, const std::string&) { return caller.role == Role::kNode; };
  server->Handle(method, [this, method, local = std::move(local), is_relayed = std::move(is_relayed)](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Identity caller = IdentifyPeer(stream->peer());
    if (!MayCall(caller.role, method)) co_return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not call ", method));
    CO_ASSIGN_OR_RETURN(auto request, co_await stream->Receive(ctx));
    if (!request) co_return absl::InvalidArgumentError("there is no request");
    CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership_->Find(ctx));
    if (leader.here) co_return co_await local(ctx, caller, *std::move(request), *stream);
    if (is_relayed(caller, *request)) co_return absl::UnavailableError("this node does not lead the system range");
    co_return co_await Relay(ctx, leader.address, method, *std::move(request), *stream);
  });
}

void LeaderCalls::AddUnary(Transport* server, std::string method, Answer answer) {
  Add(server, std::move(method), [answer = std::move(answer)](Context ctx, const Identity&, std::string request, MessageStream& stream) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(std::string response, co_await answer(ctx, std::move(request)));
    co_return co_await stream.Send(ctx, std::move(response));
  });
}

Task<absl::Status> LeaderCalls::Relay(const Context& ctx, std::string address, std::string method, std::string request, MessageStream& caller) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, std::move(address), std::move(method)));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::move(request)));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await caller.Send(ctx, *std::move(message)));
  }
}

// Two sources wake one loop.
struct LeaderCalls::Watch::State {
  explicit State(const Context& ctx) : sources(ctx) {}
  Condition woken;
  TaskGroup sources;
  static Task<void> PassOn(State* state, Condition* source) {
    while ((co_await source->Wait(state->sources.ctx())).ok()) state->woken.NotifyAll();
  }
};

LeaderCalls::Watch::Watch(const Context& ctx, SystemLeadership* leadership, Condition* source) : state_(std::make_unique<State>(ctx)) {
  state_->sources.Spawn(State::PassOn(state_.get(), source));
  state_->sources.Spawn(State::PassOn(state_.get(), &leadership->changed()));
}
LeaderCalls::Watch::~Watch() = default;

Task<absl::Status> LeaderCalls::Watch::Wait(const Context& ctx) { co_return co_await state_->woken.Wait(ctx); }

}  // namespace insula::kv
