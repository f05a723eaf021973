// Follows the boundaries of PostgreSQL messages in a byte stream without keeping any of it: four bytes of state.
#ifndef INSULA_PROXY_MESSAGE_TRACKER_H_
#define INSULA_PROXY_MESSAGE_TRACKER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace insula::proxy {

class MessageTracker {
 public:
  // Takes note of bytes that pass. False if they cannot be messages (a length below 4): the stream is out of step.
  bool Pass(std::string_view bytes) {
    while (!bytes.empty()) {
      if (header_seen_ < kHeaderBytes) {
        uint8_t byte = static_cast<uint8_t>(bytes.front());
        if (header_seen_ == 0) {
          type_ = bytes.front();
          length_ = 0;
        } else {
          length_ = (length_ << 8) | byte;
        }
        bytes.remove_prefix(1);
        if (++header_seen_ < kHeaderBytes) continue;
        if (length_ < 4) return false;
        remaining_ = length_ - 4;
      }
      size_t step = std::min<size_t>(remaining_, bytes.size());
      if (type_ == 'Z' && step > 0) transaction_status_ = bytes.front();
      bytes.remove_prefix(step);
      remaining_ -= step;
      if (remaining_ == 0) header_seen_ = 0;
    }
    return true;
  }
  bool at_boundary() const { return header_seen_ == 0; }
  // 'I', 'T' or 'E' of the last ReadyForQuery; 0 before the first.
  char transaction_status() const { return transaction_status_; }

 private:
  static constexpr int kHeaderBytes = 5;
  int header_seen_ = 0;
  char type_ = 0;
  char transaction_status_ = 0;
  uint32_t length_ = 0;
  size_t remaining_ = 0;
};

}  // namespace insula::proxy

#endif  // INSULA_PROXY_MESSAGE_TRACKER_H_
