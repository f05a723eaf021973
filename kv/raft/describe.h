// Consensus values as text, for tests, traces and tools. The form is the one of etcd/raft's scenario files.
#ifndef INSULA_KV_RAFT_DESCRIBE_H_
#define INSULA_KV_RAFT_DESCRIBE_H_

#include <string>
#include <vector>

#include "kv/raft/message.h"
#include "kv/raft/raw_node.h"

namespace insula::raft {

std::string Describe(const Entry& entry);      // 1/4 EntryNormal "foo"
std::string Describe(const HardState& state);  // Term:1 Vote:1 Commit:3
std::string Describe(const SoftState& state);  // Lead:1 State:StateLeader
std::string Describe(const ConfState& state);
std::string Describe(const Snapshot& snapshot);
std::string Describe(const std::vector<Entry>& entries);  // one per line, each line ended
// Several lines if there are several entries or responses; lines after the first start with `indent`.
std::string Describe(const Message& message, std::string_view indent = "");
std::string Describe(const Ready& ready);

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_DESCRIBE_H_
