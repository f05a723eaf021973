#include "kv/multiraft/log_record.h"

#include "base/encoding/ordered.h"
#include "base/strings.h"
#include "kv/storage/crc32c.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

using storage::Crc32c;

constexpr std::string_view kSegmentMagic = "INSULOG\n";
constexpr uint32_t kFrameMagic = 0x494e4652;
constexpr char kHardStateFormat = 1;

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string out(kSegmentMagic);
  AppendFixed32(&out, header.format);
  AppendFixed64(&out, header.number);
  AppendFixed64(&out, header.store_id);
  AppendFixed64(&out, header.previous_length);
  out.resize(kSegmentHeaderSize - 4, '\0');
  AppendFixed32(&out, Crc32c(out));
  return out;
}

absl::Status DecodeSegmentHeader(std::string_view bytes, SegmentHeader* header) {
  if (bytes.size() < kSegmentHeaderSize || bytes.substr(0, kSegmentMagic.size()) != kSegmentMagic) return absl::DataLossError("not a log segment");
  // The checksum first, in every format: a torn header is not a newer one.
  if (ReadFixed32(bytes.data() + kSegmentHeaderSize - 4) != Crc32c(bytes.substr(0, kSegmentHeaderSize - 4))) return absl::DataLossError("the header of a log segment is damaged");
  header->format = ReadFixed32(bytes.data() + 8);
  if (header->format > kLogFormat) {
    return absl::FailedPreconditionError(StrCat("log segment of format ", header->format, "; this program knows ", kLogFormat, ": use the program that wrote it, or a newer one"));
  }
  header->number = ReadFixed64(bytes.data() + 12);
  header->store_id = ReadFixed64(bytes.data() + 20);
  header->previous_length = ReadFixed64(bytes.data() + 28);
  return absl::OkStatus();
}

void AppendFrameHeader(std::string* out, const FrameHeader& header) {
  size_t at = out->size();
  AppendFixed32(out, kFrameMagic);
  AppendFixed32(out, header.body_length);
  AppendFixed64(out, header.sequence);
  AppendFixed32(out, Crc32c(std::string_view(*out).substr(at, 16)));
}

bool DecodeFrameHeader(std::string_view bytes, FrameHeader* header) {
  if (bytes.size() < kFrameHeaderSize || ReadFixed32(bytes.data()) != kFrameMagic) return false;
  if (ReadFixed32(bytes.data() + 16) != Crc32c(bytes.substr(0, 16))) return false;
  header->body_length = ReadFixed32(bytes.data() + 4);
  header->sequence = ReadFixed64(bytes.data() + 8);
  return true;
}

size_t FindFrame(std::string_view file, size_t from, uint64_t sequence) {
  std::string magic;
  AppendFixed32(&magic, kFrameMagic);
  FrameHeader header;
  for (size_t at = file.find(magic, from); at != std::string_view::npos; at = file.find(magic, at + 1)) {
    if (DecodeFrameHeader(file.substr(at), &header) && header.sequence >= sequence) return at;
  }
  return std::string_view::npos;
}

void AppendRecord(std::string* out, RecordHeader header, std::string_view payload) {
  size_t at = out->size();
  out->push_back(static_cast<char>(header.type));
  out->push_back(static_cast<char>(header.entry_type));
  out->append(2, '\0');
  AppendFixed32(out, static_cast<uint32_t>(payload.size()));
  AppendFixed64(out, header.range);
  AppendFixed64(out, header.index);
  AppendFixed64(out, header.term);
  AppendFixed32(out, Crc32c(payload));
  AppendFixed32(out, Crc32c(std::string_view(*out).substr(at, kRecordHeaderSize - 4)));
  out->append(payload);
}

bool DecodeRecordHeader(std::string_view bytes, RecordHeader* header) {
  if (bytes.size() < kRecordHeaderSize) return false;
  if (ReadFixed32(bytes.data() + 36) != Crc32c(bytes.substr(0, kRecordHeaderSize - 4))) return false;
  header->type = static_cast<RecordType>(bytes[0]);
  header->entry_type = static_cast<raft::EntryType>(bytes[1]);
  header->payload_length = ReadFixed32(bytes.data() + 4);
  header->range = ReadFixed64(bytes.data() + 8);
  header->index = ReadFixed64(bytes.data() + 16);
  header->term = ReadFixed64(bytes.data() + 24);
  header->payload_checksum = ReadFixed32(bytes.data() + 32);
  return true;
}

bool PayloadIsSound(const RecordHeader& header, std::string_view payload) {
  return payload.size() == header.payload_length && Crc32c(payload) == header.payload_checksum;
}

std::string EncodeHardState(const raft::HardState& state) {
  std::string out(1, kHardStateFormat);
  for (uint64_t v : {state.term, state.vote, state.commit, state.lead, state.lead_epoch}) storage::AppendVarint(&out, v);
  return out;
}

bool DecodeHardState(std::string_view bytes, raft::HardState* state) {
  if (bytes.empty() || bytes[0] != kHardStateFormat) return false;
  bytes.remove_prefix(1);
  for (uint64_t* v : {&state->term, &state->vote, &state->commit, &state->lead, &state->lead_epoch}) {
    if (!storage::TakeVarint(&bytes, v)) return false;
  }
  return true;
}

}  // namespace insula::kv
