#include "base/real/grpc_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/real/grpc_identity.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::real {
namespace {

constexpr Duration kConnectLimit = 5s;
// A call on a channel that cannot connect fails within a few microseconds of its start, with the reason.
constexpr Duration kFailureLimit = 100ms;

int Millis(Duration d) { return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()); }

// Watches channels' states for everybody, on one thread that sleeps when nobody connects. Lives as long as the process.
class StateWatcher {
 public:
  static StateWatcher& Get() {
    static auto* const watcher = new StateWatcher();
    return *watcher;
  }

  // Posts `fn` once the channel's state is no longer `seen`, or after a while.
  void Watch(grpc::Channel& channel, grpc_connectivity_state seen, std::shared_ptr<PostQueue> posts, Executor::Function fn) {
    auto deadline = std::chrono::system_clock::now() + kConnectLimit;
    channel.NotifyOnStateChange(seen, deadline, &queue_, new Tag{std::move(posts), std::move(fn)});
  }

 private:
  struct Tag {
    std::shared_ptr<PostQueue> posts;
    Executor::Function fn;
  };
  StateWatcher() {
    std::thread([this] {
      void* tag = nullptr;
      bool ok = false;
      while (queue_.Next(&tag, &ok)) {
        std::unique_ptr<Tag> owned(static_cast<Tag*>(tag));
        owned->posts->Post(std::move(owned->fn));
      }
    }).detach();
  }
  grpc::CompletionQueue queue_;
};

}  // namespace

// One call. Owns itself until gRPC is done with it.
class GrpcClient::Call : public GrpcStream, public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Call(std::shared_ptr<PostQueue> posts, std::shared_ptr<grpc::Channel> channel, std::string address)
      : GrpcStream(std::move(posts)), channel_(std::move(channel)), address_(std::move(address)) {}

  void Start(const std::string& method, const RequestInfo& info) {
    if (info.trace_id != 0) context_.AddMetadata(kTraceKey, StrCat(info.trace_id));
    if (info.priority != 0) context_.AddMetadata(kPriorityKey, StrCat(info.priority));
    self_ = std::static_pointer_cast<Call>(shared_from_this());
    grpc::GenericStub stub(channel_);
    stub.PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
    AddHold();  // until input ends, so that the loop may start operations
    reading_ = true;
    StartRead(&read_buffer_);
    StartCall();
  }

  void CloseSend() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(output_closed_, true) || output_broken_ || input_ended_) return;
    if (outbox_.empty()) StartWritesDone();
  }

  // The stream's object goes.
  void Abandon() {
    context_.TryCancel();
    std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
    inbox_.clear();
    inbox_bytes_ = 0;
    if (!reading_ && !input_ended_) {
      reading_ = true;
      StartRead(&read_buffer_);  // fails, and so ends the input
    }
  }

  // The outcome, if the call ends within `ctx`.
  Task<std::optional<absl::Status>> Outcome(Context ctx) {
    absl::Status waited = co_await ended_->event.Wait(ctx);
    if (!waited.ok()) co_return std::nullopt;
    std::lock_guard<std::mutex> lock(mutex_);
    co_return outcome_;
  }

  const PeerIdentity& peer() {
    if (peer_known_) return peer_;
    peer_.address = address_;
    if (auto auth = context_.auth_context()) {
      peer_ = IdentityOf(*auth);
      peer_.address = address_;
      peer_known_ = true;
    }
    return peer_;
  }

 private:
  void StartReading(grpc::ByteBuffer* into) override { StartRead(into); }
  void HoldForWrite() override { AddHold(); }
  void StartWriting(const grpc::ByteBuffer* message, bool more_follows) override {
    grpc::WriteOptions options;
    if (more_follows) options.set_buffer_hint();
    StartWrite(message, options);
    RemoveHold();
  }
  void OnInputEnd() override {
    output_broken_ = true;  // the call is over, or about to be: nothing may be started from outside any more
    RemoveHold();
  }
  void OnOutboxEmpty() override {
    if (output_closed_ && !output_broken_) StartWritesDone();
  }
  std::optional<absl::Status> EndOfInput() override { return outcome_; }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone(const grpc::Status& status) override {
    auto self = std::move(self_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      outcome_ = FromGrpc(status);
      Notify();
    }
    // The last reference goes on the loop, where waiters and conditions live.
    posts_->Post([self = std::move(self)] { self->ended_->event.Set(); });
  }

  struct Ended {
    Event event;
  };

  std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  grpc::ClientContext context_;
  std::shared_ptr<Call> self_;
  std::optional<absl::Status> outcome_;  // under mutex_
  std::unique_ptr<Ended> ended_ = std::make_unique<Ended>();
  PeerIdentity peer_;
  bool peer_known_ = false;
};

class GrpcClient::Stream : public MessageStream {
 public:
  explicit Stream(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~Stream() override { call_->Abandon(); }
  Task<absl::Status> Send(const Context& ctx, std::string message) override { return call_->Send(ctx, std::move(message)); }
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) override { return call_->Receive(ctx); }
  Task<absl::Status> CloseSend(const Context& ctx) override {
    call_->CloseSend();
    co_return absl::OkStatus();
  }
  const PeerIdentity& peer() const override { return call_->peer(); }

 private:
  std::shared_ptr<Call> call_;
};

GrpcClient::GrpcClient(Loop* loop, const TlsIdentity& identity, GrpcTransportOptions options) : loop_(loop), options_(std::move(options)) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = identity.ca_pem();
  ssl.pem_private_key = identity.key_pem();
  ssl.pem_cert_chain = identity.chain_pem();
  credentials_ = grpc::SslCredentials(ssl);
}

GrpcClient::~GrpcClient() = default;

std::shared_ptr<grpc::Channel> GrpcClient::ChannelTo(const std::string& address) {
  auto& channel = channels_[address];
  if (channel != nullptr) return channel;
  grpc::ChannelArguments args;
  if (!options_.server_name.empty()) args.SetSslTargetNameOverride(options_.server_name);
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(-1);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(options_.keepalive_time));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options_.keepalive_timeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Millis(options_.max_reconnect_backoff));
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3000);  // in truth: how long one attempt to connect may take
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);               // at most once
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // never share a connection with another identity
  args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20);
  channel = grpc::CreateCustomChannel(address, credentials_, args);
  return channel;
}

Task<absl::StatusOr<bool>> GrpcClient::WaitConnected(const Context& outer, std::shared_ptr<grpc::Channel> channel, const std::string& address) {
  Context ctx = outer.WithTimeout(kConnectLimit);
  while (true) {
    grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) co_return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) co_return false;
    auto changed = std::make_shared<Event>();
    StateWatcher::Get().Watch(*channel, state, loop_->posts(), [changed] { changed->Set(); });
    absl::Status waited = co_await changed->Wait(ctx);
    if (waited.ok()) continue;
    if (absl::IsCancelled(outer.status())) co_return outer.status();
    co_return absl::UnavailableError(StrCat(address, " does not answer"));
  }
}

Task<absl::StatusOr<std::unique_ptr<MessageStream>>> GrpcClient::Open(const Context& ctx, std::string address, std::string method) {
  if (ctx.done()) co_return ctx.status();
  std::shared_ptr<grpc::Channel> channel = ChannelTo(address);
  CO_ASSIGN_OR_RETURN(bool connected, co_await WaitConnected(ctx, channel, address));
  auto call = std::make_shared<Call>(loop_->posts(), std::move(channel), address);
  call->Start(method, ctx.info());
  auto stream = std::make_unique<Stream>(call);
  if (!connected) {
    // The call itself tells why there is no connection.
    auto outcome = co_await call->Outcome(ctx.WithTimeout(kFailureLimit));
    if (outcome.has_value() && !outcome->ok()) co_return absl::Status(outcome->code(), StrCat(address, ": ", outcome->message()));
  }
  co_return stream;
}

}  // namespace insula::real
