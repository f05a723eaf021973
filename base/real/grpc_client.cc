#include "base/real/grpc_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/real/grpc_identity.h"
#include "base/strings.h"

namespace insula::real {
namespace {

constexpr Duration kConnectLimit = 5s;
// How often to look whether a channel is connected, while it connects. (gRPC tells it through a completion queue only, and
// cannot take such a request back when the transport goes.)
constexpr Duration kFirstLook = 500us;
constexpr Duration kMaxLook = 10ms;

int Millis(Duration d) { return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()); }

}  // namespace

// One call. Nothing is sent before there is a first message, the end of messages, or somebody who waits for an answer; so
// the usual call's headers travel with its first message.
class GrpcClient::Call : public GrpcStream {
 public:
  Call(std::shared_ptr<PostQueue> posts, GrpcPoller* poller, std::shared_ptr<grpc::Channel> channel, std::string address,
       std::string method, const RequestInfo& info)
      : GrpcStream(std::move(posts), poller), channel_(std::move(channel)), address_(std::move(address)), method_(std::move(method)) {
    if (info.trace_id != 0) context_.AddMetadata(kTraceKey, StrCat(info.trace_id));
    if (info.priority != 0) context_.AddMetadata(kPriorityKey, StrCat(info.priority));
  }

  // Sends the headers now.
  void Start() {
    std::lock_guard<std::mutex> lock(mutex_);
    BeforeReceive();
  }

  void CloseSend() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(output_closed_, true) || output_broken_) return;
    if (!outbox_.empty() || !MayWrite()) return;
    stream_->WritesDone(writes_done_op_.Start());
    if (std::exchange(read_after_write_, false)) Read();
  }

  // The stream's object goes.
  void Abandon() {
    bool started;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      abandoned_ = true;
      output_broken_ = true;
      ClearInbox();
      started = started_ != kNo;
      if (!started) {
        input_ended_ = true;
        outcome_ = absl::CancelledError("cancelled");
      } else if (!reading_ && !input_ended_) {
        Read();  // fails, and so ends the input
      }
    }
    if (started) context_.TryCancel();
  }

  // The outcome, if the call ends before `ctx`.
  Task<std::optional<absl::Status>> Outcome(Context ctx) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (outcome_.has_value()) co_return outcome_;
      outcome_wanted_ = true;
    }
    absl::Status waited = co_await ended_.Wait(ctx);
    std::lock_guard<std::mutex> lock(mutex_);
    co_return outcome_;
  }

  const PeerIdentity& peer() {
    peer_.address = address_;
    if (peer_known_ || started_ == kNo) return peer_;
    if (auto auth = context_.auth_context()) {
      peer_ = IdentityOf(*auth);
      peer_.address = address_;
      peer_known_ = true;
    }
    return peer_;
  }

 private:
  // Headers under way block the first message (gRPC's rule), so it waits in the outbox.
  enum Started { kNo, kHeaders, kYes };

  bool MayWrite() override {
    if (started_ != kNo) return started_ == kYes;
    Prepare();
    context_.set_initial_metadata_corked(true);
    stream_->StartCall(nullptr);  // does nothing yet: the first operation takes the headers along
    started_ = kYes;
    read_after_write_ = true;
    return true;
  }
  void BeforeReceive() override {
    if (started_ != kNo || abandoned_) return;
    Prepare();
    started_ = kHeaders;
    stream_->StartCall(headers_op_.Start());
    Read();
  }
  void Prepare() {
    Begin();
    stream_ = grpc::GenericStub(channel_).PrepareCall(&context_, method_, poller_->queue());
  }
  void HeadersDone(bool ok) {
    std::lock_guard<std::mutex> lock(mutex_);
    started_ = kYes;
    if (!ok || output_broken_) return;  // reading ends the call
    StartOutbox();
    if (outbox_.empty()) OnOutboxEmpty();
  }

  void StartRead(grpc::ByteBuffer* into, void* tag) override { stream_->Read(into, tag); }
  void StartWrite(const grpc::ByteBuffer& message, bool more_follows, void* tag) override {
    grpc::WriteOptions options;
    if (more_follows) options.set_buffer_hint();
    stream_->Write(message, options, tag);
    if (std::exchange(read_after_write_, false)) Read();
  }
  void OnInputEnd() override {
    output_broken_ = true;
    stream_->Finish(&status_, finish_op_.Start());
  }
  void OnOutboxEmpty() override {
    if (output_closed_ && !output_broken_) stream_->WritesDone(writes_done_op_.Start());
  }
  std::optional<absl::Status> EndOfInput() override { return outcome_; }

  void WritesDoneDone(bool) {}
  void FinishDone(bool) {
    std::lock_guard<std::mutex> lock(mutex_);
    outcome_ = FromGrpc(status_);
    complete_ = true;
    Notify();
    if (!outcome_wanted_) return;
    posts_->Post([self = std::static_pointer_cast<Call>(shared_from_this())] { self->ended_.Set(); });
  }

  std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  const std::string method_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::Status status_;
  Op headers_op_{this, static_cast<Op::Done>(&Call::HeadersDone)};
  Op writes_done_op_{this, static_cast<Op::Done>(&Call::WritesDoneDone)};
  Op finish_op_{this, static_cast<Op::Done>(&Call::FinishDone)};
  // Under mutex_:
  std::optional<absl::Status> outcome_;
  bool outcome_wanted_ = false;
  Started started_ = kNo;
  bool read_after_write_ = false;  // the first operation carries the headers; reading comes after it
  Event ended_;  // loop
  PeerIdentity peer_;
  bool peer_known_ = false;
};

class GrpcClient::Stream : public MessageStream {
 public:
  Stream(std::shared_ptr<Call> call, std::shared_ptr<std::map<uint64_t, Call*>> open, uint64_t id)
      : call_(std::move(call)), open_(std::move(open)), id_(id) {
    open_->emplace(id_, call_.get());
  }
  ~Stream() override {
    if (open_->erase(id_) != 0) call_->Abandon();
  }
  Task<absl::Status> Send(const Context& ctx, std::string message) override { return call_->Send(ctx, std::move(message)); }
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) override { return call_->Receive(ctx); }
  Task<absl::Status> CloseSend(const Context& ctx) override {
    call_->CloseSend();
    co_return absl::OkStatus();
  }
  const PeerIdentity& peer() const override { return call_->peer(); }

 private:
  std::shared_ptr<Call> call_;
  std::shared_ptr<std::map<uint64_t, Call*>> open_;
  const uint64_t id_;
};

GrpcClient::GrpcClient(Loop* loop, GrpcPoller* poller, const TlsIdentity& identity, GrpcTransportOptions options)
    : loop_(loop), poller_(poller), options_(std::move(options)) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = identity.ca_pem();
  ssl.pem_private_key = identity.key_pem();
  ssl.pem_cert_chain = identity.chain_pem();
  credentials_ = grpc::SslCredentials(ssl);
}

GrpcClient::~GrpcClient() {
  for (auto& [id, call] : *open_) call->Abandon();
  open_->clear();
}

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

// A call on a channel that connects waits for it inside gRPC, and fails at once, with the reason, when connecting fails.
Task<absl::StatusOr<std::unique_ptr<MessageStream>>> GrpcClient::Open(const Context& outer, std::string address, std::string method) {
  if (outer.done()) co_return outer.status();
  std::shared_ptr<grpc::Channel> channel = ChannelTo(address);
  bool connected = channel->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY;
  auto call = std::make_shared<Call>(loop_->posts(), poller_, channel, address, std::move(method), outer.info());
  auto stream = std::make_unique<Stream>(call, open_, ++last_call_);
  if (connected) co_return stream;
  call->Start();
  Context ctx = outer.WithTimeout(kConnectLimit);
  for (Duration look = kFirstLook; !ctx.done(); look = std::min(2 * look, kMaxLook)) {
    auto outcome = co_await call->Outcome(ctx.WithTimeout(look));
    if (outcome.has_value()) {
      // An answer of a server that was reached, even an error, is for Receive to give.
      if (!absl::IsUnavailable(*outcome)) co_return stream;
      co_return absl::UnavailableError(StrCat(address, ": ", outcome->message()));
    }
    if (channel->GetState(false) == GRPC_CHANNEL_READY) co_return stream;
  }
  if (absl::IsCancelled(outer.status())) co_return outer.status();
  co_return absl::UnavailableError(StrCat(address, " does not answer"));
}

}  // namespace insula::real
