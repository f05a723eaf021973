#include <algorithm>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/txn_coordinator.h"

namespace insula::kv {
namespace {

v1::LockStrength ToProto(LockStrength strength) {
  return strength == LockStrength::kShared ? v1::LOCK_SHARED : strength == LockStrength::kExclusive ? v1::LOCK_EXCLUSIVE : v1::LOCK_NONE;
}

void SetWaiting(const ReadOptions& options, v1::BatchRequest* batch) {
  v1::BatchHeader* header = batch->mutable_header();
  header->set_wait_policy(options.wait == WaitPolicy::kError ? v1::WAIT_ERROR : options.wait == WaitPolicy::kSkipLocked ? v1::WAIT_SKIP_LOCKED : v1::WAIT_BLOCK);
  header->set_lock_timeout_us(std::chrono::duration_cast<std::chrono::microseconds>(options.lock_timeout).count());
}

// Takes a varint off the front; false: damaged.
bool TakeVarint(std::string_view* in, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return true;
  }
  return false;
}

bool TakeString(std::string_view* in, std::string_view* out) {
  uint64_t size;
  if (!TakeVarint(in, &size) || size > in->size()) return false;
  *out = in->substr(0, size);
  in->remove_prefix(size);
  return true;
}

}  // namespace

// Lets the first read of a snapshot check the fence: its answer is then the batch's first.
bool TxnCoordinator::AddFence(v1::BatchRequest* batch) {
  if (!fence_ || fence_checked_ || wrote_fence()) return false;
  auto* check = batch->add_requests()->mutable_check();
  check->set_key(fence_->first);
  if (fence_->second) check->set_expected(*fence_->second);
  return true;
}

// The fence held at the snapshot.
void TxnCoordinator::NoteFence() {
  fence_checked_ = true;
  NoteRead(fence_->first, {});
}

void TxnCoordinator::NoteRead(std::string_view key, std::string_view end_key) {
  if (!has_read_) refresh_from_ = Timestamp{txn_.read_ts()};
  has_read_ = true;
  ++reads_noted_;
  read_spans_.Add(key, end_key);
}

const TxnCoordinator::HeldLock* TxnCoordinator::FindLock(std::string_view key) const {
  auto it = locks_.find(key);
  return it == locks_.end() ? nullptr : &it->second;
}

// `key` was locked by the batch that was just answered.
void TxnCoordinator::NoteLock(std::string_view key, LockStrength strength) {
  auto [it, fresh] = locks_.try_emplace(std::string(key), HeldLock{strength, Timestamp{txn_.read_ts()}});
  if (!fresh && it->second.strength < strength) it->second = {strength, Timestamp{txn_.read_ts()}};
}

// Before the first lock or intent: an anchor, heartbeats, and for a transaction that is not quite young any more a record.
Task<absl::Status> TxnCoordinator::PrepareToLock(const Context& ctx, std::string_view first_key) {
  if (beat_id_ != 0) co_return absl::OkStatus();
  if (txn_.meta().anchor_key().empty()) txn_.mutable_meta()->set_anchor_key(std::string(first_key));
  beat_id_ = core_->Register(this);
  const bool first = lock_spans_.empty() && !flushed_;
  const bool old = first && txn_.read_ts() != 0 && core_->executor->Now() - snapshot_at_ >= core_->options.heartbeat_interval;
  if (!old) co_return absl::OkStatus();
  v1::BatchRequest beat = HeartbeatBatch();
  v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(beat));
  if (response.has_error()) co_return Fail(response.error());
  OnHeartbeat(response.responses(0).heartbeat_txn().status());
  co_return Enter();
}

Task<absl::StatusOr<std::optional<std::string>>> TxnCoordinator::Get(const Context& ctx, std::string key, ReadOptions options) {
  std::vector<std::string> keys;
  keys.push_back(std::move(key));
  CO_ASSIGN_OR_RETURN(auto values, co_await GetMany(ctx, std::move(keys), options));
  co_return std::move(values[0]);
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> TxnCoordinator::GetMany(const Context& ctx, std::vector<std::string> keys, ReadOptions options) {
  co_return co_await Read(ctx, keys, options, /*key_only=*/false, /*only_locks=*/false);
}

// Values of `keys`, as the transaction sees them. `only_locks`: what the buffer says of present values is the caller's business; every
// key that is not locked yet is.
Task<absl::StatusOr<std::vector<std::optional<std::string>>>> TxnCoordinator::Read(const Context& ctx, const std::vector<std::string>& keys,
                                                                                   const ReadOptions& options, bool key_only, bool only_locks) {
  CO_RETURN_IF_ERROR(Enter());
  for (const std::string& key : keys) {
    CO_RETURN_IF_ERROR(co_await AwaitFlushOf(ctx, key, key + '\0'));
    CO_RETURN_IF_ERROR(co_await SeeDirectWrites(ctx, key, key + '\0'));
  }
  std::vector<std::optional<std::string>> values(keys.size());
  const bool locking = options.lock != LockStrength::kNone;
  v1::BatchRequest batch;
  std::vector<size_t> asked;
  const bool fenced = AddFence(&batch);
  for (size_t i = 0; i < keys.size(); ++i) {
    const WriteBuffer::Version* own = buffer_.Find(keys[i]);
    const HeldLock* held = locking ? FindLock(keys[i]) : nullptr;
    if (own != nullptr) {
      values[i] = own->value;
      if (!locking || (held != nullptr && held->strength >= options.lock)) continue;
    }
    auto* get = batch.add_requests()->mutable_get();
    get->set_key(keys[i]);
    get->set_lock(ToProto(options.lock));
    get->set_key_only(key_only);
    asked.push_back(i);
  }
  if (asked.empty()) co_return values;
  if (locking) {
    CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, keys[asked[0]]));
    // What is locked by a batch whose answer gets lost is locked all the same.
    for (size_t i : asked) lock_spans_.Add(keys[i], {});
  }
  SetWaiting(options, &batch);
  auto response = co_await Send(ctx, std::move(batch));
  if (!response.ok()) co_return response.status();
  // Noted at once: the snapshot may move before anything else is waited for.
  if (fenced) NoteFence();
  for (size_t j = 0; j < asked.size(); ++j) {
    const size_t i = asked[j];
    v1::GetResponse* got = response->mutable_responses(static_cast<int>(j + (fenced ? 1 : 0)))->mutable_get();
    NoteRead(keys[i], {});
    if (locking) NoteLock(keys[i], options.lock);
    stats_.bytes_read += got->value().size();
    if (buffer_.Find(keys[i]) != nullptr && !only_locks) continue;
    if (got->has_value()) {
      values[i] = std::move(*got->mutable_value());
    } else {
      values[i].reset();
    }
  }
  CO_RETURN_IF_ERROR(co_await RenewTrust(ctx));
  co_return values;
}

Task<absl::StatusOr<ScanPage>> TxnCoordinator::Scan(const Context& ctx, ScanSpec spec) {
  CO_RETURN_IF_ERROR(Enter());
  if (spec.start >= spec.end) co_return ScanPage();
  CO_RETURN_IF_ERROR(co_await AwaitFlushOf(ctx, spec.start, spec.end));
  CO_RETURN_IF_ERROR(co_await SeeDirectWrites(ctx, spec.start, spec.end));
  v1::BatchRequest batch;
  const bool fenced = AddFence(&batch);
  auto* scan = batch.add_requests()->mutable_scan();
  scan->set_key(spec.start);
  scan->set_end_key(spec.end);
  scan->set_reverse(spec.reverse);
  scan->set_lock(ToProto(spec.options.lock));
  batch.mutable_header()->set_max_rows(spec.max_rows);
  batch.mutable_header()->set_max_bytes(spec.max_bytes);
  SetWaiting(spec.options, &batch);
  const bool locking = spec.options.lock != LockStrength::kNone;
  if (locking) {
    CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, spec.start));
    lock_spans_.Add(spec.start, spec.end);
  }
  auto response = co_await Send(ctx, std::move(batch));
  if (!response.ok()) co_return response.status();
  if (fenced) NoteFence();
  v1::ScanResponse* answer = response->mutable_responses(fenced ? 1 : 0)->mutable_scan();
  stats_.bytes_read += answer->rows().size();
  std::string_view from = spec.start, to = spec.end;
  if (answer->has_resume()) {
    if (spec.reverse) {
      from = answer->resume().end_key();
    } else {
      to = answer->resume().key();
    }
  }
  if (from < to) NoteRead(from, to);
  ScanPage page = Merge(spec, std::move(*answer));
  CO_RETURN_IF_ERROR(co_await RenewTrust(ctx));
  co_return page;
}

// The page that the ranges gave, with the buffer's changes in it.
ScanPage TxnCoordinator::Merge(const ScanSpec& spec, v1::ScanResponse&& answer) {
  ScanPage page;
  auto rows = std::make_unique<std::string>(std::move(*answer.mutable_rows()));
  std::string_view rest = *rows;
  page.AddBuffer(std::move(rows));
  page.mutable_rows().reserve(answer.row_count());
  const bool locking = spec.options.lock != LockStrength::kNone;

  // What the ranges have covered: [from, to).
  std::string from = spec.start, to = spec.end;
  if (answer.has_resume()) (spec.reverse ? from : to) = spec.reverse ? answer.resume().end_key() : answer.resume().key();
  std::vector<WriteBuffer::Map::const_iterator> own;
  for (auto it = buffer_.map().lower_bound(from); it != buffer_.map().end() && it->first < to; ++it) own.push_back(it);
  if (spec.reverse) std::reverse(own.begin(), own.end());
  auto before = [&](std::string_view a, std::string_view b) { return spec.reverse ? a > b : a < b; };

  size_t next_own = 0;
  bool full = false;
  std::string full_at;  // the first row that found no place
  auto add = [&](std::string_view key, std::string_view value) {
    if (spec.max_rows != 0 && page.rows().size() >= spec.max_rows) {
      if (!full) full_at = std::string(key);
      full = true;
      return;
    }
    page.AddRow(key, value);
  };
  auto add_own = [&](WriteBuffer::Map::const_iterator it) {
    const WriteBuffer::Version& version = it->second.back();
    if (!version.value) return;
    auto copy = std::make_unique<std::string>(StrCat(it->first, *version.value));
    std::string_view bytes = *copy;
    page.AddBuffer(std::move(copy));
    add(bytes.substr(0, it->first.size()), bytes.substr(it->first.size()));
  };
  std::string_view key, value;
  while (TakeString(&rest, &key) && TakeString(&rest, &value)) {
    if (locking) NoteLock(key, spec.options.lock);
    while (next_own < own.size() && before(own[next_own]->first, key)) add_own(own[next_own++]);
    if (next_own < own.size() && own[next_own]->first == key) {
      add_own(own[next_own++]);
    } else {
      add(key, value);
    }
  }
  while (next_own < own.size()) add_own(own[next_own++]);

  if (full || answer.has_resume()) {
    ScanSpec left = spec;
    if (spec.reverse) {
      left.end = full ? full_at + '\0' : from;
    } else {
      left.start = full ? full_at : to;
    }
    if (left.start < left.end) page.set_rest(std::move(left));
  }
  return page;
}

}  // namespace insula::kv
