// Reading records back, and keeping the log short: live records of the oldest segment are rewritten at the end, a little with each
// write, until the segment can go.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/log_engine.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
constexpr uint64_t kRewriteStep = 1 << 20;  // bytes per frame
constexpr uint64_t kReadRun = 1 << 20;      // bytes per read
}  // namespace

absl::StatusOr<std::string> LogEngine::ReadRecord(const Location& at, RecordHeader* header) {
  ASSIGN_OR_RETURN(std::string bytes, runtime_.files->ReadRange(SegmentPath(at.segment), at.offset, at.length));
  if (!DecodeRecordHeader(bytes, header) || header->size() != at.length || !PayloadIsSound(*header, std::string_view(bytes).substr(kRecordHeaderSize))) {
    return absl::DataLossError(StrCat("log segment ", at.segment, " is damaged at ", at.offset));
  }
  return bytes.substr(kRecordHeaderSize);
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
    absl::StatusOr<std::string> read = runtime_.files->ReadRange(SegmentPath(first.segment), first.offset, length);
    absl::Status bad = read.status();
    if (bad.ok()) {
      bytes = *std::move(read);
      for (uint64_t i = lo; i < end && bad.ok(); ++i) {
        RecordHeader header;
        std::string_view record = std::string_view(bytes).substr(std::min<size_t>(bytes.size(), ref(i).at.offset - first.offset));
        record = record.substr(0, ref(i).at.length);
        if (!DecodeRecordHeader(record, &header) || header.range != range || header.index != i || header.term != ref(i).term ||
            !PayloadIsSound(header, record.substr(kRecordHeaderSize))) {
          bad = absl::DataLossError(StrCat("range ", range, ": entry ", i, " in log segment ", first.segment, " is damaged at ", ref(i).at.offset));
        }
      }
    }
    if (bad.ok()) break;
    if (attempt > 0) {  // a second look told the same
      log.damage = absl::DataLossError(std::string(bad.message()));
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

void LogEngine::RewriteRange(RangeId range, RangeLog& log, uint64_t segment, LogBatch* batch) {
  if (!log.damage.ok()) return;  // keeps the segment: it is evidence
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
    if (!payload.ok()) {
      log.damage = payload.status();
      return;
    }
    batch->Add(header, *payload);
  }
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
    rewrite_ranges_.pop_back();
    if (auto it = ranges_.find(range); it != ranges_.end()) RewriteRange(range, it->second, segment, batch);
  }
  stats_.rewritten_bytes += batch->byte_size();
  PROBE("live records of an old segment were rewritten");
}

}  // namespace insula::kv
