// Where ranges are, as far as a client has heard: descriptors by key, who was last seen to hold each lease, nodes' addresses.
//
// A hint, never the truth: whoever follows an old entry is set right by the range itself. Entries do not overlap; where two would, the
// higher generation stays. Bounded: past kMaxEntries everything is forgotten and learned anew.
// Thread safety: none.
#ifndef INSULA_KV_CLIENT_RANGE_CACHE_H_
#define INSULA_KV_CLIENT_RANGE_CACHE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "proto/kv/api.pb.h"

namespace insula::kv {

class RangeCache {
 public:
  static constexpr size_t kMaxEntries = 50'000;

  // The range that holds `key`; null: not known. Valid until the cache changes.
  const v1::RangeDescriptor* Find(std::string_view key) const;
  // Takes note of `range`. False if something newer covers a part of it: then what lies outside of that is kept, as addresses may be
  // behind, and whoever asks the range there hears what became of it.
  bool Insert(const v1::RangeDescriptor& range);
  // Forgets what is known of the range of `key`.
  void Evict(std::string_view key);

  // The node that answered for the range last, or was named; 0: not known.
  uint64_t Leaseholder(uint64_t range_id) const;
  void SetLeaseholder(uint64_t range_id, uint64_t node_id);
  void ForgetLeaseholder(uint64_t range_id) { leaseholders_.erase(range_id); }

  // Empty: not known.
  const std::string& Address(uint64_t node_id) const;
  void SetAddress(uint64_t node_id, std::string_view address);
  // By node id.
  const std::map<uint64_t, std::string>& addresses() const { return addresses_; }

  size_t size() const { return ranges_.size(); }

 private:
  using Ranges = std::map<std::string, v1::RangeDescriptor, std::less<>>;  // by start key
  Ranges ranges_;
  std::map<uint64_t, uint64_t> leaseholders_;
  std::map<uint64_t, std::string> addresses_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_RANGE_CACHE_H_
