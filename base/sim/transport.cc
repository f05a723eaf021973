// Message streams over simulated connections: the behaviour of gRPC, without its bytes.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/check.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "base/sim/streams.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sim {
namespace {

// What a sender may have under way before Send waits.
constexpr size_t kWindowBytes = 512 << 10;

// One side of a message stream.
struct End {
  SimProcess* process = nullptr;
  int side = 0;
  std::shared_ptr<Connection> connection;
  std::weak_ptr<End> peer_end;  // for packets: what happens on arrival happens to it
  PeerIdentity peer;
  std::deque<std::string> inbox;
  bool end_of_input = false;            // server side: the client has closed its half
  std::optional<absl::Status> outcome;  // how the stream ended
  bool abandoned = false;               // nobody reads here any more
  bool input_closed = false;            // this side called CloseSend
  size_t unread = 0;                    // bytes sent and not yet read there
  Condition changed;
  std::optional<Context> handler_ctx;   // server side

  void Finish(const absl::Status& status) {
    if (outcome.has_value()) return;
    outcome = status;
    changed.NotifyAll();
    if (handler_ctx.has_value() && !status.ok()) handler_ctx->Cancel(absl::CancelledError("the caller is gone"));
  }
};

// Runs `fn(end)` at the other side, in order with everything else that was sent.
template <typename F>
void ToPeer(End& end, uint64_t detail, F fn) {
  end.connection->Send(end.side, detail, [peer = end.peer_end, fn = std::move(fn)]() mutable {
    if (auto there = peer.lock()) fn(*there);
  });
}

class SimStream : public MessageStream {
 public:
  explicit SimStream(std::shared_ptr<End> end) : end_(std::move(end)) {}

  ~SimStream() override {
    end_->abandoned = true;
    if (end_->side != 0) return;  // the handler's status ends the server's side
    if (!end_->outcome.has_value()) {
      ToPeer(*end_, 0, [](End& there) { there.Finish(absl::CancelledError("the caller cancelled the stream")); });
    }
    end_->connection->Leave(0);
  }

  Task<absl::Status> Send(const Context& ctx, std::string message) override {
    if (message.size() > kMaxMessageBytes) co_return absl::ResourceExhaustedError("the message is too large");
    while (end_->unread > kWindowBytes && !end_->outcome.has_value()) {
      CO_RETURN_IF_ERROR(co_await end_->changed.Wait(ctx));
    }
    if (ctx.done()) co_return ctx.status();
    if (end_->outcome.has_value()) co_return Broken();
    CHECK(!end_->input_closed) << "Send after CloseSend";
    end_->unread += message.size();
    uint64_t hash = HashBytes(message);
    ToPeer(*end_, hash, [message = std::move(message)](End& there) mutable {
      if (there.outcome.has_value()) return;
      there.inbox.push_back(std::move(message));
      there.changed.NotifyAll();
    });
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) override {
    while (true) {
      if (!end_->inbox.empty()) {
        std::optional<std::string> message = std::move(end_->inbox.front());
        end_->inbox.pop_front();
        ToPeer(*end_, message->size(), [size = message->size()](End& there) {
          there.unread -= size;
          there.changed.NotifyAll();
        });
        co_return message;
      }
      if (end_->outcome.has_value()) {
        if (end_->outcome->ok()) co_return std::nullopt;
        co_return *end_->outcome;
      }
      if (end_->end_of_input) co_return std::nullopt;
      CO_RETURN_IF_ERROR(co_await end_->changed.Wait(ctx));
    }
  }

  Task<absl::Status> CloseSend(const Context& ctx) override {
    CHECK_EQ(end_->side, 0);
    if (end_->outcome.has_value()) co_return Broken();
    if (std::exchange(end_->input_closed, true)) co_return absl::OkStatus();
    ToPeer(*end_, 1, [](End& there) {
      there.end_of_input = true;
      there.changed.NotifyAll();
    });
    co_return absl::OkStatus();
  }

  const PeerIdentity& peer() const override { return end_->peer; }

 private:
  absl::Status Broken() const {
    return end_->outcome->ok() ? absl::UnavailableError("the stream has ended") : *end_->outcome;
  }

  std::shared_ptr<End> end_;
};

class SimTransport : public Transport, public Acceptor {
 public:
  SimTransport(SimProcess* owner, PeerIdentity identity)
      : owner_(owner), identity_(std::move(identity)), ctx_(Context::Background(&owner->executor())), handlers_running_(ctx_) {
    identity_.address = owner->name();
  }

  ~SimTransport() override { StopListening(); }

  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
    if (ctx.done()) co_return ctx.status();
    auto parsed = SimNet::ParseAddress(owner_, address);
    if (!parsed.ok()) co_return parsed.status();
    auto [host, port] = *parsed;
    if (channels_->count(*parsed) == 0) {
      absl::Status connected = co_await net().Connect(ctx, owner_, host, port);
      if (!connected.ok()) co_return connected;
      channels_->insert(*parsed);
    }
    co_return StartCall(host, port, std::move(method), ctx.info());
  }

  void Handle(std::string method, Handler handler) override { methods_[std::move(method)] = std::move(handler); }

  absl::StatusOr<int> Listen(const std::string& address) override {
    auto port = net().Listen(owner_, address, this);
    if (port.ok()) ports_.insert(*port);
    return port;
  }

  Task<void> Shutdown(Duration grace) override {
    StopListening();
    Context uncancelled = ctx_;
    TaskGroup timer(uncancelled);
    timer.SpawnFn([this, &timer, grace]() -> Task<void> {
      absl::Status slept = co_await Sleep(timer.ctx(), grace);
      if (slept.ok()) handlers_running_.Cancel();
    });
    co_await handlers_running_.Wait();
    timer.Cancel();
    co_await timer.Wait();
  }

 private:
  SimNet& net() { return owner_->simulation().net(); }

  void StopListening() {
    for (int port : ports_) net().StopListening(owner_->name(), port, this);
    ports_.clear();
  }

  std::unique_ptr<MessageStream> StartCall(const std::string& host, int port, std::string method, RequestInfo info) {
    Acceptor* acceptor = net().FindAcceptor(host, port);
    SimProcess* target = owner_->simulation().process(host);
    auto here = std::make_shared<End>();
    here->process = owner_;
    here->connection = Connection::Open(&net(), owner_, target, target->incarnation());
    here->peer.address = StrCat(host, ":", port);
    here->connection->side(0).on_break = [weak = std::weak_ptr(here), channels = channels_, key = std::pair(host, port)](const absl::Status& why) {
      channels->erase(key);
      if (auto end = weak.lock()) end->Finish(why);
    };
    auto* server = dynamic_cast<SimTransport*>(acceptor);
    if (server == nullptr || !target->alive()) {
      // The channel does not know yet that nobody is there.
      Duration delay = target->host_down() ? owner_->simulation().Between(3s, 5s) : net().Latency(owner_->name(), host);
      here->connection->BreakLater(0, delay, absl::UnavailableError(StrCat(host, ":", port, ": connection reset")));
      return std::make_unique<SimStream>(here);
    }
    here->peer = server->identity_;
    here->peer.address = StrCat(host, ":", port);
    auto there = std::make_shared<End>();
    there->process = target;
    there->side = 1;
    there->connection = here->connection;
    there->peer = identity_;
    there->peer_end = here;
    here->peer_end = there;
    // The packet holds the server's side until it arrives.
    uint64_t detail = HashBytes(method);
    here->connection->Send(0, detail, [net = &net(), host, port, there, method = std::move(method), info] {
      auto* now = dynamic_cast<SimTransport*>(net->FindAcceptor(host, port));
      if (now == nullptr) return there->connection->BreakLater(0, net->Latency(host, there->connection->host(0)), absl::UnavailableError(StrCat(host, ":", port, ": connection refused")));
      now->Serve(there, method, info);
    });
    return std::make_unique<SimStream>(here);
  }

  // Ends the server's side with the handler's status, or as cut off when the handler's frame is destroyed.
  class Finisher {
   public:
    explicit Finisher(std::shared_ptr<End> end) : end_(std::move(end)) {}
    Finisher(const Finisher&) = delete;
    ~Finisher() { Finish(absl::UnavailableError("the server shut down")); }
    void Finish(const absl::Status& status) {
      auto end = std::exchange(end_, nullptr);
      if (end == nullptr) return;
      end->handler_ctx.reset();
      end->Finish(status);
      ToPeer(*end, static_cast<uint64_t>(status.code()), [status](End& there) { there.Finish(status); });
      end->connection->Leave(1);
    }

   private:
    std::shared_ptr<End> end_;
  };

  void Serve(const std::shared_ptr<End>& end, const std::string& method, RequestInfo info) {
    info.tenant_id = 0;
    end->handler_ctx = handlers_running_.ctx().WithInfo(info).WithCancel();
    end->connection->side(1).on_break = [weak = std::weak_ptr(end)](const absl::Status& why) {
      if (auto end = weak.lock()) end->Finish(why);
    };
    auto it = methods_.find(method);
    if (it == methods_.end()) {
      Finisher(end).Finish(absl::UnimplementedError(StrCat("no method ", method)));
      return;
    }
    handlers_running_.Spawn(RunHandler(&it->second, end));
  }

  static Task<void> RunHandler(const Handler* handler, std::shared_ptr<End> end) {
    Finisher finisher(end);
    Context ctx = *end->handler_ctx;
    absl::Status status = co_await (*handler)(ctx, std::make_unique<SimStream>(end));
    finisher.Finish(status);
  }

  SimProcess* owner_;
  PeerIdentity identity_;
  Context ctx_;
  std::map<std::string, Handler> methods_;
  std::set<int> ports_;
  // Addresses that a connection is open to, as far as this side knows. Shared with what outlives the transport.
  std::shared_ptr<std::set<std::pair<std::string, int>>> channels_ = std::make_shared<std::set<std::pair<std::string, int>>>();
  TaskGroup handlers_running_;
};

}  // namespace

std::unique_ptr<Transport> MakeTransport(SimProcess* process, PeerIdentity identity) {
  return std::make_unique<SimTransport>(process, std::move(identity));
}

}  // namespace insula::sim
