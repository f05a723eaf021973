// What one statement holds in memory, against its limit.
//
// Operators that keep rows (sorts, hash tables, kept subplans, result buffers) grow and shrink the account by what they hold.
// Past the limit Grow answers 53200 and that statement fails, never the pod.
//
//   MemoryReservation held(exec->memory);
//   RETURN_IF_ERROR(held.Set(rows.MemoryUsage()));   // gives all back when it goes
//
// Thread safety: one thread.
#ifndef INSULA_SQL_EXEC_MEMORY_H_
#define INSULA_SQL_EXEC_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace insula::sql {

class MemoryAccount {
 public:
  static constexpr size_t kDefaultLimit = size_t{256} << 20;

  explicit MemoryAccount(size_t limit = kDefaultLimit) : limit_(limit) {}
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  // 53200 when the limit would be passed; nothing is taken then.
  absl::Status Grow(size_t bytes);
  void Shrink(size_t bytes) { used_ -= bytes < used_ ? bytes : used_; }

  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  size_t limit() const { return limit_; }

 private:
  size_t limit_;
  size_t used_ = 0;
  size_t peak_ = 0;
};

// One holder's part of an account.
class MemoryReservation {
 public:
  explicit MemoryReservation(MemoryAccount* account) : account_(account) {}
  MemoryReservation(const MemoryReservation&) = delete;
  MemoryReservation& operator=(const MemoryReservation&) = delete;
  ~MemoryReservation() { Release(); }

  // The holder now holds `bytes` in all.
  absl::Status Set(size_t bytes) {
    if (bytes > held_) {
      absl::Status s = account_->Grow(bytes - held_);
      if (!s.ok()) return s;
    } else {
      account_->Shrink(held_ - bytes);
    }
    held_ = bytes;
    return absl::OkStatus();
  }
  absl::Status Add(size_t bytes) { return Set(held_ + bytes); }
  void Release() {
    account_->Shrink(held_);
    held_ = 0;
  }
  size_t held() const { return held_; }

 private:
  MemoryAccount* account_;
  size_t held_ = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_MEMORY_H_
