#include "kv/client/range_cache.h"

#include <utility>
#include <vector>

#include "kv/keys/keys.h"

namespace insula::kv {

const v1::RangeDescriptor* RangeCache::Find(std::string_view key) const {
  auto it = ranges_.upper_bound(key);
  if (it == ranges_.begin()) return nullptr;
  --it;
  return keys::InBounds(it->second.start_key(), it->second.end_key(), key) ? &it->second : nullptr;
}

bool RangeCache::Insert(const v1::RangeDescriptor& range) {
  if (ranges_.size() >= kMaxEntries) ranges_.clear();
  // The first entry that may overlap: the one before the start, if it reaches over it.
  auto from = ranges_.upper_bound(range.start_key());
  if (from != ranges_.begin() && keys::InBounds(std::prev(from)->second.start_key(), std::prev(from)->second.end_key(), range.start_key())) --from;
  std::vector<v1::RangeDescriptor> left;  // of `range`, between newer entries
  bool newer = false;
  std::string at = range.start_key();
  bool to_the_end = false;  // a newer entry reaches beyond all keys
  auto keep = [&](const std::string& end) {
    if (!end.empty() && end <= at) return;
    v1::RangeDescriptor& piece = left.emplace_back(range);
    piece.set_start_key(at);
    piece.set_end_key(end);
  };
  for (auto it = from; it != ranges_.end() && (range.end_key().empty() || it->first < range.end_key());) {
    const v1::RangeDescriptor& entry = it->second;
    if (entry.generation() <= range.generation()) {
      it = ranges_.erase(it);
      continue;
    }
    newer = true;
    keep(entry.start_key());
    at = entry.end_key();
    to_the_end = at.empty();
    ++it;
  }
  if (!to_the_end) keep(range.end_key());
  for (v1::RangeDescriptor& piece : left) {
    std::string start = piece.start_key();
    ranges_.emplace(std::move(start), std::move(piece));
  }
  return !newer;
}

void RangeCache::Evict(std::string_view key) {
  auto it = ranges_.upper_bound(key);
  if (it == ranges_.begin()) return;
  --it;
  if (keys::InBounds(it->second.start_key(), it->second.end_key(), key)) ranges_.erase(it);
}

uint64_t RangeCache::Leaseholder(uint64_t range_id) const {
  auto it = leaseholders_.find(range_id);
  return it == leaseholders_.end() ? 0 : it->second;
}

void RangeCache::SetLeaseholder(uint64_t range_id, uint64_t node_id) {
  if (leaseholders_.size() >= kMaxEntries) leaseholders_.clear();
  leaseholders_[range_id] = node_id;
}

const std::string& RangeCache::Address(uint64_t node_id) const {
  static const std::string* const kUnknown = new std::string();
  auto it = addresses_.find(node_id);
  return it == addresses_.end() ? *kUnknown : it->second;
}

void RangeCache::SetAddress(uint64_t node_id, std::string_view address) {
  if (!address.empty()) addresses_[node_id] = std::string(address);
}

}  // namespace insula::kv
