#include "kv/server/batch_service.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/server/authorization.h"

namespace insula::kv {
namespace {

constexpr size_t kReplyBytesPerMessage = 1 << 20;
// An answer and what goes around it fit into one message.
constexpr size_t kMaxReplyBytes = kMaxMessageBytes - kReplyBytesPerMessage - (64 << 10);
constexpr Duration kRetryAfter = std::chrono::milliseconds(20);

v1::BatchResponse ErrorResponse(const absl::Status& status) {
  v1::BatchResponse response;
  *response.mutable_error() = ToKvError(status);
  return response;
}

// Texts on the wire are UTF-8, or the whole message does not parse at the other end: bytes of keys and the like are written out.
void MakePrintable(std::string* text) {
  auto plain = [](char c) { return c >= ' ' && c <= '~'; };
  if (std::all_of(text->begin(), text->end(), plain)) return;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : *text) {
    const auto byte = static_cast<unsigned char>(c);
    plain(c) ? out.push_back(c) : StrAppend(&out, "\\x", kHex[byte >> 4], kHex[byte & 15]);
  }
  *text = std::move(out);
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
  if (status.code() == absl::StatusCode::kPermissionDenied) return PermissionDeniedError(-1);
  return UnavailableKvError("the tenant registry cannot be read right now");
}

// A lookup that somebody else can answer, or complete.
bool IsLookupElsewhere(const v1::BatchResponse& response) {
  if (response.has_error()) return response.error().has_range_mismatch();
  return response.responses_size() == 1 && !response.responses(0).range_lookup().go_on().empty();
}

}  // namespace

KvWork WorkOf(const v1::BatchRequest& batch, uint64_t bytes) {
  KvWork work;
  for (const v1::Request& request : batch.requests()) {
    ++(FlagsOf(request) & kWrites ? work.write_requests : work.read_requests);
    // The node resolves what the transaction left behind, on the tenant's account.
    if (request.has_end_txn() && !request.end_txn().one_phase()) work.write_requests += request.end_txn().lock_spans_size() + request.end_txn().in_flight_size();
  }
  if (work.write_requests > 0) work.write_bytes = bytes;
  return work;
}

bool IsOnePhase(const v1::BatchRequest& batch) {
  if (batch.requests_size() == 0) return false;
  const v1::Request& last = batch.requests(batch.requests_size() - 1);
  return last.has_end_txn() && last.end_txn().one_phase();
}

bool IsFinishing(const v1::BatchRequest& batch) {
  if (batch.requests_size() == 0) return false;
  const v1::Request& last = batch.requests(batch.requests_size() - 1);
  return last.has_end_txn() || last.has_heartbeat_txn() || last.has_query_outcome();
}

// One stream.
class BatchService::Session {
 public:
  Session(BatchService* service, const Context& ctx, std::unique_ptr<MessageStream> stream)
      : service_(service), stream_(std::move(stream)), caller_(IdentifyPeer(stream_->peer())), tasks_(ctx) {}

  Task<absl::Status> Run() {
    if (caller_.role == Role::kTenant) {
      CO_ASSIGN_OR_RETURN(auto admitted, service_->admission_->OpenStream(caller_.tenant));
      admitted_.emplace(std::move(admitted));
    } else if (caller_.role != Role::kNode) {
      co_return absl::PermissionDeniedError(StrCat(caller_.ToString(), " may not send batches"));
    }
    tasks_.SpawnFn([this]() -> Task<void> {
      absl::Status status = co_await Write();
      // Nothing can be answered any more: reading ends, too.
      if (!status.ok()) tasks_.ctx().Cancel(status);
    });
    absl::Status result = co_await Read();
    // The client has gone, or says that nothing more comes: what runs for it has no taker.
    tasks_.Cancel();
    co_await tasks_.Wait();
    co_return result;
  }

 private:
  // A batch from its arrival until its answer went out.
  struct Call {
    uint64_t id = 0;
    uint64_t bytes = 0;
    Admission::Batch held;  // tenants only
  };
  struct Answer {
    Call call;
    v1::StreamResponse::Reply reply;
  };

  Task<absl::Status> Read() {
    const Context& ctx = tasks_.ctx();
    while (true) {
      while (bytes_ > kHardInFlightBytes || under_way_ >= kHardInFlightCalls) CO_RETURN_IF_ERROR(co_await room_.Wait(ctx));
      CO_ASSIGN_OR_RETURN(auto message, co_await stream_->Receive(ctx));
      if (!message) co_return absl::OkStatus();
      v1::StreamRequest request;
      if (!request.ParseFromString(*message)) co_return absl::InvalidArgumentError("a stream message does not parse");
      for (uint64_t id : request.cancel()) {
        if (auto it = running_.find(id); it != running_.end()) it->second.Cancel();
      }
      for (auto& call : *request.mutable_calls()) CO_RETURN_IF_ERROR(Begin(std::move(call)));
    }
  }

  absl::Status Begin(v1::StreamRequest::Call received) {
    service_->metrics_->batches->Increment();
    const v1::BatchHeader& header = received.batch().header();
    RequestInfo info{.trace_id = header.trace_id(), .tenant_id = caller_.tenant, .priority = header.priority()};
    Context ctx = tasks_.ctx().WithInfo(info);
    if (header.timeout_us() > 0) ctx = ctx.WithTimeout(std::chrono::microseconds(std::min(header.timeout_us(), kMaxWaitMicros)));
    auto [it, fresh] = running_.try_emplace(received.id(), ctx);
    if (!fresh) return absl::InvalidArgumentError(StrCat("call ", received.id(), " is under way already"));
    Call call{.id = received.id(), .bytes = received.ByteSizeLong(), .held = {}};
    ++under_way_;
    bytes_ += call.bytes;
    absl::Status bounded = CheckBounds(received.batch(), &call);
    if (!bounded.ok()) {
      Finish(std::move(call), ErrorResponse(bounded));
      return absl::OkStatus();
    }
    tasks_.Spawn(RunCall(ctx, std::move(call), std::move(*received.mutable_batch())));
    return absl::OkStatus();
  }

  absl::Status CheckBounds(const v1::BatchRequest& batch, Call* call) {
    const bool finishing = IsFinishing(batch);
    // What is alone on the stream passes.
    const bool full = (bytes_ > kMaxInFlightBytes && under_way_ > 1) || under_way_ > kMaxInFlightCalls;
    if (full && !finishing) return UnavailableKvError("too much is under way on this stream; try again later", kRetryAfter);
    if (!admitted_) return absl::OkStatus();
    if (call->bytes > kMaxTenantBatchBytes) return InvalidError(StrCat("a batch of ", call->bytes, " bytes is larger than ", kMaxTenantBatchBytes));
    ASSIGN_OR_RETURN(call->held, admitted_->Begin(call->bytes, finishing));
    return absl::OkStatus();
  }

  Task<void> RunCall(Context ctx, Call call, v1::BatchRequest batch) {
    // Named: the answer is made before the call moves.
    v1::BatchResponse response = co_await (admitted_ ? ServeTenant(ctx, call, std::move(batch)) : ServeNode(ctx, call, std::move(batch)));
    Finish(std::move(call), std::move(response));
  }

  Task<v1::BatchResponse> ServeNode(Context ctx, Call& call, v1::BatchRequest batch) {
    service_->admission_->ChargeSystem(CostOf(service_->admission_->cost_model(), WorkOf(batch, call.bytes)));
    co_return co_await service_->executor_->Execute(ctx, std::move(batch));
  }

  Task<v1::BatchResponse> ServeTenant(Context ctx, Call& call, v1::BatchRequest batch) {
    const CostModel& model = service_->admission_->cost_model();
    absl::StatusOr<TenantScope> scope = co_await Identify(ctx, batch);
    if (!scope.ok()) co_return ErrorResponse(scope.status());
    absl::Status allowed = service_->Authorize(*scope, caller_, stream_->peer(), batch);
    if (!allowed.ok()) {
      // Looking at it was work, too.
      call.held.Charge(CostOf(model, {}));
      co_return ErrorResponse(allowed);
    }
    bool waited = false;
    absl::Status turn = co_await AwaitTurn(ctx, call, batch, &waited);
    if (!turn.ok()) co_return ErrorResponse(turn);
    if (waited) {
      // Meanwhile the tenant may have lost its place.
      scope = co_await Identify(ctx, batch);
      if (!scope.ok()) co_return ErrorResponse(scope.status());
    }
    batch.mutable_header()->set_tenant_id(scope->tenant);
    v1::BatchResponse response = co_await Execute(ctx, std::move(batch));
    service_->Filter(*scope, &response);
    call.held.Charge(CostOfReadBytes(model, response.ByteSizeLong()));
    co_return response;
  }

  Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) {
    if (batch.requests_size() != 1 || !batch.requests(0).has_range_lookup()) co_return co_await service_->executor_->Execute(ctx, std::move(batch));
    v1::RangeLookupRequest lookup = batch.requests(0).range_lookup();
    v1::BatchResponse response = co_await service_->executor_->Execute(ctx, std::move(batch));
    if (!IsLookupElsewhere(response)) co_return response;
    PROBE("a tenant's lookup was passed on");
    response = co_await service_->executor_->LookUp(ctx, std::move(lookup));
    // What went wrong on the way is nothing of the tenant's.
    if (response.has_error()) co_return ErrorResponse(UnavailableKvError("the address cannot be looked up right now"));
    co_return response;
  }

  Task<absl::StatusOr<TenantScope>> Identify(const Context& ctx, const v1::BatchRequest& batch) {
    return service_->Identify(ctx, caller_, stream_->peer(), batch.header().range_id());
  }
  bool AnswersPileUp(const v1::BatchRequest& batch) const { return unsent_bytes_ > kMaxUnsentBytes && !IsFinishing(batch); }

  // Until the batch may begin: the tenant's plan pays for it, the disk takes what it writes, it is the tenant's turn, and answers of the stream are taken.
  Task<absl::Status> AwaitTurn(const Context& ctx, Call& call, const v1::BatchRequest& batch, bool* waited) {
    const KvWork work = WorkOf(batch, call.bytes);
    const MilliRu cost = CostOf(service_->admission_->cost_model(), work);
    // Others may wait for what ends a transaction. If all of it is in this batch, nobody does.
    const bool finishing = IsFinishing(batch) && !IsOnePhase(batch);
    if (!call.held.TryPlan(cost, finishing)) {
      *waited = true;
      CO_RETURN_IF_ERROR(TurnError(ctx, co_await call.held.AdmitPlan(ctx, cost, finishing, batch.header().priority())));
    }
    if (work.write_bytes > 0 && finishing) {
      call.held.ChargeWrite(work.write_bytes);
    } else if (work.write_bytes > 0 && !call.held.TryWrite(work.write_bytes)) {
      *waited = true;
      CO_RETURN_IF_ERROR(TurnError(ctx, co_await call.held.AdmitWrite(ctx, work.write_bytes, batch.header().priority())));
    }
    if (!call.held.TryAdmit(cost)) {
      *waited = true;
      CO_RETURN_IF_ERROR(TurnError(ctx, co_await call.held.Admit(ctx, cost, batch.header().priority())));
    }
    while (AnswersPileUp(batch)) {
      *waited = true;
      CO_RETURN_IF_ERROR(co_await room_.Wait(ctx));
    }
    co_return absl::OkStatus();
  }
  // A wait ended: turned away by the gate, or the context did.
  static absl::Status TurnError(const Context& ctx, const absl::Status& turn) { return turn.ok() || ctx.done() ? turn : GateError(turn); }

  void Finish(Call call, v1::BatchResponse response) {
    running_.erase(call.id);
    if (response.has_error()) MakePrintable(response.mutable_error()->mutable_message());
    uint64_t reply_bytes = response.ByteSizeLong();
    if (reply_bytes > kMaxReplyBytes) {
      response = ErrorResponse(InvalidError(StrCat("an answer of ", reply_bytes, " bytes is larger than a message may be; ask for less at a time")));
      reply_bytes = response.ByteSizeLong();
    }
    bytes_ += reply_bytes - call.bytes;
    unsent_bytes_ += reply_bytes;
    call.bytes = reply_bytes;
    if (admitted_ && call.held.valid()) call.held.SetBytes(reply_bytes);
    Answer& answer = answers_.emplace_back();
    answer.reply.set_id(call.id);
    *answer.reply.mutable_batch() = std::move(response);
    answer.call = std::move(call);
    answered_.NotifyAll();
    room_.NotifyAll();
  }

  // Only ends with an error.
  Task<absl::Status> Write() {
    const Context& ctx = tasks_.ctx();
    while (true) {
      while (answers_.empty()) CO_RETURN_IF_ERROR(co_await answered_.Wait(ctx));
      v1::StreamResponse message;
      std::vector<Call> sent;
      size_t bytes = 0;
      for (; sent.size() < answers_.size() && bytes < kReplyBytesPerMessage; sent.push_back(std::move(answers_[sent.size()].call))) {
        Answer& next = answers_[sent.size()];
        if (bytes > 0 && bytes + next.call.bytes > kMaxReplyBytes) break;
        bytes += next.call.bytes;
        *message.add_replies() = std::move(next.reply);
      }
      answers_.erase(answers_.begin(), answers_.begin() + static_cast<long>(sent.size()));
      absl::Status written = co_await stream_->Send(ctx, message.SerializeAsString());
      for (const Call& call : sent) {
        bytes_ -= call.bytes;
        unsent_bytes_ -= call.bytes;
        --under_way_;
      }
      CO_RETURN_IF_ERROR(written);
      sent.clear();
      room_.NotifyAll();
    }
  }

  BatchService* service_;
  std::unique_ptr<MessageStream> stream_;
  Identity caller_;
  std::optional<Admission::Stream> admitted_;  // a tenant's
  std::map<uint64_t, Context> running_;        // by call id; until there is an answer
  std::vector<Answer> answers_;
  size_t under_way_ = 0;       // calls whose answers did not go out
  uint64_t bytes_ = 0;         // of those: requests, or answers
  uint64_t unsent_bytes_ = 0;  // answers alone
  Condition room_, answered_;
  TaskGroup tasks_;
};

void BatchService::Register(Transport* transport) {
  transport->Handle("/insula.kv.v1.Kv/Batch", [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Session session(this, ctx, std::move(stream));
    co_return co_await session.Run();
  });
}

Task<absl::StatusOr<TenantScope>> BatchService::Identify(const Context& ctx, const Identity& caller, const PeerIdentity& peer, uint64_t range) {
  const uint64_t lease = executor_->LeaseSequence(range);
  auto remembered = gate_->Remembered(caller, range, lease, ctx.executor().Now());
  absl::StatusOr<TenantScope> scope = remembered ? *std::move(remembered) : co_await gate_->Admit(ctx, caller, range, lease);
  if (scope.ok()) co_return scope;
  if (scope.status().code() == absl::StatusCode::kFailedPrecondition) {
    denials_->Denied("generation", caller, peer, Sv(scope.status().message()));
  } else if (scope.status().code() == absl::StatusCode::kPermissionDenied) {
    denials_->Denied("tenant", caller, peer, Sv(scope.status().message()));
  }
  co_return GateError(scope.status());
}

absl::Status BatchService::Authorize(const TenantScope& scope, const Identity& caller, const PeerIdentity& peer, const v1::BatchRequest& batch) {
  std::string target;
  absl::Status allowed = AuthorizeTenantBatch(scope, executor_->LatestTimestamp(), batch, &target);
  if (!allowed.ok()) {
    PROBE("a tenant reached for what is not its own");
    const bool denied = allowed.code() == absl::StatusCode::kPermissionDenied;
    denials_->Denied(denied ? "key" : "malformed", caller, peer, denied ? std::string_view(target) : Sv(allowed.message()));
  }
  return allowed;
}

void BatchService::Filter(const TenantScope& scope, v1::BatchResponse* response) {
  std::string taken = FilterForTenant(scope, response);
  if (!taken.empty()) LOG_ERROR("a tenant's batch failed inside", {"tenant", scope.tenant}, {"why", taken});
}

}  // namespace insula::kv
