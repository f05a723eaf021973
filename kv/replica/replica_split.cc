// Splits: one range becomes two, in one entry of its own log; then the addresses follow.
//
//   AdminSplit ─► a new range id ─► latch the whole range ─► split entry ─► meta2 of the left side, then of the right side
//
// Addresses are hints: whoever follows an old one is told by the range itself (RangeMismatch). The left side's is written first, so a
// lookup never finds a descriptor whose start lies above the key. The split entry leaves a row on both sides that says "my address is
// not known to be written"; whoever holds the lease of a side writes the address and takes the row away, however often it takes.
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

constexpr char kPending[] = "\x01";  // format version of the row

v1::BatchRequest NewBatch() {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  return batch;
}

Task<absl::StatusOr<RangeId>> NewRangeId(const Context& ctx, Sender& sender) {
  v1::BatchRequest batch = NewBatch();
  auto* increment = batch.add_requests()->mutable_increment();
  increment->set_key(keys::RangeIdCounter());
  increment->set_by(1);
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  co_return static_cast<RangeId>(response.responses(0).increment().value());
}

}  // namespace

Task<absl::Status> Replica::AdminSplit(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  if (deps_.sender == nullptr) co_return InvalidError("this replica cannot split: it has no way to other ranges");
  const std::string& split_key = batch.requests(0).admin_split().split_key();
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  response->add_responses()->mutable_admin_split();
  if (group_->descriptor().start_key() == split_key) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(RangeId right_id, co_await NewRangeId(ctx, *deps_.sender));

  std::string start, end;
  if (group_ == nullptr) co_return Mismatch(split_key, {});
  start = group_->descriptor().start_key();
  end = group_->descriptor().end_key().empty() ? std::string(1, '\xff') : group_->descriptor().end_key();
  // Everything: keys, and rows of records (declare.h), reads too.
  Sequencer::Spec spec;
  spec.latches = {{.key = start, .end_key = end, .write = true}, {.key = "k", .end_key = "l", .write = true}};
  Sequencer::Ticket ticket(std::move(spec));
  if (!sequencer_.TrySequence(ticket)) CO_RETURN_IF_ERROR(co_await sequencer_.Sequence(ctx, ticket));
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  if (group_->descriptor().start_key() == split_key) co_return absl::OkStatus();

  Work work;
  absl::Status leased = CheckLease(work, group_->clock().Now());
  if (!leased.ok() && work.lease.state == LeaseCheck::State::kNone) leased = co_await EnsureLease(ctx, work, group_->clock().Now());
  CO_RETURN_IF_ERROR(leased);

  Command command;
  SplitTrigger& split = command.split.emplace();
  split.left = group_->descriptor();
  split.left.set_generation(split.left.generation() + 1);
  split.right = split.left;
  split.right.set_range_id(right_id);
  split.right.set_start_key(split_key);
  split.left.set_end_key(split_key);
  auto reader = group_->engine().NewReader();
  if (auto o = mvcc::ComputeStats(*reader, split_key, split.right.end_key(), &split.right_stats); !o.ok()) co_return o.status();
  reader.reset();
  split.served = std::max(group_->clock().Now(), reads_.highest());
  storage::WriteBatch pending;
  for (RangeId id : {split.left.range_id(), right_id}) {
    pending.Put(storage::ColumnFamily::kRange, keys::RangeIdKey(id, keys::RangeField::kMetaPending), kPending);
  }
  command.write_set = pending.TakeBytes();
  command.lease_sequence = work.lease.lease.sequence;
  const v1::RangeDescriptor right = split.right;
  absl::Status proposed = co_await Propose(std::move(command));
  if (proposed.code() == absl::StatusCode::kAborted && !GetKvError(proposed)) co_return NotLeaseholderError(0, {});
  CO_RETURN_IF_ERROR(proposed);
  ticket.Finish();

  absl::Status published = co_await PublishAddress(ctx);
  if (!published.ok()) {
    if (group_ != nullptr) background_.Spawn(PublishUntilDone(lease_.sequence));
    co_return published;
  }
  co_return co_await UpdateMeta(ctx, right);
}

bool Replica::AddressPending() const {
  std::string ignored;
  auto there = group_->engine().NewReader()->Get(storage::ColumnFamily::kRange, keys::RangeIdKey(range_id_, keys::RangeField::kMetaPending), &ignored);
  return there.ok() && *there;
}

// Writes this range's address after its left neighbour's, and notes that it is done.
Task<absl::Status> Replica::PublishAddress(const Context& ctx) {
  if (group_ == nullptr) co_return Mismatch({}, {});
  if (!AddressPending()) co_return absl::OkStatus();
  const v1::RangeDescriptor range = group_->descriptor();
  v1::BatchRequest read = NewBatch();
  read.add_requests()->mutable_get()->set_key(keys::Meta2Key(range.start_key()));
  if (!range.start_key().empty()) {
    v1::BatchResponse neighbour = co_await deps_.sender->Send(ctx, std::move(read));
    if (neighbour.has_error()) co_return FromKvError(neighbour.error());
    if (!neighbour.responses(0).get().has_value()) co_return UnavailableKvError("the left neighbour's address is not written yet");
  }
  CO_RETURN_IF_ERROR(co_await UpdateMeta(ctx, range));
  // Split again meanwhile: that address is pending, too.
  if (group_ == nullptr || group_->descriptor().generation() != range.generation()) co_return UnavailableKvError("the range changed meanwhile");
  storage::WriteBatch done;
  done.Delete(storage::ColumnFamily::kRange, keys::RangeIdKey(range_id_, keys::RangeField::kMetaPending));
  Command command;
  command.write_set = done.TakeBytes();
  command.lease_sequence = lease_.sequence;
  co_return co_await Propose(std::move(command));
}

Task<void> Replica::PublishUntilDone(uint64_t lease_sequence) {
  while (group_ != nullptr && lease_.sequence == lease_sequence) {
    Context limited = ctx_.WithTimeout(10s);
    if ((co_await PublishAddress(limited)).ok()) co_return;
    if (!(co_await Sleep(ctx_, 1s)).ok()) co_return;
  }
}

// Writes the range's address, unless a newer one is there.
Task<absl::Status> Replica::UpdateMeta(const Context& ctx, v1::RangeDescriptor descriptor) {
  const std::string key = keys::Meta2Key(descriptor.end_key());
  std::string bytes;
  descriptor.SerializeToString(&bytes);
  while (true) {
    v1::BatchRequest read = NewBatch();
    read.add_requests()->mutable_get()->set_key(key);
    v1::BatchResponse present = co_await deps_.sender->Send(ctx, std::move(read));
    if (present.has_error()) co_return FromKvError(present.error());
    const v1::GetResponse& got = present.responses(0).get();
    if (got.has_value()) {
      v1::RangeDescriptor there;
      if (!there.ParseFromString(got.value())) co_return absl::DataLossError("a range descriptor in the meta range is damaged");
      if (there.generation() > descriptor.generation() || (there.generation() == descriptor.generation() && there.range_id() == descriptor.range_id())) {
        co_return absl::OkStatus();
      }
    }
    v1::BatchRequest write = NewBatch();
    auto* put = write.add_requests()->mutable_conditional_put();
    put->set_key(key);
    put->set_value(bytes);
    if (got.has_value()) put->set_expected(got.value());
    v1::BatchResponse written = co_await deps_.sender->Send(ctx, std::move(write));
    if (!written.has_error()) co_return absl::OkStatus();
    if (!written.error().has_condition_failed() && !written.error().has_ambiguous()) co_return FromKvError(written.error());
  }
}

}  // namespace insula::kv
