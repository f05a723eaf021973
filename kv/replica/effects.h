// What an evaluated batch does besides its write set: to the leaseholder's memory, once the write set is applied (or at once, if there
// is none). The batch's latches are held until then.
#ifndef INSULA_KV_REPLICA_EFFECTS_H_
#define INSULA_KV_REPLICA_EFFECTS_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hlc/hlc.h"
#include "kv/api/txn.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct Effects {
  // Spans read at a timestamp: they go into the timestamp cache. end_key empty: the single key. Views into the batch, its answer, or `owned`.
  struct Read {
    std::string_view key;
    std::string_view end_key;
    Timestamp ts;
    bool anonymous = false;  // counts against the transaction itself, too
  };
  std::vector<Read> reads;
  std::deque<std::string> owned;

  struct KeyLock {
    std::string key;
    LockStrength strength;
  };
  std::vector<KeyLock> acquired;  // unreplicated locks of the batch's transaction
  struct KeyWrite {
    std::string key;
    bool intent;
    LockStrength strength;
  };
  std::vector<KeyWrite> replicated;  // its intents and replicated locks

  // Unreplicated locks that are not to be relied on any more: (key, transaction's id).
  std::vector<std::pair<std::string, std::string>> lost;

  // Foreign locks resolved: [key, end_key).
  struct Resolved {
    std::string key;
    std::string end_key;
    v1::Transaction txn;  // what the request says of it
  };
  std::vector<Resolved> resolved;

  // Foreign transactions that are aborted, and what they had written here is taken away (aborted.h).
  std::vector<std::string> aborted;

  // When a commit happens that the answer tells of; empty: it tells of none.
  Timestamp settled;

  // The batch's transaction ended here.
  struct Ended {
    v1::Transaction txn;           // status COMMITTED or ABORTED; meta.write_ts: the commit timestamp
    std::string anchor;            // where its record and outcome are
    std::vector<v1::Span> remote;  // what lies in other ranges
    bool has_record = false;       // there is a COMMITTED record, to be removed when `remote` is resolved
    bool wrote_outcome = false;
  };
  std::optional<Ended> ended;

  // The range's GC threshold from now on: raised before the entry that removes versions under it is proposed. Empty: as it is.
  Timestamp gc_threshold;
  Timestamp gc_policy_floor;  // what is asked for on older knowledge of protected timestamps is refused; empty: as it is
  bool tidy = false;          // clean up after finished and abandoned transactions

  // Timestamps to remember about transactions (markers: "no record may be made", "moved to").
  std::vector<std::pair<std::string, Timestamp>> markers;
  // Transactions whose record changed: pushes that wait for them look again.
  std::vector<std::string> changed_txns;
};

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_EFFECTS_H_
