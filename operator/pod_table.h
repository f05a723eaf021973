// All pods as the directory shows them, with a change feed. Plain data; loop thread only.
#ifndef INSULA_OPERATOR_POD_TABLE_H_
#define INSULA_OPERATOR_POD_TABLE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/async/wait.h"
#include "proto/operator/operator.pb.h"
#include "tenant/tenant.h"

namespace insula::ops {

using Pod = insula::ops::v1::Pod;

class PodTable {
 public:
  // Adds or replaces a pod.
  void Put(Pod pod);
  void Remove(const std::string& id);
  const Pod* Find(const std::string& id) const;
  std::vector<Pod> All() const;
  std::vector<Pod> OfTenant(TenantId tenant) const;
  // A pod of this tenant that takes connections.
  std::optional<Pod> ReadyPod(TenantId tenant) const;
  // Takes a prewarmed pod out of the pool (its state becomes STAMPING).
  std::optional<Pod> Pluck();
  size_t Count(v1::PodState state) const;

  // The feed: every change has a number; a watcher asks for what came after the last one it has seen.
  uint64_t version() const { return version_; }
  struct Changes {
    std::vector<Pod> changed;
    std::vector<std::string> removed;
  };
  Changes Since(uint64_t version) const;
  Condition& changed() { return changed_; }

 private:
  struct Row {
    Pod pod;
    uint64_t version = 0;
    bool removed = false;  // kept as a tombstone, for watchers
  };
  void Touch(Row& row);

  std::map<std::string, Row> rows_;
  uint64_t version_ = 0;
  Condition changed_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_POD_TABLE_H_
