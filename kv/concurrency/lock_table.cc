#include "kv/concurrency/lock_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

bool SameTxn(const v1::TxnMeta* a, const v1::TxnMeta* b) { return a != nullptr && b != nullptr && a->id() == b->id(); }

bool LocksConflict(LockStrength a, LockStrength b) { return a == LockStrength::kExclusive || b == LockStrength::kExclusive; }

const char* Name(LockStrength access) {
  return access == LockStrength::kNone ? "read" : access == LockStrength::kShared ? "shared" : "exclusive";
}

}  // namespace

LockTable::~LockTable() { CHECK_EQ(requests_, 0u) << "requests outlive the lock table"; }

std::unique_ptr<LockTable::Request> LockTable::NewRequest(const v1::TxnMeta* txn, v1::WaitPolicy policy, std::vector<LockSpan> spans) {
  ++requests_;
  return std::make_unique<Request>(this, ++arrivals_, txn, policy, std::move(spans));
}

LockTable::Found LockTable::FindBlocker(const Key& key, const Request& request, LockStrength access, Timestamp ts) const {
  bool own = false;
  for (const Holder& holder : key.holders) {
    if (SameTxn(&holder.txn->second.meta, request.txn_)) {
      if (access == LockStrength::kNone || holder.strength >= access) return {};
      own = true;
      continue;
    }
    bool conflict = access == LockStrength::kNone ? holder.intent && holder.ts <= ts : LocksConflict(access, holder.strength);
    if (conflict) return {&holder.txn->second.meta, &holder};
  }
  if (own || access == LockStrength::kNone) return {};
  for (const Waiter& waiter : key.queue) {
    if (waiter.request->arrival_ >= request.arrival_) break;
    if (waiter.access == LockStrength::kNone || waiter.request->txn_ == nullptr || SameTxn(waiter.request->txn_, request.txn_)) continue;
    if (LocksConflict(access, waiter.access)) return {waiter.request->txn_, nullptr};
  }
  return {};
}

bool LockTable::ScanKey(Request* request, KeyMap::iterator it, const LockSpan& span, ScanResult* result) {
  Found blocker = FindBlocker(it->second, *request, span.access, span.ts);
  if (blocker.txn == nullptr) return false;
  // Plain reads have no policy: they wait for an intent as ever.
  bool locking = span.access != LockStrength::kNone;
  if (locking && request->policy_ == v1::WAIT_SKIP_LOCKED) return false;
  request->waiting_ = it;
  request->wanted_ = span;
  bool conflict = locking && request->policy_ == v1::WAIT_ERROR;
  if (!conflict) Enqueue(request, it, span);
  *result = {conflict ? ScanResult::kConflict : ScanResult::kWait, it->first};
  return true;
}

LockTable::ScanResult LockTable::Scan(Request* request) {
  request->waiting_.reset();  // of a conflict, the key may be gone; of a wait, the queue keeps it
  request->signalled_ = false;
  ScanResult result;
  if (keys_.empty()) return result;
  for (const LockSpan& span : request->spans_) {
    if (span.end_key.empty()) {
      auto it = keys_.find(span.key);
      if (it != keys_.end() && ScanKey(request, it, span, &result)) return result;
      continue;
    }
    for (auto it = keys_.lower_bound(span.key); it != keys_.end() && it->first < span.end_key; ++it) {
      if (ScanKey(request, it, span, &result)) return result;
    }
  }
  return result;
}

void LockTable::RaiseReads(Request* request, Timestamp ts, Timestamp push_above) {
  for (LockSpan& span : request->spans_) {
    if (span.access != LockStrength::kNone) continue;
    span.ts = std::max(span.ts, ts);
    span.push_above = std::max(span.push_above, push_above);
  }
}

void LockTable::Enqueue(Request* request, KeyMap::iterator it, const LockSpan& span) {
  auto& queue = it->second.queue;
  auto at = std::find_if(queue.begin(), queue.end(), [&](const Waiter& w) { return w.request->arrival_ >= request->arrival_; });
  if (at != queue.end() && at->request == request) {
    at->access = std::max(at->access, span.access);
    at->ts = std::max(at->ts, span.ts);
    return;
  }
  queue.insert(at, Waiter{request, span.access, span.ts});
  request->queued_.push_back(it);
}

std::optional<LockTable::Blocker> LockTable::BlockerOf(const Request& request) const {
  if (!request.waiting_) return std::nullopt;
  const auto& [key, state] = **request.waiting_;
  Found found = FindBlocker(state, request, request.wanted_.access, request.wanted_.ts);
  if (found.txn == nullptr) return std::nullopt;
  Blocker blocker{.txn = *found.txn, .key = key, .access = request.wanted_.access};
  if (found.holder != nullptr) {
    blocker.holds = true;
    blocker.intent = found.holder->intent;
    blocker.replicated = found.holder->replicated;
    if (found.holder->intent) blocker.txn.set_write_ts(found.holder->ts.bits);
    blocker.push_to = std::max(request.wanted_.push_above, found.holder->ts).Next();
  }
  return blocker;
}

bool LockTable::IsLocked(const Request& request, std::string_view key, LockStrength access) const {
  auto it = keys_.find(key);
  return it != keys_.end() && FindBlocker(it->second, request, access, Timestamp()).txn != nullptr;
}

LockTable::KeyMap::iterator LockTable::KeyAt(std::string_view key) {
  auto it = keys_.lower_bound(key);
  if (it != keys_.end() && it->first == key) return it;
  return keys_.emplace_hint(it, std::string(key), Key{});
}

LockTable::Holder* LockTable::FindHolder(Key& key, std::string_view txn_id) {
  for (Holder& holder : key.holders) {
    if (holder.txn->first == txn_id) return &holder;
  }
  return nullptr;
}

const LockTable::Holder* LockTable::FindHolder(const Key& key, std::string_view txn_id) const {
  return const_cast<LockTable*>(this)->FindHolder(const_cast<Key&>(key), txn_id);
}

LockTable::Holder& LockTable::AddHolder(KeyMap::iterator it, const v1::TxnMeta& meta) {
  auto txn = txns_.lower_bound(meta.id());
  if (txn == txns_.end() || txn->first != meta.id()) txn = txns_.emplace_hint(txn, meta.id(), Txn{meta, {}});
  txn->second.keys.insert(it->first);
  it->second.holders.push_back(Holder{txn, LockStrength::kShared, false, false, Timestamp(), Timestamp()});
  return it->second.holders.back();
}

void LockTable::RemoveHolder(KeyMap::iterator it, std::string_view txn_id) {
  auto& holders = it->second.holders;
  auto at = std::find_if(holders.begin(), holders.end(), [&](const Holder& h) { return h.txn->first == txn_id; });
  if (at == holders.end()) return;
  auto txn = at->txn;
  holders.erase(at);
  txn->second.keys.erase(it->first);
  if (txn->second.keys.empty()) txns_.erase(txn);
}

void LockTable::AddDiscovered(std::string_view key, const v1::TxnMeta& holder, bool intent, LockStrength strength) {
  auto it = KeyAt(key);
  Holder* present = FindHolder(it->second, holder.id());
  Holder& h = present != nullptr ? *present : AddHolder(it, holder);
  h.strength = std::max(h.strength, intent ? LockStrength::kExclusive : strength);
  h.replicated = true;
  h.intent = h.intent || intent;
  if (intent) h.ts = Timestamp{holder.write_ts()};
}

void LockTable::Acquire(std::string_view key, const v1::TxnMeta& txn, LockStrength strength, Timestamp since) {
  auto it = KeyAt(key);
  Holder* present = FindHolder(it->second, txn.id());
  if (present != nullptr) {
    present->strength = std::max(present->strength, strength);
    if (present->since.empty()) present->since = since;
  } else {
    Holder& h = AddHolder(it, txn);
    h.strength = strength;
    h.since = since;
  }
  SignalWaiters(it);  // other requests of the same transaction need not wait for claims any more
}

void LockTable::OnReplicated(std::string_view key, const v1::TxnMeta& txn, bool intent, LockStrength strength) {
  auto it = keys_.find(key);
  if (it == keys_.end()) return;
  if (it->second.queue.empty()) {
    RemoveHolder(it, txn.id());
    Changed(it);
    return;
  }
  Holder* present = FindHolder(it->second, txn.id());
  Holder& h = present != nullptr ? *present : AddHolder(it, txn);
  h.strength = std::max(h.strength, intent ? LockStrength::kExclusive : strength);
  h.replicated = true;
  h.intent = h.intent || intent;
  if (intent) h.ts = Timestamp{txn.write_ts()};
  SignalWaiters(it);
}

void LockTable::OnIntentMoved(std::string_view key, std::string_view txn_id) {
  auto it = keys_.find(key);
  if (it == keys_.end()) return;
  Holder* holder = FindHolder(it->second, txn_id);
  if (holder == nullptr || !holder->intent) return;
  if (holder->since.empty()) {
    RemoveHolder(it, txn_id);
  } else {
    holder->intent = holder->replicated = false;  // its unreplicated lock stays
  }
  Changed(it);
}

void LockTable::Release(std::string_view key, std::string_view end_key, std::string_view txn_id, OnRelease on_release) {
  auto txn = txns_.find(txn_id);
  if (txn == txns_.end()) return;
  std::vector<std::string_view> keys;
  for (auto it = txn->second.keys.lower_bound(key); it != txn->second.keys.end(); ++it) {
    if (end_key.empty() ? *it != key : *it >= end_key) break;
    keys.push_back(*it);
  }
  for (std::string_view k : keys) {
    auto it = keys_.find(k);
    const Holder* holder = FindHolder(std::as_const(it->second), txn_id);
    if (!holder->since.empty()) on_release(k);
    RemoveHolder(it, txn_id);
    Changed(it);
  }
}

void LockTable::ReleaseAll(std::string_view txn_id, OnRelease on_release) {
  auto txn = txns_.find(txn_id);
  if (txn == txns_.end()) return;
  std::string last(*txn->second.keys.rbegin());
  last.push_back('\0');
  Release(std::string(*txn->second.keys.begin()), last, txn_id, on_release);
}

std::vector<std::string> LockTable::ReplicatedKeysOf(std::string_view txn_id, size_t limit) const {
  std::vector<std::string> out;
  auto txn = txns_.find(txn_id);
  if (txn == txns_.end()) return out;
  for (std::string_view key : txn->second.keys) {
    if (out.size() >= limit) break;
    if (FindHolder(keys_.find(key)->second, txn_id)->replicated) out.emplace_back(key);
  }
  return out;
}

std::optional<Timestamp> LockTable::HeldSince(std::string_view key, std::string_view txn_id, LockStrength strength) const {
  auto it = keys_.find(key);
  if (it == keys_.end()) return std::nullopt;
  const Holder* holder = FindHolder(it->second, txn_id);
  if (holder == nullptr || holder->since.empty() || holder->strength < strength) return std::nullopt;
  return holder->since;
}

bool LockTable::HeldByOther(std::string_view key, std::string_view txn_id) const {
  auto it = keys_.find(key);
  if (it == keys_.end()) return false;
  for (const Holder& holder : it->second.holders) {
    if (holder.txn->first != txn_id) return true;
  }
  return false;
}

void LockTable::SignalWaiters(KeyMap::iterator it) {
  for (const Waiter& waiter : it->second.queue) {
    Request* request = waiter.request;
    if (request->signalled_ || !request->waiting_ || *request->waiting_ != it) continue;
    if (FindBlocker(it->second, *request, waiter.access, waiter.ts).txn != nullptr) continue;
    request->signalled_ = true;
    request->changed_.NotifyAll();
  }
}

LockTable::KeyMap::iterator LockTable::Changed(KeyMap::iterator it) {
  Key& key = it->second;
  if (key.queue.empty()) {
    // What lies in the engine need not lie here when nobody waits, but a release of one key tells nothing about it: keep it
    // until its transaction's other keys go the same way.
    if (key.holders.empty()) return keys_.erase(it);
    return std::next(it);
  }
  SignalWaiters(it);
  return std::next(it);
}

void LockTable::Leave(Request* request) {
  --requests_;
  request->waiting_.reset();
  for (auto it : request->queued_) {
    std::erase_if(it->second.queue, [request](const Waiter& w) { return w.request == request; });
    Changed(it);
  }
  request->queued_.clear();
}

void LockTable::Clear() {
  for (auto it = keys_.begin(); it != keys_.end();) {
    it->second.holders.clear();
    if (it->second.queue.empty()) {
      it = keys_.erase(it);
      continue;
    }
    for (const Waiter& waiter : it->second.queue) {
      waiter.request->signalled_ = true;
      waiter.request->changed_.NotifyAll();
    }
    ++it;
  }
  txns_.clear();
}

std::vector<LockTable::HeldLock> LockTable::TakeFrom(std::string_view key) {
  std::vector<HeldLock> out;
  for (auto it = keys_.lower_bound(key); it != keys_.end();) {
    while (!it->second.holders.empty()) {
      const Holder& holder = it->second.holders.front();
      if (!holder.since.empty()) out.push_back({it->first, holder.txn->second.meta, holder.strength, holder.since});
      RemoveHolder(it, std::string(holder.txn->first));
    }
    it = Changed(it);
  }
  return out;
}

std::vector<LockTable::HeldLock> LockTable::Unreplicated(std::string_view key, size_t limit) const {
  std::vector<HeldLock> out;
  for (auto it = keys_.lower_bound(key); it != keys_.end() && out.size() < limit; ++it) {
    for (const Holder& holder : it->second.holders) {
      if (!holder.since.empty()) out.push_back({it->first, holder.txn->second.meta, holder.strength, holder.since});
    }
  }
  return out;
}

std::vector<LockTable::LockInfo> LockTable::List(std::string_view key, std::string_view end_key, size_t limit) const {
  std::vector<LockInfo> out;
  for (auto it = keys_.lower_bound(key); it != keys_.end() && out.size() < limit; ++it) {
    if (end_key.empty() ? it->first != key : std::string_view(it->first) >= end_key) break;
    for (const Holder& holder : it->second.holders) {
      out.push_back({it->first, holder.txn->second.meta, holder.strength, holder.replicated, static_cast<uint32_t>(it->second.queue.size())});
    }
  }
  return out;
}

void LockTable::VerifyInvariants() const {
  for (const auto& [name, key] : keys_) {
    CHECK(!key.holders.empty() || !key.queue.empty()) << "L1: " << name;
    for (const Holder& holder : key.holders) {
      CHECK(key.holders.size() == 1 || holder.strength == LockStrength::kShared) << "L3: " << name;
      CHECK_EQ(holder.txn->second.keys.count(name), 1u) << "L4: " << name;
    }
    uint64_t last = 0;
    for (const Waiter& waiter : key.queue) {
      CHECK_GT(waiter.request->arrival_, last) << "L2: " << name;
      last = waiter.request->arrival_;
      if (!waiter.request->waiting_ || (*waiter.request->waiting_)->first != name) continue;
      CHECK(waiter.request->signalled_ || FindBlocker(key, *waiter.request, waiter.access, waiter.ts).txn != nullptr) << "L5: " << name;
    }
  }
  for (const auto& [id, txn] : txns_) {
    CHECK(!txn.keys.empty()) << "L4";
    for (std::string_view key : txn.keys) {
      auto it = keys_.find(key);
      CHECK(it != keys_.end() && FindHolder(it->second, id) != nullptr) << "L4: " << key;
    }
  }
}

std::string LockTable::DebugString() const {
  std::string out;
  for (const auto& [name, key] : keys_) {
    StrAppend(&out, name, ":");
    for (const Holder& holder : key.holders) {
      StrAppend(&out, " ", holder.txn->first, "/", holder.intent ? "intent" : Name(holder.strength));
      if (holder.intent) StrAppend(&out, "@", holder.ts.bits);
      if (holder.replicated && !holder.intent) StrAppend(&out, "/replicated");
    }
    if (!key.queue.empty()) StrAppend(&out, " |");
    for (const Waiter& waiter : key.queue) {
      StrAppend(&out, " r", waiter.request->arrival_, "/", Name(waiter.access));
      if (waiter.request->waiting_ && (*waiter.request->waiting_)->first == name) StrAppend(&out, waiter.request->signalled_ ? "!" : "*");
    }
    StrAppend(&out, "\n");
  }
  return out;
}

}  // namespace insula::kv
