// Splits: one range becomes two, in one entry of its own log; then the addresses follow (replica_address.cc).
//
//   AdminSplit ─► a new range id ─► latch the whole range ─► split entry ─► addresses of both sides
//
// The entry raises the generation of both sides, and with that whoever holds the lease of one has its address to write. That the caller's
// answer waits for both is a courtesy: the range is split all the same.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/conf_change.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

constexpr Duration kChangePatience = 200ms;
constexpr int64_t kVersionsPerPart = 5000;
constexpr Duration kAddressPatience = 5s;  // of whoever asked for the split
constexpr int64_t kIdsInStock = 16;

Task<absl::StatusOr<RangeId>> NewRangeId(const Context& ctx, Sender& sender, std::shared_ptr<RangeIdStock> stock) {
  // One fills it, and the others wait: so splits that come one behind the other stay in that order.
  while (stock != nullptr) {
    if (stock->next < stock->end) co_return stock->next++;
    if (!std::exchange(stock->filling, true)) break;
    CO_RETURN_IF_ERROR(co_await stock->filled.Wait(ctx));
  }
  struct Filled {
    RangeIdStock* stock;
    ~Filled() {
      if (stock == nullptr) return;
      stock->filling = false;
      stock->filled.NotifyAll();
    }
  } filled{stock.get()};
  const int64_t by = stock != nullptr ? kIdsInStock : 1;
  v1::BatchRequest batch = NewBatch();
  auto* increment = batch.add_requests()->mutable_increment();
  increment->set_key(keys::RangeIdCounter());
  increment->set_by(by);
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  const RangeId last = static_cast<RangeId>(response.responses(0).increment().value());
  const RangeId first = last - static_cast<RangeId>(by) + 1;
  if (stock != nullptr) std::tie(stock->next, stock->end) = std::pair(first + 1, last + 1);
  co_return first;
}

}  // namespace

// What [start, end) holds. The caller holds latches over it, so it stays as it is meanwhile; other ranges go on between two parts.
Task<absl::StatusOr<mvcc::Stats>> Replica::CountStats(const Context& ctx, std::string start, std::string end) {
  mvcc::Stats stats;
  for (;;) {
    if (group_ == nullptr) co_return Mismatch(start, {});
    std::string resume;
    mvcc::Outcome part = mvcc::ComputeStatsPart(*group_->engine().NewReader(), start, end, kVersionsPerPart, &stats, &resume);
    if (!part.ok()) co_return part.status();
    if (resume.empty()) co_return stats;
    start = std::move(resume);
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
  }
}

// Everything: keys, rows of records and the garbage threshold (declare.h), reads too. The statistics of a side are counted from the engine, so
// an entry under way that removes versions would count twice. The range may become another while it waits.
Task<absl::Status> Replica::LatchWhole(const Context& ctx, WholeRange& whole) {
  for (;;) {
    if (group_ == nullptr) co_return Mismatch({}, {});
    whole.ticket.reset();
    whole.start = group_->descriptor().start_key();
    whole.end = group_->descriptor().end_key().empty() ? std::string(1, '\xff') : group_->descriptor().end_key();
    Sequencer::Spec spec;
    spec.latches = {{.key = whole.start, .end_key = whole.end, .write = true}, {.key = "i", .end_key = "l", .write = true}};
    whole.ticket.emplace(std::move(spec));
    if (!sequencer_.TrySequence(*whole.ticket)) CO_RETURN_IF_ERROR(co_await sequencer_.Sequence(ctx, *whole.ticket));
    if (group_ == nullptr) co_return Mismatch({}, {});
    const std::string& end = group_->descriptor().end_key();
    if (group_->descriptor().start_key() == whole.start && (end.empty() ? whole.end == "\xff" : end == whole.end)) co_return absl::OkStatus();
  }
}

// The same, and this replica leads, since before the latches were taken: what others who led the range did to it is applied here, and nothing of
// it comes after the caller has looked.
Task<absl::Status> Replica::LeadWhole(const Context& ctx, WholeRange& whole, Work& work) {
  for (;;) {
    CO_RETURN_IF_ERROR(co_await LatchWhole(ctx, whole));
    absl::Status leased = CheckLease(work, group_->clock().Now());
    if (leased.ok() || work.lease.state != LeaseCheck::State::kNone) co_return leased;
    whole.ticket.reset();
    CO_RETURN_IF_ERROR(co_await EnsureLease(ctx, work, group_->clock().Now()));
  }
}

Task<absl::Status> Replica::AdminSplit(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  if (deps_.sender == nullptr) co_return InvalidError("this replica cannot split: it has no way to other ranges");
  const std::string& split_key = batch.requests(0).admin_split().split_key();
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  if (split_key.size() > kMaxSplitKeyBytes) co_return InvalidError(StrCat("a range cannot begin with a key of ", split_key.size(), " bytes"));
  if (!keys::MaySplitAt(split_key)) co_return InvalidError(StrCat("no range may begin with ", keys::Pretty(split_key)));
  response->add_responses()->mutable_admin_split();
  if (group_->descriptor().start_key() == split_key) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(RangeId right_id, co_await NewRangeId(ctx, *deps_.sender, deps_.range_ids));

  WholeRange whole;
  Work work;
  CO_RETURN_IF_ERROR(co_await LeadWhole(ctx, whole, work));
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  if (group_->descriptor().start_key() == split_key) co_return absl::OkStatus();
  if (IsJoint(group_->descriptor())) co_return UnavailableKvError("the range's replicas are being changed", kChangePatience);

  Command command;
  SplitTrigger& split = command.split.emplace();
  split.left = group_->descriptor();
  split.left.set_generation(split.left.generation() + 1);
  split.right = split.left;
  split.right.set_range_id(right_id);
  split.right.set_start_key(split_key);
  split.left.set_end_key(split_key);
  CO_ASSIGN_OR_RETURN(split.right_stats, co_await CountStats(ctx, split_key, split.right.end_key()));
  if (group_ == nullptr) co_return Mismatch(split_key, {});
  split.served = std::max(group_->clock().Now(), reads_.highest());
  command.lease_sequence = work.lease.lease.sequence;
  const v1::RangeDescriptor before = group_->descriptor(), left = split.left, right = split.right;
  ++splits_writing_;
  absl::Status proposed = co_await Propose(std::move(command));
  if (!proposed.ok()) SplitWritten();
  if (proposed.code() == absl::StatusCode::kAborted && !GetKvError(proposed)) co_return NotLeaseholderError(0, {});
  CO_RETURN_IF_ERROR(proposed);
  whole.ticket->Finish();

  absl::Status published = co_await PublishSplit(ctx.WithTimeout(kAddressPatience), before, left, right);
  if (!published.ok()) LOG_DEBUG("a range was split, its address is still to be written", {"range", range_id_}, {"why", published.ToString()});
  co_return absl::OkStatus();
}

// What is left to be done, the publisher does.
void Replica::SplitWritten() {
  --splits_writing_;
  PublishSoon();
  address_tried_.NotifyAll();
}

Task<absl::Status> Replica::PublishSplit(const Context& ctx, v1::RangeDescriptor before, v1::RangeDescriptor left, v1::RangeDescriptor right) {
  absl::StatusOr<bool> both = co_await WriteSplitAddresses(ctx, std::move(before), std::move(left), right);
  SplitWritten();
  CO_RETURN_IF_ERROR(both.status());
  if (!*both) CO_RETURN_IF_ERROR(co_await WriteAddress(ctx, std::move(right)));
  co_return co_await AwaitPublished(ctx);
}

}  // namespace insula::kv
