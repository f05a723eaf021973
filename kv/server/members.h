// Whom this node knows: the members of the cluster, where each is reached, and where all addressing begins.
//
//   an address comes from                                        | counts
//   -------------------------------------------------------------+--------
//   the node itself, with its heartbeats; a row that changed     | most: the newest of them
//   the operator, at this start (NodeOptions.peers)              |
//   a row of the system range                                    |
//   the file that an earlier run left                            | least
//
// So a cluster whose nodes all come back at other addresses finds itself before it can read any row.
//
// Invariants:
//   M1  A node that was decommissioned, as far as is known here, may not speak for its store.
//   M2  What is known is in the file soon after it was heard: after a restart at least one member that is still there can be asked,
//       unless all that were known have gone meanwhile.
// Loop thread only.
#ifndef INSULA_KV_SERVER_MEMBERS_H_
#define INSULA_KV_SERVER_MEMBERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/wait.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/keys/keys.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/raft.pb.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

class Members {
 public:
  // `path`: of the file. `given`: addresses by node, this node's included.
  Members(const Runtime& runtime, std::string path, uint64_t self, std::map<uint64_t, std::string> given);
  ~Members();

  // What an earlier run left. A file that is damaged or not there is none.
  void Load();

  // -- What is heard --
  // All rows, from the node that leads the system range.
  void Learn(const std::vector<v1::NodeRecord>& rows);
  void Heard(const v1::StoreLoad& load);
  // The descriptor of the range of all addresses, from a replica of it here or from elsewhere; older ones are ignored.
  void HeardMeta(const v1::RangeDescriptor& meta);

  // -- What is known --
  // Empty: not known.
  std::string AddressOf(uint64_t node) const;
  // Of all that are not decommissioned.
  std::vector<std::string> Addresses() const;
  // As the rows have it, or only with an address where there is no row yet; by node id.
  std::vector<v1::NodeRecord> Records() const;
  const v1::NodeRecord* Find(uint64_t node) const;
  const v1::RangeDescriptor& meta_range() const { return meta_; }
  // Whether the peer may speak for `store`: every node has one store, with its number.
  absl::Status CheckPeer(const PeerIdentity& peer, StoreId store) const;
  // Raised with every change of Records or Addresses.
  Condition& changed() { return changed_; }
  uint64_t version() const { return version_; }

 private:
  void Changed();
  void Save();

  Runtime runtime_;
  const std::string path_;
  const uint64_t self_;
  const std::map<uint64_t, std::string> given_;
  std::map<uint64_t, v1::NodeRecord> rows_;
  bool rows_known_ = false;  // from the leader, in this run
  std::map<uint64_t, std::string> heard_;
  v1::RangeDescriptor meta_;
  Condition changed_;
  uint64_t version_ = 0;
  bool saving_ = false;
  bool save_again_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_MEMBERS_H_
