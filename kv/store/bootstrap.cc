#include "kv/store/bootstrap.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/range_state.h"
#include "kv/mvcc/mvcc.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr Timestamp kBirth = Timestamp::FromMicros(1);

std::string Counter(uint64_t value) {
  std::string out;
  AppendFixed64(&out, value);
  return out;
}

// What the ranges hold from the start: their own addresses, and how many range ids are given out.
std::vector<std::pair<std::string, std::string>> InitialRows(const std::vector<v1::RangeDescriptor>& ranges) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& range : ranges) rows.emplace_back(keys::AddressKey(range.start_key(), range.end_key()), range.SerializeAsString());
  rows.emplace_back(keys::RangeIdCounter(), Counter(ranges.back().range_id()));
  return rows;
}

absl::Status CheckIdent(const StoreIdent& ident, bool joins) {
  if (ident.cluster_id.empty() || ident.cluster_id.find_first_of("\n\r") != std::string::npos) return absl::InvalidArgumentError("a cluster needs an id of one line");
  if (ident.members.size() % 2 == 0) return absl::InvalidArgumentError(StrCat("a cluster of ", ident.members.size(), " stores: the number must be odd"));
  StoreId last = 0;
  bool found = false;
  for (const StoreMember& m : ident.members) {
    if (m.store_id <= last || m.node_id == 0) return absl::InvalidArgumentError("members must have rising store ids and node ids above 0");
    last = m.store_id;
    found |= m == StoreMember{ident.node_id, ident.store_id};
  }
  if (joins) {
    return found || ident.node_id == 0 || ident.store_id == 0 ? absl::InvalidArgumentError(StrCat("store ", ident.store_id, " of node ", ident.node_id, " cannot join a cluster that it founded"))
                                                              : absl::OkStatus();
  }
  return found ? absl::OkStatus() : absl::InvalidArgumentError(StrCat("store ", ident.store_id, " of node ", ident.node_id, " is not among the cluster's members"));
}

Task<absl::Status> WriteLog(const Context& ctx, const Runtime& runtime, const std::string& dir, const StoreIdent& ident, const std::vector<v1::RangeDescriptor>& ranges) {
  CO_ASSIGN_OR_RETURN(auto log, LogEngine::Open(runtime, {.path = StoreLogDir(dir), .store_id = ident.store_id}));
  if (ranges.empty()) co_return absl::OkStatus();
  LogBatch batch;
  for (const auto& range : ranges) {
    batch.SetReplica(range.range_id(), ReplicaOn(range, ident.store_id)->replica_id());
    batch.Reset(range.range_id(), kFirstIndex, kFirstTerm);
    batch.SetHardState(range.range_id(), {.term = kFirstTerm, .commit = kFirstIndex});
  }
  co_return co_await log->AppendAndWait(ctx, std::move(batch));
}

Task<absl::Status> WriteState(const Context& ctx, const storage::EngineFactory& engines, const std::string& dir, const std::vector<v1::RangeDescriptor>& ranges) {
  CO_ASSIGN_OR_RETURN(auto engine, engines(StoreStateDir(dir)));
  if (ranges.empty()) co_return co_await engine->Flush(ctx);
  storage::WriteBatch batch;
  auto rows = InitialRows(ranges);
  for (const auto& range : ranges) {
    RangeState state;
    state.applied_index = kFirstIndex;
    state.applied_term = kFirstTerm;
    state.conf = ConfStateOf(range);
    for (const auto& [key, value] : rows) {
      if (keys::InBounds(range.start_key(), range.end_key(), key)) mvcc::PutCommitted(&batch, key, value, kBirth, &state.stats);
    }
    PutDescriptor(&batch, range);
    PutRangeState(&batch, range.range_id(), state);
  }
  CO_RETURN_IF_ERROR(engine->Write(batch));
  co_return co_await engine->Flush(ctx);
}

}  // namespace

std::vector<v1::RangeDescriptor> InitialRanges(const std::vector<StoreMember>& members) {
  std::vector<std::string> bounds = {"", keys::SystemStart()};
  for (uint64_t i = 0; i <= keys::kInitialKeyspaces; ++i) bounds.push_back(KeyspacePrefix(keys::kFirstKeyspace + i));
  bounds.emplace_back("");
  std::vector<v1::RangeDescriptor> ranges;
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    v1::RangeDescriptor& range = ranges.emplace_back();
    range.set_version(kDescriptorVersion);
    range.set_range_id(i + 1);
    range.set_start_key(bounds[i]);
    range.set_end_key(bounds[i + 1]);
    for (const StoreMember& m : members) {
      auto* replica = range.add_replicas();
      replica->set_node_id(m.node_id);
      replica->set_store_id(m.store_id);
      replica->set_replica_id(range.replicas_size());
    }
    range.set_next_replica_id(members.size() + 1);
    range.set_generation(1);
  }
  return ranges;
}

namespace {

Task<absl::Status> Init(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string dir, StoreIdent ident, std::vector<v1::RangeDescriptor> ranges) {
  FileSystem& files = *runtime.files;
  CO_RETURN_IF_ERROR(files.CreateDirs(dir));
  CO_ASSIGN_OR_RETURN(auto lock, files.LockFile(StoreLockFile(dir)));
  CO_ASSIGN_OR_RETURN(bool exists, files.Exists(StoreFile(dir)));
  if (exists) co_return absl::AlreadyExistsError(StrCat(dir, " holds a store already"));
  for (const std::string& part : {StoreLogDir(dir), StoreStateDir(dir)}) {
    CO_ASSIGN_OR_RETURN(bool left_over, files.Exists(part));
    if (left_over) CO_RETURN_IF_ERROR(files.RemoveRecursively(part));
  }
  CO_RETURN_IF_ERROR(files.CreateDirs(StoreLogDir(dir)));
  CO_RETURN_IF_ERROR(files.SyncDir(dir));
  CO_RETURN_IF_ERROR(co_await WriteLog(ctx, runtime, dir, ident, ranges));
  CO_RETURN_IF_ERROR(co_await WriteState(ctx, engines, dir, ranges));
  CO_RETURN_IF_ERROR(files.SyncDir(dir));
  CO_RETURN_IF_ERROR(files.WriteFileAtomically(StoreFile(dir), EncodeStoreIdent(ident)));
  // The folder's own name lies in its parent: without this a crash could take the whole store away.
  size_t slash = dir.find_last_not_of('/') == std::string::npos ? std::string::npos : dir.rfind('/', dir.find_last_not_of('/'));
  co_return files.SyncDir(slash == std::string::npos ? "." : slash == 0 ? "/" : dir.substr(0, slash));
}

}  // namespace

Task<absl::Status> InitStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string dir, StoreIdent ident) {
  CO_RETURN_IF_ERROR(CheckIdent(ident, /*joins=*/false));
  std::vector<v1::RangeDescriptor> ranges = InitialRanges(ident.members);
  co_return co_await Init(ctx, runtime, std::move(engines), std::move(dir), std::move(ident), std::move(ranges));
}

Task<absl::Status> InitJoiningStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string dir, StoreIdent ident) {
  CO_RETURN_IF_ERROR(CheckIdent(ident, /*joins=*/true));
  co_return co_await Init(ctx, runtime, std::move(engines), std::move(dir), std::move(ident), {});
}

}  // namespace insula::kv
