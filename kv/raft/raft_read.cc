// Linearizable reads: the commit index at which a read may be served.
#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

void Raft::HandleReadIndex(Message& m) {
  CHECK(!m.entries.empty()) << "a read index request without bytes";
  if (tracker_.IsSingleton()) {
    ConfirmRead(m, log_.committed());
    return;
  }
  // Before it has committed an entry of its own term a leader does not know what is committed.
  if (!CommittedInCurrentTerm()) {
    pending_reads_.push_back(std::move(m));
    return;
  }
  AnswerReadIndex(std::move(m));
}

void Raft::AnswerReadIndex(Message m) {
  if (read_only_option_ == ReadOnlyOption::kLeaseBased) {
    ConfirmRead(m, log_.committed());
    return;
  }
  const std::string context = m.entries.front().data.str();
  read_only_.Add(log_.committed(), std::move(m), id_);
  BroadcastHeartbeat(context);
}

void Raft::ReleasePendingReads() {
  if (pending_reads_.empty() || !CommittedInCurrentTerm()) return;
  std::vector<Message> reads = std::exchange(pending_reads_, {});
  for (Message& m : reads) AnswerReadIndex(std::move(m));
}

void Raft::ConfirmRead(const Message& request, uint64_t index) {
  if (request.from == kNone || request.from == id_) {
    read_states_.push_back({index, request.entries.front().data.str()});
    return;
  }
  Send({.type = MessageType::kReadIndexResp, .to = request.from, .index = index, .entries = request.entries});
}

}  // namespace insula::raft
