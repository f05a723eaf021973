#include "kv/server/batch_service.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/server/authorization.h"

namespace insula::kv {
namespace {

constexpr size_t kReplyBytesPerMessage = 1 << 20;

v1::BatchResponse ErrorResponse(const absl::Status& status) {
  v1::BatchResponse response;
  *response.mutable_error() = ToKvError(status);
  return response;
}

// What a tenant is told when the gate refuses it.
absl::Status GateError(const absl::Status& status) {
  v1::Error error;
  error.set_request_index(-1);
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    error.set_message(std::string(status.message()));
    error.mutable_stale_generation();
    return FromKvError(error);
  }
  if (status.code() == absl::StatusCode::kPermissionDenied) return PermissionDeniedError();
  return UnavailableKvError("the tenant registry cannot be read right now");
}

}  // namespace

// One stream.
class BatchService::Session {
 public:
  Session(BatchService* service, const Context& ctx, std::unique_ptr<MessageStream> stream)
      : service_(service), stream_(std::move(stream)), identity_(IdentifyPeer(stream_->peer())), tasks_(ctx) {}

  Task<absl::Status> Run() {
    if (identity_.role != Role::kTenant && identity_.role != Role::kNode) {
      co_return absl::PermissionDeniedError(StrCat(identity_.ToString(), " may not send batches"));
    }
    tasks_.Spawn(Write());
    absl::Status result = co_await Read();
    // The client has gone, or says that nothing more comes: what runs for it has no taker.
    tasks_.Cancel();
    co_await tasks_.Wait();
    co_return result;
  }

 private:
  struct Call {
    Context ctx;
    uint64_t bytes;
  };

  Task<absl::Status> Read() {
    const Context& ctx = tasks_.ctx();
    while (true) {
      while (in_flight_bytes_ > kMaxInFlightBytes || calls_.size() >= kMaxInFlightCalls) CO_RETURN_IF_ERROR(co_await room_.Wait(ctx));
      CO_ASSIGN_OR_RETURN(auto message, co_await stream_->Receive(ctx));
      if (!message) co_return absl::OkStatus();
      v1::StreamRequest request;
      if (!request.ParseFromString(*message)) co_return absl::InvalidArgumentError("a stream message does not parse");
      for (uint64_t id : request.cancel()) {
        if (auto it = calls_.find(id); it != calls_.end()) it->second.ctx.Cancel();
      }
      for (auto& call : *request.mutable_calls()) CO_RETURN_IF_ERROR(Begin(std::move(call)));
    }
  }

  absl::Status Begin(v1::StreamRequest::Call call) {
    const v1::BatchHeader& header = call.batch().header();
    RequestInfo info{.trace_id = header.trace_id(), .tenant_id = identity_.tenant, .priority = header.priority()};
    Context ctx = tasks_.ctx().WithInfo(info);
    if (header.timeout_us() > 0) ctx = ctx.WithTimeout(std::chrono::microseconds(header.timeout_us()));
    uint64_t bytes = call.ByteSizeLong();
    auto [it, fresh] = calls_.try_emplace(call.id(), Call{ctx, bytes});
    if (!fresh) return absl::InvalidArgumentError(StrCat("call ", call.id(), " is under way already"));
    in_flight_bytes_ += bytes;
    tasks_.Spawn(RunCall(ctx, call.id(), std::move(*call.mutable_batch())));
    return absl::OkStatus();
  }

  Task<void> RunCall(Context ctx, uint64_t id, v1::BatchRequest batch) {
    v1::BatchResponse response = co_await service_->Serve(ctx, identity_, std::move(batch));
    auto it = calls_.find(id);
    in_flight_bytes_ -= it->second.bytes;
    calls_.erase(it);
    room_.NotifyAll();
    v1::StreamResponse::Reply reply;
    reply.set_id(id);
    *reply.mutable_batch() = std::move(response);
    replies_.push_back(std::move(reply));
    replied_.NotifyAll();
  }

  Task<void> Write() {
    const Context& ctx = tasks_.ctx();
    while (true) {
      while (replies_.empty()) {
        if (!(co_await replied_.Wait(ctx)).ok()) co_return;
      }
      v1::StreamResponse message;
      size_t bytes = 0, taken = 0;
      for (; taken < replies_.size() && bytes < kReplyBytesPerMessage; ++taken) {
        bytes += replies_[taken].ByteSizeLong();
        *message.add_replies() = std::move(replies_[taken]);
      }
      replies_.erase(replies_.begin(), replies_.begin() + static_cast<long>(taken));
      // A stream that broke ends in Read.
      if (!(co_await stream_->Send(ctx, message.SerializeAsString())).ok()) co_return;
    }
  }

  BatchService* service_;
  std::unique_ptr<MessageStream> stream_;
  Identity identity_;
  std::map<uint64_t, Call> calls_;
  uint64_t in_flight_bytes_ = 0;
  std::vector<v1::StreamResponse::Reply> replies_;
  Condition room_, replied_;
  TaskGroup tasks_;
};

void BatchService::Register(Transport* transport) {
  transport->Handle("/insula.kv.v1.Kv/Batch", [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Session session(this, ctx, std::move(stream));
    co_return co_await session.Run();
  });
}

Task<v1::BatchResponse> BatchService::Serve(Context ctx, const Identity& identity, v1::BatchRequest batch) {
  ++counters_.batches;
  if (identity.role == Role::kNode) co_return co_await executor_->Execute(ctx, std::move(batch));

  uint64_t range = batch.header().range_id();
  auto scope = co_await gate_->Admit(ctx, identity, range, executor_->LeaseSequence(range));
  if (!scope.ok()) {
    ++counters_.denied;
    LOG_WARNING("a tenant's batch was refused", {"caller", identity.ToString()}, {"reason", std::string(scope.status().message())});
    co_return ErrorResponse(GateError(scope.status()));
  }
  absl::Status allowed = AuthorizeTenantBatch(*scope, batch);
  if (!allowed.ok()) {
    PROBE("a tenant reached for what is not its own");
    ++counters_.denied;
    LOG_WARNING("a tenant's batch was refused", {"caller", identity.ToString()}, {"keyspace", scope->keyspace}, {"reason", std::string(allowed.message())});
    co_return ErrorResponse(PermissionDeniedError());
  }
  batch.mutable_header()->set_tenant_id(scope->tenant);
  v1::BatchResponse response = co_await executor_->Execute(ctx, std::move(batch));
  FilterForTenant(*scope, &response);
  co_return response;
}

}  // namespace insula::kv
