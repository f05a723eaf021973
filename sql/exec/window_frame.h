// Where the frame of each row of one sorted partition begins and ends.
//
//   rows        0  1  2  3  4        ROWS 1 PRECEDING .. CURRENT ROW: row 3 → [2, 4)
//   order key   1  2  2  5  9        RANGE 1 PRECEDING .. CURRENT ROW: row 2 → [0, 3)
//   peer group  0  1  1  2  3        GROUPS 1 PRECEDING .. CURRENT ROW: row 3 → [1, 4)
//
// Thread safety: one thread.
#ifndef INSULA_SQL_EXEC_WINDOW_FRAME_H_
#define INSULA_SQL_EXEC_WINDOW_FRAME_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/plan/sort_key.h"
#include "sql/plan/window_call.h"
#include "sql/types/vector.h"

namespace insula::sql {

struct FrameRange {
  size_t begin = 0, end = 0;  // rows [begin, end)
};

// Peers: rows that are equal under the window's order.
struct PeerGroups {
  std::vector<size_t> group_of;  // by row
  std::vector<size_t> starts;    // by group; one more at the end: the number of rows
  size_t Start(size_t row) const { return starts[group_of[row]]; }
  size_t End(size_t row) const { return starts[group_of[row] + 1]; }
  size_t count() const { return starts.size() - 1; }
};

// `order_by` and `keys`: the window's order and its values on the partition's rows (for RANGE with an offset).
// 22013 for a NULL or negative offset, 0A000 for RANGE offsets over types that cannot be added.
absl::Status ComputeFrames(const WindowFrame& frame, const std::vector<SortKey>& order_by, const Batch& keys, const PeerGroups& peers,
                           EvalContext& eval, std::vector<FrameRange>* out);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_WINDOW_FRAME_H_
