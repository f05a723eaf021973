#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/mvcc_internal.h"

namespace insula::kv::mvcc {
namespace internal {

void StoreLock(storage::ReadWriter& rw, std::string_view key, const LockRecord& record) {
  if (record.holders.empty()) {
    rw.Delete(ColumnFamily::kLock, key);
  } else {
    rw.Put(ColumnFamily::kLock, key, EncodeLockRecord(record));
  }
}

Outcome LoadVersions(storage::Reader& reader, std::string_view key, Timestamp provisional_ts, Versions* out) {
  storage::Iterator& it = reader.point_iterator();
  KeyBuffer buffer;
  for (it.Seek(buffer.Set(key, Timestamp::Max())); it.Valid() && storage::UserKey(it.key()) == key; it.Next()) {
    Timestamp ts = storage::VersionTimestamp(it.key());
    ValueView value;
    if (!ParseValue(it.value(), &value)) return DamagedVersion(key);
    if (ts == provisional_ts) {
      out->provisional_ts = ts;
      out->provisional_live = !value.deletion;
      out->provisional_value.assign(value.value);
      out->provisional_bytes = it.value().size();
      out->provisional_local = value.local;
      continue;
    }
    out->committed_ts = ts;
    out->committed_live = !value.deletion;
    out->committed_value.assign(value.value);
    break;
  }
  if (absl::Status s = it.status(); !s.ok()) return Outcome::Error(s);
  if (!provisional_ts.empty() && out->provisional_ts.empty()) {
    return Outcome::Error(absl::DataLossError("intent without its version, key " + std::string(key)));
  }
  return Outcome::Ok();
}

}  // namespace internal

namespace {

using internal::ColumnFamily;
using internal::KeyBuffer;
using internal::LiveBytes;
using internal::OwnView;
using internal::VersionBytes;
using internal::Versions;
using Value = std::optional<std::string_view>;

// One write to one key: what is there, then the decision, then the change.
class KeyWriter {
 public:
  KeyWriter(storage::ReadWriter& rw, std::string_view key, const WriteParams& params) : rw_(rw), key_(key), params_(params) {}

  // Looks at locks and versions. Not kOk: the write cannot be.
  Outcome Load(AbsenceCursor* absence = nullptr) {
    bool locked;
    if (Outcome o = internal::LoadLock(rw_, key_, &record_, &locked); !o.ok()) return o;
    if (locked) {
      if (Outcome o = CheckLocks(); !o.ok()) return o;
    }
    if (record_.intent_holder() == nullptr && absence != nullptr && absence->IsAbsent(rw_, key_)) return Outcome::Ok();
    if (Outcome o = LoadVersions(); !o.ok()) return o;
    return CheckNewest();
  }

  // The value before this write: the transaction's own or the newest committed one.
  std::optional<std::string> Present() const {
    if (rewrites_) return versions_.provisional_live ? std::optional<std::string>(versions_.provisional_value) : std::nullopt;
    if (own_ != nullptr && own_->intent.has_value()) {
      OwnView view = internal::ViewOwnIntent(*own_, *params_.txn);
      if (view.kind == OwnView::Kind::kVersion) return versions_.provisional_live ? std::optional<std::string>(versions_.provisional_value) : std::nullopt;
      if (view.kind == OwnView::Kind::kHistory) return view.history->value;
    }
    return versions_.committed_live ? std::optional<std::string>(versions_.committed_value) : std::nullopt;
  }

  Outcome Write(Value value) {
    if (params_.ts.empty()) return Outcome::Error(absl::InvalidArgumentError("a write needs a timestamp"));
    return commits() ? WriteCommitted(value) : WriteIntent(value);
  }

  // A repeated request: its intent is there already.
  bool IsReplay() const {
    return params_.txn != nullptr && !params_.one_phase && own_ != nullptr && own_->intent.has_value() && own_->txn.epoch() == params_.txn->meta().epoch() &&
           params_.sequence <= own_->intent->sequence;
  }
  // The value that the write of this sequence left; false: there was none.
  bool ReplayedValue(std::optional<std::string>* value) const {
    if (own_->intent->sequence == params_.sequence) {
      *value = versions_.provisional_live ? std::optional<std::string>(versions_.provisional_value) : std::nullopt;
      return true;
    }
    for (const HistoryEntry& entry : own_->intent->history) {
      if (entry.sequence != params_.sequence) continue;
      *value = entry.value;
      return true;
    }
    return false;
  }
  // What was there before the replayed write.
  std::optional<std::string> BeforeReplay() const {
    const auto& history = own_->intent->history;
    for (auto it = history.rbegin(); it != history.rend(); ++it) {
      if (it->sequence < params_.sequence) return it->value;
    }
    return versions_.committed_live ? std::optional<std::string>(versions_.committed_value) : std::nullopt;
  }

  Outcome Lock(LockStrength strength);

 private:
  Outcome CheckLocks() {
    std::vector<FoundLock> foreign;
    for (LockHolder& holder : record_.holders) {
      if (params_.txn != nullptr && holder.txn.id() == params_.txn->meta().id()) {
        TakeOwn(holder);
      } else {
        foreign.push_back({std::string(key_), holder});
      }
    }
    if (!foreign.empty()) {
      if (!params_.exclusive_since.empty()) return Outcome::At(Outcome::Kind::kLockLost, key_, params_.ts);
      return Outcome::Locked(std::move(foreign));
    }
    if (own_ != nullptr && own_->txn.epoch() > params_.txn->meta().epoch()) return Outcome::At(Outcome::Kind::kStaleTxn, key_, params_.ts);
    return Outcome::Ok();
  }

  void TakeOwn(LockHolder& holder) {
    own_ = &holder;
    if (params_.began != nullptr) *params_.began = std::min(*params_.began, Timestamp{holder.txn.min_ts()});
  }

  bool commits() const { return params_.txn == nullptr || params_.one_phase; }

  Outcome LoadVersions() {
    const LockHolder* holder = record_.intent_holder();
    rewrites_ = holder == nullptr && commits() && internal::OwnCommitted(rw_, key_, params_.ts);
    return internal::LoadVersions(rw_, key_, holder ? holder->intent->ts : rewrites_ ? params_.ts : Timestamp{}, &versions_);
  }

  Outcome CheckNewest() const {
    Timestamp newest = versions_.committed_ts;
    if (newest.empty()) return Outcome::Ok();
    if (!params_.exclusive_since.empty() && newest > params_.exclusive_since) return Outcome::At(Outcome::Kind::kLockLost, key_, newest);
    if (newest >= params_.ts) return Outcome::At(Outcome::Kind::kWriteTooOld, key_, newest);
    if (!params_.read_ts.empty() && newest > params_.read_ts) return Outcome::At(Outcome::Kind::kWriteTooOld, key_, newest);
    return Outcome::Ok();
  }

  Timestamp LocalFor(Timestamp ts) const { return !params_.local_now.empty() && params_.local_now < ts ? params_.local_now : Timestamp{}; }

  Outcome WriteCommitted(Value value) {
    if (own_ != nullptr && own_->intent.has_value()) {
      return Outcome::Error(absl::InvalidArgumentError("one-phase commit of a transaction that has intents"));
    }
    if (rewrites_ && params_.stats != nullptr) *params_.stats -= Stats{.versions = 1, .total_bytes = VersionBytes(key_, versions_.provisional_bytes)};
    const bool old_live = rewrites_ ? versions_.provisional_live : versions_.committed_live;
    PutVersion(value, params_.ts, LocalFor(params_.ts), old_live, (rewrites_ ? versions_.provisional_value : versions_.committed_value).size());
    if (own_ != nullptr) DropOwnLock();
    return Outcome::Ok();
  }

  Outcome WriteIntent(Value value) {
    if (IsReplay()) {
      std::optional<std::string> before;
      bool same = ReplayedValue(&before) && before.has_value() == value.has_value() && (!value || *before == *value);
      return same ? Outcome::Ok() : Outcome::Error(absl::InvalidArgumentError("a write with this sequence, or a later one, was made with another value"));
    }
    Stats d;
    Timestamp ts = params_.ts;
    std::vector<HistoryEntry> history;
    bool old_live = versions_.committed_live;
    size_t old_size = versions_.committed_value.size();
    if (own_ != nullptr && own_->intent.has_value()) {
      Intent& old = *own_->intent;
      if (own_->txn.epoch() == params_.txn->meta().epoch()) {
        ts = std::max(ts, old.ts);
        history = std::move(old.history);
        history.push_back({old.sequence, versions_.provisional_live ? std::optional<std::string>(versions_.provisional_value) : std::nullopt});
        std::erase_if(history, [&](const HistoryEntry& e) { return internal::IsIgnored(*params_.txn, e.sequence); });
      }
      if (old.ts != ts) {
        KeyBuffer buffer;
        rw_.Delete(ColumnFamily::kData, buffer.Set(key_, old.ts));
      }
      d.versions -= 1;
      d.total_bytes -= VersionBytes(key_, versions_.provisional_bytes);
      d.intents -= 1;
      old_live = versions_.provisional_live;
      old_size = versions_.provisional_value.size();
    } else if (own_ == nullptr) {
      own_ = &record_.holders.emplace_back();
      d.locks += 1;
    }
    d.intents += 1;
    if (params_.stats != nullptr) *params_.stats += d;
    own_->txn = params_.txn->meta();
    own_->txn.set_write_ts(ts.bits);
    own_->txn.set_sequence(params_.sequence);
    own_->strength = LockStrength::kExclusive;
    own_->intent = Intent{ts, params_.sequence, std::move(history)};
    PutVersion(value, ts, LocalFor(ts), old_live, old_size);
    internal::StoreLock(rw_, key_, record_);
    return Outcome::Ok();
  }

  void PutVersion(Value value, Timestamp ts, Timestamp local, bool old_live, size_t old_size) {
    KeyBuffer buffer;
    std::string encoded;
    EncodeValue(value, local, &encoded);
    rw_.Put(ColumnFamily::kData, buffer.Set(key_, ts), encoded);
    if (params_.stats == nullptr) return;
    Stats& s = *params_.stats;
    s.versions += 1;
    s.total_bytes += VersionBytes(key_, encoded.size());
    if (old_live) {
      s.live_keys -= 1;
      s.live_bytes -= LiveBytes(key_, old_size);
    }
    if (value.has_value()) {
      s.live_keys += 1;
      s.live_bytes += LiveBytes(key_, value->size());
    }
  }

  void DropOwnLock() {
    std::erase_if(record_.holders, [&](const LockHolder& h) { return &h == own_; });
    own_ = nullptr;
    internal::StoreLock(rw_, key_, record_);
    if (params_.stats != nullptr && record_.holders.empty()) params_.stats->locks -= 1;
  }

  storage::ReadWriter& rw_;
  const std::string_view key_;
  const WriteParams& params_;
  LockRecord record_;
  LockHolder* own_ = nullptr;  // in record_
  Versions versions_;
  bool rewrites_ = false;  // the batch has committed a version of the key before: versions_' provisional one
};

Outcome KeyWriter::Lock(LockStrength strength) {
  bool locked;
  if (Outcome o = internal::LoadLock(rw_, key_, &record_, &locked); !o.ok()) return o;
  std::vector<FoundLock> foreign;
  for (LockHolder& holder : record_.holders) {
    if (holder.txn.id() == params_.txn->meta().id()) {
      TakeOwn(holder);
    } else if (strength == LockStrength::kExclusive || holder.strength == LockStrength::kExclusive) {
      foreign.push_back({std::string(key_), holder});
    }
  }
  if (!foreign.empty()) return Outcome::Locked(std::move(foreign));
  if (own_ != nullptr) {
    if (own_->txn.epoch() > params_.txn->meta().epoch()) return Outcome::At(Outcome::Kind::kStaleTxn, key_, params_.ts);
    if (own_->strength == LockStrength::kExclusive || own_->strength == strength) return Outcome::Ok();
  }
  if (Outcome o = LoadVersions(); !o.ok()) return o;
  Timestamp limit = params_.read_ts.empty() ? params_.ts : params_.read_ts;
  if (versions_.committed_ts > limit) return Outcome::At(Outcome::Kind::kWriteTooOld, key_, versions_.committed_ts);
  if (own_ == nullptr) {
    own_ = &record_.holders.emplace_back();
    if (params_.stats != nullptr && record_.holders.size() == 1) params_.stats->locks += 1;
  }
  own_->txn = params_.txn->meta();
  if (!params_.exclusive_since.empty()) own_->txn.set_write_ts(params_.exclusive_since.bits);
  own_->strength = strength;
  internal::StoreLock(rw_, key_, record_);
  return Outcome::Ok();
}

std::string EncodeCounter(int64_t v) {
  std::string out;
  AppendFixed64(&out, static_cast<uint64_t>(v));
  return out;
}

Outcome DecodeCounter(std::string_view key, const std::optional<std::string>& value, int64_t* out) {
  *out = 0;
  if (!value.has_value()) return Outcome::Ok();
  if (value->size() != 8) return Outcome::Error(absl::InvalidArgumentError("the value is not a counter, key " + std::string(key)));
  *out = static_cast<int64_t>(ReadFixed64(value->data()));
  return Outcome::Ok();
}

}  // namespace

bool AbsenceCursor::IsAbsent(storage::ReadWriter& rw, std::string_view key) {
  if (rw.ChangesVersionsOf(key)) return false;
  const bool beyond = it_ != nullptr && key >= from_ && (!it_->Valid() || storage::UserKey(it_->key()) > key);
  if (!beyond) {
    if (it_ == nullptr) it_ = rw.base().NewIterator(storage::IteratorOptions());
    KeyBuffer buffer;
    it_->Seek(buffer.Set(key, Timestamp::Max()));
    from_.assign(key);
  }
  // Not valid because of damage is for the caller's own look to say.
  return it_->status().ok() && !(it_->Valid() && storage::UserKey(it_->key()) == key);
}

Outcome Put(storage::ReadWriter& rw, std::string_view key, std::string_view value, const WriteParams& params) {
  KeyWriter writer(rw, key, params);
  if (Outcome o = writer.Load(); !o.ok()) return o;
  return writer.Write(value);
}

Outcome Delete(storage::ReadWriter& rw, std::string_view key, const WriteParams& params, bool* existed) {
  KeyWriter writer(rw, key, params);
  if (Outcome o = writer.Load(); !o.ok()) return o;
  if (existed != nullptr) *existed = (writer.IsReplay() ? writer.BeforeReplay() : writer.Present()).has_value();
  return writer.Write(std::nullopt);
}

Outcome ConditionalPut(storage::ReadWriter& rw, std::string_view key, std::optional<std::string_view> value, std::optional<std::string_view> expected,
                       const WriteParams& params) {
  KeyWriter writer(rw, key, params);
  if (Outcome o = writer.Load(params.absence); !o.ok()) return o;
  std::optional<std::string> present = writer.IsReplay() ? writer.BeforeReplay() : writer.Present();
  bool same = present.has_value() == expected.has_value() && (!present || *present == *expected);
  if (!same) return Outcome::ConditionFailed(key, std::move(present));
  return writer.Write(value);
}

Outcome InitPut(storage::ReadWriter& rw, std::string_view key, std::string_view value, const WriteParams& params) {
  KeyWriter writer(rw, key, params);
  if (Outcome o = writer.Load(); !o.ok()) return o;
  std::optional<std::string> present = writer.Present();
  if (!present.has_value()) return writer.Write(value);
  if (*present == value) return Outcome::Ok();
  return Outcome::ConditionFailed(key, std::move(present));
}

Outcome Increment(storage::ReadWriter& rw, std::string_view key, int64_t by, const WriteParams& params, int64_t* value) {
  KeyWriter writer(rw, key, params);
  if (Outcome o = writer.Load(); !o.ok()) return o;
  if (writer.IsReplay()) {
    std::optional<std::string> written;
    if (!writer.ReplayedValue(&written)) return Outcome::Error(absl::InvalidArgumentError("an increment before a later write of the same key"));
    return DecodeCounter(key, written, value);
  }
  int64_t present;
  if (Outcome o = DecodeCounter(key, writer.Present(), &present); !o.ok()) return o;
  if (__builtin_add_overflow(present, by, value)) return Outcome::Error(absl::OutOfRangeError("counter overflow, key " + std::string(key)));
  return writer.Write(EncodeCounter(*value));
}

Outcome DeleteRange(storage::ReadWriter& rw, std::string_view start, std::string_view end, uint64_t max_rows, const WriteParams& params, DeleteRangeResult* out) {
  ReadParams read;
  read.ts = params.read_ts.empty() ? params.ts : params.read_ts;
  read.txn = params.txn;
  read.lock = LockStrength::kExclusive;  // a foreign lock on any key is in the way
  read.fail_if_newer = true;
  if (params.txn == nullptr || params.one_phase) {
    read.own = &rw;
    read.own_ts = params.ts;
  }
  ScanResult rows;
  if (Outcome o = Scan(rw, start, end, /*reverse=*/false, read, {.max_rows = max_rows}, &rows); !o.ok()) return o;
  RowsCursor cursor(rows.rows);
  std::string_view key, value;
  out->deleted = 0;
  while (cursor.Next(&key, &value)) {
    if (Outcome o = Delete(rw, key, params, nullptr); !o.ok()) return o;
    ++out->deleted;
  }
  out->resume = std::move(rows.resume);
  return Outcome::Ok();
}

Outcome AcquireLock(storage::ReadWriter& rw, std::string_view key, LockStrength strength, const WriteParams& params) {
  if (params.txn == nullptr || strength == LockStrength::kNone) return Outcome::Error(absl::InvalidArgumentError("a lock needs a transaction and a strength"));
  return KeyWriter(rw, key, params).Lock(strength);
}

void PutCommitted(storage::WriteBatch* batch, std::string_view key, std::string_view value, Timestamp ts, Stats* stats) {
  KeyBuffer buffer;
  std::string encoded;
  EncodeValue(value, Timestamp{}, &encoded);
  batch->Put(ColumnFamily::kData, buffer.Set(key, ts), encoded);
  if (stats == nullptr) return;
  *stats += Stats{.live_keys = 1, .live_bytes = LiveBytes(key, value.size()), .versions = 1, .total_bytes = VersionBytes(key, encoded.size())};
}

}  // namespace insula::kv::mvcc
