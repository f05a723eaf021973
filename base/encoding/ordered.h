// Order-preserving byte encoding: memcmp of two encodings gives the order of the values. Used for all keys.
//
//   value       | bytes
//   ------------+---------------------------------------------------------------
//   uint64      | length tag 0x80+n, then n big-endian bytes without leading zeros
//   int64       | negative: 0x80-n and the n bytes of the value (ones' complement order); else as uint64
//   bytes       | 0x00 becomes 0x00 0xFF; ends with 0x00 0x01
//   double      | sign-flipped IEEE 754 bits, 8 bytes big-endian; -0 as 0; NaN above all
//   descending  | all bytes of the ascending encoding inverted
//
// Decode functions take the value off the front of `*in`; kDataLoss when the bytes are not an encoding.
#ifndef INSULA_BASE_ENCODING_ORDERED_H_
#define INSULA_BASE_ENCODING_ORDERED_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula {

enum class Direction { kAscending, kDescending };

void AppendUint64(std::string* out, uint64_t v, Direction d = Direction::kAscending);
void AppendInt64(std::string* out, int64_t v, Direction d = Direction::kAscending);
void AppendBytes(std::string* out, std::string_view v, Direction d = Direction::kAscending);
void AppendDouble(std::string* out, double v, Direction d = Direction::kAscending);

absl::StatusOr<uint64_t> TakeUint64(std::string_view* in, Direction d = Direction::kAscending);
absl::StatusOr<int64_t> TakeInt64(std::string_view* in, Direction d = Direction::kAscending);
absl::StatusOr<std::string> TakeBytes(std::string_view* in, Direction d = Direction::kAscending);
absl::StatusOr<double> TakeDouble(std::string_view* in, Direction d = Direction::kAscending);

// Fixed-width big-endian, for places with a known width.
void AppendFixed64(std::string* out, uint64_t v);
void AppendFixed32(std::string* out, uint32_t v);
uint64_t ReadFixed64(const char* in);
uint32_t ReadFixed32(const char* in);

// The smallest key greater than every key with this prefix; empty when there is none (all bytes 0xFF).
std::string PrefixEnd(std::string_view prefix);

}  // namespace insula

#endif  // INSULA_BASE_ENCODING_ORDERED_H_
