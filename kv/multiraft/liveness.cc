#include "kv/multiraft/liveness.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace insula::kv {

namespace {

constexpr int kWithdrawalBits = 24;

Timestamp After(Timestamp t, Duration d) {
  return t.AddMicros(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

}  // namespace

void LivenessWrite::ApplyTo(LivenessState* state) const {
  if (starts) state->starts = *starts;
  for (const auto& [store, record] : given) state->given[store] = record;
}

SupportManager::SupportManager(Options options, const LivenessState& state, Timestamp now)
    : options_(options), starts_(state.starts + 1), now_(now), last_tick_(now), last_sync_(now) {
  CHECK_NE(options_.self, 0u);
  CHECK_LT(starts_, uint64_t{1} << 40);
  for (const auto& [store, record] : state.given) {
    Supporter& s = given_[store];
    s.epoch = record.epoch;
    s.phase = record.withdrawn ? Phase::kWithdrawn : Phase::kPromised;
    s.supported = !record.withdrawn;
    // The expiry was not written down, but no promise reached further than an interval from its moment.
    if (s.supported) s.expiration = s.keep_until = After(now, options_.support_interval);
  }
  output_.write = LivenessWrite{.sequence = next_sequence_++, .starts = starts_, .given = {}};
  AddPeer(options_.self);
}

void SupportManager::AddPeer(StoreId store) {
  Requester& r = asked_[store];
  if (r.epoch != 0) return;
  r.epoch = starts_ << kWithdrawalBits;
  r.next_heartbeat = now_;
}

void SupportManager::RemovePeer(StoreId store) {
  CHECK_NE(store, options_.self);
  auto it = asked_.find(store);
  if (it == asked_.end()) return;
  if (it->second.live) output_.changed.insert(store);
  asked_.erase(it);
}

void SupportManager::Advance(Timestamp now) { now_ = std::max(now_, now); }

// ---- Requester ----

bool SupportManager::SyncedLately() const { return now_ <= After(last_sync_, options_.support_interval); }

bool SupportManager::WantsLogSync(Timestamp now) const {
  return now > After(last_sync_, options_.support_interval / 2);
}

void SupportManager::LogSynced(Timestamp now) {
  Advance(now);
  last_sync_ = now_;
}

void SupportManager::SendHeartbeat(StoreId store, Requester* r) {
  r->next_heartbeat = After(now_, options_.heartbeat_interval);
  Send({.type = LivenessMessage::Type::kHeartbeat,
        .from = options_.self,
        .to = store,
        .epoch = r->epoch,
        .expiration = After(now_, options_.support_interval)});
}

void SupportManager::ReceiveResponse(const LivenessMessage& m) {
  auto it = asked_.find(m.from);
  if (it == asked_.end()) return;
  Requester& r = it->second;
  if (m.epoch < r.epoch) return;  // of an epoch given up
  if (m.epoch > r.epoch) {
    // It will not support us in this epoch (any more): go on in one that it can take. (One of another start was used by
    // an earlier self, whose count of starts was lost.)
    r.epoch = m.epoch + ((m.epoch >> kWithdrawalBits) == starts_ ? 0 : 1);
    r.expiration = {};
    r.next_heartbeat = now_;
  } else {
    r.expiration = std::max(r.expiration, m.expiration);  // answers may overtake each other
  }
  Announce(m.from, &r);
}

void SupportManager::Announce(StoreId store, Requester* r) {
  const bool live = !r->expiration.empty() && now_ <= r->expiration;
  if (live == r->live) return;
  r->live = live;
  output_.changed.insert(store);
}

SupportManager::Received SupportManager::SupportFrom(StoreId store) const {
  auto it = asked_.find(store);
  if (it == asked_.end() || it->second.expiration.empty()) return {};
  return {.epoch = it->second.epoch, .expiration = it->second.expiration};
}

// ---- Supporter ----

void SupportManager::ReceiveHeartbeat(const LivenessMessage& m) {
  Supporter& s = given_[m.from];
  switch (s.phase) {
    case Phase::kAdopting:
    case Phase::kWithdrawing:
      return;  // until that is written; the requester asks again
    case Phase::kNone:
      Adopt(m.from, &s, m);
      return;
    case Phase::kWithdrawn:
      if (m.epoch > s.epoch) {
        Adopt(m.from, &s, m);
      } else {
        Answer(m.from, s.epoch + 1, {});
      }
      return;
    case Phase::kPromised:
      if (m.epoch == s.epoch) {
        Extend(&s, m.expiration);
        Answer(m.from, s.epoch, s.expiration);
      } else if (m.epoch < s.epoch) {
        Answer(m.from, s.epoch, {});  // this is old and the answer without effect, or the requester lost its memory
      } else if (now_ > s.expiration) {
        Adopt(m.from, &s, m);  // in one step with the withdrawal of the old epoch
      }
      return;  // L1: not before the old promise has run out
  }
}

void SupportManager::Extend(Supporter* s, Timestamp asked) {
  s->expiration = std::max(s->expiration, std::min(asked, After(now_, options_.support_interval)));
  s->keep_until = std::max(s->keep_until, s->expiration);
}

void SupportManager::Adopt(StoreId store, Supporter* s, const LivenessMessage& m) {
  s->phase = Phase::kAdopting;
  s->next_epoch = m.epoch;
  s->next_expiration = m.expiration;
  s->write_sequence = Record(store, {.epoch = m.epoch, .withdrawn = false});
}

void SupportManager::Withdraw(StoreId store, Supporter* s) {
  s->phase = Phase::kWithdrawing;
  s->write_sequence = Record(store, {.epoch = s->epoch, .withdrawn = true});
}

uint64_t SupportManager::Record(StoreId store, SupportRecord record) {
  if (!output_.write) output_.write = LivenessWrite{.sequence = next_sequence_++, .starts = {}, .given = {}};
  output_.write->given[store] = record;
  return output_.write->sequence;
}

void SupportManager::Written(uint64_t sequence, Timestamp now) {
  Advance(now);
  start_durable_ = true;  // the first write
  for (auto& [store, s] : given_) {
    if ((s.phase != Phase::kAdopting && s.phase != Phase::kWithdrawing) || s.write_sequence > sequence) continue;
    output_.changed.insert(store);
    if (s.phase == Phase::kWithdrawing) {
      s.phase = Phase::kWithdrawn;
      s.supported = false;
      continue;
    }
    s.phase = Phase::kPromised;
    s.epoch = s.next_epoch;
    s.supported = true;
    s.expiration = s.keep_until = {};
    Extend(&s, s.next_expiration);
    // If the write took long, the next heartbeat shall find support still there.
    s.keep_until = std::max(s.keep_until, After(now_, 2 * options_.heartbeat_interval));
    Answer(store, s.epoch, s.expiration);
  }
}

void SupportManager::Answer(StoreId store, uint64_t epoch, Timestamp expiration) {
  Send({.type = LivenessMessage::Type::kHeartbeatResponse,
        .from = options_.self,
        .to = store,
        .epoch = epoch,
        .expiration = expiration});
}

SupportManager::Given SupportManager::SupportFor(StoreId store) const {
  auto it = given_.find(store);
  if (it == given_.end()) return {};
  return {.epoch = it->second.epoch, .supported = it->second.supported};
}

// ---- Both ----

void SupportManager::Send(LivenessMessage m) {
  if (m.to == options_.self) {
    Receive(m, now_);  // a heartbeat brings an answer, which brings nothing
  } else {
    output_.messages.push_back(m);
  }
}

void SupportManager::Receive(const LivenessMessage& m, Timestamp now) {
  Advance(now);
  if (m.to != options_.self) return;
  if (m.type == LivenessMessage::Type::kHeartbeat) {
    ReceiveHeartbeat(m);
  } else {
    ReceiveResponse(m);
  }
}

void SupportManager::Tick(Timestamp now) {
  Advance(now);
  // After a pause of this process, others' heartbeats wait in its queues: take them before judging. A promise may last
  // longer.
  if (now_ > After(last_tick_, options_.support_interval / 2)) {
    no_withdrawal_before_ = After(now_, 2 * options_.heartbeat_interval);
  }
  last_tick_ = now_;
  for (auto& [store, r] : asked_) {
    Announce(store, &r);
    if (now_ >= r.next_heartbeat && start_durable_ && SyncedLately()) SendHeartbeat(store, &r);
  }
  if (now_ < no_withdrawal_before_) return;
  for (auto& [store, s] : given_) {
    if (s.phase == Phase::kPromised && now_ > s.keep_until) Withdraw(store, &s);
  }
}

Timestamp SupportManager::NextTick() const {
  Timestamp next = After(now_, options_.heartbeat_interval);
  for (const auto& [store, r] : asked_) {
    next = std::min(next, r.next_heartbeat);
    if (r.live) next = std::min(next, r.expiration.Next());
  }
  for (const auto& [store, s] : given_) {
    if (s.phase == Phase::kPromised) next = std::min(next, std::max(s.keep_until.Next(), no_withdrawal_before_));
  }
  return std::max(next, After(now_, std::chrono::milliseconds(1)));
}

SupportManager::Output SupportManager::TakeOutput() { return std::exchange(output_, {}); }

}  // namespace insula::kv
