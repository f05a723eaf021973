#include "base/sim/disk.h"

#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

// "a//b/" and "./a/b" are "a/b"; an absolute path keeps its slash.
std::string Normal(std::string_view path) {
  std::string out;
  if (!path.empty() && path[0] == '/') out = "/";
  size_t at = 0;
  while (at < path.size()) {
    size_t end = std::min(path.find('/', at), path.size());
    std::string_view part = path.substr(at, end - at);
    if (!part.empty() && part != ".") {
      if (!out.empty() && out.back() != '/') out += '/';
      out += part;
    }
    at = end + 1;
  }
  return out;
}

std::string Parent(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool IsUnder(const std::string& path, const std::string& folder) {
  if (folder.empty()) return !path.empty() && path[0] != '/';
  if (folder == "/") return path.size() > 1 && path[0] == '/';
  return path.size() > folder.size() && path.compare(0, folder.size(), folder) == 0 && path[folder.size()] == '/';
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ the disk

void SimDisk::Apply(const NameChange& change, Names* names) {
  switch (change.kind) {
    case NameChange::kCreate:
      (*names)[change.path] = change.inode;
      return;
    case NameChange::kRemove:
      std::erase_if(*names, [&](const auto& entry) { return entry.first == change.path || IsUnder(entry.first, change.path); });
      return;
    case NameChange::kRename: {
      Names moved;
      for (auto it = names->begin(); it != names->end();) {
        bool below = IsUnder(it->first, change.path);
        if (it->first == change.path || below) {
          moved[below ? change.to + it->first.substr(change.path.size()) : change.to] = it->second;
          it = names->erase(it);
        } else {
          ++it;
        }
      }
      for (auto& [name, inode] : moved) (*names)[name] = inode;
      return;
    }
  }
}

void SimDisk::Crash() {
  // A prefix of the unsynced changes of names has reached the disk.
  size_t kept = random_->Uniform(pending_.size() + 1);
  counters_.lost_names += pending_.size() - kept;
  for (size_t i = 0; i < kept; ++i) Apply(pending_[i], &durable_names_);
  pending_.clear();
  // What lies in a folder that is not there itself is lost. Folders sort before what is in them.
  for (auto it = durable_names_.begin(); it != durable_names_.end();) {
    std::string parent = Parent(it->first);
    bool orphan = !parent.empty() && parent != "/" && durable_names_.count(parent) == 0;
    it = orphan ? durable_names_.erase(it) : std::next(it);
  }
  names_ = durable_names_;
  for (auto& [path, inode] : names_) {
    if (inode == nullptr) continue;
    inode->broken = false;
    std::string& data = inode->data;
    if (!inode->ghost.empty() && data.size() == inode->durable) data += inode->ghost;
    inode->ghost.clear();
    uint64_t unsynced = data.size() - inode->durable;
    if (unsynced == 0) continue;
    data.resize(inode->durable + random_->Uniform(unsynced + 1));
    if (data.size() < inode->durable + unsynced) ++counters_.lost_writes;
    // The last sector of what is left may be torn: space that was allocated and not, or only partly, written.
    uint64_t left = data.size() - inode->durable;
    if (left > 0 && random_->Chance(0.5)) {
      uint64_t torn = 1 + random_->Uniform(std::min<uint64_t>(left, 512));
      bool zeros = random_->Chance(0.5);
      ++counters_.torn_writes;
      for (uint64_t i = data.size() - torn; i < data.size(); ++i) data[i] = zeros ? '\0' : static_cast<char>(random_->Next64());
    }
    inode->durable = data.size();
  }
  locks_.clear();
  frozen_.clear();
}

void SimDisk::Thaw() {
  faults.frozen = false;
  auto frozen = std::exchange(frozen_, {});
  for (auto& end : frozen) process_->Schedule(Duration(0), "thaw", 0, std::move(end));
}

bool SimDisk::FlipBit(const std::string& path, uint64_t offset, int bit) {
  auto it = names_.find(Normal(path));
  if (it == names_.end() || it->second == nullptr || offset >= it->second->data.size()) return false;
  ++counters_.bit_flips;
  it->second->data[offset] = static_cast<char>(it->second->data[offset] ^ (1 << bit));
  return true;
}

uint64_t SimDisk::BytesUsed() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : names_) {
    if (inode != nullptr) used += inode->data.size();
  }
  return used;
}

std::vector<std::pair<std::string, uint64_t>> SimDisk::Files() const {
  std::vector<std::pair<std::string, uint64_t>> files;
  for (const auto& [path, inode] : names_) {
    if (inode != nullptr) files.emplace_back(path, inode->data.size());
  }
  return files;
}

absl::Status SimDisk::Alive() const {
  // While a crash destroys the process, its destructors change nothing any more.
  if (process_->crashing()) return absl::UnavailableError("the process has crashed");
  return absl::OkStatus();
}

void SimDisk::Change(NameChange change) {
  Apply(change, &names_);
  pending_.push_back(std::move(change));
}

absl::Status SimDisk::CheckFolder(const std::string& path) const {
  if (path.empty() || path == "/") return absl::OkStatus();
  auto it = names_.find(path);
  if (it == names_.end()) return absl::NotFoundError(StrCat(path, ": no such folder"));
  if (it->second != nullptr) return absl::NotFoundError(StrCat(path, " is not a folder"));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SimDisk::Inode>> SimDisk::Find(const std::string& path) const {
  auto it = names_.find(path);
  if (it == names_.end()) return absl::NotFoundError(StrCat("open ", path, ": no such file"));
  if (it->second == nullptr) return absl::InternalError(StrCat("open ", path, ": is a folder"));
  return it->second;
}

absl::StatusOr<std::shared_ptr<SimDisk::Inode>> SimDisk::OpenInode(const std::string& raw, bool create) {
  RETURN_IF_ERROR(Alive());
  std::string path = Normal(raw);
  auto found = Find(path);
  if (!create || (!found.ok() && !absl::IsNotFound(found.status()))) return found;
  RETURN_IF_ERROR(CheckFolder(Parent(path)));
  auto inode = std::make_shared<Inode>();
  Change({NameChange::kCreate, path, "", inode});
  return inode;
}

absl::StatusOr<bool> SimDisk::IsFolder(const std::string& path) const {
  RETURN_IF_ERROR(Alive());
  return CheckFolder(Normal(path)).ok();
}

absl::Status SimDisk::Link(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Alive());
  ASSIGN_OR_RETURN(auto inode, Find(Normal(from)));
  if (names_.count(Normal(to)) != 0) return absl::AlreadyExistsError(StrCat("link ", to, ": the name is taken"));
  RETURN_IF_ERROR(CheckFolder(Parent(Normal(to))));
  Change({NameChange::kCreate, Normal(to), "", std::move(inode)});
  return absl::OkStatus();
}

absl::Status SimDisk::Append(Inode* inode, std::string_view data) {
  RETURN_IF_ERROR(Alive());
  if (BytesUsed() + data.size() > faults.capacity) {
    ++counters_.full;
    return absl::ResourceExhaustedError("no space left on the simulated disk");
  }
  if (random_->Chance(faults.write_error_chance)) {
    ++counters_.write_errors;
    return absl::DataLossError("input/output error");
  }
  inode->data += data;
  return absl::OkStatus();
}

absl::Status SimDisk::Sync(Inode* inode) {
  RETURN_IF_ERROR(Alive());
  inode->durable = inode->data.size();
  return absl::OkStatus();
}

absl::StatusOr<std::string> SimDisk::Read(const Inode& inode, uint64_t offset, uint64_t length) {
  RETURN_IF_ERROR(Alive());
  if (random_->Chance(faults.read_error_chance)) {
    ++counters_.read_errors;
    return absl::DataLossError("read: input/output error");
  }
  if (offset >= inode.data.size()) return std::string();
  std::string out = inode.data.substr(offset, length);
  if (!out.empty() && random_->Chance(faults.bit_flip_chance)) {
    uint64_t bit = random_->Uniform(out.size() * 8);
    ++counters_.bit_flips;
    out[bit / 8] = static_cast<char>(out[bit / 8] ^ (1 << (bit % 8)));
  }
  return out;
}

// ------------------------------------------------------------------------------------------------- what a process sees

class SimAppendFile : public AppendFile {
 public:
  SimAppendFile(SimProcess* process, std::string path, std::shared_ptr<SimDisk::Inode> inode, std::string lock = "")
      : process_(process), incarnation_(process->incarnation()), path_(std::move(path)), inode_(std::move(inode)), lock_(std::move(lock)) {}
  ~SimAppendFile() override {
    if (!lock_.empty() && process_->incarnation() == incarnation_) process_->disk().locks_.erase(lock_);
  }

  Task<absl::Status> WriteAndSync(const Context& ctx, std::string data) override {
    if (ctx.done()) co_return ctx.status();
    CHECK(!busy_) << "two writes at a time to " << path_;
    SimDisk& disk = process_->disk();
    Random* random = disk.random_;
    if (inode_->broken) co_return absl::DataLossError(StrCat(path_, " is unusable after an error"));
    busy_ = true;
    struct Outcome {
      Event known;
      absl::Status status;
      void Set(absl::Status s) {
        status = std::move(s);
        known.Set();
      }
    };
    auto outcome = std::make_shared<Outcome>();
    Executor::Function end;
    const DiskFaults& faults = disk.faults;
    if (disk.BytesUsed() + data.size() > faults.capacity) {
      ++disk.counters_.full;
      inode_->ghost = data.substr(0, random->Uniform(data.size() + 1));
      end = [outcome, path = path_] { outcome->Set(absl::ResourceExhaustedError(StrCat(path, ": no space left on the simulated disk"))); };
    } else {
      inode_->ghost.clear();
      inode_->data += data;
      bool fails = random->Chance(faults.write_error_chance);
      if (fails) {
        ++disk.counters_.write_errors;
        inode_->broken = true;
      }
      end = [outcome, inode = inode_, length = inode_->data.size(), fails, path = path_] {
        if (fails) return outcome->Set(absl::DataLossError(StrCat(path, ": input/output error")));
        if (!fault::On(fault::Mutation::kForgetDataSync)) inode->durable = std::max<uint64_t>(inode->durable, length);
        outcome->Set(absl::OkStatus());
      };
    }
    if (faults.frozen) {
      ++disk.counters_.stalls;
      disk.frozen_.push_back(std::move(end));
    } else {
      Duration delay = process_->simulation().Between(faults.sync_min, faults.sync_max);
      if (random->Chance(faults.stall_chance)) {
        ++disk.counters_.stalls;
        delay += faults.stall;
      }
      process_->Schedule(delay, "sync", data.size(), std::move(end));
    }
    Context uncancelled = Context::Background(&ctx.executor());
    absl::Status waited = co_await outcome->known.Wait(uncancelled);
    CHECK_OK(waited);
    busy_ = false;
    co_return outcome->status;
  }

  uint64_t size() const override { return inode_->data.size(); }

 private:
  SimProcess* process_;
  const uint64_t incarnation_;
  const std::string path_;
  std::shared_ptr<SimDisk::Inode> inode_;
  const std::string lock_;
  bool busy_ = false;
};

class SimFileSystem : public FileSystem {
 public:
  SimFileSystem(SimProcess* process, SimDisk* disk) : process_(process), disk_(disk) {}

  absl::StatusOr<std::unique_ptr<AppendFile>> OpenAppend(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    ASSIGN_OR_RETURN(auto inode, FindOrCreate(path));
    return std::make_unique<SimAppendFile>(process_, path, std::move(inode));
  }

  absl::StatusOr<std::string> ReadFile(const std::string& path) override { return ReadRange(path, 0, ~uint64_t{0}); }

  absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset, uint64_t length) override {
    ASSIGN_OR_RETURN(auto inode, disk_->OpenInode(path, /*create=*/false));
    return disk_->Read(*inode, offset, length);
  }

  absl::Status WriteFileAtomically(const std::string& raw, std::string_view data, int mode) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    if (disk_->BytesUsed() + data.size() > disk_->faults.capacity) {
      ++disk_->counters_.full;
      return absl::ResourceExhaustedError(StrCat("write ", path, ": no space left on the simulated disk"));
    }
    RETURN_IF_ERROR(CheckFolder(Parent(path)));
    auto inode = std::make_shared<SimDisk::Inode>();
    inode->data = std::string(data);
    inode->durable = data.size();
    Change({SimDisk::NameChange::kCreate, path, "", std::move(inode)});
    return SyncDir(Parent(path));
  }

  absl::Status Truncate(const std::string& raw, uint64_t size) override {
    RETURN_IF_ERROR(Alive());
    ASSIGN_OR_RETURN(auto inode, Find(Normal(raw)));
    inode->data.resize(size);
    inode->durable = size;
    inode->ghost.clear();
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    auto it = disk_->names_.find(path);
    if (it == disk_->names_.end()) return absl::NotFoundError(StrCat("remove ", path, ": no such file"));
    if (it->second == nullptr) {
      ASSIGN_OR_RETURN(auto names, List(path));
      if (!names.empty()) return absl::AlreadyExistsError(StrCat("remove ", path, ": the folder is not empty"));
    }
    Change({SimDisk::NameChange::kRemove, path, "", nullptr});
    return absl::OkStatus();
  }

  absl::Status RemoveRecursively(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    Change({SimDisk::NameChange::kRemove, Normal(raw), "", nullptr});
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& raw_from, const std::string& raw_to) override {
    RETURN_IF_ERROR(Alive());
    std::string from = Normal(raw_from);
    std::string to = Normal(raw_to);
    auto it = disk_->names_.find(from);
    if (it == disk_->names_.end()) return absl::NotFoundError(StrCat("rename ", from, ": no such file"));
    RETURN_IF_ERROR(CheckFolder(Parent(to)));
    auto target = disk_->names_.find(to);
    if (target != disk_->names_.end() && (target->second == nullptr) != (it->second == nullptr)) {
      return absl::AlreadyExistsError(StrCat("rename ", from, " to ", to, ": one is a folder"));
    }
    Change({SimDisk::NameChange::kRename, from, to, nullptr});
    return absl::OkStatus();
  }

  absl::Status CreateDirs(const std::string& raw, int mode) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    for (size_t slash = 0; slash != std::string::npos && !path.empty();) {
      slash = path.find('/', slash + 1);
      std::string folder = path.substr(0, slash);
      auto it = disk_->names_.find(folder);
      if (it == disk_->names_.end()) {
        Change({SimDisk::NameChange::kCreate, folder, "", nullptr});
      } else if (it->second != nullptr) {
        return absl::FailedPreconditionError(StrCat(folder, " is not a folder"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status SyncDir(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    RETURN_IF_ERROR(CheckFolder(path));
    // A rename is durable when either folder is synced.
    std::erase_if(disk_->pending_, [&](const SimDisk::NameChange& change) {
      bool here = Parent(change.path) == path || (change.kind == SimDisk::NameChange::kRename && Parent(change.to) == path);
      if (here) SimDisk::Apply(change, &disk_->durable_names_);
      return here;
    });
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    RETURN_IF_ERROR(CheckFolder(path));
    std::vector<std::string> out;
    for (const auto& [name, inode] : disk_->names_) {
      if (Parent(name) == path && !name.empty()) out.push_back(name.substr(name.rfind('/') + 1));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    RETURN_IF_ERROR(Alive());
    return disk_->names_.count(Normal(path)) != 0;
  }

  absl::StatusOr<std::unique_ptr<AppendFile>> LockFile(const std::string& raw) override {
    RETURN_IF_ERROR(Alive());
    std::string path = Normal(raw);
    ASSIGN_OR_RETURN(auto inode, FindOrCreate(path));
    if (!disk_->locks_.insert(path).second) return absl::UnavailableError(StrCat(path, " is locked by another process"));
    return std::make_unique<SimAppendFile>(process_, path, std::move(inode), path);
  }

 private:
  absl::Status Alive() const { return disk_->Alive(); }
  void Change(SimDisk::NameChange change) { disk_->Change(std::move(change)); }
  absl::Status CheckFolder(const std::string& path) const { return disk_->CheckFolder(path); }
  absl::StatusOr<std::shared_ptr<SimDisk::Inode>> Find(const std::string& path) const { return disk_->Find(path); }

  absl::StatusOr<std::shared_ptr<SimDisk::Inode>> FindOrCreate(const std::string& path) {
    auto found = Find(path);
    return absl::IsNotFound(found.status()) ? disk_->OpenInode(path, /*create=*/true) : found;
  }

  SimProcess* process_;
  SimDisk* disk_;
};

std::unique_ptr<FileSystem> SimDisk::MakeFileSystem() { return std::make_unique<SimFileSystem>(process_, this); }

}  // namespace insula
