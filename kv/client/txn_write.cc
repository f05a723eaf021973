#include <algorithm>
#include <set>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
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

void TxnCoordinator::AddWrite(v1::BatchRequest* batch, const std::string& key, const WriteBuffer::Version& version, const Locks& locks) {
  v1::Request* request = batch->add_requests();
  if (version.to_be_new()) {
    auto* put = request->mutable_conditional_put();
    put->set_key(key);
    put->set_value(*version.value);
    put->set_sequence(version.sequence);
    return;
  }
  auto held = locks.find(key);
  const uint64_t since = held != locks.end() && held->second.strength == LockStrength::kExclusive ? held->second.since.bits : 0;
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
void TxnCoordinator::AddReplicatedLock(v1::BatchRequest* batch, const std::string& key, const HeldLock& held) {
  auto* lock = batch->add_requests()->mutable_lock();
  lock->set_key(key);
  lock->set_strength(held.strength == LockStrength::kShared ? v1::LOCK_SHARED : v1::LOCK_EXCLUSIVE);
  lock->set_replicated(true);
  lock->set_since(held.since.bits);
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

// Buffers `rows` if they are new, as far as is known here (kToBeSeen: the flush that sends them finds out) or on the nodes. `*present`: the first
// that is not; then nothing is written. Rows that are written are moved from.
Task<absl::StatusOr<TxnCoordinator::Inserted>> TxnCoordinator::Insert(const Context& ctx, std::vector<KeyValue>& rows, std::shared_ptr<const RowTaken> taken,
                                                                      std::optional<size_t>* present) {
  size_t bytes = 0;
  size_t limit = rows.size();  // rows from here on need not be looked at: an earlier one exists for certain
  bool under_way = false;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < rows.size() && i < limit; ++i) {
    bytes += SizeOf(rows[i]);
    const WriteBuffer::Version* own = buffer_.Find(rows[i].key);
    if (!seen.insert(rows[i].key).second || (own != nullptr && own->value)) limit = i;
    under_way = under_way || in_flight_.Find(rows[i].key) != nullptr;
  }
  if (under_way) CO_RETURN_IF_ERROR(co_await AwaitFlush(ctx));
  if (limit == rows.size()) {
    if (auto place = DirectPlace(rows, bytes)) {
      CO_ASSIGN_OR_RETURN(*present, co_await InsertDirectly(ctx, std::move(place), rows));
      co_return Inserted::kDone;
    }
    if (buffer_.bytes() + bytes > core_->options.write_through_bytes || flushed_) {
      for (const KeyValue& row : rows) {
        if (row.key.size() > kMaxKeyBytes || row.value.size() > kMaxValueBytes) {
          co_return PgError(sqlstate::kProgramLimitExceeded, "a row or its key is too long");
        }
      }
      for (KeyValue& row : rows) {
        stats_.bytes_written += SizeOf(row);
        buffer_.Write(std::move(row.key), std::move(row.value), ++sequence_, taken);
      }
      co_return Inserted::kToBeSeen;
    }
  }
  // Those before come first, also with what they meet.
  CO_RETURN_IF_ERROR(co_await AwaitInserts(ctx));
  std::vector<std::string> keys;
  for (size_t i = 0; i < limit; ++i) keys.push_back(rows[i].key);
  if (!keys.empty()) {
    CO_ASSIGN_OR_RETURN(auto found, co_await Read(ctx, keys, {.lock = LockStrength::kExclusive}, /*key_only=*/true, /*only_locks=*/false));
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) continue;
      *present = i;
      co_return Inserted::kDone;
    }
  }
  if (limit < rows.size()) {
    *present = limit;
    co_return Inserted::kDone;
  }
  for (KeyValue& row : rows) Write(std::move(row.key), std::move(row.value));
  CO_RETURN_IF_ERROR(Enter());
  co_return Inserted::kDone;
}

Task<absl::StatusOr<std::optional<size_t>>> TxnCoordinator::InsertMany(const Context& ctx, std::vector<KeyValue> rows) {
  CO_RETURN_IF_ERROR(Enter());
  std::optional<size_t> present;
  if (rows.empty()) co_return present;
  const Savepoint before = sequence_;
  static const auto* const kTaken = new std::shared_ptr<const RowTaken>(new RowTaken([](const KeyValue&) { return absl::AlreadyExistsError("a row exists"); }));
  CO_ASSIGN_OR_RETURN(const Inserted inserted, co_await Insert(ctx, rows, *kTaken, &present));
  if (inserted == Inserted::kDone) co_return present;
  absl::Status sent = co_await AwaitInserts(ctx);
  if (sent.ok()) co_return present;
  if (state_ != State::kFailed || taken_ <= before) co_return sent;
  present = taken_ - before - 1;
  CO_RETURN_IF_ERROR(co_await RollbackTo(ctx, before));
  co_return present;
}

Task<absl::Status> TxnCoordinator::InsertAhead(const Context& ctx, std::vector<KeyValue> rows, std::shared_ptr<const RowTaken> taken) {
  CO_RETURN_IF_ERROR(Enter());
  if (rows.empty()) co_return absl::OkStatus();
  std::optional<size_t> present;
  CO_RETURN_IF_ERROR((co_await Insert(ctx, rows, taken, &present)).status());
  co_return present ? (*taken)(rows[*present]) : absl::OkStatus();
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
