// Files as our own formats see them (the log engine, VERSION files). RocksDB has its own seam, base/rocksenv.
//
// Reading and directory work happen at start-up and are plain calls. What happens while serving (append and sync) is a Task:
// it leaves the loop thread in the real world, and takes virtual time and may lose, tear or fail in the simulated one.
//
// Durability contract, the same in both worlds: after a crash a file holds what its last successful WriteAndSync wrote, and
// of what came after it any prefix, whose last part may be torn. A created, renamed or removed name is durable after SyncDir.
#ifndef INSULA_BASE_RUNTIME_FILES_H_
#define INSULA_BASE_RUNTIME_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"

namespace insula {

// A file that grows at its end. One WriteAndSync at a time.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // Appends `data` and makes it durable (fdatasync). kResourceExhausted when the disk is full: nothing of `data` counts as
  // written then, though a part may be found after a crash. Any other error: the file is unusable from then on.
  virtual Task<absl::Status> WriteAndSync(const Context& ctx, std::string data) = 0;
  virtual uint64_t size() const = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Opens for appending, creating it if it is not there.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) = 0;
  virtual absl::StatusOr<std::string> ReadFile(const std::string& path) = 0;
  // `length` bytes from `offset`; fewer at the end of the file.
  virtual absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset, uint64_t length) = 0;
  // Writes a whole small file durably: temporary name, sync, rename, sync of the folder. `mode` as in chmod.
  virtual absl::Status WriteFileAtomically(const std::string& path, std::string_view data, int mode = 0644) = 0;
  virtual absl::Status Truncate(const std::string& path, uint64_t size) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status RemoveRecursively(const std::string& path) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status CreateDirs(const std::string& path, int mode = 0755) = 0;
  virtual absl::Status SyncDir(const std::string& path) = 0;
  // Names (not paths) in a folder, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  // Takes an exclusive lock on `path` (creating it) until the returned object goes. kUnavailable if another process has it.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> LockFile(const std::string& path) = 0;
};

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_FILES_H_
