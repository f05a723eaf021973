// A file system of which nothing is changed: what would be cut or removed is noted, everything else that writes is refused.
//
// The log engine opens a log through it as a node does, torn end and all, and the files stay as they are.
#ifndef INSULA_KV_STORE_INSPECT_READ_ONLY_FILES_H_
#define INSULA_KV_STORE_INSPECT_READ_ONLY_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/files.h"

namespace insula::kv {

class ReadOnlyFiles : public FileSystem {
 public:
  // `files` outlives it.
  explicit ReadOnlyFiles(FileSystem* files) : files_(files) {}

  // By path: the length that was to be left. A file that was to be removed: 0.
  const std::map<std::string, uint64_t>& cuts() const { return cuts_; }

  absl::StatusOr<std::string> ReadFile(const std::string& path) override { return files_->ReadFile(path); }
  absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset, uint64_t length) override { return files_->ReadRange(path, offset, length); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override { return files_->List(path); }
  absl::StatusOr<bool> Exists(const std::string& path) override { return files_->Exists(path); }

  absl::Status Truncate(const std::string& path, uint64_t size) override;
  absl::Status Remove(const std::string& path) override { return Truncate(path, 0); }

  absl::StatusOr<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override { return No(path); }
  absl::Status WriteFileAtomically(const std::string& path, std::string_view data, int mode) override { return No(path); }
  absl::Status RemoveRecursively(const std::string& path) override { return No(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override { return No(from); }
  absl::Status CreateDirs(const std::string& path, int mode) override { return No(path); }
  absl::Status SyncDir(const std::string& path) override { return No(path); }
  absl::StatusOr<std::unique_ptr<AppendFile>> LockFile(const std::string& path) override { return No(path); }

 private:
  static absl::Status No(const std::string& path);

  FileSystem* const files_;
  std::map<std::string, uint64_t> cuts_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_INSPECT_READ_ONLY_FILES_H_
