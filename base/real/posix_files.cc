// Files on a POSIX file system. Writes and syncs leave the loop for a pool thread; everything else is plain system calls.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/async/blocking.h"
#include "base/real/file_lock.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

absl::Status ErrnoStatus(int error, std::string_view what, const std::string& path) {
  std::string text = StrCat(what, " ", path, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EEXIST:
    case ENOTEMPTY:
      return absl::AlreadyExistsError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    case EWOULDBLOCK:
      return absl::UnavailableError(text);
    case EIO:
      return absl::DataLossError(text);
    default:
      return absl::InternalError(text);
  }
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<std::shared_ptr<Fd>> OpenFd(const std::string& path, int flags, int mode = 0644) {
  int fd;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoStatus(errno, "open", path);
  return std::make_shared<Fd>(fd);
}

absl::Status WriteAll(int fd, std::string_view data, uint64_t offset, const std::string& path) {
  while (!data.empty()) {
    ssize_t n = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write", path);
    }
    data.remove_prefix(n);
    offset += n;
  }
  return absl::OkStatus();
}

class PosixAppendFile : public AppendFile {
 public:
  PosixAppendFile(std::string path, std::shared_ptr<Fd> fd, uint64_t size) : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

  Task<absl::Status> WriteAndSync(const Context& ctx, std::string data) override {
    if (!ctx.status().ok()) co_return ctx.status();
    CHECK(!busy_) << "two writes at a time to " << path_;
    if (!broken_.ok()) co_return broken_;
    busy_ = true;
    uint64_t length = data.size();
    absl::Status status = co_await Blocking<absl::Status>(
        ctx, [fd = fd_, path = path_, offset = size_, data = std::move(data)] { return Append(fd->get(), path, offset, data); });
    busy_ = false;
    if (status.ok()) {
      size_ += length;
    } else if (!absl::IsResourceExhausted(status)) {
      broken_ = status;
    }
    co_return status;
  }

  uint64_t size() const override { return size_; }

 private:
  static absl::Status Append(int fd, const std::string& path, uint64_t offset, std::string_view data) {
    absl::Status status = WriteAll(fd, data, offset, path);
    if (!status.ok()) {
      // A full disk must not leave half of it behind what a later write appends.
      if (absl::IsResourceExhausted(status) && ftruncate(fd, static_cast<off_t>(offset)) != 0) return ErrnoStatus(EIO, "truncate", path);
      return status;
    }
    // After a failed sync the kernel may have dropped the dirty pages: the file is unusable, even for ENOSPC.
    if (fdatasync(fd) != 0) return ErrnoStatus(EIO, StrCat("sync (", std::strerror(errno), ")"), path);
    return absl::OkStatus();
  }

  const std::string path_;
  std::shared_ptr<Fd> fd_;  // a write under way holds it too
  uint64_t size_;
  bool busy_ = false;
  absl::Status broken_;
};

absl::StatusOr<bool> IsLockedExclusively(int fd, const std::string& path) {
  if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
    flock(fd, LOCK_UN);
    return false;
  }
  if (errno == EWOULDBLOCK) return true;
  return ErrnoStatus(errno, "lock", path);
}

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_RDWR | O_CREAT));
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return ErrnoStatus(errno, "stat", path);
    return std::make_unique<PosixAppendFile>(path, std::move(fd), st.st_size);
  }

  absl::StatusOr<std::string> ReadFile(const std::string& path) override {
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_RDONLY));
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return ErrnoStatus(errno, "stat", path);
    return ReadFrom(fd->get(), path, 0, st.st_size);
  }

  absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset, uint64_t length) override {
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_RDONLY));
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return ErrnoStatus(errno, "stat", path);
    uint64_t size = st.st_size;
    return ReadFrom(fd->get(), path, offset, offset >= size ? 0 : std::min(length, size - offset));
  }

  absl::Status WriteFileAtomically(const std::string& path, std::string_view data, int mode) override {
    std::string temporary = path + ".tmp";
    absl::Status status = WriteNew(temporary, data, mode);
    if (status.ok()) status = Rename(temporary, path);
    if (!status.ok()) {
      unlink(temporary.c_str());
      return status;
    }
    return SyncDir(std::filesystem::path(path).parent_path().string());
  }

  absl::Status Truncate(const std::string& path, uint64_t size) override {
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_WRONLY));
    if (ftruncate(fd->get(), static_cast<off_t>(size)) != 0) return ErrnoStatus(errno, "truncate", path);
    if (fsync(fd->get()) != 0) return ErrnoStatus(errno, "sync", path);
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) return ErrnoStatus(errno, "remove", path);
    return absl::OkStatus();
  }

  absl::Status RemoveRecursively(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return ErrnoStatus(error.value(), "remove", path);
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, StrCat("rename ", from, " to"), to);
    return absl::OkStatus();
  }

  absl::Status CreateDirs(const std::string& path, int mode) override {
    std::filesystem::path sofar;
    for (const auto& part : std::filesystem::path(path)) {
      sofar /= part;
      if (mkdir(sofar.c_str(), mode) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", sofar.string());
    }
    if (!std::filesystem::is_directory(path)) return absl::FailedPreconditionError(StrCat(path, " is not a folder"));
    return absl::OkStatus();
  }

  absl::Status SyncDir(const std::string& path) override {
    const std::string& dir = path.empty() ? "." : path;
    ASSIGN_OR_RETURN(auto fd, OpenFd(dir, O_RDONLY | O_DIRECTORY));
    if (fsync(fd->get()) != 0) return ErrnoStatus(errno, "sync", dir);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
    if (dir == nullptr) return ErrnoStatus(errno, "list", path);
    std::vector<std::string> names;
    errno = 0;
    while (dirent* entry = readdir(dir.get())) {
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0) return ErrnoStatus(errno, "list", path);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    struct stat st;
    if (stat(path.c_str(), &st) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return ErrnoStatus(errno, "stat", path);
  }

  absl::StatusOr<std::unique_ptr<AppendFile>> LockFile(const std::string& path) override {
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_RDWR | O_CREAT));
    while (flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock", path);
      // Where a shared lock can be had, only somebody looks (IsFileLocked), for an instant.
      ASSIGN_OR_RETURN(bool locked, IsLockedExclusively(fd->get(), path));
      if (locked) return absl::UnavailableError(StrCat(path, " is locked by another process"));
    }
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return ErrnoStatus(errno, "stat", path);
    return std::make_unique<PosixAppendFile>(path, std::move(fd), st.st_size);
  }

 private:
  static absl::StatusOr<std::string> ReadFrom(int fd, const std::string& path, uint64_t offset, uint64_t length) {
    std::string out(length, '\0');
    size_t done = 0;
    while (done < length) {
      ssize_t n = pread(fd, out.data() + done, length - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "read", path);
      }
      if (n == 0) break;
      done += n;
    }
    out.resize(done);
    return out;
  }

  static absl::Status WriteNew(const std::string& path, std::string_view data, int mode) {
    unlink(path.c_str());  // so that the mode is ours, not that of a leftover
    ASSIGN_OR_RETURN(auto fd, OpenFd(path, O_WRONLY | O_CREAT | O_EXCL, mode));
    RETURN_IF_ERROR(WriteAll(fd->get(), data, 0, path));
    if (fsync(fd->get()) != 0) return ErrnoStatus(errno, "sync", path);
    return absl::OkStatus();
  }
};

}  // namespace

absl::StatusOr<bool> IsFileLocked(const std::string& path) {
  auto fd = OpenFd(path, O_RDONLY);
  if (absl::IsNotFound(fd.status())) return false;
  RETURN_IF_ERROR(fd.status());
  return IsLockedExclusively((*fd)->get(), path);
}

std::unique_ptr<FileSystem> MakePosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace insula
