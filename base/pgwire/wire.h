// Reading and building the bodies of PostgreSQL protocol messages.
//
// WireReader never reads past its input: the first short read makes it fail for good, reads after that give zeros and empty
// strings, and Finish() tells (08P01). So decoders read all fields straight through and check once.
// MessageBuilder appends one message to a buffer and writes its length when it goes out of scope.
// Thread safety: none; values.
#ifndef INSULA_BASE_PGWIRE_WIRE_H_
#define INSULA_BASE_PGWIRE_WIRE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace insula::pgwire {

inline void AppendInt16(std::string* out, uint16_t v) {
  out->push_back(static_cast<char>(v >> 8));
  out->push_back(static_cast<char>(v));
}
inline void AppendInt32(std::string* out, uint32_t v) {
  char b[4] = {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
  out->append(b, 4);
}
inline void PutInt32(char* at, uint32_t v) {
  at[0] = static_cast<char>(v >> 24);
  at[1] = static_cast<char>(v >> 16);
  at[2] = static_cast<char>(v >> 8);
  at[3] = static_cast<char>(v);
}
inline uint32_t GetInt32(const char* at) {
  auto b = [at](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(at[i])); };
  return b(0) << 24 | b(1) << 16 | b(2) << 8 | b(3);
}
inline uint16_t GetInt16(const char* at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(at[0]) << 8 | static_cast<unsigned char>(at[1]));
}

class WireReader {
 public:
  explicit WireReader(std::string_view in) : in_(in) {}

  char Byte();
  int16_t Int16();
  int32_t Int32();
  // Up to the next zero byte, which is taken as well.
  std::string_view CString();
  std::string_view Bytes(size_t n);
  std::string_view Rest();

  // A count of things of at least `min_size` bytes each, so that a lying count cannot make a decoder reserve memory.
  int Count16(size_t min_size);

  void Fail() { failed_ = true; in_ = {}; }
  bool failed() const { return failed_; }
  size_t remaining() const { return in_.size(); }
  // 08P01 if something was missing or something is left.
  absl::Status Finish() const;

 private:
  bool failed_ = false;
  std::string_view in_;
};

// One message: type byte, length, body. `type` 0: none (startup packets).
class MessageBuilder {
 public:
  MessageBuilder(std::string* out, char type) : out_(out) {
    if (type != 0) out_->push_back(type);
    start_ = out_->size();
    out_->append(4, '\0');
  }
  MessageBuilder(const MessageBuilder&) = delete;
  MessageBuilder& operator=(const MessageBuilder&) = delete;
  ~MessageBuilder() { PutInt32(out_->data() + start_, static_cast<uint32_t>(out_->size() - start_)); }

  MessageBuilder& Byte(char v) { out_->push_back(v); return *this; }
  MessageBuilder& Int16(int v) { AppendInt16(out_, static_cast<uint16_t>(v)); return *this; }
  MessageBuilder& Int32(int64_t v) { AppendInt32(out_, static_cast<uint32_t>(v)); return *this; }
  // A zero byte inside ends the string there, as it would for the receiver.
  MessageBuilder& CString(std::string_view v) {
    out_->append(v.substr(0, v.find('\0')));
    out_->push_back('\0');
    return *this;
  }
  MessageBuilder& Bytes(std::string_view v) { out_->append(v); return *this; }
  std::string* out() { return out_; }

 private:
  std::string* out_;
  size_t start_;
};

// 08P01
absl::Status ProtocolError(std::string_view message);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_WIRE_H_
