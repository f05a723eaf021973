// Byte streams over simulated connections: pipes with latency that cut what is written at random places. TLS passes
// through: the handshake is one record each way that carries what real TLS would prove (names and the certificate's
// subject), and asks for nothing but a certificate where one is required.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "base/sim/streams.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"

namespace insula::sim {
namespace {

constexpr size_t kWindowBytes = 128 << 10;
constexpr size_t kRecordHeader = 5;  // as TLS has it: type 22, version, length

struct ByteEnd {
  int side = 0;
  std::shared_ptr<Connection> connection;
  std::weak_ptr<ByteEnd> peer_end;
  std::string inbox;
  bool end_of_input = false;
  absl::Status broken;
  bool closed = false;  // by this side
  size_t unread = 0;
  Condition changed;
};

template <typename F>
void ToPeer(ByteEnd& end, uint64_t detail, F fn) {
  end.connection->Send(end.side, detail, [peer = end.peer_end, fn = std::move(fn)]() mutable {
    if (auto there = peer.lock()) fn(*there);
  });
}

std::string Record(const std::vector<std::string>& fields) {
  std::string body = StrJoin(fields, "\n");
  CHECK_LT(body.size(), 16384u);
  std::string out("\x16\x03\x01", 3);
  out.push_back(static_cast<char>(body.size() >> 8));
  out.push_back(static_cast<char>(body.size()));
  return out + body;
}

std::vector<std::string> Fields(std::string_view body) {
  std::vector<std::string> out(1);
  for (char c : body) {
    if (c == '\n') {
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

// SNI, ALPN, then the certificate's subject: "1" or "", common name, unit, URIs.
std::string HelloRecord(const std::string& sni, const std::string& alpn, const TlsIdentity* identity) {
  PeerIdentity subject = identity == nullptr ? PeerIdentity() : identity->subject();
  std::vector<std::string> fields = {sni, alpn, subject.common_name.empty() ? "" : "1", subject.common_name, subject.organizational_unit};
  fields.insert(fields.end(), subject.uris.begin(), subject.uris.end());
  return Record(fields);
}

absl::StatusOr<TlsSessionInfo> ParseHello(std::string_view body, bool* has_certificate) {
  std::vector<std::string> fields = Fields(body);
  if (fields.size() < 5) return absl::InvalidArgumentError("not a simulated TLS handshake");
  TlsSessionInfo info;
  info.sni = fields[0];
  info.alpn = fields[1];
  *has_certificate = !fields[2].empty();
  info.peer.common_name = fields[3];
  info.peer.organizational_unit = fields[4];
  info.peer.uris.assign(fields.begin() + 5, fields.end());
  return info;
}

class SimByteStream : public ByteStream {
 public:
  SimByteStream(std::shared_ptr<ByteEnd> end, std::string peer_address) : end_(std::move(end)), peer_address_(std::move(peer_address)) {}
  ~SimByteStream() override {
    Close();
    end_->connection->Leave(end_->side);
  }

  Task<absl::StatusOr<size_t>> Read(const Context& ctx, char* buffer, size_t capacity) override {
    while (true) {
      if (ctx.done()) co_return ctx.status();
      if (end_->closed) co_return absl::UnavailableError("the stream is closed");
      if (!end_->inbox.empty()) {
        size_t n = std::min(capacity, end_->inbox.size());
        std::memcpy(buffer, end_->inbox.data(), n);
        Consume(n);
        co_return n;
      }
      if (!end_->broken.ok()) co_return end_->broken;
      if (end_->end_of_input) co_return size_t{0};
      CO_RETURN_IF_ERROR(co_await end_->changed.Wait(ctx));
    }
  }

  Task<absl::Status> Write(const Context& ctx, std::string_view data) override {
    Random& random = end_->connection->net()->sim()->random();
    while (!data.empty()) {
      while (end_->unread > kWindowBytes && end_->broken.ok() && !end_->closed) {
        CO_RETURN_IF_ERROR(co_await end_->changed.Wait(ctx));
      }
      if (ctx.done()) co_return ctx.status();
      if (end_->closed) co_return absl::UnavailableError("the stream is closed");
      if (!end_->broken.ok()) co_return end_->broken;
      if (end_->end_of_input) co_return absl::UnavailableError("the peer has closed the stream");
      size_t n = std::min<size_t>(data.size(), 16384);
      if (n > 1 && random.Chance(0.3)) n = 1 + random.Uniform(n);
      std::string chunk(data.substr(0, n));
      data.remove_prefix(n);
      end_->unread += n;
      uint64_t hash = HashBytes(chunk);
      ToPeer(*end_, hash, [chunk = std::move(chunk)](ByteEnd& there) {
        there.inbox += chunk;
        there.changed.NotifyAll();
      });
    }
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<TlsSessionInfo>> StartTlsServer(const Context& ctx, TlsServerOptions options, std::string already_read) override {
    end_->inbox.insert(0, already_read);
    uncredited_ += already_read.size();
    CO_ASSIGN_OR_RETURN(std::string body, co_await ReadRecord(ctx));
    bool has_certificate = false;
    CO_ASSIGN_OR_RETURN(TlsSessionInfo info, ParseHello(body, &has_certificate));
    if (info.alpn != options.alpn) info.alpn.clear();
    if (options.require_client_certificate && !has_certificate) {
      Close();
      co_return absl::UnauthenticatedError("the client presents no certificate");
    }
    info.peer.address = peer_address_;
    std::string reply = HelloRecord("", info.alpn, options.identity.get());
    CO_RETURN_IF_ERROR(co_await Write(ctx, reply));
    co_return info;
  }

  Task<absl::StatusOr<TlsSessionInfo>> StartTlsClient(const Context& ctx, TlsClientOptions options) override {
    std::string hello = HelloRecord(options.server_name, options.alpn, options.identity.get());
    CO_RETURN_IF_ERROR(co_await Write(ctx, hello));
    CO_ASSIGN_OR_RETURN(std::string body, co_await ReadRecord(ctx));
    bool has_certificate = false;
    CO_ASSIGN_OR_RETURN(TlsSessionInfo info, ParseHello(body, &has_certificate));
    info.sni = options.server_name;
    info.peer.address = peer_address_;
    co_return info;
  }

  void Close() override {
    if (std::exchange(end_->closed, true)) return;
    end_->changed.NotifyAll();
    ToPeer(*end_, 1, [](ByteEnd& there) {
      there.end_of_input = true;
      there.changed.NotifyAll();
    });
  }

  const std::string& peer_address() const override { return peer_address_; }

 private:
  void Consume(size_t n) {
    end_->inbox.erase(0, n);
    size_t again = std::min(uncredited_, n);
    uncredited_ -= again;
    n -= again;
    if (n == 0) return;
    ToPeer(*end_, n, [n](ByteEnd& there) {
      there.unread -= std::min(n, there.unread);
      there.changed.NotifyAll();
    });
  }

  Task<absl::StatusOr<std::string>> ReadRecord(const Context& ctx) {
    std::string record;
    size_t wanted = kRecordHeader;
    while (record.size() < wanted) {
      char buffer[512];
      CO_ASSIGN_OR_RETURN(size_t n, co_await Read(ctx, buffer, std::min(sizeof(buffer), wanted - record.size())));
      if (n == 0) co_return absl::UnavailableError("the peer left during the TLS handshake");
      record.append(buffer, n);
      if (record.size() >= kRecordHeader && wanted == kRecordHeader) {
        if (record[0] != 0x16 || record[1] != 0x03) {
          Close();
          co_return absl::InvalidArgumentError("not a TLS handshake");
        }
        wanted += static_cast<unsigned char>(record[3]) * 256 + static_cast<unsigned char>(record[4]);
      }
    }
    co_return record.substr(kRecordHeader);
  }

  std::shared_ptr<ByteEnd> end_;
  const std::string peer_address_;
  size_t uncredited_ = 0;  // bytes at the front of the inbox that were read once already
};

void BreaksWith(const std::shared_ptr<ByteEnd>& end) {
  end->connection->side(end->side).on_break = [weak = std::weak_ptr(end)](const absl::Status& why) {
    auto end = weak.lock();
    if (end == nullptr) return;
    end->broken = why;
    end->changed.NotifyAll();
  };
}

class SimListener : public Listener, public Acceptor {
 public:
  explicit SimListener(SimProcess* owner) : owner_(owner) {}
  ~SimListener() override { owner_->simulation().net().StopListening(owner_->name(), port_, this); }

  absl::Status Start(const std::string& address) {
    ASSIGN_OR_RETURN(port_, owner_->simulation().net().Listen(owner_, address, this));
    return absl::OkStatus();
  }

  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Accept(const Context& ctx) override {
    CO_ASSIGN_OR_RETURN(auto stream, co_await backlog_.Pop(ctx));
    co_return std::move(*stream);
  }
  int port() const override { return port_; }

  // The first packet of a connection arrived.
  void Add(std::unique_ptr<ByteStream> stream) { backlog_.TryPush(std::move(stream)); }

 private:
  SimProcess* owner_;
  int port_ = 0;
  Channel<std::unique_ptr<ByteStream>> backlog_;
};

class SimNetwork : public Network {
 public:
  explicit SimNetwork(SimProcess* owner) : owner_(owner) {}

  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address) override {
    auto listener = std::make_unique<SimListener>(owner_);
    RETURN_IF_ERROR(listener->Start(address));
    return listener;
  }

  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Dial(const Context& ctx, std::string address) override {
    CO_ASSIGN_OR_RETURN(auto parsed, SimNet::ParseAddress(owner_, address));
    auto [host, port] = parsed;
    SimNet* net = &owner_->simulation().net();
    CO_RETURN_IF_ERROR(co_await net->Connect(ctx, owner_, host, port));
    SimProcess* target = owner_->simulation().process(host);
    auto here = std::make_shared<ByteEnd>();
    auto there = std::make_shared<ByteEnd>();
    here->connection = there->connection = Connection::Open(net, owner_, target, target->incarnation());
    there->side = 1;
    here->peer_end = there;
    there->peer_end = here;
    BreaksWith(here);
    if (!target->alive()) here->connection->BreakLater(0, net->Latency(owner_->name(), host), absl::UnavailableError("connection reset"));
    std::string from = StrCat(owner_->name(), ":", 50000 + here->connection->id() % 10000);
    here->connection->Send(0, 2, [net, there, host, port, from] {
      auto* listener = dynamic_cast<SimListener*>(net->FindAcceptor(host, port));
      if (listener == nullptr) {
        there->connection->BreakLater(0, net->Latency(host, there->connection->host(0)), absl::UnavailableError("connection reset"));
        return;
      }
      BreaksWith(there);
      listener->Add(std::make_unique<SimByteStream>(there, from));
    });
    co_return std::make_unique<SimByteStream>(here, StrCat(host, ":", port));
  }

 private:
  SimProcess* owner_;
};

}  // namespace

std::unique_ptr<Network> MakeNetwork(SimProcess* process) { return std::make_unique<SimNetwork>(process); }

}  // namespace insula::sim
