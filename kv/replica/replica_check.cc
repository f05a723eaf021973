// Comparing the replicas of the range (checks.h), as their leaseholder.
#include <utility>

#include "base/async/task_group.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/replica/checks.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

constexpr Duration kVerdictPatience = std::chrono::seconds(10);

using Answers = std::map<StoreId, absl::StatusOr<v1::ChecksumReply>>;

// Of all `stores` at once. `checks` is not touched once an answer was waited for.
Task<void> AskAll(const Context& ctx, ReplicaChecks* checks, const std::vector<StoreId>& stores, const v1::ChecksumRequest& request, Answers* answers) {
  TaskGroup asking(ctx);
  for (StoreId store : stores) {
    answers->emplace(store, absl::UnavailableError("it was not asked"));
    asking.Spawn([](Task<absl::StatusOr<v1::ChecksumReply>> ask, absl::StatusOr<v1::ChecksumReply>* answer) -> Task<void> {
      *answer = co_await std::move(ask);
    }(checks->Checksum(ctx, store, request), &answers->at(store)));
  }
  co_await asking.Wait();
}

std::string ProblemOf(const absl::StatusOr<v1::ChecksumReply>& answer) {
  if (!answer.ok()) return answer.status().ToString();
  if (!answer->found()) return "it has not applied the check's entry, or lost it";
  return answer->problem();
}

}  // namespace

Task<absl::Status> Replica::CheckConsistency(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  if (deps_.checks == nullptr) co_return InvalidError("replicas are not compared here");
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  Work work;
  absl::Status leased = CheckLease(work, group_->clock().Peek());
  if (!leased.ok() && work.lease.state == LeaseCheck::State::kNone) leased = co_await EnsureLease(ctx, work, group_->clock().Peek());
  CO_RETURN_IF_ERROR(leased);
  Command command;
  command.lease_sequence = work.lease.lease.sequence;
  command.check_id = deps_.checks->NewCheckId();
  v1::ChecksumRequest request;
  request.set_range_id(range_id_);
  request.set_check_id(command.check_id);
  auto applied = co_await group_->Propose(ctx_, std::move(command));
  if (!applied.ok()) co_return UnavailableKvError(StrCat("the check's entry was not applied: ", applied.status().message()));
  if (group_ == nullptr) co_return UnavailableKvError("the replica went away while replicas were compared");

  const v1::RangeDescriptor range = group_->descriptor();
  std::vector<StoreId> stores;
  for (const auto& replica : range.replicas()) stores.push_back(replica.store_id());
  Answers answers;
  co_await AskAll(ctx.WithTimeout(deps_.checks->patience()), deps_.checks, stores, request, &answers);
  CO_RETURN_IF_ERROR(ctx.status());
  std::map<StoreId, std::string> sums;
  for (const auto& [store, answer] : answers) {
    if (answer.ok() && answer->found() && answer->problem().empty()) sums[store] = answer->checksum();
  }
  const ChecksumVerdict verdict = Judge(range, sums);
  if (!verdict.consistent) {
    PROBE("replicas were found to differ");
    LOG_ERROR("replicas of a range differ", {"range", range_id_}, {"index", applied->index}, {"replicas", sums.size()}, {"divergent", StrJoin(verdict.divergent, ", ")},
              {"majority", !verdict.majority.empty()});
  }
  Answers stopped;
  if (!verdict.divergent.empty() && group_ != nullptr) {
    request.set_expected(verdict.majority);
    co_await AskAll(ctx.WithTimeout(kVerdictPatience), deps_.checks, verdict.divergent, request, &stopped);
  }
  v1::CheckConsistencyResponse* out = response->add_responses()->mutable_check_consistency();
  out->set_consistent(verdict.consistent);
  out->set_index(applied->index);
  for (const auto& [store, answer] : answers) {
    auto* row = out->add_replicas();
    row->set_store_id(store);
    row->set_problem(ProblemOf(answer));
    if (auto it = sums.find(store); it != sums.end()) row->set_checksum(it->second);
    if (answer.ok()) row->set_wrong_stats(answer->wrong_stats());
    if (auto it = stopped.find(store); it != stopped.end()) row->set_stopped(it->second.ok() && it->second->stopped());
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
