// Reading records back, and keeping the log short: live records of the oldest segment are rewritten at the end, a little with each
// write, until the segment can go.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/log_engine.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
constexpr uint64_t kRewriteStep = 1 << 20;  // bytes per frame
constexpr uint64_t kReadRun = 1 << 20;      // bytes per read
constexpr int kReadAttempts = 3;
}  // namespace

// What the disk does not give is not damaged: it may give it later.
absl::StatusOr<std::string> LogEngine::ReadBytes(uint64_t segment, uint64_t offset, uint64_t length) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<std::string> read = runtime_.files->ReadRange(SegmentPath(segment), offset, length);
    if (read.ok()) return read;
    PROBE("a read of the log failed");
    if (attempt == kReadAttempts) return absl::UnavailableError(StrCat("log segment ", segment, " cannot be read at ", offset, ": ", Sv(read.status().message())));
  }
}

absl::StatusOr<std::string> LogEngine::ReadRecord(const Location& at, RecordHeader* header) {
  for (bool again : {false, true}) {
    ASSIGN_OR_RETURN(std::string bytes, ReadBytes(at.segment, at.offset, at.length));
    if (DecodeRecordHeader(bytes, header) && header->size() == at.length && PayloadIsSound(*header, std::string_view(bytes).substr(kRecordHeaderSize))) {
      return bytes.substr(kRecordHeaderSize);
    }
    if (again) break;  // a second look told the same
  }
  return absl::DataLossError(StrCat("log segment ", at.segment, " is damaged at ", at.offset));
}

// Reads entries from `lo` on that lie one after the other in one segment; at least one.
absl::Status LogEngine::ReadRun(RangeLog& log, RangeId range, uint64_t lo, uint64_t hi, std::vector<raft::Entry>* out) {
  auto ref = [&](uint64_t index) -> const EntryRef& { return log.at(index); };
  const Location first = ref(lo).at;
  uint64_t end = lo + 1, length = first.length;
  // Frame headers and other ranges' records may lie between; small gaps are read over.
  while (end < hi && ref(end).at.segment == first.segment && ref(end).at.offset > ref(end - 1).at.offset && !ref(end).cached) {
    uint64_t reach = ref(end).at.offset + ref(end).at.length - first.offset;
    if (reach > kReadRun) break;
    length = reach;
    ++end;
  }
  std::string bytes;
  for (int attempt = 0;; ++attempt) {
    ASSIGN_OR_RETURN(bytes, ReadBytes(first.segment, first.offset, length));
    absl::Status bad;
    for (uint64_t i = lo; i < end && bad.ok(); ++i) {
      RecordHeader header;
      std::string_view record = std::string_view(bytes).substr(std::min<size_t>(bytes.size(), ref(i).at.offset - first.offset));
      record = record.substr(0, ref(i).at.length);
      if (!DecodeRecordHeader(record, &header) || header.range != range || header.index != i || header.term != ref(i).term ||
          !PayloadIsSound(header, record.substr(kRecordHeaderSize))) {
        bad = absl::DataLossError(StrCat("range ", range, ": entry ", i, " in log segment ", first.segment, " is damaged at ", ref(i).at.offset));
      }
    }
    if (bad.ok()) break;
    if (attempt > 0) {  // a second look told the same
      log.damage = bad;
      return log.damage;
    }
  }
  for (uint64_t i = lo; i < end; ++i) {
    size_t from = ref(i).at.offset - first.offset + kRecordHeaderSize;
    out->push_back({ref(i).term, i, ref(i).type, raft::Payload(bytes.substr(from, ref(i).at.length - kRecordHeaderSize))});
  }
  return absl::OkStatus();
}

void LogEngine::RemoveDeadSegments() {
  while (segments_.size() > 1 && segments_.front().live == 0) {
    absl::Status s = runtime_.files->Remove(SegmentPath(segments_.front().number));
    if (!s.ok()) return;  // tried again after the next write
    segments_.pop_front();
    PROBE("a dead segment of the log was removed");
  }
}

bool LogEngine::NeedsRewrite() const {
  if (segments_.size() < 2) return false;
  uint64_t total = 0, live = 0;
  for (const Segment& s : segments_) {
    total += s.size;
    live += s.live;
  }
  return total - live > options_.garbage_bytes && total > 2 * live;
}

// Not OK: not all could be read, and what was is in the batch all the same.
absl::Status LogEngine::RewriteRange(RangeId range, RangeLog& log, uint64_t segment, LogBatch* batch) {
  if (!log.damage.ok()) return absl::OkStatus();  // keeps the segment: it is evidence
  if (log.replica_at.segment == segment) batch->SetReplica(range, log.replica);
  if (log.tombstone_at.segment == segment) batch->Tombstone(range, log.next_replica);  // then there is nothing else
  if (log.hard_state_at.segment == segment) batch->SetHardState(range, log.hard_state);
  if (log.truncated_at.segment == segment) batch->Truncate(range, log.truncated_index, log.truncated_term);
  for (uint64_t i = log.first; i <= log.last_index(); ++i) {
    EntryRef& ref = log.at(i);
    if (ref.at.segment != segment) continue;
    RecordHeader header{.type = RecordType::kMovedEntry, .entry_type = ref.type, .range = range, .index = i, .term = ref.term};
    if (ref.cached) {
      batch->Add(header, ref.payload.view());
      continue;
    }
    RecordHeader found;
    absl::StatusOr<std::string> payload = ReadRecord(ref.at, &found);
    if (absl::IsDataLoss(payload.status())) {
      log.damage = payload.status();
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(payload.status());
    batch->Add(header, *payload);
  }
  return absl::OkStatus();
}

void LogEngine::ComposeRewrite(LogBatch* batch) {
  const uint64_t segment = segments_.front().number;
  if (rewrite_segment_ != segment) {
    rewrite_segment_ = segment;
    rewrite_ranges_.clear();
    for (const auto& [range, log] : ranges_) rewrite_ranges_.push_back(range);
    for (const auto& [id, at] : redo_at_) {
      if (at.segment == segment) batch->Redo(id, redos_[id]);
    }
    for (const auto& [key, at] : meta_at_) {
      if (at.segment == segment) batch->SetMeta(key, metas_[key]);
    }
  }
  while (!rewrite_ranges_.empty() && batch->byte_size() < kRewriteStep) {
    RangeId range = rewrite_ranges_.back();
    auto it = ranges_.find(range);
    absl::Status rewritten = it == ranges_.end() ? absl::OkStatus() : RewriteRange(range, it->second, segment, batch);
    if (!rewritten.ok()) {
      LOG_WARNING("an old part of the log is not rewritten yet", {"range", range}, {"why", rewritten.ToString()});
      break;  // tried again after the next write
    }
    rewrite_ranges_.pop_back();
  }
  stats_.rewritten_bytes += batch->byte_size();
  PROBE("live records of an old segment were rewritten");
}

}  // namespace insula::kv
