#include "base/sim/net.h"

#include <algorithm>
#include <charconv>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/sim/simulation.h"
#include "base/strings.h"

namespace insula {

using sim::Acceptor;
using sim::Connection;

namespace {

constexpr Duration kConnectLimit = 5s;
constexpr Duration kConnectRetry = 1s;
constexpr Duration kRetransmit = 200ms;
constexpr int kFirstFreePort = 40000;

absl::Status Gone(std::string_view host) { return absl::UnavailableError(StrCat("the connection to ", host, " broke")); }

}  // namespace

// ------------------------------------------------------------------------------------------------------------ faults

void SimNet::BlockOneWay(const std::string& from, const std::string& to) {
  sim_->Note("net", StrCat("block ", from, " > ", to));
  blocked_[{from, to}] = ++last_blocking_;
  for (const auto& connection : All()) {
    bool forth = connection->host(0) == from && connection->host(1) == to;
    bool back = connection->host(1) == from && connection->host(0) == to;
    if (forth || back) WatchBlocked(connection);
  }
}

void SimNet::Block(const std::string& a, const std::string& b) {
  BlockOneWay(a, b);
  BlockOneWay(b, a);
}

void SimNet::Partition(const std::vector<std::string>& group_a, const std::vector<std::string>& group_b) {
  for (const auto& a : group_a) {
    for (const auto& b : group_b) Block(a, b);
  }
}

void SimNet::Isolate(const std::string& name) {
  for (const auto& [other, process] : sim_->processes_) {
    if (other != name) Block(name, other);
  }
}

void SimNet::Unblock(const std::string& a, const std::string& b) {
  for (auto [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    if (blocked_.erase({from, to}) == 0) continue;
    sim_->Note("net", StrCat("unblock ", from, " > ", to));
    for (const auto& connection : All()) connection->ReleaseHeld(from, to);
  }
}

void SimNet::HealAll() {
  auto blocked = blocked_;
  for (const auto& [link, id] : blocked) Unblock(link.first, link.second);
}

void SimNet::BreakConnections(const std::string& a, const std::string& b) {
  for (const auto& connection : All()) {
    if (connection->dead()) continue;
    if ((connection->host(0) == a && connection->host(1) == b) || (connection->host(0) == b && connection->host(1) == a)) {
      ++counters_.broken;
      connection->BreakLater(0, Duration(0), Gone(connection->host(1)));
      connection->BreakLater(1, Duration(0), Gone(connection->host(0)));
    }
  }
}

// -------------------------------------------------------------------------------------------------------- for base/sim

const LinkProfile& SimNet::link(const std::string& from, const std::string& to) const {
  auto it = links_.find({from, to});
  return it == links_.end() ? default_link_ : it->second;
}

Duration SimNet::Latency(const std::string& from, const std::string& to) {
  const LinkProfile& profile = link(from, to);
  Random& random = sim_->random();
  Duration latency = sim_->Between(profile.latency_min, profile.latency_max);
  if (profile.slow_chance > 0 && random.Chance(profile.slow_chance)) {
    ++counters_.slow;
    latency += sim_->Between(Duration(0), profile.slow_max);
  }
  while (profile.loss_chance > 0 && random.Chance(profile.loss_chance)) {
    ++counters_.lost;
    latency += kRetransmit;
  }
  return latency;
}

Duration SimNet::NoticeDelay() { return sim_->Between(3s, 5s); }

void SimNet::Register(const std::shared_ptr<Connection>& connection) { connections_[connection->id()] = connection; }

std::vector<std::shared_ptr<Connection>> SimNet::All() const {
  std::vector<std::shared_ptr<Connection>> out;
  for (const auto& [id, weak] : connections_) {
    if (auto connection = weak.lock()) out.push_back(std::move(connection));
  }
  return out;
}

void SimNet::WatchBlocked(const std::shared_ptr<Connection>& connection) {
  auto blocking = [this](const std::string& from, const std::string& to) {
    auto it = blocked_.find({from, to});
    return it == blocked_.end() ? uint64_t{0} : it->second;
  };
  uint64_t forth = blocking(connection->host(0), connection->host(1));
  uint64_t back = blocking(connection->host(1), connection->host(0));
  for (int side : {0, 1}) {
    sim_->At(NoticeDelay(), [weak = std::weak_ptr(connection), side, forth, back, blocking] {
      auto connection = weak.lock();
      if (connection == nullptr) return;
      const std::string& here = connection->host(side);
      const std::string& there = connection->host(1 - side);
      bool still = (forth != 0 && blocking(connection->host(0), connection->host(1)) == forth) ||
                   (back != 0 && blocking(connection->host(1), connection->host(0)) == back);
      if (still || connection->dead()) connection->BreakLater(side, Duration(0), absl::UnavailableError(StrCat(there, " answers ", here, " no more")));
    });
  }
}

void SimNet::OnCrash(SimProcess* process, uint64_t incarnation, bool host) {
  for (const auto& connection : All()) {
    for (int side : {0, 1}) {
      Connection::Side& ours = connection->side(side);
      if (ours.process != process || ours.incarnation != incarnation || ours.broken) continue;
      ours.broken = true;
      connection->Leave(side);
      connection->dead_ = true;
      connection->DropHeld();
      const std::string& other = connection->host(1 - side);
      bool silent = host || blocked(process->name(), other);
      connection->BreakLater(1 - side, silent ? NoticeDelay() : Latency(process->name(), other), Gone(process->name()));
    }
  }
  std::erase_if(acceptors_, [&](const auto& entry) { return entry.second->process == process; });
}

void SimNet::OnPause(SimProcess* process) {
  for (const auto& connection : All()) {
    if (connection->side(0).process == process || connection->side(1).process == process) WatchPaused(connection, process);
  }
}

void SimNet::WatchPaused(const std::shared_ptr<Connection>& connection, SimProcess* process) {
  for (int side : {0, 1}) {
    sim_->At(NoticeDelay(), [weak = std::weak_ptr(connection), side, process, pause = process->pause_id()] {
      auto connection = weak.lock();
      if (connection == nullptr || !(process->pause_id() == pause || connection->dead())) return;
      connection->BreakLater(side, Duration(0), Gone(connection->host(1 - side)));
    });
  }
}

void SimNet::Shutdown() {
  for (const auto& connection : All()) connection->DropHeld();
}

absl::StatusOr<std::pair<std::string, int>> SimNet::ParseAddress(SimProcess* process, const std::string& address) {
  size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos) return absl::InvalidArgumentError(StrCat("\"", address, "\" is not host:port"));
  auto parsed = std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != address.data() + address.size() || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(StrCat("\"", address, "\" is not host:port"));
  }
  std::string host = address.substr(0, colon);
  if (host.empty() || host == "localhost" || host == "127.0.0.1" || host == "0.0.0.0") host = process->name();
  return std::pair(host, port);
}

absl::StatusOr<int> SimNet::Listen(SimProcess* process, const std::string& address, Acceptor* acceptor) {
  auto parsed = ParseAddress(process, address);
  if (!parsed.ok()) return parsed.status();
  auto [host, port] = *parsed;
  if (host != process->name()) return absl::InvalidArgumentError(StrCat(host, " is not an address of ", process->name()));
  if (port == 0) {
    port = kFirstFreePort;
    while (acceptors_.count({host, port}) != 0) ++port;
  }
  acceptor->process = process;
  acceptor->incarnation = process->incarnation();
  if (!acceptors_.emplace(std::pair(host, port), acceptor).second) {
    return absl::AlreadyExistsError(StrCat("port ", port, " of ", host, " is in use"));
  }
  return port;
}

void SimNet::StopListening(const std::string& host, int port, Acceptor* acceptor) {
  auto it = acceptors_.find({host, port});
  if (it != acceptors_.end() && it->second == acceptor) acceptors_.erase(it);
}

Acceptor* SimNet::FindAcceptor(const std::string& host, int port) const {
  auto it = acceptors_.find({host, port});
  return it == acceptors_.end() ? nullptr : it->second;
}

Task<absl::Status> SimNet::Connect(Context ctx, SimProcess* from, std::string host, int port) {
  Context limited = ctx.WithTimeout(kConnectLimit);
  std::string address = StrCat(host, ":", port);
  while (true) {
    struct Answer {
      Event arrived;
      absl::Status status;
    };
    auto answer = std::make_shared<Answer>();
    auto reply = [this, from, incarnation = from->incarnation(), host, answer](absl::Status status) {
      if (blocked(host, from->name())) return;
      sim_->Schedule(from, incarnation, Latency(host, from->name()), "connected", 0, [answer, status] {
        answer->status = status;
        answer->arrived.Set();
      });
    };
    if (!blocked(from->name(), host)) {
      sim_->At(Latency(from->name(), host), [this, host, port, address, reply] {
        SimProcess* target = sim_->process(host);
        if (target == nullptr) return reply(absl::UnavailableError(StrCat(address, ": no such host")));
        if (target->host_down() || target->paused()) return;
        bool listens = target->alive() && FindAcceptor(host, port) != nullptr;
        reply(listens ? absl::OkStatus() : absl::UnavailableError(StrCat(address, ": connection refused")));
      });
    }
    absl::Status waited = co_await answer->arrived.Wait(limited.WithTimeout(kConnectRetry));
    if (waited.ok()) co_return answer->status;
    if (absl::IsCancelled(ctx.status())) co_return ctx.status();
    if (limited.done()) co_return absl::UnavailableError(StrCat(address, " does not answer"));
  }
}

// -------------------------------------------------------------------------------------------------------- connections

namespace sim {

std::shared_ptr<Connection> Connection::Open(SimNet* net, SimProcess* from, SimProcess* to, uint64_t to_incarnation) {
  std::shared_ptr<Connection> connection(new Connection(net, net->NextId()));
  connection->sides_[0].process = from;
  connection->sides_[0].incarnation = from->incarnation();
  connection->sides_[1].process = to;
  connection->sides_[1].incarnation = to_incarnation;
  if (Duration skew = net->link(from->name(), to->name()).skew_max; skew > Duration(0)) {
    connection->skew_ = net->sim()->Between(Duration(0), skew);
    ++net->counters_.skewed;
  }
  net->Register(connection);
  if (net->blocked(from->name(), to->name()) || net->blocked(to->name(), from->name())) net->WatchBlocked(connection);
  if (to->paused()) net->WatchPaused(connection, to);
  return connection;
}

Connection::~Connection() { net_->Unregister(id_); }

const std::string& Connection::host(int side) const { return sides_[side].process->name(); }

void Connection::Send(int from, uint64_t detail, Executor::Function fn) {
  Side& ours = sides_[from];
  if (dead_ || ours.process->crashing()) return;
  int to = 1 - from;
  const LinkProfile& link = net_->link(host(from), host(to));
  if (link.break_chance > 0 && net_->sim()->random().Chance(link.break_chance)) {
    dead_ = true;
    ++net_->counters_.broken;
    for (int side : {0, 1}) BreakLater(side, net_->Latency(host(from), host(to)), Gone(host(1 - side)));
    return;
  }
  if (!sides_[to].held.empty() || net_->blocked(host(from), host(to))) {
    ++net_->counters_.held;
    sides_[to].held.emplace_back(detail, std::move(fn));
    return;
  }
  Dispatch(to, detail, std::move(fn));
}

void Connection::Dispatch(int to, uint64_t detail, Executor::Function fn) {
  Side& theirs = sides_[to];
  const Duration skew = std::min(skew_, net_->link(sides_[0].process->name(), sides_[1].process->name()).skew_max);  // none any more once the link is well
  MonoTime when = std::max(net_->sim()->now() + net_->Latency(host(1 - to), host(to)) + skew, theirs.last_arrival);
  theirs.last_arrival = when;
  net_->sim()->ScheduleAt(when, theirs.process, theirs.incarnation, "packet", id_ * 0x9e3779b97f4a7c15ull ^ detail,
                          [self = shared_from_this(), to, fn = std::move(fn)]() mutable {
                            if (!self->sides_[to].broken) fn();
                          });
}

void Connection::Break(int side, const absl::Status& why) {
  Side& ours = sides_[side];
  dead_ = true;
  if (ours.broken) return;
  ours.broken = true;
  DropHeld();
  if (auto on_break = std::exchange(ours.on_break, nullptr)) on_break(why);
  int other = 1 - side;
  // Through a blocked link no reset gets: there the other side's own watch ends it.
  if (!sides_[other].broken && !net_->blocked(host(side), host(other))) {
    BreakLater(other, net_->Latency(host(side), host(other)), Gone(host(side)));
  }
}

void Connection::BreakLater(int side, Duration delay, const absl::Status& why) {
  Side& ours = sides_[side];
  net_->sim()->Schedule(ours.process, ours.incarnation, delay, "break", id_, [self = shared_from_this(), side, why] { self->Break(side, why); });
}

void Connection::ReleaseHeld(const std::string& from, const std::string& to) {
  for (int side : {0, 1}) {
    if (host(side) != to || host(1 - side) != from) continue;
    auto held = std::exchange(sides_[side].held, {});
    for (auto& [detail, fn] : held) Dispatch(side, detail, std::move(fn));
  }
}

void Connection::DropHeld() {
  for (Side& side : sides_) {
    auto dropped = std::exchange(side.held, {});
  }
}

}  // namespace sim
}  // namespace insula
