#include "base/real/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>

#include <charconv>
#include <chrono>
#include <utility>

#include "base/async/blocking.h"
#include "base/real/grpc_client.h"
#include "base/real/grpc_identity.h"
#include "base/strings.h"

namespace insula::real {
namespace {

int Millis(Duration d) { return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()); }

template <typename T>
T NumberOr0(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const char* key) {
  T out = 0;
  auto it = metadata.find(key);
  if (it != metadata.end()) std::from_chars(it->second.data(), it->second.data() + it->second.size(), out);
  return out;
}

// Calls that gRPC may hand out before the poller's thread has asked for more.
constexpr int kAskAhead = 4;

}  // namespace

// Calls on their way from gRPC to the loop. Shared, so that either side may go first.
class GrpcServer::Arrivals : public std::enable_shared_from_this<Arrivals> {
 public:
  Arrivals(GrpcServer* server, std::shared_ptr<PostQueue> posts, GrpcPoller* poller) : server_(server), posts_(std::move(posts)), poller_(poller) {}

  grpc::AsyncGenericService* service() { return &service_; }
  GrpcPoller* poller() { return poller_; }
  void AskForCall();
  // Poller thread.
  void Arrived(std::shared_ptr<Call> call);
  // Loop: nothing is served from now on; calls that came and those that still come are refused.
  void Close();

 private:
  void ServeOne(uint64_t id);

  GrpcServer* server_;  // loop
  std::shared_ptr<PostQueue> posts_;
  GrpcPoller* poller_;
  grpc::AsyncGenericService service_;
  std::mutex mutex_;
  bool closed_ = false;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::shared_ptr<Call>> unserved_;
};

class GrpcServer::Call : public GrpcStream {
 public:
  Call(std::shared_ptr<PostQueue> posts, std::shared_ptr<Arrivals> arrivals)
      : GrpcStream(std::move(posts), arrivals->poller()), arrivals_(std::move(arrivals)) {}

  void Ask() {
    std::lock_guard<std::mutex> lock(mutex_);
    Begin();
    context_.AsyncNotifyWhenDone(static_cast<Completion*>(&done_op_));  // comes only for calls that arrive
    arrivals_->service()->RequestCall(&context_, &stream_, poller_->queue(), poller_->queue(), arrive_op_.Start());
  }

  // Ends the call once what was sent has gone. The first time counts. Any thread.
  void End(const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (outcome_.has_value()) return;
    outcome_ = status;
    output_closed_ = true;
    abandoned_ = true;
    ClearInbox();
    if (outbox_.empty()) FinishNow();
  }

  // Loop: the context of the handler, to be cancelled when the caller goes.
  void SetHandlerContext(const Context& ctx) {
    handler_ctx_ = std::make_unique<Context>(ctx);
    std::lock_guard<std::mutex> lock(mutex_);
    if (cancelled_) handler_ctx_->Cancel(absl::CancelledError("the caller is gone"));
  }
  void ClearHandlerContext() { handler_ctx_.reset(); }

  const std::string& method() const { return context_.method(); }
  const RequestInfo& info() const { return info_; }
  const PeerIdentity& peer() const { return peer_; }

 private:
  void StartRead(grpc::ByteBuffer* into, void* tag) override { stream_.Read(into, tag); }
  void StartWrite(const grpc::ByteBuffer& message, bool more_follows, void* tag) override {
    grpc::WriteOptions options;
    if (more_follows) options.set_buffer_hint();
    stream_.Write(message, options, tag);
  }
  // The end of the caller's messages, or of the call: the word of the latter may come later, on its own.
  void OnInputEnd() override { cancelled_ |= grpc_call_failed_before_recv_message(context_.c_call()) != 0; }
  void OnOutboxEmpty() override {
    if (outcome_.has_value()) FinishNow();
  }
  std::optional<absl::Status> EndOfInput() override {
    if (cancelled_) return absl::CancelledError("the caller is gone");
    return absl::OkStatus();
  }
  void FinishNow() { stream_.Finish(ToGrpc(*outcome_), finish_op_.Start()); }

  void ArriveDone(bool ok) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!ok) {  // the server shuts down: there is no call
      complete_ = true;
      return;
    }
    done_op_.Start();
    const auto& metadata = context_.client_metadata();
    info_.trace_id = NumberOr0<uint64_t>(metadata, kTraceKey);
    info_.priority = NumberOr0<int>(metadata, kPriorityKey);
    if (auto auth = context_.auth_context()) peer_ = IdentityOf(*auth);
    peer_.address = context_.peer();
    Read();
    lock.unlock();
    arrivals_->AskForCall();
    arrivals_->Arrived(std::static_pointer_cast<Call>(shared_from_this()));
  }

  // The call is over as far as the network goes: finished, or cancelled.
  void DoneDone(bool) {
    std::lock_guard<std::mutex> lock(mutex_);
    network_done_ = true;
    complete_ = finish_done_;
    if (!context_.IsCancelled()) return;
    cancelled_ = true;
    output_broken_ = true;
    Notify();
    posts_->Post([self = std::static_pointer_cast<Call>(shared_from_this())] {
      if (self->handler_ctx_ != nullptr) self->handler_ctx_->Cancel(absl::CancelledError("the caller is gone"));
    });
  }

  void FinishDone(bool) {
    std::lock_guard<std::mutex> lock(mutex_);
    finish_done_ = true;
    complete_ = network_done_;
  }

  std::shared_ptr<Arrivals> arrivals_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  Op arrive_op_{this, static_cast<Op::Done>(&Call::ArriveDone)};
  Op done_op_{this, static_cast<Op::Done>(&Call::DoneDone)};
  Op finish_op_{this, static_cast<Op::Done>(&Call::FinishDone)};
  RequestInfo info_;
  PeerIdentity peer_;
  std::unique_ptr<Context> handler_ctx_;  // loop
  // Under mutex_:
  std::optional<absl::Status> outcome_;
  bool network_done_ = false;
  bool finish_done_ = false;
  bool cancelled_ = false;
};

class GrpcServer::Stream : public MessageStream {
 public:
  explicit Stream(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  Task<absl::Status> Send(const Context& ctx, std::string message) override { return call_->Send(ctx, std::move(message)); }
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) override { return call_->Receive(ctx); }
  Task<absl::Status> CloseSend(const Context& ctx) override { co_return absl::FailedPreconditionError("the server's side ends with its handler"); }
  const PeerIdentity& peer() const override { return call_->peer(); }

 private:
  std::shared_ptr<Call> call_;
};

void GrpcServer::Arrivals::AskForCall() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
  }
  std::make_shared<Call>(posts_, shared_from_this())->Ask();
}

void GrpcServer::Arrivals::Arrived(std::shared_ptr<Call> call) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!closed_) {
      uint64_t id = ++last_id_;
      unserved_.emplace(id, std::move(call));
      posts_->Post([self = shared_from_this(), id] { self->ServeOne(id); });
      return;
    }
  }
  call->End(absl::UnavailableError("the server is shutting down"));
}

void GrpcServer::Arrivals::ServeOne(uint64_t id) {
  std::shared_ptr<Call> call;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    auto it = unserved_.find(id);
    if (it == unserved_.end()) return;
    call = std::move(it->second);
    unserved_.erase(it);
  }
  server_->Serve(call);
}

void GrpcServer::Arrivals::Close() {
  std::map<uint64_t, std::shared_ptr<Call>> refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    refused.swap(unserved_);
  }
  server_ = nullptr;
  for (auto& [id, call] : refused) call->End(absl::UnavailableError("the server is shutting down"));
}

// Ends a call with its handler's status, or as cut off when the handler's frame is destroyed.
class GrpcServer::Finisher {
 public:
  explicit Finisher(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  Finisher(const Finisher&) = delete;
  Finisher& operator=(const Finisher&) = delete;
  ~Finisher() { Finish(absl::UnavailableError("the server is shutting down")); }
  void Finish(const absl::Status& status) {
    auto call = std::exchange(call_, nullptr);
    if (call == nullptr) return;
    call->ClearHandlerContext();
    call->End(status);
  }

 private:
  std::shared_ptr<Call> call_;
};

GrpcServer::GrpcServer(Loop* loop, GrpcPoller* poller, std::unique_ptr<grpc::ServerBuilder> builder,
                       std::shared_ptr<const TlsIdentity> identity, GrpcTransportOptions options)
    : loop_(loop),
      poller_(poller),
      builder_(std::move(builder)),
      identity_(std::move(identity)),
      options_(std::move(options)),
      arrivals_(std::make_shared<Arrivals>(this, loop->posts(), poller)),
      handlers_(std::make_unique<TaskGroup>(Context::Background(loop))) {}

GrpcServer::~GrpcServer() = default;

void GrpcServer::Stop() {
  arrivals_->Close();
  handlers_.reset();  // destroys the handlers, which ends their calls
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

void GrpcServer::Handle(std::string method, Transport::Handler handler) {
  CHECK(server_ == nullptr) << "Handle after Listen";
  methods_[std::move(method)] = std::move(handler);
}

absl::StatusOr<int> GrpcServer::Listen(const std::string& address) {
  CHECK(builder_ != nullptr) << "Listen twice";
  grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ssl.pem_root_certs = identity_->ca_pem();
  ssl.pem_key_cert_pairs.push_back({identity_->key_pem(), identity_->chain_pem()});
  int port = 0;
  auto builder = std::move(builder_);
  builder->AddListeningPort(address, grpc::SslServerCredentials(ssl), &port);
  builder->RegisterAsyncGenericService(arrivals_->service());
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(-1);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Half as often as the clients, whose pings tell both sides of a broken path.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(2 * options_.keepalive_time));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options_.keepalive_timeout));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20);
  server_ = builder->BuildAndStart();
  if (server_ == nullptr) return absl::AlreadyExistsError(StrCat("cannot listen on ", address, ": the port is in use, or the address not ours"));
  for (int i = 0; i < kAskAhead; ++i) arrivals_->AskForCall();
  return port;
}

void GrpcServer::Serve(const std::shared_ptr<Call>& call) {
  if (methods_.count(call->method()) == 0) return call->End(absl::UnimplementedError(StrCat("no method ", call->method())));
  Context ctx = handlers_->ctx().WithInfo(call->info()).WithCancel();
  call->SetHandlerContext(ctx);
  handlers_->Spawn(RunHandler(call, ctx));
}

Task<void> GrpcServer::RunHandler(std::shared_ptr<Call> call, Context ctx) {
  Finisher finisher(call);
  const Transport::Handler& handler = methods_.at(call->method());
  absl::Status status = co_await handler(ctx, std::make_unique<Stream>(call));
  finisher.Finish(status);
}

Task<void> GrpcServer::Shutdown(Duration grace) {
  if (server_ != nullptr) {
    // gRPC refuses new calls at once, cancels what is left after the grace time, and returns when all have ended.
    auto deadline = std::chrono::system_clock::now() + grace;
    Context uncancelled = Context::Background(loop_);
    co_await Blocking<int>(uncancelled, [server = server_, deadline] {
      server->Shutdown(deadline);
      return 0;
    });
  }
  co_await handlers_->Wait();
}

}  // namespace insula::real
