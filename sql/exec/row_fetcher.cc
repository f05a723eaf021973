#include "sql/exec/row_fetcher.h"

#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

// The wanted columns, and with a lock those that say where the index has the row.
std::vector<int> WithIndexColumns(const TableInfo& table, int index, std::vector<int> columns, bool recheck) {
  if (!recheck) return columns;
  for (const IndexInfo* i : {&table.indexes[index], &table.indexes[0]}) {
    for (const auto& c : i->columns) {
      if (c.ordinal >= 0 && std::find(columns.begin(), columns.end(), c.ordinal) == columns.end()) columns.push_back(c.ordinal);
    }
  }
  return columns;
}

bool PlainColumnsOnly(const IndexInfo& index) {
  return std::all_of(index.columns.begin(), index.columns.end(), [](const auto& c) { return c.ordinal >= 0; });
}

}  // namespace

RowFetcher::RowFetcher(ExecState* state, const TablePtr& table, int index, std::vector<int> columns, RowLock lock)
    : state_(state),
      table_(table),
      index_(index),
      lock_(lock),
      lock_options_(state->LockOptions(lock)),
      codec_(state->CodecOf(table)),
      needs_primary_(index != 0 && (lock.locks() || !RowReader::Covers(*table, index, columns))),
      can_recheck_(lock.locks() && index != 0 && PlainColumnsOnly(table->indexes[index])),
      columns_(WithIndexColumns(*table, index, columns, can_recheck_)),
      wanted_(columns.size()),
      primary_reader_(codec_, 0, columns_) {
  for (int ordinal : columns) types_.push_back(table->columns[ordinal].type);
  if (!needs_primary_) entry_reader_.emplace(codec_, index, columns);
}

absl::Status RowFetcher::LockError(absl::Status s) const {
  if (s.ok() || lock_.wait != RowLockWait::kNoWait || ToPgError(s).sqlstate != sqlstate::kLockNotAvailable) return s;
  return PgError(sqlstate::kLockNotAvailable, StrCat("could not obtain lock on row in relation \"", table_->name, "\""));
}

Task<absl::Status> RowFetcher::FetchByPrimaryKey(const Context& ctx, std::vector<std::string> keys, bool lock, Batch* out,
                                                 std::vector<uint32_t>* found) {
  found->clear();
  kv::ReadOptions options = lock ? lock_options_ : kv::ReadOptions{};
  std::vector<std::optional<std::string>> values;
  if (keys.size() == 1) {  // the point statement's way
    absl::StatusOr<std::optional<std::string>> value = co_await state_->txn().Get(ctx, keys[0], options);
    if (!value.ok()) co_return LockError(value.status());
    values.push_back(*std::move(value));
  } else if (!keys.empty()) {
    absl::StatusOr<std::vector<std::optional<std::string>>> many = co_await state_->txn().GetMany(ctx, keys, options);
    if (!many.ok()) co_return LockError(many.status());
    values = *std::move(many);
  }
  for (uint32_t i = 0; i < values.size(); ++i) {
    if (values[i]) found->push_back(i);
  }
  primary_reader_.Begin(found->size(), out);
  for (size_t row = 0; row < found->size(); ++row) {
    uint32_t i = (*found)[row];
    CO_RETURN_IF_ERROR(primary_reader_.Read(keys[i], *values[i], row, out));
  }
  if (out->columns.size() > wanted_) out->columns.resize(wanted_);
  co_return absl::OkStatus();
}

Task<absl::Status> RowFetcher::FetchByEntries(const Context& ctx, std::span<const kv::ScanPage::Row> entries, bool lock,
                                              const std::vector<KeyRange>* ranges, Batch* out, std::vector<uint32_t>* found) {
  found->clear();
  if (!needs_primary_ && !lock) {
    entry_reader_->Begin(entries.size(), out);
    for (uint32_t i = 0; i < entries.size(); ++i) {
      CO_RETURN_IF_ERROR(entry_reader_->Read(entries[i].key, entries[i].value, i, out));
      found->push_back(i);
    }
    co_return absl::OkStatus();
  }
  std::vector<std::string> keys;
  keys.reserve(entries.size());
  for (const auto& e : entries) {
    if (index_ == 0) {
      keys.emplace_back(e.key);
    } else {
      CO_ASSIGN_OR_RETURN(std::string key, codec_.PrimaryKeyOfEntry(index_, e.key, e.value));
      keys.push_back(std::move(key));
    }
  }
  bool recheck = lock && can_recheck_ && ranges != nullptr;
  size_t wanted = wanted_;
  if (recheck) wanted_ = columns_.size();  // keep the extra columns for the check
  absl::Status s = co_await FetchByPrimaryKey(ctx, keys, lock, out, found);
  wanted_ = wanted;
  CO_RETURN_IF_ERROR(s);
  if (recheck) CO_RETURN_IF_ERROR(DropMoved(*ranges, keys, out, found));
  co_return absl::OkStatus();
}

// Another transaction may have changed the row between the scan of the index and the lock.
absl::Status RowFetcher::DropMoved(const std::vector<KeyRange>& ranges, const std::vector<std::string>& keys, Batch* out,
                                   std::vector<uint32_t>* found) {
  std::vector<const Vector*> by_ordinal(table_->columns.size(), nullptr);
  for (size_t slot = 0; slot < columns_.size(); ++slot) by_ordinal[columns_[slot]] = &out->columns[slot];
  std::vector<uint32_t> keep, still_found;
  for (uint32_t row = 0; row < out->rows; ++row) {
    RowRef ref{by_ordinal, row};
    std::string_view primary = std::string_view(keys[(*found)[row]]).substr(codec_.IndexPrefix(0).size());
    std::string key;
    bool unique = false;
    codec_.AppendIndexKey(index_, ref, {}, primary, &key, &unique);
    if (!Contains(ranges, key)) continue;
    keep.push_back(row);
    still_found.push_back((*found)[row]);
  }
  out->columns.resize(wanted_);
  if (keep.size() == out->rows) return absl::OkStatus();
  Batch kept;
  kept.Gather(*out, keep);
  *out = std::move(kept);
  *found = std::move(still_found);
  return absl::OkStatus();
}

Task<absl::Status> RowFetcher::FetchByUniqueKey(const Context& ctx, std::vector<std::string> keys, Batch* out, std::vector<uint32_t>* found) {
  if (index_ == 0) co_return co_await FetchByPrimaryKey(ctx, std::move(keys), locks(), out, found);
  CO_ASSIGN_OR_RETURN(auto values, co_await state_->txn().GetMany(ctx, keys));
  std::vector<kv::ScanPage::Row> entries;
  std::vector<uint32_t> places;
  std::vector<KeyRange> ranges;
  for (uint32_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    entries.push_back({keys[i], *values[i]});
    places.push_back(i);
    if (locks()) ranges.push_back({keys[i], PrefixEnd(keys[i])});
  }
  std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) { return a.start < b.start; });
  CO_RETURN_IF_ERROR(co_await FetchByEntries(ctx, entries, locks(), &ranges, out, found));
  for (uint32_t& f : *found) f = places[f];
  co_return absl::OkStatus();
}

}  // namespace insula::sql
