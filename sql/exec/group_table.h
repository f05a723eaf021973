// Distinct rows of some columns, numbered in order of arrival: groups of an aggregation, rows of DISTINCT, sides of set operations.
//
// Open addressing over 32-bit group numbers; keys lie in column vectors. NULLs equal each other. The numbers, not the hash
// table, give the order of whatever is made of the groups.
#ifndef INSULA_SQL_EXEC_GROUP_TABLE_H_
#define INSULA_SQL_EXEC_GROUP_TABLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/exec/memory.h"
#include "sql/types/vector.h"

namespace insula::sql {

class GroupTable {
 public:
  explicit GroupTable(MemoryAccount* memory) : held_(memory) {}
  void Reset(std::span<const SqlType> types);

  // groups[i] becomes the number of row i's group, a new one if need be.
  absl::Status FindOrAdd(std::span<const Vector* const> columns, size_t rows, std::vector<uint32_t>* groups);
  // The same without adding: kNoRow for unknown rows.
  void Find(std::span<const Vector* const> columns, size_t rows, std::vector<uint32_t>* groups);

  size_t size() const { return keys_.rows; }
  const Batch& keys() const { return keys_; }
  void Clear();

 private:
  void Hash(std::span<const Vector* const> columns, size_t rows);
  bool Matches(std::span<const Vector* const> columns, size_t row, uint32_t group) const;
  void Grow();

  Batch keys_;
  std::vector<uint64_t> key_hashes_;  // by group
  std::vector<uint32_t> slots_;       // kNoRow: free
  std::vector<uint64_t> hashes_;      // of the rows at hand
  MemoryReservation held_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_GROUP_TABLE_H_
