#include "kv/txn/recovery.h"

#include <utility>

#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "kv/api/error.h"

namespace insula::kv {
namespace {

constexpr int kWritesPerBatch = 100;

v1::BatchRequest NewBatch(const Context& ctx) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(1);
  batch.mutable_header()->set_trace_id(ctx.info().trace_id);
  return batch;
}

}  // namespace

Task<absl::StatusOr<v1::Transaction>> RecoverTxn(const Context& ctx, Sender& sender, v1::Transaction staging) {
  PROBE("a staged commit was recovered");
  bool all_there = true;
  for (int from = 0; all_there && from < staging.in_flight_size(); from += kWritesPerBatch) {
    v1::BatchRequest batch = NewBatch(ctx);
    for (int i = from; i < std::min(from + kWritesPerBatch, staging.in_flight_size()); ++i) {
      auto* query = batch.add_requests()->mutable_query_intent();
      query->set_key(staging.in_flight(i).key());
      *query->mutable_txn() = staging.meta();
      query->mutable_txn()->set_sequence(staging.in_flight(i).sequence());
      query->set_prevent(true);
      query->set_lock(staging.in_flight(i).lock());
    }
    v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    for (const auto& r : response.responses()) all_there = all_there && r.query_intent().found();
  }
  v1::BatchRequest batch = NewBatch(ctx);
  auto* recover = batch.add_requests()->mutable_recover_txn();
  recover->set_key(staging.meta().anchor_key());
  recover->set_txn_id(staging.meta().id());
  recover->set_implicitly_committed(all_there);
  recover->set_staged_ts(staging.meta().write_ts());
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  co_return response.responses(0).recover_txn().txn();
}

Task<absl::StatusOr<v1::Transaction>> PushTxn(const Context& ctx, Sender& sender, v1::PushTxnRequest push) {
  while (true) {
    v1::BatchRequest batch = NewBatch(ctx);
    *batch.add_requests()->mutable_push_txn() = push;
    v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    v1::Transaction pushee = std::move(*response.mutable_responses(0)->mutable_push_txn()->mutable_pushee());
    if (pushee.status() != v1::STAGING) co_return pushee;
    // Push what it is now: its coordinator may have restarted it meanwhile, and of a commit that somebody else has settled and forgotten
    // nothing tells what a savepoint took back.
    CO_RETURN_IF_ERROR((co_await RecoverTxn(ctx, sender, std::move(pushee))).status());
  }
}

}  // namespace insula::kv
