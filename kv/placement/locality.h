// Where a node stands, widest first: "region=eu,zone=a,rack=12". Replicas of a range are spread over it.
#ifndef INSULA_KV_PLACEMENT_LOCALITY_H_
#define INSULA_KV_PLACEMENT_LOCALITY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace insula::kv::placement {

struct Tier {
  std::string key;
  std::string value;
  bool operator==(const Tier&) const = default;
};
using Locality = std::vector<Tier>;

// "" is the locality that says nothing. kInvalidArgument, with what is wrong, unless it is KEY=VALUE,… with different keys of letters,
// digits, '-', '_' and '.'.
absl::StatusOr<Locality> ParseLocality(std::string_view text);

// 0: the same place, as far as is known; 1: nothing in common, not even the widest tier.
double Distance(const Locality& a, const Locality& b);

// Sum of the distances of all pairs: what spreading makes as large as it can.
double Diversity(const std::vector<const Locality*>& places);

}  // namespace insula::kv::placement

#endif  // INSULA_KV_PLACEMENT_LOCALITY_H_
