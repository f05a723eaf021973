#include "kv/replica/checks.h"

namespace insula::kv {

ChecksumVerdict Judge(const v1::RangeDescriptor& range, const std::map<StoreId, std::string>& sums) {
  ChecksumVerdict verdict;
  size_t voters = 0;
  std::map<std::string, size_t> votes;
  for (const auto& replica : range.replicas()) {
    if (replica.learner()) continue;
    ++voters;
    if (auto it = sums.find(replica.store_id()); it != sums.end()) ++votes[it->second];
  }
  for (const auto& [sum, count] : votes) {
    if (2 * count > voters) verdict.majority = sum;
  }
  for (const auto& [store, sum] : sums) {
    if (sum != sums.begin()->second) verdict.consistent = false;
    if (!verdict.majority.empty() && sum != verdict.majority) verdict.divergent.push_back(store);
  }
  return verdict;
}

}  // namespace insula::kv
