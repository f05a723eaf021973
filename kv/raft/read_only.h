// Reads that wait for a quorum to confirm that the leader still leads.
//
// A request notes the commit index at its arrival and rides on a heartbeat. When a quorum has answered that heartbeat,
// or a later one, every request up to it may be served once that index is applied.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_READ_ONLY_H_
#define INSULA_KV_RAFT_READ_ONLY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kv/raft/message.h"
#include "kv/raft/quorum/quorum.h"

namespace insula::raft {

class ReadOnly {
 public:
  struct Request {
    Message message;
    uint64_t index = 0;
  };

  // Ignored if a request with the same bytes is waiting.
  void Add(uint64_t commit, Message message, NodeId self);
  // `from` confirmed the heartbeat that carried `context`. If that makes a quorum: the requests that it confirms, in
  // order.
  std::vector<Request> Acknowledge(NodeId from, std::string_view context, const quorum::JointConfig& voters);
  // What the next heartbeat carries: the newest request.
  std::string LastContext() const { return queue_.empty() ? std::string() : queue_.back().context; }
  bool empty() const { return queue_.empty(); }
  void Clear() { queue_.clear(); }

 private:
  struct Waiting {
    std::string context;
    Request request;
    NodeSet acks;
  };
  std::vector<Waiting> queue_;  // few at a time
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_READ_ONLY_H_
