// Reads rows of a stored table by index entries: the part that scans, lookups and row locks share.
//
//   entries of an index ──► (the rows behind them, from the primary index, locked if asked for) ──► columns
//
// With a lock, rows are always read again from the primary index under it, at their newest version; a row that is gone by
// then, or that the index would no longer find where it was found, is left out.
// Thread safety: one coroutine at a time.
#ifndef INSULA_SQL_EXEC_ROW_FETCHER_H_
#define INSULA_SQL_EXEC_ROW_FETCHER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/txn.h"
#include "sql/exec/key_ranges.h"
#include "sql/exec/operator.h"
#include "sql/rowenc/row_codec.h"

namespace insula::sql {

class RowFetcher {
 public:
  // `columns`: ordinals wanted of each row.
  RowFetcher(ExecState* state, const TablePtr& table, int index, std::vector<int> columns, RowLock lock);

  bool locks() const { return lock_.locks(); }
  // Whether entries of the index are not enough: rows have to be fetched from the primary index.
  bool needs_primary() const { return needs_primary_; }
  const RowCodec& codec() const { return codec_; }
  const std::vector<SqlType>& types() const { return types_; }

  // Rows by their primary keys, in one batch of reads, under the lock; rows that do not exist are left out. *found gets, per
  // row of `out`, its place in `keys`.
  Task<absl::Status> FetchByPrimaryKey(const Context& ctx, std::vector<std::string> keys, bool lock, Batch* out, std::vector<uint32_t>* found);
  // Rows behind entries (key, value) of the index; `out` and *found as above. `ranges` (may be null): where the index entry of a
  // row must still lie after locking it.
  Task<absl::Status> FetchByEntries(const Context& ctx, std::span<const kv::ScanPage::Row> entries, bool lock,
                                    const std::vector<KeyRange>* ranges, Batch* out, std::vector<uint32_t>* found);
  // Rows by complete keys of a unique index, as FetchByPrimaryKey. For the primary index they are the same.
  Task<absl::Status> FetchByUniqueKey(const Context& ctx, std::vector<std::string> keys, Batch* out, std::vector<uint32_t>* found);

  kv::ReadOptions lock_options() const { return lock_options_; }
  // 55P03 with PostgreSQL's words for NOWAIT.
  absl::Status LockError(absl::Status s) const;

 private:
  absl::Status DropMoved(const std::vector<KeyRange>& ranges, const std::vector<std::string>& keys, Batch* out, std::vector<uint32_t>* found);

  ExecState* state_;
  TablePtr table_;
  int index_;
  RowLock lock_;
  kv::ReadOptions lock_options_;
  const RowCodec& codec_;
  bool needs_primary_;
  bool can_recheck_;            // the index has plain columns only
  std::vector<int> columns_;    // wanted, then what a recheck needs besides
  size_t wanted_;
  std::vector<SqlType> types_;  // of the wanted ones
  RowReader primary_reader_;
  std::optional<RowReader> entry_reader_;  // where entries are enough
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_ROW_FETCHER_H_
