// Whole nodes (kv/server/node.h) on simulated hosts, founded or joined, and a client with an administrator's and a node's identity: the
// fixture of tests about nodes that come and go.
#ifndef INSULA_KV_SERVER_TESTING_SIM_NODES_H_
#define INSULA_KV_SERVER_TESTING_SIM_NODES_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics/metrics.h"
#include "base/runtime/random.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/client/database.h"
#include "kv/server/node.h"
#include "kv/storage/model_engine.h"
#include "kv/store/store.h"
#include "proto/kv/status.pb.h"

namespace insula::kv::simnodes {

inline constexpr char kCluster[] = "sim-nodes";
inline constexpr int kFounders = 3;
inline constexpr char kMoves[] = "\ninsula_kv_placement_actions_total{";

inline PeerIdentity Certificate(std::string unit, std::string name) { return {.common_name = std::move(name), .organizational_unit = std::move(unit), .uris = {}, .address = ""}; }
inline std::string AddressOf(uint64_t node) { return StrCat("n", node, ":26257"); }

struct NodeRoot {
  NodeRoot(SimProcess& p, uint64_t id)
      : client(p.MakeTransport(Certificate("Nodes", StrCat("node-", id)))), server(p.MakeTransport(Certificate("Nodes", StrCat("node-", id)))), both(this) {}
  // The handlers use the node.
  ~NodeRoot() { server.reset(); }

  // What serves can go before what calls.
  class Both : public Transport {
   public:
    explicit Both(NodeRoot* root) : root_(root) {}
    Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
      return root_->client->Open(ctx, std::move(address), std::move(method));
    }
    void Handle(std::string method, Handler handler) override { root_->server->Handle(std::move(method), std::move(handler)); }
    absl::StatusOr<int> Listen(const std::string& address) override { return root_->server->Listen(address); }
    Task<void> Shutdown(Duration grace) override { return root_->server->Shutdown(grace); }

   private:
    NodeRoot* root_;
  };

  std::unique_ptr<Transport> client;
  std::unique_ptr<Transport> server;
  Both both;
  metrics::Registry metrics;
  std::unique_ptr<Node> node;
};

struct ClientRoot {
  explicit ClientRoot(SimProcess& p)
      : admin(p.MakeTransport(Certificate("Admins", "admin"))),
        system(p.MakeTransport(Certificate("Nodes", "node-99"))),
        database(MakeDatabase(p.context(), p.runtime(), system.get(), {.sender = {.bootstrap = {AddressOf(1), AddressOf(2), AddressOf(3)}}, .coordinator = {}})) {}
  std::unique_ptr<Transport> admin;
  std::unique_ptr<Transport> system;
  std::unique_ptr<ClientDatabase> database;
};

class SimNodes : public testing::Test {
 protected:
  SimNodes() : sim_(testing::UnitTest::GetInstance()->random_seed() + 7), engine_random_(3) {
    client_ = sim_.AddProcess("client");
    for (uint64_t id = 1; id <= kFounders; ++id) AddHost(id);
  }
  ~SimNodes() override {
    if (client_->alive()) client_->Crash();
    for (auto& [id, host] : hosts_) {
      if (host.process->alive()) host.process->Crash();
    }
  }

  struct Host {
    SimProcess* process = nullptr;
    storage::ModelDisk disk;
    absl::Status ended;  // why the node ended itself
    std::map<uint64_t, std::string> peers;
    std::vector<std::string> join;
    std::string address;
  };

  void AddHost(uint64_t id) {
    hosts_[id].process = sim_.AddProcess(StrCat("n", id));
    hosts_[id].address = AddressOf(id);
  }
  storage::EngineFactory Engines(uint64_t id) {
    return [this, id](const std::string&) { return storage::OpenModelEngine(&engine_random_, &hosts_[id].disk); };
  }
  std::map<uint64_t, std::string> Founders() {
    std::map<uint64_t, std::string> peers;
    for (uint64_t id = 1; id <= kFounders; ++id) peers[id] = hosts_[id].address;
    return peers;
  }

  void StartFounders() {
    for (uint64_t id = 1; id <= kFounders; ++id) {
      absl::Status made = sim_.Run(
          hosts_[id].process,
          [&](Context ctx) -> Task<absl::Status> { co_return co_await InitNodeStore(ctx, hosts_[id].process->runtime(), Engines(id), "/store", kCluster, id, kFounders); }, 60s);
      ASSERT_TRUE(made.ok()) << made;
      Boot(id, Founders(), {});
    }
    client_->Boot([](SimProcess& p) -> std::shared_ptr<void> { return std::make_shared<ClientRoot>(p); });
    for (uint64_t id = 1; id <= kFounders; ++id) ASSERT_TRUE(WaitReady(id)) << id;
  }
  void Boot(uint64_t id, std::map<uint64_t, std::string> peers, std::vector<std::string> join) {
    Host& host = hosts_[id];
    peers[id] = host.address;
    host.peers = std::move(peers);
    host.join = std::move(join);
    host.ended = absl::OkStatus();
    // After a crash the same function is called again.
    if (!host.process->alive()) return host.process->Restart();
    host.process->Boot([this, id](SimProcess& p) -> std::shared_ptr<void> {
      auto root = std::make_shared<NodeRoot>(p, id);
      NodeOptions options{.store_path = "/store", .node_id = id, .cluster_id = kCluster, .peers = hosts_[id].peers, .join = hosts_[id].join, .locality = StrCat("region=r", id), .version = "sim"};
      options.metrics = &root->metrics;
      options.tune_store = [this](StoreOptions& store) {
        store.pool.dead_after = dead_after_;
        store.replicate.unsettled_for = std::chrono::seconds(5);
        store.consistency.interval = compare_after_;
      };
      options.on_fatal = [this, id](absl::Status why) { hosts_[id].ended = why; };
      root->node = std::make_unique<Node>(p.context(), p.runtime(), &root->both, Engines(id), std::move(options));
      EXPECT_TRUE(root->both.Listen(hosts_[id].address).ok());
      p.Spawn([this, id, node = root->node.get()](Context ctx) -> Task<void> {
        absl::Status started = co_await node->Start(ctx);
        if (!started.ok() && !ctx.done()) hosts_[id].ended = started;
      });
      return root;
    });
  }
  // `insula kv join`.
  absl::Status JoinStore(uint64_t id, std::vector<std::string> members) {
    return sim_.Run(
        hosts_[id].process,
        [&, id](Context ctx) -> Task<absl::Status> {
          auto transport = hosts_[id].process->MakeTransport(Certificate("Nodes", StrCat("node-", id)));
          co_return co_await JoinNodeStore(ctx.WithTimeout(10s), hosts_[id].process->runtime(), transport.get(), Engines(id), "/store", id, members, StrCat("region=r", id));
        },
        60s);
  }
  void Join(uint64_t id) {
    AddHost(id);
    absl::Status joined = JoinStore(id, {AddressOf(1), AddressOf(2)});
    ASSERT_TRUE(joined.ok()) << joined;
    Boot(id, {}, {AddressOf(1)});
    ASSERT_TRUE(WaitReady(id));
  }

  Node* node(uint64_t id) { return hosts_[id].process->alive() ? hosts_[id].process->root<NodeRoot>()->node.get() : nullptr; }
  uint64_t Leases(uint64_t id) {
    v1::NodeStatusResponse status;
    node(id)->FillStatus(v1::NodeStatusRequest(), &status);
    return status.leases();
  }
  // How many replicas and leases all nodes have moved since they started.
  double Moves() {
    double moves = 0;
    for (auto& [id, host] : hosts_) {
      if (!host.process->alive()) continue;
      const std::string all = host.process->root<NodeRoot>()->metrics.Render();
      for (size_t at = all.find(kMoves); at != std::string::npos; at = all.find(kMoves, at + 1)) moves += std::stod(all.substr(all.find(' ', at)));
    }
    return moves;
  }
  bool WaitReady(uint64_t id) {
    return sim_.RunUntil([&] { return node(id) != nullptr && node(id)->ready().ok(); }, 60s);
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(uint64_t id, const char* method, Request request, bool as_admin = true) {
    absl::StatusOr<Response> response = absl::UnknownError("no answer");
    absl::Status ran = sim_.Run(
        client_,
        [&](Context ctx) -> Task<absl::Status> {
          Transport& transport = as_admin ? *client_->root<ClientRoot>()->admin : *client_->root<ClientRoot>()->system;
          response = co_await CallUnary<Response>(ctx.WithTimeout(10s), transport, hosts_[id].address, StrCat("/insula.kv.v1.Node/", method), request);
          co_return absl::OkStatus();
        },
        60s);
    EXPECT_TRUE(ran.ok()) << ran;
    return response;
  }
  // What node `id` knows of all.
  std::map<uint64_t, v1::ListNodesResponse::Member> Nodes(uint64_t id) {
    std::map<uint64_t, v1::ListNodesResponse::Member> out;
    auto response = Call<v1::ListNodesResponse>(id, "ListNodes", v1::ListNodesRequest());
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) return out;
    for (const auto& m : response->nodes()) out[m.record().node_id()] = m;
    return out;
  }
  bool Until(std::function<bool()> condition, Duration limit = 60s) {
    const MonoTime end = sim_.now() + limit;
    while (!condition()) {
      if (sim_.now() > end) return false;
      sim_.RunFor(200ms);
    }
    return true;
  }
  absl::Status SetState(uint64_t ask, uint64_t id, v1::NodeState state) {
    v1::SetNodeStateRequest request;
    request.set_node_id(id);
    request.set_state(state);
    return Call<v1::SetNodeStateResponse>(ask, "SetNodeState", request).status();
  }
  absl::Status Put(std::string key, std::string value) {
    return sim_.Run(
        client_,
        [&](Context ctx) -> Task<absl::Status> {
          auto txn = client_->root<ClientRoot>()->database->Begin({});
          txn->Put(key, value);
          co_return co_await txn->Commit(ctx);
        },
        60s);
  }

  Duration dead_after_ = std::chrono::minutes(5);
  Duration compare_after_ = std::chrono::hours(24);
  Simulation sim_;
  SeededRandom engine_random_;
  SimProcess* client_;
  std::map<uint64_t, Host> hosts_;
};

}  // namespace insula::kv::simnodes

#endif  // INSULA_KV_SERVER_TESTING_SIM_NODES_H_
