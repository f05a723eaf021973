#include "kv/store/testing/cluster.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/multiraft/range_state.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/frozen.h"
#include "kv/replica/replica.h"
#include "kv/storage/data_key.h"
#include "kv/storage/read_writer.h"
#include "kv/store/bootstrap.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {

constexpr char kDir[] = "/data/store";

std::string Address(int i) { return StrCat("n", i + 1, ":26257"); }

PeerIdentity NodeIdentity(int i) {
  PeerIdentity identity;
  identity.common_name = StrCat("node-", i + 1);
  identity.organizational_unit = "Nodes";
  return identity;
}

std::vector<StoreMember> Members() {
  std::vector<StoreMember> members;
  for (uint64_t i = 1; i <= TestCluster::kMembers; ++i) members.push_back({i, i});
  return members;
}

}  // namespace

std::string TestRow(const std::string& key) { return storage::DataKey(key, Timestamp{1}); }

void TestMachine::LeaseAcquired(const Lease& l) {
  EXPECT_EQ(lease.sequence, 0u) << "a lease came while one was held";
  lease = l;
}
void TestMachine::LeaseLost() {
  EXPECT_NE(lease.sequence, 0u) << "a lease went that was not there";
  lease = Lease();
}

struct TestCluster::NodeRoot {
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Store> store;
  bool started = false;
};

TestCluster::TestCluster(uint64_t seed, TestOptions options) : sim_(seed), options_(options), disks_(options.nodes), trouble_(options.nodes) {
  for (int i = 0; i < nodes(); ++i) nodes_.push_back(sim_.AddProcess(StrCat("n", i + 1)));
  if (!options_.real_replicas) return;
  options_.factory = [this](SimProcess& process, Store*, RangeGroup* group) {
    ReplicaDeps deps;
    deps.executor = process.runtime().executor;
    deps.learner_patience = options_.learner_patience;
    return MakeReplica(group, std::move(deps));
  };
}
TestCluster::~TestCluster() = default;

std::shared_ptr<void> TestCluster::Boot(SimProcess& process, int i) {
  auto root = std::make_shared<NodeRoot>();
  root->transport = process.MakeTransport(NodeIdentity(i));
  StoreOptions options;
  options.path = kDir;
  options.node_id = options.store_id = static_cast<uint64_t>(i + 1);
  options.max_offset = options_.max_offset;
  options.resolver = [](StoreId store) { return std::optional(Address(static_cast<int>(store) - 1)); };
  options.factory = [this, &process, weak = std::weak_ptr<NodeRoot>(root)](RangeGroup* group) -> std::unique_ptr<RangeStateMachine> {
    if (options_.factory) return options_.factory(process, weak.lock()->store.get(), group);
    return std::make_unique<TestMachine>(group);
  };
  options.consistency.interval = options_.consistency_interval;
  // Stores that join are known by their certificates alone here.
  options.peer_check = [](const PeerIdentity& peer, StoreId store) {
    return peer.common_name == StrCat("node-", store) ? absl::OkStatus() : absl::PermissionDeniedError(StrCat(peer.common_name, " is not store ", store));
  };
  options.snapshots = options_.snapshots;
  options.truncation = options_.truncation;
  options.log_segment_bytes = options_.log_segment_bytes;
  options.log_cache_bytes = options_.log_cache_bytes;
  options.on_fatal = [this, i](absl::Status why) { trouble_[i] = std::move(why); };
  auto engines = [this, i, &process](const std::string&) { return storage::OpenModelEngine(&process.random(), &disks_[i]); };
  root->store = std::make_unique<Store>(process.runtime(), root->transport.get(), engines, options);
  CHECK_OK(root->transport->Listen(Address(i)).status());
  process.Spawn([this, i, weak = std::weak_ptr<NodeRoot>(root)](Context ctx) -> Task<void> {
    Store* store = weak.lock()->store.get();
    trouble_[i] = co_await store->Start(ctx);
    if (!trouble_[i].ok()) co_return;
    weak.lock()->started = true;
    if (options_.sender) store->SetSender(options_.sender(store));
  });
  return root;
}

Store* TestCluster::store(int i) {
  if (!nodes_[i]->alive()) return nullptr;
  auto* root = nodes_[i]->root<NodeRoot>();
  return root != nullptr && root->started ? root->store.get() : nullptr;
}

absl::Status TestCluster::Init(int i) {
  return sim_.Run(
      nodes_[i],
      [&](Context ctx) -> Task<absl::Status> {
        Runtime runtime = nodes_[i]->runtime();
        CO_RETURN_IF_ERROR(runtime.files->CreateDirs("/data"));
        CO_RETURN_IF_ERROR(runtime.files->SyncDir("/"));
        auto engines = [&](const std::string&) { return storage::OpenModelEngine(&nodes_[i]->random(), &disks_[i]); };
        StoreIdent ident{.cluster_id = "test", .node_id = static_cast<uint64_t>(i + 1), .store_id = static_cast<uint64_t>(i + 1), .members = Members()};
        if (i < kMembers) {
          CO_RETURN_IF_ERROR(co_await InitStore(ctx, runtime, engines, kDir, ident));
        } else {
          CO_RETURN_IF_ERROR(co_await InitJoiningStore(ctx, runtime, engines, kDir, ident));
        }
        co_return runtime.files->SyncDir("/data");
      },
      10s);
}

void TestCluster::InitAll() {
  for (int i = 0; i < nodes(); ++i) {
    absl::Status s = Init(i);
    ASSERT_TRUE(s.ok()) << s;
  }
  initialised_ = true;
}

absl::Status TestCluster::LoseDisk(int i) {
  Crash(i);
  nodes_[i]->Boot([](SimProcess&) { return nullptr; });  // up, and nothing runs
  nodes_[i]->Restart();
  absl::Status removed = sim_.Run(
      nodes_[i],
      [&](Context) -> Task<absl::Status> {
        CO_RETURN_IF_ERROR(nodes_[i]->runtime().files->RemoveRecursively("/data"));
        co_return nodes_[i]->runtime().files->SyncDir("/");
      },
      10s);
  if (!removed.ok()) return removed;
  disks_[i] = storage::ModelDisk();
  return Init(i);
}

void TestCluster::Start(int i) {
  nodes_[i]->Boot([this, i](SimProcess& p) { return Boot(p, i); });
}

void TestCluster::StartAll() {
  if (!initialised_) InitAll();
  for (int i = 0; i < nodes(); ++i) Start(i);
  for (int i = 0; i < nodes(); ++i) ASSERT_TRUE(WaitReady(i)) << "node " << i + 1 << ": " << trouble_[i];
}

void TestCluster::Crash(int i) {
  if (nodes_[i]->alive()) nodes_[i]->Crash();
}
void TestCluster::Restart(int i) {
  if (!nodes_[i]->alive()) nodes_[i]->Restart();
}
bool TestCluster::WaitReady(int i, Duration limit) {
  return sim_.RunUntil([&] { return store(i) != nullptr && store(i)->ready(); }, limit);
}

int TestCluster::Leaseholder(RangeId range) {
  for (int i = 0; i < nodes(); ++i) {
    Store* s = store(i);
    if (s == nullptr) continue;
    auto group = s->Find(range);
    if (group != nullptr && group->CheckLease(s->clock().Peek()).valid()) return i;
  }
  return -1;
}

Task<absl::Status> TestCluster::WriteOn(Context ctx, int node, RangeId range, std::string key, std::string value, bool acquire) {
  Store* s = store(node);
  if (s == nullptr) co_return absl::AbortedError("down");
  auto group = s->Find(range);
  if (group == nullptr) co_return absl::AbortedError("not here");
  LeaseCheck lease = group->CheckLease(s->clock().Peek());
  if (!lease.valid() && acquire) {
    Context wait = ctx.WithTimeout(2s);
    auto acquired = co_await group->AcquireLease(wait, s->clock().Peek());
    if (acquired.ok()) lease = *acquired;
  }
  if (!lease.valid()) co_return absl::AbortedError("no lease");
  if (!keys::InBounds(group->descriptor().start_key(), group->descriptor().end_key(), key)) co_return absl::AbortedError("not in the range");
  Command command;
  command.lease_sequence = lease.lease.sequence;
  storage::WriteBatch batch;
  batch.Put(storage::ColumnFamily::kData, TestRow(key), value);
  command.write_set = batch.TakeBytes();
  command.stats_delta.versions = 1;
  co_return (co_await group->Propose(ctx, std::move(command))).status();
}

absl::Status TestCluster::Write(RangeId range, const std::string& key, const std::string& value, Duration limit) {
  const MonoTime end = sim_.now() + limit;
  for (int turn = 0; sim_.now() < end; ++turn) {
    int node = Leaseholder(range);
    if (node < 0) node = turn % nodes();
    if (store(node) == nullptr) {
      sim_.RunFor(10ms);
      continue;
    }
    uint64_t incarnation = nodes_[node]->incarnation();
    absl::Status s = sim_.Run(nodes_[node], [&](Context ctx) { return WriteOn(ctx, node, range, key, value, true); }, 5s);
    if (!nodes_[node]->alive() || nodes_[node]->incarnation() != incarnation) return absl::UnknownError("the node crashed");
    if (s.code() == absl::StatusCode::kDeadlineExceeded) return absl::UnknownError("no answer");
    if (s.ok() || s.code() == absl::StatusCode::kUnknown) return s;
    sim_.RunFor(20ms);
  }
  return absl::AbortedError("nobody leads");
}

absl::Status TestCluster::Split(RangeId range, RangeId right, const std::string& key, Duration limit) {
  const MonoTime end = sim_.now() + limit;
  while (sim_.now() < end) {
    absl::Status warm = options_.factory ? absl::OkStatus() : Write(range, key + "~warm", "");  // somebody leads now
    int node = Leaseholder(range);
    if (!warm.ok() || node < 0) {
      sim_.RunFor(50ms);
      continue;
    }
    absl::Status s = sim_.Run(
        nodes_[node],
        [&](Context ctx) -> Task<absl::Status> {
          auto group = store(node)->Find(range);
          LeaseCheck lease = group->CheckLease(store(node)->clock().Peek());
          if (!lease.valid()) co_return absl::AbortedError("no lease");
          Command command;
          command.lease_sequence = lease.lease.sequence;
          SplitTrigger& split = command.split.emplace();
          split.left = group->descriptor();
          split.left.set_generation(split.left.generation() + 1);
          split.right = split.left;
          split.right.set_range_id(right);
          split.right.set_start_key(key);
          split.left.set_end_key(key);
          split.served = store(node)->clock().Now();
          if (options_.factory && !options_.real_replicas) {  // replicas that are written to keep statistics
            mvcc::Outcome counted = mvcc::ComputeStats(*group->engine().NewReader(), key, split.right.end_key(), &split.right_stats);
            if (!counted.ok()) co_return counted.status();
          }
          co_return (co_await group->Propose(ctx, std::move(command))).status();
        },
        5s);
    if (s.code() != absl::StatusCode::kAborted) return s;
  }
  return absl::AbortedError("nobody leads");
}

absl::StatusOr<TestCluster::FrozenRight> TestCluster::Freeze(RangeId right, Duration limit) {
  const MonoTime end = sim_.now() + limit;
  while (sim_.now() < end) {
    std::string key, anchor;
    for (int i = 0; i < nodes(); ++i) {
      auto group = store(i) == nullptr ? nullptr : store(i)->Find(right);
      if (group == nullptr || !group->initialized()) continue;
      key = group->descriptor().start_key();
      for (const auto& [id, other] : store(i)->multiraft().groups()) {
        if (other->initialized() && other->descriptor().end_key() == key) anchor = other->descriptor().start_key();
      }
    }
    absl::Status last = Write(right, key + "~frozen", "");
    int node = Leaseholder(right);
    if (!last.ok() || node < 0) {
      sim_.RunFor(50ms);
      continue;
    }
    FrozenRight frozen;
    absl::Status s = sim_.Run(
        nodes_[node],
        [&](Context ctx) -> Task<absl::Status> {
          auto group = store(node)->Find(right);
          if (group == nullptr) co_return absl::AbortedError("not here");
          std::string id;
          AppendFixed64(&id, right);
          AppendFixed64(&id, store(node)->clock().Now().bits);
          storage::WriteBatch row;
          row.Put(storage::ColumnFamily::kRange, FrozenKey(right), EncodeFrozen({.merge_id = id, .anchor = anchor}));
          Command command;
          command.write_set = row.TakeBytes();
          command.lease_sequence = group->CheckLease({}).lease.sequence;
          CO_RETURN_IF_ERROR((co_await group->Propose(ctx, std::move(command))).status());
          CO_RETURN_IF_ERROR(co_await group->AwaitReplicated(ctx, group->applied_index()));
          frozen = {group->descriptor(), group->applied_index(), group->stats(), store(node)->clock().Now(), id};
          co_return absl::OkStatus();
        },
        5s);
    if (s.ok()) return frozen;
  }
  return absl::AbortedError("not all replicas are there");
}

absl::Status TestCluster::MergeFrozen(RangeId left, const FrozenRight& right, Duration limit) {
  const MonoTime end = sim_.now() + limit;
  while (sim_.now() < end) {
    int node = Leaseholder(left);
    if (node < 0) {
      std::string key;
      for (int i = 0; i < nodes() && key.empty(); ++i) {
        auto group = store(i) == nullptr ? nullptr : store(i)->Find(left);
        if (group != nullptr && group->initialized()) key = group->descriptor().start_key();
      }
      (void)Write(left, key + "~warm", "");  // somebody leads now
      continue;
    }
    absl::Status s = sim_.Run(
        nodes_[node],
        [&](Context ctx) -> Task<absl::Status> {
          auto group = store(node)->Find(left);
          LeaseCheck lease = group->CheckLease(store(node)->clock().Peek());
          if (!lease.valid()) co_return absl::AbortedError("no lease");
          Command command;
          command.lease_sequence = lease.lease.sequence;
          MergeTrigger& merge = command.merge.emplace();
          merge.left = group->descriptor();
          merge.right = right.descriptor;
          merge.left.set_end_key(merge.right.end_key());
          merge.left.set_generation(std::max(merge.left.generation(), merge.right.generation()) + 1);
          merge.right_applied = right.applied;
          merge.right_stats = right.stats;
          merge.served = right.served;
          const Timestamp now = store(node)->clock().Now();
          storage::ReadWriter rw(store(node)->engine().NewReader());
          StoreOutcome(rw, merge.left.start_key(), right.merge_id, {v1::COMMITTED, now, now.AddMicros(1'000'000'000)});
          command.write_set = rw.ToBatch().TakeBytes();
          co_return (co_await group->Propose(ctx, std::move(command))).status();
        },
        5s);
    if (s.code() != absl::StatusCode::kAborted) return s;
  }
  return absl::AbortedError("nobody leads");
}

absl::Status TestCluster::Merge(RangeId left, RangeId right) {
  auto frozen = Freeze(right);
  return frozen.ok() ? MergeFrozen(left, *frozen) : frozen.status();
}

// -------------------------------------------------------------------------------------------------------------- replicas

v1::RangeDescriptor TestCluster::Descriptor(RangeId range) {
  v1::RangeDescriptor newest;
  for (int i = 0; i < nodes(); ++i) {
    auto group = store(i) == nullptr ? nullptr : store(i)->Find(range);
    if (group != nullptr && group->initialized() && group->descriptor().generation() > newest.generation()) newest = group->descriptor();
  }
  return newest;
}

bool TestCluster::IsClean(int i, RangeId range) {
  if (store(i) == nullptr || store(i)->Find(range) != nullptr || store(i)->log().Replica(range) != 0) return false;
  auto loaded = LoadRange(*store(i)->engine().NewReader(), range);
  CHECK_OK(loaded.status());
  return !loaded->has_value() && store(i)->log().open_redos().empty();
}

absl::Status TestCluster::Admin(RangeId range, const v1::BatchRequest& batch, Duration limit) {
  const MonoTime end = sim_.now() + limit;
  absl::Status last = absl::AbortedError("nobody leads");
  for (int turn = 0; sim_.now() < end; ++turn) {
    int node = Leaseholder(range);
    if (node < 0) node = turn % nodes();
    auto group = store(node) == nullptr ? nullptr : store(node)->Find(range);
    if (group == nullptr || !group->initialized()) {
      sim_.RunFor(10ms);
      continue;
    }
    const uint64_t incarnation = nodes_[node]->incarnation();
    auto answer = std::make_shared<std::optional<v1::BatchResponse>>();
    nodes_[node]->Spawn([answer, batch, replica = ReplicaOf(*group)](Context ctx) -> Task<void> { *answer = co_await replica->Execute(ctx, batch); });
    group.reset();
    sim_.RunUntil([&] { return answer->has_value() || !nodes_[node]->alive() || nodes_[node]->incarnation() != incarnation; }, end - sim_.now());
    if (answer->has_value()) {
      if (!(*answer)->has_error()) return absl::OkStatus();
      last = FromKvError((*answer)->error());
      const v1::Error& error = (*answer)->error();
      if (!error.has_not_leaseholder() && !error.has_unavailable() && !error.has_range_mismatch() && !error.has_ambiguous()) return last;
    }
    sim_.RunFor(50ms);
  }
  return last;
}

absl::Status TestCluster::Change(RangeId range, std::vector<int> add, std::vector<int> remove, Duration limit) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* change = batch.add_requests()->mutable_admin_change_replicas();
  change->set_key(Descriptor(range).start_key());
  auto name = [](v1::ReplicaTarget* target, int i) {
    target->set_node_id(static_cast<uint64_t>(i + 1));
    target->set_store_id(static_cast<uint64_t>(i + 1));
  };
  for (int i : add) name(change->add_add(), i);
  for (int i : remove) name(change->add_remove(), i);
  return Admin(range, batch, limit);
}

absl::Status TestCluster::TransferLease(RangeId range, int to, Duration limit) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* transfer = batch.add_requests()->mutable_admin_transfer_lease();
  transfer->set_key(Descriptor(range).start_key());
  transfer->set_store_id(static_cast<uint64_t>(to + 1));
  return Admin(range, batch, limit);
}

std::optional<std::string> TestCluster::Read(int i, const std::string& key) {
  std::string value;
  auto found = store(i)->engine().NewReader()->Get(storage::ColumnFamily::kData, TestRow(key), &value);
  CHECK_OK(found.status());
  return *found ? std::optional(value) : std::nullopt;
}

std::string TestCluster::Progress(RangeId range) {
  std::string out;
  for (int i = 0; i < nodes(); ++i) {
    StrAppend(&out, "node ", i + 1, ": ");
    auto group = store(i) == nullptr ? nullptr : store(i)->Find(range);
    if (group == nullptr) {
      out += store(i) == nullptr ? "down\n" : "not here\n";
      continue;
    }
    raft::BasicStatus s = group->status();
    StrAppend(&out, raft::StateTypeName(s.soft_state.state), " term ", s.hard_state.term, " lead ", s.soft_state.lead, " commit ", s.hard_state.commit, " applied ", group->applied_index(), "/", s.applied,
              " last ", s.last_index, " log (", store(i)->log().TruncatedIndex(range), ", ", store(i)->log().LastIndex(range), "] awake ", group->awake, " idle ", group->idle(), " stopped ", group->stopped(),
              " ", group->stop_reason().ToString(), "\n");
  }
  return out;
}

bool TestCluster::WaitCaughtUp(RangeId range, Duration limit) {
  bool done = CatchesUp(range, limit);
  if (!done) ADD_FAILURE() << "range " << range << " does not catch up\n" << Progress(range);
  return done;
}

bool TestCluster::CatchesUp(RangeId range, Duration limit) {
  return sim_.RunUntil(
      [&] {
        std::set<uint64_t> applied;
        const v1::RangeDescriptor newest = Descriptor(range);
        for (int i = 0; i < nodes(); ++i) {
          if (!nodes_[i]->alive()) continue;
          if (store(i) == nullptr) return false;
          if (ReplicaOn(newest, static_cast<StoreId>(i + 1)) == nullptr) continue;
          auto group = store(i)->Find(range);
          if (group == nullptr || !group->initialized()) return false;
          applied.insert(group->applied_index());
          raft::BasicStatus status = group->status();
          if (status.last_index != group->applied_index()) return false;
        }
        return applied.size() == 1;
      },
      limit);
}

std::string TestCluster::Dump(int i, RangeId range) {
  auto group = store(i)->Find(range);
  if (group == nullptr) return "not here";
  const v1::RangeDescriptor& d = group->descriptor();
  std::string out = StrCat(keys::PrettyRange(d.start_key(), d.end_key()), " generation ", d.generation(), " versions ", group->stats().versions, "\n");
  auto reader = store(i)->engine().NewReader();
  std::string end = d.end_key().empty() ? "\xff" : d.end_key();
  auto it = reader->NewIterator({.cf = storage::ColumnFamily::kData, .lower = storage::DataKeyBound(d.start_key()), .upper = storage::DataKeyBound(end)});
  for (it->SeekToFirst(); it->Valid(); it->Next()) StrAppend(&out, keys::Pretty(storage::UserKey(it->key())), "=", it->value(), "\n");
  return out;
}

void TestCluster::CheckReplicasAgree(RangeId range) {
  std::optional<std::string> first;
  for (int i = 0; i < nodes(); ++i) {
    if (store(i) == nullptr || !IsMember(i, range)) continue;
    std::string dump = Dump(i, range);
    if (!first.has_value()) first = dump;
    EXPECT_EQ(*first, dump) << "range " << range << " on node " << i + 1;
  }
}

void TestCluster::CheckLeases(const std::vector<RangeId>& ranges) {
  for (RangeId range : ranges) {
    std::vector<int> holders;
    for (int i = 0; i < nodes(); ++i) {
      Store* s = store(i);
      if (s == nullptr) continue;
      auto group = s->Find(range);
      if (group != nullptr && group->CheckLease(s->clock().Peek()).valid()) holders.push_back(i + 1);
    }
    EXPECT_LE(holders.size(), 1u) << "range " << range << ": stores " << holders[0] << " and " << (holders.size() > 1 ? holders[1] : 0) << " both may serve at " << sim_.elapsed().count();
  }
}

}  // namespace insula::kv
