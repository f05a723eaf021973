// The bytes of the log engine's segment files.
//
//   segment   header (48 bytes), then frames
//     header  magic, format version, segment number, store id, length of the previous segment that counts, checksum
//   frame     header (20 bytes: magic, body length, sequence, checksum), then records: what one write made durable
//   record    header (40 bytes), then the payload
//     header  type, entry type, payload length, range, index, term, checksum of the payload, checksum of the header
//
// All numbers are big-endian. Two checksums per record: when only a payload is damaged it is still known whose it was.
#ifndef INSULA_KV_MULTIRAFT_LOG_RECORD_H_
#define INSULA_KV_MULTIRAFT_LOG_RECORD_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "kv/raft/message.h"

namespace insula::kv {

inline constexpr uint32_t kLogFormat = 1;

enum class RecordType : uint8_t {
  kEntry = 1,       // index, term; payload: the entry's data. Ends what the range had from this index on
  kMovedEntry = 2,  // the same, rewritten from an old segment: replaces only itself
  kHardState = 3,
  kTruncate = 4,    // index, term: entries up to it are forgotten
  kReset = 5,       // index, term: all entries are forgotten; the log goes on after it
  kReplica = 6,     // index: the id of the replica that this log is of
  kTombstone = 7,   // index: replicas with smaller ids are gone for good; everything else of the range is forgotten
  kRedo = 8,        // index: its id; payload: what to do again after a crash
  kRedoDone = 9,    // index: its id
  kMeta = 10,       // payload: a key with its length, and a value; of the store
};

struct SegmentHeader {
  uint32_t format = kLogFormat;
  uint64_t number = 0;
  uint64_t store_id = 0;
  uint64_t previous_length = 0;
};
inline constexpr size_t kSegmentHeaderSize = 48;
std::string EncodeSegmentHeader(const SegmentHeader& header);
// kDataLoss: not one. kFailedPrecondition: a newer format.
absl::Status DecodeSegmentHeader(std::string_view bytes, SegmentHeader* header);

inline constexpr size_t kFrameHeaderSize = 20;
struct FrameHeader {
  uint32_t body_length = 0;
  uint64_t sequence = 0;
};
void AppendFrameHeader(std::string* out, const FrameHeader& header);
[[nodiscard]] bool DecodeFrameHeader(std::string_view bytes, FrameHeader* header);
// Offset at or after `from` of a frame header with a sequence of at least `sequence`; npos: none.
size_t FindFrame(std::string_view file, size_t from, uint64_t sequence);

inline constexpr size_t kRecordHeaderSize = 40;
struct RecordHeader {
  RecordType type = RecordType::kEntry;
  raft::EntryType entry_type = raft::EntryType::kNormal;
  uint32_t payload_length = 0;
  uint64_t range = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  uint32_t payload_checksum = 0;
  size_t size() const { return kRecordHeaderSize + payload_length; }
};
// Sets the payload's length and checksum.
void AppendRecord(std::string* out, RecordHeader header, std::string_view payload);
[[nodiscard]] bool DecodeRecordHeader(std::string_view bytes, RecordHeader* header);
[[nodiscard]] bool PayloadIsSound(const RecordHeader& header, std::string_view payload);

std::string EncodeHardState(const raft::HardState& state);
[[nodiscard]] bool DecodeHardState(std::string_view bytes, raft::HardState* state);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_LOG_RECORD_H_
