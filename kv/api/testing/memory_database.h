// A kv::Database in the memory of one process, for tests of what stands on the KV interface.
//
// It keeps all versions of all keys, and does by simple means what kv/api/txn.h promises: snapshots, exclusive and shared locks
// with queues and deadlock detection, buffered writes with savepoints, write-write and read-write checks of the stronger
// isolation levels, fences. Every operation passes through the event loop once, so that other tasks get in between.
//
// Not simulated: failures, round trips, flushing (FlushIfLarge counts only).
// Thread safety: loop thread only.
#ifndef INSULA_KV_API_TESTING_MEMORY_DATABASE_H_
#define INSULA_KV_API_TESTING_MEMORY_DATABASE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/async/wait.h"
#include "kv/api/txn.h"

namespace insula::kv {

class MemoryTxn;

class MemoryDatabase : public Database {
 public:
  MemoryDatabase();
  ~MemoryDatabase() override;

  std::unique_ptr<Txn> Begin(TxnOptions options) override;
  Task<absl::StatusOr<int64_t>> Increment(const Context& ctx, std::string key, int64_t by) override;

  Task<absl::Status> ClearRange(const Context& ctx, std::string start, std::string end) override;

  // What is committed now: keys that start with `prefix`.
  std::map<std::string, std::string> Dump(std::string prefix) const;
  size_t locked_keys() const;
  // The most that a transaction had buffered when FlushIfLarge was called, or at its commit without it.
  uint64_t largest_buffer() const;

  struct Store;

 private:
  std::shared_ptr<Store> store_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_API_TESTING_MEMORY_DATABASE_H_
