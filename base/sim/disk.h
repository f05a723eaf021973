// The disk of one simulated host: survives crashes of its process, loses what was not synced, and fails on demand.
//
//   file   |■■■■■■■■■■■■|▒▒▒▒▒▒▒▒▒|        a crash keeps all of ■ and a random prefix of ▒, whose last part may be garbage
//           durable      written
//   names  created, renamed, removed ─► pending until SyncDir of their folder; a crash keeps a random prefix of the pending
#ifndef INSULA_BASE_SIM_DISK_H_
#define INSULA_BASE_SIM_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/executor.h"
#include "base/runtime/files.h"
#include "base/runtime/random.h"
#include "base/runtime/time.h"

namespace insula {

class SimProcess;

// Faults that a test may change at any time.
struct DiskFaults {
  Duration sync_min = std::chrono::microseconds(50);
  Duration sync_max = std::chrono::microseconds(800);
  double stall_chance = 0;  // of one sync, to take `stall` longer
  Duration stall = std::chrono::seconds(1);
  bool frozen = false;               // syncs begun now end only after Thaw()
  uint64_t capacity = ~uint64_t{0};  // bytes in all files; beyond: kResourceExhausted
  double write_error_chance = 0;     // kDataLoss; the file is unusable from then on
  double read_error_chance = 0;      // kDataLoss
  double bit_flip_chance = 0;        // of one read, to give one wrong bit
};

// What the faults have done to it so far.
struct DiskCounters {
  uint64_t lost_writes = 0;   // files that lost unsynced data in a crash
  uint64_t torn_writes = 0;   // files whose last sector was torn by a crash
  uint64_t lost_names = 0;    // changes of names that a crash undid
  uint64_t stalls = 0;
  uint64_t full = 0;          // writes refused for want of room
  uint64_t write_errors = 0;
  uint64_t read_errors = 0;
  uint64_t bit_flips = 0;     // in what was read, or by FlipBit
};

class SimDisk {
 public:
  SimDisk(SimProcess* process, Random* random) : process_(process), random_(random) {}

  DiskFaults faults;

  // Lets frozen syncs end.
  void Thaw();
  // Turns one bit of what is stored. False if there is no such byte.
  bool FlipBit(const std::string& path, uint64_t offset, int bit);
  uint64_t BytesUsed() const;
  // Paths of all files, in order, with their sizes.
  std::vector<std::pair<std::string, uint64_t>> Files() const;
  const DiskCounters& counters() const { return counters_; }

  // ---- for base/sim
  struct Inode {
    std::string data;
    uint64_t durable = 0;  // length that a crash keeps
    std::string ghost;     // part of a write that failed for want of room: a crash may uncover it
    bool broken = false;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;  // null inode: a folder
  void Crash();
  std::unique_ptr<FileSystem> MakeFileSystem();
  SimProcess* process() const { return process_; }

  // ---- for base/rocksenv: files by plain calls; names go through the FileSystem
  // `create`: a new, empty file takes the place of one that is there.
  absl::StatusOr<std::shared_ptr<Inode>> OpenInode(const std::string& path, bool create);
  absl::StatusOr<bool> IsFolder(const std::string& path) const;
  absl::Status Link(const std::string& from, const std::string& to);
  absl::Status Append(Inode* inode, std::string_view data);
  absl::Status Sync(Inode* inode);
  absl::StatusOr<std::string> Read(const Inode& inode, uint64_t offset, uint64_t length);

 private:
  friend class SimFileSystem;
  friend class SimAppendFile;
  struct NameChange {
    enum Kind { kCreate, kRemove, kRename } kind;
    std::string path;
    std::string to;  // kRename
    std::shared_ptr<Inode> inode;
  };
  static void Apply(const NameChange& change, Names* names);
  absl::Status Alive() const;
  void Change(NameChange change);
  absl::Status CheckFolder(const std::string& path) const;
  absl::StatusOr<std::shared_ptr<Inode>> Find(const std::string& path) const;

  SimProcess* process_;
  Random* random_;
  Names names_;                      // as the process sees them
  Names durable_names_;              // as a crash leaves them at least
  std::vector<NameChange> pending_;  // between the two, in order
  DiskCounters counters_;
  std::set<std::string> locks_;
  std::vector<Executor::Function> frozen_;  // ends of frozen syncs
};

}  // namespace insula

#endif  // INSULA_BASE_SIM_DISK_H_
