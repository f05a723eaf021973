#include "kv/store/protected_timestamps.h"

#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

std::string RowKey(const std::string& id) { return keys::SystemKey(keys::SystemTable::kProtectedTimestamp, id); }

// Tells every range of `span` that timestamps were protected at `policy_at`. OK: none has lost anything that reads at `ts` see.
Task<absl::Status> Hold(const Context& ctx, Sender& sender, const v1::Span& span, Timestamp policy_at, Timestamp ts) {
  const std::string end = span.end_key().empty() ? keys::Next(span.key()) : span.end_key();
  for (std::string key = span.key(); key < end;) {
    v1::BatchRequest batch = NewBatch();
    v1::GcRequest* gc = batch.add_requests()->mutable_gc();
    gc->set_key(key);
    gc->set_hold(true);
    gc->set_policy_at(policy_at.bits);
    v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    const v1::GcResponse& held = response.responses(0).gc();
    if (Timestamp{held.threshold()} > ts) {
      co_return absl::FailedPreconditionError(StrCat("cannot protect ", ts.ToString(), ": a range has lost versions up to ", Timestamp{held.threshold()}.ToString()));
    }
    if (!held.has_resume()) break;
    key = held.resume().key();
  }
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> ProtectTimestamp(const Context& ctx, Sender& sender, std::string id, std::vector<v1::Span> spans, Timestamp ts, std::string reason) {
  v1::ProtectedTimestamp row;
  row.set_version(kProtectedTimestampVersion);
  row.set_timestamp(ts.bits);
  row.set_reason(std::move(reason));
  for (const v1::Span& span : spans) *row.add_spans() = span;
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_put()->set_key(RowKey(id));
  batch.mutable_requests(0)->mutable_put()->set_value(row.SerializeAsString());
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  const Timestamp written{response.timestamp()};
  for (const v1::Span& span : spans) {
    absl::Status held = co_await Hold(ctx, sender, span, written, ts);
    if (held.ok()) continue;
    // A row that stays after this fails, too, protects too much, and says why it is there.
    absl::Status undone = co_await UnprotectTimestamp(ctx, sender, id);
    co_return undone.ok() ? held : absl::Status(held.code(), StrCat(Sv(held.message()), "; and its row ", id, " could not be removed: ", Sv(undone.message())));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> UnprotectTimestamp(const Context& ctx, Sender& sender, std::string id) {
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_delete_()->set_key(RowKey(id));
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  co_return response.has_error() ? FromKvError(response.error()) : absl::OkStatus();
}

}  // namespace insula::kv
