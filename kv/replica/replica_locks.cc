// Unreplicated locks that are to outlive the leaseholder's memory.
//
//   TransferLease ─► latch everything ─► entry: locks as replicated ones ─► the group hands over ─► the next leaseholder meets them
//   a split's entry carries those of the right-hand side (Propose)
//
// A replicated lock is resolved with its transaction like an intent: everything that is locked lies in the coordinator's lock spans.
// A transaction without a record does not survive a change of its anchor's lease: those that hold locks here get one.
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/replica/replica.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {
// Beyond, locks are lost with the lease: an entry stays small, and holders find out.
constexpr size_t kMaxKeptLocks = 50'000;
}  // namespace

// A record, as a heartbeat would make it.
absl::Status Replica::KeepTxn(storage::ReadWriter& rw, const v1::TxnMeta& meta) {
  ASSIGN_OR_RETURN(auto record, LoadRecord(rw, meta.anchor_key(), meta.id()));
  if (record || markers_.Max(NoRecordMarker(meta.anchor_key(), meta.id()), {}) >= Timestamp{meta.min_ts()}) return absl::OkStatus();
  v1::Transaction fresh;
  *fresh.mutable_meta() = meta;
  const Timestamp moved = markers_.Max(MovedMarker(meta.anchor_key(), meta.id()), {});
  fresh.mutable_meta()->set_write_ts(std::max(meta.write_ts(), moved.bits));
  fresh.set_status(v1::PENDING);
  fresh.set_last_heartbeat(group_->clock().Now().bits);
  StoreRecord(rw, meta.anchor_key(), fresh);
  return absl::OkStatus();
}

// Adds to `command` rows for all unreplicated locks at or above `from`. The caller holds latches over them. Gives their number.
absl::StatusOr<size_t> Replica::KeepLocks(std::string_view from, Command* command) {
  std::vector<LockTable::HeldLock> held = locks_.Unreplicated(from, kMaxKeptLocks);
  if (held.empty()) return size_t{0};
  storage::ReadWriter rw(group_->engine().NewReader());
  std::set<std::string> recorded;
  for (const LockTable::HeldLock& lock : held) {
    v1::Transaction txn;
    *txn.mutable_meta() = lock.txn;
    mvcc::WriteParams params;
    params.ts = lock.since;
    params.txn = &txn;
    params.read_ts = Timestamp::Max().Prev();
    params.exclusive_since = lock.since;
    params.stats = &command->stats_delta;
    mvcc::Outcome o = mvcc::AcquireLock(rw, lock.key, lock.strength, params);
    if (o.kind() == mvcc::Outcome::Kind::kError) return o.status();
    // A replicated lock of others in the way would mean that this one was lost already.
    if (IsInside(group_->descriptor(), lock.txn.anchor_key(), {}) && lock.txn.anchor_key() >= from && recorded.insert(lock.txn.id()).second) {
      RETURN_IF_ERROR(KeepTxn(rw, lock.txn));
    }
  }
  if (command->write_set.empty()) {
    command->write_set = rw.ToBatch().TakeBytes();
    return held.size();
  }
  ASSIGN_OR_RETURN(storage::WriteBatch whole, storage::WriteBatch::FromBytes(command->write_set));
  whole.Append(rw.ToBatch());
  command->write_set = whole.TakeBytes();
  return held.size();
}

Task<absl::Status> Replica::TransferLease(Context ctx, StoreId store) {
  auto self = shared_from_this();
  if (group_ == nullptr) co_return NotLeaseholderError(0, {});
  WholeRange whole;
  CO_RETURN_IF_ERROR(co_await LatchWhole(ctx, whole));
  LeaseCheck check = group_->CheckLease(group_->clock().Now());
  if (!check.valid() || check.lease.sequence != lease_.sequence) co_return NotLeaseholderError(check.holder_node, {});
  Command command;
  CO_ASSIGN_OR_RETURN(size_t kept, KeepLocks(whole.start, &command));
  if (kept > 0) {
    command.lease_sequence = lease_.sequence;
    CO_RETURN_IF_ERROR(co_await Propose(std::move(command)));
    if (group_ == nullptr) co_return NotLeaseholderError(0, {});
  }
  // Whether or not it comes to that, the locks are known to be held: here still, and there.
  co_return co_await group_->TransferLease(std::move(ctx), store);
}

}  // namespace insula::kv
