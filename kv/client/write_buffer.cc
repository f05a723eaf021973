#include "kv/client/write_buffer.h"

namespace insula::kv {

void WriteBuffer::RollbackTo(uint32_t sequence) {
  for (auto it = map_.begin(); it != map_.end();) {
    auto& versions = it->second;
    while (!versions.empty() && versions.back().sequence > sequence) {
      bytes_ -= it->first.size() + (versions.back().value ? versions.back().value->size() : 0) + kOverhead;
      versions.pop_back();
    }
    it = versions.empty() ? map_.erase(it) : std::next(it);
  }
}

}  // namespace insula::kv
