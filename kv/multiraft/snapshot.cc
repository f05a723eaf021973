#include "kv/multiraft/snapshot.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_convert.h"
#include "kv/multiraft/range_state.h"
#include "kv/storage/crc32c.h"
#include "kv/storage/data_key.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

using storage::ColumnFamily;

constexpr size_t kChunkBytes = 256 << 10;
constexpr Duration kSendTimeout = std::chrono::seconds(120);

bool RowBelongs(const std::vector<RowSpan>& spans, ColumnFamily cf, std::string_view key) {
  for (const RowSpan& span : spans) {
    if (span.cf != cf) continue;
    bool inside = cf == ColumnFamily::kData ? key.size() >= storage::kDataKeySuffix && storage::CompareDataKeys(key, span.start) >= 0 && storage::CompareDataKeys(key, span.end) < 0
                                            : key >= span.start && key < span.end;
    if (inside) return true;
  }
  return false;
}

}  // namespace

SnapshotTransfer::SnapshotTransfer(MultiRaft* host, Transport* transport, StoreId self, StoreResolver resolver, PeerCheck check)
    : host_(host), transport_(transport), self_(self), resolver_(std::move(resolver)), check_(std::move(check)), alive_(std::make_shared<SnapshotTransfer*>(this)) {
  transport->Handle(kMethod, [weak = std::weak_ptr<SnapshotTransfer*>(alive_)](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    auto alive = weak.lock();
    if (alive == nullptr || !(*alive)->serving_) co_return absl::UnavailableError("the store is not serving");
    SnapshotTransfer* self = *alive;
    alive.reset();
    co_return co_await self->Serve(std::move(ctx), std::move(stream));
  });
}
SnapshotTransfer::~SnapshotTransfer() = default;

// ------------------------------------------------------------------------------------------------------------------ sending

Task<void> SnapshotTransfer::Send(std::shared_ptr<RaftGroup> group, raft::Message message) {
  const Context& ctx = host_->ctx();
  if (!(co_await sending_.Acquire(ctx)).ok()) co_return;
  Duration limit = kSendTimeout;
  if (const uint64_t rate = host_->options().snapshot_bytes_per_second; rate > 0 && group->initialized()) {
    limit += std::chrono::seconds(2 * static_cast<uint64_t>(std::max<int64_t>(0, group->stats().total_bytes)) / rate);
  }
  Context limited = ctx.WithTimeout(limit);
  absl::Status s = co_await TrySend(limited, group.get(), message);
  sending_.Release();
  if (ctx.done()) co_return;
  if (s.ok()) {
    ++sent_;
    host_->metrics().snapshots_sent += 1;
    LOG_INFO("snapshot sent", {"range", group->range_id()}, {"replica", message.to});
  } else {
    host_->metrics().snapshots_failed += 1;
    LOG_INFO("snapshot not sent", {"range", group->range_id()}, {"replica", message.to}, {"why", s.ToString()});
  }
  group->ReportSnapshot(message.to, s.ok());
}

Task<absl::Status> SnapshotTransfer::TrySend(const Context& ctx, RaftGroup* group, const raft::Message& message) {
  std::optional<StoreId> store = group->StoreOf(message.to);
  if (!store.has_value()) co_return absl::NotFoundError("the replica's store is not known");
  std::optional<std::string> address = resolver_(*store);
  if (!address.has_value()) co_return absl::UnavailableError(StrCat("the address of store ", *store, " is not known"));
  auto reader = host_->engine().NewSnapshot();
  CO_ASSIGN_OR_RETURN(std::optional<LoadedRange> loaded, LoadRange(*reader, group->range_id()));
  if (!loaded.has_value()) co_return absl::InternalError("the range is not in the engine");
  // What is sent is the engine's state of now.
  raft::Message actual = message;
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->metadata = {.conf_state = loaded->state.conf, .index = loaded->state.applied_index, .term = loaded->state.applied_term};
  actual.snapshot = std::move(snapshot);
  v1::SnapshotChunk chunk;
  v1::SnapshotHeader* header = chunk.mutable_header();
  header->set_version(kVersion);
  header->set_id(StrCat(self_, "-", group->range_id(), "-", loaded->state.applied_index));
  v1::RaftEnvelope* envelope = header->mutable_envelope();
  envelope->set_range_id(group->range_id());
  envelope->set_from_store(self_);
  envelope->set_to_store(*store);
  ToProto(actual, envelope->mutable_message());
  *envelope->mutable_range() = loaded->descriptor;
  *header->mutable_range() = loaded->descriptor;
  header->set_total_bytes(static_cast<uint64_t>(std::max<int64_t>(0, loaded->state.stats.total_bytes)));
  header->set_range_state(EncodeRangeState(loaded->state));
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, *address, kMethod));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, chunk.SerializeAsString()));
  absl::Status sent = co_await SendRows(ctx, reader.get(), loaded->descriptor, stream.get());
  if (sent.ok()) sent = co_await stream->CloseSend(ctx);
  // The receiver may have ended it, and says why.
  CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
  CO_RETURN_IF_ERROR(sent);
  v1::SnapshotReply reply;
  if (!bytes.has_value() || !reply.ParseFromString(*bytes)) co_return absl::InternalError("the receiver's answer does not parse");
  if (!reply.accepted()) co_return absl::UnavailableError(StrCat("refused: ", reply.message()));
  co_return absl::OkStatus();
}

// Waits until `bytes` may go out.
Task<absl::Status> SnapshotTransfer::KeepToRate(const Context& ctx, size_t bytes) {
  const uint64_t rate = host_->options().snapshot_bytes_per_second;
  if (rate == 0) co_return co_await ctx.Yield();
  const MonoTime now = ctx.executor().Now();
  const MonoTime mine = std::max(now, next_send_);
  next_send_ = mine + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(rate)));
  if (mine <= now) co_return co_await ctx.Yield();
  co_return co_await Sleep(ctx, mine - now);
}

Task<absl::Status> SnapshotTransfer::SendRows(const Context& ctx, storage::Reader* reader, const v1::RangeDescriptor& descriptor, MessageStream* stream) {
  v1::SnapshotChunk chunk;
  std::string* rows = chunk.mutable_rows();
  for (const RowSpan& span : RowSpansOf(descriptor)) {
    auto it = reader->NewIterator({.cf = span.cf, .lower = span.start, .upper = span.end});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      rows->push_back(static_cast<char>(span.cf));
      storage::AppendString(rows, it->key());
      storage::AppendString(rows, it->value());
      if (rows->size() < kChunkBytes) continue;
      host_->metrics().snapshot_bytes_sent += rows->size();
      chunk.set_crc32c(storage::Crc32c(*rows));
      CO_RETURN_IF_ERROR(co_await KeepToRate(ctx, rows->size()));
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, chunk.SerializeAsString()));
      rows->clear();
    }
    CO_RETURN_IF_ERROR(it->status());
  }
  if (!rows->empty()) {
    host_->metrics().snapshot_bytes_sent += rows->size();
    chunk.set_crc32c(storage::Crc32c(*rows));
    CO_RETURN_IF_ERROR(co_await KeepToRate(ctx, rows->size()));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, chunk.SerializeAsString()));
  }
  v1::SnapshotChunk done;
  done.set_done(true);
  co_return co_await stream->Send(ctx, done.SerializeAsString());
}

// ---------------------------------------------------------------------------------------------------------------- receiving

Task<absl::StatusOr<std::shared_ptr<StagedSnapshot>>> SnapshotTransfer::ReceiveRows(const Context& ctx, const v1::SnapshotHeader& header, MessageStream* stream) {
  auto staged = std::make_shared<StagedSnapshot>();
  staged->descriptor = header.range();
  CO_RETURN_IF_ERROR(DecodeRangeState(header.range_state(), &staged->state));
  std::vector<RowSpan> spans = RowSpansOf(staged->descriptor);
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
    v1::SnapshotChunk chunk;
    if (!bytes.has_value() || !chunk.ParseFromString(*bytes)) co_return absl::InvalidArgumentError("the snapshot broke off or does not parse");
    if (chunk.value_case() == v1::SnapshotChunk::kDone) co_return staged;
    if (chunk.value_case() != v1::SnapshotChunk::kRows) co_return absl::InvalidArgumentError("the snapshot has a chunk of an unknown kind");
    if (storage::Crc32c(chunk.rows()) != chunk.crc32c()) co_return absl::DataLossError("rows of the snapshot were damaged on the way");
    host_->metrics().snapshot_bytes_received += chunk.rows().size();
    std::string_view rest(chunk.rows());
    while (!rest.empty()) {
      uint8_t cf = static_cast<uint8_t>(rest[0]);
      rest.remove_prefix(1);
      std::string_view key, value;
      if (cf >= storage::kColumnFamilies || !storage::TakeString(&rest, &key) || !storage::TakeString(&rest, &value)) co_return absl::InvalidArgumentError("rows of the snapshot do not parse");
      if (!RowBelongs(spans, static_cast<ColumnFamily>(cf), key)) co_return absl::InvalidArgumentError("the snapshot holds a row that is not of its range");
      staged->rows.Put(static_cast<ColumnFamily>(cf), key, value);
    }
    if (staged->rows.byte_size() > kMaxBytes) co_return absl::ResourceExhaustedError("the snapshot is too large");
  }
}

Task<absl::Status> SnapshotTransfer::Serve(Context ctx, std::unique_ptr<MessageStream> stream) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  auto gone = [&] { return alive.expired() || !serving_; };
  CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
  if (gone()) co_return absl::UnavailableError("the store is stopped");
  v1::SnapshotChunk first;
  if (!bytes.has_value() || !first.ParseFromString(*bytes) || !first.has_header()) co_return absl::InvalidArgumentError("a snapshot begins with its header");
  v1::SnapshotHeader header = std::move(*first.mutable_header());
  if (header.version() != kVersion) co_return absl::InvalidArgumentError(StrCat("snapshot of version ", header.version(), "; this store knows ", kVersion));
  if (header.range().version() != kDescriptorVersion) co_return absl::InvalidArgumentError("the snapshot's descriptor has an unknown version");
  CO_RETURN_IF_ERROR(check_(stream->peer(), header.envelope().from_store()));
  raft::Message message;
  CO_RETURN_IF_ERROR(FromProto(std::move(*header.mutable_envelope()->mutable_message()), &message));
  if (message.type != raft::MessageType::kSnap || message.snapshot == nullptr || header.range().range_id() != header.envelope().range_id()) co_return absl::InvalidArgumentError("not a snapshot message");
  v1::SnapshotReply reply;
  absl::Status result;
  CO_RETURN_IF_ERROR(co_await receiving_.Acquire(ctx));
  if (gone()) co_return absl::UnavailableError("the store is stopped");
  // Before the bytes come: may it be here at all?
  result = host_->lifecycle().MayHold(header.range());
  if (result.ok()) {
    absl::StatusOr<std::shared_ptr<StagedSnapshot>> staged = co_await ReceiveRows(ctx, header, stream.get());
    if (gone()) co_return absl::UnavailableError("the store is stopped");
    result = staged.status();
    if (result.ok()) result = host_->lifecycle().MayHold(header.range());
    v1::RaftEnvelope envelope = header.envelope();
    envelope.mutable_message()->set_to(message.to);
    std::shared_ptr<RaftGroup> group = result.ok() ? host_->FindOrCreate(envelope) : nullptr;
    if (result.ok() && (group == nullptr || group->replica_id() != message.to)) result = absl::NotFoundError("the replica is not on this store");
    if (result.ok() && (*staged)->state.applied_index != message.snapshot->metadata.index) result = absl::InvalidArgumentError("the snapshot's message and state disagree");
    if (result.ok()) {
      group->OfferSnapshot(*staged, std::move(message), header.envelope().from_store());
      result = co_await (*staged)->done.Wait(ctx);
      if (gone()) co_return absl::UnavailableError("the store is stopped");
      if (result.ok()) result = (*staged)->result;
      reply.set_applied(result.ok() && (*staged)->taken);
    }
  }
  receiving_.Release();
  reply.set_accepted(result.ok());
  reply.set_message(std::string(Sv(result.message())));
  co_return co_await stream->Send(ctx, reply.SerializeAsString());
}

}  // namespace insula::kv
