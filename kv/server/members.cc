#include "kv/server/members.h"

#include <set>
#include <utility>

#include "base/log/log.h"
#include "base/strings.h"
#include "kv/server/node_store.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {
constexpr uint32_t kFileVersion = 1;
}  // namespace

Members::Members(const Runtime& runtime, std::string path, uint64_t self, std::map<uint64_t, std::string> given)
    : runtime_(runtime), path_(std::move(path)), self_(self), given_(std::move(given)) {}
Members::~Members() = default;

void Members::Load() {
  auto exists = runtime_.files->Exists(path_);
  if (!exists.ok() || !*exists) return;
  auto bytes = runtime_.files->ReadFile(path_);
  v1::KnownNodes known;
  if (!bytes.ok() || !known.ParseFromString(*bytes) || known.version() != kFileVersion) {
    LOG_WARNING("the file of known nodes cannot be used; they are learned anew", {"path", path_});
    return;
  }
  for (auto& record : *known.mutable_nodes()) rows_[record.node_id()] = std::move(record);
  if (!meta_.ParseFromString(known.meta_range())) meta_.Clear();
  Changed();
}

void Members::Save() {
  if (saving_) {
    save_again_ = true;
    return;
  }
  saving_ = true;
  v1::KnownNodes known;
  known.set_version(kFileVersion);
  for (const v1::NodeRecord& record : Records()) *known.add_nodes() = record;
  meta_.SerializeToString(known.mutable_meta_range());
  // Off the loop: the file is synced.
  auto written = std::make_shared<absl::Status>();
  runtime_.executor->RunBlocking([files = runtime_.files, path = path_, bytes = known.SerializeAsString(), written] { *written = files->WriteFileAtomically(path, bytes); },
                                 [this, alive = std::weak_ptr<bool>(alive_), written] {
                                   if (alive.expired()) return;
                                   if (!written->ok()) LOG_WARNING("the file of known nodes was not written", {"path", path_}, {"why", *written});
                                   saving_ = false;
                                   if (std::exchange(save_again_, false)) Save();
                                 });
}

void Members::Changed() {
  ++version_;
  changed_.NotifyAll();
}

void Members::Learn(const std::vector<v1::NodeRecord>& rows) {
  bool other = !rows_known_ || rows.size() != rows_.size();
  std::map<uint64_t, v1::NodeRecord> next;
  for (const v1::NodeRecord& record : rows) {
    auto was = rows_.find(record.node_id());
    const bool same = was != rows_.end() && was->second.SerializeAsString() == record.SerializeAsString();
    // The first rows of a run may be older than what the operator said; what changes later is news.
    if (rows_known_ && (was == rows_.end() || was->second.address() != record.address())) heard_[record.node_id()] = record.address();
    other = other || !same;
    next[record.node_id()] = record;
  }
  rows_ = std::move(next);
  rows_known_ = true;
  if (!other) return;
  Changed();
  Save();
}

void Members::Heard(const v1::StoreLoad& load) {
  if (load.has_meta_range()) HeardMeta(load.meta_range());
  if (load.address().empty() || AddressOf(load.node_id()) == load.address()) return;
  heard_[load.node_id()] = load.address();
  Changed();
  Save();
}

void Members::HeardMeta(const v1::RangeDescriptor& meta) {
  if (meta.range_id() != keys::kMetaRange || meta.generation() <= meta_.generation()) return;
  meta_ = meta;
  Save();
}

std::string Members::AddressOf(uint64_t node) const {
  if (auto it = heard_.find(node); it != heard_.end()) return it->second;
  if (auto it = given_.find(node); it != given_.end()) return it->second;
  auto it = rows_.find(node);
  return it == rows_.end() ? "" : it->second.address();
}

std::vector<v1::NodeRecord> Members::Records() const {
  std::set<uint64_t> nodes;
  for (const auto& [id, record] : rows_) nodes.insert(id);
  for (const auto& [id, address] : heard_) nodes.insert(id);
  for (const auto& [id, address] : given_) nodes.insert(id);
  std::vector<v1::NodeRecord> out;
  for (uint64_t node : nodes) {
    v1::NodeRecord& record = out.emplace_back();
    if (const v1::NodeRecord* row = Find(node); row != nullptr) record = *row;
    record.set_node_id(node);
    record.set_store_id(node);
    record.set_address(AddressOf(node));
  }
  return out;
}

std::vector<std::string> Members::Addresses() const {
  std::vector<std::string> out;
  for (const v1::NodeRecord& record : Records()) {
    if (record.state() != v1::NODE_DECOMMISSIONED && !record.address().empty()) out.push_back(record.address());
  }
  return out;
}

const v1::NodeRecord* Members::Find(uint64_t node) const {
  auto it = rows_.find(node);
  return it == rows_.end() ? nullptr : &it->second;
}

absl::Status Members::CheckPeer(const PeerIdentity& peer, StoreId store) const {
  const Identity identity = IdentifyPeer(peer);
  if (identity.role != Role::kNode || identity.node != store) return absl::PermissionDeniedError(StrCat(identity.ToString(), " may not speak for store ", store));
  const v1::NodeRecord* record = Find(identity.node);
  if (record != nullptr && record->state() == v1::NODE_DECOMMISSIONED) return DecommissionedError(identity.node);  // M1
  return absl::OkStatus();
}

}  // namespace insula::kv
