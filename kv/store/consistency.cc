#include "kv/store/consistency.h"

#include <string_view>

#include "absl/strings/escaping.h"
#include "base/async/wait.h"
#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/range_state.h"
#include "kv/mvcc/mvcc.h"
#include "kv/storage/crc32c.h"
#include "kv/storage/data_key.h"
#include "kv/storage/varint.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr size_t kReadBytes = 64 << 10;   // between two yields
constexpr size_t kPauseBytes = 256 << 10;  // between two rests
constexpr size_t kMaxUnread = 4;          // snapshots held for sums that have not begun or are under way
constexpr size_t kKept = 32;              // results
constexpr Duration kArrivalPatience = std::chrono::seconds(10);
constexpr Duration kPersistPatience = std::chrono::seconds(10);

// Two sums that damage would have to fool at once: one over the bytes, one over the order of the rows' own.
class RowSum {
 public:
  void Add(storage::ColumnFamily cf, std::string_view key, std::string_view value) {
    std::string head(1, static_cast<char>(cf));
    storage::AppendVarint(&head, key.size());
    storage::AppendVarint(&head, value.size());
    const uint32_t row = storage::Crc32c(value, storage::Crc32c(key, storage::Crc32c(head)));
    crc_ = storage::Crc32c(value, storage::Crc32c(key, storage::Crc32c(head, crc_)));
    mixed_ = (mixed_ ^ row) * 0x9e3779b97f4a7c15ull;
    mixed_ ^= mixed_ >> 29;
    ++rows_;
  }
  std::string Take() const {
    std::string out;
    AppendFixed64(&out, rows_);
    AppendFixed64(&out, mixed_);
    AppendFixed64(&out, crc_);
    return out;
  }

 private:
  uint64_t rows_ = 0;
  uint64_t mixed_ = 0;
  uint32_t crc_ = 0;
};

// Of the applied state what every replica has alike (K2).
std::string SharedState(const RangeState& state) {
  std::string out;
  for (uint64_t n : {state.applied_index, state.applied_term, state.lease_index}) storage::AppendVarint(&out, n);
  mvcc::AppendStats(&out, state.stats);
  return out;
}

absl::Status CountRow(const storage::Iterator& it, storage::ColumnFamily cf, mvcc::StatsCounter* counter) {
  mvcc::Outcome counted;
  if (cf == storage::ColumnFamily::kData) counted = counter->AddVersion(storage::UserKey(it.key()), it.value());
  if (cf == storage::ColumnFamily::kLock) counted = counter->AddLock(it.value());
  return counted.ok() ? absl::OkStatus() : counted.status();
}

}  // namespace

std::string DivergedMeta(RangeId range) { return StrCat("diverged-", range); }

absl::Status CheckDiverged(const LogEngine& log, RangeId range, ReplicaId replica) {
  std::optional<std::string> meta = log.Meta(DivergedMeta(range));
  if (!meta.has_value() || meta->size() < 8 || ReadFixed64(meta->data()) != replica) return absl::OkStatus();
  return absl::DataLossError(StrCat("range ", range, ": ", meta->substr(8)));
}

ConsistencyChecker::ConsistencyChecker(const Runtime& runtime, Transport* transport, StoreId self, StoreResolver resolver, ConsistencyOptions options,
                                       StoreMetrics* metrics)
    : runtime_(runtime),
      transport_(transport),
      self_(self),
      resolver_(std::move(resolver)),
      options_(options),
      metrics_(metrics),
      alive_(std::make_shared<ConsistencyChecker*>(this)),
      tasks_(std::make_unique<TaskGroup>(Context::Background(runtime.executor))) {
  HandleUnary<v1::ChecksumRequest, v1::ChecksumReply>(
      *transport, kMethod,
      [weak = std::weak_ptr<ConsistencyChecker*>(alive_)](Context ctx, v1::ChecksumRequest request, PeerIdentity peer) -> Task<absl::StatusOr<v1::ChecksumReply>> {
        if (IdentifyPeer(peer).role != Role::kNode) co_return absl::PermissionDeniedError("only nodes compare replicas");
        auto alive = weak.lock();
        if (alive == nullptr || (*alive)->log_ == nullptr) co_return absl::UnavailableError("the store is not serving");
        ConsistencyChecker* self = *alive;
        alive.reset();
        co_return co_await self->Answer(std::move(ctx), std::move(request));
      });
}

ConsistencyChecker::~ConsistencyChecker() { Stop(); }

void ConsistencyChecker::Start(LogEngine* log, std::function<std::shared_ptr<RaftGroup>(RangeId)> find) {
  log_ = log;
  find_ = std::move(find);
}

void ConsistencyChecker::Stop() {
  log_ = nullptr;
  tasks_.reset();
  for (auto& [id, check] : checks_) {
    check->rows.reset();
    if (check->done.is_set()) continue;
    check->reply.set_problem("the store is stopping");
    check->done.Set();
  }
  arrived_.NotifyAll();
}

// ---------------------------------------------------------------------------------------------------------------------- sums

void ConsistencyChecker::Applied(RaftGroup* group, const std::string& id) {
  if (log_ == nullptr || checks_.contains(id)) return;
  Forget();
  auto check = std::make_shared<Check>();
  check->range = group->range_id();
  check->replica = group->replica_id();
  check->descriptor = group->descriptor();
  check->state = group->state();
  checks_[id] = check;
  order_.push_back(id);
  check->reply.set_found(true);
  if (unread_ >= kMaxUnread) {
    check->reply.set_problem("too many comparisons are under way on this store");
    check->done.Set();
  } else {
    ++unread_;
    check->rows = group->engine().NewSnapshot();
    tasks_->Spawn(Compute(check));
  }
  arrived_.NotifyAll();
}

void ConsistencyChecker::Forget() {
  while (order_.size() >= kKept) {
    checks_.erase(order_.front());  // whoever waits for it holds it
    order_.pop_front();
  }
}

Task<void> ConsistencyChecker::Compute(CheckPtr check) {
  const Context ctx = tasks_->ctx();
  if (!(co_await reading_.Acquire(ctx)).ok()) co_return;
  mvcc::Stats stats;
  absl::StatusOr<std::string> sum = co_await Sum(*check, &stats);
  if (ctx.done()) co_return;
  reading_.Release();
  check->rows.reset();
  --unread_;
  if (sum.ok()) {
    check->reply.set_checksum(*std::move(sum));
    mvcc::AppendStats(check->reply.mutable_stats(), stats);
    if (stats != check->state.stats) {
      PROBE("a range's statistics did not fit its rows");
      metrics_->consistency_wrong_stats += 1;
      check->reply.set_wrong_stats(StrCat("kept: ", mvcc::ToString(check->state.stats), "; counted: ", mvcc::ToString(stats)));
      LOG_ERROR("a range's statistics do not fit its rows", {"range", check->range}, {"index", check->state.applied_index}, {"how", check->reply.wrong_stats()});
    }
  } else {
    check->reply.set_problem(absl::CHexEscape(sum.status().ToString()));  // it may name a key
    LOG_ERROR("a replica's rows cannot be summed up", {"range", check->range}, {"why", sum.status().ToString()});
    auto group = find_(check->range);
    if (absl::IsDataLoss(sum.status()) && group != nullptr && group->replica_id() == check->replica && !group->stopped()) {
      PROBE("a comparison met a row that could not be read");
      group->StopDamaged(absl::DataLossError(StrCat("range ", check->range, ": its rows cannot be read: ", Sv(sum.status().message()))));
    }
  }
  check->done.Set();
}

Task<absl::StatusOr<std::string>> ConsistencyChecker::Sum(Check& check, mvcc::Stats* stats) {
  const Context& ctx = tasks_->ctx();
  const std::string own_state = keys::RangeIdKey(check.range, keys::RangeField::kAppliedState);
  RowSum sum;
  mvcc::StatsCounter counter;
  size_t since_yield = 0, since_pause = 0;
  sum.Add(storage::ColumnFamily::kRange, own_state, SharedState(check.state));
  for (const RowSpan& span : RowSpansOf(check.descriptor)) {
    auto it = check.rows->NewIterator({.cf = span.cf, .lower = span.start, .upper = span.end});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      if (span.cf == storage::ColumnFamily::kRange && it->key() == own_state) continue;
      sum.Add(span.cf, it->key(), it->value());
      CO_RETURN_IF_ERROR(CountRow(*it, span.cf, &counter));
      since_yield += it->key().size() + it->value().size();
      if (since_yield < kReadBytes) continue;
      metrics_->consistency_bytes += since_yield;
      since_pause += std::exchange(since_yield, 0);
      CO_RETURN_IF_ERROR(co_await ctx.Yield());
      if (since_pause < kPauseBytes) continue;
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, std::chrono::nanoseconds(std::exchange(since_pause, 0) * 1'000'000'000 / options_.bytes_per_second)));
    }
    CO_RETURN_IF_ERROR(it->status());
  }
  metrics_->consistency_bytes += since_yield;
  *stats = counter.stats();
  co_return sum.Take();
}

// ------------------------------------------------------------------------------------------------------------------- answers

Task<absl::StatusOr<v1::ChecksumReply>> ConsistencyChecker::Checksum(Context ctx, StoreId store, v1::ChecksumRequest request) {
  if (store == self_) co_return co_await Answer(std::move(ctx), std::move(request));
  std::optional<std::string> address = resolver_(store);
  if (!address.has_value()) co_return absl::UnavailableError(StrCat("the address of store ", store, " is not known"));
  co_return co_await CallUnary<v1::ChecksumReply>(ctx, *transport_, *std::move(address), kMethod, std::move(request));
}

Task<absl::StatusOr<v1::ChecksumReply>> ConsistencyChecker::Answer(Context ctx, v1::ChecksumRequest request) {
  std::weak_ptr<ConsistencyChecker*> alive = alive_;
  const Context arrival = ctx.WithTimeout(kArrivalPatience);
  CheckPtr check;
  for (;;) {
    if (auto it = checks_.find(request.check_id()); it != checks_.end()) check = it->second;
    if (check != nullptr) break;
    absl::Status waited = co_await arrived_.Wait(arrival);
    CO_RETURN_IF_ERROR(ctx.status());
    if (alive.expired() || log_ == nullptr) co_return absl::UnavailableError("the store is stopping");
    if (!waited.ok()) co_return v1::ChecksumReply();  // not found
  }
  if (check->range != request.range_id()) co_return absl::InvalidArgumentError("the check is of another range");
  CO_RETURN_IF_ERROR(co_await check->done.Wait(ctx));
  if (alive.expired() || log_ == nullptr) co_return absl::UnavailableError("the store is stopping");
  v1::ChecksumReply reply = check->reply;
  if (!request.expected().empty() && reply.problem().empty() && reply.checksum() != request.expected()) {
    CO_RETURN_IF_ERROR(co_await StopReplica(std::move(ctx), check, request.expected()));
    reply.set_stopped(true);
  }
  co_return reply;
}

// First it serves no more, then that becomes durable.
Task<absl::Status> ConsistencyChecker::StopReplica(Context ctx, CheckPtr check, std::string expected) {
  auto group = find_(check->range);
  if (group == nullptr || group->replica_id() != check->replica) co_return absl::NotFoundError("the replica is not here any more");
  const std::string why = StrCat("this replica's rows differ from those of most others as of entry ", check->state.applied_index,
                                 "; it takes no part any more. Keep its store for inspection and replace the replica");
  if (!group->stopped()) {
    PROBE("a replica that differed stopped itself");
    metrics_->consistency_divergences += 1;
    group->StopDamaged(absl::DataLossError(StrCat("range ", check->range, ": ", why)));
  }
  std::string value;
  AppendFixed64(&value, check->replica);
  value += why;
  LogBatch batch;
  batch.SetMeta(DivergedMeta(check->range), value);
  co_return co_await log_->AppendAndWait(ctx.WithTimeout(kPersistPatience), std::move(batch));
}

}  // namespace insula::kv
