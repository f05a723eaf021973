// What a transaction has written and not sent: by key, every version since the last flush by its sequence number, so that a savepoint
// can take back the later ones.
//
//   key | versions
//   ----+-----------------------------
//   a   | (3, "x"), (7, deleted)          rolled back to savepoint 5: (3, "x")
//   c   | (4, "y")
//   d   | (6, "z", to be new)             whoever sends it lets the node check that there is no row yet
//
// Thread safety: none.
#ifndef INSULA_KV_CLIENT_WRITE_BUFFER_H_
#define INSULA_KV_CLIENT_WRITE_BUFFER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/api/txn.h"

namespace insula::kv {

class WriteBuffer {
 public:
  struct Version {
    uint32_t sequence;
    std::optional<std::string> value;         // nullopt: deleted
    std::shared_ptr<const RowTaken> taken{};  // of a row that is to be new: what to say if it is not
    bool to_be_new() const { return taken != nullptr; }
  };
  using Map = std::map<std::string, std::vector<Version>, std::less<>>;

  void Write(std::string key, std::optional<std::string> value, uint32_t sequence, std::shared_ptr<const RowTaken> taken = nullptr) {
    bytes_ += BytesOf(key, value);
    if (taken != nullptr) ++inserts_;
    map_[std::move(key)].push_back({sequence, std::move(value), std::move(taken)});
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
    bytes_ = inserts_ = 0;
  }
  const Map& map() const { return map_; }
  bool empty() const { return map_.empty(); }
  size_t bytes() const { return bytes_; }
  // Versions that are to be new.
  size_t inserts() const { return inserts_; }

 private:
  static constexpr size_t kOverhead = 100;
  static size_t BytesOf(const std::string& key, const std::optional<std::string>& value) { return key.size() + (value ? value->size() : 0) + kOverhead; }
  void Uncount(const std::string& key, const Version& version) {
    bytes_ -= BytesOf(key, version.value);
    if (version.to_be_new()) --inserts_;
  }

  Map map_;
  size_t bytes_ = 0;
  size_t inserts_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_WRITE_BUFFER_H_
