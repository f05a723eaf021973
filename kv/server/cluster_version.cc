#include "kv/server/cluster_version.h"

#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "proto/kv/version.pb.h"

namespace insula::kv {
namespace {

constexpr char kFollow[] = "/insula.kv.v1.Node/FollowVersion";
constexpr std::string_view kFirstLine = "insula cluster version 1\n";
constexpr uint32_t kRecordVersion = 1;
constexpr Duration kFirstRetry = std::chrono::milliseconds(250);
constexpr Duration kLastRetry = std::chrono::seconds(4);

std::string RowKey() { return keys::SystemKey(keys::SystemTable::kClusterVersion); }

absl::Status TooOld(uint32_t wanted, uint32_t supports) {
  return absl::FailedPreconditionError(StrCat("the cluster is at version ", wanted, ", this program at ", supports, ": use a newer program for this node"));
}

// What the row says; kFirstClusterVersion if there is none.
Task<absl::StatusOr<uint32_t>> ReadRow(const Context& ctx, Txn& txn) {
  CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(ctx, RowKey(), {.lock = LockStrength::kNone}));
  if (!value) co_return kFirstClusterVersion;
  v1::ClusterVersionRecord record;
  if (!record.ParseFromString(*value)) co_return absl::DataLossError("the cluster's version is damaged");
  if (record.version() != kRecordVersion) co_return absl::UnimplementedError("the cluster's version has a format that this program does not know");
  co_return record.active();
}

v1::VersionNews News(const VersionDecision& decision) {
  v1::VersionNews news;
  news.set_promise(decision.promise);
  news.set_active(decision.active);
  return news;
}

}  // namespace

VersionDecision DecideVersion(const std::map<uint64_t, VersionOf>& here, const std::set<uint64_t>& members, uint32_t active) {
  VersionDecision as_it_is{active, active};
  if (members.empty()) return as_it_is;
  uint32_t supports = ~0u, promised = ~0u;
  for (uint64_t member : members) {
    auto it = here.find(member);
    if (it == here.end()) return as_it_is;
    supports = std::min(supports, it->second.supports);
    promised = std::min(promised, it->second.promised);
  }
  // Nobody promises more than its program supports, so what all have promised all support.
  return {std::max(active, supports), std::max(active, promised)};
}

// -------------------------------------------------------------------------------------------------------------- on a node

absl::Status VersionGate::Load() {
  ASSIGN_OR_RETURN(bool exists, files_->Exists(path_));
  if (!exists) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::string text, files_->ReadFile(path_));
  std::string_view rest = text;
  const absl::Status damaged = absl::DataLossError(StrCat(path_, " is damaged"));
  if (!rest.starts_with(kFirstLine)) return damaged;
  rest.remove_prefix(kFirstLine.size());
  uint32_t numbers[2];
  for (uint32_t& number : numbers) {
    const size_t end = rest.find('\n');
    if (end == 0 || end > 9) return damaged;
    number = 0;
    for (char c : rest.substr(0, end)) {
      if (c < '0' || c > '9') return damaged;
      number = number * 10 + static_cast<uint32_t>(c - '0');
    }
    rest.remove_prefix(end + 1);
  }
  if (!rest.empty() || numbers[1] > numbers[0]) return damaged;
  if (numbers[0] > supports_) return TooOld(numbers[0], supports_);
  promised_ = numbers[0];
  active_ = numbers[1];
  return absl::OkStatus();
}

absl::Status VersionGate::Take(uint32_t promise, uint32_t active) {
  promise = std::max({promise, active, promised_});
  active = std::max(active, active_);
  if (promise > supports_) return TooOld(promise, supports_);
  if (promise == promised_ && active == active_) return absl::OkStatus();
  RETURN_IF_ERROR(files_->WriteFileAtomically(path_, StrCat(kFirstLine, promise, "\n", active, "\n")));
  promised_ = promise;
  active_ = active;
  return absl::OkStatus();
}

Task<absl::Status> VersionFollower::Follow(const Context& ctx, bool* heard) {
  CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership_->Find(ctx));
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, leader.here ? own_address_ : leader.address, kFollow));
  uint32_t told = 0;  // of what is promised
  while (true) {
    if (told < gate_->promised()) {
      told = gate_->promised();
      v1::VersionReport report;
      report.set_node_id(node_id_);
      report.set_supports(gate_->supports());
      report.set_promised(told);
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, report.SerializeAsString()));
    }
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::UnavailableError("the leader ended the stream");
    v1::VersionNews news;
    if (!news.ParseFromString(*message)) co_return absl::InternalError("the leader's news do not parse");
    *heard = true;
    const uint32_t before = gate_->active();
    if (absl::Status taken = gate_->Take(news.promise(), news.active()); !taken.ok()) {
      if (absl::IsFailedPrecondition(taken)) on_fatal_(taken);
      co_return taken;  // a disk that does not take it now: again with the next stream
    }
    if (gate_->active() > before) {
      PROBE("a node heard that the cluster's version was raised");
      LOG_INFO("the cluster's version was raised", {"from", before}, {"to", gate_->active()});
    }
  }
}

Task<void> VersionFollower::Run(Context ctx) {
  Duration retry = kFirstRetry;
  while (ctx.status().ok()) {
    bool heard = false;
    absl::Status ended = co_await Follow(ctx, &heard);
    LOG_DEBUG("the cluster's version is not followed for a while", {"why", ended});
    retry = heard ? kFirstRetry : std::min(2 * retry, kLastRetry);
    if (!(co_await Sleep(ctx, retry)).ok()) co_return;
  }
}

// ------------------------------------------------------------------------------------------------------------ on the leader

void VersionService::Register(Transport* server) {
  server->Handle(kFollow, [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> { co_return co_await Serve(ctx, *stream); });
}

VersionDecision VersionService::Decide() const {
  std::map<uint64_t, VersionOf> versions;
  for (const auto& [node, follower] : here_) versions[node] = follower->version;
  return DecideVersion(versions, members_(), active_);
}

// The row to what all have promised; reads it in any case.
Task<absl::Status> VersionService::Raise(const Context& ctx) {
  auto txn = database_->Begin({});
  auto row = co_await ReadRow(ctx, *txn);
  if (!row.ok()) {
    (void)co_await txn->Rollback(ctx);  // the read's error says more
    co_return row.status();
  }
  active_ = std::max(active_, *row);
  const uint32_t to = Decide().active;
  if (to <= *row) co_return co_await txn->Rollback(ctx);
  v1::ClusterVersionRecord record;
  record.set_version(kRecordVersion);
  record.set_active(to);
  txn->Put(RowKey(), record.SerializeAsString());
  CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
  active_ = std::max(active_, to);
  changed_.NotifyAll();
  co_return absl::OkStatus();
}

// Reports of one node, until its stream ends.
Task<absl::Status> VersionService::Hear(const Context& ctx, MessageStream& stream, uint64_t node_id, const Follower* self) {
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream.Receive(ctx));
    if (!message) co_return absl::OkStatus();
    v1::VersionReport report;
    if (!report.ParseFromString(*message)) co_return absl::InvalidArgumentError("a report of a version does not parse");
    auto it = here_.find(node_id);
    if (it == here_.end() || it->second != self) co_return absl::UnavailableError("a newer stream of the node has taken over");
    it->second->version.promised = std::min(report.promised(), it->second->version.supports);
    changed_.NotifyAll();
  }
}

Task<absl::Status> VersionService::Serve(const Context& ctx, MessageStream& stream) {
  CO_ASSIGN_OR_RETURN(auto message, co_await stream.Receive(ctx));
  v1::VersionReport report;
  if (!message || !report.ParseFromString(*message)) co_return absl::InvalidArgumentError("a report of a version does not parse");
  const uint64_t term = leadership_->Term();
  if (term == 0) co_return absl::UnavailableError("another node leads the system range");
  CO_RETURN_IF_ERROR(co_await Raise(ctx));  // what the row says, before anything is decided by it

  Follower self{{report.supports(), std::min(report.promised(), report.supports())}};
  const uint64_t node_id = report.node_id();
  here_[node_id] = &self;
  changed_.NotifyAll();
  struct Leave {
    VersionService* service;
    uint64_t node_id;
    const Follower* self;
    ~Leave() {
      auto it = service->here_.find(node_id);
      if (it != service->here_.end() && it->second == self) service->here_.erase(it);
    }
  } leave{this, node_id, &self};

  // What may make news wakes one loop.
  Condition woken;
  bool ended = false;
  TaskGroup sources(ctx);
  auto pass_on = [&](Condition& source) -> Task<void> {
    while ((co_await source.Wait(sources.ctx())).ok()) woken.NotifyAll();
  };
  sources.Spawn(pass_on(changed_));
  sources.Spawn(pass_on(leadership_->changed()));
  sources.SpawnFn([&]() -> Task<void> {
    (void)co_await Hear(sources.ctx(), stream, node_id, &self);  // however it ended, the stream is over
    ended = true;
    woken.NotifyAll();
  });
  VersionDecision told{0, 0};
  absl::Status result = absl::UnavailableError("another node leads the system range now");
  while (!ended && leadership_->Term() == term) {
    VersionDecision decision = Decide();
    if (decision.active > active_) {
      if (result = co_await Raise(ctx); !result.ok()) break;
      decision = Decide();
      decision.active = active_;
    }
    if (decision == told) {
      if (result = co_await woken.Wait(ctx); !result.ok()) break;
      continue;
    }
    told = decision;
    if (result = co_await stream.Send(ctx, News(decision).SerializeAsString()); !result.ok()) break;
  }
  sources.Cancel();
  co_await sources.Wait();
  co_return result;
}

}  // namespace insula::kv
