// Transactions whose coordinator went away, seen from whoever meets what they left.
//
// Push: asks the record's leaseholder, and if the record is STAGING, finds out what became of the transaction:
//
//   STAGING with in-flight writes w1, w2 ──► QueryIntent(wi, prevent) at each
//        all there  ──► RecoverTxn(implicitly committed): COMMITTED
//        one is not ──► it never will be now (the timestamp cache sees to it) ──► RecoverTxn: ABORTED
//
// A lock that is to be replicated with the commit counts like a write; where it is not there, its unreplicated lock is dropped, and
// that it was lost is found out when it is to be replicated. What was found holds for the timestamp of the record that was looked at:
// one that is STAGING at another by then is left alone.
// A coordinator that is alive after all does the same thing by itself; whoever comes second finds the record finished.
#ifndef INSULA_KV_TXN_RECOVERY_H_
#define INSULA_KV_TXN_RECOVERY_H_

#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/sender.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Pushes until the pushee is finished, moved, or (without push.wait) known to live: then a LockConflict error.
Task<absl::StatusOr<v1::Transaction>> PushTxn(const Context& ctx, Sender& sender, v1::PushTxnRequest push);

// The outcome of a STAGING transaction, settled for good.
Task<absl::StatusOr<v1::Transaction>> RecoverTxn(const Context& ctx, Sender& sender, v1::Transaction staging);

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_RECOVERY_H_
