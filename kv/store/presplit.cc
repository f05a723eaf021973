// Keyspaces get their range before they get their tenant: when few free ones are left, a block is split off the tail.
//
// Whoever holds the system range's lease does it, woken by what is written there. Each split is idempotent, and the next look goes on
// where this one was cut short.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

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
      LOG_WARNING("keyspaces could not be split off", {"why", s.ToString()});
      rest = std::min(2 * rest, kLongestRest);
    }
    if (!(co_await Sleep(ctx, rest)).ok()) co_return;
  }
}

// The last range begins with the first keyspace that has none of its own. As far as its address tells: it may be behind, and then there is
// less to do than it seems.
Task<absl::StatusOr<uint64_t>> Store::FirstSharedKeyspace(const Context& ctx) {
  v1::BatchRequest lookup;
  lookup.mutable_header()->set_version(kBatchVersion);
  lookup.add_requests()->mutable_range_lookup()->set_key(std::string(kLastKey));
  v1::BatchResponse response = co_await sender_->Send(ctx, std::move(lookup));
  if (response.has_error()) co_return FromKvError(response.error());
  if (response.responses_size() != 1 || response.responses(0).range_lookup().ranges_size() == 0) co_return absl::UnavailableError("the last range has no address");
  const std::string& start = response.responses(0).range_lookup().ranges(0).start_key();
  std::optional<uint64_t> keyspace = KeyspaceOf(start);
  if (!keyspace.has_value()) co_return absl::InternalError(StrCat("the last range begins at ", keys::Pretty(start)));
  co_return *keyspace;
}

// A block of keyspaces that begins with `from`.
Task<absl::Status> Store::SplitOff(const Context& ctx, uint64_t from) {
  for (uint64_t i = 1; i <= options_.presplit_block; ++i) {
    v1::BatchResponse split = co_await sender_->Send(ctx, SplitBatch(KeyspacePrefix(from + i)));
    if (split.has_error()) co_return FromKvError(split.error());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Store::PresplitOnce(const Context& ctx) {
  v1::BatchRequest read;
  read.mutable_header()->set_version(kBatchVersion);
  read.add_requests()->mutable_get()->set_key(keys::KeyspaceCounter());
  v1::BatchResponse response = co_await sender_->Send(ctx, std::move(read));
  if (response.has_error()) co_return FromKvError(response.error());
  if (response.responses_size() != 1) co_return absl::InternalError("one request, no answer");
  const v1::GetResponse& got = response.responses(0).get();
  const uint64_t given = got.has_value() && got.value().size() == 8 ? ReadFixed64(got.value().data()) : 0;
  const uint64_t used = keys::kFirstKeyspace - 1 + given;
  CO_ASSIGN_OR_RETURN(const uint64_t next, co_await FirstSharedKeyspace(ctx));
  // The address may be behind: then the first of these are there already.
  for (uint64_t from = next; from <= used + options_.presplit_least_free; from += options_.presplit_block) {
    LOG_INFO("splitting off keyspaces", {"from", from}, {"count", options_.presplit_block}, {"used", used});
    CO_RETURN_IF_ERROR(co_await SplitOff(ctx, from));
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
