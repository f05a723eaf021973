// What a transaction has written and not sent: by key, every version since the last flush by its sequence number, so that a savepoint
// can take back the later ones.
//
//   key | versions
//   ----+-----------------------------
//   a   | (3, "x"), (7, deleted)          rolled back to savepoint 5: (3, "x")
//   c   | (4, "y")
//
// Thread safety: none.
#ifndef INSULA_KV_CLIENT_WRITE_BUFFER_H_
#define INSULA_KV_CLIENT_WRITE_BUFFER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace insula::kv {

class WriteBuffer {
 public:
  struct Version {
    uint32_t sequence;
    std::optional<std::string> value;  // nullopt: deleted
  };
  using Map = std::map<std::string, std::vector<Version>, std::less<>>;

  void Write(std::string key, std::optional<std::string> value, uint32_t sequence) {
    bytes_ += key.size() + (value ? value->size() : 0) + kOverhead;
    map_[std::move(key)].push_back({sequence, std::move(value)});
  }
  // The newest version; null: the key is not in the buffer.
  const Version* Find(std::string_view key) const {
    auto it = map_.find(key);
    return it == map_.end() ? nullptr : &it->second.back();
  }
  // Whether a key in [start, end) is in the buffer.
  bool Touches(std::string_view start, std::string_view end) const {
    auto it = map_.lower_bound(start);
    return it != map_.end() && it->first < end;
  }
  // What was written before all that is here.
  void PutBelow(WriteBuffer older);
  // Takes back all versions after `sequence`.
  void RollbackTo(uint32_t sequence);
  // Forgets all but the newest version of each key: no savepoint will be gone back to.
  void KeepNewest();
  void Clear() {
    map_.clear();
    bytes_ = 0;
  }
  const Map& map() const { return map_; }
  bool empty() const { return map_.empty(); }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kOverhead = 100;
  Map map_;
  size_t bytes_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_WRITE_BUFFER_H_
