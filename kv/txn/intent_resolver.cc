#include "kv/txn/intent_resolver.h"

#include <utility>

#include "base/status_macros.h"
#include "kv/api/error.h"

namespace insula::kv {
namespace {
constexpr size_t kSpansPerBatch = 500;
}

Task<absl::Status> ResolveSpans(const Context& ctx, Sender& sender, v1::Transaction txn, std::vector<v1::Span> spans) {
  while (!spans.empty()) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(1);
    size_t count = std::min(spans.size(), kSpansPerBatch);
    for (size_t i = 0; i < count; ++i) {
      auto* resolve = batch.add_requests()->mutable_resolve_intent();
      resolve->set_key(std::move(*spans[i].mutable_key()));
      resolve->set_end_key(std::move(*spans[i].mutable_end_key()));
      *resolve->mutable_txn() = txn.meta();
      resolve->set_status(txn.status());
      *resolve->mutable_ignored() = txn.ignored();
    }
    spans.erase(spans.begin(), spans.begin() + static_cast<ptrdiff_t>(count));
    v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    for (auto& r : *response.mutable_responses()) {
      if (r.resolve_intent().has_resume()) spans.push_back(std::move(*r.mutable_resolve_intent()->mutable_resume()));
    }
  }
  co_return absl::OkStatus();
}

void IntentResolver::Resolve(v1::Transaction txn, std::vector<v1::Span> spans, std::function<Task<void>(absl::Status)> done) {
  if (group_.size() >= kMaxQueued) return;
  group_.Spawn(Run(std::move(txn), std::move(spans), std::move(done)));
}

Task<void> IntentResolver::Run(v1::Transaction txn, std::vector<v1::Span> spans, std::function<Task<void>(absl::Status)> done) {
  if (!(co_await slots_.Acquire(group_.ctx())).ok()) co_return;
  absl::Status status = co_await ResolveSpans(group_.ctx(), *sender_, std::move(txn), std::move(spans));
  slots_.Release();
  co_await done(std::move(status));
}

}  // namespace insula::kv
