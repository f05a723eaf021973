// Keyspaces get their range before they get their tenant: when few free ones are left, a block is split off the tail.
//
// Whoever holds the system range's lease does it, and looks only when something was written there. Each split is idempotent, and the
// next look goes on where this one was cut short.
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

Task<void> Store::PresplitLoop() {
  for (;;) {
    if (!(co_await Sleep(tasks_.ctx(), options_.presplit_interval)).ok()) co_return;
    auto system = multiraft_.Find(keys::kSystemRange);
    if (sender_ == nullptr || system == nullptr || !system->holds_lease() || system->applied_index() == presplit_seen_) continue;
    const uint64_t seen = system->applied_index();
    Context limited = tasks_.ctx().WithTimeout(std::chrono::seconds(60));
    absl::Status s = co_await PresplitOnce(limited);
    if (tasks_.ctx().done()) co_return;
    if (s.ok()) {
      presplit_seen_ = seen;
    } else {
      LOG_WARNING("keyspaces could not be split off", {"why", s.ToString()});
    }
  }
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
  // The tail begins with the first keyspace that has no range of its own.
  auto tail = FindByKey("\xfe\xff\xff");
  if (tail == nullptr) co_return absl::UnavailableError("the tail range is not on this store");
  std::optional<uint64_t> next = KeyspaceOf(tail->descriptor().start_key());
  if (!next.has_value()) co_return absl::InternalError(StrCat("the tail range begins at ", keys::Pretty(tail->descriptor().start_key())));
  if (*next > used + options_.presplit_least_free) co_return absl::OkStatus();
  LOG_INFO("splitting off keyspaces", {"from", *next}, {"count", options_.presplit_block}, {"used", used});
  for (uint64_t i = 1; i <= options_.presplit_block; ++i) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    batch.add_requests()->mutable_admin_split()->set_split_key(KeyspacePrefix(*next + i));
    v1::BatchResponse split = co_await sender_->Send(ctx, std::move(batch));
    if (split.has_error()) co_return FromKvError(split.error());
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
