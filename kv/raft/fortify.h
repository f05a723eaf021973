// Leader leases without messages: a leader that its followers' stores stand behind.
//
// Stores promise each other support (StoreLivenessView, config.h). When a leader is elected it asks every replica to
// bind itself to this leader for as long as the replica's store supports the leader's store, in the epoch of the
// moment:
//
//   leader (term t)                            follower
//     kFortify        ------------------------->  store supports the leader's store in epoch e:
//                                                 bond = (leader, e), durable with the hard state
//     bound[f] = e    <--- kFortifyResp(e) ------
//        . . . nothing more; the stores' heartbeats, shared by all groups, extend the expiry . . .
//     steps down:
//     kDeFortify(t, hlc) ---------------------->  bond = none, Hlc() raised to hlc
//                     <--- kDeFortifyResp -------
//
// A replica with a bond is *bound* while its store supports the epoch. LeadSupportUntil() is the timestamp that a
// quorum, in both halves of a joint configuration, has reached, each replica f counting with SupportFrom(f).expiration
// if that support is of the epoch bound[f], and with zero otherwise.
//
// What a replica does (config.liveness set):
//   F1  Bound, it neither campaigns, nor votes, nor pre-votes, nor takes a higher term from anyone but a leader. A
//       message of a leader of a higher term ends the bond: that leader was elected by a quorum.
//   F2  It answers kFortifyResp(e) only when the bond is durable, and binds itself only to the leader of its own
//       term. After a restart it is bound as before (config.h V3 keeps the epoch supported for a full interval).
//   F3  The leader binds itself like any other replica, to its own store's epoch. While LeadSupportUntil() has not
//       passed on its own clock it refuses votes; it may step down at any time, and then serves no more.
//   F4  A leader that stops leading in term t sends kDeFortify(t) to every replica that it ever asked in t, until
//       answered, or until support of this store by the other has lapsed, or the other left the configuration. A
//       replica that refuses a vote or an election because it is bound tells its leader so (kFortifyResp); whoever
//       does not lead that term answers kDeFortify. So no bond outlives a leadership for lack of a message, even if
//       the leader's replica is gone (RawNode::ReleaseFor).
//   F5  kTimeoutNow ends leadership at once, releases the transferee, and its election's votes (kTransferContext)
//       release the replicas that are bound in the term before.
//   F6  Every message between replicas carries the sender's Hlc(), which is at or above its clock and every timestamp
//       it served; the receiver raises its own. A replica votes only with a clock that has passed the expiry of each
//       promise it gave (its store withdraws no earlier), or with a Hlc() that was raised by the release. So lease_floor() of an
//       elected leader, the largest Hlc() among its votes, is above every timestamp that an earlier leader served.
//   F7  Quorums of configurations two changes apart need not meet. So no change is proposed (and no joint
//       configuration left) until LeadSupportUntil() in the present configuration has reached everything that was
//       returned before, or that has passed on the leader's clock. A change that would leave the leader without a
//       vote is refused: hand over first. A joint configuration that its leader is not to outlast is handed over to a
//       voter of the new one, then left.
//   F8  With Config::synced_conf_changes, S1 and S2 (config.h): a restart never falls back to an older configuration
//       than one that was acted upon.
//   F9  A replica that is bound after a start says so (kFortifyResp), until its leader answers: what it was told to be
//       committed need not have been durable, and a leader that sleeps would never tell it again.
//
// The claim: let L_s lead term s and L_u term u > s. From the moment L_u is elected, each timestamp for which L_s still
// might find now < LeadSupportUntil() - maximum offset is below lease_floor() of L_u, and no clock within the maximum
// offset of the voters' has such a `now`. Proof sketch: let Q be a quorum behind the value that L_s uses and V the
// voters of L_u; some v is in both (F7, F8). When v voted it was not bound to L_s (F1). Either its store had withdrawn
// the epoch, so v's clock had passed the expiry, which is at or above the value; an epoch once withdrawn never comes
// back (V2), so L_s's value can never rise above that expiry by v. Or it was released, by L_s (F4, F5), which then
// serves no more, and whose Hlc() came along. Or it followed a leader of a term between, of which the same holds by
// induction, and whose messages carried its Hlc() (F6).
//
// Not promised: a lease at all. Where no quorum of stores supports the leader's store, or between election and the
// first answers, LeadSupportUntil() is zero or past, and the driver must not serve.
#ifndef INSULA_KV_RAFT_FORTIFY_H_
#define INSULA_KV_RAFT_FORTIFY_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "kv/raft/config.h"
#include "kv/raft/message.h"
#include "kv/raft/quorum/quorum.h"

namespace insula::raft {

// The leader's side: who is bound to it, and what it told its driver.
class Fortification {
 public:
  void Reset() { *this = Fortification(); }

  void Asked(NodeId id) { asked_.insert(id); }
  void Bound(NodeId id, uint64_t epoch) {
    uint64_t& e = bound_[id];
    e = std::max(e, epoch);
  }
  // 0: not known to be bound.
  uint64_t BoundEpoch(NodeId id) const {
    auto it = bound_.find(id);
    return it == bound_.end() ? 0 : it->second;
  }
  bool any_bound() const { return !bound_.empty(); }
  // Everyone who may be bound.
  const NodeSet& asked() const { return asked_; }

  uint64_t SupportUntil(const quorum::JointConfig& voters, const StoreLivenessView& stores) const {
    return voters.Committed([&](NodeId id) -> std::optional<uint64_t> {
      const uint64_t epoch = BoundEpoch(id);
      if (epoch == 0) return std::nullopt;
      const StoreLivenessView::Received support = stores.SupportFrom(id);
      return support.epoch == epoch ? std::optional(support.expiration) : std::nullopt;
    });
  }

  // The largest value given to the driver in this term.
  void Promise(uint64_t until) { promised_ = std::max(promised_, until); }
  uint64_t promised() const { return promised_; }

 private:
  NodeSet asked_;
  std::map<NodeId, uint64_t> bound_;
  uint64_t promised_ = 0;
};

// A former leader's debt: replicas that may still be bound to it.
struct Release {
  uint64_t term = 0;
  uint64_t hlc = 0;
  NodeSet pending;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_FORTIFY_H_
