// The state engine's contract, as plainly as it can be written: ordered maps in memory, and a disk that is a value.
//
//   ModelDisk disk;                                   // outlives the process that crashes
//   auto engine = OpenModelEngine(&random, &disk);    
//   …crash: the engine is destroyed; opening again keeps what was flushed and a seeded prefix of what came after
//
// For simulation. Stricter than RocksDB: using a Reader of NewReader() after a Write is caught.
#ifndef INSULA_KV_STORAGE_MODEL_ENGINE_H_
#define INSULA_KV_STORAGE_MODEL_ENGINE_H_

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/runtime/random.h"
#include "base/runtime/time.h"
#include "kv/storage/engine.h"

namespace insula::kv::storage {

struct DataKeyLess {
  using is_transparent = void;
  ColumnFamily cf;
  bool operator()(std::string_view a, std::string_view b) const;
};
using ModelMap = std::map<std::string, std::string, DataKeyLess>;
using ModelMaps = std::array<ModelMap, kColumnFamilies>;
ModelMaps EmptyModelMaps();
void ApplyToMaps(const WriteBatch& batch, ModelMaps* maps);

struct ModelDisk {
  ModelMaps flushed = EmptyModelMaps();
  std::deque<WriteBatch> unflushed;  // in the order written
  uint32_t format_version = 0;       // 0: never opened
  bool full = false;                 // flushes fail with kResourceExhausted
  // Rows (by column family and key) that cannot be read any more, until something else takes their place; and how often one was met.
  std::set<std::pair<ColumnFamily, std::string>> damaged;
  uint64_t damage_met = 0;
  double write_pressure = 0;         // what its engine says of it (EngineFigures)
};

struct ModelOptions {
  Duration flush_time = std::chrono::milliseconds(5);
};

// `disk` must outlive the engine.
absl::StatusOr<std::unique_ptr<Engine>> OpenModelEngine(Random* random, ModelDisk* disk, ModelOptions options = {});

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_MODEL_ENGINE_H_
