#include "kv/store/gc_queue.h"

#include <algorithm>
#include <vector>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"

namespace insula::kv {
namespace {

constexpr Duration kBatchTimeout = std::chrono::seconds(30);
constexpr Duration kLeastRest = std::chrono::milliseconds(5);
constexpr Duration kFirstRetry = std::chrono::seconds(5);
constexpr int kMaxFailures = 10;  // in a row; then the range is left alone for as long as garbage lives
constexpr Duration kLeaseWait = std::chrono::seconds(5);
// What the statistics count of a live version besides its key and value: timestamp and header.
constexpr int64_t kVersionOverhead = 9;
// While ranges are written to, a time to live that was shortened is noticed within this.
constexpr Duration kPolicyPatience = std::chrono::minutes(1);
// Outcomes are kept ten minutes (kv/txn/record.h) after the last write.
constexpr Duration kTidyAfter = std::chrono::minutes(11);

}  // namespace

GcQueue::Garbage GcQueue::GarbageOf(const RangeGroup& group) {
  const mvcc::Stats& s = group.stats();
  return {.versions = s.versions - s.live_keys, .bytes = std::max<int64_t>(0, s.total_bytes - s.live_bytes - kVersionOverhead * s.live_keys)};
}

bool GcQueue::IsWorthIt(const Entry& entry, const RangeGroup& group, Duration ttl, MonoTime now) const {
  const int64_t old = std::min(entry.garbage.bytes, GarbageOf(group).bytes);
  return old * options_.worth_share >= group.stats().total_bytes || old >= options_.worth_bytes || now - entry.since >= options_.worth_after * ttl;
}

void GcQueue::Schedule(RangeId range, Entry& entry, MonoTime due) {
  due_.erase({entry.due, range});
  entry.due = due;
  due_.insert({due, range});
  if (due_.begin()->second == range) changed_.NotifyAll();
}

void GcQueue::Mark(Entry& entry, const RangeGroup& group, MonoTime now) const {
  entry.marked = now;
  entry.garbage = GarbageOf(group);
}

void GcQueue::Drop(RangeId range) {
  auto it = entries_.find(range);
  if (it == entries_.end()) return;
  due_.erase({it->second.due, range});
  entries_.erase(it);
  metrics_->queue(QueueKind::kGc).pending = static_cast<int64_t>(entries_.size());
}

void GcQueue::Wrote(RangeId range) {
  const MonoTime now = executor_->Now();
  auto [it, fresh] = entries_.try_emplace(range);
  it->second.written = now;
  if (policy_tried_ == MonoTime{} || now - policy_tried_ > kPolicyPatience) {
    policy_wanted_ = true;
    changed_.NotifyAll();
  }
  if (!fresh) return;
  RangeGroup* group = find_(range);
  if (group == nullptr) {
    entries_.erase(it);
    return;
  }
  metrics_->queue(QueueKind::kGc).pending = static_cast<int64_t>(entries_.size());
  it->second.since = now;
  Mark(it->second, *group, now);
  Schedule(range, it->second, now + policy_.TtlOf(group->descriptor()));
}

void GcQueue::Found(RangeId range) {
  RangeGroup* group = find_(range);
  if (group != nullptr && GarbageOf(*group).versions > 0) Wrote(range);
}

Task<absl::Status> GcQueue::EnsureLed(const Context& ctx, RangeId range) {
  RangeGroup* group = find_(range);
  LeaseCheck lease = group->CheckLease(group->clock().Peek());
  if (lease.state == LeaseCheck::State::kNone) {
    // Nobody has asked the range for anything since its stores started, or its leader went: one of them leads, and does it.
    auto acquired = co_await group->AcquireLease(ctx.WithTimeout(kLeaseWait), group->clock().Peek());
    if (!acquired.ok()) co_return absl::UnavailableError("nobody leads the range");
    lease = *acquired;
  }
  co_return lease.valid() ? absl::OkStatus() : absl::AbortedError("another replica leads the range");
}

Task<absl::Status> GcQueue::RefreshPolicy(const Context& ctx, Duration max_age) {
  const MonoTime now = executor_->Now();
  if (!policy_.read_at.empty() && now - policy_read_ <= max_age) co_return absl::OkStatus();
  policy_tried_ = now;
  Sender* sender = sender_();
  RangeGroup* any = entries_.empty() ? nullptr : find_(entries_.begin()->first);
  if (sender == nullptr || any == nullptr) co_return absl::UnavailableError("there is no way to the ranges yet");
  auto read = co_await ReadGcPolicy(ctx.WithTimeout(kBatchTimeout), *sender, any->clock().Now(), options_.default_ttl);
  if (!read.ok()) co_return read.status();
  policy_ = *std::move(read);
  policy_read_ = now;
  Reschedule();
  co_return absl::OkStatus();
}

// Times to live may have become shorter.
void GcQueue::Reschedule() {
  for (auto& [range, entry] : entries_) {
    RangeGroup* group = find_(range);
    if (group == nullptr || entry.failures > 0) continue;
    if (MonoTime due = entry.marked + policy_.TtlOf(group->descriptor()); due < entry.due) Schedule(range, entry, due);
  }
}

Task<void> GcQueue::Run(Context ctx) {
  while (!ctx.done()) {
    if (std::exchange(policy_wanted_, false)) {
      absl::Status read = co_await RefreshPolicy(ctx, kPolicyPatience);
      if (!read.ok()) LOG_DEBUG("the settings of garbage collection cannot be read yet", {"why", read.ToString()});
      continue;
    }
    if (due_.empty()) {
      if (!(co_await changed_.Wait(ctx)).ok()) co_return;
      continue;
    }
    auto [due, range] = *due_.begin();
    if (due > executor_->Now()) {
      Context until = ctx.WithDeadline(due);
      if (!(co_await changed_.Wait(until)).ok() && ctx.done()) co_return;
      continue;
    }
    co_await Visit(ctx, range);
  }
}

Task<void> GcQueue::Visit(const Context& ctx, RangeId range) {
  const MonoTime now = executor_->Now();
  absl::Status done = find_(range) == nullptr ? absl::AbortedError("the range is gone") : co_await EnsureLed(ctx, range);
  if (absl::IsAborted(done)) {
    Drop(range);
    co_return;
  }
  if (done.ok()) done = co_await RefreshPolicy(ctx, options_.policy_age);
  RangeGroup* group = find_(range);
  auto found = entries_.find(range);
  if (group == nullptr || found == entries_.end()) co_return;
  if (done.ok()) {
    Entry& entry = found->second;
    const Duration ttl = policy_.TtlOf(group->descriptor());
    const Timestamp threshold = policy_.ThresholdOf(group->descriptor());
    const int64_t garbage = GarbageOf(*group).versions;
    const bool old = std::min(entry.garbage.versions, garbage) > 0;
    if (garbage == 0 && now - entry.written < kTidyAfter) {
      Mark(entry, *group, now);
      entry.since = now;
      Schedule(range, entry, std::max(now + ttl, entry.written + kTidyAfter));
      co_return;
    }
    if (garbage > 0 && (!old || !IsWorthIt(entry, *group, ttl, now) || threshold <= entry.threshold || now - entry.marked < ttl)) {
      if (now - entry.marked >= ttl) Mark(entry, *group, now);
      Schedule(range, entry, entry.marked + ttl);
      co_return;
    }
    done = co_await Collect(ctx, range, threshold, /*only_tidy=*/garbage == 0);
    metrics_->queue(QueueKind::kGc).processed += 1;
    metrics_->queue(QueueKind::kGc).seconds.Observe(ToSeconds(executor_->Now() - now));
    group = find_(range);
    found = entries_.find(range);
    if (group == nullptr || found == entries_.end()) co_return;
    if (done.ok()) {
      Entry& after = found->second;
      after.failures = 0;
      after.threshold = threshold;
      after.since = now;
      Mark(after, *group, executor_->Now());
      if (after.garbage.versions == 0 && after.written <= now && now - after.written >= kTidyAfter) {
        Drop(range);  // Q1
      } else {
        Schedule(range, after, after.marked + ttl);
      }
      co_return;
    }
  }
  if (ctx.done()) co_return;
  ++counters_.failures;
  metrics_->queue(QueueKind::kGc).failed += 1;
  policy_.read_at = Timestamp();  // perhaps it was too old
  LOG_DEBUG("garbage could not be collected", {"range", range}, {"why", done.ToString()});
  int& failures = found->second.failures;
  const Duration rest = ++failures > kMaxFailures ? policy_.TtlOf(group->descriptor()) : kFirstRetry * failures;
  if (failures > kMaxFailures) failures = 0;
  Schedule(range, found->second, executor_->Now() + rest);
}

Task<absl::Status> GcQueue::Collect(const Context& ctx, RangeId range, Timestamp threshold, bool only_tidy) {
  ++counters_.walks;
  std::string key = find_(range)->descriptor().start_key();
  if (key.empty()) key.assign(1, '\0');
  Timestamp below;
  for (bool first = true;; first = false) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    v1::GcRequest* gc = batch.add_requests()->mutable_gc();
    gc->set_key(key);
    if (only_tidy) gc->set_end_key(keys::Next(key));
    gc->set_threshold(threshold.bits);
    gc->set_below(below.bits);
    gc->set_policy_at(policy_.read_at.bits);
    gc->set_max_versions(options_.versions_per_batch);
    gc->set_tidy(first);
    const MonoTime begin = executor_->Now();
    v1::BatchResponse response = co_await sender_()->Send(ctx.WithTimeout(kBatchTimeout), std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    const v1::GcResponse& done = response.responses(0).gc();
    ++counters_.batches;
    counters_.removed += done.removed();
    metrics_->gc_versions_removed += done.removed();
    if (!done.has_resume()) co_return absl::OkStatus();
    key = done.resume().key();
    below = Timestamp{done.resume_below()};
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, std::max<Duration>(kLeastRest, 4 * (executor_->Now() - begin))));  // Q3
  }
}

}  // namespace insula::kv
