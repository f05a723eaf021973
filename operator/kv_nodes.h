// Where the KV nodes are reached: as the operator was told at its start, then as the cluster says (WatchNodes), so that nodes may join and
// leave while it runs. Pods are stamped with what is known then.
#ifndef INSULA_OPERATOR_KV_NODES_H_
#define INSULA_OPERATOR_KV_NODES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "proto/kv/status.pb.h"
#include "proto/operator/pod.pb.h"

namespace insula::ops {

class KvNodes {
 public:
  // `given`: addresses by node id; not empty. `transport`: with the operator's identity; outlives it.
  KvNodes(Transport* transport, std::map<uint64_t, std::string> given) : transport_(transport), nodes_(std::move(given)) {}

  // Follows the cluster's table until `ctx` ends; reconnects by itself.
  Task<void> Run(Context ctx);
  // Takes the table; one without any node that is there changes nothing.
  void Learn(const kv::v1::WatchNodesResponse& all);

  size_t size() const { return nodes_.size(); }
  // The `n`th, counted round and round.
  std::string Address(size_t n) const;
  std::vector<v1::KvNode> All() const;

 private:
  Task<absl::Status> Follow(const Context& ctx, std::string address);

  Transport* transport_;
  std::map<uint64_t, std::string> nodes_;
  size_t next_ = 0;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_KV_NODES_H_
