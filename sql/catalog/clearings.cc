#include "sql/catalog/clearings.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/log/log.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

// Values of entries; the first byte is their format.
constexpr std::string_view kDropped = "1d";
constexpr std::string_view kReserved = "1r";

constexpr Duration kLockWait = 1s;

}  // namespace

Clearings::Clearings(Context ctx, kv::Database* db, CatalogLayout layout, ClearingOptions options)
    : db_(db), layout_(std::move(layout)), options_(options), group_(std::move(ctx)) {}

void Clearings::Start() {
  if (running_) return;
  running_ = true;
  group_.Spawn(Run());
}

void Clearings::Kick() {
  kicked_ = true;
  wake_.NotifyAll();
}

Task<void> Clearings::Stop() {
  group_.Cancel();
  co_await group_.Wait();
}

Task<void> Clearings::Run() {
  const Context& ctx = group_.ctx();
  Duration wait = options_.first_look;  // zero: until kicked
  Duration backoff = options_.retry;
  while (ctx.status().ok()) {
    if (!kicked_) {
      absl::Status woken = co_await wake_.Wait(wait == Duration::zero() ? ctx : ctx.WithTimeout(wait));
      (void)woken;  // the time has come, or the context has ended
      if (!ctx.status().ok()) co_return;
    }
    kicked_ = false;
    absl::StatusOr<Duration> next = co_await Work(ctx);
    if (next.ok()) {
      wait = *next;
      backoff = options_.retry;
      continue;
    }
    if (!ctx.status().ok()) co_return;
    LOG_WARNING("dropped rows could not be cleared yet", {"status", next.status()});
    wait = backoff;
    backoff = std::min(2 * backoff, options_.max_retry);
  }
}

void Clearings::Retire(const CatalogLayout& layout, kv::Txn* txn, uint32_t storage_id, uint32_t index_id) {
  txn->Put(layout.Clearing(storage_id, index_id), std::string(kDropped));
}

Task<absl::Status> Clearings::Reserve(const Context& ctx, kv::Txn* txn, uint32_t storage_id) {
  const std::string entry = layout_.Clearing(storage_id, 0);
  CO_ASSIGN_OR_RETURN(std::optional<std::string> present, co_await txn->Get(ctx, entry));
  struct Reserving {
    std::set<std::string>* set;
    const std::string& entry;
    Reserving(std::set<std::string>* set, const std::string& entry) : set(set), entry(entry) { set->insert(entry); }
    ~Reserving() { set->erase(entry); }
  } reserving(&reserving_, entry);
  if (!present) {
    // Durable before the first row is; in a transaction of its own, as the rows are.
    auto reserve = db_->Begin({.isolation = kv::Isolation::kReadCommitted});
    CO_RETURN_IF_ERROR(co_await reserve->BeginStatement(ctx));
    reserve->Put(entry, std::string(kReserved));
    CO_RETURN_IF_ERROR(co_await reserve->Commit(ctx));
  }
  CO_ASSIGN_OR_RETURN(present, co_await txn->Get(ctx, entry, {.lock = kv::LockStrength::kExclusive}));
  if (!present) co_return PgError(sqlstate::kSerializationFailure, "the transaction's new rows were cleared while it began");
  txn->Delete(entry);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<Duration>> Clearings::Work(const Context& ctx) {
  std::vector<std::pair<std::string, bool>> entries;  // key, dropped
  {
    auto txn = db_->Begin({.isolation = kv::Isolation::kReadCommitted, .read_only = true});
    CO_RETURN_IF_ERROR(co_await txn->BeginStatement(ctx));
    std::string span = layout_.ClearingSpan();
    std::optional<kv::ScanSpec> next = kv::ScanSpec{.start = span, .end = PrefixEnd(span)};
    while (next) {
      CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn->Scan(ctx, *std::move(next)));
      for (const auto& row : page.rows()) entries.emplace_back(row.key, row.value != kReserved);
      next = page.rest();
    }
    CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
  }
  const MonoTime now = ctx.executor().Now();
  Duration again = Duration::zero();
  auto later = [&again](Duration wait) { again = again == Duration::zero() ? wait : std::min(again, wait); };
  std::map<std::string, MonoTime> seen;
  for (auto& [entry, dropped] : entries) {
    if (reserving_.contains(entry)) {
      later(options_.retry);
      continue;
    }
    if (dropped) {
      auto known = first_seen_.find(entry);
      const MonoTime since = known == first_seen_.end() ? now : known->second;
      if (now - since < kv::kClearingGrace) {
        seen[entry] = since;
        later(since + kv::kClearingGrace - now);
        continue;
      }
    }
    CO_ASSIGN_OR_RETURN(bool done, co_await ClearOne(ctx, entry));
    if (done) continue;
    if (dropped) seen[entry] = now - kv::kClearingGrace;
    later(options_.retry);
  }
  first_seen_ = std::move(seen);
  co_return again;
}

Task<absl::StatusOr<bool>> Clearings::ClearOne(const Context& ctx, std::string entry) {
  auto txn = db_->Begin({.isolation = kv::Isolation::kReadCommitted});
  CO_RETURN_IF_ERROR(co_await txn->BeginStatement(ctx));
  // A little while, so that the lock of a transaction whose pod has died is found out.
  auto locked = co_await txn->Get(ctx, entry, {.lock = kv::LockStrength::kExclusive, .lock_timeout = kLockWait});
  if (!locked.ok()) {
    (void)co_await txn->Rollback(ctx);  // the reason is `locked`
    if (ToPgError(locked.status()).sqlstate == sqlstate::kLockNotAvailable) co_return false;
    co_return locked.status();
  }
  if (!*locked) co_return true;  // removed meanwhile: its transaction committed
  std::string prefix;
  if (!layout_.ClearedPrefix(entry, &prefix)) co_return absl::DataLossError("an entry of what is to be cleared has a malformed key");
  absl::Status status = co_await db_->ClearRange(ctx, prefix, PrefixEnd(prefix));
  if (status.ok()) {
    txn->Delete(entry);
    status = co_await txn->Commit(ctx);
  }
  if (!status.ok()) {
    (void)co_await txn->Rollback(ctx);  // the reason is `status`; clearing again does no harm
    co_return status;
  }
  ++cleared_;
  co_return true;
}

}  // namespace insula::sql
