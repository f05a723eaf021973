#include "kv/store/store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

// A store's messages come from its node. Store and node ids are tied by the cluster's members, known once the store is open.
absl::Status CheckPeer(const StoreIdent& ident, const PeerIdentity& peer, StoreId store) {
  Identity identity = IdentifyPeer(peer);
  for (const StoreMember& m : ident.members) {
    if (m.store_id == store && identity.role == Role::kNode && identity.node == m.node_id) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(StrCat(identity.ToString(), " may not speak for store ", store));
}

MultiRaftOptions RaftOptions(const StoreOptions& options, const StoreIdent* ident) {
  MultiRaftOptions out;
  out.node_id = options.node_id;
  out.store_id = options.store_id;
  out.resolver = options.resolver;
  out.peer_check = options.peer_check ? options.peer_check : [ident](const PeerIdentity& peer, StoreId store) { return CheckPeer(*ident, peer, store); };
  out.factory = options.factory;
  out.truncation = options.truncation;
  out.metrics = options.metrics.get();
  out.snapshots = options.snapshots;
  return out;
}

StoreOptions Counting(StoreOptions options) {
  if (options.metrics == nullptr) options.metrics = std::make_shared<StoreMetrics>();
  return options;
}

}  // namespace

Store::Store(const Runtime& runtime, Transport* transport, storage::EngineFactory engines, StoreOptions options)
    : runtime_(runtime),
      transport_(transport),
      engines_(std::move(engines)),
      options_(Counting(std::move(options))),
      clock_(runtime.clock, options_.max_offset),
      multiraft_(runtime, transport, &clock_, RaftOptions(options_, &ident_)),
      gc_(runtime.executor, options_.gc, [this] { return sender_; }, [this](RangeId range) { return multiraft_.Find(range).get(); }, options_.metrics.get()),
      checks_(runtime, transport, options_.store_id, options_.resolver, options_.consistency, options_.metrics.get()),
      comparisons_(
          runtime.executor, options_.consistency.interval, [this] { return sender_; }, [this](RangeId range) { return multiraft_.Find(range).get(); }, options_.metrics.get()),
      splits_(runtime.executor, options_.split, [this] { return sender_; }, [this](RangeId range) { return multiraft_.Find(range).get(); }),
      merges_(runtime.executor, options_.merge, options_.split,
              {.sender = [this] { return sender_; },
               .find = [this](RangeId range) { return multiraft_.Find(range).get(); },
               .left = [this](RangeId range) { return LeftOf(range).get(); },
               .right = [this](RangeId range) { return RightOf(range).get(); },
               .takes = [this](StoreId store) { return TakesReplicas(store); }}),
      pool_(runtime.executor, options_.store_id, options_.pool, [this](v1::StoreLoad* load) { FillLoad(load); },
            [this](StoreId store) { return started_ && multiraft_.liveness().SupportFor(store).supported; }),
      replicate_(runtime.executor, options_.replicate, &pool_, this, [this] { return sender_; }, options_.metrics.get()),
      tasks_(Context::Background(runtime.executor)) {}

Store::~Store() { multiraft_.Stop(absl::UnavailableError("the store is closed")); }

Task<absl::Status> Store::Start(const Context& ctx) {
  CHECK(!started_) << "a store starts once";
  CO_RETURN_IF_ERROR(OpenFiles());
  CO_RETURN_IF_ERROR(co_await Incarnations::Draw(ctx, log_.get(), runtime_.random));
  CO_RETURN_IF_ERROR(co_await LivenessDriver::WaitForClock(ctx, *log_, &clock_, options_.clock_patience));
  CO_RETURN_IF_ERROR(co_await FinishRedos(ctx));
  std::vector<StoreId> stores;
  for (const StoreMember& m : ident_.members) stores.push_back(m.store_id);
  if (std::find(stores.begin(), stores.end(), options_.store_id) == stores.end()) stores.push_back(options_.store_id);  // it joined
  multiraft_.SetStores(std::move(stores));
  CO_RETURN_IF_ERROR(multiraft_.Open(engine_.get(), log_.get(), this));
  CO_RETURN_IF_ERROR(co_await LoadRanges(ctx));
  started_ = true;
  checks_.Start(log_.get(), [this](RangeId range) { return multiraft_.Find(range); });
  multiraft_.Start();
  tasks_.Spawn(PresplitLoop());
  tasks_.Spawn(gc_.Run(tasks_.ctx()));
  tasks_.Spawn(comparisons_.Run(tasks_.ctx()));
  tasks_.Spawn(splits_.Run(tasks_.ctx()));
  tasks_.Spawn(merges_.Run(tasks_.ctx()));
  StartPlacement();
  LOG_INFO("store started", {"store", options_.store_id}, {"ranges", multiraft_.groups().size()}, {"damaged", damaged_.size()}, {"torn_bytes", log_->recovery().torn_bytes});
  co_return absl::OkStatus();
}

Task<absl::Status> Store::Stop(const Context& ctx) {
  if (!started_) co_return absl::OkStatus();
  started_ = false;
  tasks_.Cancel();
  checks_.Stop();
  multiraft_.Stop(absl::UnavailableError("the store is stopping"));
  absl::Status flushed = co_await engine_->Flush(ctx);
  absl::Status bounded = co_await log_->AppendAndWait(ctx, LivenessDriver::ShrinkClockBound(&clock_));
  CO_RETURN_IF_ERROR(flushed);
  co_return bounded;
}

void Store::SetSender(Sender* sender) {
  sender_ = sender;
  presplit_wanted_.NotifyAll();
  replicate_.WalkNow();
}

void Store::Wrote(RaftGroup* group) {
  gc_.Wrote(group->range_id());
  comparisons_.Wrote(group->range_id());
  writes_.Add(runtime_.executor->Now());
  if (group->holds_lease()) {
    for (const auto& replica : group->descriptor().replicas()) written_to_[replica.store_id()] = runtime_.executor->Now();
    splits_.Look(*group);
    merges_.Look(*group);
  }
  if (merge_progress_.has_waiters()) merge_progress_.NotifyAll();
  if (group->range_id() == keys::kSystemRange) presplit_wanted_.NotifyAll();
}

void Store::LeaseAcquired(RaftGroup* group) {
  splits_.Look(*group);
  merges_.Look(*group);
  replicate_.Touch(group->range_id());
  if (group->range_id() != keys::kSystemRange) return;
  presplit_whole_ = false;
  presplit_wanted_.NotifyAll();
}

void Store::Fatal(absl::Status why) {
  if (fatal_) return;
  fatal_ = true;
  LOG_ERROR("the store cannot go on", {"store", options_.store_id}, {"why", why.ToString()});
  checks_.Stop();
  multiraft_.Stop(why);
  if (options_.on_fatal) options_.on_fatal(why);
}

bool Store::ready() const {
  if (!started_) return false;
  for (const auto& [range, group] : multiraft_.groups()) {
    if (!group->stopped() && !group->applied_to_start()) return false;
  }
  return true;
}

std::shared_ptr<RaftGroup> Store::FindByKey(std::string_view key) const {
  auto it = by_start_.upper_bound(key);
  if (it == by_start_.begin()) return nullptr;
  auto group = multiraft_.Find(std::prev(it)->second);
  if (group == nullptr || !keys::InBounds(group->descriptor().start_key(), group->descriptor().end_key(), key)) return nullptr;
  return group;
}

std::shared_ptr<RaftGroup> Store::LeftOf(RangeId range) const {
  auto group = multiraft_.Find(range);
  auto it = group == nullptr ? by_start_.begin() : by_start_.lower_bound(group->descriptor().start_key());
  auto left = it == by_start_.begin() ? nullptr : multiraft_.Find(std::prev(it)->second);
  return left != nullptr && left->initialized() && left->descriptor().end_key() == group->descriptor().start_key() ? left : nullptr;
}

std::shared_ptr<RaftGroup> Store::RightOf(RangeId range) const {
  auto group = multiraft_.Find(range);
  if (group == nullptr || group->descriptor().end_key().empty()) return nullptr;
  auto it = by_start_.find(group->descriptor().end_key());
  auto right = it == by_start_.end() ? nullptr : multiraft_.Find(it->second);
  return right != nullptr && right->initialized() ? right : nullptr;
}

std::vector<v1::RangeDescriptor> Store::LocalRanges(std::string_view key, std::string_view end_key) const {
  std::vector<v1::RangeDescriptor> out;
  auto it = by_start_.upper_bound(key);
  if (it != by_start_.begin()) --it;
  for (; it != by_start_.end(); ++it) {
    if (end_key.empty() ? it->first > key : it->first >= end_key) break;
    auto group = multiraft_.Find(it->second);
    if (group == nullptr || !group->initialized()) continue;
    const v1::RangeDescriptor& d = group->descriptor();
    if (d.end_key().empty() || key < d.end_key()) out.push_back(d);
  }
  return out;
}

absl::Status Store::RangeProblem(RangeId range) const {
  if (auto it = problems_.find(range); it != problems_.end()) return it->second;
  auto group = multiraft_.Find(range);
  return group != nullptr && group->stopped() ? group->stop_reason() : absl::OkStatus();
}

uint64_t Store::lease_count() const {
  uint64_t count = 0;
  for (const auto& [range, group] : multiraft_.groups()) count += group->holds_lease() ? 1 : 0;
  return count;
}

absl::Status Store::disk_status() const {
  if (log_ != nullptr && log_->disk_full()) return absl::ResourceExhaustedError("the disk of the store is full");
  return engine_ != nullptr ? engine_->health() : absl::OkStatus();
}

}  // namespace insula::kv
