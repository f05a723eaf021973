// What a visit of the garbage collector sets off besides: finished transactions' rows and abandoned transactions' locks go, that nobody
// else came for.
//
//   outcomes          past their retention                         removed
//   records           COMMITTED, long ago                          their intents resolved, then removed
//                     PENDING or STAGING, not heard of             pushed: aborted, or recovered
//   locks (intents)   of transactions not heard of                 pushed and resolved
//
// A few hundred rows between yields, a bounded number of transactions per visit; what is left waits for the next one.
#include <algorithm>
#include <map>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/lock_record.h"
#include "kv/replica/replica.h"
#include "kv/txn/record.h"
#include "kv/txn/recovery.h"

namespace insula::kv {
namespace {
constexpr int kRowsPerLook = 500;
constexpr size_t kMaxTransactions = 1000;
constexpr size_t kMaxSpans = 1000;  // of one transaction
// Twice over what a coordinator or a pusher may take to do it itself.
constexpr int64_t kLongMicros = 2 * std::chrono::duration_cast<std::chrono::microseconds>(kTxnExpiry).count();
}  // namespace

Task<void> Replica::Tidy(uint64_t lease_sequence) {
  tidying_ = true;
  co_await SweepAborted();
  if (!sweeping_) {
    outcome_cursor_.clear();
    do {
      co_await SweepOutcomes();
    } while (group_ != nullptr && lease_.sequence == lease_sequence && !outcome_cursor_.empty() && (co_await ctx_.Yield()).ok());
  }
  absl::Status done = co_await TidyRecords(lease_sequence);
  if (done.ok()) done = co_await TidyLocks(lease_sequence);
  if (!done.ok() && !ctx_.done()) LOG_DEBUG("not everything was tidied up", {"range", range_id_}, {"why", done.ToString()});
  tidying_ = false;
}

Task<absl::Status> Replica::TidyRecords(uint64_t lease_sequence) {
  std::string cursor = group_ == nullptr ? std::string() : keys::AnchorSpanStart(group_->descriptor().start_key());
  size_t transactions = 0;
  while (group_ != nullptr && lease_.sequence == lease_sequence) {
    std::vector<v1::Transaction> unfinished;
    {
      auto reader = group_->engine().NewReader();
      auto it = reader->NewIterator({.cf = storage::ColumnFamily::kRange, .lower = cursor, .upper = keys::AnchorSpanEnd(group_->descriptor().end_key())});
      const Timestamp now = group_->clock().Peek();
      int rows = 0;
      for (it->Seek(cursor); it->Valid() && rows < kRowsPerLook; it->Next(), ++rows) {
        auto parts = keys::DecodeAnchorKey(it->key());
        if (!parts || parts->field != keys::AnchorField::kTransaction) continue;
        auto record = DecodeRecord(it->value());
        if (!record.ok() || LastActive(record->meta(), &*record).AddMicros(kLongMicros) > now || ++transactions > kMaxTransactions) continue;
        if (record->status() != v1::COMMITTED) {
          unfinished.push_back(*std::move(record));
          continue;
        }
        std::vector<v1::Span> spans(record->lock_spans().begin(), record->lock_spans().end());
        resolver_->Resolve(*record, std::move(spans), [this, anchor = parts->anchor, id = parts->txn_id](absl::Status status) -> Task<void> {
          if (status.ok()) co_await ForgetRecord(anchor, id);
        });
      }
      cursor = it->Valid() ? std::string(it->key()) : std::string();
    }
    for (v1::Transaction& record : unfinished) {
      std::vector<v1::Span> spans(record.lock_spans().begin(), record.lock_spans().end());
      CO_RETURN_IF_ERROR(co_await EndAbandoned(record.meta(), std::move(spans)));
    }
    if (cursor.empty()) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await ctx_.Yield());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Replica::TidyLocks(uint64_t lease_sequence) {
  std::string cursor = group_ == nullptr ? std::string() : group_->descriptor().start_key();
  size_t transactions = 0;
  while (group_ != nullptr && lease_.sequence == lease_sequence && group_->stats().locks > 0) {
    struct Left {
      v1::TxnMeta txn;
      std::vector<v1::Span> spans;
    };
    std::map<std::string, Left> abandoned;  // by id
    {
      auto reader = group_->engine().NewReader();
      auto it = reader->NewIterator({.cf = storage::ColumnFamily::kLock, .lower = cursor, .upper = group_->descriptor().end_key()});
      const Timestamp now = group_->clock().Peek();
      int rows = 0;
      for (it->Seek(cursor); it->Valid() && rows < kRowsPerLook; it->Next(), ++rows) {
        mvcc::LockRecord record;
        CO_RETURN_IF_ERROR(mvcc::DecodeLockRecord(it->value(), &record));
        for (const mvcc::LockHolder& holder : record.holders) {
          if (LastActive(holder.txn, nullptr).AddMicros(kLongMicros) > now) continue;
          Left& left = abandoned[holder.txn.id()];
          left.txn = holder.txn;
          if (left.spans.size() < kMaxSpans) left.spans.emplace_back().set_key(std::string(it->key()));
        }
      }
      cursor = it->Valid() ? std::string(it->key()) : std::string();
    }
    for (auto& [id, left] : abandoned) {
      if (++transactions > kMaxTransactions) co_return absl::OkStatus();
      CO_RETURN_IF_ERROR(co_await EndAbandoned(std::move(left.txn), std::move(left.spans)));
    }
    if (cursor.empty()) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await ctx_.Yield());
  }
  co_return absl::OkStatus();
}

// Ends `txn` if it is not heard of any more, and resolves what it has in `spans`; one that lives is left alone.
Task<absl::Status> Replica::EndAbandoned(v1::TxnMeta txn, std::vector<v1::Span> spans) {
  v1::PushTxnRequest push;
  push.set_key(txn.anchor_key());
  *push.mutable_pushee() = std::move(txn);
  push.set_kind(v1::PUSH_TOUCH);
  auto pushed = co_await kv::PushTxn(ctx_, *deps_.sender, std::move(push));
  if (!pushed.ok()) {
    auto error = GetKvError(pushed.status());
    co_return error && error->has_lock_conflict() ? absl::OkStatus() : pushed.status();
  }
  if (!IsFinished(pushed->status())) co_return absl::OkStatus();
  co_return co_await ResolveSpans(ctx_, *deps_.sender, *std::move(pushed), std::move(spans));
}

}  // namespace insula::kv
