// Keyspaces get their range before they get their tenant: when few free ones are left, a block is split off the tail.
//
// Whoever holds the system range's lease does it, woken by what is written there. Each split is idempotent. A block that was cut short is
// finished by the next look, or by the next who holds that lease, as its first work: so there is never more than one such block, and it lies
// right in front of the last range.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/encoding/ordered.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/store/store.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {
constexpr Duration kLongestRest = std::chrono::minutes(1);  // after failures
constexpr size_t kSplitsAtOnce = 16;
constexpr std::string_view kLastKey = "\xfe\xff\xff";
}  // namespace

bool Store::PresplitDue() const {
  auto system = multiraft_.Find(keys::kSystemRange);
  return sender_ != nullptr && system != nullptr && system->holds_lease() && system->applied_index() != presplit_seen_;
}

Task<void> Store::PresplitLoop() {
  const Context& ctx = tasks_.ctx();
  Duration rest = options_.presplit_rest;
  for (;;) {
    while (!PresplitDue()) {
      if (!(co_await presplit_wanted_.Wait(ctx)).ok()) co_return;
    }
    const uint64_t seen = multiraft_.Find(keys::kSystemRange)->applied_index();
    const MonoTime from = runtime_.executor->Now();
    absl::Status s = co_await PresplitOnce(ctx.WithTimeout(std::chrono::seconds(60)));
    if (ctx.done()) co_return;
    StoreMetrics::Queue& counts = metrics().queue(QueueKind::kPresplit);
    counts.processed += 1;
    counts.failed += s.ok() ? 0 : 1;
    counts.seconds.Observe(ToSeconds(runtime_.executor->Now() - from));
    if (s.ok()) {
      presplit_seen_ = seen;
      rest = options_.presplit_rest;
    } else {
      presplit_whole_ = false;
      LOG_WARNING("keyspaces could not be split off", {"why", s.ToString()});
      rest = std::min(2 * rest, kLongestRest);
    }
    if (!(co_await Sleep(ctx, rest)).ok()) co_return;
  }
}

// The range of `key`, and up to so many `more` behind it, as their addresses tell: these may be behind.
Task<absl::StatusOr<std::vector<v1::RangeDescriptor>>> Store::RangesFrom(const Context& ctx, std::string key, uint64_t more) {
  v1::BatchRequest batch = NewBatch();
  v1::RangeLookupRequest* lookup = batch.add_requests()->mutable_range_lookup();
  lookup->set_key(std::move(key));
  lookup->set_prefetch(static_cast<uint32_t>(more));
  v1::BatchResponse response = co_await sender_->Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  if (response.responses_size() != 1 || response.responses(0).range_lookup().ranges_size() == 0) co_return absl::UnavailableError("a range has no address");
  const auto& ranges = response.responses(0).range_lookup().ranges();
  co_return std::vector<v1::RangeDescriptor>(ranges.begin(), ranges.end());
}

// The last range begins with the first keyspace that no block has reached. If its address is behind, there is less to do than it seems.
Task<absl::StatusOr<uint64_t>> Store::FirstSharedKeyspace(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(const std::vector<v1::RangeDescriptor> last, co_await RangesFrom(ctx, std::string(kLastKey), 0));
  std::optional<uint64_t> keyspace = KeyspaceOf(last.front().start_key());
  if (!keyspace.has_value()) co_return absl::InternalError(StrCat("the last range begins at ", keys::Pretty(last.front().start_key())));
  co_return *keyspace;
}

// Ranges of their own for the keyspaces from `from`, where a range begins, to `end`: what lies behind the last of them is cut off first, then
// one after the other from the right. So all these splits are entries of one log. From the left each would be one of the range that the one
// before has made: a leader would have to be elected there first, and a store that is behind could not even ask for the next.
//
// A few are under way at once: while the addresses of one are written, the next is split off, and that all of them are written the range
// notes once. Should one overtake another, that other is one of a range that was just made, and takes longer; nothing else is lost.
Task<absl::Status> Store::SplitOff(const Context& ctx, uint64_t from, uint64_t end) {
  if (end <= from) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(co_await SplitAt(ctx, end));
  absl::Status failed;
  Semaphore room(kSplitsAtOnce);
  TaskGroup group(ctx);
  for (uint64_t at = end - 1; at > from && failed.ok(); --at) {
    if (!(co_await room.Acquire(ctx)).ok()) break;
    group.SpawnFn([&, at]() -> Task<void> {
      absl::Status split = co_await SplitAt(group.ctx(), at);
      if (failed.ok()) failed = split;
      room.Release();
    });
  }
  co_await group.Wait();
  co_return failed.ok() ? ctx.status() : failed;
}

Task<absl::Status> Store::SplitAt(const Context& ctx, uint64_t keyspace) {
  v1::BatchResponse split = co_await sender_->Send(ctx, SplitBatch(KeyspacePrefix(keyspace)));
  co_return split.has_error() ? FromKvError(split.error()) : absl::OkStatus();
}

// What was cut short of the block in front of `next`, the first keyspace of the last range, by whoever was at it.
Task<absl::Status> Store::FinishBlock(const Context& ctx, uint64_t next) {
  uint64_t keyspace = next - std::min(next - keys::kFirstKeyspace, options_.presplit_block);
  while (keyspace < next) {
    CO_ASSIGN_OR_RETURN(const std::vector<v1::RangeDescriptor> ranges, co_await RangesFrom(ctx, KeyspacePrefix(keyspace), next - keyspace));
    for (const v1::RangeDescriptor& range : ranges) {
      const std::optional<uint64_t> from = KeyspaceOf(range.start_key()), end = KeyspaceOf(range.end_key());
      if (!from.has_value() || !end.has_value()) co_return absl::OkStatus();  // the last one
      if (*end > *from + 1) CO_RETURN_IF_ERROR(co_await SplitOff(ctx, *from, *end - 1));
      keyspace = std::max(keyspace + 1, *end);
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Store::PresplitOnce(const Context& ctx) {
  v1::BatchRequest read = NewBatch();
  read.add_requests()->mutable_get()->set_key(keys::KeyspaceCounter());
  v1::BatchResponse response = co_await sender_->Send(ctx, std::move(read));
  if (response.has_error()) co_return FromKvError(response.error());
  if (response.responses_size() != 1) co_return absl::InternalError("one request, no answer");
  const v1::GetResponse& got = response.responses(0).get();
  const uint64_t given = got.has_value() && got.value().size() == 8 ? ReadFixed64(got.value().data()) : 0;
  const uint64_t used = keys::kFirstKeyspace - 1 + given;
  CO_ASSIGN_OR_RETURN(const uint64_t next, co_await FirstSharedKeyspace(ctx));
  if (!std::exchange(presplit_whole_, true)) CO_RETURN_IF_ERROR(co_await FinishBlock(ctx, next));
  // The address may be behind: then the first of these are there already.
  for (uint64_t from = next; from <= used + options_.presplit_least_free; from += options_.presplit_block) {
    LOG_INFO("splitting off keyspaces", {"from", from}, {"count", options_.presplit_block}, {"used", used});
    CO_RETURN_IF_ERROR(co_await SplitOff(ctx, from, from + options_.presplit_block));
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
