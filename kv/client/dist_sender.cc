#include "kv/client/dist_sender.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "base/async/task_group.h"
#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

constexpr int kMaxReroutesAtOnce = 3;  // before backing off in between
constexpr Duration kLongSilence = 1s;
constexpr Duration kLeaseLife = 3s;    // of a store that is silent, about
constexpr int kMostSplits = 10;        // of one batch, while the ranges change

// Whom to ask, one after the other, round and round.
class Candidates {
 public:
  Candidates(std::vector<std::string> addresses, std::function<bool(const std::string&)> is_silent) : addresses_(std::move(addresses)), is_silent_(std::move(is_silent)) {}
  bool empty() const { return addresses_.empty(); }
  size_t size() const { return addresses_.size(); }
  const std::string& present() const { return At(next_); }
  bool at_first() const { return next_ == 0; }
  // To the next one that is not silent, or the next if all are. True: all have been asked.
  bool Advance() {
    size_t step = 1;
    while (step < size() && is_silent_(At(next_ + step))) ++step;
    if (is_silent_(At(next_ + step))) step = 1;
    const bool around = next_ / size() != (next_ + step) / size();
    next_ += step;
    return around;
  }
  void GoTo(const std::string& address) {
    auto it = std::find(addresses_.begin(), addresses_.end(), address);
    if (it == addresses_.end()) it = addresses_.insert(addresses_.end(), address);
    next_ = static_cast<size_t>(it - addresses_.begin());
  }

 private:
  const std::string& At(size_t i) const { return addresses_[i % addresses_.size()]; }

  std::vector<std::string> addresses_;
  std::function<bool(const std::string&)> is_silent_;
  size_t next_ = 0;
};

v1::BatchResponse ErrorResponse(const absl::Status& status) {
  v1::BatchResponse response;
  *response.mutable_error() = ToKvError(status);
  return response;
}

bool Writes(const v1::BatchRequest& batch) {
  return std::any_of(batch.requests().begin(), batch.requests().end(), [](const auto& r) { return (FlagsOf(r) & (kWrites | kAdmin)) != 0; });
}

bool Commits(const v1::BatchRequest& batch) {
  const v1::Request& last = batch.requests(batch.requests_size() - 1);
  return last.has_end_txn() && last.end_txn().commit();
}

// Whether the batch commits, and would not be a commit any more if it were taken apart.
bool MustFitOneRange(const v1::BatchRequest& batch) {
  return Commits(batch) && batch.requests(batch.requests_size() - 1).end_txn().in_flight_size() == 0;
}

bool AllInside(const v1::BatchRequest& batch, const v1::RangeDescriptor& range) {
  if (batch.requests(0).has_range_lookup()) return true;  // it comes alone
  for (const v1::Request& request : batch.requests()) {
    KeySpan span = SpanOf(request, batch.header());
    if (!keys::SpanInBounds(range.start_key(), range.end_key(), span.key, span.end_key)) return false;
  }
  return std::all_of(batch.header().refresh_spans().begin(), batch.header().refresh_spans().end(),
                     [&](const v1::Span& span) { return keys::SpanInBounds(range.start_key(), range.end_key(), span.key(), span.end_key()); });
}

}  // namespace

bool IsReplaySafe(const v1::BatchRequest& batch) {
  if (fault::On(fault::Mutation::kApplyTwice)) return true;
  for (const v1::Request& request : batch.requests()) {
    const uint32_t flags = FlagsOf(request);
    if (!(flags & kWrites)) continue;
    if (request.has_end_txn()) {
      if (request.end_txn().commit() && !request.end_txn().write_outcome()) return false;
    } else if (!(flags & kTxnState) && !request.has_resolve_intent() && !request.has_clear_range() && !batch.header().has_txn()) {
      return false;  // a write that nothing tells from its repetition
    }
  }
  return true;
}

DistSender::DistSender(Executor* executor, Random* random, BatchChannel* channel, DistSenderOptions options)
    : executor_(executor), random_(random), channel_(channel), options_(std::move(options)) {
  meta_range_.set_range_id(keys::kMetaRange);
  meta_range_.set_end_key(keys::SystemStart());
}

std::vector<std::string> DistSender::Targets(const v1::RangeDescriptor& range) const {
  std::vector<std::string> targets;
  auto add = [&](const std::string& address) {
    if (!address.empty() && std::find(targets.begin(), targets.end(), address) == targets.end()) targets.push_back(address);
  };
  if (uint64_t node = cache_.Leaseholder(range.range_id())) add(cache_.Address(node));
  for (const auto& replica : range.replicas()) add(cache_.Address(replica.node_id()));
  // Any node can point the way.
  if (targets.size() < 3) {
    for (const auto& address : options_.bootstrap) add(address);
  }
  // Where the first lookup goes nobody can look up: whoever was known at first may have gone, others were heard of since.
  if (range.range_id() == keys::kMetaRange) {
    for (const auto& [node, address] : cache_.addresses()) add(address);
  }
  if (!silent_.empty()) std::stable_partition(targets.begin(), targets.end(), [&](const std::string& address) { return !IsSilent(address); });
  return targets;
}

bool DistSender::IsSilent(const std::string& address) const {
  auto it = silent_.find(address);
  return it != silent_.end() && executor_->Now() < it->second;
}

void DistSender::Learn(const v1::BatchResponse& response) {
  for (const auto& range : response.updated_ranges()) Learn(range);
}

void DistSender::Learn(const v1::RangeDescriptor& range) {
  if (range.range_id() != keys::kMetaRange) {
    cache_.Insert(range);
  } else if (range.generation() > meta_range_.generation()) {
    meta_range_ = range;
  }
}

// It is asked first from now on: whoever was asked before may not even refuse, and be waited for again by each batch.
void DistSender::NoteServedBy(const v1::RangeDescriptor& range, const std::string& address) {
  for (const auto& replica : range.replicas()) {
    if (cache_.Address(replica.node_id()) == address) cache_.SetLeaseholder(range.range_id(), replica.node_id());
  }
}

Task<absl::Status> DistSender::BackOff(const Context& ctx, Trouble& trouble, Duration at_least) {
  const MonoTime now = executor_->Now();
  if (trouble.since == MonoTime{}) trouble.since = now;
  if (now - trouble.since >= options_.trouble_limit) co_return absl::UnavailableError("no node could serve the request for too long");
  trouble.backoff = trouble.backoff == Duration::zero() ? options_.min_backoff : std::min(2 * trouble.backoff, options_.max_backoff);
  // Half fixed, half by chance: clients that failed together do not come back together.
  Duration wait = std::max(at_least, trouble.backoff / 2 + Duration(random_->Uniform(static_cast<uint64_t>(trouble.backoff.count() / 2 + 1))));
  co_return co_await Sleep(ctx, wait);
}

v1::BatchResponse DistSender::GiveUp(const v1::BatchRequest& batch, const Trouble& trouble, const absl::Status& why) const {
  if (trouble.ambiguous && Writes(batch)) return ErrorResponse(AmbiguousError(StrCat("it is not known whether the request was applied: ", why.message())));
  return ErrorResponse(UnavailableKvError(Sv(why.message())));
}

// One batch on its way to one range.
struct DistSender::Try {
  const v1::RangeDescriptor& range;
  v1::BatchRequest& batch;
  const bool commits;
  const bool writes;
  Trouble& trouble;
  Candidates candidates;
  size_t hops = 0, not_there = 0;
  Duration at_least{};  // before the next call
};

Task<DistSender::RangeResult> DistSender::SendToRange(const Context& ctx, const v1::RangeDescriptor& range, v1::BatchRequest& batch, bool commits, Trouble& trouble) {
  RangeResult result;
  batch.mutable_header()->set_range_id(range.range_id());
  batch.mutable_header()->set_range_generation(range.generation());
  Try t{.range = range,
        .batch = batch,
        .commits = commits,
        .writes = Writes(batch),
        .trouble = trouble,
        .candidates = Candidates(Targets(range), [this](const std::string& address) { return IsSilent(address); })};
  if (t.candidates.empty()) {
    result.response = GiveUp(batch, trouble, absl::UnavailableError("no node's address is known"));
    co_return result;
  }
  while (true) {
    if (auto deadline = ctx.deadline()) {
      auto left = std::chrono::duration_cast<std::chrono::microseconds>(*deadline - executor_->Now());
      batch.mutable_header()->set_timeout_us(std::max<int64_t>(left.count(), 1));
    }
    const std::string address = t.candidates.present();
    ++round_trips_;
    const MonoTime asked = executor_->Now();
    CallResult call = co_await channel_->Call(ctx, address, batch);
    t.at_least = Duration::zero();
    Next next;
    if (!call.status.ok()) {
      next = NotServed(ctx, t, call, address, executor_->Now() - asked, &result.response);
    } else {
      if (!silent_.empty()) silent_.erase(address);
      if (call.response.has_error()) {
        next = co_await Refused(ctx, t, address, std::move(call.response), &result.response);
      } else {
        Learn(call.response);
        if (!t.candidates.at_first()) NoteServedBy(range, address);
        trouble.since = MonoTime{};
        result.response = std::move(call.response);
        next = Next::kIsAnswer;
      }
    }
    result.reroute = next == Next::kReroute;
    if (next == Next::kIsAnswer || next == Next::kReroute) co_return result;
    if (next == Next::kAtOnce) continue;
    if (absl::Status enough = co_await BackOff(ctx, trouble, t.at_least); !enough.ok()) {
      result.response = GiveUp(batch, trouble, enough);
      co_return result;
    }
  }
}

// The call was not answered; it took `took` to find out.
DistSender::Next DistSender::NotServed(const Context& ctx, Try& t, const CallResult& call, const std::string& address, Duration took, v1::BatchResponse* answer) {
  if (call.maybe_received && t.writes) t.trouble.ambiguous = true;
  if (!ctx.status().ok()) {
    *answer = GiveUp(t.batch, t.trouble, ctx.status());
    return Next::kIsAnswer;
  }
  if (t.trouble.ambiguous && !IsReplaySafe(t.batch)) {
    *answer = GiveUp(t.batch, t.trouble, call.status);
    return Next::kIsAnswer;
  }
  // One that refuses at once costs nothing, and may be back at once.
  if (took >= kLongSilence) silent_[address] = executor_->Now() + kLeaseLife;
  return t.candidates.Advance() ? Next::kBackOff : Next::kAtOnce;
}

// `address` answered with an error.
Task<DistSender::Next> DistSender::Refused(const Context& ctx, Try& t, std::string address, v1::BatchResponse response, v1::BatchResponse* answer) {
  const v1::Error& error = response.error();
  switch (error.detail_case()) {
    case v1::Error::kNotLeaseholder:
      co_return co_await FollowHint(ctx, t, std::move(address), error.not_leaseholder());
    case v1::Error::kUnavailable:
      t.at_least = std::chrono::microseconds(error.unavailable().retry_after_us());
      t.candidates.Advance();
      co_return Next::kBackOff;
    case v1::Error::kAmbiguous:
      t.trouble.ambiguous = true;
      if (IsReplaySafe(t.batch)) co_return Next::kBackOff;
      *answer = std::move(response);
      co_return Next::kIsAnswer;
    case v1::Error::kRangeMismatch:
      co_return NotThere(t, error.range_mismatch());
    default:
      *answer = t.trouble.ambiguous && t.commits ? GiveUp(t.batch, t.trouble, absl::UnknownError(error.message())) : std::move(response);
      co_return Next::kIsAnswer;
  }
}

Task<DistSender::Next> DistSender::FollowHint(const Context& ctx, Try& t, std::string address, v1::Error::NotLeaseholder hint) {
  cache_.SetAddress(hint.leaseholder_node(), hint.leaseholder_address());
  const std::string named = hint.leaseholder_node() != 0 ? cache_.Address(hint.leaseholder_node()) : std::string();
  if (named.empty() || named == address) {
    cache_.ForgetLeaseholder(t.range.range_id());
    co_return t.candidates.Advance() ? Next::kBackOff : Next::kAtOnce;
  }
  if (IsSilent(named) && !co_await IsBack(ctx, named, RoutingKey(t.batch.requests(0), t.batch.header()))) {
    // Others will lead soon.
    t.candidates.Advance();
    co_return Next::kBackOff;
  }
  cache_.SetLeaseholder(t.range.range_id(), hint.leaseholder_node());
  t.candidates.GoTo(named);
  co_return ++t.hops % 3 == 0 ? Next::kBackOff : Next::kAtOnce;  // they point at each other while a leader is found
}

DistSender::Next DistSender::NotThere(Try& t, const v1::Error::RangeMismatch& mismatch) {
  // It is not there (any more), and nobody else is named: the other replicas may still be where they were.
  cache_.ForgetLeaseholder(t.range.range_id());
  if (mismatch.current().empty() && ++t.not_there < t.candidates.size()) {
    t.candidates.Advance();
    return Next::kAtOnce;
  }
  const std::string key = RoutingKey(t.batch.requests(0), t.batch.header());
  cache_.Evict(key);
  for (const auto& current : mismatch.current()) Learn(current);
  // Where range 1 is nobody can look up: another node may know.
  const v1::RangeDescriptor* now = Known(key);
  if (t.range.range_id() == keys::kMetaRange && now == &meta_range_ && now->generation() <= t.range.generation()) {
    t.candidates.Advance();
    return Next::kBackOff;
  }
  return Next::kReroute;
}

Task<v1::BatchResponse> DistSender::Send(const Context& ctx, v1::BatchRequest batch) {
  if (absl::Status valid = Validate(batch); !valid.ok()) co_return ErrorResponse(valid);
  if (batch.requests(0).has_range_lookup()) co_return co_await SendLookup(ctx, std::move(batch));
  const bool commits = Commits(batch);
  co_return co_await SendPiece(ctx, std::move(batch), commits);
}

Task<v1::BatchResponse> DistSender::SendPiece(const Context& ctx, v1::BatchRequest batch, bool commits) {
  Trouble trouble;
  for (int round = 1;; ++round) {
    v1::RangeDescriptor range;
    std::string key = RoutingKey(batch.requests(0), batch.header());
    if (const v1::RangeDescriptor* known = Known(key)) {
      range = *known;
    } else {
      auto located = co_await Locate(ctx, std::move(key));
      if (!located.ok()) {
        // That its range is not found now says nothing about a try that went out before.
        const bool open = trouble.ambiguous && Writes(batch);
        co_return GetKvError(located.status()) && !open ? ErrorResponse(located.status()) : GiveUp(batch, trouble, located.status());
      }
      range = *std::move(located);
    }
    if (!AllInside(batch, range)) {
      const absl::Status split = absl::UnknownError("the range was split meanwhile");
      if (!MustFitOneRange(batch)) {
        v1::BatchResponse response = co_await SendSplit(ctx, std::move(batch), commits);
        // What went out before is not known to the pieces.
        if (response.has_error() && trouble.ambiguous && commits) co_return ErrorResponse(AmbiguousError(Sv(split.message())));
        co_return response;
      }
      // Who commits has to know that it takes two phases.
      if (trouble.ambiguous) co_return GiveUp(batch, trouble, split);
      co_return ErrorResponse(RangeMismatchError({}, "the commit does not fit into one range"));
    }
    RangeResult result = co_await SendToRange(ctx, range, batch, commits, trouble);
    if (!result.reroute) co_return std::move(result.response);
    if (round % kMaxReroutesAtOnce == 0) {
      if (absl::Status enough = co_await BackOff(ctx, trouble, Duration::zero()); !enough.ok()) co_return GiveUp(batch, trouble, enough);
    }
  }
}

Task<absl::StatusOr<std::vector<BatchPiece>>> DistSender::Split(const Context& ctx, const v1::BatchRequest& batch) {
  for (int tries = 0; tries < kMostSplits; ++tries) {
    CO_ASSIGN_OR_RETURN(std::optional<std::vector<BatchPiece>> pieces, co_await TrySplit(ctx, batch));
    if (pieces) co_return *std::move(pieces);
    PROBE("ranges were merged while a batch was split");
  }
  co_return absl::UnavailableError("the ranges change while the batch is split");
}

// Nothing: what was looked up later does not go with what was looked up before. A request that had two parts in one range would not be
// joined again as one walk over the keys.
Task<absl::StatusOr<std::optional<std::vector<BatchPiece>>>> DistSender::TrySplit(const Context& ctx, const v1::BatchRequest& batch) {
  std::map<std::string, BatchPiece> by_start;
  for (int i = 0; i < batch.requests_size(); ++i) {
    std::string next(SpanOf(batch.requests(i), batch.header()).key);
    for (bool first = true; !next.empty(); first = false) {
      std::string key = std::move(next);
      CO_ASSIGN_OR_RETURN(v1::RangeDescriptor range, co_await Locate(ctx, key));
      if (!first && range.start_key() != key) co_return std::nullopt;
      v1::Request part = ClipRequest(batch.requests(i), batch.header(), key, range, &next);
      if (part.has_insert_rows() && part.insert_rows().rows().empty()) continue;  // a range between the rows
      BatchPiece& piece = by_start[range.start_key()];
      piece.range = range;
      piece.origins.push_back(i);
      *piece.batch.add_requests() = std::move(part);
    }
  }
  std::vector<BatchPiece> pieces;
  for (auto& [start, piece] : by_start) pieces.push_back(std::move(piece));
  if (IsReverse(batch)) std::reverse(pieces.begin(), pieces.end());
  co_return pieces;
}

Task<v1::BatchResponse> DistSender::SendSplit(const Context& ctx, v1::BatchRequest batch, bool commits) {
  auto pieces = co_await Split(ctx, batch);
  if (!pieces.ok()) {
    co_return GetKvError(pieces.status()) ? ErrorResponse(pieces.status()) : ErrorResponse(UnavailableKvError(Sv(pieces.status().message())));
  }
  if (pieces->size() > 1 && IsLimited(batch)) co_return co_await SendInOrder(ctx, batch, *std::move(pieces));
  co_return co_await SendSideBySide(ctx, batch, *std::move(pieces), commits);
}

Task<v1::BatchResponse> DistSender::SendSideBySide(const Context& ctx, const v1::BatchRequest& batch, std::vector<BatchPiece> pieces, bool commits) {
  std::vector<v1::BatchResponse> responses(pieces.size());
  v1::BatchHeader header = batch.header();
  size_t from = 0;
  // Where the first piece is to choose the read timestamp, the others wait for it.
  if (pieces.size() > 1 && header.has_txn() && header.txn().read_ts() == 0) {
    v1::BatchRequest part = pieces[0].batch;
    *part.mutable_header() = header;
    responses[0] = co_await SendPiece(ctx, std::move(part), commits);
    if (responses[0].has_txn()) {
      AdoptTxn(responses[0].txn(), header.mutable_txn());
    }
    from = 1;
  }
  if (from == 0 || !responses[0].has_error()) {
    if (pieces.size() > 1) header.set_can_forward_read_ts(false);
    TaskGroup group(ctx);
    for (size_t i = from; i < pieces.size(); ++i) {
      v1::BatchRequest part = pieces[i].batch;
      *part.mutable_header() = header;
      group.SpawnFn([this, &ctx, commits, slot = &responses[i], part = std::move(part)]() mutable -> Task<void> {
        *slot = co_await SendPiece(ctx, std::move(part), commits);
      });
    }
    co_await group.Wait();
  }
  v1::BatchResponse whole;
  for (int i = 0; i < batch.requests_size(); ++i) whole.add_responses();
  if (commits) {
    // One piece of unknown fate leaves the whole commit open, whatever became of the others.
    for (v1::BatchResponse& response : responses) {
      if (response.error().has_ambiguous()) co_return std::move(response);
    }
  }
  for (size_t p = 0; p < pieces.size(); ++p) {
    v1::BatchResponse& response = responses[p];
    if (response.has_error()) {
      if (response.error().request_index() >= 0) {
        response.mutable_error()->set_request_index(pieces[p].origins[static_cast<size_t>(response.error().request_index())]);
      }
      co_return response;
    }
    if (response.has_txn()) JoinTxn(response.txn(), whole.mutable_txn());
    whole.set_now(std::max(whole.now(), response.now()));
    whole.set_timestamp(std::max(whole.timestamp(), response.timestamp()));
    for (int j = 0; j < response.responses_size(); ++j) {
      JoinResponse(pieces[p].batch.requests(j), std::move(*response.mutable_responses(j)), whole.mutable_responses(pieces[p].origins[static_cast<size_t>(j)]));
    }
  }
  co_return whole;
}

}  // namespace insula::kv
