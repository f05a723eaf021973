#include "kv/multiraft/truncation.h"

#include <utility>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/multiraft/multiraft.h"

namespace insula::kv {

Task<absl::Status> Truncation::Run(const Context& ctx) {
  // What the flush will cover: everything applied by now.
  std::map<RangeId, uint64_t> applied;
  std::set<RangeId> active = std::exchange(active_, {});
  std::vector<uint64_t> redos = std::exchange(redos_, {});
  remaining_.insert(active.begin(), active.end());
  for (RangeId range : remaining_) {
    if (auto group = host_->Find(range); group != nullptr) applied[range] = group->applied_index();
  }
  uint64_t log_bytes = host_->log().stats().bytes;
  const MonoTime from = ctx.executor().Now();
  absl::Status flushed = fault::On(fault::Mutation::kTruncateEarly) ? absl::OkStatus() : co_await host_->engine().Flush(ctx);
  if (!flushed.ok()) {
    active_.merge(active);
    redos_.insert(redos_.begin(), redos.begin(), redos.end());
    co_return flushed;
  }
  log_bytes_at_flush_ = log_bytes;
  last_flush_ = ctx.executor().Now();
  host_->metrics().flushes += 1;
  host_->metrics().flush_seconds.Observe(ToSeconds(last_flush_ - from));
  LogEngine& log = host_->log();
  LogBatch batch;
  for (uint64_t redo : redos) batch.RedoDone(redo);
  int steps = 0;
  for (const auto& [range, index] : applied) {
    if (++steps % 256 == 0) CO_RETURN_IF_ERROR(co_await ctx.Yield());
    auto group = host_->Find(range);
    if (group == nullptr || group->stopped()) {
      remaining_.erase(range);
      continue;
    }
    uint64_t to = group->TruncationIndex(index, active.contains(range));
    if (to > log.TruncatedIndex(range)) {
      CO_ASSIGN_OR_RETURN(uint64_t term, log.Term(range, to));
      batch.Truncate(range, to, term);
      PROBE("the log of a range was truncated");
    }
    if (to >= log.LastIndex(range)) remaining_.erase(range);
  }
  log.AppendLazily(std::move(batch));
  co_return absl::OkStatus();
}

bool Truncation::Due(MonoTime now) const {
  if (host_->log().stats().bytes - log_bytes_at_flush_ >= options_.flush_log_bytes) return true;
  if (host_->engine().unflushed_bytes() >= options_.flush_engine_bytes) return true;
  return (!active_.empty() || !remaining_.empty() || !redos_.empty()) && now - last_flush_ >= options_.idle_interval;
}

Task<void> Truncation::Loop(const Context& ctx) {
  last_flush_ = ctx.executor().Now();
  for (;;) {
    while (AtRest()) {
      if (!(co_await work_.Wait(ctx)).ok()) co_return;
    }
    if (!(co_await Sleep(ctx, options_.check_interval)).ok()) co_return;
    if (!Due(ctx.executor().Now())) continue;
    absl::Status s = co_await Run(ctx);
    if (!s.ok() && !ctx.done()) LOG_WARNING("the log cannot be truncated", {"why", s.ToString()});
  }
}

}  // namespace insula::kv
