// A small cluster that obeys the commands of etcd/raft's interaction files and prints what happens.
//
// Commands: add-nodes, campaign, compact, deliver-msgs, forget-leader, log-level, process-append-thread,
// process-apply-thread, process-ready, propose, propose-conf-change, raft-log, raft-state, report-unreachable,
// send-snapshot, set-randomized-election-timeout, stabilize, status, tick-election, tick-heartbeat,
// transfer-leadership. The state machine appends each entry's data to a string, which is the content of snapshots.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_TESTING_INTERACTION_H_
#define INSULA_KV_RAFT_TESTING_INTERACTION_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/datadriven/datadriven.h"
#include "kv/raft/memory_storage.h"
#include "kv/raft/raft.h"
#include "kv/raft/raw_node.h"

namespace insula::raft::testing {

class Interaction {
 public:
  // What the case prints: "ok" for nothing.
  std::string Handle(const datadriven::Case& c);
  // Equal but for log lines.
  static bool SameButForLogs(const std::string& expected, const std::string& actual);

 private:
  enum Level { kDebug, kInfo, kWarn, kError, kFatal, kNone };

  class Sink : public LogSink {
   public:
    explicit Sink(Interaction* env) : env_(env) {}
    bool Wants(LogLevel level) const override { return static_cast<int>(level) >= env_->level_; }
    void Line(LogLevel level, std::string_view text) override;

   private:
    Interaction* env_;
  };

  // Gives the newest applied state as snapshot.
  class Store : public MemoryStorage {
   public:
    absl::StatusOr<SnapshotPtr> GetSnapshot(NodeId to) override { return history.back(); }
    std::vector<SnapshotPtr> history;
  };

  struct Node {
    Store storage;
    Config config;
    std::unique_ptr<RawNode> raw;
    std::deque<Message> append_work;
    std::deque<Message> apply_work;
  };

  absl::Status Dispatch(const datadriven::Case& c);
  absl::Status AddNodes(const datadriven::Case& c);
  absl::Status DeliverMessages(const datadriven::Case& c);
  absl::Status ProposeConfChange(const datadriven::Case& c);
  absl::Status Stabilize(const datadriven::Case& c);
  absl::Status StabilizeNodes(const std::vector<size_t>& nodes);
  absl::Status SetLogLevel(const std::string& name);
  absl::Status SendSnapshot(NodeId from, NodeId to);

  absl::Status ForEach(const datadriven::Case& c, std::string_view what, const std::function<absl::Status(size_t)>& f);
  absl::Status ProcessReady(size_t node);
  absl::Status ProcessAppendThread(size_t node);
  absl::Status ProcessApplyThread(size_t node);
  void Write(Node* node, const HardState* state, const std::vector<Entry>& entries, const SnapshotPtr& snapshot);
  void Apply(Node* node, const std::vector<Entry>& entries);
  void PrintLog(size_t node);
  int Deliver(NodeId to, bool drop, std::optional<MessageType> type);
  bool HasMessagesTo(NodeId to) const;
  absl::Status Indented(const std::function<absl::Status()>& f);
  // Node numbers given alone, as indexes; CHECK-fails if there is none such.
  std::vector<size_t> Nodes(const datadriven::Case& c) const;
  Node& At(size_t index) { return *nodes_.at(index); }

  Sink sink_{this};
  int level_ = kDebug;
  std::string out_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Message> messages_;
};

}  // namespace insula::raft::testing

#endif  // INSULA_KV_RAFT_TESTING_INTERACTION_H_
