#include "test/sim/channel.h"

#include <utility>

#include "absl/status/status.h"
#include "base/async/wait.h"
#include "base/strings.h"
#include "kv/client/dist_sender.h"

namespace insula::simtest {
namespace {

kv::CallResult Broken(std::string_view how) { return {.status = absl::UnavailableError(Sv(how)), .maybe_received = true, .response = {}}; }

}  // namespace

Task<kv::CallResult> FaultyChannel::Call(const Context& ctx, std::string address, const kv::v1::BatchRequest& batch) {
  auto chance = [this](double of) { return of > 0 && random_->Chance(of); };
  auto later = [&] { return Duration(random_->Uniform(static_cast<uint64_t>(faults_->late.count()))); };
  if (chance(faults_->deliver_late)) {
    ++faults_->late_batches;
    copies_.Spawn(SendCopy(std::move(address), batch, later()));
    co_return Broken("the connection broke");
  }
  kv::CallResult result = co_await inner_->Call(ctx, address, batch);
  const bool copied = chance(faults_->duplicate) && kv::IsReplaySafe(batch);
  if (!result.status.ok() || (!copied && !chance(faults_->lose_answer))) co_return result;
  ++faults_->answers_lost;
  if (copied) {
    ++faults_->duplicates;
    copies_.Spawn(SendCopy(std::move(address), batch, later()));
  }
  co_return Broken("the answer was lost");
}

Task<void> FaultyChannel::SendCopy(std::string address, kv::v1::BatchRequest batch, Duration late) {
  if (!(co_await Sleep(copies_.ctx(), late)).ok()) co_return;
  // Nobody waits for its answer.
  (void)co_await inner_->Call(copies_.ctx().WithTimeout(5s), std::move(address), batch);
}

}  // namespace insula::simtest
