#include "kv/raft/tracker/inflights.h"

#include "base/check.h"

namespace insula::raft::tracker {

bool Inflights::Full() const { return count() >= max_messages_ || (max_bytes_ != 0 && bytes_ >= max_bytes_); }

void Inflights::Add(uint64_t last_index, uint64_t bytes) {
  CHECK(!Full()) << "adding to a full window";
  // Reuse the room that freed messages left before growing.
  if (window_.size() == window_.capacity() && head_ > 0) {
    window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  window_.push_back({last_index, bytes});
  bytes_ += bytes;
}

void Inflights::FreeUpTo(uint64_t index) {
  while (head_ < window_.size() && window_[head_].index <= index) bytes_ -= window_[head_++].bytes;
  if (head_ == window_.size()) {
    window_.clear();
    head_ = 0;
  }
}

void Inflights::Reset() {
  window_ = {};
  head_ = 0;
  bytes_ = 0;
}

}  // namespace insula::raft::tracker
