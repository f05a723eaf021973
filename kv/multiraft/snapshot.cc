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
const absl::Status& Stopped() {
  static const absl::Status stopped = absl::UnavailableError("the store is stopped");
  return stopped;
}

absl::StatusOr<v1::SnapshotReply> ParseReply(const std::optional<std::string>& bytes) {
  v1::SnapshotReply reply;
  if (!bytes.has_value() || !reply.ParseFromString(*bytes)) return absl::InternalError("the receiver's answer does not parse");
  if (!reply.go() && !reply.accepted()) return absl::FailedPreconditionError(StrCat("refused: ", reply.message()));
  return reply;
}

}  // namespace

Task<absl::Status> SnapshotRate::Wait(const Context& ctx, uint64_t per_second, size_t bytes) {
  if (per_second == 0) co_return co_await ctx.Yield();
  const MonoTime now = ctx.executor().Now();
  const MonoTime mine = std::max(now, next_);
  next_ = mine + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(per_second)));
  if (mine <= now) co_return co_await ctx.Yield();
  co_return co_await Sleep(ctx, mine - now);
}

SnapshotTransfer::SnapshotTransfer(MultiRaft* host, Transport* transport, StoreId self, StoreResolver resolver, PeerCheck check)
    : host_(host),
      transport_(transport),
      self_(self),
      resolver_(std::move(resolver)),
      check_(std::move(check)),
      receiving_(std::max<size_t>(1, host->options().snapshots.taken_at_once)),
      alive_(std::make_shared<SnapshotTransfer*>(this)) {
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
  const SnapshotOptions& options = host_->options().snapshots;
  if (options.bytes_per_second > 0 && group->initialized()) {  // which all that come with it share
    limit += std::chrono::seconds(2 * options.taken_at_once * static_cast<uint64_t>(std::max<int64_t>(0, group->stats().total_bytes)) / options.bytes_per_second);
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
  host_->EndRest(group->range_id());
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
    if (absl::IsDataLoss(out->unreadable)) {
      PROBE("a replica stopped as it could not read what it was to send");
      group->StopDamaged(absl::DataLossError(StrCat("range ", group->range_id(), ": its rows cannot be read: ", Sv(out->unreadable.message()))));
      co_return s;
    }
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
    absl::Status sent = co_await SendRows(ctx, out, stream.get());
    if (!out->unreadable.ok()) co_return out->unreadable;  // the receiver waits for more, and finds the stream closed
    if (sent.ok()) sent = co_await stream->CloseSend(ctx);
    // The receiver may have ended it, and says why.
    CO_ASSIGN_OR_RETURN(bytes, co_await stream->Receive(ctx));
    CO_RETURN_IF_ERROR(sent);
    CO_RETURN_IF_ERROR(ParseReply(bytes).status());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> SnapshotTransfer::SendRows(const Context& ctx, Outgoing* out, MessageStream* stream) {
  v1::SnapshotChunk chunk;
  for (;;) {
    chunk.set_number(out->rows.next_chunk());
    absl::StatusOr<bool> more = out->rows.Next(chunk.mutable_rows());
    if (!more.ok()) co_return out->unreadable = more.status();
    if (!*more) break;
    const size_t bytes = chunk.rows().size();
    host_->metrics().snapshot_bytes_sent += bytes;
    chunk.set_crc32c(storage::Crc32c(chunk.rows()));
    CO_RETURN_IF_ERROR(co_await send_rate_.Wait(ctx, host_->options().snapshots.bytes_per_second, bytes));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, chunk.SerializeAsString()));
  }
  v1::SnapshotChunk done;
  done.set_done(true);
  co_return co_await stream->Send(ctx, done.SerializeAsString());
}

// ---------------------------------------------------------------------------------------------------------------- receiving

std::shared_ptr<StagedSnapshot> SnapshotTransfer::TakePartial(const v1::SnapshotHeader& header) {
  auto it = partial_.find(SourceOf(header));
  if (it == partial_.end()) return nullptr;
  std::shared_ptr<StagedSnapshot> staged = it->second.id == header.id() ? std::move(it->second.staged) : nullptr;
  partial_.erase(it);  // whoever sends another one has given this one up
  return staged;
}

void SnapshotTransfer::KeepPartial(const v1::SnapshotHeader& header, std::shared_ptr<StagedSnapshot> staged) {
  if (staged == nullptr || staged->rows.chunks() == 0) return;
  const Source source = SourceOf(header);
  // A sender is at a few of them, so what it has more of it has given up.
  size_t of_sender = 0;
  auto oldest = partial_.end();
  for (auto it = partial_.lower_bound({source.first, 0}); it != partial_.end() && it->first.first == source.first; ++it) {
    ++of_sender;
    if (oldest == partial_.end() || it->second.number < oldest->second.number) oldest = it;
  }
  if (of_sender >= kSentAtOnce && !partial_.contains(source)) partial_.erase(oldest);
  partial_[source] = {.id = header.id(), .staged = std::move(staged), .number = ++partials_};
  host_->Spawn(Forget(source, partials_));
}

Task<void> SnapshotTransfer::Forget(Source source, uint64_t number) {
  if (!(co_await Sleep(host_->ctx(), kKeepPartial)).ok()) co_return;
  auto it = partial_.find(source);
  if (it != partial_.end() && it->second.number == number) partial_.erase(it);
}

MonoTime SnapshotTransfer::EndTurns() {
  const Duration turn = std::max<Duration>(host_->options().snapshots.turn, std::chrono::milliseconds(1));
  const MonoTime now = host_->runtime().executor->Now();
  MonoTime next = now + turn;
  size_t wanted = waiting_;
  for (const std::shared_ptr<Incoming>& in : incoming_) {
    if (!in->has_turn) continue;
    if (now - in->since < turn) {
      next = std::min(next, in->since + turn);
    } else if (wanted > 0) {
      PROBE("a snapshot that came made room for others");
      LOG_INFO("a snapshot that comes makes room for others", {"range", in->header.envelope().range_id()}, {"from", in->header.envelope().from_store()});
      in->has_turn = false;
      in->made_room = true;
      --wanted;
      in->waits.Cancel(absl::UnavailableError("others wait: to be gone on with later"));
    }
  }
  return next;
}

Task<void> SnapshotTransfer::EndTurnsWhileWaiting() {
  while (waiting_ > 0) {
    if (!(co_await Sleep(host_->ctx(), EndTurns() - host_->runtime().executor->Now())).ok()) co_return;
  }
  ending_turns_ = false;
}

// `*of_use`: what is staged may be gone on with.
Task<absl::Status> SnapshotTransfer::ReceiveRows(const Context& ctx, Incoming* in, MessageStream* stream, bool* of_use) {
  StagedRows& rows = in->staged->rows;
  for (;;) {
    *of_use = true;
    CO_RETURN_IF_ERROR(in->waits.status());
    CO_ASSIGN_OR_RETURN(std::optional<std::string> bytes, co_await stream->Receive(in->waits));
    v1::SnapshotChunk chunk;
    if (!bytes.has_value() || !chunk.ParseFromString(*bytes)) co_return absl::InvalidArgumentError("the snapshot broke off or does not parse");
    if (chunk.value_case() == v1::SnapshotChunk::kRows && storage::Crc32c(chunk.rows()) != chunk.crc32c()) {
      co_return absl::DataLossError("rows of the snapshot were damaged on the way");
    }
    *of_use = false;
    if (chunk.value_case() == v1::SnapshotChunk::kDone) co_return co_await rows.Finish(ctx);
    if (chunk.value_case() != v1::SnapshotChunk::kRows || chunk.number() != rows.chunks()) {
      co_return absl::InvalidArgumentError("the snapshot has a chunk of an unknown kind, or out of order");
    }
    const size_t size = chunk.rows().size();
    host_->metrics().snapshot_bytes_received += size;
    CO_RETURN_IF_ERROR(co_await rows.Add(ctx, std::move(*chunk.mutable_rows())));
    if (rows.bytes() > kMaxBytes) co_return absl::ResourceExhaustedError("the snapshot is too large");
    *of_use = true;
    CO_RETURN_IF_ERROR(co_await take_rate_.Wait(in->waits, host_->options().snapshots.bytes_per_second, size));
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
  if (gone()) co_return Stopped();
  auto in = std::make_shared<Incoming>(Incoming{.header = {}, .message = {}, .staged = nullptr, .waits = ctx.WithCancel()});
  CO_ASSIGN_OR_RETURN(in->header, CheckHeader(bytes.value_or(""), stream->peer(), &in->message));
  CO_RETURN_IF_ERROR(co_await TakeOver(ctx, in->header));
  incoming_.push_back(in);
  v1::SnapshotReply reply;
  absl::Status result = co_await ReceiveInTurn(ctx, in.get(), stream.get(), &reply);
  if (gone()) co_return Stopped();
  std::erase(incoming_, in);
  incoming_left_.NotifyAll();
  if (in->made_room) co_return absl::UnavailableError("others wait: to be gone on with later");
  reply.set_accepted(result.ok());
  reply.set_message(std::string(Sv(result.message())));
  co_return co_await stream->Send(ctx, reply.SerializeAsString());
}

// A sender that has noticed that its stream broke comes again, maybe before this side has.
Task<absl::Status> SnapshotTransfer::TakeOver(const Context& ctx, const v1::SnapshotHeader& header) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  for (;;) {
    auto same = [&](const auto& in) { return in->header.id() == header.id() && SourceOf(in->header) == SourceOf(header); };
    auto earlier = std::find_if(incoming_.begin(), incoming_.end(), same);
    if (earlier == incoming_.end()) co_return absl::OkStatus();
    (*earlier)->waits.Cancel(absl::UnavailableError("its sender goes on with it over another stream"));
    absl::Status left = co_await incoming_left_.Wait(ctx);
    if (alive.expired() || !serving_) co_return Stopped();
    CO_RETURN_IF_ERROR(left);
  }
}

Task<absl::Status> SnapshotTransfer::ReceiveInTurn(const Context& ctx, Incoming* in, MessageStream* stream, v1::SnapshotReply* reply) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  auto gone = [&] { return alive.expired() || !serving_; };
  in->staged = TakePartial(in->header);
  ++waiting_;
  if (receiving_.available() == 0) {
    EndTurns();
    if (!std::exchange(ending_turns_, true)) host_->Spawn(EndTurnsWhileWaiting());
  }
  absl::Status result = co_await receiving_.Acquire(in->waits);
  if (gone()) co_return Stopped();
  --waiting_;
  if (!result.ok()) {
    KeepPartial(in->header, std::move(in->staged));
    co_return result;
  }
  in->since = host_->runtime().executor->Now();
  in->has_turn = true;
  result = co_await Receive(ctx, in, stream);
  if (gone()) co_return Stopped();
  in->has_turn = false;
  if (result.ok()) {
    in->made_room = false;  // its rows were there already
    result = co_await Install(in, reply);
    if (gone()) co_return Stopped();
  }
  receiving_.Release();
  co_return result;
}

Task<absl::Status> SnapshotTransfer::Receive(const Context& ctx, Incoming* in, MessageStream* stream) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  // Before the bytes come: may it be here at all?
  CO_RETURN_IF_ERROR(host_->lifecycle().MayHold(in->header.range()));
  if (in->staged == nullptr) {
    const size_t in_memory = host_->options().snapshots.bytes_in_memory;
    in->staged = std::make_shared<StagedSnapshot>(in->header.range(), StagedRows(&host_->engine(), in->header.range(), in_memory));
    CO_RETURN_IF_ERROR(DecodeRangeState(in->header.range_state(), &in->staged->state));
  }
  v1::SnapshotReply go;
  go.set_go(true);
  go.set_have_chunks(in->staged->rows.chunks());
  bool of_use = true;
  absl::Status received = co_await stream->Send(in->waits, go.SerializeAsString());
  if (received.ok()) received = co_await ReceiveRows(ctx, in, stream, &of_use);
  if (alive.expired() || !serving_) co_return Stopped();
  if (!received.ok() && of_use) KeepPartial(in->header, std::move(in->staged));
  co_return received;
}

Task<absl::Status> SnapshotTransfer::Install(Incoming* in, v1::SnapshotReply* reply) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  auto gone = [&] { return alive.expired() || !serving_; };
  // However long whoever sent it waits: no two are installed at once, as each may hold keys that another has.
  absl::Status mine = co_await installing_.Acquire(host_->ctx());
  if (gone()) co_return Stopped();
  CO_RETURN_IF_ERROR(mine);
  absl::Status result = co_await Offer(in, reply);
  if (gone()) co_return Stopped();
  installing_.Release();
  co_return result;
}

Task<absl::Status> SnapshotTransfer::Offer(Incoming* in, v1::SnapshotReply* reply) {
  std::weak_ptr<SnapshotTransfer*> alive = alive_;
  CO_RETURN_IF_ERROR(host_->lifecycle().MayHold(in->header.range()));
  const raft::NodeId to = in->message.to;
  v1::RaftEnvelope envelope = in->header.envelope();
  envelope.mutable_message()->set_to(to);
  std::shared_ptr<RaftGroup> group = host_->FindOrCreate(envelope);
  if (group == nullptr || group->replica_id() != to) co_return absl::NotFoundError("the replica is not on this store");
  std::shared_ptr<StagedSnapshot> staged = in->staged;
  if (staged->state.applied_index != in->message.snapshot->metadata.index) co_return absl::InvalidArgumentError("the snapshot's message and state disagree");
  if (staged->rows.in_files()) PROBE("a snapshot was staged in files");
  group->OfferSnapshot(staged, std::move(in->message), in->header.envelope().from_store());
  CO_RETURN_IF_ERROR(co_await staged->done.Wait(host_->ctx()));
  if (alive.expired() || !serving_) co_return Stopped();
  CO_RETURN_IF_ERROR(staged->result);
  reply->set_applied(staged->taken);
  co_return absl::OkStatus();
}

}  // namespace insula::kv
