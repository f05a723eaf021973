// RocksDB as the state engine: no log of its own, all column families flushed at one point (atomic flush).
//
// Background threads are RocksDB's own; a Flush leaves the loop and completes on it. Memory is bounded: one block cache and one
// write buffer budget, shared by all engines that are given the same RocksShared.
#ifndef INSULA_KV_STORAGE_ROCKS_ENGINE_H_
#define INSULA_KV_STORAGE_ROCKS_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/runtime/executor.h"
#include "kv/storage/engine.h"

namespace rocksdb {
class Env;
struct Options;
}  // namespace rocksdb

namespace insula::kv::storage {

struct RocksOptions {
  uint64_t block_cache_bytes = 128 << 20;
  uint64_t write_buffer_bytes = 64 << 20;  // all column families together
  int background_jobs = 2;

  // The simulated world (base/rocksenv): its environment, and what it sets among the options. RocksDB's background work is then events of
  // the one thread, so nothing here waits for it otherwise than as a coroutine, and an engine whose disk failed stays so until it is
  // opened anew.
  std::shared_ptr<rocksdb::Env> env;
  std::function<void(rocksdb::Options*, rocksdb::Env*)> prepare;
};

// One of the engine's files, as its manifest has it.
struct RocksTable {
  std::string path;
  std::string family;  // column family
  int level = 0;
  uint64_t bytes = 0;
};

// An engine's files as they lie on the disk, for looking at: nothing is written, made, repaired or locked, whatever happens, and nobody who
// opens the engine meanwhile is hindered (who looks may then see errors that are none).
class RocksView {
 public:
  virtual ~RocksView() = default;
  virtual std::unique_ptr<Reader> NewReader() = 0;
  virtual std::vector<RocksTable> Tables() = 0;
  // Reads a file from end to end against its checksums. kDataLoss: damaged.
  virtual absl::Status VerifyChecksum(const RocksTable& table) = 0;
};
// Errors as for an engine; kNotFound: there is none.
absl::StatusOr<std::unique_ptr<RocksView>> OpenRocksView(const std::string& path, const RocksOptions& options);

// `executor` must outlive the engine.
absl::StatusOr<std::unique_ptr<Engine>> OpenRocksEngine(Executor* executor, const std::string& path, const RocksOptions& options);
EngineFactory RocksEngineFactory(Executor* executor, RocksOptions options = {});

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_ROCKS_ENGINE_H_
