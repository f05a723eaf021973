// Store liveness: stores promise each other support for an interval, and consensus builds its leases on that
// (kv/raft/fortify.h). Pure logic: time, messages and finished writes in; messages, writes and changes out.
//
//   requester R                                       supporter S
//   every 200 ms: HEARTBEAT(epoch, now_R + 1.2 s) --> epoch is new: write it down, then
//                                                     promise until min(asked, now_S + 1.2 s)
//   SupportFrom(S) = (epoch, expiration)         <--  HEARTBEAT_RESPONSE(epoch, expiration)
//                                                     now_S > expiration: write the withdrawal down, then withdraw
//   next heartbeat in epoch + 1                  <--  HEARTBEAT_RESPONSE(epoch + 1, 0)
//
//   a supporter's state for one requester
//
//          new epoch            written               expired            written
//   none ------------> adopting -------> promised ------------> withdrawing ------> withdrawn
//                          ^                 | expired, and a newer epoch asks          |
//                          +-----------------+------------------------------------------+
//
// Epochs are of a pair: 40 bits count the requester's starts (written before its first heartbeat), 24 bits what this
// supporter has withdrawn since. So one supporter that withdraws does not disturb what others promised.
//
// Promises (liveness_test.cc):
//   L1  Having answered (epoch, expiration), a supporter supports that epoch until its own clock has passed the
//       expiration, whatever it receives, restarts included. No promise is cut short, not even by a newer epoch of
//       the requester, whose earlier self may have served timestamps up to the expiration.
//   L2  SupportFor: epochs only rise, and an epoch once left is never supported again, restarts included.
//   L3  SupportFrom never shows more than the supporter promised, and nothing of an epoch given up.
//   L4  What is written is durable before it shows: an epoch before it is promised, a withdrawal before SupportFor
//       says so.
//   L5  A store sends heartbeats only if its log engine synced within the last interval; this store counts among its
//       own peers, so that a store with a stalled disk loses its own support, too.
// Assumes: the clock (a hybrid logical clock) never goes back, across restarts neither; what was reported durable
// stays.
//
// Thread safety: none.
#ifndef INSULA_KV_MULTIRAFT_LIVENESS_H_
#define INSULA_KV_MULTIRAFT_LIVENESS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/hlc/hlc.h"
#include "base/runtime/time.h"
#include "kv/keys/keys.h"

namespace insula::kv {

struct LivenessMessage {
  enum class Type : uint8_t { kHeartbeat, kHeartbeatResponse };
  Type type = Type::kHeartbeat;
  StoreId from = 0;
  StoreId to = 0;
  uint64_t epoch = 0;
  Timestamp expiration;  // asked for; or promised, empty: no support in any epoch below this one
};

// What a supporter must remember of one requester.
struct SupportRecord {
  uint64_t epoch = 0;
  bool withdrawn = false;

  bool operator==(const SupportRecord&) const = default;
};

// All that must survive a restart.
struct LivenessState {
  uint64_t starts = 0;
  std::map<StoreId, SupportRecord> given;
};

// To be made durable, in order of `sequence`; then SupportManager::Written(sequence).
struct LivenessWrite {
  uint64_t sequence = 0;
  std::optional<uint64_t> starts;
  std::map<StoreId, SupportRecord> given;

  void ApplyTo(LivenessState* state) const;
};

class SupportManager {
 public:
  struct Options {
    StoreId self = 0;
    Duration heartbeat_interval = std::chrono::milliseconds(200);
    Duration support_interval = std::chrono::milliseconds(1200);
  };

  struct Output {
    std::vector<LivenessMessage> messages;
    std::optional<LivenessWrite> write;
    // Stores with which support began or ended, in either direction (an extension is not a change): for groups with a
    // replica there, RawNode::OnSupportChange.
    std::set<StoreId> changed;
  };

  // `state`: as it was written when the process ended (by now the next start is counted).
  SupportManager(Options options, const LivenessState& state, Timestamp now);

  // -- Input --
  // Begins to ask `store` for support. This store itself is a peer from the start.
  void AddPeer(StoreId store);
  // Ends it: the store was removed from the cluster.
  void RemovePeer(StoreId store);
  // Often enough: at NextTick(), or each 50 ms.
  void Tick(Timestamp now);
  void Receive(const LivenessMessage& message, Timestamp now);
  void Written(uint64_t sequence, Timestamp now);
  void LogSynced(Timestamp now);

  // -- Output --
  // What arose since the last call.
  Output TakeOutput();
  Timestamp NextTick() const;
  // The log engine has been idle for so long that it should write something and sync, or heartbeats will cease.
  bool WantsLogSync(Timestamp now) const;

  // -- What is promised now (raft::StoreLivenessView) --
  struct Given {
    uint64_t epoch = 0;
    bool supported = false;
  };
  struct Received {
    uint64_t epoch = 0;
    Timestamp expiration;
  };
  Given SupportFor(StoreId store) const;
  Received SupportFrom(StoreId store) const;

 private:
  enum class Phase : uint8_t { kNone, kAdopting, kPromised, kWithdrawing, kWithdrawn };

  // As supporter of one store.
  struct Supporter {
    Phase phase = Phase::kNone;
    uint64_t epoch = 0;           // shown
    Timestamp expiration;         // kPromised, kWithdrawing: told, or after a restart an upper bound of that
    Timestamp keep_until;         // withdraw not before; >= expiration
    bool supported = false;       // shown
    uint64_t next_epoch = 0;      // kAdopting
    Timestamp next_expiration;    // kAdopting: asked for
    uint64_t write_sequence = 0;  // kAdopting, kWithdrawing
  };
  // As requester of one store.
  struct Requester {
    uint64_t epoch = 0;
    Timestamp expiration;  // promised in `epoch`; empty: nothing
    bool live = false;     // as last announced in Output::changed
    Timestamp next_heartbeat;
  };

  void ReceiveHeartbeat(const LivenessMessage& m);
  void ReceiveResponse(const LivenessMessage& m);
  void Adopt(StoreId store, Supporter* s, const LivenessMessage& m);
  void Extend(Supporter* s, Timestamp asked);
  void Answer(StoreId store, uint64_t epoch, Timestamp expiration);
  void Withdraw(StoreId store, Supporter* s);
  void SendHeartbeat(StoreId store, Requester* r);
  void Send(LivenessMessage m);
  void Announce(StoreId store, Requester* r);
  void Advance(Timestamp now);
  uint64_t Record(StoreId store, SupportRecord record);
  bool SyncedLately() const;

  const Options options_;
  const uint64_t starts_;
  bool start_durable_ = false;
  Timestamp now_;
  Timestamp last_tick_;
  Timestamp no_withdrawal_before_;
  Timestamp last_sync_;
  std::map<StoreId, Supporter> given_;
  std::map<StoreId, Requester> asked_;
  uint64_t next_sequence_ = 1;
  Output output_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_LIVENESS_H_
