#include <algorithm>
#include <set>
#include <utility>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/txn_coordinator.h"

namespace insula::kv {
namespace {

constexpr uint64_t kDeleteRangeRows = 10'000;  // per step

size_t SizeOf(const KeyValue& row) { return row.key.size() + row.value.size(); }

}  // namespace

void TxnCoordinator::Write(std::string key, std::optional<std::string> value) {
  // There is no way to fail here: the next operation says it.
  if (key.empty() || key.size() > kMaxKeyBytes) {
    deferred_ = PgErrorBuilder(sqlstate::kProgramLimitExceeded, StrCat("a row's key of ", key.size(), " bytes is longer than ", kMaxKeyBytes))
                    .Hint("Index fewer or shorter columns.")
                    .Build();
    return;
  }
  if (value && value->size() > kMaxValueBytes) {
    deferred_ = PgError(sqlstate::kProgramLimitExceeded, StrCat("a row of ", value->size(), " bytes is longer than ", kMaxValueBytes));
    return;
  }
  stats_.bytes_written += key.size() + (value ? value->size() : 0);
  buffer_.Write(std::move(key), std::move(value), ++sequence_);
}

void TxnCoordinator::Put(std::string key, std::string value) {
  if (fence_ && key == fence_->first && !wrote_fence()) fence_written_ = sequence_ + 1;
  Write(std::move(key), std::move(value));
}
void TxnCoordinator::Delete(std::string key) { Write(std::move(key), std::nullopt); }

void TxnCoordinator::AddWrite(v1::BatchRequest* batch, const std::string& key, const WriteBuffer::Version& version) const {
  const HeldLock* lock = FindLock(key);
  const uint64_t since = lock != nullptr && lock->strength == LockStrength::kExclusive ? lock->since.bits : 0;
  v1::Request* request = batch->add_requests();
  if (version.value) {
    auto* put = request->mutable_put();
    put->set_key(key);
    put->set_value(*version.value);
    put->set_exclusive_since(since);
    put->set_sequence(version.sequence);
  } else {
    auto* del = request->mutable_delete_();
    del->set_key(key);
    del->set_exclusive_since(since);
    del->set_sequence(version.sequence);
  }
}

// The unreplicated lock on `key` is to become a replicated one, if it was not lost.
void TxnCoordinator::AddReplicatedLock(v1::BatchRequest* batch, const std::string& key) const {
  const HeldLock* held = FindLock(key);
  auto* lock = batch->add_requests()->mutable_lock();
  lock->set_key(key);
  lock->set_strength(held->strength == LockStrength::kShared ? v1::LOCK_SHARED : v1::LOCK_EXCLUSIVE);
  lock->set_replicated(true);
  lock->set_since(held->since.bits);
}

// Locks whose keys are not in the buffer: under the weaker levels nothing else protects what was decided under them.
std::vector<std::string> TxnCoordinator::UnwrittenLocks() const {
  std::vector<std::string> keys;
  if (!weak()) return keys;
  for (const auto& [key, lock] : locks_) {
    if (buffer_.Find(key) == nullptr) keys.push_back(key);
  }
  return keys;
}

// The buffer and the locks as batches; they are in flight from now on.
std::vector<v1::BatchRequest> TxnCoordinator::TakeFlush(const std::vector<std::string>& unwritten) {
  std::vector<v1::BatchRequest> batches(1);
  size_t bytes = 0;
  auto room = [&](size_t size) {
    if (bytes > 0 && bytes + size > core_->options.flush_batch_bytes) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += size;
  };
  for (const auto& [key, versions] : buffer_.map()) {
    // Side by side go the batches, one after another the versions of a key: they stay together.
    size_t size = 0;
    for (const WriteBuffer::Version& version : versions) size += key.size() + (version.value ? version.value->size() : 0) + 32;
    room(size);
    for (const WriteBuffer::Version& version : versions) AddWrite(&batches.back(), key, version);
    lock_spans_.Add(key, {});
  }
  for (const std::string& key : unwritten) {
    room(key.size() + 32);
    AddReplicatedLock(&batches.back(), key);
  }
  flushed_ = true;
  flushed_sequence_ = sequence_;
  in_flight_ = std::exchange(buffer_, {});
  locks_in_flight_ = std::exchange(locks_, {});
  flushing_ = true;
  return batches;
}

Task<void> TxnCoordinator::FlushInBackground(std::vector<v1::BatchRequest> batches) {
  const uint64_t statement = statement_;
  absl::Status sent = co_await SendAll(flushes_->ctx(), std::move(batches));
  if (!sent.ok()) {
    // Part of it may be there. What a savepoint keeps is written again, under the same numbers.
    buffer_.PutBelow(std::move(in_flight_));
    locks_.merge(locks_in_flight_);
    flush_failure_ = sent;
    flush_failed_in_ = statement;
    if (state_ == State::kActive) {
      state_ = State::kFailed;
      failure_ = sent;
    }
  }
  in_flight_ = {};
  locks_in_flight_.clear();
  flushing_ = false;
  flush_ended_.NotifyAll();
}

// Begins to flush. False: there is nothing.
Task<absl::StatusOr<bool>> TxnCoordinator::StartFlush(const Context& ctx) {
  CO_RETURN_IF_ERROR(co_await AwaitFlush(ctx));
  std::vector<std::string> unwritten = UnwrittenLocks();
  if (buffer_.empty() && unwritten.empty()) co_return false;
  CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, buffer_.empty() ? unwritten[0] : buffer_.map().begin()->first));
  if (!flushes_) flushes_.emplace(core_->background.ctx().WithInfo(ctx.info()));
  flushes_->Spawn(FlushInBackground(TakeFlush(unwritten)));
  co_return true;
}

// Until nothing is in flight.
Task<absl::Status> TxnCoordinator::AwaitFlush(const Context& ctx) {
  while (flushing_) CO_RETURN_IF_ERROR(co_await flush_ended_.Wait(ctx));
  // To the statement that wrote it its failure says whether that may be tried again.
  if (state_ == State::kFailed && !flush_failure_.ok() && flush_failed_in_ == statement_) co_return flush_failure_;
  co_return Enter();
}

// Reads of [start, end) come after what is in flight there. Under READ COMMITTED all reads do: a flush may move the snapshot, which is the
// statement's.
Task<absl::Status> TxnCoordinator::AwaitFlushOf(const Context& ctx, std::string_view start, std::string_view end) {
  if (!flushing_ || (!read_committed() && !in_flight_.Touches(start, end))) co_return absl::OkStatus();
  co_return co_await AwaitFlush(ctx);
}

// Everything in the buffer becomes intents; under the weaker levels locks become replicated ones.
Task<absl::Status> TxnCoordinator::Flush(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(bool any, co_await StartFlush(ctx));
  co_return any ? co_await AwaitFlush(ctx) : Enter();
}

// A few at a time; the first alone, if it is to choose the snapshot.
Task<absl::Status> TxnCoordinator::SendAll(const Context& ctx, std::vector<v1::BatchRequest> batches) {
  absl::Status result;
  size_t next = 0;
  if (txn_.read_ts() == 0 && !batches.empty()) {
    auto response = co_await Send(ctx, std::move(batches[next++]));
    if (!response.ok()) co_return response.status();
  }
  TaskGroup group(ctx);
  for (size_t i = 0; i < core_->options.flush_parallelism; ++i) {
    group.SpawnFn([&]() -> Task<void> {
      while (next < batches.size() && result.ok()) {
        auto response = co_await Send(ctx, std::move(batches[next++]));
        if (!response.ok() && result.ok()) result = response.status();
      }
    });
  }
  co_await group.Wait();
  co_return result;
}

// What is written next need not wait for what is under way, as long as that is not more than this.
Task<absl::Status> TxnCoordinator::FlushIfLarge(const Context& ctx) {
  if (buffer_.bytes() <= core_->options.max_buffer_bytes / 2 && locks_.size() <= core_->options.max_tracked_locks / 2) co_return Enter();
  CO_ASSIGN_OR_RETURN(bool any, co_await StartFlush(ctx));
  // One that is to choose the snapshot is waited for.
  co_return any && txn_.read_ts() == 0 ? co_await AwaitFlush(ctx) : Enter();
}

Task<absl::StatusOr<std::optional<size_t>>> TxnCoordinator::InsertMany(const Context& ctx, std::vector<KeyValue> rows) {
  CO_RETURN_IF_ERROR(Enter());
  if (rows.empty()) co_return std::optional<size_t>();
  size_t bytes = 0;
  size_t limit = rows.size();  // rows from here on need not be looked at: an earlier one exists for certain
  std::set<std::string_view> seen;
  for (size_t i = 0; i < rows.size() && i < limit; ++i) {
    bytes += SizeOf(rows[i]);
    const WriteBuffer::Version* own = buffer_.Find(rows[i].key);
    if (!seen.insert(rows[i].key).second || (own != nullptr && own->value)) limit = i;
  }
  if (limit == rows.size()) {
    if (auto place = DirectPlace(rows, bytes)) co_return co_await InsertDirectly(ctx, std::move(place), rows);
  }
  if (limit == rows.size() && (bytes > core_->options.write_through_bytes || flushed_)) {
    bool conflict = false;
    auto through = co_await InsertThrough(ctx, rows, &conflict);
    if (!conflict) co_return through;
    // One exists: find the first with locking reads.
  }
  std::vector<std::string> keys;
  for (size_t i = 0; i < limit; ++i) keys.push_back(rows[i].key);
  if (!keys.empty()) {
    CO_ASSIGN_OR_RETURN(auto present, co_await Read(ctx, keys, {.lock = LockStrength::kExclusive}, /*key_only=*/true, /*only_locks=*/false));
    for (size_t i = 0; i < present.size(); ++i) {
      if (present[i]) co_return std::optional<size_t>(i);
    }
  }
  if (limit < rows.size()) co_return std::optional<size_t>(limit);
  for (KeyValue& row : rows) Write(std::move(row.key), std::move(row.value));
  CO_RETURN_IF_ERROR(Enter());
  co_return std::optional<size_t>();
}

// Writes the rows as intents that fail where there is a row: one round trip for many rows, and nothing is held here. `*conflict`: one
// exists; what was written is taken back.
Task<absl::StatusOr<std::optional<size_t>>> TxnCoordinator::InsertThrough(const Context& ctx, const std::vector<KeyValue>& rows, bool* conflict) {
  CO_RETURN_IF_ERROR(co_await Flush(ctx));
  CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, rows[0].key));
  const Savepoint before = sequence_;
  std::vector<v1::BatchRequest> batches(1);
  size_t bytes = 0;
  for (const KeyValue& row : rows) {
    if (row.key.size() > kMaxKeyBytes || row.value.size() > kMaxValueBytes) {
      co_return PgError(sqlstate::kProgramLimitExceeded, "a row or its key is too long");
    }
    if (bytes > 0 && bytes + SizeOf(row) > core_->options.flush_batch_bytes) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += SizeOf(row) + 32;
    auto* put = batches.back().add_requests()->mutable_conditional_put();
    put->set_key(row.key);
    put->set_value(row.value);
    put->set_sequence(++sequence_);
    lock_spans_.Add(row.key, {});
    stats_.bytes_written += SizeOf(row);
  }
  flushed_ = true;
  flushed_sequence_ = sequence_;
  condition_failed_ = false;
  absl::Status sent = co_await SendAll(ctx, std::move(batches));
  if (sent.ok()) co_return std::optional<size_t>();
  if (state_ != State::kFailed || !condition_failed_) co_return sent;
  *conflict = true;
  CO_RETURN_IF_ERROR(co_await RollbackTo(ctx, before));
  co_return std::optional<size_t>();
}

Task<absl::StatusOr<uint64_t>> TxnCoordinator::DeleteRange(const Context& ctx, std::string start, std::string end) {
  CO_RETURN_IF_ERROR(Enter());
  if (start >= end) co_return uint64_t{0};
  CO_RETURN_IF_ERROR(co_await Flush(ctx));
  CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, start));
  lock_spans_.Add(start, end);
  flushed_ = true;
  const uint32_t sequence = ++sequence_;
  flushed_sequence_ = sequence_;
  uint64_t deleted = 0;
  std::string from = start;
  while (true) {
    v1::BatchRequest batch;
    auto* del = batch.add_requests()->mutable_delete_range();
    del->set_key(from);
    del->set_end_key(end);
    del->set_max_rows(kDeleteRangeRows);
    del->set_sequence(sequence);
    CO_ASSIGN_OR_RETURN(v1::BatchResponse response, co_await Send(ctx, std::move(batch)));
    const v1::DeleteRangeResponse& answer = response.responses(0).delete_range();
    deleted += answer.deleted();
    if (!answer.has_resume()) break;
    from = answer.resume().key();
  }
  NoteRead(start, end);
  co_return deleted;
}

}  // namespace insula::kv
