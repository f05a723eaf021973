#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/replica/replica.h"
#include "kv/txn/recovery.h"

namespace insula::kv {
namespace {
constexpr Duration kMaxQuestionInterval = 1s;
}

Task<absl::StatusOr<v1::Transaction>> Replica::Push(const Context& ctx, v1::PushTxnRequest push) {
  if (deps_.sender == nullptr) {
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    co_return LockConflictError(push.key(), /*timed_out=*/false);
  }
  metrics_->pushes += 1;
  co_return co_await kv::PushTxn(ctx, *deps_.sender, std::move(push));
}

Task<absl::Status> Replica::Resolve(const Context& ctx, v1::Transaction txn, std::vector<std::string> keys, Timestamp pushed_at) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_range_id(range_id_);
  for (std::string& key : keys) {
    auto* resolve = batch.add_requests()->mutable_resolve_intent();
    resolve->set_key(std::move(key));
    *resolve->mutable_txn() = txn.meta();
    resolve->set_status(txn.status());
    if (txn.status() == v1::PENDING) resolve->set_pending_since(pushed_at.bits);
    *resolve->mutable_ignored() = txn.ignored();
  }
  v1::BatchResponse response = co_await Execute(ctx, std::move(batch));
  co_return response.has_error() ? FromKvError(response.error()) : absl::OkStatus();
}

// A push waits until something happens to its pushee, it may have expired, or the pusher is to give up.
Task<absl::Status> Replica::WaitAtRecord(const Context& ctx, const v1::PushTxnRequest& push, Timestamp expires) {
  PushQueue::Entry entry(&pushes_, push.pushee(), push.has_pusher() ? &push.pusher() : nullptr);
  const bool can_deadlock = deps_.sender != nullptr && push.has_pusher() && !push.pusher().anchor_key().empty();
  const uint64_t lease = lease_.sequence;
  Duration interval = deps_.deadlock_interval;
  bool changed = false;
  while (!changed) {
    if (can_deadlock) {
      absl::Status asked = co_await AskWhoWaits(ctx, push.pusher(), entry);
      auto error = GetKvError(asked);
      // That the question could not be put is no reason to end the wait: ask again later.
      if (!asked.ok() && (!ctx.status().ok() || (error && (error->has_deadlock() || error->has_txn_aborted())))) co_return asked;
    }
    if (group_ == nullptr || lease_.sequence != lease) co_return NotLeaseholderError(0, {});
    const Timestamp now = group_->clock().Peek();
    if (now > expires) break;
    auto until_expiry = std::chrono::microseconds(expires.micros() - now.micros() + 1);
    Context limited = ctx.WithTimeout(std::min<Duration>(interval, until_expiry));
    changed = (co_await entry.changed().Wait(limited)).ok();
    CO_RETURN_IF_ERROR(ctx.status());
    interval = std::min(2 * interval, kMaxQuestionInterval);
  }
  if (group_ == nullptr || lease_.sequence != lease) co_return NotLeaseholderError(0, {});
  co_return absl::OkStatus();
}

Task<absl::Status> Replica::AskWhoWaits(const Context& ctx, const v1::TxnMeta& pusher, PushQueue::Entry& entry) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* query = batch.add_requests()->mutable_query_txn();
  query->set_key(pusher.anchor_key());
  query->set_txn_id(pusher.id());
  v1::BatchResponse response = co_await deps_.sender->Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  const v1::QueryTxnResponse& answer = response.responses(0).query_txn();
  if (answer.found() && answer.txn().status() == v1::ABORTED) co_return TxnAbortedError("it was pushed while it waited");
  std::vector<WaitEdge> edges;
  for (const auto& edge : answer.edges()) edges.push_back({edge.waiter(), Timestamp{edge.waiter_min_ts()}, edge.holder()});
  if (entry.SetEdges(std::move(edges))) {
    PROBE("a deadlock was broken");
    metrics_->deadlocks += 1;
    co_return DeadlockError();
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
