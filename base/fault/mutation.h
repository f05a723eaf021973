// Deliberate bugs, compiled in everywhere and off everywhere: a simulation switches one on to show that its checks would see it.
//
//   if (fault::On(fault::Mutation::kDropTimestampCache)) return;      // in kv/, one line where the bug would be
//   ScopedMutation bug(fault::Mutation::kDropTimestampCache);         // base/fault/testing, which only tests can link
//
// Cost where it is off: one load of a word that never changes, one test of a bit.
// Thread safety: read by any thread; set while no other runs.
#ifndef INSULA_BASE_FAULT_MUTATION_H_
#define INSULA_BASE_FAULT_MUTATION_H_

#include <cstdint>
#include <string_view>

namespace insula::fault {

enum class Mutation : uint8_t {
  kSkipFsync,           // a new log segment's name is not synced
  kReadWithoutLease,    // a leader serves although its support has lapsed
  kDropTimestampCache,  // writes do not go above what was read
  kCountQuorumWrongly,  // a leader's own acknowledgement commits an entry
  kForgetLock,          // a lock that was granted is not remembered
  kApplyTwice,          // a request of unknown fate is sent again whatever it is
  kTruncateEarly,       // the log forgets what the state engine has not flushed
  kZombieWrites,        // a pod of a replaced generation is admitted
  kIgnoreUncertainty,   // a reader trusts its own node's clock about other nodes' writes
  kSkipRefresh,         // reads are not checked again when the timestamp moves
  kForgetRollback,      // writes after a savepoint survive its rollback
  kLoseAbortMarker,     // asking for an outcome does not keep a late commit away
  kForgetReads,         // a new lease does not know what the former one served
  kAnswerEarly,         // a commit is acknowledged before the clock has reached its timestamp
  kForgetDataSync,      // what was appended to a file is called durable, and is not
};
inline constexpr int kMutations = 15;

namespace internal {
inline constinit uint32_t switched_on = 0;
}

inline bool On(Mutation mutation) { return ((internal::switched_on >> static_cast<int>(mutation)) & 1u) != 0; }

// As in the enum, in words: "drop-timestamp-cache".
std::string_view NameOf(Mutation mutation);

}  // namespace insula::fault

#endif  // INSULA_BASE_FAULT_MUTATION_H_
