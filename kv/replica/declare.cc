#include "kv/replica/declare.h"

#include <algorithm>
#include <utility>

#include "kv/api/request.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

LockStrength Strength(v1::LockStrength strength) {
  switch (strength) {
    case v1::LOCK_SHARED:
      return LockStrength::kShared;
    case v1::LOCK_EXCLUSIVE:
      return LockStrength::kExclusive;
    default:
      return LockStrength::kNone;
  }
}

class Declarer {
 public:
  Declarer(const v1::BatchRequest& batch, const DeclareParams& params) : batch_(batch), params_(params) {
    out_.latches.reserve(static_cast<size_t>(batch.requests_size()));
    out_.locks.reserve(static_cast<size_t>(batch.requests_size()));
  }

  Declared Run() {
    for (const v1::Request& request : batch_.requests()) One(request);
    return std::move(out_);
  }

 private:
  void Read(const KeySpan& span, Timestamp ts) {
    out_.latches.push_back({span.key, span.end_key, /*write=*/false, ts});
    out_.locks.push_back({span.key, span.end_key, LockStrength::kNone, ts, params_.push_above});
  }
  void ReadAtCommit(const KeySpan& span) {
    out_.latches.push_back({span.key, span.end_key, /*write=*/false, Timestamp::Max()});
    out_.locks.push_back({span.key, span.end_key, LockStrength::kNone, params_.read_limit, params_.push_above});
  }
  // Waits for whoever has the key locked to change it: what that one has read, it may have read without what this one commits.
  void CheckAtCommit(const KeySpan& span) {
    out_.latches.push_back({span.key, span.end_key, /*write=*/false, Timestamp::Max()});
    out_.locks.push_back({span.key, span.end_key, LockStrength::kShared, Timestamp(), Timestamp()});
  }
  void Lock(const KeySpan& span, LockStrength strength) {
    if (strength == LockStrength::kShared) {
      out_.latches.push_back({span.key, span.end_key, /*write=*/false, Timestamp::Max()});
    } else {
      out_.latches.push_back({span.key, span.end_key, /*write=*/true, params_.read_ts});
    }
    out_.locks.push_back({span.key, span.end_key, strength, Timestamp(), Timestamp()});
  }
  // The key's row of holders is read and written anew: one after the other, be the locks shared or not. Nobody's read is disturbed by a
  // shared one.
  void LockRow(const KeySpan& span, LockStrength strength) {
    out_.latches.push_back({span.key, span.end_key, /*write=*/true, strength == LockStrength::kShared ? Timestamp::Max() : params_.read_ts});
    out_.locks.push_back({span.key, span.end_key, strength, Timestamp(), Timestamp()});
  }
  void Write(const KeySpan& span) {
    out_.latches.push_back({span.key, span.end_key, /*write=*/true, params_.write_ts});
    out_.locks.push_back({span.key, span.end_key, LockStrength::kExclusive, Timestamp(), Timestamp()});
  }
  std::string_view Own(std::string bytes) { return out_.owned.emplace_back(std::move(bytes)); }
  void Record(std::string_view anchor, std::string_view txn_id, bool write) {
    out_.latches.push_back({Own(RecordLatchKey(anchor, txn_id)), {}, write, Timestamp()});
  }

  void EndTxn(const v1::EndTxnRequest& end, const v1::Request& request) {
    const v1::TxnMeta& meta = batch_.header().txn().meta();
    Record(SpanOf(request, batch_.header()).key, meta.id(), true);
    const bool resolves = !(end.one_phase() && end.commit()) && end.in_flight_size() == 0;
    for (const v1::Span& span : end.lock_spans()) {
      if (!resolves) break;
      v1::Span inside;
      if (!Clip(*params_.range, span, &inside)) continue;
      std::string_view key = Own(std::move(*inside.mutable_key()));
      std::string_view end_key = inside.end_key().empty() ? std::string_view() : Own(std::move(*inside.mutable_end_key()));
      out_.latches.push_back({key, end_key, /*write=*/true, Timestamp{meta.min_ts()}});
    }
    if (!end.one_phase()) return;
    for (const v1::Span& span : batch_.header().refresh_spans()) {
      v1::Span inside;
      if (!Clip(*params_.range, span, &inside)) continue;
      std::string_view key = Own(std::move(*inside.mutable_key()));
      std::string_view end_key = inside.end_key().empty() ? std::string_view() : Own(std::move(*inside.mutable_end_key()));
      ReadAtCommit({key, end_key});
    }
  }

  void One(const v1::Request& request) {
    const KeySpan span = SpanOf(request, batch_.header());
    const std::string& txn_id = batch_.header().txn().meta().id();
    switch (request.value_case()) {
      case v1::Request::kGet:
      case v1::Request::kScan: {
        LockStrength lock = Strength(request.has_get() ? request.get().lock() : request.scan().lock());
        if (lock == LockStrength::kNone) return Read(span, params_.read_limit);
        return Lock(span, lock);
      }
      case v1::Request::kCheck:
        // With a one-phase commit it holds at the commit timestamp, whatever that will be.
        return IsOnePhase(batch_) || request.check().at_commit() ? CheckAtCommit(span) : Read(span, params_.read_limit);
      case v1::Request::kRefresh:
        return Read(span, params_.read_ts);
      case v1::Request::kPut:
      case v1::Request::kDelete:
      case v1::Request::kConditionalPut:
      case v1::Request::kIncrement:
      case v1::Request::kDeleteRange:
      case v1::Request::kInsertRows:
      case v1::Request::kClearRange:
        return Write(span);
      case v1::Request::kLock:
        if (request.lock().replicated()) return LockRow(span, Strength(request.lock().strength()));
        return Lock(span, Strength(request.lock().strength()));
      case v1::Request::kEndTxn:
        return EndTxn(request.end_txn(), request);
      case v1::Request::kHeartbeatTxn:
        return Record(span.key, txn_id, true);
      case v1::Request::kPushTxn:
        return Record(span.key, request.push_txn().pushee().id(), true);
      case v1::Request::kRecoverTxn:
        return Record(span.key, request.recover_txn().txn_id(), true);
      case v1::Request::kQueryOutcome:
        return Record(span.key, request.query_outcome().txn_id(), true);
      case v1::Request::kQueryTxn:
        return Record(span.key, request.query_txn().txn_id(), false);
      case v1::Request::kQueryIntent:
        out_.latches.push_back({span.key, {}, /*write=*/true, Timestamp{request.query_intent().txn().min_ts()}});
        return;
      case v1::Request::kResolveIntent:
        out_.latches.push_back({span.key, span.end_key, /*write=*/true, Timestamp{request.resolve_intent().txn().min_ts()}});
        return;
      case v1::Request::kGc:
        // What it removes nobody looks at who is served above the threshold: no latches over the keys.
        out_.latches.push_back({Own(GcLatchKey(params_.range->range_id())), {}, /*write=*/true, Timestamp()});
        return;
      case v1::Request::kQueryLocks:
      case v1::Request::kAdminSplit:
      case v1::Request::kAdminMerge:
      case v1::Request::kAdminChangeReplicas:
      case v1::Request::kAdminTransferLease:
      case v1::Request::kSubsume:
      case v1::Request::kCheckConsistency:
      case v1::Request::kRangeStats:
      case v1::Request::kLeaseInfo:
      case v1::Request::kRangeLookup:
      case v1::Request::VALUE_NOT_SET:
        return;
    }
  }

  const v1::BatchRequest& batch_;
  const DeclareParams& params_;
  Declared out_;
};

}  // namespace

std::string RecordLatchKey(std::string_view anchor, std::string_view txn_id) {
  return keys::AnchorKey(anchor, keys::AnchorField::kTransaction, txn_id);
}

std::string GcLatchKey(uint64_t range_id) { return keys::RangeIdKey(range_id, keys::RangeField::kGcThreshold); }

bool IsOnePhase(const v1::BatchRequest& batch) {
  if (batch.requests_size() == 0) return false;
  const v1::Request& last = batch.requests(batch.requests_size() - 1);
  return last.has_end_txn() && last.end_txn().one_phase() && last.end_txn().commit();
}

bool Clip(const v1::RangeDescriptor& range, const v1::Span& span, v1::Span* inside) {
  if (span.end_key().empty()) {
    if (!keys::InBounds(range.start_key(), range.end_key(), span.key())) return false;
    inside->set_key(span.key());
    return true;
  }
  const std::string& from = std::max(span.key(), range.start_key());
  const std::string& to = range.end_key().empty() ? span.end_key() : std::min(span.end_key(), range.end_key());
  if (from >= to) return false;
  inside->set_key(from);
  inside->set_end_key(to);
  return true;
}

bool IsInside(const v1::RangeDescriptor& range, std::string_view key, std::string_view end_key) {
  return keys::SpanInBounds(range.start_key(), range.end_key(), key, end_key);
}

Declared Declare(const v1::BatchRequest& batch, const DeclareParams& params) { return Declarer(batch, params).Run(); }

}  // namespace insula::kv
