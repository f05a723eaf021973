// Opening a log: replays its segments in order, cuts a torn end, and tells damage from it.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/log_engine.h"

namespace insula::kv {
namespace {

constexpr std::string_view kSuffix = ".log";

bool IsSegmentName(const std::string& name) {
  if (name.size() != 16 + kSuffix.size() || std::string_view(name).substr(16) != kSuffix) return false;
  return std::all_of(name.begin(), name.begin() + 16, [](char c) { return c >= '0' && c <= '9'; });
}

// Whether a later record of the same frame is sound: then what lies before it is damage, not a torn write, as those lose their end.
bool SoundRecordFollows(std::string_view body) {
  RecordHeader header;
  for (size_t at = 1; at + kRecordHeaderSize <= body.size(); ++at) {
    if (DecodeRecordHeader(body.substr(at), &header) && header.size() <= body.size() - at &&
        PayloadIsSound(header, body.substr(at + kRecordHeaderSize, header.payload_length))) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::Status LogEngine::LoadSegment(const std::string& name, bool last, LoadedSegment* out) {
  ASSIGN_OR_RETURN(out->bytes, runtime_.files->ReadFile(options_.path + "/" + name));
  absl::Status s = DecodeSegmentHeader(out->bytes, &out->header);
  if (s.code() == absl::StatusCode::kDataLoss && last && FindFrame(out->bytes, 0, 0) == std::string_view::npos) {
    // Its first write never ended: nothing in it counts.
    out->torn_header = true;
    return absl::OkStatus();
  }
  if (!s.ok()) return absl::Status(s.code(), StrCat("log segment ", name, ": ", Sv(s.message())));
  if (out->header.store_id != options_.store_id) {
    return absl::FailedPreconditionError(StrCat("log segment ", name, " belongs to store ", out->header.store_id, ", not to store ", options_.store_id));
  }
  if (SegmentPath(out->header.number) != options_.path + "/" + name) return absl::DataLossError(StrCat("log segment ", name, " says that it is ", out->header.number));
  return absl::OkStatus();
}

absl::Status LogEngine::ReplayFrame(const LoadedSegment& segment, size_t at, size_t end, bool may_be_torn, bool* torn) {
  std::string_view file(segment.bytes);
  const size_t begin = at;
  // First look whether it is whole: a frame counts or it does not.
  std::vector<std::pair<size_t, bool>> records;  // offset, payload is sound
  while (at < end) {
    RecordHeader header;
    bool sound_header = DecodeRecordHeader(file.substr(at, end - at), &header) && header.size() <= end - at;
    bool sound = sound_header && PayloadIsSound(header, file.substr(at + kRecordHeaderSize, header.payload_length));
    if (!sound && may_be_torn && !SoundRecordFollows(file.substr(at, end - at))) {
      *torn = true;
      return absl::OkStatus();
    }
    bool of_store = sound_header && (header.type == RecordType::kRedo || header.type == RecordType::kRedoDone || header.type == RecordType::kMeta);
    if (!sound_header || (!sound && of_store)) {
      return absl::DataLossError(StrCat("log segment ", segment.header.number, " is damaged at ", at, ", and it cannot be told which ranges that concerns: replace this store"));
    }
    records.emplace_back(at, sound);
    at += header.size();
  }
  CHECK_EQ(segments_.back().number, segment.header.number) << begin;
  for (auto [offset, sound] : records) {
    RecordHeader header;
    CHECK(DecodeRecordHeader(file.substr(offset), &header));
    if (header.type < RecordType::kEntry || header.type > RecordType::kMeta) {
      return absl::FailedPreconditionError(StrCat("log segment ", segment.header.number, " holds a record of a kind that this program does not know (", static_cast<int>(header.type), ")"));
    }
    Location where{segment.header.number, static_cast<uint32_t>(offset), static_cast<uint32_t>(header.size())};
    std::string_view payload = file.substr(offset + kRecordHeaderSize, header.payload_length);
    raft::HardState parsed;
    if (header.type == RecordType::kHardState && sound && !DecodeHardState(payload, &parsed)) sound = false;
    if (!sound) damaged_.push_back({header, where});
    if (sound || header.type != RecordType::kHardState) ApplyRecord(header, payload, where, {});
  }
  return absl::OkStatus();
}

// `counts`: how much of it the next segment says is valid; nullopt: it is the last.
absl::Status LogEngine::ReplaySegment(const LoadedSegment& segment, std::optional<uint64_t> counts, uint64_t* valid) {
  std::string_view file(segment.bytes);
  const bool last = !counts.has_value();
  if (!last && *counts > file.size()) return absl::DataLossError(StrCat("log segment ", segment.header.number, " has lost its end: ", file.size(), " of ", *counts, " bytes"));
  const size_t limit = last ? file.size() : *counts;
  file = file.substr(0, limit);
  segments_.push_back({.number = segment.header.number, .size = 0, .live = 0});
  size_t at = kSegmentHeaderSize;
  while (at < limit) {
    FrameHeader frame;
    bool sound = DecodeFrameHeader(file.substr(at), &frame) && frame.sequence >= next_frame_ && frame.body_length <= limit - at - kFrameHeaderSize;
    // Only the last write of all can be torn.
    bool may_be_torn = last && FindFrame(file, at + 1, next_frame_ + 1) == std::string_view::npos;
    bool torn = false;
    if (sound) {
      RETURN_IF_ERROR(ReplayFrame(segment, at + kFrameHeaderSize, at + kFrameHeaderSize + frame.body_length, may_be_torn, &torn));
    } else if (may_be_torn) {
      torn = true;
    } else {
      return absl::DataLossError(StrCat("log segment ", segment.header.number, " is damaged at ", at, ", and it cannot be told which ranges that concerns: replace this store"));
    }
    if (torn) {
      recovery_.torn_bytes += file.size() - at;
      PROBE("a torn end of the log was cut");
      break;
    }
    next_frame_ = frame.sequence + 1;
    at += kFrameHeaderSize + frame.body_length;
  }
  *valid = at;
  segments_.back().size = at;
  return absl::OkStatus();
}

// Damage that something later made up for does not count.
void LogEngine::CheckRanges() {
  for (const DamagedRecord& d : damaged_) {
    auto it = ranges_.find(d.header.range);
    if (it == ranges_.end()) continue;
    RangeLog& log = it->second;
    bool counts;
    if (d.header.type == RecordType::kHardState) {
      const Location& later = log.hard_state_at;
      counts = log.replica != 0 && std::pair(later.segment, later.offset) < std::pair(d.at.segment, d.at.offset);
    } else {
      counts = d.header.index >= log.first && d.header.index <= log.last_index() && log.at(d.header.index).at.segment == d.at.segment && log.at(d.header.index).at.offset == d.at.offset;
    }
    if (!counts) continue;
    log.damage = absl::DataLossError(StrCat("range ", d.header.range, ": the log is damaged in segment ", d.at.segment, " at ", d.at.offset, " (record type ", static_cast<int>(d.header.type),
                                            ", index ", d.header.index, "): replace this replica"));
  }
  damaged_.clear();
  for (auto& [range, log] : ranges_) {
    if (log.damage.ok() && !log.entries.empty() && log.first != log.truncated_index + 1) {
      log.damage = absl::DataLossError(StrCat("range ", range, ": the log goes on at ", log.first, " after ", log.truncated_index));
    }
    for (uint64_t i = log.first; i <= log.last_index() && log.damage.ok(); ++i) {
      if (log.at(i).at.segment == 0) log.damage = absl::DataLossError(StrCat("range ", range, ": entry ", i, " is missing from the log"));
    }
    if (!log.damage.ok()) PROBE("damage in the log was found");
    if (!log.damage.ok()) recovery_.damage.emplace_back(log.damage.message());
  }
}

absl::Status LogEngine::Recover() {
  ASSIGN_OR_RETURN(std::vector<std::string> names, runtime_.files->List(options_.path));
  std::erase_if(names, [](const std::string& name) { return !IsSegmentName(name); });
  std::sort(names.begin(), names.end());
  LoadedSegment current, next;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i == 0) RETURN_IF_ERROR(LoadSegment(names[0], names.size() == 1, &current));
    if (current.torn_header) {  // the last one
      recovery_.torn_bytes += current.bytes.size();
      RETURN_IF_ERROR(runtime_.files->Remove(options_.path + "/" + names[i]));
      break;
    }
    const bool has_next = i + 1 < names.size();
    std::optional<uint64_t> counts;
    if (has_next) {
      next = LoadedSegment();
      RETURN_IF_ERROR(LoadSegment(names[i + 1], i + 2 == names.size(), &next));
      if (!next.torn_header) {
        if (next.header.number != current.header.number + 1) return absl::DataLossError(StrCat("log segment ", current.header.number + 1, " is missing"));
        counts = next.header.previous_length;
      }
    }
    uint64_t valid = 0;
    RETURN_IF_ERROR(ReplaySegment(current, counts, &valid));
    next_segment_ = current.header.number + 1;
    // What does not count is cut, so that nobody ever reads it again.
    if (valid < current.bytes.size()) RETURN_IF_ERROR(runtime_.files->Truncate(SegmentPath(current.header.number), valid));
    if (has_next) current = std::move(next);
  }
  recovery_.segments = segments_.size();
  CheckRanges();
  return absl::OkStatus();
}

}  // namespace insula::kv
