#include "kv/client/range_cache.h"

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
  auto to = from;
  for (; to != ranges_.end() && (range.end_key().empty() || to->first < range.end_key()); ++to) {
    if (to->second.generation() > range.generation()) return false;
  }
  ranges_.erase(from, to);
  ranges_.emplace(range.start_key(), range);
  return true;
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
