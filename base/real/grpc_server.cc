#include "base/real/grpc_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>

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

}  // namespace

// One call. Owns itself until gRPC is done with it.
class GrpcServer::Call : public GrpcStream, public grpc::ServerGenericBidiReactor {
 public:
  Call(std::shared_ptr<PostQueue> posts, grpc::GenericCallbackServerContext* context)
      : GrpcStream(std::move(posts)), context_(context), method_(context->method()) {
    const auto& metadata = context->client_metadata();
    info_.trace_id = NumberOr0<uint64_t>(metadata, kTraceKey);
    info_.priority = NumberOr0<int>(metadata, kPriorityKey);
    if (auto auth = context->auth_context()) peer_ = IdentityOf(*auth);
    peer_.address = context->peer();
  }

  void Start() {
    self_ = std::static_pointer_cast<Call>(shared_from_this());
    std::lock_guard<std::mutex> lock(mutex_);
    reading_ = true;
    StartRead(&read_buffer_);
  }

  // Ends the call once what was sent has gone. The first time counts. Any thread.
  void End(const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (outcome_.has_value()) return;
    outcome_ = status;
    output_closed_ = true;
    abandoned_ = true;
    inbox_.clear();
    inbox_bytes_ = 0;
    if (outbox_.empty()) FinishNow();
  }

  // Loop: the context of the handler, to be cancelled when the caller goes.
  void SetHandlerContext(const Context& ctx) {
    handler_ctx_ = std::make_unique<Context>(ctx);
    std::lock_guard<std::mutex> lock(mutex_);
    if (cancelled_) handler_ctx_->Cancel(absl::CancelledError("the caller is gone"));
  }
  void ClearHandlerContext() { handler_ctx_.reset(); }

  const std::string& method() const { return method_; }
  const RequestInfo& info() const { return info_; }
  const PeerIdentity& peer() const { return peer_; }

 private:
  void StartReading(grpc::ByteBuffer* into) override {
    if (!finished_) StartRead(into);
  }
  void StartWriting(const grpc::ByteBuffer* message, bool more_follows) override {
    grpc::WriteOptions options;
    if (more_follows) options.set_buffer_hint();
    StartWrite(message, options);
  }
  void OnOutboxEmpty() override {
    if (outcome_.has_value()) FinishNow();
  }
  std::optional<absl::Status> EndOfInput() override {
    if (cancelled_ || context_->IsCancelled()) return absl::CancelledError("the caller is gone");
    return absl::OkStatus();
  }
  void FinishNow() {
    if (std::exchange(finished_, true)) return;
    Finish(ToGrpc(*outcome_));
  }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnCancel() override {
    std::lock_guard<std::mutex> lock(mutex_);
    cancelled_ = true;
    output_broken_ = true;
    Notify();
    posts_->Post([self = shared_from_this()] {
      auto* call = static_cast<Call*>(self.get());
      if (call->handler_ctx_ != nullptr) call->handler_ctx_->Cancel(absl::CancelledError("the caller is gone"));
    });
  }
  void OnDone() override {
    // The last reference goes on the loop, where waiters live.
    posts_->Post([self = std::move(self_)] {});
  }

  grpc::GenericCallbackServerContext* context_;  // valid until OnDone, which comes only after Finish
  const std::string method_;
  RequestInfo info_;
  PeerIdentity peer_;
  std::shared_ptr<Call> self_;
  std::unique_ptr<Context> handler_ctx_;  // loop
  // Under mutex_:
  std::optional<absl::Status> outcome_;
  bool finished_ = false;
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

// Takes calls from gRPC and hands them to the loop. Shared by both, so either may go first.
class GrpcServer::Service : public grpc::CallbackGenericService, public std::enable_shared_from_this<Service> {
 public:
  Service(GrpcServer* server, std::shared_ptr<PostQueue> posts) : server_(server), posts_(std::move(posts)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    auto call = std::make_shared<Call>(posts_, context);
    call->Start();
    Call* reactor = call.get();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!closed_) {
        uint64_t id = ++last_id_;
        unserved_.emplace(id, call);
        posts_->Post([self = shared_from_this(), id] { self->ServeOne(id); });
        return reactor;
      }
    }
    call->End(absl::UnavailableError("the server is shutting down"));
    return reactor;
  }

  // Loop: nothing is served from now on; calls that came and those that still come are refused.
  void Close() {
    std::map<uint64_t, std::shared_ptr<Call>> refused;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
      refused.swap(unserved_);
    }
    server_ = nullptr;
    for (auto& [id, call] : refused) call->End(absl::UnavailableError("the server is shutting down"));
  }

 private:
  void ServeOne(uint64_t id) {
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

  GrpcServer* server_;  // loop
  std::shared_ptr<PostQueue> posts_;
  std::mutex mutex_;
  bool closed_ = false;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::shared_ptr<Call>> unserved_;
};

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

GrpcServer::GrpcServer(Loop* loop, std::shared_ptr<const TlsIdentity> identity, GrpcTransportOptions options)
    : loop_(loop),
      identity_(std::move(identity)),
      options_(std::move(options)),
      service_(std::make_shared<Service>(this, loop->posts())),
      handlers_(std::make_unique<TaskGroup>(Context::Background(loop))) {}

GrpcServer::~GrpcServer() {
  service_->Close();
  handlers_.reset();  // destroys the handlers, which ends their calls
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

void GrpcServer::Handle(std::string method, Transport::Handler handler) {
  CHECK(server_ == nullptr) << "Handle after Listen";
  methods_[std::move(method)] = std::move(handler);
}

absl::StatusOr<int> GrpcServer::Listen(const std::string& address) {
  CHECK(server_ == nullptr) << "Listen twice";
  grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ssl.pem_root_certs = identity_->ca_pem();
  ssl.pem_key_cert_pairs.push_back({identity_->key_pem(), identity_->chain_pem()});
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::SslServerCredentials(ssl), &port);
  builder.RegisterCallbackGenericService(service_.get());
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Half as often as the clients, whose pings keep the path warm.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(2 * options_.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options_.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::AlreadyExistsError(StrCat("cannot listen on ", address, ": the port is in use, or the address not ours"));
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
