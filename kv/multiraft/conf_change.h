// From one descriptor of a range to the next: which change of its consensus group that is.
//
//   flags of a replica     | counts in
//   -----------------------+------------------------------------------------------------------
//   none                   | both halves (the only one, outside of a joint change)
//   learner                | neither: it follows
//   incoming               | the new half only: about to vote
//   outgoing               | the old half only: about to go
//   outgoing, learner      | the old half only: about to be a learner
//
//   (1 2 3)  ──► (1 2 3) l4  ──► (1 2 3- 4+)  ──► (1 2 4)
//            simple          enter            leave
//
// Thread safety: pure.
#ifndef INSULA_KV_MULTIRAFT_CONF_CHANGE_H_
#define INSULA_KV_MULTIRAFT_CONF_CHANGE_H_

#include "absl/status/statusor.h"
#include "kv/raft/message.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Whether a change of replicas is half done: some replica counts in one half only.
bool IsJoint(const v1::RangeDescriptor& range);
// Whether no change is under way, nor left over: every replica votes.
bool IsSettled(const v1::RangeDescriptor& range);
// The change that makes `from`'s configuration `to`'s, without a context. kInvalidArgument if no single change does: outside of a joint
// configuration one learner may come or go; a joint one is entered with any number of changes and is left as its flags say.
absl::StatusOr<raft::ConfChangeV2> ConfChangeBetween(const v1::RangeDescriptor& from, const v1::RangeDescriptor& to);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_CONF_CHANGE_H_
