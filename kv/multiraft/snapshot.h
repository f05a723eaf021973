// Sends and receives the state of a range as a stream of rows, for replicas that are new or too far behind.
//
//   leader                                        follower
//   consistent engine snapshot ─► header ───────► one at a time per store; span free? ─► staged in memory
//                                 rows … done ──► Step(kSnap) ─► consensus wants it ─► installed (RaftGroup::InstallSnapshot)
//   ReportSnapshot ◄───────────────────────────── accepted, applied
//
// All that a store sends together keeps to a rate (MultiRaftOptions::snapshot_bytes_per_second). Row checksums cover the way; the engines cover the disks. The state sent is that of the engine snapshot's moment, which may be
// newer than the one that consensus asked for.
#ifndef INSULA_KV_MULTIRAFT_SNAPSHOT_H_
#define INSULA_KV_MULTIRAFT_SNAPSHOT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/multiraft/raft_group.h"
#include "kv/multiraft/store_streams.h"
#include "kv/raft/message.h"

namespace insula::kv {

class MultiRaft;

class SnapshotTransfer {
 public:
  static constexpr char kMethod[] = "/insula.kv.v1.Stores/Snapshot";
  static constexpr uint32_t kVersion = 1;
  static constexpr uint64_t kMaxBytes = 1ull << 30;  // of one range; more is refused

  SnapshotTransfer(MultiRaft* host, Transport* transport, StoreId self, StoreResolver resolver, PeerCheck check);
  ~SnapshotTransfer();

  // From now on snapshots are taken in.
  void Start() { serving_ = true; }
  void Stop() { serving_ = false; }
  // Sends the state of `group` for `message` (a kSnap); reports to it how that went.
  Task<void> Send(std::shared_ptr<RaftGroup> group, raft::Message message);
  uint64_t sent() const { return sent_; }
  uint64_t installed() const { return installed_; }
  void NoteInstalled() { ++installed_; }

 private:
  Task<absl::Status> TrySend(const Context& ctx, RaftGroup* group, const raft::Message& message);
  Task<absl::Status> KeepToRate(const Context& ctx, size_t bytes);
  Task<absl::Status> SendRows(const Context& ctx, storage::Reader* reader, const v1::RangeDescriptor& descriptor, MessageStream* stream);
  Task<absl::Status> Serve(Context ctx, std::unique_ptr<MessageStream> stream);
  Task<absl::StatusOr<std::shared_ptr<StagedSnapshot>>> ReceiveRows(const Context& ctx, const v1::SnapshotHeader& header, MessageStream* stream);

  MultiRaft* host_;
  Transport* transport_;
  const StoreId self_;
  StoreResolver resolver_;
  PeerCheck check_;
  bool serving_ = false;
  Semaphore sending_{2};
  Semaphore receiving_{1};
  MonoTime next_send_{};  // by the rate
  uint64_t sent_ = 0;
  uint64_t installed_ = 0;
  std::shared_ptr<SnapshotTransfer*> alive_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_SNAPSHOT_H_
