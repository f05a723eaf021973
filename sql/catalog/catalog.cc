#include "sql/catalog/catalog.h"

#include <charconv>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"

namespace insula::sql {
namespace {

constexpr uint32_t kOidBlock = 32;
constexpr uint64_t kMaxRowIdBlock = 100000;
constexpr std::string_view kVersionPrefix = "v1:";  // of the version key's own format

std::string EncodeVersion(uint64_t version) { return StrCat(kVersionPrefix, version); }

absl::StatusOr<uint64_t> DecodeVersion(const std::optional<std::string>& value) {
  if (!value) return 0;
  uint64_t version = 0;
  std::string_view text = *value;
  if (!text.starts_with(kVersionPrefix)) return absl::DataLossError(StrCat("catalog version key holds \"", text, "\""));
  text.remove_prefix(kVersionPrefix.size());
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) return absl::DataLossError("malformed catalog version");
  return version;
}

std::optional<std::string> FenceValue(uint64_t version) {
  if (version == 0) return std::nullopt;
  return EncodeVersion(version);
}

// All rows of a span, page by page.
Task<absl::Status> ReadSpan(const Context& ctx, kv::Txn& txn, std::string prefix,
                            std::function<absl::Status(std::string_view key, std::string_view value)> row) {
  kv::ScanSpec spec;
  spec.start = prefix;
  spec.end = PrefixEnd(prefix);
  std::optional<kv::ScanSpec> next = std::move(spec);
  while (next) {
    CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn.Scan(ctx, *next));
    for (const auto& r : page.rows()) {
      std::string_view key = r.key;
      key.remove_prefix(prefix.size());
      CO_RETURN_IF_ERROR(row(key, r.value));
    }
    next = page.rest();
  }
  co_return absl::OkStatus();
}

}  // namespace

Catalog::Catalog(kv::Database* db, std::string keyspace) : db_(db), layout_(std::move(keyspace)) {}

Task<absl::Status> Catalog::Bootstrap(const Context& ctx, std::string user, std::string scram_verifier) {
  // Two first pods may do this at once: the loser finds the winner's version.
  for (;;) {
    CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await Refresh(ctx));
    if (state->version() != 0) co_return absl::OkStatus();
    auto txn = db_->Begin({.isolation = kv::Isolation::kReadCommitted});
    CO_RETURN_IF_ERROR(co_await txn->BeginStatement(ctx));
    CatalogTxn changes(this, txn.get(), std::string(kDefaultDatabaseName));
    absl::Status status = co_await changes.Begin(ctx);
    if (status.ok()) status = co_await changes.LockForChange(ctx);
    if (status.ok()) {
      v1::Descriptor role = *state->Find(kBootstrapRoleOid);
      role.set_name(user);
      role.mutable_role()->set_verifier(scram_verifier);
      changes.Put(role);
      status = co_await txn->Commit(ctx);
      if (status.ok()) {
        changes.Committed();
        co_return absl::OkStatus();
      }
    }
    (void)co_await txn->Rollback(ctx);  // the reason is `status`
    if (status.code() != absl::StatusCode::kFailedPrecondition && ToPgError(status).sqlstate != sqlstate::kSerializationFailure) {
      co_return status;
    }
  }
}

Task<absl::StatusOr<CatalogStatePtr>> Catalog::Current(const Context& ctx) {
  if (state_ != nullptr) co_return state_;
  co_return co_await Load(ctx, /*force=*/false);
}

Task<absl::StatusOr<CatalogStatePtr>> Catalog::Refresh(const Context& ctx) { co_return co_await Load(ctx, /*force=*/true); }

Task<absl::StatusOr<CatalogStatePtr>> Catalog::Load(const Context& ctx, bool force) {
  CO_RETURN_IF_ERROR(co_await loading_.Acquire(ctx));
  struct Releaser {
    Semaphore* s;
    ~Releaser() { s->Release(); }
  } releaser{&loading_};
  if (state_ != nullptr && !force) co_return state_;

  // A snapshot: version and descriptors belong together (C1).
  auto txn = db_->Begin({.isolation = kv::Isolation::kSnapshot, .read_only = true});
  CO_ASSIGN_OR_RETURN(auto version_value, co_await txn->Get(ctx, layout_.Version()));
  CO_ASSIGN_OR_RETURN(uint64_t version, DecodeVersion(version_value));
  if (state_ != nullptr && state_->version() == version) co_return state_;

  CatalogState::Descriptors descriptors;
  CatalogState::Statistics statistics;
  if (version != 0) {
    CatalogStatePtr old = state_;
    CO_RETURN_IF_ERROR(co_await ReadSpan(ctx, *txn, layout_.DescriptorSpan(), [&](std::string_view key, std::string_view value) {
      absl::StatusOr<uint64_t> oid = TakeUint64(&key);
      if (!oid.ok()) return oid.status();
      if (old != nullptr) {
        auto known = old->descriptors().find(static_cast<Oid>(*oid));
        if (known != old->descriptors().end() && EncodeDescriptor(*known->second) == value) {
          descriptors[known->first] = known->second;
          return absl::OkStatus();
        }
      }
      absl::StatusOr<DescriptorPtr> descriptor = DecodeDescriptor(value);
      if (!descriptor.ok()) return descriptor.status();
      descriptors[static_cast<Oid>(*oid)] = *std::move(descriptor);
      return absl::OkStatus();
    }));
    CO_RETURN_IF_ERROR(co_await ReadSpan(ctx, *txn, layout_.StatisticsSpan(), [&](std::string_view key, std::string_view value) {
      absl::StatusOr<uint64_t> oid = TakeUint64(&key);
      if (!oid.ok()) return oid.status();
      if (old != nullptr) {
        auto known = old->statistics().find(static_cast<Oid>(*oid));
        if (known != old->statistics().end() && EncodeStatistics(*known->second) == value) {
          statistics[known->first] = known->second;
          return absl::OkStatus();
        }
      }
      absl::StatusOr<StatisticsPtr> decoded = DecodeStatistics(value);
      if (!decoded.ok()) return decoded.status();
      statistics[static_cast<Oid>(*oid)] = *std::move(decoded);
      return absl::OkStatus();
    }));
  }
  CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
  Publish(CatalogState::Make(version, std::move(descriptors), std::move(statistics), state_.get()));
  co_return state_;
}

void Catalog::Publish(CatalogStatePtr state) {
  if (state_ == nullptr || state_->version() < state->version()) state_ = std::move(state);
}

Task<absl::StatusOr<Oid>> Catalog::AllocateOids(const Context& ctx, uint32_t count) {
  if (oids_left_ < count) {
    uint32_t block = std::max(count, kOidBlock);
    CO_ASSIGN_OR_RETURN(int64_t last, co_await db_->Increment(ctx, layout_.OidCounter(), block));
    if (last > static_cast<int64_t>(UINT32_MAX) - kFirstNormalOid) {
      co_return PgError(sqlstate::kProgramLimitExceeded, "out of object identifiers");
    }
    // Another caller may have refilled in the meantime: its rest is lost, which is only a gap.
    next_oid_ = static_cast<Oid>(kFirstNormalOid + last - block);
    oids_left_ = block;
  }
  Oid first = next_oid_;
  next_oid_ += count;
  oids_left_ -= count;
  co_return first;
}

Task<absl::StatusOr<int64_t>> Catalog::AllocateRowIds(const Context& ctx, uint32_t storage_id, uint64_t count) {
  RowIdPool& pool = row_ids_[storage_id];
  if (pool.left < count) {
    // Blocks grow with use, so that a bulk load takes few and a seldom used table wastes little.
    uint64_t block = std::max(count, std::min(kMaxRowIdBlock, std::max<uint64_t>(64, pool.last_block * 2)));
    CO_ASSIGN_OR_RETURN(int64_t last, co_await db_->Increment(ctx, layout_.RowIds(storage_id), static_cast<int64_t>(block)));
    RowIdPool& again = row_ids_[storage_id];
    again.next = last - static_cast<int64_t>(block) + 1;
    again.left = block;
    again.last_block = block;
  }
  RowIdPool& ready = row_ids_[storage_id];
  int64_t first = ready.next;
  ready.next += static_cast<int64_t>(count);
  ready.left -= count;
  co_return first;
}

// --- CatalogTxn

CatalogTxn::CatalogTxn(Catalog* catalog, kv::Txn* txn, std::string database)
    : catalog_(catalog), txn_(txn), database_(std::move(database)) {}

CatalogTxn::~CatalogTxn() {
  if (leaves_clearing_ && catalog_->clearings_ != nullptr) catalog_->clearings_->Kick();
}

void CatalogTxn::Retire(uint32_t storage_id, uint32_t index_id) {
  Clearings::Retire(catalog_->layout(), txn_, storage_id, index_id);
  leaves_clearing_ = true;
}

void CatalogTxn::DeclareFresh(uint32_t storage_id) {
  if (catalog_->clearings_ == nullptr) return;
  txn_->DeclareFresh(catalog_->layout().Table(storage_id), [this, storage_id](const Context& ctx) -> Task<absl::Status> {
    leaves_clearing_ = true;
    co_return co_await catalog_->clearings_->Reserve(ctx, txn_, storage_id);
  });
}

Task<absl::Status> CatalogTxn::Begin(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await catalog_->Current(ctx));
  co_return Adopt(std::move(state));
}

Task<absl::Status> CatalogTxn::Renew(const Context& ctx) {
  if (locked_ && changed()) {
    co_return PgError(sqlstate::kSerializationFailure, "could not serialize access: the catalog changed under this transaction");
  }
  locked_ = false;
  CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await catalog_->Refresh(ctx));
  co_return Adopt(std::move(state));
}

absl::Status CatalogTxn::Adopt(CatalogStatePtr state) {
  const DatabaseInfo* database = state->FindDatabase(database_);
  if (database == nullptr) return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", database_, "\" does not exist"));
  txn_->SetFence(catalog_->layout().Version(), FenceValue(state->version()));
  snapshot_ = std::make_shared<CatalogSnapshot>(state, database->oid);
  base_ = std::move(state);
  return absl::OkStatus();
}

Task<absl::Status> CatalogTxn::LockForChange(const Context& ctx) {
  CHECK(base_ != nullptr) << "Begin first";
  if (locked_) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(auto value, co_await txn_->Get(ctx, catalog_->layout().Version(), {.lock = kv::LockStrength::kExclusive}));
  CO_ASSIGN_OR_RETURN(uint64_t version, DecodeVersion(value));
  if (version != base_->version()) co_return absl::FailedPreconditionError("the catalog changed");
  locked_ = true;
  co_return absl::OkStatus();
}

void CatalogTxn::Put(const v1::Descriptor& descriptor) {
  Change change;
  change.oid = descriptor.oid();
  change.descriptor = std::make_shared<v1::Descriptor>(descriptor);
  txn_->Put(catalog_->layout().Descriptor(change.oid), EncodeDescriptor(descriptor));
  Apply(std::move(change));
}

void CatalogTxn::Drop(Oid oid) {
  if (oid < kFirstNormalOid) {
    v1::Descriptor gone;  // a built-in object needs a mark that it is no more
    gone.set_version(kDescriptorVersion);
    gone.set_oid(oid);
    return Put(gone);
  }
  txn_->Delete(catalog_->layout().Descriptor(oid));
  Change change;
  change.oid = oid;
  if (snapshot_->state().statistics().contains(oid)) {
    txn_->Delete(catalog_->layout().Statistics(oid));
    Change statistics;
    statistics.oid = oid;
    statistics.is_statistics = true;
    changes_.push_back(std::move(statistics));
  }
  Apply(std::move(change));
}

void CatalogTxn::PutStatistics(Oid table, const v1::TableStatistics& statistics) {
  Change change;
  change.oid = table;
  change.is_statistics = true;
  change.statistics = std::make_shared<v1::TableStatistics>(statistics);
  txn_->Put(catalog_->layout().Statistics(table), EncodeStatistics(statistics));
  Apply(std::move(change));
}

void CatalogTxn::Apply(Change change) {
  CHECK(locked_) << "a change without LockForChange";
  txn_->Put(catalog_->layout().Version(), EncodeVersion(base_->version() + 1));
  changes_.push_back(std::move(change));
  if (nesting_ == 0) Rebuild();
}

void CatalogTxn::EndChanges() {
  CHECK_GT(nesting_, 0);
  if (--nesting_ == 0) Rebuild();
}

void CatalogTxn::RollbackTo(size_t mark) {
  nesting_ = 0;
  if (mark >= changes_.size()) return;
  changes_.resize(mark);
  Rebuild();
}

void CatalogTxn::Rebuild() {
  if (changes_.empty()) {
    snapshot_ = std::make_shared<CatalogSnapshot>(base_, snapshot_->database_oid());
    return;
  }
  CatalogState::Descriptors descriptors = base_->descriptors();
  CatalogState::Statistics statistics = base_->statistics();
  for (const Change& c : changes_) {
    if (c.is_statistics) {
      if (c.statistics != nullptr) {
        statistics[c.oid] = c.statistics;
      } else {
        statistics.erase(c.oid);
      }
    } else if (c.descriptor != nullptr) {
      descriptors[c.oid] = c.descriptor;
    } else {
      descriptors.erase(c.oid);
    }
  }
  CatalogStatePtr state = CatalogState::Make(catalog_->NextPrivateVersion(), std::move(descriptors), std::move(statistics), &snapshot_->state());
  snapshot_ = std::make_shared<CatalogSnapshot>(std::move(state), snapshot_->database_oid());
}

void CatalogTxn::Committed() {
  if (changes_.empty()) return;
  const CatalogState& mine = snapshot_->state();
  catalog_->Publish(CatalogState::Make(base_->version() + 1, mine.descriptors(), mine.statistics(), &mine));
  changes_.clear();
  locked_ = false;
}

}  // namespace insula::sql
