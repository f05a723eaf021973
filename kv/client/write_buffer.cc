#include "kv/client/write_buffer.h"

namespace insula::kv {

void WriteBuffer::PutBelow(WriteBuffer older) {
  for (auto& [key, versions] : older.map_) {
    std::vector<Version>& here = map_[key];
    here.insert(here.begin(), std::make_move_iterator(versions.begin()), std::make_move_iterator(versions.end()));
  }
  bytes_ += older.bytes_;
  inserts_ += older.inserts_;
}

void WriteBuffer::RollbackTo(uint32_t sequence) {
  for (auto it = map_.begin(); it != map_.end();) {
    auto& versions = it->second;
    while (!versions.empty() && versions.back().sequence > sequence) {
      Uncount(it->first, versions.back());
      versions.pop_back();
    }
    it = versions.empty() ? map_.erase(it) : std::next(it);
  }
}

void WriteBuffer::KeepNewest() {
  for (auto& [key, versions] : map_) {
    for (size_t i = 0; i + 1 < versions.size(); ++i) Uncount(key, versions[i]);
    versions.erase(versions.begin(), versions.end() - 1);
  }
}

}  // namespace insula::kv
