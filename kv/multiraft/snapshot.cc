#include "kv/multiraft/snapshot.h"

#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_convert.h"
#include "kv/multiraft/range_state.h"
#include "kv/storage/crc32c.h"

namespace insula::kv {
namespace {

constexpr Duration kSendTimeout = std::chrono::seconds(120);
constexpr int kMaxBroken = 3;  // streams in a row that brought nothing
constexpr Duration kPauseAfterBreak = std::chrono::milliseconds(500);
constexpr Duration kKeepPartial = std::chrono::minutes(1);

absl::StatusOr<v1::SnapshotReply> ParseReply(const std::optional<std::string>& bytes) {
  v1::SnapshotReply reply;
  if (!bytes.has_value() || !reply.ParseFromString(*bytes)) return absl::InternalError("the receiver's answer does not parse");
  if (!reply.go() && !reply.accepted()) return absl::FailedPreconditionError(StrCat("refused: ", reply.message()));
  return reply;
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
  if (const uint64_t rate = host_->options().snapshots.bytes_per_second; rate > 0 && group->initialized()) {
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

absl::StatusOr<std::unique_ptr<SnapshotTransfer::Outgoing>> SnapshotTransfer::Take(RaftGroup* group, const raft::Message& message) {
  std::optional<StoreId> store = group->StoreOf(message.to);
  if (!store.has_value()) return absl::NotFoundError("the replica's store is not known");
  auto reader = host_->engine().NewSnapshot();
  ASSIGN_OR_RETURN(std::optional<LoadedRange> loaded, LoadRange(*reader, group->range_id()));
  if (!loaded.has_value()) return absl::InternalError("the range is not in the engine");
  // What is sent is the engine's state of now.
  raft::Message actual = message;
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->metadata = {.conf_state = loaded->state.conf, .index = loaded->state.applied_index, .term = loaded->state.applied_term};
  actual.snapshot = std::move(snapshot);
  v1::SnapshotHeader header;
  header.set_version(kVersion);
  header.set_id(StrCat(self_, "-", group->range_id(), "-", message.to, "-", ++taken_, "-", loaded->state.applied_index));
  v1::RaftEnvelope* envelope = header.mutable_envelope();
  envelope->set_range_id(group->range_id());
  envelope->set_from_store(self_);
  envelope->set_to_store(*store);
  ToProto(actual, envelope->mutable_message());
  *envelope->mutable_range() = loaded->descriptor;
  *header.mutable_range() = loaded->descriptor;
  header.set_total_bytes(static_cast<uint64_t>(std::max<int64_t>(0, loaded->state.stats.total_bytes)));
  header.set_range_state(EncodeRangeState(loaded->state));
  return std::make_unique<Outgoing>(*store, std::move(header), SnapshotRows(std::move(reader), loaded->descriptor, host_->options().snapshots.chunk_bytes));
}

Task<absl::Status> SnapshotTransfer::TrySend(const Context& ctx, RaftGroup* group, const raft::Message& message) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<Outgoing> out, Take(group, message));
  for (int broken = 0;;) {
    const uint64_t before = out->rows.next_chunk();
    absl::Status s = co_await Stream(ctx, out.get());
    if (!absl::IsUnavailable(s) || ctx.done()) co_return s;
    broken = out->rows.next_chunk() > before ? 1 : broken + 1;
    if (broken >= kMaxBroken) co_return s;
    LOG_INFO("a snapshot's stream broke", {"range", group->range_id()}, {"replica", message.to}, {"chunks", out->rows.next_chunk()}, {"why", s.ToString()});
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, kPauseAfterBreak));
  }
}

Task<absl::Status> SnapshotTransfer::Stream(const Context& ctx, Outgoing* out) {
  std::optional<std::string> address = resolver_(out->store);
  if (!address.has_value()) co_return absl::UnavailableError(StrCat("the address of store ", out->store, " is not known"));
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, *address, kMethod));
  v1::SnapshotChunk first;
  *first.mutable_header() = out->header;
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, first.SerializeAsString()));
  CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
  CO_ASSIGN_OR_RETURN(v1::SnapshotReply reply, ParseReply(bytes));
  if (reply.go()) {
    if (reply.have_chunks() > 0) {
      PROBE("a snapshot was gone on with over another stream");
      host_->metrics().snapshots_resumed += 1;
    }
    CO_RETURN_IF_ERROR(out->rows.Rewind(reply.have_chunks()));
    absl::Status sent = co_await SendRows(ctx, &out->rows, stream.get());
    if (sent.ok()) sent = co_await stream->CloseSend(ctx);
    // The receiver may have ended it, and says why.
    CO_ASSIGN_OR_RETURN(bytes, co_await stream->Receive(ctx));
    CO_RETURN_IF_ERROR(sent);
    CO_RETURN_IF_ERROR(ParseReply(bytes).status());
  }
  co_return absl::OkStatus();
}

// Waits until `bytes` may go out.
Task<absl::Status> SnapshotTransfer::KeepToRate(const Context& ctx, size_t bytes) {
  const uint64_t rate = host_->options().snapshots.bytes_per_second;
  if (rate == 0) co_return co_await ctx.Yield();
  const MonoTime now = ctx.executor().Now();
  const MonoTime mine = std::max(now, next_send_);
  next_send_ = mine + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(rate)));
  if (mine <= now) co_return co_await ctx.Yield();
  co_return co_await Sleep(ctx, mine - now);
}

Task<absl::Status> SnapshotTransfer::SendRows(const Context& ctx, SnapshotRows* rows, MessageStream* stream) {
  v1::SnapshotChunk chunk;
  for (;;) {
    chunk.set_number(rows->next_chunk());
    CO_ASSIGN_OR_RETURN(bool more, rows->Next(chunk.mutable_rows()));
    if (!more) break;
    const size_t bytes = chunk.rows().size();
    host_->metrics().snapshot_bytes_sent += bytes;
    chunk.set_crc32c(storage::Crc32c(chunk.rows()));
    CO_RETURN_IF_ERROR(co_await KeepToRate(ctx, bytes));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, chunk.SerializeAsString()));
  }
  v1::SnapshotChunk done;
  done.set_done(true);
  co_return co_await stream->Send(ctx, done.SerializeAsString());
}

// ---------------------------------------------------------------------------------------------------------------- receiving

std::shared_ptr<StagedSnapshot> SnapshotTransfer::TakePartial(const v1::SnapshotHeader& header) {
  auto it = partial_.find(header.envelope().from_store());
  if (it == partial_.end()) return nullptr;
  std::shared_ptr<StagedSnapshot> staged = it->second.id == header.id() ? std::move(it->second.staged) : nullptr;
  partial_.erase(it);  // whoever sends another one has given this one up
  return staged;
}

void SnapshotTransfer::KeepPartial(const v1::SnapshotHeader& header, std::shared_ptr<StagedSnapshot> staged) {
  const StoreId from = header.envelope().from_store();
  partial_[from] = {.id = header.id(), .staged = std::move(staged), .number = ++partials_};
  host_->Spawn(Forget(from, partials_));
}

Task<void> SnapshotTransfer::Forget(StoreId from, uint64_t number) {
  if (!(co_await Sleep(host_->ctx(), kKeepPartial)).ok()) co_return;
  auto it = partial_.find(from);
  if (it != partial_.end() && it->second.number == number) partial_.erase(it);
}

// `*of_use`: what is staged may be gone on with.
Task<absl::Status> SnapshotTransfer::ReceiveRows(const Context& ctx, StagedSnapshot* staged, MessageStream* stream, bool* of_use) {
  for (;;) {
    *of_use = true;
    CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
    v1::SnapshotChunk chunk;
    if (!bytes.has_value() || !chunk.ParseFromString(*bytes)) co_return absl::InvalidArgumentError("the snapshot broke off or does not parse");
    if (chunk.value_case() == v1::SnapshotChunk::kRows && storage::Crc32c(chunk.rows()) != chunk.crc32c()) {
      co_return absl::DataLossError("rows of the snapshot were damaged on the way");
    }
    *of_use = false;
    if (chunk.value_case() == v1::SnapshotChunk::kDone) co_return co_await staged->rows.Finish(ctx);
    if (chunk.value_case() != v1::SnapshotChunk::kRows || chunk.number() != staged->rows.chunks()) co_return absl::InvalidArgumentError("the snapshot has a chunk of an unknown kind, or out of order");
    host_->metrics().snapshot_bytes_received += chunk.rows().size();
    CO_RETURN_IF_ERROR(co_await staged->rows.Add(ctx, std::move(*chunk.mutable_rows())));
    if (staged->rows.bytes() > kMaxBytes) co_return absl::ResourceExhaustedError("the snapshot is too large");
  }
}

absl::StatusOr<v1::SnapshotHeader> SnapshotTransfer::CheckHeader(const std::string& bytes, const PeerIdentity& peer, raft::Message* message) {
  v1::SnapshotChunk first;
  if (!first.ParseFromString(bytes) || !first.has_header()) return absl::InvalidArgumentError("a snapshot begins with its header");
  v1::SnapshotHeader header = std::move(*first.mutable_header());
  if (header.version() != kVersion) return absl::InvalidArgumentError(StrCat("snapshot of version ", header.version(), "; this store knows ", kVersion));
  if (header.range().version() != kDescriptorVersion) return absl::InvalidArgumentError("the snapshot's descriptor has an unknown version");
  RETURN_IF_ERROR(check_(peer, header.envelope().from_store()));
  RETURN_IF_ERROR(FromProto(std::move(*header.mutable_envelope()->mutable_message()), message));
  if (message->type != raft::MessageType::kSnap || message->snapshot == nullptr || header.range().range_id() != header.envelope().range_id()) {
    return absl::InvalidArgumentError("not a snapshot message");
  }
  return header;
}

Task<absl::Status> SnapshotTransfer::Serve(Context ctx, std::unique_ptr<MessageStream> stream) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  auto gone = [&] { return alive.expired() || !serving_; };
  CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(ctx));
  if (gone()) co_return absl::UnavailableError("the store is stopped");
  raft::Message message;
  CO_ASSIGN_OR_RETURN(v1::SnapshotHeader header, CheckHeader(bytes.value_or(""), stream->peer(), &message));
  CO_RETURN_IF_ERROR(co_await receiving_.Acquire(ctx));
  if (gone()) co_return absl::UnavailableError("the store is stopped");
  v1::SnapshotReply reply;
  absl::Status result = co_await Receive(ctx, std::move(header), std::move(message), stream.get(), &reply);
  if (gone()) co_return absl::UnavailableError("the store is stopped");
  receiving_.Release();
  reply.set_accepted(result.ok());
  reply.set_message(std::string(Sv(result.message())));
  co_return co_await stream->Send(ctx, reply.SerializeAsString());
}

Task<absl::Status> SnapshotTransfer::Receive(Context ctx, v1::SnapshotHeader header, raft::Message message, MessageStream* stream, v1::SnapshotReply* reply) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  auto gone = [&] { return alive.expired() || !serving_; };
  const absl::Status stopped = absl::UnavailableError("the store is stopped");
  // Before the bytes come: may it be here at all?
  CO_RETURN_IF_ERROR(host_->lifecycle().MayHold(header.range()));
  std::shared_ptr<StagedSnapshot> staged = TakePartial(header);
  if (staged == nullptr) {
    staged = std::make_shared<StagedSnapshot>(header.range(), StagedRows(&host_->engine(), header.range(), host_->options().snapshots.bytes_in_memory));
    CO_RETURN_IF_ERROR(DecodeRangeState(header.range_state(), &staged->state));
  }
  v1::SnapshotReply go;
  go.set_go(true);
  go.set_have_chunks(staged->rows.chunks());
  bool of_use = true;
  absl::Status received = co_await stream->Send(ctx, go.SerializeAsString());
  if (received.ok()) received = co_await ReceiveRows(ctx, staged.get(), stream, &of_use);
  if (gone()) co_return stopped;
  if (!received.ok()) {
    if (of_use && staged->rows.chunks() > 0) KeepPartial(header, std::move(staged));
    co_return received;
  }
  CO_RETURN_IF_ERROR(host_->lifecycle().MayHold(header.range()));
  v1::RaftEnvelope envelope = header.envelope();
  envelope.mutable_message()->set_to(message.to);
  std::shared_ptr<RaftGroup> group = host_->FindOrCreate(envelope);
  if (group == nullptr || group->replica_id() != message.to) co_return absl::NotFoundError("the replica is not on this store");
  if (staged->state.applied_index != message.snapshot->metadata.index) co_return absl::InvalidArgumentError("the snapshot's message and state disagree");
  if (staged->rows.in_files()) PROBE("a snapshot was staged in files");
  group->OfferSnapshot(staged, std::move(message), header.envelope().from_store());
  // However long whoever sent it waits: no two are installed at once.
  CO_RETURN_IF_ERROR(co_await staged->done.Wait(host_->ctx()));
  if (gone()) co_return stopped;
  CO_RETURN_IF_ERROR(staged->result);
  reply->set_applied(staged->taken);
  co_return absl::OkStatus();
}

}  // namespace insula::kv
