#include "base/rocksenv/sim_env.h"

#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/sim/disk.h"
#include "base/sim/simulation.h"
#include "base/strings.h"

namespace insula {
namespace {

using rocksdb::IOStatus;
using rocksdb::Slice;
using rocksdb::Status;
using InodePtr = std::shared_ptr<SimDisk::Inode>;

Status ToRocks(const absl::Status& status) {
  std::string text(status.message());
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Status::OK();
    case absl::StatusCode::kNotFound:
      return Status::PathNotFound(text);
    case absl::StatusCode::kResourceExhausted:
      return Status::NoSpace(text);
    default:
      return Status::IOError(text);
  }
}

class SequentialFile : public rocksdb::SequentialFile {
 public:
  SequentialFile(SimDisk* disk, InodePtr inode) : disk_(disk), inode_(std::move(inode)) {}
  Status Read(size_t n, Slice* result, char* scratch) override {
    auto data = disk_->Read(*inode_, at_, n);
    if (!data.ok()) return ToRocks(data.status());
    std::memcpy(scratch, data->data(), data->size());
    *result = Slice(scratch, data->size());
    at_ += data->size();
    return Status::OK();
  }
  Status Skip(uint64_t n) override {
    at_ = std::min<uint64_t>(at_ + n, inode_->data.size());
    return Status::OK();
  }

 private:
  SimDisk* disk_;
  InodePtr inode_;
  uint64_t at_ = 0;
};

class RandomAccessFile : public rocksdb::RandomAccessFile {
 public:
  RandomAccessFile(SimDisk* disk, InodePtr inode) : disk_(disk), inode_(std::move(inode)) {}
  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    auto data = disk_->Read(*inode_, offset, n);
    if (!data.ok()) return ToRocks(data.status());
    std::memcpy(scratch, data->data(), data->size());
    *result = Slice(scratch, data->size());
    return Status::OK();
  }

 private:
  SimDisk* disk_;
  InodePtr inode_;
};

class WritableFile : public rocksdb::WritableFile {
 public:
  WritableFile(SimDisk* disk, InodePtr inode) : disk_(disk), inode_(std::move(inode)) {}
  using rocksdb::WritableFile::Append;
  Status Append(const Slice& data) override { return ToRocks(disk_->Append(inode_.get(), {data.data(), data.size()})); }
  Status Close() override { return Status::OK(); }
  Status Flush() override { return Status::OK(); }
  Status Sync() override { return ToRocks(disk_->Sync(inode_.get())); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize() override { return inode_->data.size(); }

 private:
  SimDisk* disk_;
  InodePtr inode_;
};

class Directory : public rocksdb::Directory {
 public:
  Directory(FileSystem* files, std::string path) : files_(files), path_(std::move(path)) {}
  Status Fsync() override { return ToRocks(files_->SyncDir(path_)); }
  Status Close() override { return Status::OK(); }

 private:
  FileSystem* files_;
  std::string path_;
};

class Lock : public rocksdb::FileLock {
 public:
  explicit Lock(std::unique_ptr<AppendFile> file) : file_(std::move(file)) {}

 private:
  std::unique_ptr<AppendFile> file_;
};

// RocksDB's own log goes nowhere: its lines hold addresses and thread ids.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Derives from the wrapper of the real environment for what touches no file, thread or clock.
class SimEnv : public rocksdb::EnvWrapper {
 public:
  explicit SimEnv(SimProcess* process)
      : EnvWrapper(rocksdb::Env::Default()), process_(process), disk_(&process->disk()), files_(disk_->MakeFileSystem()) {}

  // ------------------------------------------------------------------------------------------------------------ files
  Status NewSequentialFile(const std::string& path, std::unique_ptr<rocksdb::SequentialFile>* out, const rocksdb::EnvOptions&) override {
    return Open(path, /*create=*/false, [&](InodePtr inode) { *out = std::make_unique<SequentialFile>(disk_, std::move(inode)); });
  }
  Status NewRandomAccessFile(const std::string& path, std::unique_ptr<rocksdb::RandomAccessFile>* out, const rocksdb::EnvOptions&) override {
    return Open(path, /*create=*/false, [&](InodePtr inode) { *out = std::make_unique<RandomAccessFile>(disk_, std::move(inode)); });
  }
  Status NewWritableFile(const std::string& path, std::unique_ptr<rocksdb::WritableFile>* out, const rocksdb::EnvOptions&) override {
    return Open(path, /*create=*/true, [&](InodePtr inode) { *out = std::make_unique<WritableFile>(disk_, std::move(inode)); });
  }
  Status ReopenWritableFile(const std::string& path, std::unique_ptr<rocksdb::WritableFile>* out, const rocksdb::EnvOptions&) override {
    auto there = files_->Exists(path);
    if (!there.ok()) return ToRocks(there.status());
    return Open(path, /*create=*/!*there, [&](InodePtr inode) { *out = std::make_unique<WritableFile>(disk_, std::move(inode)); });
  }
  Status ReuseWritableFile(const std::string&, const std::string&, std::unique_ptr<rocksdb::WritableFile>*, const rocksdb::EnvOptions&) override {
    return Status::NotSupported("reusing files");
  }
  Status NewRandomRWFile(const std::string&, std::unique_ptr<rocksdb::RandomRWFile>*, const rocksdb::EnvOptions&) override {
    return Status::NotSupported("writing in the middle of files");
  }
  Status NewMemoryMappedFileBuffer(const std::string&, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override {
    return Status::NotSupported("mapping files");
  }
  Status NewDirectory(const std::string& path, std::unique_ptr<rocksdb::Directory>* out) override {
    auto folder = disk_->IsFolder(path);
    if (!folder.ok()) return ToRocks(folder.status());
    if (!*folder) return Status::PathNotFound(path);
    *out = std::make_unique<Directory>(files_.get(), path);
    return Status::OK();
  }

  // ------------------------------------------------------------------------------------------------------------ names
  Status FileExists(const std::string& path) override {
    auto there = files_->Exists(path);
    if (!there.ok()) return ToRocks(there.status());
    return *there ? Status::OK() : Status::NotFound(path);
  }
  Status GetChildren(const std::string& path, std::vector<std::string>* out) override {
    auto names = files_->List(path);
    if (!names.ok()) return ToRocks(names.status());
    *out = *std::move(names);
    return Status::OK();
  }
  Status GetChildrenFileAttributes(const std::string& path, std::vector<FileAttributes>* out) override {
    std::vector<std::string> names;
    Status status = GetChildren(path, &names);
    out->clear();
    for (size_t i = 0; status.ok() && i < names.size(); ++i) {
      FileAttributes attributes;
      attributes.name = names[i];
      std::string full = StrCat(path, "/", names[i]);
      auto folder = disk_->IsFolder(full);
      if (!folder.ok()) return ToRocks(folder.status());
      attributes.size_bytes = 0;
      if (!*folder) status = GetFileSize(full, &attributes.size_bytes);
      out->push_back(std::move(attributes));
    }
    return status;
  }
  Status DeleteFile(const std::string& path) override { return ToRocks(files_->Remove(path)); }
  Status Truncate(const std::string& path, size_t size) override { return ToRocks(files_->Truncate(path, size)); }
  Status CreateDir(const std::string& path) override {
    auto there = files_->Exists(path);
    if (!there.ok()) return ToRocks(there.status());
    return *there ? Status::IOError(path, "exists") : ToRocks(files_->CreateDirs(path));
  }
  Status CreateDirIfMissing(const std::string& path) override { return ToRocks(files_->CreateDirs(path)); }
  Status DeleteDir(const std::string& path) override { return ToRocks(files_->Remove(path)); }
  Status GetFileSize(const std::string& path, uint64_t* size) override {
    return Open(path, /*create=*/false, [&](InodePtr inode) { *size = inode->data.size(); });
  }
  Status GetFileModificationTime(const std::string& path, uint64_t* time) override {
    *time = NowMicros() / 1'000'000;
    return FileExists(path);
  }
  Status RenameFile(const std::string& from, const std::string& to) override { return ToRocks(files_->Rename(from, to)); }
  Status LinkFile(const std::string& from, const std::string& to) override { return ToRocks(disk_->Link(from, to)); }
  Status NumFileLinks(const std::string&, uint64_t*) override { return Status::NotSupported("counting links"); }
  Status AreFilesSame(const std::string& a, const std::string& b, bool* same) override {
    InodePtr first;
    Status status = Open(a, false, [&](InodePtr inode) { first = std::move(inode); });
    if (!status.ok()) return status;
    return Open(b, false, [&](InodePtr inode) { *same = inode == first; });
  }
  Status LockFile(const std::string& path, rocksdb::FileLock** lock) override {
    auto file = files_->LockFile(path);
    if (!file.ok()) return ToRocks(file.status());
    *lock = new Lock(std::move(*file));
    return Status::OK();
  }
  Status UnlockFile(rocksdb::FileLock* lock) override {
    delete lock;
    return Status::OK();
  }
  Status IsDirectory(const std::string& path, bool* is_folder) override {
    auto folder = disk_->IsFolder(path);
    if (!folder.ok()) return ToRocks(folder.status());
    *is_folder = *folder;
    return Status::OK();
  }
  Status GetFreeSpace(const std::string&, uint64_t* free) override {
    uint64_t used = disk_->BytesUsed();
    *free = disk_->faults.capacity > used ? disk_->faults.capacity - used : 0;
    return Status::OK();
  }
  Status GetTestDirectory(std::string* path) override {
    *path = "test";
    return CreateDirIfMissing(*path);
  }
  Status GetAbsolutePath(const std::string& path, std::string* out) override {
    *out = path;
    return Status::OK();
  }
  Status NewLogger(const std::string&, std::shared_ptr<rocksdb::Logger>* out) override {
    *out = std::make_shared<SilentLogger>();
    return Status::OK();
  }

  // ------------------------------------------------------------------------------------------------- time, randomness
  uint64_t NowMicros() override { return static_cast<uint64_t>(process_->LocalWall().time_since_epoch().count()); }
  uint64_t NowNanos() override { return static_cast<uint64_t>(process_->LocalMono().time_since_epoch().count()); }
  uint64_t NowCPUNanos() override { return 0; }
  void SleepForMicroseconds(int) override {}  // time stands still within an event
  Status GetCurrentTime(int64_t* seconds) override {
    *seconds = static_cast<int64_t>(NowMicros() / 1'000'000);
    return Status::OK();
  }
  std::string GenerateUniqueId() override { return StrCat("sim-", process_->random().Next64(), "-", process_->random().Next64()); }
  Status GetHostName(char* name, uint64_t size) override {
    CHECK(size > 0);
    size_t n = std::min<size_t>(process_->name().size(), size - 1);
    std::memcpy(name, process_->name().data(), n);
    name[n] = '\0';
    return Status::OK();
  }

  // ------------------------------------------------------------------------------------------------------------- jobs
  void Schedule(void (*function)(void*), void* arg, Priority priority, void* tag, void (*unschedule)(void*)) override {
    uint64_t id = ++last_job_;
    jobs_[id] = Job{function, unschedule, arg, tag, priority};
    Duration delay = process_->simulation().Between(100us, 5ms);
    process_->Schedule(delay, "rocksdb", id, [this, alive = std::weak_ptr<int>(alive_), id] {
      if (!alive.expired()) RunJob(id);
    });
  }
  int UnSchedule(void* tag, Priority priority) override {
    std::vector<Job> dropped;
    std::erase_if(jobs_, [&](const auto& entry) {
      bool drop = entry.second.tag == tag && entry.second.priority == priority;
      if (drop) dropped.push_back(entry.second);
      return drop;
    });
    for (const Job& job : dropped) {
      if (job.unschedule != nullptr) job.unschedule(job.arg);
    }
    return static_cast<int>(dropped.size());
  }
  void StartThread(void (*)(void*), void*) override { CHECK(false) << "RocksDB starts a thread in the simulator"; }
  void WaitForJoin() override {}
  unsigned int GetThreadPoolQueueLen(Priority priority) const override {
    return static_cast<unsigned int>(std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& entry) { return entry.second.priority == priority; }));
  }
  void SetBackgroundThreads(int, Priority) override {}
  int GetBackgroundThreads(Priority) override { return 1; }
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}
  void LowerThreadPoolIOPriority(Priority) override {}
  void LowerThreadPoolCPUPriority(Priority) override {}
  Status LowerThreadPoolCPUPriority(Priority, rocksdb::CpuPriority) override { return Status::OK(); }
  int ReserveThreads(int, Priority) override { return 0; }
  int ReleaseThreads(int, Priority) override { return 0; }

 private:
  struct Job {
    void (*function)(void*);
    void (*unschedule)(void*);
    void* arg;
    void* tag;
    Priority priority;
  };

  template <typename F>
  Status Open(const std::string& path, bool create, F use) {
    auto inode = disk_->OpenInode(path, create);
    if (!inode.ok()) return ToRocks(inode.status());
    use(std::move(*inode));
    return Status::OK();
  }

  void RunJob(uint64_t id) {
    auto it = jobs_.find(id);
    if (it == jobs_.end()) return;
    Job job = it->second;
    jobs_.erase(it);
    job.function(job.arg);
  }

  SimProcess* process_;
  SimDisk* disk_;
  std::unique_ptr<FileSystem> files_;
  std::map<uint64_t, Job> jobs_;  // by arrival
  uint64_t last_job_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// RocksDB would get over a full disk by itself: in a thread of its own. A database whose disk failed stays so until it is opened anew.
class NoRecovery : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool* recover) override { *recover = false; }
};

}  // namespace

std::shared_ptr<rocksdb::Env> MakeSimEnv(SimProcess* process) { return std::make_shared<SimEnv>(process); }

void PrepareForSimulation(rocksdb::Options* options, rocksdb::Env* env) {
  constexpr int kNever = 1 << 30;
  options->env = env;
  options->listeners.push_back(std::make_shared<NoRecovery>());
  // No threads of RocksDB's own.
  options->max_file_opening_threads = 1;
  options->max_subcompactions = 1;
  options->stats_dump_period_sec = 0;
  options->stats_persist_period_sec = 0;
  options->delete_obsolete_files_period_micros = 0;
  options->avoid_unnecessary_blocking_io = false;
  // No waiting for background work: at closing, or because it is behind.
  options->avoid_flush_during_shutdown = true;
  options->avoid_flush_during_recovery = true;
  options->level0_slowdown_writes_trigger = kNever;
  options->level0_stop_writes_trigger = kNever;
  options->soft_pending_compaction_bytes_limit = 0;
  options->hard_pending_compaction_bytes_limit = 0;
  options->max_write_buffer_number = 1000;
  options->delayed_write_rate = 1ull << 40;
  // Files as the simulated disk has them.
  options->allow_mmap_reads = false;
  options->allow_mmap_writes = false;
  options->use_direct_reads = false;
  options->use_direct_io_for_flush_and_compaction = false;
  options->recycle_log_file_num = 0;
  options->max_log_file_size = 0;  // the silent log does not roll
  options->log_file_time_to_roll = 0;
  options->bytes_per_sync = 0;
  options->allow_fallocate = false;
}

}  // namespace insula
