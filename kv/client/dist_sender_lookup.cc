// Where ranges are, as their addresses say: a key's is in meta2, that of its meta2 range in meta1, and that is in range 1.
//
//   key k ─► range of 0x03 k 0x00 (meta2) ─► in the cache, or looked up itself: range of 0x02 0x03 k 0x00 0x00 (meta1) ─► range 1
//
// A tenant's client never sees a meta range: it takes range 1 for all of them, and whichever node it asks goes further
// (kv/server/batch_service.h).
#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/dist_sender.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {
constexpr uint32_t kPrefetch = 8;
constexpr Duration kToSayAnything = 200ms;  // for a node that is there
}  // namespace

// What is known of a part of the meta ranges is newer than that range 1 holds it.
const v1::RangeDescriptor* DistSender::Known(std::string_view key) const {
  if (const v1::RangeDescriptor* range = cache_.Find(key)) return range;
  return keys::IsMetaKey(key) && keys::InBounds(meta_range_.start_key(), meta_range_.end_key(), key) ? &meta_range_ : nullptr;
}

Task<v1::BatchResponse> DistSender::SendLookup(const Context& ctx, v1::BatchRequest batch) {
  const v1::RangeLookupRequest request = batch.requests(0).range_lookup();
  const int wanted = static_cast<int>(1 + std::min(request.prefetch(), 100u));
  v1::BatchResponse whole = co_await SendPiece(ctx, batch, /*commits=*/false);
  // Where one meta range ends, the address may be in the next.
  while (!whole.has_error() && !whole.responses(0).range_lookup().go_on().empty()) {
    v1::RangeLookupResponse* found = whole.mutable_responses(0)->mutable_range_lookup();
    batch.mutable_requests(0)->mutable_range_lookup()->set_from(found->go_on());
    found->clear_go_on();
    v1::BatchResponse next = co_await SendPiece(ctx, batch, /*commits=*/false);
    if (next.has_error()) co_return next;
    found->MergeFrom(next.responses(0).range_lookup());
    PutNewestFirst(request.key(), found->mutable_ranges());
    if (found->ranges_size() >= wanted) found->mutable_ranges()->DeleteSubrange(wanted, found->ranges_size() - wanted);
  }
  co_return whole;
}

Task<absl::Status> DistSender::Lookup(const Context& ctx, const std::string& key) {
  if (auto under_way = lookups_.find(key); under_way != lookups_.end()) {
    std::shared_ptr<Event> done = under_way->second;
    co_return co_await done->Wait(ctx);
  }
  auto done = std::make_shared<Event>();
  lookups_[key] = done;
  struct Leave {
    DistSender* sender;
    const std::string& key;
    ~Leave() {
      auto it = sender->lookups_.find(key);
      it->second->Set();
      sender->lookups_.erase(it);
    }
  } leave{this, key};
  v1::BatchRequest batch = NewBatch();
  batch.mutable_header()->set_trace_id(ctx.info().trace_id);
  auto* lookup = batch.add_requests()->mutable_range_lookup();
  lookup->set_key(key);
  lookup->set_prefetch(kPrefetch);
  v1::BatchResponse response = co_await SendLookup(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  const v1::RangeLookupResponse& found = response.responses(0).range_lookup();
  for (const auto& node : found.nodes()) cache_.SetAddress(node.node_id(), node.address());
  for (const auto& range : found.ranges()) Learn(range);
  co_return absl::OkStatus();
}

// Whether a host that was silent answers now: anything, to a question that changes nothing.
Task<bool> DistSender::IsBack(const Context& ctx, std::string address, std::string key) {
  v1::BatchRequest batch = NewBatch();
  batch.mutable_header()->set_trace_id(ctx.info().trace_id);
  batch.mutable_header()->set_range_id(meta_range_.range_id());
  batch.mutable_header()->set_range_generation(meta_range_.generation());
  batch.mutable_header()->set_timeout_us(std::chrono::duration_cast<std::chrono::microseconds>(kToSayAnything).count());
  batch.add_requests()->mutable_range_lookup()->set_key(std::move(key));
  ++round_trips_;
  const CallResult call = co_await channel_->Call(ctx.WithTimeout(kToSayAnything), address, batch);
  if (call.status.ok()) silent_.erase(address);
  co_return call.status.ok();
}

Task<absl::StatusOr<v1::RangeDescriptor>> DistSender::Locate(const Context& ctx, std::string key) {
  Trouble trouble;
  while (true) {
    if (const v1::RangeDescriptor* range = Known(key)) co_return *range;
    CO_RETURN_IF_ERROR(co_await Lookup(ctx, key));
    if (Known(key) != nullptr) continue;
    // The addresses are being rewritten (a split), or the key is nobody's that we may see.
    if (absl::Status enough = co_await BackOff(ctx, trouble, Duration::zero()); !enough.ok()) {
      co_return UnavailableKvError(StrCat("no range is known to hold the key ", keys::Pretty(key)));
    }
  }
}

}  // namespace insula::kv
