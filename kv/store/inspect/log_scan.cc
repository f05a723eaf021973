#include "kv/store/inspect/log_scan.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

struct SegmentFile {
  std::string path;
  SegmentHeader header;
  absl::Status sound;
};

class Scanner {
 public:
  Scanner(FileSystem& files, const std::map<std::string, uint64_t>* cuts) : files_(files), cuts_(cuts) {}

  absl::Status Headers(const std::string& dir, uint64_t store_id) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, files_.List(dir));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (!name.ends_with(".log")) continue;
      SegmentFile& segment = segments_.emplace_back();
      segment.path = StrCat(dir, "/", name);
      ASSIGN_OR_RETURN(std::string bytes, files_.ReadRange(segment.path, 0, kSegmentHeaderSize));
      segment.sound = DecodeSegmentHeader(bytes, &segment.header);
      if (segment.sound.ok() && segment.header.store_id != store_id) {
        segment.sound = absl::DataLossError(StrCat("the segment belongs to store ", segment.header.store_id, ", not to store ", store_id));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<LogScan> Segments() {
    for (size_t i = 0; i < segments_.size(); ++i) {
      const SegmentFile& segment = segments_[i];
      ASSIGN_OR_RETURN(std::string bytes, files_.ReadFile(segment.path));
      ++scan_.segments;
      scan_.bytes += bytes.size();
      // Of a last one whose first write never ended nothing counts: the log engine removes it.
      const bool last = i + 1 == segments_.size() || (i + 2 == segments_.size() && Removed(segments_[i + 1]));
      if (!segment.sound.ok()) {
        Flaw(Removed(segment) ? LogFlaw::Kind::kTorn : LogFlaw::Kind::kHeader, segment, 0, bytes.size(), std::string(segment.sound.message()));
        continue;
      }
      if (i > 0 && segments_[i - 1].sound.ok() && segments_[i - 1].header.number + 1 != segment.header.number) {
        Flaw(LogFlaw::Kind::kHeader, segment, 0, 0, StrCat("segment ", segments_[i - 1].header.number + 1, ", which lies before this one, is missing"));
      }
      uint64_t limit = bytes.size();
      if (!last && segments_[i + 1].sound.ok()) limit = segments_[i + 1].header.previous_length;
      if (limit > bytes.size()) Flaw(LogFlaw::Kind::kHeader, segment, bytes.size(), limit - bytes.size(), StrCat("the file has lost its end: ", bytes.size(), " of ", limit, " bytes"));
      Frames(segment, std::string_view(bytes).substr(0, limit), limit, last);
    }
    return std::move(scan_);
  }

 private:
  uint64_t Cut(const std::string& path) const {
    if (cuts_ == nullptr) return ~uint64_t{0};
    auto it = cuts_->find(path);
    return it == cuts_->end() ? ~uint64_t{0} : it->second;
  }

  bool Removed(const SegmentFile& segment) const { return !segment.sound.ok() && Cut(segment.path) == 0; }

  void Flaw(LogFlaw::Kind kind, const SegmentFile& segment, uint64_t offset, uint64_t bytes, std::string what, RecordHeader record = {}) {
    scan_.flaws.push_back({.kind = kind, .path = segment.path, .offset = offset, .bytes = bytes, .record = record, .what = std::move(what)});
  }

  // `limit`: how much of it counts, which may be more than there is.
  void Frames(const SegmentFile& segment, std::string_view file, uint64_t limit, bool last) {
    for (size_t at = kSegmentHeaderSize; at < file.size();) {
      if (last && at == Cut(segment.path)) return Flaw(LogFlaw::Kind::kTorn, segment, at, file.size() - at, "");
      FrameHeader frame;
      const bool sound = DecodeFrameHeader(file.substr(at), &frame) && frame.sequence >= next_frame_ && frame.body_length <= file.size() - at - kFrameHeaderSize;
      if (sound) {
        ++scan_.frames;
        next_frame_ = frame.sequence + 1;
        const size_t body = at + kFrameHeaderSize;
        Records(segment, file.substr(0, body + frame.body_length), body);
        at = body + frame.body_length;
        continue;
      }
      if (file.size() < limit && FindFrame(file, at + 1, next_frame_ + 1) == std::string_view::npos) return;  // the rest of it is what was lost
      const size_t next = std::min(FindFrame(file, at + 1, next_frame_ + 1), file.size());
      const bool torn = last && next == file.size() && cuts_ == nullptr;
      Flaw(torn ? LogFlaw::Kind::kTorn : LogFlaw::Kind::kHeader, segment, at, next - at, "the header of a frame is damaged");
      at = next;
    }
  }

  // Of one frame, which ends where `file` does.
  void Records(const SegmentFile& segment, std::string_view file, size_t at) {
    while (at < file.size()) {
      RecordHeader header;
      if (!DecodeRecordHeader(file.substr(at), &header) || header.size() > file.size() - at) {
        return Flaw(LogFlaw::Kind::kHeader, segment, at, file.size() - at, "the header of a record is damaged");
      }
      ++scan_.records;
      if (!PayloadIsSound(header, file.substr(at + kRecordHeaderSize, header.payload_length))) {
        Flaw(LogFlaw::Kind::kPayload, segment, at, header.size(), "", header);
      }
      at += header.size();
    }
  }

  FileSystem& files_;
  const std::map<std::string, uint64_t>* const cuts_;
  std::vector<SegmentFile> segments_;
  LogScan scan_;
  uint64_t next_frame_ = 0;
};

}  // namespace

absl::StatusOr<LogScan> ScanLog(FileSystem& files, const std::string& dir, uint64_t store_id, const std::map<std::string, uint64_t>* cuts) {
  Scanner scanner(files, cuts);
  RETURN_IF_ERROR(scanner.Headers(dir, store_id));
  return scanner.Segments();
}

}  // namespace insula::kv
