// Sends and receives the state of a range as a stream of rows, for replicas that are new or too far behind.
//
//   leader                                        follower
//   consistent engine snapshot ─► header ───────► a few at a time per store; span free?
//                                        ◄─── go, from chunk n on: what an earlier stream brought is kept for a minute
//                                 rows … done ──► staged in memory, or in files beside the engine (snapshot_rows.h)
//                                                 one after the other: span still free?
//                                                 Step(kSnap) ─► consensus wants it ─► installed (RaftGroup::InstallSnapshot)
//   ReportSnapshot ◄───────────────────────────── accepted, applied
//
// A stream that breaks is gone on with as long as that gets anywhere. All that a store sends together keeps to a rate, and so does all
// that it takes (SnapshotOptions::bytes_per_second). Of those that come together, whoever has been at it for a turn while others wait makes
// room, and goes on later where it was: a sender that is slow, or silent, holds nobody up for longer. Row checksums cover the way; the
// engines cover the disks. The state sent is that of the engine snapshot's moment, which may be newer than the one that consensus asked for.
#ifndef INSULA_KV_MULTIRAFT_SNAPSHOT_H_
#define INSULA_KV_MULTIRAFT_SNAPSHOT_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/multiraft/raft_group.h"
#include "kv/multiraft/snapshot_rows.h"
#include "kv/multiraft/store_streams.h"
#include "kv/raft/message.h"

namespace insula::kv {

class MultiRaft;

struct SnapshotOptions {
  uint64_t bytes_per_second = 64 << 20;  // of all that this store sends together, and of all that it takes; 0: no limit
  size_t chunk_bytes = 256 << 10;
  size_t bytes_in_memory = 1 << 20;      // of one that comes; what is larger waits in files
  size_t taken_at_once = 8;              // each costs the memory of the above, of a chunk, and of what its stream buffers
  Duration turn = std::chrono::seconds(10);
};

// What keeps to a rate together.
class SnapshotRate {
 public:
  // Waits until `bytes` more may pass. `per_second` 0: at once.
  Task<absl::Status> Wait(const Context& ctx, uint64_t per_second, size_t bytes);

 private:
  MonoTime next_{};
};

class SnapshotTransfer {
 public:
  static constexpr char kMethod[] = "/insula.kv.v1.Stores/Snapshot";
  static constexpr uint32_t kVersion = 2;
  static constexpr uint64_t kMaxBytes = 16ull << 30;  // of one range; more is refused
  static constexpr size_t kSentAtOnce = 2;

  SnapshotTransfer(MultiRaft* host, Transport* transport, StoreId self, StoreResolver resolver, PeerCheck check);
  ~SnapshotTransfer();

  // From now on snapshots are taken in.
  void Start() { serving_ = true; }
  void Stop() {
    serving_ = false;
    partial_.clear();
  }
  size_t incoming() const { return incoming_.size(); }
  // Sends the state of `group` for `message` (a kSnap); reports to it how that went.
  Task<void> Send(std::shared_ptr<RaftGroup> group, raft::Message message);
  uint64_t sent() const { return sent_; }
  uint64_t installed() const { return installed_; }
  void NoteInstalled() { ++installed_; }

 private:
  // What is sent, for as long as that takes and over as many streams.
  struct Outgoing {
    StoreId store = 0;
    v1::SnapshotHeader header;
    SnapshotRows rows;
    absl::Status unreadable{};  // OK, or why this store cannot read them
  };
  // What came by a stream that broke, until another goes on with it.
  struct Partial {
    std::string id;
    std::shared_ptr<StagedSnapshot> staged;
    uint64_t number = 0;
  };
  using Source = std::pair<StoreId, RangeId>;  // which range, and who sends it
  static Source SourceOf(const v1::SnapshotHeader& header) { return {header.envelope().from_store(), header.envelope().range_id()}; }
  // One that comes.
  struct Incoming {
    v1::SnapshotHeader header;
    raft::Message message;
    std::shared_ptr<StagedSnapshot> staged;
    Context waits;          // for its turn, and for rows: ended when it is to make room
    bool has_turn = false;  // and not all of its rows
    MonoTime since{};       // it has it
    bool made_room = false;
  };

  Task<absl::Status> TrySend(const Context& ctx, RaftGroup* group, const raft::Message& message);
  absl::StatusOr<std::unique_ptr<Outgoing>> Take(RaftGroup* group, const raft::Message& message);
  // One stream. kUnavailable: it broke.
  Task<absl::Status> Stream(const Context& ctx, Outgoing* out);
  Task<absl::Status> SendRows(const Context& ctx, Outgoing* out, MessageStream* stream);
  Task<absl::Status> Serve(Context ctx, std::unique_ptr<MessageStream> stream);
  absl::StatusOr<v1::SnapshotHeader> CheckHeader(const std::string& bytes, const PeerIdentity& peer, raft::Message* message);
  // Until no other stream brings the same.
  Task<absl::Status> TakeOver(const Context& ctx, const v1::SnapshotHeader& header);
  Task<absl::Status> ReceiveInTurn(const Context& ctx, Incoming* in, MessageStream* stream, v1::SnapshotReply* reply);
  Task<absl::Status> Receive(const Context& ctx, Incoming* in, MessageStream* stream);
  Task<absl::Status> ReceiveRows(const Context& ctx, Incoming* in, MessageStream* stream, bool* of_use);
  Task<absl::Status> Install(Incoming* in, v1::SnapshotReply* reply);
  Task<absl::Status> Offer(Incoming* in, v1::SnapshotReply* reply);
  // Those that have had their turn make room, as far as others wait for it. Result: when to look again.
  MonoTime EndTurns();
  Task<void> EndTurnsWhileWaiting();
  std::shared_ptr<StagedSnapshot> TakePartial(const v1::SnapshotHeader& header);
  void KeepPartial(const v1::SnapshotHeader& header, std::shared_ptr<StagedSnapshot> staged);
  Task<void> Forget(Source source, uint64_t number);

  MultiRaft* host_;
  Transport* transport_;
  const StoreId self_;
  StoreResolver resolver_;
  PeerCheck check_;
  bool serving_ = false;
  Semaphore sending_{kSentAtOnce};
  Semaphore receiving_;
  Semaphore installing_{1};
  SnapshotRate send_rate_, take_rate_;
  std::vector<std::shared_ptr<Incoming>> incoming_;  // in order of arrival
  Condition incoming_left_;
  size_t waiting_ = 0;  // of them, for their turn
  bool ending_turns_ = false;
  std::map<Source, Partial> partial_;
  uint64_t partials_ = 0;  // kept so far
  uint64_t taken_ = 0;     // of this store's ranges, so far
  uint64_t sent_ = 0;
  uint64_t installed_ = 0;
  std::shared_ptr<SnapshotTransfer*> alive_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_SNAPSHOT_H_
