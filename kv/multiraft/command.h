// What one entry of a range's log asks every replica to do.
//
// An entry holds the evaluated write set, so that applying it is the same work with the same result everywhere, and what it was
// evaluated under, so that it can be refused the same way everywhere:
//   C1  lease_sequence must equal the term of the entry that carries it: it was evaluated by the leader that appended it.
//   C2  max_lease_index must be above the highest one applied: a command that is in the log twice is applied once.
//   C3  a change of replicas must be of the generation after the descriptor's: it was made from it.
// An entry that fails one of them is without effect on every replica.
#ifndef INSULA_KV_MULTIRAFT_COMMAND_H_
#define INSULA_KV_MULTIRAFT_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "kv/mvcc/stats.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// The range becomes `left`, and `right` comes to be beside it. Whoever proposes this holds a latch on the whole range, for reads
// too, until it is applied.
struct SplitTrigger {
  v1::RangeDescriptor left;
  v1::RangeDescriptor right;
  mvcc::Stats right_stats;  // left keeps the rest
  Timestamp served;         // at or above every timestamp served on the right side: its first lease starts above it
};

// The range takes its right neighbour in. The right side is subsumed: it has applied `right_applied` on its leaseholder and appends nothing
// more. A store applies this only once its own replica of the right side has applied as much.
struct MergeTrigger {
  v1::RangeDescriptor left;   // as it becomes
  v1::RangeDescriptor right;  // as it was
  uint64_t right_applied = 0;
  mvcc::Stats right_stats;
  Timestamp served;           // at or above every timestamp served on the right side
};

// The range's replicas become those of `range`: one step of a (joint) change. Such a command is the context of an entry with a
// configuration change (raft::ConfChangeV2), which takes effect exactly if the command does.
struct ReplicaChange {
  v1::RangeDescriptor range;
};

// Of one command's write set and effects together: as one entry of the log it has to fit into a message.
inline constexpr size_t kMaxCommandBytes = 36 << 20;

struct Command {
  std::string write_set;    // storage::WriteBatch bytes; empty: none
  mvcc::Stats stats_delta;
  std::string effects;      // kv/replica's: what else to do on each replica when this applies (in memory only)
  std::optional<SplitTrigger> split;
  std::optional<MergeTrigger> merge;
  std::optional<ReplicaChange> change;
  std::string check_id;     // not empty: each replica computes its checksum as of this entry, to be asked for under this id
  uint64_t lease_sequence = 0;

  // Filled in by Propose.
  uint64_t proposal_id = 0;  // unique among the proposals of one leader's term
  uint64_t max_lease_index = 0;
};

std::string EncodeCommand(const Command& command);
absl::Status DecodeCommand(std::string_view bytes, Command* command);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_COMMAND_H_
