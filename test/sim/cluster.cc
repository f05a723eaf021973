#include "test/sim/cluster.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/metrics/metrics.h"
#include "base/rocksenv/sim_env.h"
#include "base/sim/disk.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/client/stream_channel.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_state.h"
#include "kv/server/node.h"
#include "kv/storage/data_key.h"
#include "kv/storage/rocks_engine.h"
#include "kv/store/bootstrap.h"
#include "kv/store/store.h"

namespace insula::simtest {
namespace {

constexpr char kClusterId[] = "simulated";
constexpr char kStorePath[] = "/store";
// Short, so that versions go while transactions that might want them are under way.
constexpr Duration kGcTtl = std::chrono::seconds(2);

std::map<uint64_t, std::string> Peers(int nodes) {
  std::map<uint64_t, std::string> peers;
  for (int i = 0; i < nodes; ++i) peers[static_cast<uint64_t>(i) + 1] = SimCluster::AddressOf(i);
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

kv::storage::ModelMaps RowsOf(kv::storage::Engine& engine) {
  kv::storage::ModelMaps maps = kv::storage::EmptyModelMaps();
  auto reader = engine.NewReader();
  for (int cf = 0; cf < kv::storage::kColumnFamilies; ++cf) {
    auto it = reader->NewIterator({.cf = static_cast<kv::storage::ColumnFamily>(cf)});
    for (it->SeekToFirst(); it->Valid(); it->Next()) maps[static_cast<size_t>(cf)].emplace(it->key(), it->value());
    CHECK_OK(it->status());
  }
  return maps;
}

// What a node's process owns. A crash ends the handlers' frames first: they use the node.
struct NodeRoot {
  NodeRoot(SimProcess& p, PeerIdentity identity) : client(p.MakeTransport(identity)), server(p.MakeTransport(identity)), transport(server.get(), client.get()) {}
  ~NodeRoot() { server.reset(); }
  std::unique_ptr<Transport> client;
  std::unique_ptr<Transport> server;
  TwoWayTransport transport;
  metrics::Registry metrics;
  std::unique_ptr<kv::Node> node;
};

struct ClientRoot {
  ClientRoot(SimProcess& p, PeerIdentity identity, ChannelFaults* faults, const ClusterOptions& options, std::vector<std::string> addresses)
      : transport(p.MakeTransport(std::move(identity))),
        streams(p.context(), transport.get()),
        channel(p.context(), &p.random(), &streams, faults),
        database(kv::MakeDatabase(p.context(), &p.random(), &channel,
                                  {.sender = {.bootstrap = std::move(addresses), .trouble_limit = options.trouble_limit}, .coordinator = options.coordinator})) {}
  std::unique_ptr<Transport> transport;
  kv::StreamChannel streams;
  FaultyChannel channel;
  std::unique_ptr<kv::ClientDatabase> database;
};

}  // namespace

std::string SimCluster::AddressOf(int i) { return StrCat("n", i + 1, ":26257"); }

SimCluster::SimCluster(const ClusterOptions& options) : options_(options), sim_(options.seed), hosts_(static_cast<size_t>(kNodes + options.joining_nodes)) {
  for (int i = 0; i < nodes(); ++i) {
    NodeHost& host = hosts_[static_cast<size_t>(i)];
    host.process = sim_.AddProcess(StrCat("n", i + 1));
    if (options.old_nodes.contains(i)) host.supports = kv::kFirstClusterVersion;
    host.engine_random = std::make_unique<SeededRandom>(options.seed * 31 + static_cast<uint64_t>(i));
  }
  for (int i = 0; i < kClients; ++i) clients_.push_back(sim_.AddProcess(i == 0 ? "client" : StrCat("client-", i + 1)));
  ghost_ = sim_.AddProcess("ghost");
}

SimCluster::~SimCluster() {
  for (NodeHost& host : hosts_) {
    if (host.process->alive()) host.process->Crash();
  }
  for (SimProcess* p : clients_) {
    if (p->alive()) p->Crash();
  }
  if (ghost_->alive()) ghost_->Crash();
}

kv::storage::EngineFactory SimCluster::Engines(int i) {
  NodeHost* host = &hosts_[static_cast<size_t>(i)];
  if (options_.rocks) return [this, host](const std::string& path) { return OpenRocks(host, path); };
  return [host](const std::string&) { return kv::storage::OpenModelEngine(host->engine_random.get(), &host->disk); };
}

absl::StatusOr<std::unique_ptr<kv::storage::Engine>> SimCluster::OpenRocks(NodeHost* host, const std::string& path) {
  const Runtime runtime = host->process->runtime();
  // RocksDB does not make sure that its own folder stays.
  RETURN_IF_ERROR(runtime.files->CreateDirs(path));
  for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0; slash = path.rfind('/', slash - 1)) {
    RETURN_IF_ERROR(runtime.files->SyncDir(path.substr(0, slash)));
  }
  kv::storage::RocksOptions options;
  options.block_cache_bytes = 4 << 20;
  options.write_buffer_bytes = options_.write_buffer_bytes;
  options.env = MakeSimEnv(host->process);
  options.prepare = PrepareForSimulation;
  ASSIGN_OR_RETURN(auto engine, kv::storage::OpenRocksEngine(runtime.executor, path, options));
  host->engine = engine.get();
  return engine;
}

void SimCluster::Ended(int i, const char* how, const absl::Status& why) {
  NodeHost& host = hosts_[static_cast<size_t>(i)];
  std::string line = StrCat("n", i + 1, " ", how, ": ", why.ToString());
  sim_.Note(host.process->name(), line);
  // Damage that was done on purpose: it says so and stays away, as it should.
  if (host.damaged && absl::IsDataLoss(why)) {
    host.retired = true;
  } else {
    ends_.push_back(std::move(line));
  }
  host.process->Crash(CrashKind::kProcess);
  if (!host.retired) sim_.At((500 + sim_.random().Uniform(2000)) * 1ms, [this, i] { Restart(i); });
}

void SimCluster::BootNode(int i) {
  hosts_[static_cast<size_t>(i)].process->Boot([this, i](SimProcess& p) -> std::shared_ptr<void> {
    uint64_t id = static_cast<uint64_t>(i) + 1;
    hosts_[static_cast<size_t>(i)].engine = nullptr;
    auto root = std::make_shared<NodeRoot>(p, NodeIdentity(id));
    kv::NodeOptions options{.store_path = kStorePath, .node_id = id, .cluster_id = kClusterId, .peers = Peers(nodes()), .version = "sim"};
    options.supported_version = hosts_[static_cast<size_t>(i)].supports;
    options.metrics = &root->metrics;
    options.split = options_.split;
    options.merge = options_.merge;
    options.gc = {.default_ttl = kGcTtl, .versions_per_batch = 20};
    options.tune_store = [this](kv::StoreOptions& store) {
      store.log_segment_bytes = options_.log_segment_bytes;
      store.log_cache_bytes = options_.log_cache_bytes;
      store.truncation.idle_interval = options_.truncation_interval;
      store.truncation.tail_entries = options_.truncation_tail;
      store.snapshots = options_.snapshots;
      store.replicate = options_.replicate;
      store.pool = options_.pool;
      store.consistency = {.interval = options_.consistency_interval, .patience = 30s};
      // Nodes that joined are known by their certificates alone here.
      store.peer_check = [](const PeerIdentity& peer, kv::StoreId from) {
        return peer.common_name == StrCat("node-", from) ? absl::OkStatus() : absl::PermissionDeniedError(StrCat(peer.common_name, " is not store ", from));
      };
    };
    options.on_fatal = [this, i](absl::Status why) { Ended(i, "stopped itself", why); };
    root->node = std::make_unique<kv::Node>(p.context(), p.runtime(), &root->transport, Engines(i), std::move(options));
    auto port = root->transport.Listen(AddressOf(i));
    CHECK_OK(port.status());
    kv::Node* node = root->node.get();
    p.Spawn([this, i, node](Context ctx) -> Task<void> {
      absl::Status started = co_await node->Start(ctx);
      if (!started.ok() && !ctx.done()) Ended(i, "does not start", started);
    });
    return root;
  });
}

absl::Status SimCluster::Start() {
  for (int i = 0; i < nodes(); ++i) {
    SimProcess* process = node(i);
    RETURN_IF_ERROR(sim_.Run(
        process,
        [&](Context ctx) -> Task<absl::Status> {
          const uint64_t id = static_cast<uint64_t>(i) + 1;
          if (i < kNodes) co_return co_await kv::InitNodeStore(ctx, process->runtime(), Engines(i), kStorePath, kClusterId, id, kNodes);
          kv::StoreIdent ident{.cluster_id = kClusterId, .node_id = id, .store_id = id, .members = {}};
          for (uint64_t founder = 1; founder <= kNodes; ++founder) ident.members.push_back({.node_id = founder, .store_id = founder});
          co_return co_await kv::InitJoiningStore(ctx, process->runtime(), Engines(i), kStorePath, std::move(ident));
        },
        60s));
  }
  for (int i = 0; i < nodes(); ++i) BootNode(i);
  for (SimProcess* p : clients_) p->Boot([this](SimProcess& host) { return MakeClient(host, NodeIdentity(99)); });
  ghost_->Boot([this](SimProcess& host) { return MakeClient(host, NodeIdentity(99)); });
  return absl::OkStatus();
}

std::shared_ptr<void> SimCluster::MakeClient(SimProcess& process, PeerIdentity identity) {
  std::vector<std::string> addresses;
  for (int i = 0; i < nodes(); ++i) addresses.push_back(AddressOf(i));
  return std::make_shared<ClientRoot>(process, std::move(identity), &channel_faults_, options_, std::move(addresses));
}

kv::ClientDatabase* SimCluster::DatabaseOf(SimProcess* process) { return process->alive() ? process->root<ClientRoot>()->database.get() : nullptr; }
kv::BatchChannel* SimCluster::ChannelOf(SimProcess* process) { return &process->root<ClientRoot>()->channel; }
Transport* SimCluster::TransportOf(SimProcess* process) { return process->root<ClientRoot>()->transport.get(); }
kv::ClientDatabase* SimCluster::database() { return DatabaseOf(client()); }
kv::ClientDatabase* SimCluster::ghost_database() { return DatabaseOf(ghost_); }

void SimCluster::Crash(int i, CrashKind kind) {
  if (alive(i)) node(i)->Crash(kind);
}

void SimCluster::Restart(int i) {
  if (!alive(i) && !retired(i) && sim_.now() >= hosts_[static_cast<size_t>(i)].away_until) node(i)->Restart();
}

void SimCluster::SendAway(int i, Duration away) {
  hosts_[static_cast<size_t>(i)].away_until = sim_.now() + away;
  Crash(i);
  sim_.At(away, [this, i] { Restart(i); });
}

void SimCluster::SetDraining(int i, bool draining) {
  if (alive(i) && node(i)->root<NodeRoot>() != nullptr) node(i)->root<NodeRoot>()->node->SetDraining(draining);
}

void SimCluster::Upgrade(int i) {
  if (!old(i)) return;
  hosts_[static_cast<size_t>(i)].supports = kv::kNewestClusterVersion;
  sim_.Note(node(i)->name(), "is upgraded");
  Crash(i, CrashKind::kProcess);
  Restart(i);
}

bool SimCluster::AnyOld() const {
  for (int i = 0; i < kNodes; ++i) {
    if (old(i)) return true;
  }
  return false;
}

bool SimCluster::AllAtNewestVersion() const {
  for (const NodeHost& host : hosts_) {
    const auto* root = host.process->alive() ? host.process->root<NodeRoot>() : nullptr;
    if (root != nullptr && root->node->cluster_version() < kv::kNewestClusterVersion) return false;
  }
  return true;
}

bool SimCluster::AnyAtNewestVersion() const {
  for (const NodeHost& host : hosts_) {
    const auto* root = host.process->alive() ? host.process->root<NodeRoot>() : nullptr;
    if (root != nullptr && root->node->cluster_version() >= kv::kNewestClusterVersion) return true;
  }
  return false;
}

void SimCluster::CheckVersions() {
  if (!AnyOld()) return;
  for (const NodeHost& host : hosts_) {
    const auto* root = host.process->alive() ? host.process->root<NodeRoot>() : nullptr;
    if (root != nullptr && root->node->cluster_version() > kv::kFirstClusterVersion) NoteWrong(StrCat(host.process->name(), " relies on a version that not all nodes support"));
  }
}

void SimCluster::CrashGhost() {
  if (ghost_->alive()) ghost_->Crash();
}

void SimCluster::RestartGhost() {
  if (!ghost_->alive()) ghost_->Restart();
}

void SimCluster::SetFull(int i, bool full) {
  hosts_[static_cast<size_t>(i)].disk.full = full;
  SimDisk& disk = node(i)->disk();
  disk.faults.capacity = full ? disk.BytesUsed() + sim_.random().Uniform(16 << 10) : ~uint64_t{0};
}

void SimCluster::Heal() {
  sim_.net().HealAll();
  sim_.net().SetDefaultLink(LinkProfile());
  channel_faults_.lose_answer = channel_faults_.deliver_late = channel_faults_.duplicate = 0;
  for (int i = 0; i < nodes(); ++i) {
    if (node(i)->paused()) node(i)->Resume();
    node(i)->CrashAfterSteps(0);  // not after all
    node(i)->disk().faults = DiskFaults();
    node(i)->disk().Thaw();
    hosts_[static_cast<size_t>(i)].disk.full = false;
    hosts_[static_cast<size_t>(i)].away_until = MonoTime{};
    SetDraining(i, false);
    Upgrade(i);
    Restart(i);
    sim_.At(1ms, [this, i] { Restart(i); });  // it may be about to crash at this very moment
  }
  CrashGhost();  // if it was still to die, its heartbeats would keep its locks for ever
  RestartGhost();
}

// ------------------------------------------------------------------------------------------------------- are replicas the same

std::optional<kv::storage::ModelMaps> SimCluster::StateOf(int i) const {
  if (options_.rocks) {
    kv::storage::Engine* engine = hosts_[static_cast<size_t>(i)].engine;
    return engine == nullptr ? std::nullopt : std::optional(RowsOf(*engine));
  }
  const kv::storage::ModelDisk& disk = hosts_[static_cast<size_t>(i)].disk;
  kv::storage::ModelMaps maps = disk.flushed;
  for (const auto& batch : disk.unflushed) kv::storage::ApplyToMaps(batch, &maps);
  return maps;
}

kv::v1::NodeStatusResponse SimCluster::StatusOf(int i) {
  kv::v1::NodeStatusResponse status;
  if (!alive(i) || node(i)->root<NodeRoot>() == nullptr) return status;
  kv::v1::NodeStatusRequest request;
  request.set_include_ranges(true);
  node(i)->root<NodeRoot>()->node->FillStatus(request, &status);
  return status;
}

std::string SimCluster::Metrics(int i) { return alive(i) && node(i)->root<NodeRoot>() != nullptr ? node(i)->root<NodeRoot>()->metrics.Render() : ""; }

std::vector<std::string> SimCluster::UsedRanges() {
  std::vector<std::string> out;
  for (auto& [id, all] : Ranges()) {
    if (all.range.applied_index() > kv::kFirstIndex) out.push_back(all.range.start_key());
  }
  return out;
}

int SimCluster::LeaderOf(std::string_view key) {
  for (int i = 0; i < nodes(); ++i) {
    const auto status = StatusOf(i);
    for (const auto& range : status.range_list()) {
      const bool here = range.start_key() <= key && (range.end_key().empty() || key < range.end_key());
      if (here && range.leader_node() == static_cast<uint64_t>(i) + 1) return i;
    }
  }
  return -1;
}

bool SimCluster::DamageRow(int i, Random& random) {
  NodeHost& host = hosts_[static_cast<size_t>(i)];
  const kv::storage::ColumnFamily cf = random.Chance(0.8) ? kv::storage::ColumnFamily::kData : kv::storage::ColumnFamily::kLock;
  const kv::storage::ModelMap& rows = host.disk.flushed[static_cast<size_t>(cf)];
  if (rows.empty()) return false;
  host.disk.damaged.emplace(cf, std::next(rows.begin(), static_cast<int64_t>(random.Uniform(rows.size())))->first);
  host.damaged = true;
  return true;
}

std::vector<std::string> SimCluster::Problems() {
  std::vector<std::string> out;
  for (int i = 0; i < nodes(); ++i) {
    if (damaged(i)) continue;
    const auto status = StatusOf(i);
    for (const auto& range : status.range_list()) {
      if (!range.problem().empty()) out.push_back(StrCat("n", i + 1, " range ", range.range_id(), ": ", range.problem()));
    }
  }
  return out;
}

std::map<uint64_t, SimCluster::RangeOnNodes> SimCluster::Ranges() {
  std::map<uint64_t, RangeOnNodes> ranges;
  // A damaged node may still have what was merged, moved or removed elsewhere: what it says of a range counts if nobody else says anything.
  for (bool sound : {true, false}) {
    for (int i = 0; i < nodes(); ++i) {
      if (damaged(i) == sound) continue;
      const auto status = StatusOf(i);
      for (const auto& range : status.range_list()) {
        RangeOnNodes& all = ranges[range.range_id()];
        if (all.replicas.empty() || (sound && range.generation() > all.range.generation())) all.range = range;
        all.replicas[i] = range;
      }
    }
  }
  return ranges;
}

std::string SimCluster::DescribeLaggards() {
  std::string out;
  for (const auto& [id, all] : Ranges()) {
    bool alike = static_cast<int>(all.replicas.size()) == all.range.replica_nodes_size();
    for (const auto& [i, r] : all.replicas) alike = alike && r.applied_index() == all.range.applied_index();
    if (alike) continue;
    StrAppend(&out, out.empty() ? "" : "; ", "range ", id, " on");
    for (uint64_t member : all.range.replica_nodes()) StrAppend(&out, " n", member);
    out += ":";
    for (const auto& [i, r] : all.replicas) {
      StrAppend(&out, " n", i + 1, " generation ", r.generation(), " applied ", r.applied_index(), " of ", r.last_index(), " term ", r.term(), " leader n", r.leader_node(),
                r.leaseholder() ? " (leaseholder)" : "", r.asleep() ? " asleep" : "", ",");
    }
  }
  return out;
}

namespace {

// Versions (0) or locks (1) of the keys in [start, end).
std::vector<std::pair<std::string, std::string>> RowsOf(const kv::storage::ModelMaps& maps, int cf, const kv::v1::RangeStatus& range) {
  const std::string end = range.end_key().empty() ? std::string(1, '\xff') : range.end_key();
  const auto& map = maps[static_cast<size_t>(cf)];
  auto from = map.lower_bound(cf == 0 ? kv::storage::DataKeyBound(range.start_key()) : range.start_key());
  auto to = map.lower_bound(cf == 0 ? kv::storage::DataKeyBound(end) : end);
  return {from, to};
}

}  // namespace

std::string SimCluster::CompareReplicas() {
  std::vector<kv::storage::ModelMaps> maps(hosts_.size());
  std::vector<std::array<size_t, 2>> rows(hosts_.size());  // in ranges
  for (int i = 0; i < nodes(); ++i) {
    if (hosts_[static_cast<size_t>(i)].damaged) continue;
    if (!alive(i)) return StrCat("n", i + 1, " is down");
    std::optional<kv::storage::ModelMaps> state = StateOf(i);
    if (!state) return StrCat("n", i + 1, " has not opened its store");
    maps[static_cast<size_t>(i)] = *std::move(state);
  }
  for (const auto& [id, all] : Ranges()) {
    if (std::all_of(all.replicas.begin(), all.replicas.end(), [this](const auto& r) { return damaged(r.first); })) continue;
    for (int cf : {0, 1}) {  // the third column family holds each replica's own state
      int first = -1;
      std::vector<std::pair<std::string, std::string>> reference;
      for (uint64_t member : all.range.replica_nodes()) {
        const int i = static_cast<int>(member) - 1;
        if (hosts_[static_cast<size_t>(i)].damaged) continue;
        // A learner may not have come to be yet, and does not while its range sleeps.
        const auto& learners = all.range.learner_nodes();
        if (!all.replicas.contains(i) && std::find(learners.begin(), learners.end(), member) != learners.end()) continue;
        auto here = RowsOf(maps[static_cast<size_t>(i)], cf, all.range);
        rows[static_cast<size_t>(i)][static_cast<size_t>(cf)] += here.size();
        if (first < 0) {
          first = i;
          reference = std::move(here);
          continue;
        }
        auto [x, y] = std::mismatch(reference.begin(), reference.end(), here.begin(), here.end());
        if (x == reference.end() && y == here.end()) continue;
        const auto& key = x != reference.end() ? x->first : y->first;
        return StrCat("range ", id, ": n", first + 1, " (", reference.size(), " rows) and n", i + 1, " (", here.size(), " rows) differ in ", cf == 0 ? "versions" : "locks", " at ",
                      kv::keys::Pretty(key));
      }
    }
  }
  for (int i = 0; i < nodes(); ++i) {
    for (size_t cf : {0, 1}) {
      const size_t there = maps[static_cast<size_t>(i)][cf].size(), inside = rows[static_cast<size_t>(i)][cf];
      if (there != inside) return StrCat("n", i + 1, " holds ", there, cf == 0 ? " versions" : " locks", ", its ranges ", inside, " of them");
    }
  }
  return "";
}

}  // namespace insula::simtest
