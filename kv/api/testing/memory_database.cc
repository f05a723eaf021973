#include "kv/api/testing/memory_database.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {

struct MemoryDatabase::Store {
  struct Version {
    Timestamp at;
    std::optional<std::string> value;  // nullopt: deleted
  };
  struct Lock {
    const MemoryTxn* exclusive = nullptr;
    std::set<const MemoryTxn*> shared;
    Condition released;
    int waiters = 0;
    bool free() const { return exclusive == nullptr && shared.empty(); }
  };
  using Versions = std::vector<Version>;  // oldest first

  std::map<std::string, Versions> data;
  std::map<std::string, Lock> locks;
  std::map<const MemoryTxn*, std::string> waiting;  // for which key
  Timestamp last = Timestamp::FromMicros(1);
  uint64_t largest_buffer = 0;

  Timestamp Tick() { return last = last.Next(); }

  static const std::optional<std::string>* At(const Versions& versions, Timestamp ts) {
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
      if (it->at <= ts) return &it->value;
    }
    return nullptr;
  }
  std::optional<std::string> Read(const std::string& key, Timestamp ts) const {
    auto it = data.find(key);
    const auto* value = it == data.end() ? nullptr : At(it->second, ts);
    return value == nullptr ? std::nullopt : *value;
  }
  Timestamp NewestOf(const std::string& key) const {
    auto it = data.find(key);
    return it == data.end() ? Timestamp{} : it->second.back().at;
  }
  bool ChangedIn(const std::string& start, const std::string& end, Timestamp after) const {
    for (auto it = data.lower_bound(start); it != data.end() && it->first < end; ++it) {
      if (it->second.back().at > after) return true;
    }
    return false;
  }
};

class MemoryTxn : public Txn {
 public:
  using Store = MemoryDatabase::Store;

  MemoryTxn(std::shared_ptr<Store> store, TxnOptions options) : store_(std::move(store)), options_(options) {}
  ~MemoryTxn() override { ReleaseLocks(); }

  Task<absl::Status> BeginStatement(const Context& ctx) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    if (options_.isolation == Isolation::kReadCommitted) read_ts_ = store_->Tick();
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<std::optional<std::string>>> Get(const Context& ctx, std::string key, ReadOptions options) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    co_return co_await Fail(ReadOne(ctx, key, options, nullptr));
  }

  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> GetMany(const Context& ctx, std::vector<std::string> keys,
                                                                        ReadOptions options) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    std::vector<std::optional<std::string>> out;
    out.reserve(keys.size());
    for (const auto& key : keys) {
      CO_ASSIGN_OR_RETURN(auto value, co_await Fail(ReadOne(ctx, key, options, nullptr)));
      out.push_back(std::move(value));
    }
    co_return out;
  }

  Task<absl::StatusOr<ScanPage>> Scan(const Context& ctx, ScanSpec spec) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    SeeDirectWrites(spec.start, spec.end);
    if (options_.isolation == Isolation::kSerializable) spans_.emplace_back(spec.start, spec.end);
    ScanPage page;
    uint64_t bytes = 0;
    // Keys that may have a value; each is then read (and locked) by itself, since waiting lets others change the store.
    std::vector<std::string> keys = KeysIn(spec);
    for (size_t i = 0; i < keys.size(); ++i) {
      if ((spec.max_rows != 0 && page.rows().size() >= spec.max_rows) || (spec.max_bytes != 0 && bytes >= spec.max_bytes)) {
        ScanSpec rest = spec;
        if (spec.reverse) {
          rest.end = keys[i - 1];
        } else {
          rest.start = keys[i];
        }
        page.set_rest(std::move(rest));
        break;
      }
      bool skipped = false;
      CO_ASSIGN_OR_RETURN(auto value, co_await Fail(ReadOne(ctx, keys[i], spec.options, &skipped)));
      if (skipped || !value) continue;
      bytes += keys[i].size() + value->size();
      auto buffer = std::make_unique<std::string>(keys[i] + *value);
      std::string_view all = *buffer;
      page.AddRow(all.substr(0, keys[i].size()), all.substr(keys[i].size()));
      page.AddBuffer(std::move(buffer));
    }
    stats_.bytes_read += bytes;
    co_return page;
  }

  void Put(std::string key, std::string value) override { Write(std::move(key), std::move(value)); }
  void Delete(std::string key) override { Write(std::move(key), std::nullopt); }

  Task<absl::StatusOr<std::optional<size_t>>> InsertMany(const Context& ctx, std::vector<KeyValue> rows) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    if (std::shared_ptr<Fresh> fresh = DirectPlace(rows)) co_return co_await InsertDirectly(ctx, fresh.get(), std::move(rows));
    std::set<std::string_view> seen;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string& key = rows[i].key;
      if (!seen.insert(key).second) co_return std::optional<size_t>(i);
      const std::optional<std::string>* own = Buffered(key);
      if (own != nullptr && own->has_value()) co_return std::optional<size_t>(i);
      CO_RETURN_IF_ERROR(co_await Fail(Acquire(ctx, key, {.lock = LockStrength::kExclusive}, nullptr)));
      if (own == nullptr && store_->Read(key, Timestamp::Max())) co_return std::optional<size_t>(i);
    }
    for (auto& row : rows) Write(std::move(row.key), std::move(row.value));
    co_return std::optional<size_t>();
  }

  Task<absl::Status> InsertAhead(const Context& ctx, std::vector<KeyValue> rows, std::shared_ptr<const RowTaken> taken) override {
    CO_ASSIGN_OR_RETURN(std::optional<size_t> present, co_await InsertMany(ctx, rows));
    co_return present ? (*taken)(rows[*present]) : absl::OkStatus();
  }
  Task<absl::Status> AwaitInserts(const Context& ctx) override { co_return co_await Enter(ctx); }

  Task<absl::StatusOr<uint64_t>> DeleteRange(const Context& ctx, std::string start, std::string end) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    uint64_t deleted = 0;
    for (std::string& key : KeysIn({.start = start, .end = end})) {
      CO_ASSIGN_OR_RETURN(auto value, co_await Fail(ReadOne(ctx, key, {.lock = LockStrength::kExclusive}, nullptr)));
      if (!value) continue;
      Write(std::move(key), std::nullopt);
      ++deleted;
    }
    co_return deleted;
  }

  Task<absl::Status> FlushIfLarge(const Context& ctx) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    NoteBuffer();
    unflushed_ = 0;
    co_return absl::OkStatus();
  }

  void DeclareFresh(std::string prefix, std::function<Task<absl::Status>(const Context&)> prepare) override {
    if (options_.isolation == Isolation::kReadCommitted) fresh_.push_back(std::make_shared<Fresh>(Fresh{std::move(prefix), ++sequence_, std::move(prepare)}));
  }
  void CloseFresh() override {
    for (auto& f : fresh_) f->open = false;
  }

  void SetFence(std::string key, std::optional<std::string> expected) override { fences_[std::move(key)] = std::move(expected); }

  Savepoint CreateSavepoint() override { return sequence_; }

  Task<absl::Status> RollbackTo(const Context& ctx, Savepoint savepoint) override {
    CHECK(!finished_);
    if (aborted_) co_return PgError("25P02", "current transaction is aborted, commands ignored until end of transaction block");
    std::erase_if(fresh_, [&](const auto& f) { return f->declared > savepoint; });
    for (auto& f : fresh_) {
      if (f->prepared > savepoint) f->prepared = 0;
      if (f->last_write <= savepoint) continue;
      failed_ = true;
      co_return PgError(sqlstate::kSerializationFailure, "direct writes cannot be taken back");
    }
    for (auto it = buffer_.begin(); it != buffer_.end();) {
      auto& writes = it->second;
      while (!writes.empty() && writes.back().sequence > savepoint) writes.pop_back();
      it = writes.empty() ? buffer_.erase(it) : std::next(it);
    }
    failed_ = false;
    co_return absl::OkStatus();
  }

  Task<absl::Status> Commit(const Context& ctx) override {
    CO_RETURN_IF_ERROR(co_await Enter(ctx));
    for (const auto& [key, writes] : buffer_) {
      CO_RETURN_IF_ERROR(co_await Fail(Acquire(ctx, key, {.lock = LockStrength::kExclusive}, nullptr)));
    }
    CO_RETURN_IF_ERROR(Fail(CheckFences()));
    CO_RETURN_IF_ERROR(Fail(Validate()));
    NoteBuffer();
    if (!buffer_.empty()) {
      commit_ts_ = store_->Tick();
      for (auto& [key, writes] : buffer_) {
        auto& versions = store_->data[key];
        if (versions.empty() && !writes.back().value) {
          store_->data.erase(key);
          continue;
        }
        versions.push_back({commit_ts_, std::move(writes.back().value)});
      }
    } else {
      commit_ts_ = read_ts_;
    }
    finished_ = true;
    ReleaseLocks();
    co_return absl::OkStatus();
  }

  Task<absl::Status> Rollback(const Context& ctx) override {
    finished_ = true;
    buffer_.clear();
    ReleaseLocks();
    co_return absl::OkStatus();
  }

  Isolation isolation() const override { return options_.isolation; }
  bool has_writes() const override { return !buffer_.empty(); }
  Timestamp read_timestamp() const override { return read_ts_; }
  Timestamp commit_timestamp() const override { return commit_ts_; }
  const TxnStats& stats() const override { return stats_; }

 private:
  struct BufferedWrite {
    uint32_t sequence;
    std::optional<std::string> value;
  };

  // As in kv/client/direct_writes.h.
  struct Fresh {
    std::string prefix;
    uint32_t declared = 0;
    std::function<Task<absl::Status>(const Context&)> prepare;
    uint32_t prepared = 0, last_write = 0;
    Timestamp newest{};
    bool open = true;
  };

  // A statement that reads what it has written directly sees it.
  void SeeDirectWrites(std::string_view start, std::string_view end) {
    for (const auto& f : fresh_) {
      if (f->newest > read_ts_ && end > f->prefix && (start < f->prefix || start.starts_with(f->prefix))) read_ts_ = store_->Tick();
    }
  }

  std::shared_ptr<Fresh> DirectPlace(const std::vector<KeyValue>& rows) const {
    if (rows.size() < 100) return nullptr;
    for (const auto& f : fresh_) {
      auto usable = [&](const KeyValue& row) { return row.key.starts_with(f->prefix) && !buffer_.contains(row.key) && !held_.contains(row.key); };
      if (f->open && std::all_of(rows.begin(), rows.end(), usable)) return f;
    }
    return nullptr;
  }

  Task<absl::StatusOr<std::optional<size_t>>> InsertDirectly(const Context& ctx, Fresh* fresh, std::vector<KeyValue> rows) {
    if (fresh->prepared == 0) {
      CO_RETURN_IF_ERROR(co_await Fail(fresh->prepare(ctx)));
      fresh->prepared = sequence_;
    }
    std::set<std::string_view> seen;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!seen.insert(rows[i].key).second || store_->Read(rows[i].key, Timestamp::Max())) co_return std::optional<size_t>(i);
    }
    fresh->last_write = ++sequence_;
    const Timestamp at = fresh->newest = store_->Tick();
    for (KeyValue& row : rows) {
      stats_.bytes_written += row.key.size() + row.value.size();
      store_->data[std::move(row.key)].push_back({at, std::move(row.value)});
    }
    co_return std::optional<size_t>();
  }

  // What every operation starts with.
  Task<absl::Status> Enter(const Context& ctx) {
    CHECK(!finished_) << "operation on a finished transaction";
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    if (failed_) co_return PgError(sqlstate::kInFailedSqlTransaction, "the transaction has failed");
    CO_RETURN_IF_ERROR(Fail(CheckFences()));
    if (read_ts_.empty()) read_ts_ = store_->Tick();
    ++stats_.batches;
    co_return absl::OkStatus();
  }

  absl::Status Fail(absl::Status s) {
    if (!s.ok() && ToPgError(s).sqlstate != sqlstate::kLockNotAvailable) {
      failed_ = true;
      if (ToPgError(s).sqlstate == sqlstate::kSerializationFailure || ToPgError(s).sqlstate == sqlstate::kDeadlockDetected) {
        aborted_ = true;
        ReleaseLocks();
      }
    }
    return s;
  }
  Task<absl::Status> Fail(Task<absl::Status> task) { co_return Fail(co_await std::move(task)); }
  template <typename T>
  Task<absl::StatusOr<T>> Fail(Task<absl::StatusOr<T>> task) {
    absl::StatusOr<T> result = co_await std::move(task);
    if (!result.ok()) co_return Fail(result.status());
    co_return result;
  }

  absl::Status CheckFences() const {
    for (const auto& [key, expected] : fences_) {
      if (store_->Read(key, Timestamp::Max()) != expected) return absl::FailedPreconditionError("the fence does not hold any more");
    }
    return absl::OkStatus();
  }

  const std::optional<std::string>* Buffered(const std::string& key) const {
    auto it = buffer_.find(key);
    return it == buffer_.end() ? nullptr : &it->second.back().value;
  }

  void Write(std::string key, std::optional<std::string> value) {
    uint64_t size = key.size() + (value ? value->size() : 0);
    unflushed_ += size;
    stats_.bytes_written += size;
    ++stats_.requests;
    buffer_[std::move(key)].push_back({++sequence_, std::move(value)});
  }

  void NoteBuffer() { store_->largest_buffer = std::max(store_->largest_buffer, unflushed_); }

  std::vector<std::string> KeysIn(const ScanSpec& spec) const {
    std::vector<std::string> keys;
    auto committed = store_->data.lower_bound(spec.start);
    auto own = buffer_.lower_bound(spec.start);
    auto in = [&](auto it, const auto& map) { return it != map.end() && it->first < spec.end; };
    while (in(committed, store_->data) || in(own, buffer_)) {
      bool have_committed = in(committed, store_->data), have_own = in(own, buffer_);
      if (have_committed && (!have_own || committed->first <= own->first)) {
        if (have_own && own->first == committed->first) ++own;
        keys.push_back((committed++)->first);
      } else {
        keys.push_back((own++)->first);
      }
    }
    if (spec.reverse) std::reverse(keys.begin(), keys.end());
    return keys;
  }

  // A present value that nobody else may see would not be worth a lock: only keys with a value are locked by scans (`skipped`
  // not null), while point reads lock absent keys, too.
  Task<absl::StatusOr<std::optional<std::string>>> ReadOne(const Context& ctx, const std::string& key, ReadOptions options, bool* skipped) {
    ++stats_.requests;
    SeeDirectWrites(key, key + '\0');
    if (options.lock != LockStrength::kNone) {
      const auto* own = Buffered(key);
      bool visible = own != nullptr ? own->has_value() : store_->Read(key, Timestamp::Max()).has_value();
      if (skipped == nullptr || visible) {
        bool locked_by_others = false;
        CO_RETURN_IF_ERROR(co_await Acquire(ctx, key, options, &locked_by_others));
        if (locked_by_others) {
          if (skipped != nullptr) *skipped = true;
          co_return std::optional<std::string>();
        }
      }
    }
    if (options_.isolation == Isolation::kSerializable) spans_.emplace_back(key, key + '\0');
    if (const auto* own = Buffered(key); own != nullptr) co_return *own;
    if (options.lock == LockStrength::kNone) co_return store_->Read(key, read_ts_);
    if (options_.isolation != Isolation::kReadCommitted && store_->NewestOf(key) > read_ts_) co_return Conflict();
    co_return store_->Read(key, Timestamp::Max());
  }

  static absl::Status Conflict() {
    return PgError(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update");
  }

  bool Blocked(const std::string& key, LockStrength strength) const {
    auto it = store_->locks.find(key);
    if (it == store_->locks.end()) return false;
    const Store::Lock& lock = it->second;
    if (lock.exclusive != nullptr) return lock.exclusive != this;
    if (strength == LockStrength::kShared) return false;
    return std::any_of(lock.shared.begin(), lock.shared.end(), [this](const MemoryTxn* t) { return t != this; });
  }

  // Whether waiting for `key` would close a cycle through this transaction.
  bool WouldDeadlock(const std::string& key) const {
    std::set<const MemoryTxn*> visited;
    std::function<bool(const std::string&)> reaches_me = [&](const std::string& k) {
      auto lock = store_->locks.find(k);
      if (lock == store_->locks.end()) return false;
      std::vector<const MemoryTxn*> holders(lock->second.shared.begin(), lock->second.shared.end());
      if (lock->second.exclusive != nullptr) holders.push_back(lock->second.exclusive);
      for (const MemoryTxn* holder : holders) {
        if (holder == this) {
          if (!visited.empty()) return true;
          continue;
        }
        if (!visited.insert(holder).second) continue;
        auto next = store_->waiting.find(holder);
        if (next != store_->waiting.end() && reaches_me(next->second)) return true;
      }
      return false;
    };
    return reaches_me(key);
  }

  // Takes the lock, by the wait policy. `skipped`: SKIP LOCKED met a foreign lock; the lock is not taken.
  Task<absl::Status> Acquire(const Context& ctx, const std::string& key, ReadOptions options, bool* skipped) {
    if (Blocked(key, options.lock)) {
      if (options.wait == WaitPolicy::kSkipLocked && skipped != nullptr) {
        *skipped = true;
        co_return absl::OkStatus();
      }
      if (options.wait == WaitPolicy::kError) co_return PgError(sqlstate::kLockNotAvailable, "could not obtain lock on row");
      CO_RETURN_IF_ERROR(co_await WaitForLock(ctx, key, options));
    }
    Store::Lock& lock = store_->locks[key];
    if (options.lock == LockStrength::kExclusive) {
      lock.exclusive = this;
      lock.shared.erase(this);
    } else if (lock.exclusive != this) {
      lock.shared.insert(this);
    }
    held_.insert(key);
    co_return absl::OkStatus();
  }

  Task<absl::Status> WaitForLock(const Context& ctx, const std::string& key, ReadOptions options) {
    Context wait = options.lock_timeout > Duration::zero() ? ctx.WithTimeout(options.lock_timeout) : ctx;
    while (Blocked(key, options.lock)) {
      if (WouldDeadlock(key)) co_return PgError(sqlstate::kDeadlockDetected, "deadlock detected");
      store_->waiting[this] = key;
      absl::Status s = co_await store_->locks[key].released.Wait(wait);
      store_->waiting.erase(this);
      if (s.ok()) continue;
      if (!ctx.done()) co_return PgError(sqlstate::kLockNotAvailable, "canceling statement due to lock timeout");
      co_return s;
    }
    co_return absl::OkStatus();
  }

  absl::Status Validate() const {
    if (options_.isolation == Isolation::kReadCommitted || buffer_.empty()) return absl::OkStatus();
    for (const auto& [key, writes] : buffer_) {
      if (store_->NewestOf(key) > read_ts_) return Conflict();
    }
    for (const auto& [start, end] : spans_) {
      if (store_->ChangedIn(start, end, read_ts_)) {
        return PgError(sqlstate::kSerializationFailure, "could not serialize access due to read/write dependencies among transactions");
      }
    }
    return absl::OkStatus();
  }

  void ReleaseLocks() {
    for (const std::string& key : held_) {
      auto it = store_->locks.find(key);
      if (it == store_->locks.end()) continue;
      if (it->second.exclusive == this) it->second.exclusive = nullptr;
      it->second.shared.erase(this);
      it->second.released.NotifyAll();
      if (it->second.free() && !WaitedFor(key)) store_->locks.erase(it);
    }
    held_.clear();
  }
  bool WaitedFor(const std::string& key) const {
    return std::any_of(store_->waiting.begin(), store_->waiting.end(), [&](const auto& w) { return w.second == key; });
  }

  std::shared_ptr<Store> store_;
  TxnOptions options_;
  Timestamp read_ts_, commit_ts_;
  std::map<std::string, std::vector<BufferedWrite>> buffer_;
  std::map<std::string, std::optional<std::string>> fences_;
  std::vector<std::pair<std::string, std::string>> spans_;  // read, for SERIALIZABLE
  std::set<std::string> held_;
  std::vector<std::shared_ptr<Fresh>> fresh_;
  uint32_t sequence_ = 0;
  uint64_t unflushed_ = 0;
  bool failed_ = false, aborted_ = false, finished_ = false;
  TxnStats stats_;
};

MemoryDatabase::MemoryDatabase() : store_(std::make_shared<Store>()) {}
MemoryDatabase::~MemoryDatabase() = default;

std::unique_ptr<Txn> MemoryDatabase::Begin(TxnOptions options) { return std::make_unique<MemoryTxn>(store_, options); }

Task<absl::StatusOr<int64_t>> MemoryDatabase::Increment(const Context& ctx, std::string key, int64_t by) {
  CO_RETURN_IF_ERROR(co_await ctx.Yield());
  int64_t now = 0;
  if (auto text = store_->Read(key, Timestamp::Max())) std::from_chars(text->data(), text->data() + text->size(), now);
  if (by == 0) co_return now;
  int64_t next;
  if (__builtin_add_overflow(now, by, &next)) co_return absl::OutOfRangeError("counter overflow");
  store_->data[key].push_back({store_->Tick(), StrCat(next)});
  co_return next;
}

Task<absl::Status> MemoryDatabase::ClearRange(const Context& ctx, std::string start, std::string end) {
  CO_RETURN_IF_ERROR(co_await ctx.Yield());
  store_->data.erase(store_->data.lower_bound(start), store_->data.lower_bound(end));
  co_return absl::OkStatus();
}

std::map<std::string, std::string> MemoryDatabase::Dump(std::string prefix) const {
  std::map<std::string, std::string> out;
  for (auto it = store_->data.lower_bound(prefix); it != store_->data.end() && it->first.starts_with(prefix); ++it) {
    if (it->second.back().value) out[it->first] = *it->second.back().value;
  }
  return out;
}

size_t MemoryDatabase::locked_keys() const {
  return std::count_if(store_->locks.begin(), store_->locks.end(), [](const auto& l) { return !l.second.free(); });
}

uint64_t MemoryDatabase::largest_buffer() const { return store_->largest_buffer; }

}  // namespace insula::kv
