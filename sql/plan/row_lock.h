// SELECT … FOR UPDATE and its weaker relatives, and the locks that UPDATE and DELETE take on what they read.
#ifndef INSULA_SQL_PLAN_ROW_LOCK_H_
#define INSULA_SQL_PLAN_ROW_LOCK_H_

namespace insula::sql {

enum class RowLockStrength { kNone, kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class RowLockWait { kBlock, kSkipLocked, kNoWait };

struct RowLock {
  RowLockStrength strength = RowLockStrength::kNone;
  RowLockWait wait = RowLockWait::kBlock;
  bool locks() const { return strength != RowLockStrength::kNone; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_ROW_LOCK_H_
