#include "kv/server/node_store.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/server/in_transaction.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {
namespace {

constexpr uint32_t kRecordVersion = 1;

std::string KeyOf(uint64_t node) { return keys::SystemKey(keys::SystemTable::kNodeAddress, node); }

absl::StatusOr<v1::NodeRecord> Decode(std::string_view value) {
  v1::NodeRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return absl::DataLossError("a node's record does not parse");
  if (record.version() > kRecordVersion) return absl::FailedPreconditionError(StrCat("a node's record has version ", record.version(), ", which this node does not know"));
  return record;
}

bool LeadsTo(v1::NodeState from, v1::NodeState to) {
  switch (from) {
    case v1::NODE_ACTIVE: return to == v1::NODE_DRAINING || to == v1::NODE_DECOMMISSIONING;
    case v1::NODE_DRAINING: return to == v1::NODE_ACTIVE || to == v1::NODE_DECOMMISSIONING;
    case v1::NODE_DECOMMISSIONING: return to == v1::NODE_ACTIVE || to == v1::NODE_DECOMMISSIONED;
    default: return false;
  }
}

}  // namespace

std::string_view ToString(v1::NodeState state) {
  switch (state) {
    case v1::NODE_ACTIVE: return "active";
    case v1::NODE_DRAINING: return "draining";
    case v1::NODE_DECOMMISSIONING: return "decommissioning";
    case v1::NODE_DECOMMISSIONED: return "decommissioned";
    default: return "unknown";
  }
}

absl::Status DecommissionedError(uint64_t node_id) {
  return absl::FailedPreconditionError(
      StrCat("node ", node_id, " was decommissioned and cannot come back. Its store may be deleted; a new node gets a number that no node had before."));
}

Task<absl::StatusOr<std::vector<v1::NodeRecord>>> NodeStore::List(const Context& ctx) {
  using Records = std::vector<v1::NodeRecord>;
  co_return co_await InTransaction<Records>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<Records>> {
    Records records;
    const std::string prefix = keys::SystemKey(keys::SystemTable::kNodeAddress);
    std::optional<ScanSpec> spec = ScanSpec();
    spec->start = prefix;
    spec->end = PrefixEnd(prefix);
    while (spec) {
      CO_ASSIGN_OR_RETURN(ScanPage page, co_await txn.Scan(ctx, *spec));
      for (auto& row : page.rows()) {
        CO_ASSIGN_OR_RETURN(v1::NodeRecord record, Decode(row.value));
        records.push_back(std::move(record));
      }
      spec = page.rest();
    }
    co_return records;
  });
}

Task<absl::StatusOr<v1::NodeRecord>> NodeStore::Register(const Context& ctx, v1::NodeRecord record) {
  record.set_version(kRecordVersion);
  const std::string key = KeyOf(record.node_id());
  co_return co_await InTransaction<v1::NodeRecord>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<v1::NodeRecord>> {
    CO_RETURN_IF_ERROR(co_await term_->Check(ctx, txn));
    CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, key, {.lock = LockStrength::kExclusive}));
    v1::NodeRecord next = record;
    if (value) {
      CO_ASSIGN_OR_RETURN(v1::NodeRecord present, Decode(*value));
      if (present.state() == v1::NODE_DECOMMISSIONED) co_return DecommissionedError(record.node_id());
      next.set_state(present.state() == v1::NODE_DRAINING ? v1::NODE_ACTIVE : present.state());
    }
    const std::string bytes = next.SerializeAsString();
    if (!value || *value != bytes) txn.Put(key, bytes);
    co_return next;
  });
}

Task<absl::StatusOr<v1::NodeRecord>> NodeStore::SetState(const Context& ctx, uint64_t node_id, v1::NodeState state) {
  const std::string key = KeyOf(node_id);
  co_return co_await InTransaction<v1::NodeRecord>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<v1::NodeRecord>> {
    CO_RETURN_IF_ERROR(co_await term_->Check(ctx, txn));
    CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, key, {.lock = LockStrength::kExclusive}));
    if (!value) co_return absl::NotFoundError(StrCat("there is no node ", node_id));
    CO_ASSIGN_OR_RETURN(v1::NodeRecord record, Decode(*value));
    if (record.state() == state) co_return record;
    if (record.state() == v1::NODE_DECOMMISSIONED) co_return DecommissionedError(node_id);
    if (!LeadsTo(record.state(), state)) co_return absl::FailedPreconditionError(StrCat("node ", node_id, " is ", ToString(record.state()), " and cannot become ", ToString(state)));
    record.set_state(state);
    txn.Put(key, record.SerializeAsString());
    co_return record;
  });
}

Task<absl::StatusOr<NodeStore::Replicas>> NodeStore::CountReplicas(const Context& ctx) {
  co_return co_await InTransaction<Replicas>(database_, ctx, [&](Txn& txn) -> Task<absl::StatusOr<Replicas>> {
    Replicas out;
    std::optional<ScanSpec> spec = ScanSpec();
    spec->start = std::string(1, keys::kMeta1Tag);
    spec->end = keys::SystemStart();
    while (spec) {
      CO_ASSIGN_OR_RETURN(ScanPage page, co_await txn.Scan(ctx, *spec));
      for (auto& row : page.rows()) {
        if (row.key == keys::Meta2Key(keys::SystemStart())) continue;  // range 1's, of before there were two levels
        v1::RangeDescriptor range;
        if (!range.ParseFromArray(row.value.data(), static_cast<int>(row.value.size()))) co_return absl::DataLossError("the address of a range does not parse");
        out.most = std::max<uint64_t>(out.most, static_cast<uint64_t>(range.replicas_size()));
        for (const auto& r : range.replicas()) ++out.by_node[r.node_id()];
      }
      spec = page.rest();
    }
    co_return out;
  });
}

}  // namespace insula::kv
