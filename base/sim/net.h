// The network between simulated processes: latency per link, one-way and partial partitions, lost and broken connections.
//
// Connections behave like TCP's with a keepalive: what is sent arrives in order, or the connection breaks. A packet on a
// blocked link waits; when the link stays blocked for 3–5 s both sides break, each when it notices by itself.
#ifndef INSULA_BASE_SIM_NET_H_
#define INSULA_BASE_SIM_NET_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/executor.h"
#include "base/runtime/time.h"

namespace insula {

class Simulation;
class SimProcess;

// How packets travel from one host to another.
struct LinkProfile {
  Duration latency_min = std::chrono::microseconds(50);
  Duration latency_max = std::chrono::microseconds(500);
  double slow_chance = 0;  // of one packet, to take up to slow_max
  Duration slow_max = std::chrono::milliseconds(200);
  double loss_chance = 0;   // of one packet, to be lost and sent again after 200 ms
  double break_chance = 0;  // of one packet, to break its connection
  Duration skew_max = Duration(0);  // of one connection: its packets take up to so much longer, all the same, and others overtake them
};

// What the faults have done so far.
struct NetCounters {
  uint64_t slow = 0;
  uint64_t lost = 0;
  uint64_t broken = 0;
  uint64_t skewed = 0;  // connections
  uint64_t held = 0;    // packets on blocked links
};

namespace sim {
class Connection;
class Acceptor;
}  // namespace sim

class SimNet {
 public:
  explicit SimNet(Simulation* sim) : sim_(sim) {}

  void SetDefaultLink(LinkProfile profile) { default_link_ = profile; }
  void SetLink(const std::string& from, const std::string& to, LinkProfile profile) { links_[{from, to}] = profile; }

  // Packets from `from` to `to` do not arrive any more; the other direction is untouched.
  void BlockOneWay(const std::string& from, const std::string& to);
  void Block(const std::string& a, const std::string& b);
  // Every pair across the two groups, both ways.
  void Partition(const std::vector<std::string>& group_a, const std::vector<std::string>& group_b);
  // From all other hosts.
  void Isolate(const std::string& name);
  void Unblock(const std::string& a, const std::string& b);
  void HealAll();
  bool blocked(const std::string& from, const std::string& to) const { return blocked_.count({from, to}) != 0; }
  const NetCounters& counters() const { return counters_; }
  // Resets every connection between the two.
  void BreakConnections(const std::string& a, const std::string& b);

  // ---- for base/sim
  Simulation* sim() { return sim_; }
  Duration Latency(const std::string& from, const std::string& to);
  const LinkProfile& link(const std::string& from, const std::string& to) const;
  void Register(const std::shared_ptr<sim::Connection>& connection);
  void Unregister(uint64_t id) { connections_.erase(id); }
  uint64_t NextId() { return ++last_id_; }
  // Breaks `connection` on each side after 3–5 s, if the link between its ends is still blocked then.
  void WatchBlocked(const std::shared_ptr<sim::Connection>& connection);
  void OnCrash(SimProcess* process, uint64_t incarnation, bool host);
  // The same while `process` is paused.
  void WatchPaused(const std::shared_ptr<sim::Connection>& connection, SimProcess* process);
  void OnPause(SimProcess* process);
  void Shutdown();

  absl::StatusOr<int> Listen(SimProcess* process, const std::string& address, sim::Acceptor* acceptor);
  void StopListening(const std::string& host, int port, sim::Acceptor* acceptor);
  sim::Acceptor* FindAcceptor(const std::string& host, int port) const;
  // Host ("" and loopback names: the process's own) and port of "host:port".
  static absl::StatusOr<std::pair<std::string, int>> ParseAddress(SimProcess* process, const std::string& address);
  // A handshake with whoever listens there: OK, or kUnavailable if refused or not answered before the context's deadline or 5 s.
  Task<absl::Status> Connect(Context ctx, SimProcess* from, std::string host, int port);

 private:
  friend class sim::Connection;
  Duration NoticeDelay();
  std::vector<std::shared_ptr<sim::Connection>> All() const;  // by id

  Simulation* sim_;
  NetCounters counters_;
  LinkProfile default_link_;
  std::map<std::pair<std::string, std::string>, LinkProfile> links_;
  std::map<std::pair<std::string, std::string>, uint64_t> blocked_;  // value: which blocking, ever new
  uint64_t last_id_ = 0;
  uint64_t last_blocking_ = 0;
  std::map<uint64_t, std::weak_ptr<sim::Connection>> connections_;
  std::map<std::pair<std::string, int>, sim::Acceptor*> acceptors_;
};

namespace sim {

// Whoever listens on a port: a transport or a listener of byte streams.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  SimProcess* process = nullptr;
  uint64_t incarnation = 0;
};

// One connection between two incarnations. Side 0 opened it. Packets to one side arrive in the order they were sent.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Side {
    SimProcess* process = nullptr;
    uint64_t incarnation = 0;
    std::function<void(const absl::Status&)> on_break;  // at most once
    bool broken = false;
    bool left = false;  // its object is gone: tell it nothing
    MonoTime last_arrival;
    std::deque<std::pair<uint64_t, Executor::Function>> held;  // for a blocked link: (detail, what happens on arrival)
  };

  static std::shared_ptr<Connection> Open(SimNet* net, SimProcess* from, SimProcess* to, uint64_t to_incarnation);
  ~Connection();

  // `fn` runs at the other side when the packet arrives, unless the connection breaks before.
  void Send(int from, uint64_t detail, Executor::Function fn);
  // The side's object goes: it hears of nothing any more.
  void Leave(int side) {
    sides_[side].left = true;
    sides_[side].on_break = nullptr;
  }
  // This side notices now that the connection is gone, the other when a reset reaches it.
  void Break(int side, const absl::Status& why);
  void BreakLater(int side, Duration delay, const absl::Status& why);
  void ReleaseHeld(const std::string& from, const std::string& to);
  void DropHeld();

  uint64_t id() const { return id_; }
  bool dead() const { return dead_; }
  Side& side(int i) { return sides_[i]; }
  const std::string& host(int side) const;
  SimNet* net() { return net_; }

 private:
  friend class insula::SimNet;
  Connection(SimNet* net, uint64_t id) : net_(net), id_(id) {}
  void Dispatch(int to, uint64_t detail, Executor::Function fn);

  SimNet* net_;
  const uint64_t id_;
  Duration skew_{0};
  bool dead_ = false;
  Side sides_[2];
};

// Hash of a packet's bytes, for the trace.
uint64_t HashBytes(std::string_view bytes);

}  // namespace sim
}  // namespace insula

#endif  // INSULA_BASE_SIM_NET_H_
