// How one replica's consensus is set up, and what it asks of the world around it.
#ifndef INSULA_KV_RAFT_CONFIG_H_
#define INSULA_KV_RAFT_CONFIG_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "kv/raft/message.h"
#include "kv/raft/storage.h"

namespace insula::raft {

inline constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };

// Where consensus tells what it does. Lines are built only if there is a sink and it wants the level.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual bool Wants(LogLevel level) const = 0;
  virtual void Line(LogLevel level, std::string_view text) = 0;
};

// What the stores promise each other, in terms of one group's replicas (kv/multiraft/liveness.h behind it). Timestamps
// are of the hybrid logical clock, as opaque ordered numbers. See fortify.h for what consensus builds on it.
class StoreLivenessView {
 public:
  virtual ~StoreLivenessView() = default;

  struct Given {
    uint64_t epoch = 0;      // 0: never supported
    bool supported = false;  // stays true until a withdrawal is durable
  };
  struct Received {
    uint64_t epoch = 0;       // 0: no support
    uint64_t expiration = 0;  // the supporter withdraws only when its own clock has passed this
  };

  // The support that this store gives to the store of `replica` (which may be this one).
  // Promises: V1 epochs only rise; V2 an epoch that was withdrawn or passed is never supported again, across restarts
  // too; V3 after a restart, an epoch that was supported stays so for one full interval.
  virtual Given SupportFor(NodeId replica) const = 0;
  // The support that the store of `replica` (which may be this one) gives to this store, as far as known here.
  virtual Received SupportFrom(NodeId replica) const = 0;
  // Whether this store's clock has passed `expiration`.
  virtual bool Expired(uint64_t expiration) const = 0;
  // A timestamp at or above this store's clock and every timestamp served here.
  virtual uint64_t Hlc() const = 0;
  // From now on Hlc() is at least `hlc`, which another replica sent.
  virtual void ObserveHlc(uint64_t hlc) = 0;
};

enum class ReadOnlyOption : uint8_t {
  kSafe,        // each read asks a quorum whether the leader still leads
  kLeaseBased,  // reads trust check_quorum and bounded clock drift
};

struct Config {
  NodeId id = kNone;
  // In ticks. An election starts after [election_tick, 2 * election_tick) without a leader.
  int election_tick = 10;
  int heartbeat_tick = 1;
  Storage* storage = nullptr;  // outlives the RawNode
  // The last index applied to the state machine; entries after it are handed out again.
  uint64_t applied = 0;

  // Storage is written through kStorageAppend and kStorageApply messages instead of Ready and Advance (raw_node.h).
  bool async_storage_writes = false;
  uint64_t max_size_per_msg = kNoLimit;       // of the entries in one kApp; 0: one entry per message
  uint64_t max_committed_size_per_ready = 0;  // 0: max_size_per_msg
  uint64_t max_uncommitted_size = 0;          // payload bytes in the leader's uncommitted tail; 0: no limit
  int max_inflight_msgs = 256;                // kApp messages on their way to one follower
  uint64_t max_inflight_bytes = 0;            // and their bytes; 0: no limit

  bool check_quorum = false;
  bool pre_vote = false;
  ReadOnlyOption read_only_option = ReadOnlyOption::kSafe;
  bool disable_proposal_forwarding = false;
  bool disable_conf_change_validation = false;
  bool step_down_on_removal = false;

  // Uniform in [0, bound); spreads election timeouts. Required.
  std::function<uint64_t(uint64_t bound)> random;
  LogSink* log = nullptr;

  // Fortified leader leases; null: plain Raft. Outlives the RawNode.
  StoreLivenessView* liveness = nullptr;
  // S1  A configuration change is handed out for application only when a hard state with commit at or past it is
  // durable. S2  After a start the replica neither votes nor campaigns until it has applied up to the commit index it
  // found. S3  Answers to vote requests carry what is committed, so that a change whose commit only the removed know is
  // found out.
  bool synced_conf_changes = false;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_CONFIG_H_
