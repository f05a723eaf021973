// Portals and prepared statements of one session.
//
// A portal is a bound statement, at some point of its execution; a cursor is a portal that SQL made (DECLARE). Rows come from
// the running query, or from memory once it was drained:
//
//   running: Execution ──► batch, offset          drained: rows kept [0 … n), position
//
// A portal that stands still while another statement of its transaction runs is drained first, so that it never sees that
// statement's writes or a newer snapshot (PostgreSQL's cursors are insensitive). What is kept counts against one account.
// Scrollable cursors keep every row they have passed.
// Thread safety: one session.
#ifndef INSULA_SQL_SESSION_PORTAL_H_
#define INSULA_SQL_SESSION_PORTAL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "sql/exec/memory.h"
#include "sql/plan/statement.h"
#include "sql/session/query_run.h"
#include "sql/session/statement.h"
#include "sql/types/vector.h"

namespace insula::sql {

struct PreparedStatement {
  std::string name;
  SourcePtr source;                     // null: an empty query
  std::vector<SqlType> declared_types;  // as given by Parse or PREPARE; oid 0: not
  std::vector<SqlType> parameter_types; // as inferred
  std::vector<ResultColumn> columns;    // what Describe says; none: no rows
  PlannedPtr planned;                   // newest plan; checked before each use
  bool from_sql = false;                // PREPARE
  int64_t prepared_at_us = 0;
};

// A sequence of rows that comes from a running query or from memory.
class RowSource {
 public:
  explicit RowSource(std::unique_ptr<QueryRun> run, bool keep_all);
  // Rows that exist already.
  explicit RowSource(Batch rows);

  // The next rows, at most `max`: [begin, end) of a batch that is valid until the next call; begin == end: none left.
  struct Slice {
    const Batch* batch = nullptr;
    size_t begin = 0, end = 0;
  };
  Task<absl::StatusOr<Slice>> Next(const Context& ctx, size_t max);

  // Reads everything into memory and lets the query go.
  Task<absl::Status> Drain(const Context& ctx);
  bool running() const { return run_ != nullptr; }
  // Of the query, up to now or in the end.
  uint64_t rows_affected() const { return run_ != nullptr ? run_->rows_affected() : affected_; }
  QueryRun* run() { return run_.get(); }

  // Scrolling, for sources that keep all rows. Position 0 is before the first row, n is on the n-th.
  bool scrollable() const { return keep_all_; }
  int64_t position() const { return position_; }
  // Moves to a position, clamped to [0, rows + 1]; true if there is a row.
  Task<absl::StatusOr<bool>> Seek(const Context& ctx, int64_t position);
  Slice Here() const;
  // After a drain, or at the end of a query that keeps all: how many rows there are.
  int64_t row_count() const { return static_cast<int64_t>(kept_rows_); }
  Task<absl::Status> ReadAll(const Context& ctx);

 private:
  void Finish();
  // Reads one more batch of the query into memory; false at its end.
  Task<absl::StatusOr<bool>> KeepMore(const Context& ctx);
  absl::Status Keep(const Batch& batch, size_t begin);

  std::unique_ptr<QueryRun> run_;
  uint64_t affected_ = 0;
  bool keep_all_ = false;
  // Running, not kept: the batch at hand.
  const Batch* current_ = nullptr;
  size_t offset_ = 0;
  // Kept rows, in batches; starts[i] is the index of the first row of batch i.
  std::vector<Batch> kept_;
  std::vector<size_t> starts_;
  size_t kept_rows_ = 0;
  size_t kept_bytes_ = 0;
  size_t next_ = 0;       // kept: the next row
  int64_t position_ = 0;  // scrolling
};

struct Portal {
  std::string name;
  SourcePtr source;  // null: an empty query
  PlannedPtr planned;
  std::vector<SqlType> declared_types;
  std::vector<Datum> parameters;
  std::vector<int16_t> requested_formats;
  std::vector<int16_t> formats;          // one per column
  std::vector<ResultColumn> columns;
  std::shared_ptr<PreparedStatement> statement;  // extended protocol: the statement it came from
  std::unique_ptr<RowSource> rows;       // once it has begun to give rows
  uint64_t row_count = 0;                // given so far
  std::string tag;                       // once it is done
  bool done = false;
  bool cursor = false, scroll = false, no_scroll = false, hold = false, binary = false;
  uint64_t created_clock = 0;
  uint64_t transaction = 0;              // the transaction it belongs to; 0: held over
  int64_t created_us = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_PORTAL_H_
