// Who holds the keys of one range, and which requests wait for them.
//
//   key | holders                    | queue, by arrival
//   ----+----------------------------+-----------------------
//   a   | txn 7, exclusive           | r3 (exclusive) <- r9 (exclusive)
//   c   | none; r4 claims            | r4 (exclusive) <- r8 (shared)
//   d   | txn 2, txn 5, shared       | r6 (exclusive)
//   e   | txn 9, intent at ts 40     | r2 (read at ts 50)
//
// Holders are unreplicated locks (only here: they go with the lease), or intents and replicated locks that a request met in the
// engine ("discovered": known here from then on until they are resolved).
//
// What conflicts, between transactions:
//               | shared holder | exclusive holder | intent at ts
//   kNone at t  | no            | no               | if ts <= t
//   shared      | no            | yes              | yes
//   exclusive   | yes           | yes              | yes
// A locking request also waits for conflicting locking requests that arrived earlier and queue at the key: its claim is theirs first.
// A request without a transaction has no claim (nobody could push it), and a transaction that holds a key ignores claims there.
//
// Invariants (VerifyInvariants()):
//   L1  A key with neither holder nor queue is not in the table.
//   L2  A queue is ordered by arrival, and a request keeps its number across scans: so claims alone never make a deadlock.
//   L3  A key has several holders only if all are shared.
//   L4  Every holder is in its transaction's key set, and no key else is.
//   L5  A request that waits and has no blocker left has been signalled.
// Not promised: the table is a cache of contention; all of it may be forgotten (Clear), and then holders' later writes find out.
// Pure: it knows no clock, no engine; it wakes waiters through Request::changed. Loop thread only.
#ifndef INSULA_KV_CONCURRENCY_LOCK_TABLE_H_
#define INSULA_KV_CONCURRENCY_LOCK_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "kv/api/txn.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// What a request is about to do with [key, end_key), or with the single key when end_key is empty. Bytes outlive the request.
struct LockSpan {
  std::string_view key = {};
  std::string_view end_key = {};
  LockStrength access = LockStrength::kNone;
  Timestamp ts = {};          // kNone: the highest timestamp whose values matter (read timestamp or uncertainty limit)
  Timestamp push_above = {};  // kNone: an intent that is moved above it is in the way no more
};

class LockTable {
 private:
  struct Txn;
  struct Key;
  using KeyMap = std::map<std::string, Key, std::less<>>;

 public:
  // One request's place in the queues. Leaves them when destroyed.
  class Request {
   public:
    Request(LockTable* table, uint64_t arrival, const v1::TxnMeta* txn, v1::WaitPolicy policy, std::vector<LockSpan> spans)
        : table_(table), arrival_(arrival), txn_(txn), policy_(policy), spans_(std::move(spans)) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request() { table_->Leave(this); }

    // While waiting: true once nothing blocks the request any more at the key where it waits.
    bool signalled() const { return signalled_; }
    Condition& changed() { return changed_; }
    uint64_t arrival() const { return arrival_; }
    const v1::TxnMeta* txn() const { return txn_; }
    v1::WaitPolicy policy() const { return policy_; }

   private:
    friend class LockTable;
    LockTable* table_;
    uint64_t arrival_;
    const v1::TxnMeta* txn_;
    v1::WaitPolicy policy_;
    std::vector<LockSpan> spans_;
    std::vector<KeyMap::iterator> queued_;
    std::optional<KeyMap::iterator> waiting_;  // the key in the way, and what is wanted there
    LockSpan wanted_;
    bool signalled_ = false;
    Condition changed_;
  };

  struct ScanResult {
    enum Kind { kFree, kWait, kConflict } kind = kFree;
    std::string_view key = {};  // where it waits, or what conflicts; valid until the table changes
  };

  // Whom a waiting request waits for.
  struct Blocker {
    v1::TxnMeta txn;
    std::string key;
    bool holds = false;       // it holds the key (else: it claims it)
    bool intent = false;      // it holds it with an intent
    bool replicated = false;  // intent or replicated lock
    LockStrength access = LockStrength::kNone;  // what the waiter wants (kNone: to read)
    Timestamp push_to = {};         // kNone: moved there, it is in the way no more
  };

  LockTable() = default;
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;
  ~LockTable();

  // `txn` (null: not transactional) and the bytes of `spans` outlive the request.
  std::unique_ptr<Request> NewRequest(const v1::TxnMeta* txn, v1::WaitPolicy policy, std::vector<LockSpan> spans);

  // Looks through all spans, in order. kFree: nothing is in the way (hold the latches while relying on that). kWait: the request
  // queues at a key; when signalled, scan again. kConflict: something is in the way (BlockerOf), and the policy says not to wait.
  ScanResult Scan(Request* request);
  // Who was in the way of `request` at its last Scan, as of now; nullopt: nobody any more.
  std::optional<Blocker> BlockerOf(const Request& request) const;
  // From its next Scan on, intents up to `ts` are in the way of the request's reads, and those above `push_above` are not any more.
  void RaiseReads(Request* request, Timestamp ts, Timestamp push_above);
  // The request no longer cares for what was in its way (it keeps its places).
  void StopWaiting(Request* request) { request->waiting_.reset(); }
  // SKIP LOCKED: whether `key` is to be left out by `request`, which wants `access`.
  bool IsLocked(const Request& request, std::string_view key, LockStrength access) const;

  // An intent (or replicated lock) of another transaction that an evaluation met.
  void AddDiscovered(std::string_view key, const v1::TxnMeta& holder, bool intent, LockStrength strength);
  // `txn` now holds `key` without replication, since `since` (kept if it held it before). The caller saw it free under latches.
  void Acquire(std::string_view key, const v1::TxnMeta& txn, LockStrength strength, Timestamp since);
  // `txn`'s lock on `key` now lies in the engine (intent or replicated lock): needed here only as long as somebody waits.
  void OnReplicated(std::string_view key, const v1::TxnMeta& txn, bool intent, LockStrength strength);
  // A push moved `txn`'s intent on `key` up: forgotten here, so that whoever it still is in the way of meets it anew.
  void OnIntentMoved(std::string_view key, std::string_view txn_id);

  using OnRelease = absl::FunctionRef<void(std::string_view key)>;
  // `txn_id` holds `key`, or the keys in [key, end_key), no more. `on_release` sees each key whose unreplicated lock goes.
  void Release(std::string_view key, std::string_view end_key, std::string_view txn_id, OnRelease on_release);
  void ReleaseAll(std::string_view txn_id, OnRelease on_release);
  // Keys that `txn_id` is known to hold through intents or replicated locks, in order, at most `limit`.
  std::vector<std::string> ReplicatedKeysOf(std::string_view txn_id, size_t limit) const;
  // Since when `txn_id` holds an unreplicated lock on `key` of at least `strength`, without a break.
  std::optional<Timestamp> HeldSince(std::string_view key, std::string_view txn_id, LockStrength strength) const;
  // Whether another transaction than `txn_id` holds `key` exclusively, unreplicated.
  bool HeldByOther(std::string_view key, std::string_view txn_id) const;

  // Forgets all holders (the lease is gone, or the range's bounds changed) and signals all waiters.
  void Clear();
  // The keys in [key, ...) move to another table (split): forgets their holders here and gives the unreplicated ones out.
  struct HeldLock {
    std::string key;
    v1::TxnMeta txn;
    LockStrength strength;
    Timestamp since;
  };
  std::vector<HeldLock> TakeFrom(std::string_view key);
  // The unreplicated holders at or above `key`, in order, at most `limit`.
  std::vector<HeldLock> Unreplicated(std::string_view key, size_t limit) const;
  // Unreplicated holders in [key, end_key) and how many requests wait there, for QueryLocks.
  struct LockInfo {
    std::string key;
    v1::TxnMeta holder;
    LockStrength strength;
    bool replicated;
    uint32_t waiters;
  };
  std::vector<LockInfo> List(std::string_view key, std::string_view end_key, size_t limit) const;

  size_t key_count() const { return keys_.size(); }
  size_t txn_count() const { return txns_.size(); }
  void VerifyInvariants() const;
  // The table as its header draws it, for data-driven tests.
  std::string DebugString() const;

 private:
  struct Txn {
    v1::TxnMeta meta;
    std::set<std::string_view> keys;  // views of keys_' keys
  };
  using TxnMap = std::map<std::string, Txn, std::less<>>;
  struct Holder {
    TxnMap::iterator txn;
    LockStrength strength;
    bool replicated;
    bool intent;
    Timestamp ts;     // intent: its timestamp
    Timestamp since;  // unreplicated: since when
  };
  struct Waiter {
    Request* request;
    LockStrength access;
    Timestamp ts;
  };
  struct Key {
    std::vector<Holder> holders;
    std::vector<Waiter> queue;
  };
  struct Found {
    const v1::TxnMeta* txn = nullptr;
    const Holder* holder = nullptr;
  };

  Found FindBlocker(const Key& key, const Request& request, LockStrength access, Timestamp ts) const;
  bool ScanKey(Request* request, KeyMap::iterator it, const LockSpan& span, ScanResult* result);
  void Enqueue(Request* request, KeyMap::iterator it, const LockSpan& span);
  void Leave(Request* request);
  Holder* FindHolder(Key& key, std::string_view txn_id);
  const Holder* FindHolder(const Key& key, std::string_view txn_id) const;
  Holder& AddHolder(KeyMap::iterator it, const v1::TxnMeta& meta);
  void RemoveHolder(KeyMap::iterator it, std::string_view txn_id);
  KeyMap::iterator KeyAt(std::string_view key);
  void SignalWaiters(KeyMap::iterator it);
  // Signals, and erases the key if nothing is left of it. Gives the next key.
  KeyMap::iterator Changed(KeyMap::iterator it);

  uint64_t arrivals_ = 0;
  KeyMap keys_;
  TxnMap txns_;
  size_t requests_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CONCURRENCY_LOCK_TABLE_H_
