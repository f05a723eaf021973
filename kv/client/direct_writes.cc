#include "kv/client/direct_writes.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/txn_coordinator.h"
#include "kv/storage/varint.h"

namespace insula::kv {

void DirectWrites::Declare(std::string prefix, uint32_t sequence, Prepare prepare) {
  auto place = std::make_shared<Place>();
  place->prefix = std::move(prefix);
  place->declared = sequence;
  place->prepare = std::move(prepare);
  places_.push_back(std::move(place));
}

void DirectWrites::Close() {
  for (auto& place : places_) place->open = false;
}

std::shared_ptr<DirectWrites::Place> DirectWrites::Find(std::string_view first, std::string_view last) const {
  for (const auto& place : places_) {
    if (place->open && first.starts_with(place->prefix) && last.starts_with(place->prefix)) return place;
  }
  return nullptr;
}

Timestamp DirectWrites::NewestIn(std::string_view start, std::string_view end) const {
  Timestamp newest;
  for (const auto& place : places_) {
    if (place->newest > newest && start < PrefixEnd(place->prefix) && end > place->prefix) newest = place->newest;
  }
  return newest;
}

bool DirectWrites::RollbackTo(uint32_t savepoint) {
  std::erase_if(places_, [&](const auto& place) { return place->declared > savepoint; });
  bool ok = true;
  for (auto& place : places_) {
    if (place->last_write > savepoint) ok = false;
    if (place->prepared > savepoint) place->prepared = 0;
  }
  return ok;
}

std::vector<v1::BatchRequest> DirectBatches(const std::vector<KeyValue>& rows, size_t max_bytes) {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rows[a].key < rows[b].key; });
  std::vector<v1::BatchRequest> batches;
  v1::InsertRowsRequest* request = nullptr;
  for (size_t i : order) {
    const KeyValue& row = rows[i];
    if (request == nullptr || request->rows().size() + row.key.size() + row.value.size() > max_bytes) {
      request = batches.emplace_back().add_requests()->mutable_insert_rows();
      request->set_key(row.key);
    }
    storage::AppendString(request->mutable_rows(), row.key);
    storage::AppendString(request->mutable_rows(), row.value);
    request->set_end_key(row.key + '\0');
  }
  return batches;
}

// -- The coordinator's part --

void TxnCoordinator::DeclareFresh(std::string prefix, std::function<Task<absl::Status>(const Context&)> prepare) {
  if (read_committed()) direct_.Declare(std::move(prefix), ++sequence_, std::move(prepare));
}

// Where the rows may go at once; null: nowhere.
std::shared_ptr<DirectWrites::Place> TxnCoordinator::DirectPlace(const std::vector<KeyValue>& rows, size_t bytes) {
  if (rows.size() < kDirectRows && bytes < kDirectBytes) return nullptr;
  auto [first, last] = std::minmax_element(rows.begin(), rows.end(), [](const KeyValue& a, const KeyValue& b) { return a.key < b.key; });
  std::shared_ptr<DirectWrites::Place> place = direct_.Find(first->key, last->key);
  if (place == nullptr) return nullptr;
  auto own = buffer_.map().lower_bound(first->key);
  if (own != buffer_.map().end() && own->first <= last->key) {
    if (std::any_of(rows.begin(), rows.end(), [this](const KeyValue& row) { return buffer_.Find(row.key) != nullptr; })) return nullptr;
  }
  for (const v1::Span& span : lock_spans_.spans()) {
    if (span.key() <= last->key && (span.end_key().empty() ? span.key() >= first->key : span.end_key() > first->key)) return nullptr;
  }
  for (const KeyValue& row : rows) {
    if (row.key.size() > kMaxKeyBytes || row.value.size() > kMaxValueBytes) return nullptr;  // the usual way says it
  }
  return place;
}

Task<absl::StatusOr<std::optional<size_t>>> TxnCoordinator::InsertDirectly(const Context& ctx, std::shared_ptr<DirectWrites::Place> place,
                                                                           const std::vector<KeyValue>& rows) {
  if (place->prepared == 0) {
    CO_RETURN_IF_ERROR(co_await place->prepare(ctx));
    CO_RETURN_IF_ERROR(Enter());
    place->prepared = sequence_;
  }
  for (v1::BatchRequest& batch : DirectBatches(rows, core_->options.flush_batch_bytes)) {
    place->last_write = ++sequence_;
    v1::BatchHeader* header = batch.mutable_header();
    header->set_version(kBatchVersion);
    header->set_tenant_id(ctx.info().tenant_id);
    header->set_trace_id(ctx.info().trace_id);
    header->set_priority(ctx.info().priority);
    ++stats_.batches;
    ++stats_.requests;
    stats_.bytes_written += batch.requests(0).insert_rows().rows().size();
    v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
    if (!response.has_error()) {
      // Later statements read above what was written, wherever they begin.
      place->newest = std::max(place->newest, Timestamp{response.timestamp()});
      txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), response.timestamp()));
      continue;
    }
    const v1::Error& error = response.error();
    if (error.has_condition_failed()) {
      for (size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].key == error.condition_failed().key()) co_return std::optional<size_t>(i);
      }
    }
    state_ = State::kFailed;
    failure_ = !ctx.status().ok() ? ctx.status()
               : error.has_ambiguous()
                   ? PgErrorBuilder(sqlstate::kSerializationFailure, "it is not known whether rows were written: the transaction must be retried")
                         .Detail(error.message())
                         .Build()
                   : ToPgStatus(error);
    co_return failure_;
  }
  co_return std::optional<size_t>();
}

// A statement that has written directly and reads the same keys sees them: its snapshot moves up. (What reads a table while it writes
// to it has read everything before, so this is for schema changes of several steps.)
Task<absl::Status> TxnCoordinator::SeeDirectWrites(const Context& ctx, std::string_view start, std::string_view end) {
  if (txn_.read_ts() == 0 || direct_.NewestIn(start, end) <= Timestamp{txn_.read_ts()}) co_return absl::OkStatus();
  co_return co_await BeginStatement(ctx);
}

// -- Trust in a snapshot --

// What the snapshot's fence guards may be cleared kClearingGrace after it changed (see kv/api/txn.h). Whoever reads longer than that
// under one snapshot looks again from time to time, after it has read.
Task<absl::Status> TxnCoordinator::RenewTrust(const Context& ctx) {
  const MonoTime now = core_->executor->Now();
  if (!fence_ || wrote_fence() || now - trusted_since_ <= kSnapshotTrust) co_return absl::OkStatus();
  v1::BatchRequest batch;
  auto* check = batch.add_requests()->mutable_check();
  check->set_key(fence_->first);
  if (fence_->second) check->set_expected(*fence_->second);
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_tenant_id(ctx.info().tenant_id);
  batch.mutable_header()->set_trace_id(ctx.info().trace_id);
  ++stats_.batches;
  ++stats_.requests;
  v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
  if (!response.has_error()) {
    trusted_since_ = now;
    co_return absl::OkStatus();
  }
  if (response.error().has_condition_failed()) co_return FailedFence();
  co_return Fail(response.error());
}

}  // namespace insula::kv
