#include "kv/server/plan_lender.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

namespace {
constexpr char kBorrow[] = "/insula.tenant.v1.Lending/Borrow";
constexpr uint32_t kBorrowVersion = 1;
constexpr Duration kForgetInterval = std::chrono::seconds(10);
}  // namespace

void PlanLender::Register(Transport* server) {
  calls_.Add(server, kBorrow, [this](Context ctx, const Identity& caller, std::string bytes, MessageStream& stream) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::BorrowRequest>(bytes));
    CO_ASSIGN_OR_RETURN(pb::BorrowResponse response, Lend(caller.node, request));
    co_return co_await stream.Send(ctx, response.SerializeAsString());
  });
}

Task<void> PlanLender::Run(Context ctx) {
  do {
    NoticeTerm();
  } while ((co_await calls_.leadership()->changed().Wait(ctx)).ok());
}

void PlanLender::NoticeTerm() {
  const uint64_t term = calls_.leadership()->Term();
  if (term == 0 || term == term_) return;
  term_ = term;
  since_ = executor_->Now();
  lenders_.clear();
}

void PlanLender::ForgetAtRest(MonoTime now) {
  if (now - last_forgetting_ < kForgetInterval) return;
  last_forgetting_ = now;
  for (auto it = lenders_.begin(); it != lenders_.end();) it = it->second.at_rest(now) ? lenders_.erase(it) : std::next(it);
}

absl::StatusOr<pb::BorrowResponse> PlanLender::Lend(uint64_t node, const pb::BorrowRequest& request) {
  if (calls_.leadership()->Term() == 0) return absl::UnavailableError("this node does not lead the system range (any more)");
  if (request.version() != kBorrowVersion) return absl::UnimplementedError(StrCat("loans of version ", request.version(), " are not known here"));
  if (request.wanted_mru() <= 0) return absl::InvalidArgumentError("whoever borrows wants something");
  ASSIGN_OR_RETURN(pb::Plan plan, CompletePlan(request.plan()));
  NoticeTerm();
  const MonoTime now = executor_->Now();
  ForgetAtRest(now);
  const PlanLimits limits = LimitsOf(plan, request.revision());
  Lender& lender = lenders_.try_emplace(request.tenant_id(), limits, since_).first->second;
  lender.SetLimits(limits, now);
  const Loan loan = lender.Lend(node, request.wanted_mru(), now);
  metrics_->plan_lent->With({StrCat(request.tenant_id())})->Increment(static_cast<double>(loan.amount) / kMilliRuPerRu);
  pb::BorrowResponse response;
  response.set_amount_mru(loan.amount);
  response.set_borrowers(loan.borrowers);
  response.set_ask_after_us(std::chrono::ceil<std::chrono::microseconds>(loan.ask_after).count());
  return response;
}

Task<absl::StatusOr<Loan>> BorrowFromLeader(Context ctx, SystemLeadership* leadership, Transport* transport, std::string own_address, TenantId tenant, PlanLimits limits,
                                            MilliRu wanted) {
  CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership->Find(ctx));
  pb::BorrowRequest request;
  request.set_version(kBorrowVersion);
  request.set_tenant_id(tenant);
  request.mutable_plan()->set_rate_ru(limits.rate / kMilliRuPerRu);
  request.mutable_plan()->set_burst_ru(limits.burst / kMilliRuPerRu);
  request.mutable_plan()->set_baseline_ru(limits.baseline / kMilliRuPerRu);
  request.set_revision(limits.revision);
  request.set_wanted_mru(wanted);
  CO_ASSIGN_OR_RETURN(auto response, (co_await CallUnary<pb::BorrowResponse>(ctx, *transport, leader.here ? std::move(own_address) : leader.address, kBorrow, std::move(request))));
  co_return Loan{.amount = std::max<int64_t>(response.amount_mru(), 0),
                 .borrowers = std::max<uint32_t>(response.borrowers(), 1),
                 .ask_after = std::chrono::microseconds(std::clamp<int64_t>(response.ask_after_us(), 0, 10'000'000))};
}

}  // namespace insula::kv
