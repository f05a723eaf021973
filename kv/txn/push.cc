#include "kv/txn/push.h"

#include <algorithm>

#include "kv/txn/record.h"

namespace insula::kv {

PushDecision DecidePush(const v1::PushTxnRequest& push, const std::optional<v1::Transaction>& record, bool can_be_created, Timestamp pushed,
                        Timestamp now) {
  PushDecision decision;
  v1::Transaction& pushee = decision.pushee;
  if (record) {
    pushee = *record;
  } else {
    *pushee.mutable_meta() = push.pushee();
    pushee.set_status(can_be_created ? v1::PENDING : v1::ABORTED);
  }
  if (!IsFinished(pushee.status())) {
    pushee.mutable_meta()->set_write_ts(std::max({pushee.meta().write_ts(), push.pushee().write_ts(), pushed.bits}));
  }

  if (IsFinished(pushee.status())) {
    decision.kind = PushDecision::kDone;
    return decision;
  }
  const v1::Transaction* row = record ? &*record : nullptr;
  const bool expired = IsExpired(push.pushee(), row, now);
  if (pushee.status() == v1::STAGING) {
    pushee.mutable_meta()->set_write_ts(record->meta().write_ts());  // what was staged, and nothing else, is to be recovered
    decision.kind = expired ? PushDecision::kRecover : PushDecision::kWait;
    decision.expires = Expiry(push.pushee(), row);
    return decision;
  }
  if (expired) {
    decision.kind = PushDecision::kAbort;
    pushee.set_status(v1::ABORTED);
    return decision;
  }
  const bool stronger = push.pusher().priority() > push.pushee().priority();
  if (push.kind() == v1::PUSH_TIMESTAMP) {
    if (pushee.meta().write_ts() >= push.push_to()) {
      decision.kind = PushDecision::kDone;
      return decision;
    }
    if (stronger || push.pushee().isolation() != v1::SERIALIZABLE) {
      decision.kind = PushDecision::kMove;
      pushee.mutable_meta()->set_write_ts(push.push_to());
      return decision;
    }
  } else if (push.kind() == v1::PUSH_ABORT && stronger) {
    decision.kind = PushDecision::kAbort;
    pushee.set_status(v1::ABORTED);
    return decision;
  }
  decision.kind = PushDecision::kWait;
  decision.expires = Expiry(push.pushee(), row);
  return decision;
}

}  // namespace insula::kv
