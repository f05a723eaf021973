// The kinds of joins that plans know, logical and physical.
#ifndef INSULA_SQL_PLAN_JOIN_TYPE_H_
#define INSULA_SQL_PLAN_JOIN_TYPE_H_

namespace insula::sql {

// kSemi: left rows with a match. kAnti: left rows without one. kMark: every left row, with a boolean that says whether it
// has a match (TRUE, FALSE, or NULL when only unknown comparisons were found). A cross join is kInner without condition.
enum class JoinType { kInner, kLeft, kRight, kFull, kSemi, kAnti, kMark };

inline bool OnlyLeftColumns(JoinType t) { return t == JoinType::kSemi || t == JoinType::kAnti || t == JoinType::kMark; }

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_JOIN_TYPE_H_
