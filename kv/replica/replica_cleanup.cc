#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "kv/keys/keys.h"
#include "kv/replica/replica.h"
#include "kv/txn/record.h"
#include "kv/txn/recovery.h"

namespace insula::kv {
namespace {
constexpr int kRowsPerSweep = 256;
constexpr int kRowsPerLook = 250;  // a fraction of a millisecond
constexpr Duration kPauseBetweenLooks = 5ms;
constexpr size_t kAbortedToSweep = 256;
}  // namespace

// Everything that a finished transaction left is resolved: its record has served.
Task<void> Replica::ForgetRecord(std::string anchor, std::string txn_id) {
  if (group_ == nullptr) co_return;
  std::string latch_key = RecordLatchKey(anchor, txn_id);
  Sequencer::Spec spec;
  spec.latches = {{.key = latch_key, .write = true}};
  Sequencer::Ticket ticket(std::move(spec));
  if (!sequencer_.TrySequence(ticket) && !(co_await sequencer_.Sequence(ctx_, ticket)).ok()) co_return;
  if (group_ == nullptr || !IsInside(group_->descriptor(), anchor, {})) co_return;
  LeaseCheck check = group_->CheckLease(group_->clock().Now());
  if (!check.valid() || check.lease.sequence != lease_.sequence) co_return;
  storage::ReadWriter rw(group_->engine().NewReader());
  RemoveRecord(rw, anchor, txn_id);
  Command command;
  command.write_set = rw.ToBatch().TakeBytes();
  command.lease_sequence = lease_.sequence;
  markers_.AddPoint(NoRecordMarker(anchor, txn_id), group_->clock().Now(), {});
  (void)co_await Propose(std::move(command));  // what is left is found by the next lease
}

// Removes outcomes past their retention, a few at a time, going round through the range as commits come in.
Task<void> Replica::SweepOutcomes() {
  if (group_ == nullptr || sweeping_) co_return;
  sweeping_ = true;
  const v1::RangeDescriptor& range = group_->descriptor();
  const std::string lower = keys::AnchorSpanStart(range.start_key()), upper = keys::AnchorSpanEnd(range.end_key());
  if (outcome_cursor_ < lower || (!upper.empty() && outcome_cursor_ >= upper)) outcome_cursor_ = lower;
  const Timestamp now = group_->clock().Peek();
  const int64_t retention = std::chrono::duration_cast<std::chrono::microseconds>(kOutcomeRetention).count();
  storage::ReadWriter rw(group_->engine().NewReader());
  auto it = rw.base().NewIterator({.cf = storage::ColumnFamily::kRange, .lower = lower, .upper = upper});
  it->Seek(outcome_cursor_);
  for (int rows = 0; it->Valid() && rows < kRowsPerSweep; it->Next(), ++rows) {
    auto parts = keys::DecodeAnchorKey(it->key());
    if (!parts || parts->field != keys::AnchorField::kOutcome) continue;
    auto outcome = DecodeOutcome(it->value());
    if (outcome.ok() && outcome->written_at.AddMicros(retention) < now) rw.Delete(storage::ColumnFamily::kRange, it->key());
  }
  outcome_cursor_ = it->Valid() ? std::string(it->key()) : std::string();
  it.reset();
  LeaseCheck check = group_->CheckLease(now);
  if (!rw.empty() && check.valid() && check.lease.sequence == lease_.sequence) {
    Command command;
    command.write_set = rw.ToBatch().TakeBytes();
    command.lease_sequence = lease_.sequence;
    (void)co_await Propose(std::move(command));  // expired rows that stay are met again
  }
  sweeping_ = false;
}

void Replica::LoadAbortedTxns() {
  auto aborted = LoadAborted(*group_->engine().NewReader(), range_id_);
  if (!aborted.ok()) LOG_ERROR("notes about aborted transactions cannot be read", {"range", range_id_}, {"why", aborted.status().ToString()});
  aborted_ = aborted.ok() ? *std::move(aborted) : AbortedTxns();
  sweep_aborted_at_ = kAbortedToSweep;
}

// Those whose coordinators have heard of it long since are forgotten.
Task<void> Replica::SweepAborted() {
  if (group_ == nullptr) co_return;
  sweep_aborted_at_ = 2 * aborted_.size() + kAbortedToSweep;
  const Timestamp now = group_->clock().Peek();
  const int64_t retention = std::chrono::duration_cast<std::chrono::microseconds>(kAbortedRetention).count();
  storage::WriteBatch rows;
  for (auto it = aborted_.begin(); it != aborted_.end();) {
    if (it->second.AddMicros(retention) >= now) {
      ++it;
      continue;
    }
    rows.Delete(storage::ColumnFamily::kRange, AbortedKey(range_id_, it->first));
    it = aborted_.erase(it);
  }
  sweep_aborted_at_ = 2 * aborted_.size() + kAbortedToSweep;
  LeaseCheck check = group_->CheckLease(now);
  if (rows.empty() || !check.valid() || check.lease.sequence != lease_.sequence) co_return;
  Command command;
  command.write_set = rows.TakeBytes();
  command.lease_sequence = lease_.sequence;
  (void)co_await Propose(std::move(command));  // rows that stay are met again
}

// What a coordinator left PENDING or STAGING under an earlier lease, and nobody has met since: settled when it has expired.
Task<void> Replica::EndStale(v1::Transaction unfinished, uint64_t lease_sequence) {
  v1::PushTxnRequest push;
  push.set_key(unfinished.meta().anchor_key());
  *push.mutable_pushee() = unfinished.meta();
  push.set_kind(v1::PUSH_TOUCH);
  push.set_wait(true);  // its coordinator may be about to commit it
  while (group_ != nullptr && lease_.sequence == lease_sequence) {
    if ((co_await kv::PushTxn(ctx_, *deps_.sender, push)).ok()) co_return;
    if (!(co_await Sleep(ctx_, 1s)).ok()) co_return;
  }
}

// A new lease (or one that takes a neighbour in) finishes, from some key on, what the last one began: committed transactions whose intents
// elsewhere may not be resolved.
Task<void> Replica::FinishRecords(uint64_t lease_sequence, std::string from) {
  std::string cursor = keys::AnchorSpanStart(from);
  while (group_ != nullptr && lease_.sequence == lease_sequence) {
    const std::string upper = keys::AnchorSpanEnd(group_->descriptor().end_key());
    auto reader = group_->engine().NewReader();
    auto it = reader->NewIterator({.cf = storage::ColumnFamily::kRange, .lower = cursor, .upper = upper});
    int rows = 0;
    for (it->Seek(cursor); it->Valid() && rows < kRowsPerLook; it->Next(), ++rows) {
      auto parts = keys::DecodeAnchorKey(it->key());
      if (!parts || parts->field != keys::AnchorField::kTransaction) continue;
      auto record = DecodeRecord(it->value());
      if (!record.ok()) continue;
      if (record->status() != v1::COMMITTED) {
        background_.Spawn(EndStale(*std::move(record), lease_sequence));
        continue;
      }
      std::vector<v1::Span> spans(record->lock_spans().begin(), record->lock_spans().end());
      resolver_->Resolve(*record, std::move(spans), [this, anchor = parts->anchor, id = parts->txn_id](absl::Status status) -> Task<void> {
        if (status.ok()) co_await ForgetRecord(anchor, id);
      });
    }
    if (!it->Valid()) co_return;
    cursor = std::string(it->key());
    it.reset();
    reader.reset();
    PROBE("what a lease is to finish is looked for bit by bit");
    // Outcomes of ten minutes lie here, too: there may be a million. Nobody waits for this, and a lease that has just come is waited for.
    if (!(co_await Sleep(ctx_, kPauseBetweenLooks)).ok()) co_return;
  }
}

}  // namespace insula::kv
