// Consensus messages and liveness messages as protobufs and back.
#ifndef INSULA_KV_MULTIRAFT_RAFT_CONVERT_H_
#define INSULA_KV_MULTIRAFT_RAFT_CONVERT_H_

#include "absl/status/status.h"
#include "kv/multiraft/liveness.h"
#include "kv/raft/message.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

void ToProto(const raft::ConfState& in, v1::RaftConfState* out);
raft::ConfState FromProto(const v1::RaftConfState& in);

// `in` must be of a kind that travels.
void ToProto(const raft::Message& in, v1::RaftMessage* out);
// kInvalidArgument for kinds that do not exist or never travel. Takes the entries' bytes out of `in`.
absl::Status FromProto(v1::RaftMessage&& in, raft::Message* out);

void ToProto(const LivenessMessage& in, v1::LivenessMessage* out);
absl::Status FromProto(const v1::LivenessMessage& in, LivenessMessage* out);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_RAFT_CONVERT_H_
