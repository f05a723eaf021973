#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/mvcc_internal.h"
#include "kv/storage/varint.h"

namespace insula::kv::mvcc {
namespace internal {

Outcome LoadLock(storage::Reader& reader, std::string_view key, LockRecord* record, bool* found) {
  std::string bytes;
  auto there = reader.Get(ColumnFamily::kLock, key, &bytes);
  if (!there.ok()) return Outcome::Error(there.status());
  *found = *there;
  if (!*found) return Outcome::Ok();
  absl::Status s = DecodeLockRecord(bytes, record);
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

bool IsIgnored(const v1::Transaction& txn, uint32_t sequence) {
  for (const auto& range : txn.ignored()) {
    if (sequence >= range.from() && sequence <= range.to()) return true;
  }
  return false;
}

OwnView ViewOwnIntent(const LockHolder& own, const v1::Transaction& txn) {
  if (!own.intent.has_value() || own.txn.epoch() < txn.meta().epoch()) return {};
  if (own.txn.epoch() > txn.meta().epoch()) return {OwnView::Kind::kStale, nullptr};
  auto visible = [&](uint32_t sequence) { return sequence <= txn.meta().sequence() && !IsIgnored(txn, sequence); };
  if (visible(own.intent->sequence)) return {OwnView::Kind::kVersion, nullptr};
  const auto& history = own.intent->history;
  for (auto it = history.rbegin(); it != history.rend(); ++it) {
    if (visible(it->sequence)) return {OwnView::Kind::kHistory, &*it};
  }
  return {};
}

}  // namespace internal

namespace {

using internal::KeyBuffer;
using internal::OwnView;
using storage::ColumnFamily;
using storage::DataKeyBound;
using storage::UserKey;
using storage::VersionTimestamp;

// Versions of one key stepped over before seeking instead.
constexpr int kStepsBeforeSeek = 8;

// What is to be read of one key, after a look at its lock record.
struct KeyPlan {
  enum class Kind {
    kRead,      // newest version at or below `ts`, past `provisional`
    kHistory,   // `history`: the transaction's own, earlier value
    kSkip,      // leave the key out
    kConflict,  // a foreign lock is in the way
    kStale,
  };
  Kind kind = Kind::kRead;
  Timestamp ts;           // read at
  Timestamp limit;        // versions in (ts, limit] may be uncertain
  bool fail_if_newer = false;
  Timestamp provisional;  // a version to be passed over; empty: none
  const HistoryEntry* history = nullptr;
  const LockHolder* conflict = nullptr;
};

KeyPlan PlainPlan(std::string_view key, const ReadParams& params) {
  KeyPlan plan;
  if (params.own != nullptr && internal::OwnCommitted(*params.own, key, params.own_ts)) {
    plan.ts = plan.limit = params.own_ts;
    return plan;
  }
  plan.ts = params.ts;
  plan.limit = std::max(params.ts, params.uncertainty_limit);
  plan.fail_if_newer = params.fail_if_newer;
  return plan;
}

// Whether the provisional version of a foreign intent above the read may be from before the read began.
bool IntentMayBeUncertain(storage::Reader& reader, std::string_view key, const Intent& intent, const ReadParams& params) {
  if (intent.ts > params.uncertainty_limit) return false;
  if (params.local_limit.empty() || intent.ts <= params.local_limit) return true;
  KeyBuffer buffer;
  std::string bytes;
  auto there = reader.Get(ColumnFamily::kData, buffer.Set(key, intent.ts), &bytes);
  ValueView value;
  if (!there.ok() || !*there || !ParseValue(bytes, &value)) return true;  // waiting for it is right in any case
  return !value.local.empty() && value.local <= params.local_limit;
}

bool InTheWay(storage::Reader& reader, std::string_view key, const LockHolder& holder, const ReadParams& params) {
  switch (params.lock) {
    case LockStrength::kExclusive: return true;
    case LockStrength::kShared: return holder.strength == LockStrength::kExclusive;
    case LockStrength::kNone: break;
  }
  if (!holder.intent.has_value()) return false;
  return holder.intent->ts <= params.ts || IntentMayBeUncertain(reader, key, *holder.intent, params);
}

// `record` must outlive the plan.
KeyPlan PlanKey(storage::Reader& reader, std::string_view key, const LockRecord& record, const ReadParams& params) {
  KeyPlan plan = PlainPlan(key, params);
  const LockHolder* intent_holder = record.intent_holder();
  if (intent_holder != nullptr) plan.provisional = intent_holder->intent->ts;
  if (params.ignore_locks) return plan;
  for (const LockHolder& holder : record.holders) {
    if (params.txn != nullptr && holder.txn.id() == params.txn->meta().id()) {
      OwnView view = internal::ViewOwnIntent(holder, *params.txn);
      switch (view.kind) {
        case OwnView::Kind::kNone: break;
        case OwnView::Kind::kStale: plan.kind = KeyPlan::Kind::kStale; break;
        case OwnView::Kind::kVersion:
          plan.ts = plan.limit = holder.intent->ts;
          plan.fail_if_newer = false;
          plan.provisional = Timestamp{};
          break;
        case OwnView::Kind::kHistory:
          plan.kind = KeyPlan::Kind::kHistory;
          plan.history = view.history;
          break;
      }
      continue;
    }
    if (!InTheWay(reader, key, holder, params)) continue;
    plan.kind = params.skip_locked ? KeyPlan::Kind::kSkip : KeyPlan::Kind::kConflict;
    plan.conflict = &holder;
    return plan;
  }
  return plan;
}

// Whether a version above the read, at `ts`, ends it.
Outcome::Kind AboveTheRead(const KeyPlan& plan, const ReadParams& params, Timestamp ts, const ValueView& value) {
  if (ts <= plan.limit) {
    Timestamp local = value.local.empty() ? ts : value.local;
    if (params.local_limit.empty() || local <= params.local_limit) return Outcome::Kind::kUncertain;
  }
  return plan.fail_if_newer ? Outcome::Kind::kWriteTooOld : Outcome::Kind::kOk;
}

// `it` stands on a version of `key`: finds the newest one that the plan shows. Leaves `it` there (found) or beyond. Newest first.
Outcome FindVersion(storage::Iterator& it, std::string_view key, const KeyPlan& plan, const ReadParams& params, bool* found, ValueView* value, Timestamp* ts) {
  *found = false;
  KeyBuffer buffer;
  for (int steps = 0; it.Valid(); it.Next(), ++steps) {
    if (UserKey(it.key()) != key) return Outcome::Ok();
    Timestamp at = VersionTimestamp(it.key());
    if (at == plan.provisional) continue;
    if (at > plan.ts) {
      if (at > plan.limit && !plan.fail_if_newer) {
        if (steps < kStepsBeforeSeek) continue;
        it.Seek(buffer.Set(key, plan.limit));
        steps = 0;
        if (!it.Valid() || UserKey(it.key()) != key) return Outcome::Ok();
        at = VersionTimestamp(it.key());
        if (at == plan.provisional) continue;
      }
      if (at > plan.ts) {
        if (!ParseValue(it.value(), value)) return internal::DamagedVersion(key);
        Outcome::Kind kind = AboveTheRead(plan, params, at, *value);
        if (kind != Outcome::Kind::kOk) return Outcome::At(kind, key, at);
        continue;
      }
    }
    if (!ParseValue(it.value(), value)) return internal::DamagedVersion(key);
    *ts = at;
    *found = !value->deletion;
    return Outcome::Ok();
  }
  absl::Status s = it.status();
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

Outcome PlanOutcome(std::string_view key, const KeyPlan& plan) {
  if (plan.kind == KeyPlan::Kind::kStale) return Outcome::At(Outcome::Kind::kStaleTxn, key, plan.ts);
  std::vector<FoundLock> locks;
  locks.push_back({std::string(key), *plan.conflict});
  return Outcome::Locked(std::move(locks));
}

// One scan: a walk over `data` and `lock` side by side, key by key.
class Scanner {
 public:
  Scanner(storage::Reader& reader, std::string_view start, std::string_view end, bool reverse, const ReadParams& params, const ScanLimits& limits, ScanResult* out)
      : reader_(reader), params_(params), limits_(limits), reverse_(reverse), out_(out) {
    storage::IteratorOptions data{.cf = ColumnFamily::kData, .lower = DataKeyBound(start), .upper = end.empty() ? "" : DataKeyBound(end)};
    data_ = reader.NewIterator(data);
    locks_ = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = std::string(end)});
  }

  Outcome Run() {
    out_->rows.clear();
    out_->row_count = 0;
    out_->resume.reset();
    if (reverse_) {
      data_->SeekToLast();
      locks_->SeekToLast();
    } else {
      data_->SeekToFirst();
      locks_->SeekToFirst();
    }
    while (TakeNextKey()) {
      if (Outcome o = OneKey(); !o.ok()) return o;
      if (!conflicts_.empty()) return Conflicts();
      if (Full() && (data_->Valid() || locks_->Valid())) {
        if (reverse_) {
          out_->resume = key_;
        } else {
          out_->resume = key_ + '\0';
        }
        break;
      }
    }
    for (auto* it : {data_.get(), locks_.get()}) {
      if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
    }
    return Outcome::Ok();
  }

 private:
  // key_: the next key that has versions or a lock. data_here_ and lock_here_: which.
  bool TakeNextKey() {
    bool d = data_->Valid(), l = locks_->Valid();
    if (!d && !l) return false;
    int order = !l ? -1 : !d ? 1 : UserKey(data_->key()).compare(locks_->key()) * (reverse_ ? -1 : 1);
    key_.assign(order <= 0 ? UserKey(data_->key()) : locks_->key());
    data_here_ = order <= 0;
    lock_here_ = order >= 0;
    return true;
  }

  Outcome OneKey() {
    KeyPlan plan;
    if (lock_here_) {
      if (absl::Status s = DecodeLockRecord(locks_->value(), &record_); !s.ok()) return Outcome::Error(s);
      plan = PlanKey(reader_, key_, record_, params_);
      reverse_ ? locks_->Prev() : locks_->Next();
    } else {
      plan = PlainPlan(key_, params_);
    }
    if (params_.skip != nullptr && plan.kind != KeyPlan::Kind::kStale && (*params_.skip)(key_)) plan.kind = KeyPlan::Kind::kSkip;
    switch (plan.kind) {
      case KeyPlan::Kind::kStale: return PlanOutcome(key_, plan);
      case KeyPlan::Kind::kConflict: conflicts_.push_back({key_, *plan.conflict}); return Outcome::Ok();
      case KeyPlan::Kind::kSkip: LeaveKey(); return Outcome::Ok();
      case KeyPlan::Kind::kHistory:
        if (plan.history->value.has_value()) AddRow(*plan.history->value);
        LeaveKey();
        return Outcome::Ok();
      case KeyPlan::Kind::kRead: break;
    }
    if (!data_here_) return Outcome::Ok();
    return reverse_ ? ReadBackward(plan) : ReadForward(plan);
  }

  Outcome ReadForward(const KeyPlan& plan) {
    bool found;
    ValueView value;
    Timestamp ts;
    if (Outcome o = FindVersion(*data_, key_, plan, params_, &found, &value, &ts); !o.ok()) return o;
    if (found) AddRow(value.value);
    LeaveKey();
    return Outcome::Ok();
  }

  // Stands on the oldest version: keeps the newest one that shows while walking up.
  Outcome ReadBackward(const KeyPlan& plan) {
    bool found = false;
    int steps = 0;
    for (; data_->Valid() && UserKey(data_->key()) == key_; data_->Prev()) {
      if (++steps > kStepsBeforeSeek) return ReadBackwardBySeek(plan);
      Timestamp at = VersionTimestamp(data_->key());
      if (at == plan.provisional) continue;
      ValueView value;
      if (!ParseValue(data_->value(), &value)) return internal::DamagedVersion(key_);
      if (at > plan.ts) {
        Outcome::Kind kind = AboveTheRead(plan, params_, at, value);
        if (kind != Outcome::Kind::kOk) return Outcome::At(kind, key_, at);
        continue;
      }
      found = !value.deletion;
      if (found) value_.assign(value.value);
    }
    if (found) AddRow(value_);
    return Outcome::Ok();
  }
  Outcome ReadBackwardBySeek(const KeyPlan& plan) {
    KeyBuffer buffer;
    data_->Seek(buffer.Set(key_, Timestamp::Max()));
    bool found;
    ValueView value;
    Timestamp ts;
    if (Outcome o = FindVersion(*data_, key_, plan, params_, &found, &value, &ts); !o.ok()) return o;
    if (found) AddRow(value.value);
    data_->SeekForPrev(buffer.Set(key_, Timestamp::Max()));
    return Outcome::Ok();
  }

  // Moves data_ off key_, in the direction of the scan.
  void LeaveKey() {
    for (int steps = 0; data_->Valid() && UserKey(data_->key()) == key_; ++steps) {
      if (steps == kStepsBeforeSeek) {
        KeyBuffer buffer;
        if (reverse_) {
          data_->SeekForPrev(buffer.Set(key_, Timestamp::Max()));
        } else {
          data_->Seek(buffer.Set(key_, Timestamp{0}));
        }
      } else {
        reverse_ ? data_->Prev() : data_->Next();
      }
    }
  }

  void AddRow(std::string_view value) {
    storage::AppendString(&out_->rows, key_);
    storage::AppendString(&out_->rows, value);
    ++out_->row_count;
  }
  bool Full() const {
    return (limits_.max_rows != 0 && out_->row_count >= limits_.max_rows) || (limits_.max_bytes != 0 && out_->rows.size() >= limits_.max_bytes);
  }

  // The first conflict is found. Without limits all of the rest will be read too: name its locks at once.
  Outcome Conflicts() {
    bool all = limits_.max_rows == 0 && limits_.max_bytes == 0;
    for (; all && locks_->Valid() && conflicts_.size() < kMaxFoundLocks; reverse_ ? locks_->Prev() : locks_->Next()) {
      if (absl::Status s = DecodeLockRecord(locks_->value(), &record_); !s.ok()) return Outcome::Error(s);
      KeyPlan plan = PlanKey(reader_, locks_->key(), record_, params_);
      if (plan.kind == KeyPlan::Kind::kConflict) conflicts_.push_back({std::string(locks_->key()), *plan.conflict});
    }
    return Outcome::Locked(std::move(conflicts_));
  }

  storage::Reader& reader_;
  const ReadParams& params_;
  const ScanLimits& limits_;
  const bool reverse_;
  ScanResult* out_;
  std::unique_ptr<storage::Iterator> data_, locks_;
  std::string key_, value_;
  bool data_here_ = false, lock_here_ = false;
  LockRecord record_;
  std::vector<FoundLock> conflicts_;
};

}  // namespace

Outcome Get(storage::Reader& reader, std::string_view key, const ReadParams& params, GetResult* out) {
  out->found = false;
  out->ts = Timestamp{};
  LockRecord record;
  bool locked;
  if (Outcome o = internal::LoadLock(reader, key, &record, &locked); !o.ok()) return o;
  KeyPlan plan = locked ? PlanKey(reader, key, record, params) : PlainPlan(key, params);
  if (params.skip != nullptr && plan.kind != KeyPlan::Kind::kStale && (*params.skip)(key)) return Outcome::Ok();
  switch (plan.kind) {
    case KeyPlan::Kind::kStale:
    case KeyPlan::Kind::kConflict: return PlanOutcome(key, plan);
    case KeyPlan::Kind::kSkip: return Outcome::Ok();
    case KeyPlan::Kind::kHistory:
      out->found = plan.history->value.has_value();
      if (out->found) out->value = *plan.history->value;
      return Outcome::Ok();
    case KeyPlan::Kind::kRead: break;
  }
  storage::Iterator& it = reader.point_iterator();
  KeyBuffer buffer;
  it.Seek(buffer.Set(key, plan.fail_if_newer ? Timestamp::Max() : plan.limit));
  ValueView value;
  if (Outcome o = FindVersion(it, key, plan, params, &out->found, &value, &out->ts); !o.ok()) return o;
  if (out->found) out->value.assign(value.value);
  return Outcome::Ok();
}

Outcome Scan(storage::Reader& reader, std::string_view start, std::string_view end, bool reverse, const ReadParams& params, const ScanLimits& limits, ScanResult* out) {
  return Scanner(reader, start, end, reverse, params, limits, out).Run();
}

Outcome FindLocks(storage::Reader& reader, std::string_view start, std::string_view end, size_t max, std::vector<FoundLock>* out) {
  std::string upper = end.empty() ? std::string(start) + '\0' : std::string(end);
  auto it = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = upper});
  LockRecord record;
  for (it->SeekToFirst(); it->Valid() && out->size() < max; it->Next()) {
    if (absl::Status s = DecodeLockRecord(it->value(), &record); !s.ok()) return Outcome::Error(s);
    for (LockHolder& holder : record.holders) out->push_back({std::string(it->key()), std::move(holder)});
  }
  absl::Status s = it->status();
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

namespace {

// Locks first: they also say which versions are provisional. `own`: the provisional versions of `txn`, by key.
Outcome RefreshLocks(storage::Reader& reader, const std::string& start, const std::string& end, Timestamp to, const v1::Transaction* txn,
                     std::vector<std::pair<std::string, Timestamp>>* provisional) {
  auto it = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = start, .upper = end});
  LockRecord record;
  std::vector<FoundLock> conflicts;
  for (it->SeekToFirst(); it->Valid() && conflicts.size() < kMaxFoundLocks; it->Next()) {
    if (absl::Status s = DecodeLockRecord(it->value(), &record); !s.ok()) return Outcome::Error(s);
    const LockHolder* holder = record.intent_holder();
    if (holder == nullptr) continue;
    bool own = txn != nullptr && holder->txn.id() == txn->meta().id();
    if (own || holder->intent->ts > to) {
      provisional->emplace_back(std::string(it->key()), holder->intent->ts);
    } else {
      conflicts.push_back({std::string(it->key()), *holder});
    }
  }
  if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  return conflicts.empty() ? Outcome::Ok() : Outcome::Locked(std::move(conflicts));
}

}  // namespace

Outcome Refresh(storage::Reader& reader, std::string_view start, std::string_view end, Timestamp from, Timestamp to, const v1::Transaction* txn) {
  const bool point = end.empty();
  std::string first(start), last = point ? first + '\0' : std::string(end);
  std::vector<std::pair<std::string, Timestamp>> provisional;
  if (Outcome o = RefreshLocks(reader, first, last, to, txn, &provisional); !o.ok()) return o;
  std::unique_ptr<storage::Iterator> owned;
  storage::Iterator* it;
  if (point) {
    it = &reader.point_iterator();
    it->Seek(DataKeyBound(first));
  } else {
    owned = reader.NewIterator({.cf = ColumnFamily::kData, .lower = DataKeyBound(first), .upper = DataKeyBound(last)});
    it = owned.get();
    it->SeekToFirst();
  }
  // Every version is looked at: those of one key lie together, and most keys have one.
  size_t p = 0;
  for (; it->Valid(); it->Next()) {
    std::string_view key = UserKey(it->key());
    if (point && key != first) break;
    Timestamp ts = VersionTimestamp(it->key());
    if (ts <= from || ts > to) continue;
    while (p < provisional.size() && provisional[p].first < key) ++p;
    if (p < provisional.size() && provisional[p].first == key && provisional[p].second == ts) continue;
    return Outcome::At(Outcome::Kind::kWriteTooOld, key, ts);
  }
  absl::Status s = it->status();
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

Outcome QueryIntent(storage::Reader& reader, std::string_view key, const v1::TxnMeta& txn, LockStrength lock, bool* found) {
  *found = false;
  LockRecord record;
  bool locked;
  if (Outcome o = internal::LoadLock(reader, key, &record, &locked); !o.ok() || !locked) return o;
  const LockHolder* own = record.Find(txn.id());
  if (own == nullptr || own->txn.epoch() != txn.epoch()) return Outcome::Ok();
  if (lock != LockStrength::kNone) {
    *found = own->strength >= lock;
  } else {
    *found = own->intent.has_value() && own->intent->sequence >= txn.sequence() && own->intent->ts.bits <= txn.write_ts();
  }
  return Outcome::Ok();
}

Outcome HeldSince(storage::Reader& reader, std::string_view key, std::string_view txn_id, LockStrength strength, std::optional<Timestamp>* since) {
  since->reset();
  LockRecord record;
  bool locked;
  if (Outcome o = internal::LoadLock(reader, key, &record, &locked); !o.ok() || !locked) return o;
  const LockHolder* own = record.Find(txn_id);
  if (own == nullptr || own->strength < strength) return Outcome::Ok();
  *since = own->intent.has_value() ? Timestamp() : Timestamp{own->txn.write_ts()};
  return Outcome::Ok();
}

}  // namespace insula::kv::mvcc
