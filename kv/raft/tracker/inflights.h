// The kApp messages on their way to one follower: a window bounded in messages and in bytes.
//
// Thread safety: value.
#ifndef INSULA_KV_RAFT_TRACKER_INFLIGHTS_H_
#define INSULA_KV_RAFT_TRACKER_INFLIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace insula::raft::tracker {

class Inflights {
 public:
  // `max_bytes` 0: messages are the only limit. One message may overshoot the byte limit.
  explicit Inflights(int max_messages = 1, uint64_t max_bytes = 0)
      : max_messages_(static_cast<size_t>(max_messages)), max_bytes_(max_bytes) {}

  // A message whose last entry is `last_index`, with `bytes` of entries. Not when Full(); indexes never fall.
  void Add(uint64_t last_index, uint64_t bytes);
  // The follower has everything up to `index`.
  void FreeUpTo(uint64_t index);
  bool Full() const;
  size_t count() const { return window_.size() - head_; }
  uint64_t bytes() const { return bytes_; }
  // Forgets all, and gives the memory back.
  void Reset();

 private:
  struct Sent {
    uint64_t index;
    uint64_t bytes;
  };
  size_t max_messages_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::vector<Sent> window_;  // from head_ on
  size_t head_ = 0;
};

}  // namespace insula::raft::tracker

#endif  // INSULA_KV_RAFT_TRACKER_INFLIGHTS_H_
