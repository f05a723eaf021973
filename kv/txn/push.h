// What a push does to its pushee: the decision, without doing it.
//
//   pushee                             | TOUCH | TIMESTAMP                         | ABORT
//   -----------------------------------+-------+-----------------------------------+------------------------
//   committed, aborted, or never to be | done  | done                              | done
//   STAGING, alive                     | wait: its coordinator is about to end it
//   STAGING, expired                   | recover first (kv/txn/recovery.h), then again
//   expired                            | abort | abort                             | abort
//   alive                              | wait  | move it if it is weakly isolated, | abort if the pusher's
//                                      |       | or of lower priority; else wait   | priority is higher; else wait
//
// "Never to be": there is no record, and none can be made (CanCreateRecord), so nothing of it can ever commit.
// A weakly isolated transaction does not mind a later commit timestamp: its reads need not hold there.
#ifndef INSULA_KV_TXN_PUSH_H_
#define INSULA_KV_TXN_PUSH_H_

#include <optional>

#include "base/hlc/hlc.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct PushDecision {
  enum Kind { kDone, kRecover, kAbort, kMove, kWait } kind = kWait;
  // The pushee as it is, or as it is to become (kAbort, kMove).
  v1::Transaction pushee;
  Timestamp expires;  // kWait: when it expires unless it is heard of
};

// `record`: nullopt if there is none; then `can_be_created` says whether there may ever be one, and `pushed` how far earlier pushes
// moved it already.
PushDecision DecidePush(const v1::PushTxnRequest& push, const std::optional<v1::Transaction>& record, bool can_be_created, Timestamp pushed,
                        Timestamp now);

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_PUSH_H_
