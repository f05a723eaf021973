#include "test/sim/cluster.h"

#include <map>
#include <utility>

#include "base/check.h"
#include "base/log/log.h"
#include "base/sim/disk.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/client/database.h"
#include "kv/server/node.h"

namespace insula::simtest {
namespace {

constexpr char kClusterId[] = "simulated";
constexpr char kStorePath[] = "/store";
// Short, so that versions go while transactions that might want them are under way.
constexpr Duration kGcTtl = std::chrono::seconds(2);

std::string AddressOf(int i) { return StrCat("n", i + 1, ":26257"); }

std::map<uint64_t, std::string> Peers() {
  std::map<uint64_t, std::string> peers;
  for (int i = 0; i < SimCluster::kNodes; ++i) peers[static_cast<uint64_t>(i) + 1] = AddressOf(i);
  return peers;
}

PeerIdentity NodeIdentity(uint64_t id) { return {.common_name = StrCat("node-", id), .organizational_unit = "Nodes", .uris = {}, .address = ""}; }

// One transport made of two: what serves can go before what calls, as when a process is torn down in the middle of its work.
class TwoWayTransport : public Transport {
 public:
  TwoWayTransport(Transport* server, Transport* client) : server_(server), client_(client) {}
  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
    return client_->Open(ctx, std::move(address), std::move(method));
  }
  void Handle(std::string method, Handler handler) override { server_->Handle(std::move(method), std::move(handler)); }
  absl::StatusOr<int> Listen(const std::string& address) override { return server_->Listen(address); }
  Task<void> Shutdown(Duration grace) override { return server_->Shutdown(grace); }

 private:
  Transport* server_;
  Transport* client_;
};

// What a node's process owns. A crash ends the handlers' frames first: they use the node.
struct NodeRoot {
  NodeRoot(SimProcess& p, PeerIdentity identity) : client(p.MakeTransport(identity)), server(p.MakeTransport(identity)), transport(server.get(), client.get()) {}
  ~NodeRoot() { server.reset(); }
  std::unique_ptr<Transport> client;
  std::unique_ptr<Transport> server;
  TwoWayTransport transport;
  std::unique_ptr<kv::Node> node;
};

struct ClientRoot {
  ClientRoot(SimProcess& p)
      : transport(p.MakeTransport(NodeIdentity(99))),
        database(kv::MakeDatabase(p.context(), p.runtime(), transport.get(), {.sender = {.bootstrap = {AddressOf(0), AddressOf(1), AddressOf(2)}}, .coordinator = {}})) {}
  std::unique_ptr<Transport> transport;
  std::unique_ptr<kv::Database> database;
};

}  // namespace

SimCluster::SimCluster(uint64_t seed) : sim_(seed), nodes_(kNodes) {
  for (int i = 0; i < kNodes; ++i) {
    NodeHost& host = nodes_[static_cast<size_t>(i)];
    host.process = sim_.AddProcess(StrCat("n", i + 1));
    host.engine_random = std::make_unique<SeededRandom>(seed * 31 + static_cast<uint64_t>(i));
  }
  client_ = sim_.AddProcess("client");
}

SimCluster::~SimCluster() {
  for (NodeHost& host : nodes_) {
    if (host.process->alive()) host.process->Crash();
  }
  if (client_->alive()) client_->Crash();
}

void SimCluster::BootNode(int i) {
  NodeHost* host = &nodes_[static_cast<size_t>(i)];
  host->process->Boot([this, i, host](SimProcess& p) -> std::shared_ptr<void> {
    uint64_t id = static_cast<uint64_t>(i) + 1;
    auto root = std::make_shared<NodeRoot>(p, NodeIdentity(id));
    kv::NodeOptions options{.store_path = kStorePath, .node_id = id, .cluster_id = kClusterId, .peers = Peers(), .version = "sim",
                            .on_fatal = [this, i](absl::Status why) {
                              sim_.Note(StrCat("n", i + 1), StrCat("fatal: ", why.ToString()));
                              nodes_[static_cast<size_t>(i)].process->Crash();
                            },
                            .gc = {.default_ttl = kGcTtl, .versions_per_batch = 20}};
    auto engines = [host](const std::string&) { return kv::storage::OpenModelEngine(host->engine_random.get(), &host->disk); };
    root->node = std::make_unique<kv::Node>(p.context(), p.runtime(), &root->transport, engines, std::move(options));
    auto port = root->transport.Listen(AddressOf(i));
    CHECK_OK(port.status());
    kv::Node* node = root->node.get();
    p.Spawn([this, i, node](Context ctx) -> Task<void> {
      absl::Status started = co_await node->Start(ctx);
      if (!started.ok()) sim_.Note(StrCat("n", i + 1), StrCat("start failed: ", started.ToString()));
    });
    return root;
  });
}

absl::Status SimCluster::Start() {
  for (int i = 0; i < kNodes; ++i) {
    NodeHost* host = &nodes_[static_cast<size_t>(i)];
    auto engines = [host](const std::string&) { return kv::storage::OpenModelEngine(host->engine_random.get(), &host->disk); };
    RETURN_IF_ERROR(sim_.Run(
        host->process,
        [&](Context ctx) -> Task<absl::Status> {
          co_return co_await kv::InitNodeStore(ctx, host->process->runtime(), engines, kStorePath, kClusterId, static_cast<uint64_t>(i) + 1, kNodes);
        },
        60s));
  }
  for (int i = 0; i < kNodes; ++i) BootNode(i);
  client_->Boot([](SimProcess& p) -> std::shared_ptr<void> { return std::make_shared<ClientRoot>(p); });
  return absl::OkStatus();
}

kv::Database* SimCluster::database() { return client_->root<ClientRoot>()->database.get(); }

void SimCluster::Crash(int i) {
  if (alive(i)) node(i)->Crash();
}

void SimCluster::Restart(int i) {
  if (!alive(i)) node(i)->Restart();
}

void SimCluster::Heal() {
  sim_.net().HealAll();
  sim_.net().SetDefaultLink(LinkProfile());
  for (int i = 0; i < kNodes; ++i) {
    if (node(i)->paused()) node(i)->Resume();
    node(i)->disk().faults = DiskFaults();
    node(i)->disk().Thaw();
    Restart(i);
  }
}

}  // namespace insula::simtest
