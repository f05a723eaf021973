// Writes rows of one table and of all its indexes, with the checks that belong to them.
//
//   insert   primary rows and unique entries in one InsertMany (23505 names the index); other entries are put
//   update   rows in place while their primary key stays; entries only of indexes that the change can touch
//   delete   the row and its entries
//
// Rows come as one vector per column of the table, by ordinal. The caller has locked the rows that it updates or deletes.
// Invariant W1: after any write every index holds exactly the entries that the rows it was given call for.
// Thread safety: one coroutine at a time.
#ifndef INSULA_SQL_EXEC_TABLE_WRITER_H_
#define INSULA_SQL_EXEC_TABLE_WRITER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "sql/exec/operator.h"
#include "sql/plan/write_spec.h"
#include "sql/rowenc/row_codec.h"

namespace insula::sql {

// `rows` rows, one vector per ordinal (null pointer: NULL).
struct TableRows {
  std::vector<const Vector*> columns;
  size_t rows = 0;
  RowRef Row(size_t i) const { return {columns, i}; }
};
TableRows RowsOf(const Batch& batch);

class TableWriter {
 public:
  TableWriter(ExecState* state, TablePtr table, const std::vector<IndexSpec>& specs, const std::vector<CheckSpec>& checks);

  const TableInfo& table() const { return *table_; }
  const RowCodec& codec() const { return codec_; }

  // Gives hidden row ids to rows of a table without a primary key.
  Task<absl::Status> FillHidden(const Context& ctx, Batch* rows);
  // NOT NULL (23502) and CHECK (23514). Gives the vectors their columns' types.
  absl::Status Check(Batch* rows);

  Task<absl::Status> Insert(const Context& ctx, const TableRows& rows);
  // The same for one of many calls: 23505 may be told later, by what the transaction does next, and by AwaitInserted at the latest.
  Task<absl::Status> InsertAhead(const Context& ctx, const TableRows& rows);
  Task<absl::Status> AwaitInserted(const Context& ctx) { return state_->txn().AwaitInserts(ctx); }
  // `changed`: by ordinal, whether the assignment touches the column.
  Task<absl::Status> Update(const Context& ctx, const TableRows& old_rows, const TableRows& new_rows, const std::vector<bool>& changed);
  absl::Status Delete(const TableRows& rows);
  // Entries of one secondary index for rows that are there already (it is being built).
  Task<absl::Status> InsertEntries(const Context& ctx, const TableRows& rows, int index);

  // The key that row i would have in a unique index; false if it can conflict with nothing (NULLs, predicate).
  absl::Status UniqueKeys(int index, const TableRows& rows, std::vector<std::string>* keys, std::vector<bool>* present);
  absl::Status DuplicateError(int index, const TableRows& rows, size_t row);

 private:
  // How one index is computed from table rows.
  struct Index {
    int index = 0;
    Evaluator predicate;
    std::vector<Evaluator> exprs;  // empty: plain columns only
    bool special() const { return !predicate.empty() || !exprs.empty(); }
  };
  struct Entry {
    std::string key, value;
    bool present = false;
    bool unique = false;
  };
  struct Pending {
    kv::KeyValue row;
    int index;
    size_t number;  // row
  };
  absl::Status Entries(Index& index, const TableRows& rows, const std::vector<std::string>& primary, bool values, std::vector<Entry>* out);
  void PrimaryKeys(const TableRows& rows, std::vector<std::string>* out) const;
  bool Touched(const Index& index, const std::vector<bool>& changed) const;
  Task<absl::Status> InsertAll(const Context& ctx, std::vector<Pending> pending, const TableRows& rows);
  absl::Status EncodeInserts(const TableRows& rows, std::vector<Pending>* unique, std::vector<kv::KeyValue>* others);
  std::string FailingRow(const Batch& rows, size_t row) const;

  ExecState* state_;
  TablePtr table_;
  const RowCodec& codec_;
  std::vector<Index> secondary_;
  std::vector<std::pair<std::string, Evaluator>> checks_;
  int hidden_ordinal_ = -1;
  std::shared_ptr<const kv::RowTaken> taken_;  // made when it is needed
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_TABLE_WRITER_H_
