// A version's bytes: a header of its own format, then the user's value.
//
//   byte 0            | bits 0-3 format (1), bit 4 deletion, bit 5 a local timestamp follows (8 bytes, big-endian)
//   then              | the value
//
// The local timestamp is the leaseholder's clock when the version was written, stored only when that was below the version's
// timestamp. A reader that observed this leaseholder's clock earlier than that knows that the value is not from before its start.
#ifndef INSULA_KV_MVCC_VALUE_H_
#define INSULA_KV_MVCC_VALUE_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/encoding/ordered.h"
#include "base/hlc/hlc.h"

namespace insula::kv::mvcc {

inline constexpr uint8_t kValueFormat = 1;
inline constexpr uint8_t kDeletionBit = 0x10;
inline constexpr uint8_t kLocalTimestampBit = 0x20;

struct ValueView {
  bool deletion = false;
  Timestamp local;  // empty: as the version's
  std::string_view value;
};

// False if `bytes` are not of a known format.
[[nodiscard]] inline bool ParseValue(std::string_view bytes, ValueView* out) {
  if (bytes.empty()) return false;
  uint8_t head = static_cast<uint8_t>(bytes[0]);
  if ((head & 0x0f) != kValueFormat || (head & 0xc0) != 0) return false;
  out->deletion = (head & kDeletionBit) != 0;
  size_t header = 1;
  out->local = Timestamp{};
  if (head & kLocalTimestampBit) {
    if (bytes.size() < 9) return false;
    out->local = Timestamp{ReadFixed64(bytes.data() + 1)};
    header = 9;
  }
  out->value = bytes.substr(header);
  return true;
}

// nullopt: a deletion. `local` empty: as the version's.
inline void EncodeValue(std::optional<std::string_view> value, Timestamp local, std::string* out) {
  out->clear();
  uint8_t head = kValueFormat;
  if (!value) head |= kDeletionBit;
  if (!local.empty()) head |= kLocalTimestampBit;
  out->push_back(static_cast<char>(head));
  if (!local.empty()) AppendFixed64(out, local.bits);
  if (value) out->append(*value);
}

}  // namespace insula::kv::mvcc

#endif  // INSULA_KV_MVCC_VALUE_H_
