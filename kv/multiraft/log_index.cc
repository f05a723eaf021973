// The log engine's memory: what replaying its records gives, and where each live record lies.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "kv/multiraft/log_engine.h"
#include "kv/raft/storage.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
// Slots of entries that are gone by now are dropped when they would be as many as this.
constexpr size_t kMaxCacheSlots = 200'000;
}  // namespace

const LogEngine::RangeLog* LogEngine::FindRange(RangeId range) const {
  auto it = ranges_.find(range);
  return it == ranges_.end() ? nullptr : &it->second;
}

void LogEngine::Dead(const Location& at) {
  if (at.segment == 0) return;
  // Segments are numbered without gaps.
  CHECK(!segments_.empty() && at.segment >= segments_.front().number && at.segment <= segments_.back().number) << "segment " << at.segment << " is gone but had a live record";
  Segment& s = segments_[at.segment - segments_.front().number];
  CHECK_GE(s.live, at.length) << "segment " << s.number;
  s.live -= at.length;
}

void LogEngine::Live(Location* slot, const Location& at) {
  Dead(*slot);
  *slot = at;
  if (at.segment == 0) return;
  CHECK(!segments_.empty() && segments_.back().number == at.segment);
  segments_.back().live += at.length;
}

void LogEngine::Uncache(EntryRef& ref) {
  if (!ref.cached) return;
  cached_bytes_ -= ref.payload.size();
  ref.cached = false;
  ref.payload = raft::Payload();
}

void LogEngine::TrimCache() {
  while (!cache_.empty() && (cached_bytes_ > options_.cache_bytes || cache_.size() > kMaxCacheSlots)) {
    CacheSlot slot = cache_.front();
    cache_.pop_front();
    auto it = ranges_.find(slot.range);
    if (it == ranges_.end()) continue;
    RangeLog& log = it->second;
    if (slot.index < log.first || slot.index >= log.first + log.entries.size()) continue;
    EntryRef& ref = log.at(slot.index);
    if (ref.term == slot.term) Uncache(ref);
  }
}

void LogEngine::DropEntriesFrom(RangeLog& log, uint64_t index) {
  while (!log.entries.empty() && log.last_index() >= index) {
    EntryRef& ref = log.entries.back();
    Dead(ref.at);
    log.entry_bytes -= ref.at.length;
    Uncache(ref);
    log.entries.pop_back();
  }
}

void LogEngine::ApplyEntry(RangeLog& log, const RecordHeader& header, const Location& at, raft::Payload shared) {
  if (header.index <= log.truncated_index) return;  // forgotten since; the record is dead from the start
  if (header.type == RecordType::kEntry) {
    DropEntriesFrom(log, header.index);
  } else if (header.index >= log.first && header.index <= log.last_index() && log.at(header.index).at.segment != 0) {
    EntryRef& ref = log.at(header.index);
    if (ref.term != header.term) return;  // replaced before it was moved: cannot be, as moves are composed from the index
    log.entry_bytes += at.length - ref.at.length;
    Live(&ref.at, at);
    return;
  }
  // While replaying, an entry may come before the moved copies of those below it: leave room for them.
  if (log.entries.empty()) log.first = header.index;
  if (header.index < log.first) {
    log.entries.insert(log.entries.begin(), log.first - header.index, EntryRef());
    log.first = header.index;
  }
  while (log.last_index() < header.index || log.entries.empty()) log.entries.emplace_back();
  EntryRef& ref = log.at(header.index);
  ref.term = header.term;
  ref.type = header.entry_type;
  log.entry_bytes += at.length;
  Live(&ref.at, at);
  if (!shared.empty()) {
    ref.cached = true;
    ref.payload = std::move(shared);
    cached_bytes_ += ref.payload.size();
    cache_.push_back({header.range, header.index, header.term, static_cast<uint32_t>(ref.payload.size())});
  }
}

void LogEngine::ApplyTruncate(RangeLog& log, const RecordHeader& header, const Location& at) {
  if (header.type == RecordType::kReset) {
    DropEntriesFrom(log, 0);
  } else if (header.index >= log.last_index()) {
    DropEntriesFrom(log, 0);
  } else if (header.index < log.truncated_index) {
    return;  // an older mark
  } else if (header.index >= log.first) {
    size_t n = header.index - log.first + 1;
    for (size_t i = 0; i < n; ++i) {
      Dead(log.entries[i].at);
      log.entry_bytes -= log.entries[i].at.length;
      Uncache(log.entries[i]);
    }
    log.entries.erase(log.entries.begin(), log.entries.begin() + static_cast<ptrdiff_t>(n));
  }
  if (log.entries.empty() || log.first <= header.index) log.first = header.index + 1;
  log.truncated_index = header.index;
  log.truncated_term = header.term;
  Live(&log.truncated_at, at);
}

void LogEngine::ApplyRecord(const RecordHeader& header, std::string_view payload, const Location& at, raft::Payload shared) {
  switch (header.type) {
    case RecordType::kEntry:
    case RecordType::kMovedEntry: ApplyEntry(GetRange(header.range), header, at, std::move(shared)); return;
    case RecordType::kTruncate:
    case RecordType::kReset: ApplyTruncate(GetRange(header.range), header, at); return;
    case RecordType::kHardState: {
      RangeLog& log = GetRange(header.range);
      CHECK(DecodeHardState(payload, &log.hard_state)) << "hard state of range " << header.range;
      Live(&log.hard_state_at, at);
      return;
    }
    case RecordType::kReplica: {
      RangeLog& log = GetRange(header.range);
      log.replica = header.index;
      log.next_replica = std::max(log.next_replica, header.index);  // replicas with smaller ids are gone: it does a tombstone's duty
      Live(&log.replica_at, at);
      Live(&log.tombstone_at, {});
      return;
    }
    case RecordType::kTombstone: {
      RangeLog& log = GetRange(header.range);
      DropEntriesFrom(log, 0);
      for (Location* l : {&log.replica_at, &log.hard_state_at, &log.truncated_at}) Live(l, {});
      log.replica = 0;
      log.hard_state = {};
      log.truncated_index = log.truncated_term = 0;
      log.first = 1;
      log.damage = absl::OkStatus();
      log.next_replica = std::max(log.next_replica, header.index);
      Live(&log.tombstone_at, at);
      return;
    }
    case RecordType::kRedo:
      redos_[header.index].assign(payload);
      Live(&redo_at_[header.index], at);
      next_redo_ = std::max(next_redo_, header.index + 1);
      return;
    case RecordType::kRedoDone:
      if (auto it = redo_at_.find(header.index); it != redo_at_.end()) {
        Dead(it->second);
        redo_at_.erase(it);
        redos_.erase(header.index);
      }
      next_redo_ = std::max(next_redo_, header.index + 1);
      return;
    case RecordType::kMeta: {
      std::string_view key;
      CHECK(storage::TakeString(&payload, &key)) << "named value of the store";
      metas_[std::string(key)].assign(payload);
      Live(&meta_at_[std::string(key)], at);
      return;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------- reading

std::vector<RangeId> LogEngine::Ranges() const {
  std::vector<RangeId> out;
  for (const auto& [range, log] : ranges_) {
    if (log.replica != 0) out.push_back(range);
  }
  return out;
}
bool LogEngine::Has(RangeId range) const { return Replica(range) != 0; }
ReplicaId LogEngine::Replica(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->replica;
}
ReplicaId LogEngine::NextReplica(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->next_replica;
}
raft::HardState LogEngine::HardState(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? raft::HardState{} : log->hard_state;
}
uint64_t LogEngine::TruncatedIndex(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->truncated_index;
}
uint64_t LogEngine::TruncatedTerm(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->truncated_term;
}
uint64_t LogEngine::LastIndex(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->last_index();
}
uint64_t LogEngine::EntryBytes(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? 0 : log->entry_bytes;
}
absl::Status LogEngine::Damage(RangeId range) const {
  const RangeLog* log = FindRange(range);
  return log == nullptr ? absl::OkStatus() : log->damage;
}
std::optional<std::string> LogEngine::Meta(const std::string& key) const {
  auto it = metas_.find(key);
  return it == metas_.end() ? std::nullopt : std::optional(it->second);
}

absl::StatusOr<uint64_t> LogEngine::Term(RangeId range, uint64_t index) const {
  const RangeLog* log = FindRange(range);
  if (log == nullptr) return index == 0 ? absl::StatusOr<uint64_t>(0) : raft::MissingError();
  if (index == log->truncated_index) return log->truncated_term;  // terms are in memory, and sound even if payloads are not
  if (index < log->truncated_index) return raft::CompactedError();
  if (index > log->last_index()) return raft::MissingError();
  return log->at(index).term;
}

absl::StatusOr<std::vector<raft::Entry>> LogEngine::Entries(RangeId range, uint64_t lo, uint64_t hi, uint64_t max_bytes) {
  auto it = ranges_.find(range);
  if (it == ranges_.end()) return raft::MissingError();
  RangeLog& log = it->second;
  if (!log.damage.ok()) return log.damage;
  if (lo <= log.truncated_index) return raft::CompactedError();
  if (hi > log.last_index() + 1) return raft::MissingError();
  std::vector<raft::Entry> out;
  uint64_t bytes = 0;
  for (uint64_t i = lo; i < hi;) {
    EntryRef& ref = log.at(i);
    size_t before = out.size();
    if (ref.cached || ref.at.length == kRecordHeaderSize) {
      out.push_back({ref.term, i, ref.type, ref.payload});
      ++stats_.entries_from_cache;
    } else if (absl::Status s = ReadRun(log, range, i, hi, &out); !s.ok()) {
      return s;
    } else {
      stats_.entries_from_disk += out.size() - before;
    }
    for (size_t k = before; k < out.size(); ++k) {
      bytes += raft::EntrySize(out[k]);
      if (bytes > max_bytes && k > 0) {
        out.resize(k);
        return out;
      }
    }
    i = lo + out.size();
  }
  return out;
}

LogStats LogEngine::stats() const {
  LogStats s = stats_;
  s.segments = segments_.size();
  s.cached_bytes = cached_bytes_;
  for (const Segment& segment : segments_) {
    s.total_bytes += segment.size;
    s.live_bytes += segment.live;
  }
  return s;
}

}  // namespace insula::kv
