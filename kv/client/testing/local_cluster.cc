#include "kv/client/testing/local_cluster.h"

#include <utility>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/aborted.h"
#include "kv/replica/address.h"
#include "kv/replica/removed.h"

namespace insula::kv {

// One client's way to the ranges.
class LocalCluster::Client : public BatchChannel {
 public:
  Client(LocalCluster* cluster, Fates fates) : cluster_(cluster), fates_(std::move(fates)) {}

  Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) override {
    const CallFate fate = fates_(batch);
    CallResult result;
    result.status = fate.delay > Duration::zero() ? co_await Sleep(ctx, fate.delay) : absl::OkStatus();
    if (result.status.ok() && fate.received) result = co_await cluster_->Call(ctx, std::move(address), batch);
    if (fate.breaks) co_return CallResult{.status = absl::UnavailableError("the connection broke"), .maybe_received = fate.received, .response = {}};
    if (fate.answer_delay > Duration::zero() && !(co_await Sleep(ctx, fate.answer_delay)).ok()) {
      result.status = ctx.status();
      result.maybe_received = fate.received;
    }
    if (fate.received && fate.answered) co_return result;
    Event never;
    result.response.Clear();
    result.maybe_received = fate.received;
    result.status = co_await never.Wait(ctx);
    co_return result;
  }

 private:
  LocalCluster* cluster_;
  Fates fates_;
};

LocalCluster::LocalCluster(Executor* executor, std::vector<std::string> split_keys, uint64_t seed, LoadSplitOptions load_split)
    : executor_(executor), load_split_(load_split), random_(seed), clock_(&executor->clock(), kDefaultMaxOffset), ctx_(Context::Background(executor)) {
  auto engine = storage::OpenModelEngine(&random_, &disk_);
  CHECK_OK(engine.status());
  engine_ = *std::move(engine);
  internal_ = MakeDatabase(ctx_, &random_, this, {.sender = {.bootstrap = {"n1"}}});

  std::vector<std::string> starts = {"", keys::SystemStart(), "\xfe"};
  for (std::string& key : split_keys) starts.push_back(std::move(key));
  storage::WriteBatch rows;
  std::map<RangeId, mvcc::Stats> stats;
  std::vector<v1::RangeDescriptor> ranges;
  for (size_t i = 0; i < starts.size(); ++i) {
    v1::RangeDescriptor& range = ranges.emplace_back();
    range.set_version(1);
    range.set_range_id(i + 1);
    range.set_start_key(starts[i]);
    if (i + 1 < starts.size()) range.set_end_key(starts[i + 1]);
    range.set_generation(1);
    v1::ReplicaDescriptor* replica = range.add_replicas();
    replica->set_node_id(1);
    replica->set_store_id(1);
    replica->set_replica_id(1);
    range.set_next_replica_id(2);
    mvcc::PutCommitted(&rows, keys::AddressKey(range.start_key(), range.end_key()), range.SerializeAsString(), clock_.Now(), &stats[keys::kMetaRange]);
  }
  std::string counter;
  AppendFixed64(&counter, starts.size());
  mvcc::PutCommitted(&rows, keys::RangeIdCounter(), counter, clock_.Now(), &stats[keys::kSystemRange]);
  CHECK_OK(engine_->Write(rows));
  for (v1::RangeDescriptor& range : ranges) {
    const mvcc::Stats held = stats[range.range_id()];
    AddRange(std::move(range), held);
  }
}

LocalCluster::~LocalCluster() {
  // Replicas' background work uses the internal database, and that calls back here.
  groups_.clear();
  ended_.clear();
  internal_.reset();
}

void LocalCluster::AddRange(v1::RangeDescriptor descriptor, const mvcc::Stats& stats) {
  const RangeId id = descriptor.range_id();
  auto group = std::make_unique<LocalGroup>(std::move(descriptor), engine_.get(), &clock_, stats);
  group->set_on_split([this](const SplitTrigger& split) {
    storage::WriteBatch rows;
    CHECK_OK(CopyAborted(*engine_->NewReader(), split.left.range_id(), split.right.range_id(), &rows));
    CHECK_OK(engine_->Write(rows));
    AddRange(split.right, split.right_stats);
  });
  group->set_on_merge([this](const MergeTrigger& merge) { EndRange(merge); });
  ReplicaDeps deps;
  deps.executor = executor_;
  deps.sender = &internal_->sender();
  deps.load_split = load_split_;
  deps.on_busy = [this](RangeId range, std::string key) { on_busy(range, std::move(key)); };
  deps.node_address = [](uint64_t node) { return node == 1 ? std::string("n1") : std::string(); };
  deps.local_ranges = [this](std::string_view key, std::string_view end_key) {
    std::vector<v1::RangeDescriptor> found;
    const std::string end = end_key.empty() ? keys::Next(key) : std::string(end_key);
    for (const auto& [range_id, g] : groups_) {
      if (keys::RangesOverlap(key, end, g->descriptor().start_key(), g->descriptor().end_key())) found.push_back(g->descriptor());
    }
    return found;
  };
  LocalGroup* raw = group.get();
  raw->on_applied = [this, raw] {
    if (on_applied) on_applied(*raw);
  };
  groups_[id] = std::move(group);
  raw->set_state_machine(MakeReplica(raw, std::move(deps)));
}

// Its rows go as a range's; what it held is its neighbour's.
void LocalCluster::EndRange(const MergeTrigger& merge) {
  const RangeId id = merge.right.range_id();
  storage::WriteBatch rows;
  CHECK_OK(TakeRemoved(*engine_->NewReader(), merge.left.range_id(), id, &rows));
  CHECK_OK(CopyAborted(*engine_->NewReader(), id, merge.left.range_id(), &rows));
  rows.DeleteRange(storage::ColumnFamily::kRange, keys::RangeIdPrefix(id), PrefixEnd(keys::RangeIdPrefix(id)));
  CHECK_OK(engine_->Write(rows));
  ended_.push_back(std::move(groups_.at(id)));
  groups_.erase(id);
  ended_.back()->End();
}

Task<CallResult> LocalCluster::Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) {
  CallResult result;
  ++calls;
  std::string call;
  for (const auto& request : batch.requests()) StrAppend(&call, call.empty() ? "" : " ", NameOf(request));
  last_call = call;
  largest_call = std::max(largest_call, batch.ByteSizeLong());
  if (absl::Status s = latency > Duration::zero() ? co_await Sleep(ctx, latency) : co_await ctx.Yield(); !s.ok()) {
    result.status = s;
    co_return result;
  }
  const bool commit = batch.requests(batch.requests_size() - 1).end_txn().commit();
  const bool fits = !only_commits || commit;
  if (lose_request && fits) {
    lose_request = false;
    result.status = absl::UnavailableError("the stream broke");
    result.maybe_received = true;
    co_return result;
  }
  const bool lose = lose_answer && fits;
  if (lose) lose_answer = false;
  auto it = groups_.find(batch.header().range_id());
  if (it == groups_.end()) {
    *result.response.mutable_error() = ToKvError(RangeMismatchError({}, "no such range here"));
    co_return result;
  }
  std::shared_ptr<Replica> replica = ReplicaOf(*it->second);
  result.response = co_await replica->Execute(ctx, batch);
  if (lose) {
    result.response.Clear();
    result.status = absl::UnavailableError("the stream broke");
    result.maybe_received = true;
  }
  co_return result;
}

std::unique_ptr<ClientDatabase> LocalCluster::NewDatabase(CoordinatorOptions options) {
  return MakeDatabase(ctx_, &random_, this, {.sender = {.bootstrap = {"n1"}}, .coordinator = options});
}

std::unique_ptr<ClientDatabase> LocalCluster::NewDatabase(CoordinatorOptions options, Fates fates) {
  clients_.push_back(std::make_unique<Client>(this, std::move(fates)));
  return MakeDatabase(ctx_, &random_, clients_.back().get(), {.sender = {.bootstrap = {"n1"}}, .coordinator = options});
}

LocalGroup* LocalCluster::find(RangeId id) {
  auto it = groups_.find(id);
  return it == groups_.end() ? nullptr : it->second.get();
}

LocalGroup& LocalCluster::group_of(std::string_view key) {
  for (auto& [id, group] : groups_) {
    if (keys::InBounds(group->descriptor().start_key(), group->descriptor().end_key(), key)) return *group;
  }
  CHECK(false) << "no range holds the key";
  std::abort();
}

size_t LocalCluster::replicated_locks() {
  auto reader = engine_->NewReader();
  auto it = reader->NewIterator({.cf = storage::ColumnFamily::kLock});
  size_t count = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) ++count;
  return count;
}

size_t LocalCluster::records() {
  auto reader = engine_->NewReader();
  auto it = reader->NewIterator({.cf = storage::ColumnFamily::kRange});
  size_t count = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    auto parts = keys::DecodeAnchorKey(it->key());
    if (parts && parts->field == keys::AnchorField::kTransaction) ++count;
  }
  return count;
}

size_t LocalCluster::pending_addresses() {
  auto reader = engine_->NewReader();
  size_t count = 0;
  for (auto& [id, group] : groups_) count += IsAddressPending(*reader, group->descriptor()) ? 1 : 0;
  return count;
}

size_t LocalCluster::lock_table_keys() {
  size_t count = 0;
  for (auto& [id, group] : groups_) count += ReplicaOf(*group)->lock_table().key_count();
  return count;
}

}  // namespace insula::kv
