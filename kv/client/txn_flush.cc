// What a transaction writes out before it commits.
//
//   buffer ─ StartFlush ─► in flight ─ SendFlight, a few batches at a time ─► intents
//                             │ a row that is to be new is there: FindTaken looks which is the first
//                             └ Land: it is there; or back into the buffer, under the same numbers, and the transaction has failed
#include <algorithm>
#include <utility>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/txn_coordinator.h"

namespace insula::kv {
namespace {

constexpr int kLooksAtOnce = 1000;  // keys in a batch that looks for rows that are there

// Adds `sequences`, which rise.
void AddIgnored(const std::vector<uint32_t>& sequences, google::protobuf::RepeatedPtrField<v1::IgnoredSequences>* ignored) {
  v1::IgnoredSequences* last = nullptr;
  for (uint32_t sequence : sequences) {
    if (last == nullptr || sequence != last->to() + 1) {
      last = ignored->Add();
      last->set_from(sequence);
    }
    last->set_to(sequence);
  }
}

}  // namespace

// Begins to flush: everything in the buffer becomes intents; under the weaker levels locks become replicated ones. False: there is nothing.
Task<absl::StatusOr<bool>> TxnCoordinator::StartFlush(const Context& ctx) {
  CO_RETURN_IF_ERROR(co_await AwaitFlush(ctx));
  std::vector<std::string> unwritten = UnwrittenLocks();
  if (buffer_.empty() && unwritten.empty()) co_return false;
  CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, buffer_.empty() ? unwritten[0] : buffer_.map().begin()->first));
  for (const auto& [key, versions] : buffer_.map()) lock_spans_.Add(key, {});
  flushed_ = true;
  flushed_sequence_ = sequence_;
  in_flight_ = std::exchange(buffer_, {});
  locks_in_flight_ = std::exchange(locks_, {});
  NoteHeld();
  unwritten_in_flight_ = std::move(unwritten);
  flushing_ = true;
  if (!flushes_) flushes_.emplace(core_->background.ctx().WithInfo(ctx.info()));
  flushes_->Spawn(FlushInBackground());
  co_return true;
}

Task<void> TxnCoordinator::FlushInBackground() {
  const uint64_t statement = statement_;
  const Context& ctx = flushes_->ctx();
  absl::Status sent = co_await SendFlight(ctx);
  for (auto error = GetKvError(sent); error && error->has_condition_failed(); error = GetKvError(sent)) {
    sent = co_await FindTaken(ctx, error->condition_failed().key());
    // It has gone meanwhile.
    if (sent.ok()) sent = co_await SendFlight(ctx);
  }
  Land(std::move(sent), statement);
}

// A few batches at a time; the first alone, if it is to choose the snapshot.
Task<absl::Status> TxnCoordinator::SendFlight(const Context& ctx) {
  next_in_flight_ = in_flight_.map().begin();
  next_unwritten_ = 0;
  if (txn_.read_ts() == 0) CO_RETURN_IF_ERROR((co_await Send(ctx, NextOfFlight(), Snapshot::kStays)).status());
  absl::Status result;
  TaskGroup group(ctx);
  for (size_t i = 0; i < core_->options.flush_parallelism; ++i) {
    group.SpawnFn([&]() -> Task<void> {
      while (result.ok()) {
        v1::BatchRequest batch = NextOfFlight();
        if (batch.requests_size() == 0) break;
        const size_t bytes = 2 * batch.ByteSizeLong();  // it is kept to be sent again
        sending_bytes_ += bytes;
        NoteHeld();
        auto response = co_await Send(ctx, std::move(batch), Snapshot::kStays);
        sending_bytes_ -= bytes;
        if (!response.ok() && result.ok()) result = response.status();
      }
    });
  }
  co_await group.Wait();
  co_return result;
}

// Without requests: there is nothing left. Made one after another: all at once they would be as large as the buffer.
v1::BatchRequest TxnCoordinator::NextOfFlight() {
  v1::BatchRequest batch;
  size_t bytes = 0;
  auto fits = [&](size_t size) {
    const bool fits = bytes == 0 || bytes + size <= core_->options.flush_batch_bytes;
    if (fits) bytes += size;
    return fits;
  };
  for (; next_in_flight_ != in_flight_.map().end(); ++next_in_flight_) {
    const auto& [key, versions] = *next_in_flight_;
    // Side by side go the batches, one after another the versions of a key: they stay together.
    size_t size = 0;
    for (const WriteBuffer::Version& version : versions) size += key.size() + (version.value ? version.value->size() : 0) + 32;
    if (!fits(size)) return batch;
    for (const WriteBuffer::Version& version : versions) AddWrite(&batch, key, version, locks_in_flight_);
  }
  for (; next_unwritten_ < unwritten_in_flight_.size(); ++next_unwritten_) {
    const std::string& key = unwritten_in_flight_[next_unwritten_];
    if (!fits(key.size() + 32)) return batch;
    AddReplicatedLock(&batch, key, locks_in_flight_.at(key));
  }
  return batch;
}

void TxnCoordinator::NoteHeld() {
  const size_t held = buffer_.bytes() + in_flight_.bytes() + sending_bytes_ + lock_spans_.bytes() + read_spans_.bytes();
  core_->most_held_bytes = std::max(core_->most_held_bytes, held);
}

void TxnCoordinator::Land(absl::Status sent, uint64_t statement) {
  if (!sent.ok()) {
    // Part of it may be there. What a savepoint keeps is written again, under the same numbers.
    buffer_.PutBelow(std::move(in_flight_));
    // A lock that was taken again meanwhile is held since it was taken first, or what was decided under it is not protected.
    for (auto& [key, held] : locks_in_flight_) {
      auto [again, fresh] = locks_.try_emplace(key, held);
      if (!fresh && again->second.strength <= held.strength) again->second = held;
    }
    flush_failure_ = sent;
    flush_failed_in_ = statement;
    if (state_ == State::kActive) {
      state_ = State::kFailed;
      failure_ = sent;
    }
  }
  in_flight_ = {};
  locks_in_flight_.clear();
  unwritten_in_flight_.clear();
  flushing_ = false;
  flush_ended_.NotifyAll();
}

// A row of the flight that is to be new is there: `key`, and it may not be the first. Returns what is to be said of that; ok if none is any
// more, and then they are locked.
Task<absl::Status> TxnCoordinator::FindTaken(const Context& ctx, std::string key) {
  struct Row {
    uint32_t sequence;
    const std::string* key;
    const WriteBuffer::Version* version;
  };
  std::vector<Row> rows;
  std::vector<uint32_t> own;  // what the flight itself has written there does not count
  uint32_t known = 0;
  for (const auto& [k, versions] : in_flight_.map()) {
    auto first = std::find_if(versions.begin(), versions.end(), [](const auto& version) { return version.to_be_new(); });
    if (first == versions.end()) continue;
    if (k == key) known = first->sequence;
    // The flight deletes it before, which may not have happened yet.
    if (first != versions.begin() && k != key) continue;
    rows.push_back({first->sequence, &k, &*first});
    for (; first != versions.end(); ++first) own.push_back(first->sequence);
  }
  if (known == 0) co_return absl::InternalError("a row was refused that was not to be new");
  std::erase_if(rows, [&](const Row& row) { return row.sequence > known; });
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.sequence < b.sequence; });
  std::sort(own.begin(), own.end());
  for (size_t at = 0; at < rows.size();) {
    v1::BatchRequest batch;
    size_t end = at;
    for (; end < rows.size() && batch.requests_size() < kLooksAtOnce; ++end) {
      auto* get = batch.add_requests()->mutable_get();
      get->set_key(*rows[end].key);
      get->set_lock(v1::LOCK_EXCLUSIVE);
      get->set_key_only(true);
    }
    const auto ignored = txn_.ignored();
    AddIgnored(own, txn_.mutable_ignored());
    auto response = co_await Send(ctx, std::move(batch));
    *txn_.mutable_ignored() = ignored;
    CO_RETURN_IF_ERROR(response.status());
    for (int i = 0; at < end; ++at, ++i) {
      NoteRead(*rows[at].key, {});
      if (!response->responses(i).get().has_value()) continue;
      taken_ = rows[at].sequence;
      co_return (*rows[at].version->taken)({*rows[at].key, *rows[at].version->value});
    }
  }
  co_return absl::OkStatus();
}

// Until nothing is in flight.
Task<absl::Status> TxnCoordinator::AwaitFlush(const Context& ctx) {
  while (flushing_) CO_RETURN_IF_ERROR(co_await flush_ended_.Wait(ctx));
  // To the statement that wrote it its failure says whether that may be tried again.
  if (state_ == State::kFailed && !flush_failure_.ok() && flush_failed_in_ == statement_) co_return flush_failure_;
  co_return Enter();
}

// Reads of [start, end) come after what is in flight there.
Task<absl::Status> TxnCoordinator::AwaitFlushOf(const Context& ctx, std::string_view start, std::string_view end) {
  if (!flushing_) co_return absl::OkStatus();
  auto locked = locks_in_flight_.lower_bound(start);
  if (!in_flight_.Touches(start, end) && (locked == locks_in_flight_.end() || locked->first >= end)) co_return absl::OkStatus();
  co_return co_await AwaitFlush(ctx);
}

Task<absl::Status> TxnCoordinator::Flush(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(bool any, co_await StartFlush(ctx));
  co_return any ? co_await AwaitFlush(ctx) : Enter();
}

// What is written next need not wait for what is under way, as long as that is not more than half of what may be held. A transaction that
// spills anyway need not wait for so much: it goes on with what there is as soon as nothing is under way.
Task<absl::Status> TxnCoordinator::FlushIfLarge(const Context& ctx) {
  const bool full = buffer_.bytes() > core_->options.max_buffer_bytes / 2 || locks_.size() > core_->options.max_tracked_locks / 2;
  const bool spills = !flushing_ && (flushed_ || buffer_.inserts() > 0) && buffer_.bytes() >= core_->options.flush_batch_bytes;
  if (!full && !spills) co_return Enter();
  CO_ASSIGN_OR_RETURN(bool any, co_await StartFlush(ctx));
  // One that is to choose the snapshot is waited for.
  co_return any && txn_.read_ts() == 0 ? co_await AwaitFlush(ctx) : Enter();
}

Task<absl::Status> TxnCoordinator::AwaitInserts(const Context& ctx) {
  if (buffer_.inserts() > 0) CO_RETURN_IF_ERROR((co_await StartFlush(ctx)).status());
  if (flushing_ && in_flight_.inserts() == 0) co_return Enter();
  co_return co_await AwaitFlush(ctx);
}

}  // namespace insula::kv
