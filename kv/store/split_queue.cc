#include "kv/store/split_queue.h"

#include <algorithm>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/storage/data_key.h"

namespace insula::kv {
namespace {

constexpr Duration kSplitTimeout = std::chrono::seconds(30);
constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr int kMaxFailures = 6;  // in a row; then the range waits for its next write
constexpr int kRowsPerLook = 2000;

}  // namespace

Task<absl::StatusOr<std::string>> FindMiddle(const Context& ctx, storage::Engine& engine, const v1::RangeDescriptor& range, int64_t total_bytes) {
  auto reader = engine.NewSnapshot();
  const std::string start = range.start_key();
  auto it = reader->NewIterator({.lower = storage::DataKeyBound(start), .upper = range.end_key().empty() ? "" : storage::DataKeyBound(range.end_key())});
  const std::string least = keys::NextSplitKey(start);
  auto fits = [&](std::string_view key) { return key >= least && key.size() <= kMaxSplitKeyBytes; };
  std::string first, last;  // rows' keys
  int64_t seen = 0, before_last = 0;
  int rows = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::string_view key = storage::UserKey(it->key());
    if (rows == 0) first.assign(key);
    if (key != last) {
      if (rows > 0 && seen >= total_bytes / 2 && fits(key)) {
        // In front of the row that lies over the middle, or behind it.
        const bool in_front = last != first && fits(last) && total_bytes / 2 - before_last < seen - total_bytes / 2;
        co_return in_front ? last : std::string(key);
      }
      last.assign(key);
      before_last = seen;
    }
    seen += static_cast<int64_t>(it->key().size() + it->value().size());
    if (++rows % kRowsPerLook == 0) CO_RETURN_IF_ERROR(co_await ctx.Yield());
  }
  CO_RETURN_IF_ERROR(it->status());
  if (last == first || !fits(last)) co_return absl::NotFoundError("the range holds one row");
  co_return last;  // more than half of it lies in the last row
}

bool SplitQueue::TooLarge(const RangeGroup& group) const {
  const int64_t bytes = group.stats().total_bytes;
  if (options_.max_bytes == 0 || bytes <= options_.max_bytes) return false;
  auto whole = whole_.find(group.range_id());
  return whole == whole_.end() || bytes > whole->second + whole->second / 4;
}

void SplitQueue::Look(const RangeGroup& group) {
  if (!TooLarge(group) || entries_.contains(group.range_id())) return;
  entries_[group.range_id()].due = executor_->Now();
  changed_.NotifyAll();
}

void SplitQueue::Busy(RangeId range, std::string key) {
  if (find_(range) == nullptr || !keys::MaySplitAt(key) || key.size() > kMaxSplitKeyBytes) return;
  Entry& entry = entries_[range];
  if (entry.key.empty() && entry.due != MonoTime{}) return;  // it is about to be split anyway
  entry = {.due = executor_->Now(), .key = std::move(key)};
  changed_.NotifyAll();
}

Task<void> SplitQueue::Run(Context ctx) {
  while (!ctx.done()) {
    auto next = std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
    if (next == entries_.end()) {
      if (!(co_await changed_.Wait(ctx)).ok()) co_return;
      continue;
    }
    if (next->second.due > executor_->Now()) {
      (void)co_await changed_.Wait(ctx.WithDeadline(next->second.due));  // its time has come, or another's
      continue;
    }
    const RangeId range = next->first;
    std::string key = next->second.key;
    const uint64_t splits = counters_.by_size + counters_.by_load;
    absl::Status done = co_await Visit(ctx, range, std::move(key));
    const bool split = counters_.by_size + counters_.by_load > splits;
    auto entry = entries_.find(range);
    if (ctx.done() || entry == entries_.end()) continue;
    if (done.ok() || ++entry->second.failures > kMaxFailures) {
      entries_.erase(entry);
      // One half may still be too large. (What is not to be split by this store would be looked at for ever.)
      if (RangeGroup* group = split ? find_(range) : nullptr) Look(*group);
      continue;
    }
    ++counters_.failures;
    LOG_DEBUG("a range could not be split", {"range", range}, {"why", done.ToString()});
    entry->second.due = executor_->Now() + kFirstRetry * (1 << entry->second.failures);
  }
}

// OK: split, or not to be split by this store any more.
Task<absl::Status> SplitQueue::Visit(const Context& ctx, RangeId range, std::string key) {
  RangeGroup* group = find_(range);
  const bool by_size = key.empty();
  if (group == nullptr || (by_size && !TooLarge(*group))) co_return absl::OkStatus();
  const LeaseCheck lease = group->CheckLease(group->clock().Peek());
  if (lease.state == LeaseCheck::State::kElsewhere) co_return absl::OkStatus();  // its leaseholder has it in its own queue
  Sender* sender = sender_();
  if (!lease.valid() || sender == nullptr) co_return absl::UnavailableError("nobody leads the range, or there is no way to it yet");
  if (by_size) {
    const v1::RangeDescriptor descriptor = group->descriptor();
    const int64_t bytes = group->stats().total_bytes;
    auto middle = co_await FindMiddle(ctx, group->engine(), descriptor, bytes);
    if (absl::IsNotFound(middle.status())) {
      whole_[range] = bytes;
      co_return absl::OkStatus();
    }
    if (!middle.ok()) co_return middle.status();
    key = *std::move(middle);
  }
  whole_.erase(range);
  v1::BatchResponse response = co_await sender->Send(ctx.WithTimeout(kSplitTimeout), SplitBatch(key));
  if (response.has_error()) co_return FromKvError(response.error());
  LOG_INFO("a range was split", {"range", range}, {"at", keys::Pretty(key)}, {"why", by_size ? "size" : "load"});
  ++(by_size ? counters_.by_size : counters_.by_load);
  co_return absl::OkStatus();
}

}  // namespace insula::kv
