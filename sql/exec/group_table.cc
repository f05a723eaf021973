#include "sql/exec/group_table.h"

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

// Vector::HashInto mixes well enough for equality; spreads the low bits for masks.
inline uint64_t Spread(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 29);
}

}  // namespace

void GroupTable::Reset(std::span<const SqlType> types) {
  keys_.Reset(types);
  keys_.rows = 0;
  key_hashes_.clear();
  slots_.assign(64, kNoRow);
  held_.Release();
}

void GroupTable::Clear() {
  keys_ = Batch();
  key_hashes_ = {};
  slots_ = {};
  held_.Release();
}

void GroupTable::Hash(std::span<const Vector* const> columns, size_t rows) {
  // Constants come as longer vectors: hash as many entries as the longest has.
  size_t longest = rows;
  for (const Vector* v : columns) longest = std::max(longest, v->size());
  hashes_.assign(longest, 0);
  for (const Vector* v : columns) v->HashInto(hashes_.data());
  for (size_t i = 0; i < rows; ++i) hashes_[i] = Spread(hashes_[i]);
}

bool GroupTable::Matches(std::span<const Vector* const> columns, size_t row, uint32_t group) const {
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!Vector::NotDistinct(*columns[c], row, keys_.columns[c], group)) return false;
  }
  return true;
}

absl::Status GroupTable::FindOrAdd(std::span<const Vector* const> columns, size_t rows, std::vector<uint32_t>* groups) {
  Hash(columns, rows);
  groups->resize(rows);
  size_t before = keys_.rows;
  for (size_t i = 0; i < rows; ++i) {
    if (keys_.rows * 2 >= slots_.size()) Grow();
    size_t mask = slots_.size() - 1;
    size_t at = hashes_[i] & mask;
    while (slots_[at] != kNoRow && !(key_hashes_[slots_[at]] == hashes_[i] && Matches(columns, i, slots_[at]))) at = (at + 1) & mask;
    if (slots_[at] == kNoRow) {
      slots_[at] = static_cast<uint32_t>(keys_.rows);
      for (size_t c = 0; c < columns.size(); ++c) keys_.columns[c].AppendFrom(*columns[c], i);
      key_hashes_.push_back(hashes_[i]);
      if (++keys_.rows >= kNoRow) return PgError(sqlstate::kProgramLimitExceeded, "too many groups");
    }
    (*groups)[i] = slots_[at];
  }
  if (keys_.rows == before) return absl::OkStatus();
  return held_.Set(keys_.MemoryUsage() + key_hashes_.capacity() * sizeof(uint64_t) + slots_.capacity() * sizeof(uint32_t));
}

void GroupTable::Find(std::span<const Vector* const> columns, size_t rows, std::vector<uint32_t>* groups) {
  Hash(columns, rows);
  groups->resize(rows);
  size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < rows; ++i) {
    size_t at = hashes_[i] & mask;
    while (slots_[at] != kNoRow && !(key_hashes_[slots_[at]] == hashes_[i] && Matches(columns, i, slots_[at]))) at = (at + 1) & mask;
    (*groups)[i] = slots_[at];
  }
}

void GroupTable::Grow() {
  std::vector<uint32_t> bigger(slots_.size() * 2, kNoRow);
  size_t mask = bigger.size() - 1;
  for (uint32_t group = 0; group < keys_.rows; ++group) {
    size_t at = key_hashes_[group] & mask;
    while (bigger[at] != kNoRow) at = (at + 1) & mask;
    bigger[at] = group;
  }
  slots_.swap(bigger);
}

}  // namespace insula::sql
