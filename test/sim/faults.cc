#include "test/sim/faults.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/async/wait.h"
#include "base/sim/disk.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/version.h"

namespace insula::simtest {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "delay",       "loss",     "reordering",     "stream break", "lost answer", "late batch", "duplicate",  "partition",  "partial partition", "one-way partition",
    "client partition", "island", "clock skew", "clock jump", "clock jump beyond the bound", "crash",    "crash at a step", "crash of all", "pause",    "death of a client",
    "slow disk",   "disk stall", "frozen disk",  "full disk",    "write error", "read error", "bit flip",   "split",      "lease transfer", "old version",
};

constexpr Duration kSupportLasts = 1250ms;  // about: then others may lead (kv/multiraft/liveness.h)
constexpr Duration kMostOffset = 110ms;  // either way: within the maximum offset (250 ms) of one another
constexpr int64_t kMostDriftPpm = 100;

constexpr std::array<Fault, 0> kOffByDefault = {};

}  // namespace

std::string_view NameOf(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

std::set<Fault> DefaultFaults() {
  std::set<Fault> faults = *ParseFaults("all");
  for (Fault off : kOffByDefault) faults.erase(off);
  return faults;
}

std::optional<std::set<Fault>> ParseFaults(std::string_view text) {
  std::set<Fault> faults;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const bool take_away = name.starts_with('-');
    if (take_away) name.remove_prefix(1);
    if (name == "none") continue;
    if (name == "default") {
      faults.merge(DefaultFaults());
      continue;
    }
    bool known = name == "all";
    for (int i = 0; i < kFaultKinds; ++i) {
      const auto fault = static_cast<Fault>(i);
      if (name != "all" && name != NameOf(fault)) continue;
      known = true;
      take_away ? static_cast<void>(faults.erase(fault)) : static_cast<void>(faults.insert(fault));
    }
    if (!known) return std::nullopt;
  }
  return faults;
}

FaultPlan FaultPlan::OfSeed(uint64_t seed, const std::set<Fault>& allowed) {
  SeededRandom random(seed ^ 0x5a5a5a5aull);
  FaultPlan plan;
  const double share = std::array{0.15, 0.3, 0.6}[random.Uniform(3)];
  for (int i = 0; i < kFaultKinds; ++i) {
    const auto fault = static_cast<Fault>(i);
    const bool rare = fault == Fault::kBitFlip || fault == Fault::kJumpBeyond;
    if (random.Chance(rare ? share / 2 : share) && allowed.contains(fault)) plan.enabled.insert(fault);
  }
  plan.interval = Duration(300'000'000 + random.Uniform(2'500'000'000));
  return plan;
}

std::set<int> FaultPlan::OldNodes(uint64_t seed) const {
  std::set<int> old;
  SeededRandom random(seed ^ 0x0a0a0a0aull);
  const int first = static_cast<int>(random.Uniform(SimCluster::kNodes));
  for (int i = 0; i < SimCluster::kNodes && Has(Fault::kOldVersion); ++i) {
    if (i == first || random.Chance(0.5)) old.insert(i);
  }
  return old;
}

Faults::Faults(SimCluster* cluster, FaultPlan plan, std::function<std::string(Random&)> random_key)
    : cluster_(cluster), plan_(std::move(plan)), random_key_(std::move(random_key)), offset_(static_cast<size_t>(cluster->nodes())) {}

void Faults::Begin() {
  if (plan_.Has(Fault::kSkew)) Inject(Fault::kSkew);
  cluster_->sim().At(Between(2s, 5s), [this] { Crash(RandomNode(), random().Chance(0.5)); });
  cluster_->sim().At(Between(7s, 10s), [this] { Inject(Fault::kPartition); });
  Next();
}

void Faults::End() {
  ended_ = true;
  cluster_->Heal();
  for (int i = 0; i < cluster_->nodes(); ++i) {
    cluster_->node(i)->JumpClock(-std::exchange(offset_[static_cast<size_t>(i)], Duration(0)));
    cluster_->node(i)->SetClockDrift(0);
  }
}

void Faults::Next() {
  cluster_->sim().At(plan_.interval / 4 + Duration(random().Uniform(static_cast<uint64_t>(plan_.interval.count()) * 3 / 2)), [this] {
    if (ended_) return;
    cluster_->CheckVersions();
    if (!plan_.enabled.empty()) {
      auto it = plan_.enabled.begin();
      std::advance(it, random().Uniform(plan_.enabled.size()));
      Inject(*it);
    }
    Next();
  });
}

void Faults::Later(Duration after, std::function<void()> fn) {
  cluster_->sim().At(after, [this, fn = std::move(fn)] {
    if (!ended_) fn();
  });
}

void Faults::Inject(Fault fault) {
  const int node = RandomNode();
  switch (fault) {
    case Fault::kCrash:
    case Fault::kCrashAtStep:
      return Crash(node, fault == Fault::kCrashAtStep);
    case Fault::kCrashAll:
      return CrashAll();
    case Fault::kPause:
      if (!cluster_->alive(node) || cluster_->node(node)->paused()) return;
      ++counts_[fault];
      cluster_->node(node)->Pause();
      return Later(Between(200ms, 3s), [this, node] {
        if (cluster_->node(node)->paused()) cluster_->node(node)->Resume();
      });
    case Fault::kClientDies:
      return HauntOnce();
    case Fault::kSplit:
      ++counts_[fault];
      return Administrate([](std::string key, kv::v1::Request* request) { request->mutable_admin_split()->set_split_key(std::move(key)); });
    case Fault::kOldVersion:
      if (cluster_->old(node) && !cluster_->node(node)->paused()) {
        ++counts_[fault];
        cluster_->Upgrade(node);
      }
      // What not all support yet must not be served.
      return Administrate([](std::string key, kv::v1::Request* request) { request->mutable_check_consistency()->set_key(std::move(key)); });
    case Fault::kTransfer:
      ++counts_[fault];
      return Administrate([store = static_cast<uint64_t>(node) + 1](std::string key, kv::v1::Request* request) {
        request->mutable_admin_transfer_lease()->set_key(std::move(key));
        request->mutable_admin_transfer_lease()->set_store_id(store);
      });
    case Fault::kSkew:
    case Fault::kJump:
    case Fault::kJumpBeyond:
      return InjectClock(fault);
    default:
      return fault < Fault::kSkew ? InjectNetwork(fault) : InjectDisk(fault, node);
  }
}

// ------------------------------------------------------------------------------------------------------------- network

void Faults::SetLink() {
  LinkProfile link;
  if (link_faults_.contains(Fault::kDelay)) link.slow_chance = 0.05;
  if (link_faults_.contains(Fault::kLoss)) link.loss_chance = 0.03;
  if (link_faults_.contains(Fault::kReorder)) link.skew_max = 60ms;
  if (link_faults_.contains(Fault::kStreamBreak)) link.break_chance = 0.003;
  cluster_->sim().net().SetDefaultLink(link);
  cluster_->channel_faults().lose_answer = link_faults_.contains(Fault::kAnswerLost) ? 0.05 : 0;
  cluster_->channel_faults().deliver_late = link_faults_.contains(Fault::kLateBatch) ? 0.05 : 0;
  cluster_->channel_faults().duplicate = link_faults_.contains(Fault::kDuplicate) ? 0.05 : 0;
}

std::vector<std::string> Faults::SomeClients(double chance) {
  std::vector<std::string> some;
  for (int i = 0; i < SimCluster::kClients; ++i) {
    if (random().Chance(chance)) some.push_back(cluster_->client(i)->name());
  }
  if (random().Chance(chance)) some.emplace_back("ghost");
  return some;
}

void Faults::InjectNetwork(Fault fault) {
  const int a = RandomNode(), b = (a + 1 + static_cast<int>(random().Uniform(static_cast<uint64_t>(cluster_->nodes() - 1)))) % cluster_->nodes();
  const std::string &here = cluster_->node(a)->name(), &there = cluster_->node(b)->name();
  std::vector<std::pair<std::string, std::string>> links;
  switch (fault) {
    case Fault::kPartition:
      for (int other = 0; other < cluster_->nodes(); ++other) {
        if (other != a) links.emplace_back(here, cluster_->node(other)->name());
      }
      // Clients may still reach it, or not.
      for (const auto& client : SomeClients(0.4)) links.emplace_back(client, here);
      break;
    case Fault::kPartialPartition:
    case Fault::kOneWay:
      links.emplace_back(here, there);
      break;
    case Fault::kIsland:
      return InjectIsland();
    case Fault::kClientPartition:
      for (const auto& client : SomeClients(0.7)) links.emplace_back(client, here);
      break;
    default:
      ++counts_[fault];
      if (fault == Fault::kStreamBreak) cluster_->sim().net().BreakConnections(random().Chance(0.5) ? "client" : there, here);
      link_faults_.insert(fault);
      SetLink();
      return Later(Between(500ms, 4s), [this, fault] {
        link_faults_.erase(fault);
        SetLink();
      });
  }
  ++counts_[fault];
  Partition(links, fault == Fault::kOneWay, Between(500ms, 6s));
}

// Somebody leads what clients work on, and one host of clients is with the others. It notices when these may agree on a leader, or a little
// later; the others go on asking him. One at a time, and not soon again: who is cut off once takes a while to come back to his work.
void Faults::InjectIsland() {
  if (island_) return;
  island_ = true;
  const int leader = cluster_->LeaderOf(random_key_(random()));
  const std::string here = cluster_->node(leader < 0 ? RandomNode() : leader)->name();
  const std::string client = cluster_->client(static_cast<int>(random().Uniform(SimCluster::kClients)))->name();
  std::vector<std::pair<std::string, std::string>> links = {{client, here}};
  for (int other = 0; other < cluster_->nodes(); ++other) {
    if (const std::string& there = cluster_->node(other)->name(); there != here) links.emplace_back(here, there);
  }
  ++counts_[Fault::kIsland];
  const Duration lasts = Between(kSupportLasts + 1s, kSupportLasts + 3s);
  Partition(links, /*one_way=*/false, lasts);
  for (int i = 0; i < 4; ++i) {
    Later(kSupportLasts + i * 150ms, [this, here, client] { cluster_->sim().net().BreakConnections(client, here); });
  }
  Later(lasts + Between(1s, 5s), [this] { island_ = false; });
}

void Faults::Partition(const std::vector<std::pair<std::string, std::string>>& links, bool one_way, Duration lasts) {
  SimNet& net = cluster_->sim().net();
  for (const auto& [a, b] : links) one_way ? net.BlockOneWay(a, b) : net.Block(a, b);
  if (links.empty()) return;
  Later(lasts, [this, links] {
    for (const auto& [a, b] : links) cluster_->sim().net().Unblock(a, b);
  });
}

// -------------------------------------------------------------------------------------------------------------- clocks

void Faults::InjectClock(Fault fault) {
  ++counts_[fault];
  if (fault == Fault::kSkew) {
    for (int i = 0; i < cluster_->nodes(); ++i) {
      JumpClock(i, Between(-kMostOffset, kMostOffset) - offset_[static_cast<size_t>(i)], Duration(0));
      cluster_->node(i)->SetClockDrift(static_cast<int64_t>(random().Uniform(2 * kMostDriftPpm + 1)) - kMostDriftPpm);
    }
    return;
  }
  const int node = RandomNode();
  if (fault == Fault::kJump) return JumpClock(node, Between(-kMostOffset, kMostOffset) - offset_[static_cast<size_t>(node)], Duration(0));
  const Duration far = Between(400ms, 3s);
  JumpClock(node, random().Chance(0.5) ? far : -far, Between(1s, 5s));
}

void Faults::JumpClock(int node, Duration by, Duration back_after) {
  offset_[static_cast<size_t>(node)] += by;
  cluster_->node(node)->JumpClock(by);
  cluster_->sim().Note(cluster_->node(node)->name(), StrCat("its clock jumps by ", std::chrono::duration_cast<std::chrono::milliseconds>(by).count(), " ms"));
  if (back_after > Duration(0)) Later(back_after, [this, node, by] { JumpClock(node, -by, Duration(0)); });
}

// ----------------------------------------------------------------------------------------------------------- processes

void Faults::Crash(int node, bool at_step) {
  if (!cluster_->alive(node) || cluster_->node(node)->paused()) return;
  ++counts_[at_step ? Fault::kCrashAtStep : Fault::kCrash];
  if (at_step) {
    cluster_->node(node)->CrashAfterSteps(1 + random().Uniform(500));
  } else {
    cluster_->Crash(node);
  }
  cluster_->sim().At(Between(100ms, 4s), [this, node] {
    cluster_->node(node)->CrashAfterSteps(0);  // it has had its time
    if (!cluster_->alive(node) && plan_.Has(Fault::kBitFlip)) FlipBit(node);
    cluster_->Restart(node);
  });
}

void Faults::CrashAll() {
  ++counts_[Fault::kCrashAll];
  for (int i = 0; i < cluster_->nodes(); ++i) {
    cluster_->Crash(i);
    cluster_->sim().At(Between(100ms, 1s), [this, i] { cluster_->Restart(i); });
  }
}

// The ghost takes a lock, leaves an intent or two, and dies.
void Faults::HauntOnce() {
  kv::ClientDatabase* database = cluster_->ghost_database();
  if (database == nullptr) return;
  ++counts_[Fault::kClientDies];
  std::vector<std::string> keys = {random_key_(random()), random_key_(random())};
  cluster_->sim().process("ghost")->Spawn([database, keys](Context ctx) -> Task<void> {
    auto txn = database->Begin({});
    Context limited = ctx.WithTimeout(5s);
    auto locked = co_await txn->Get(limited, keys[0], {.lock = kv::LockStrength::kExclusive});
    if (!locked.ok()) co_return;
    for (const std::string& key : keys) txn->Put(key, "a ghost was here");
    if (!(co_await txn->FlushIfLarge(limited)).ok()) co_return;
    (void)co_await Sleep(ctx, 1h);  // it never commits
  });
  Later(Between(50ms, 1500ms), [this] {
    cluster_->CrashGhost();
    Later(Between(100ms, 2s), [this] { cluster_->RestartGhost(); });
  });
}

void Faults::Administrate(const std::function<void(std::string key, kv::v1::Request* request)>& fill) {
  kv::v1::BatchRequest batch = kv::NewBatch();
  fill(random_key_(random()), batch.add_requests());
  cluster_->client()->Spawn([this, batch](Context ctx) -> Task<void> {
    kv::v1::BatchResponse response = co_await cluster_->database()->sender().Send(ctx.WithTimeout(5s), batch);
    // An error: it may be so already, or the range may have no leader now.
    if (!response.has_error() && kv::VersionNeededBy(batch.requests(0)) > kv::kFirstClusterVersion && cluster_->AnyOld()) {
      cluster_->NoteWrong(StrCat(kv::NameOf(batch.requests(0)), " was served before all nodes supported it"));
    }
  });
}

// --------------------------------------------------------------------------------------------------------------- disks

void Faults::InjectDisk(Fault fault, int node) {
  DiskFaults& disk = cluster_->node(node)->disk().faults;
  ++counts_[fault];
  switch (fault) {
    case Fault::kSlowDisk:
      disk.sync_min = 5ms;
      disk.sync_max = 60ms;
      break;
    case Fault::kStall:
      disk.stall_chance = 0.3;
      break;
    case Fault::kFreeze:
      disk.frozen = true;
      break;
    case Fault::kFullDisk:
      cluster_->SetFull(node, true);
      break;
    case Fault::kWriteError:
      disk.write_error_chance = 0.1;
      break;
    case Fault::kReadError:
      disk.read_error_chance = 0.2;
      break;
    case Fault::kBitFlip:  // happens while a node is down: see Crash
    default:
      --counts_[fault];
      return Crash(node, false);
  }
  Later(Between(300ms, 4s), [this, node] {
    cluster_->SetFull(node, false);
    cluster_->node(node)->disk().faults = DiskFaults();
    cluster_->node(node)->disk().Thaw();
  });
}

// In a row of the state engine, or in the older part of a file of the log: the last write of all cannot be told from a torn one (kv/multiraft/log_engine.h), and
// enough comes after it here. One node per run: a second damaged copy could be one too many.
void Faults::FlipBit(int node) {
  if (damaged_ >= 0 && damaged_ != node) return;
  if (random().Chance(0.4)) {
    if (!cluster_->DamageRow(node, random())) return;
    ++counts_[Fault::kBitFlip];
    damaged_ = node;
    return;
  }
  SimDisk& disk = cluster_->node(node)->disk();
  std::vector<std::pair<std::string, uint64_t>> logs;
  for (auto& file : disk.Files()) {
    if (file.first.ends_with(".log") && file.second > 8192) logs.push_back(file);
  }
  if (logs.empty()) return;
  const auto& [path, size] = logs[random().Uniform(logs.size())];
  if (!disk.FlipBit(path, random().Uniform(size / 2), static_cast<int>(random().Uniform(8)))) return;
  ++counts_[Fault::kBitFlip];
  damaged_ = node;
  cluster_->MarkDamaged(node);
}

std::map<std::string, uint64_t> Faults::Counts() const {
  std::map<std::string, uint64_t> counts;
  for (int i = 0; i < kFaultKinds; ++i) counts[std::string(NameOf(static_cast<Fault>(i)))] = count(static_cast<Fault>(i));
  const NetCounters& net = cluster_->sim().net().counters();
  counts["packets delayed"] = net.slow;
  counts["packets lost"] = net.lost;
  counts["packets held by partitions"] = net.held;
  counts["connections broken"] = net.broken;
  counts["connections slowed"] = net.skewed;
  counts["batches delivered late"] = cluster_->channel_faults().late_batches;
  counts["answers lost"] = cluster_->channel_faults().answers_lost;
  counts["batches duplicated"] = cluster_->channel_faults().duplicates;
  counts["nodes that ended by themselves"] = cluster_->ends().size();
  for (int i = 0; i < cluster_->nodes(); ++i) {
    const DiskCounters& disk = cluster_->node(i)->disk().counters();
    counts["unsynced writes lost"] += disk.lost_writes;
    counts["last writes torn"] += disk.torn_writes;
    counts["unsynced names lost"] += disk.lost_names;
    counts["syncs stalled"] += disk.stalls;
    counts["writes refused by full disks"] += disk.full;
    counts["writes failed"] += disk.write_errors;
    counts["reads failed"] += disk.read_errors;
    counts["stores that stay away for damage"] += cluster_->retired(i) ? 1 : 0;
  }
  return counts;
}

}  // namespace insula::simtest
