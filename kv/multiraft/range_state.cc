#include "kv/multiraft/range_state.h"

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/storage/data_key.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

using storage::AppendVarint;
using storage::ColumnFamily;
using storage::TakeVarint;

constexpr char kFormat = 1;

void AppendIds(std::string* out, const std::vector<raft::NodeId>& ids) {
  AppendVarint(out, ids.size());
  for (raft::NodeId id : ids) AppendVarint(out, id);
}

bool TakeIds(std::string_view* in, std::vector<raft::NodeId>* ids) {
  uint64_t count;
  if (!TakeVarint(in, &count) || count > in->size()) return false;
  ids->clear();
  for (uint64_t id; count > 0; --count) {
    if (!TakeVarint(in, &id)) return false;
    ids->push_back(id);
  }
  return true;
}

}  // namespace

std::string EncodeRangeState(const RangeState& state) {
  std::string out(1, kFormat);
  AppendVarint(&out, state.applied_index);
  AppendVarint(&out, state.applied_term);
  AppendVarint(&out, state.lease_index);
  AppendVarint(&out, state.lease_floor.bits);
  for (const auto* ids : {&state.conf.voters, &state.conf.learners, &state.conf.voters_outgoing, &state.conf.learners_next}) AppendIds(&out, *ids);
  out.push_back(state.conf.auto_leave ? 1 : 0);
  mvcc::AppendStats(&out, state.stats);
  return out;
}

absl::Status DecodeRangeState(std::string_view bytes, RangeState* state) {
  *state = RangeState();
  if (bytes.empty()) return absl::DataLossError("applied state of a range is damaged");
  if (bytes[0] != kFormat) return absl::UnimplementedError(StrCat("applied state of format ", static_cast<int>(bytes[0]), "; this program knows ", static_cast<int>(kFormat)));
  bytes.remove_prefix(1);
  bool ok = TakeVarint(&bytes, &state->applied_index) && TakeVarint(&bytes, &state->applied_term) && TakeVarint(&bytes, &state->lease_index) &&
            TakeVarint(&bytes, &state->lease_floor.bits);
  for (auto* ids : {&state->conf.voters, &state->conf.learners, &state->conf.voters_outgoing, &state->conf.learners_next}) ok = ok && TakeIds(&bytes, ids);
  if (ok && !bytes.empty()) {
    state->conf.auto_leave = bytes[0] != 0;
    bytes.remove_prefix(1);
    ok = mvcc::TakeStats(&bytes, &state->stats);
  } else {
    ok = false;
  }
  return ok ? absl::OkStatus() : absl::DataLossError("applied state of a range is damaged");
}

absl::StatusOr<std::optional<LoadedRange>> LoadRange(storage::Reader& reader, RangeId range) {
  LoadedRange out;
  std::string bytes;
  ASSIGN_OR_RETURN(bool has_state, reader.Get(ColumnFamily::kRange, keys::RangeIdKey(range, keys::RangeField::kAppliedState), &bytes));
  if (!has_state) return std::optional<LoadedRange>();
  RETURN_IF_ERROR(DecodeRangeState(bytes, &out.state));
  ASSIGN_OR_RETURN(bool has_descriptor, reader.Get(ColumnFamily::kRange, keys::RangeIdKey(range, keys::RangeField::kDescriptor), &bytes));
  if (!has_descriptor || !out.descriptor.ParseFromString(bytes) || out.descriptor.range_id() != range) {
    return absl::DataLossError(StrCat("descriptor of range ", range, " is missing or damaged"));
  }
  if (out.descriptor.version() > kDescriptorVersion) {
    return absl::FailedPreconditionError(StrCat("descriptor of range ", range, " has format ", out.descriptor.version(), "; this program knows ", kDescriptorVersion));
  }
  return std::optional<LoadedRange>(std::move(out));
}

void PutRangeState(storage::WriteBatch* batch, RangeId range, const RangeState& state) {
  batch->Put(ColumnFamily::kRange, keys::RangeIdKey(range, keys::RangeField::kAppliedState), EncodeRangeState(state));
}

void PutDescriptor(storage::WriteBatch* batch, const v1::RangeDescriptor& descriptor) {
  batch->Put(ColumnFamily::kRange, keys::RangeIdKey(descriptor.range_id(), keys::RangeField::kDescriptor), descriptor.SerializeAsString());
}

RowSpan RowsOfId(RangeId range) {
  const std::string prefix = keys::RangeIdPrefix(range);
  return {.cf = ColumnFamily::kRange, .start = prefix, .end = PrefixEnd(prefix)};
}

std::vector<RowSpan> RowsOfKeys(std::string_view start, std::string_view end) {
  // Above every key: keyspaces begin with 0xFE.
  const std::string last = end.empty() ? std::string("\xff") : std::string(end);
  return {{ColumnFamily::kRange, keys::AnchorSpanStart(start), keys::AnchorSpanEnd(end)},
          {ColumnFamily::kLock, std::string(start), last},
          {ColumnFamily::kData, storage::DataKeyBound(start), storage::DataKeyBound(last)}};
}

std::vector<RowSpan> RowSpansOf(const v1::RangeDescriptor& descriptor) {
  std::vector<RowSpan> spans = RowsOfKeys(descriptor.start_key(), descriptor.end_key());
  spans.insert(spans.begin(), RowsOfId(descriptor.range_id()));
  return spans;
}

void ClearSpan(storage::WriteBatch* batch, std::string_view start, std::string_view end) {
  for (const RowSpan& span : RowsOfKeys(start, end)) batch->DeleteRange(span.cf, span.start, span.end);
}

bool HasEnded(const v1::RangeDescriptor& range, const v1::RangeDescriptor& newer) {
  return range.range_id() != newer.range_id() && range.generation() < newer.generation() && keys::InBounds(newer.start_key(), newer.end_key(), range.start_key());
}

raft::ConfState ConfStateOf(const v1::RangeDescriptor& descriptor) {
  raft::ConfState conf;
  bool joint = false;
  for (const auto& r : descriptor.replicas()) joint = joint || r.incoming() || r.outgoing();
  for (const auto& r : descriptor.replicas()) {
    const raft::NodeId id = r.replica_id();
    if (r.outgoing()) {
      conf.voters_outgoing.push_back(id);
      if (r.learner()) conf.learners_next.push_back(id);
    } else if (r.learner()) {
      conf.learners.push_back(id);
    } else {
      conf.voters.push_back(id);
      if (joint && !r.incoming()) conf.voters_outgoing.push_back(id);
    }
  }
  return conf;
}

const v1::ReplicaDescriptor* ReplicaOfId(const v1::RangeDescriptor& descriptor, ReplicaId id) {
  for (const auto& r : descriptor.replicas()) {
    if (r.replica_id() == id) return &r;
  }
  return nullptr;
}

const v1::ReplicaDescriptor* ReplicaOn(const v1::RangeDescriptor& descriptor, StoreId store) {
  for (const auto& r : descriptor.replicas()) {
    if (r.store_id() == store) return &r;
  }
  return nullptr;
}

}  // namespace insula::kv
