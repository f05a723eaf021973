#include "kv/raft/testing/interaction.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/raft/describe.h"

namespace insula::raft::testing {

namespace {

constexpr std::string_view kLevels[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};

uint64_t Number(const std::string& text) {
  uint64_t value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc() && *rest == 0) << "not a number: " << text;
  return value;
}

bool Flag(const std::string& text) {
  CHECK(text == "true" || text == "false") << "not a boolean: " << text;
  return text == "true";
}

bool StaysHere(const Message& m) { return m.from == m.to || IsLocalTarget(m.from) || IsLocalTarget(m.to); }

std::string WithoutLogs(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    std::string_view body = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    bool log = false;
    for (int level = 0; level <= 3; ++level) log |= body.starts_with(StrCat(kLevels[level], " "));
    if (!log) StrAppend(&out, line, "\n");
  }
  return out;
}

}  // namespace

bool Interaction::SameButForLogs(const std::string& expected, const std::string& actual) {
  std::string want = WithoutLogs(expected), have = WithoutLogs(actual);
  // A command that prints nothing but log lines.
  if (want.empty()) want = "ok\n";
  if (have.empty()) have = "ok\n";
  return want == have;
}

void Interaction::Sink::Line(LogLevel level, std::string_view text) {
  StrAppend(&env_->out_, kLevels[static_cast<int>(level)], " ", text, "\n");
}

std::string Interaction::Handle(const datadriven::Case& c) {
  out_.clear();
  const absl::Status status = Dispatch(c);
  const std::string error(Sv(status.message()));
  if (level_ == kNone) return status.ok() ? "ok" : error;
  if (!status.ok()) StrAppend(&out_, error);
  return out_.empty() ? "ok" : out_;
}

std::vector<size_t> Interaction::Nodes(const datadriven::Case& c) const {
  std::vector<size_t> out;
  for (const std::string& arg : c.Positional()) {
    const uint64_t id = Number(arg);
    CHECK(id >= 1 && id <= nodes_.size()) << "no node " << id;
    out.push_back(id - 1);
  }
  return out;
}

absl::Status Interaction::Dispatch(const datadriven::Case& c) {
  const std::string& name = c.command;
  auto first = [&]() -> Node& { return At(Number(c.args.at(0).key) - 1); };
  auto second = [&] { return Number(c.args.at(1).key); };
  if (name == "add-nodes") return AddNodes(c);
  if (name == "campaign") return first().raw->Campaign();
  if (name == "compact") {
    RETURN_IF_ERROR(first().storage.Compact(second()));
    PrintLog(Number(c.args.at(0).key) - 1);
    return absl::OkStatus();
  }
  if (name == "deliver-msgs") return DeliverMessages(c);
  if (name == "process-ready") return ForEach(c, "handling Ready", [this](size_t n) { return ProcessReady(n); });
  if (name == "process-append-thread") {
    return ForEach(c, "processing append thread", [this](size_t n) { return ProcessAppendThread(n); });
  }
  if (name == "process-apply-thread") {
    return ForEach(c, "processing apply thread", [this](size_t n) { return ProcessApplyThread(n); });
  }
  if (name == "log-level") return SetLogLevel(c.args.at(0).key);
  if (name == "raft-log") {
    PrintLog(Number(c.args.at(0).key) - 1);
    return absl::OkStatus();
  }
  if (name == "raft-state") {
    for (const auto& node : nodes_) {
      const Status s = node->raw->GetStatus();
      StrAppend(&out_, s.basic.id, ": ", StateTypeName(s.basic.soft_state.state),
                s.config.voters.contains(s.basic.id) ? " (Voter)" : " (Non-Voter)", " Term:", s.basic.hard_state.term,
                " Lead:", s.basic.soft_state.lead, "\n");
    }
    return absl::OkStatus();
  }
  if (name == "set-randomized-election-timeout") {
    first().raw->raft().SetRandomizedElectionTimeout(static_cast<int>(Number(c.Get("timeout"))));
    return absl::OkStatus();
  }
  if (name == "stabilize") return Stabilize(c);
  if (name == "status") {
    StrAppend(&out_, tracker::ProgressMapToString(first().raw->GetStatus().progress));
    return absl::OkStatus();
  }
  if (name == "tick-election" || name == "tick-heartbeat") {
    Node& n = first();
    for (int i = 0; i < (name == "tick-election" ? n.config.election_tick : n.config.heartbeat_tick); ++i)
      n.raw->Tick();
    return absl::OkStatus();
  }
  if (name == "transfer-leadership") {
    At(Number(c.Get("from")) - 1).raw->TransferLeader(Number(c.Get("to")));
    return absl::OkStatus();
  }
  if (name == "forget-leader") return first().raw->ForgetLeader();
  if (name == "send-snapshot") return SendSnapshot(Number(c.args.at(0).key), second());
  if (name == "propose") return first().raw->Propose(c.args.at(1).key);
  if (name == "propose-conf-change") return ProposeConfChange(c);
  if (name == "report-unreachable") {
    first().raw->ReportUnreachable(second());
    return absl::OkStatus();
  }
  return absl::UnimplementedError(StrCat("unknown command ", name));
}

absl::Status Interaction::SetLogLevel(const std::string& name) {
  for (int i = 0; i <= kNone; ++i) {
    if (AsciiLower(kLevels[i]) == AsciiLower(name)) {
      level_ = i;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError("log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]");
}

absl::Status Interaction::AddNodes(const datadriven::Case& c) {
  Config config;
  config.election_tick = 3;
  config.max_inflight_msgs = std::numeric_limits<int>::max();
  config.random = [](uint64_t) { return uint64_t{0}; };
  config.log = &sink_;
  Snapshot start;
  bool bootstrap = false;
  const uint64_t count = Number(c.args.at(0).key);
  for (const datadriven::Arg& arg : c.args) {
    for (const std::string& v : arg.values) {
      bootstrap |= arg.key == "voters" || arg.key == "learners" || arg.key == "index" || arg.key == "content";
      if (arg.key == "voters")
        start.metadata.conf_state.voters.push_back(Number(v));
      else if (arg.key == "learners")
        start.metadata.conf_state.learners.push_back(Number(v));
      else if (arg.key == "index")
        start.metadata.index = config.applied = Number(v);
      else if (arg.key == "content")
        start.data = v;
      else if (arg.key == "inflight")
        config.max_inflight_msgs = static_cast<int>(Number(v));
      else if (arg.key == "async-storage-writes")
        config.async_storage_writes = Flag(v);
      else if (arg.key == "prevote")
        config.pre_vote = Flag(v);
      else if (arg.key == "checkquorum")
        config.check_quorum = Flag(v);
      else if (arg.key == "max-committed-size-per-ready")
        config.max_committed_size_per_ready = Number(v);
      else if (arg.key == "disable-conf-change-validation")
        config.disable_conf_change_validation = Flag(v);
      else if (arg.key == "step-down-on-removal")
        config.step_down_on_removal = Flag(v);
      else if (arg.key == "read-only" && v == "safe")
        config.read_only_option = ReadOnlyOption::kSafe;
      else if (arg.key == "read-only" && v == "lease-based")
        config.read_only_option = ReadOnlyOption::kLeaseBased;
      else
        return absl::UnimplementedError(StrCat("unknown option ", arg.key, "=", v));
    }
  }
  if (bootstrap) {
    if (start.metadata.index <= 1) return absl::InvalidArgumentError("index must be specified as > 1 due to bootstrap");
    start.metadata.term = 1;
  }
  const auto snapshot = std::make_shared<const Snapshot>(start);
  for (uint64_t i = 0; i < count; ++i) {
    auto node = std::make_unique<Node>();
    if (bootstrap) node->storage.ApplySnapshot(snapshot);
    node->storage.history.push_back(snapshot);
    node->config = config;
    node->config.id = nodes_.size() + 1;
    node->config.storage = &node->storage;
    node->raw = std::make_unique<RawNode>(node->config);
    nodes_.push_back(std::move(node));
  }
  return absl::OkStatus();
}

int Interaction::Deliver(NodeId to, bool drop, std::optional<MessageType> type) {
  std::vector<Message> matching, rest;
  for (Message& m : messages_) {
    // What a node tells its own storage, or itself, is never lost.
    const bool mine = m.to == to && !(drop && StaysHere(m)) && (!type || m.type == *type);
    (mine ? matching : rest).push_back(std::move(m));
  }
  messages_ = std::move(rest);
  for (Message& m : matching) {
    StrAppend(&out_, drop ? "dropped: " : "", Describe(m), "\n");
    if (drop) continue;
    if (absl::Status s = At(to - 1).raw->Step(std::move(m)); !s.ok()) StrAppend(&out_, Sv(s.message()), "\n");
  }
  return static_cast<int>(matching.size());
}

bool Interaction::HasMessagesTo(NodeId to) const {
  return std::any_of(messages_.begin(), messages_.end(), [to](const Message& m) { return m.to == to; });
}

absl::Status Interaction::DeliverMessages(const datadriven::Case& c) {
  std::optional<MessageType> type;
  for (int i = 0; i < kMessageTypes && c.Has("type"); ++i) {
    if (MessageTypeName(static_cast<MessageType>(i)) == c.Get("type")) type = static_cast<MessageType>(i);
  }
  if (c.Has("type") && !type) return absl::InvalidArgumentError(StrCat("unknown message type ", c.Get("type")));
  int delivered = 0;
  for (const datadriven::Arg& arg : c.args) {
    if (!arg.has_values) delivered += Deliver(Number(arg.key), /*drop=*/false, type);
    if (arg.key != "drop") continue;
    for (const std::string& id : arg.values) delivered += Deliver(Number(id), /*drop=*/true, type);
  }
  if (delivered == 0) StrAppend(&out_, "no messages\n");
  return absl::OkStatus();
}

absl::Status Interaction::ProposeConfChange(const datadriven::Case& c) {
  RawNode& raw = *At(Number(c.args.at(0).key) - 1).raw;
  ConfChangeV2 change;
  if (!ParseConfChanges(c.input, &change.changes)) return absl::InvalidArgumentError("unknown input");
  const std::string transition = c.Get("transition", "auto");
  if (transition == "implicit") {
    change.transition = ConfChangeTransition::kJointImplicit;
  } else if (transition == "explicit") {
    change.transition = ConfChangeTransition::kJointExplicit;
  } else if (transition != "auto") {
    return absl::InvalidArgumentError(StrCat("unknown transition ", transition));
  }
  if (!Flag(c.Get("v1", "false"))) return raw.ProposeConfChange(change);
  if (change.changes.size() != 1) return absl::InvalidArgumentError("v1 conf change can only have one operation");
  return raw.ProposeConfChangeV1(change.changes[0]);
}

absl::Status Interaction::SendSnapshot(NodeId from, NodeId to) {
  Node& node = At(from - 1);
  Message m{.type = MessageType::kSnap, .to = to, .from = from, .term = node.raw->GetBasicStatus().hard_state.term};
  ASSIGN_OR_RETURN(m.snapshot, node.storage.GetSnapshot(to));
  StrAppend(&out_, Describe(m), "\n");
  messages_.push_back(std::move(m));
  return absl::OkStatus();
}

absl::Status Interaction::ForEach(const datadriven::Case& c, std::string_view what,
                                  const std::function<absl::Status(size_t)>& f) {
  const std::vector<size_t> nodes = Nodes(c);
  for (size_t n : nodes) {
    if (nodes.size() == 1) return f(n);
    StrAppend(&out_, "> ", n + 1, " ", what, "\n");
    RETURN_IF_ERROR(Indented([&] { return f(n); }));
  }
  return absl::OkStatus();
}

absl::Status Interaction::Indented(const std::function<absl::Status()>& f) {
  std::string outer = std::exchange(out_, {});
  absl::Status status = f();
  for (size_t at = 0; at < out_.size();) {
    const size_t end = std::min(out_.find('\n', at), out_.size());
    StrAppend(&outer, "  ", std::string_view(out_).substr(at, end - at), "\n");
    at = end + 1;
  }
  out_ = std::move(outer);
  return status;
}

absl::Status Interaction::ProcessReady(size_t index) {
  Node& node = At(index);
  Ready rd = node.raw->TakeReady();
  StrAppend(&out_, Describe(rd));
  if (!node.config.async_storage_writes) {
    Write(&node, rd.hard_state ? &*rd.hard_state : nullptr, rd.entries, rd.snapshot);
    Apply(&node, rd.committed_entries);
  }
  for (Message& m : rd.messages) {
    if (!IsLocalTarget(m.to)) {
      messages_.push_back(std::move(m));
    } else {
      CHECK(node.config.async_storage_writes);
      (m.to == kLocalAppendThread ? node.append_work : node.apply_work).push_back(std::move(m));
    }
  }
  if (!node.config.async_storage_writes) node.raw->Advance();
  return absl::OkStatus();
}

absl::Status Interaction::ProcessAppendThread(size_t index) {
  Node& node = At(index);
  if (node.append_work.empty()) {
    StrAppend(&out_, "no append work to perform");
    return absl::OkStatus();
  }
  Message m = std::move(node.append_work.front());
  node.append_work.pop_front();
  const std::vector<Message> responses = std::exchange(m.responses, {});
  StrAppend(&out_, "Processing:\n", Describe(m), "\n");
  const HardState state{.term = m.term, .vote = m.vote, .commit = m.commit, .lead = m.lead, .lead_epoch = m.lead_epoch};
  Write(&node, m.term ? &state : nullptr, m.entries, m.snapshot);
  StrAppend(&out_, "Responses:\n");
  for (const Message& r : responses) {
    StrAppend(&out_, Describe(r), "\n");
    messages_.push_back(r);
  }
  return absl::OkStatus();
}

absl::Status Interaction::ProcessApplyThread(size_t index) {
  Node& node = At(index);
  if (node.apply_work.empty()) {
    StrAppend(&out_, "no apply work to perform");
    return absl::OkStatus();
  }
  Message m = std::move(node.apply_work.front());
  node.apply_work.pop_front();
  const std::vector<Message> responses = std::exchange(m.responses, {});
  StrAppend(&out_, "Processing:\n", Describe(m), "\n");
  Apply(&node, m.entries);
  StrAppend(&out_, "Responses:\n");
  for (const Message& r : responses) {
    StrAppend(&out_, Describe(r), "\n");
    messages_.push_back(r);
  }
  return absl::OkStatus();
}

void Interaction::Write(Node* node, const HardState* state, const std::vector<Entry>& entries,
                        const SnapshotPtr& snapshot) {
  if (state) node->storage.SetHardState(*state);
  if (snapshot) {
    CHECK(entries.empty()) << "a snapshot and entries at the same time";
    node->storage.ApplySnapshot(snapshot);
    node->storage.history.push_back(snapshot);
  }
  node->storage.Append(entries);
}

void Interaction::Apply(Node* node, const std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    Snapshot next = *node->storage.history.back();
    std::string update;
    if (e.type == EntryType::kNormal) {
      update = e.data.str();
    } else {
      ConfChangeV2 change;
      CHECK(DecodeConfChange(e.data.view(), &change));
      update = change.context;
      next.metadata.conf_state = node->raw->ApplyConfChange(change);
    }
    next.data = StrCat(next.data.view(), update);
    next.metadata.index = e.index;
    next.metadata.term = e.term;
    node->storage.history.push_back(std::make_shared<const Snapshot>(std::move(next)));
  }
}

void Interaction::PrintLog(size_t index) {
  const Store& s = At(index).storage;
  if (s.LastIndex() < s.FirstIndex()) {
    StrAppend(&out_, "log is empty: first index=", s.FirstIndex(), ", last index=", s.LastIndex());
    return;
  }
  StrAppend(&out_, Describe(*s.Entries(s.FirstIndex(), s.LastIndex() + 1, kNoLimit)));
}

absl::Status Interaction::Stabilize(const datadriven::Case& c) {
  std::vector<size_t> nodes = Nodes(c);
  if (nodes.empty()) {
    for (size_t i = 0; i < nodes_.size(); ++i) nodes.push_back(i);
  }
  if (!c.Has("log-level")) return StabilizeNodes(nodes);
  const int before = level_;
  RETURN_IF_ERROR(SetLogLevel(c.Get("log-level")));
  const absl::Status status = StabilizeNodes(nodes);
  if (level_ == kNone && status.ok()) out_.clear();  // the whole command is silent
  level_ = before;
  return status;
}

absl::Status Interaction::StabilizeNodes(const std::vector<size_t>& nodes) {
  for (bool done = false; !done;) {
    done = true;
    auto work = [&](size_t n, std::string_view what, const std::function<absl::Status()>& f) {
      StrAppend(&out_, "> ", n + 1, " ", what, "\n");
      done = false;
      return Indented(f);
    };
    for (size_t n : nodes) {
      if (At(n).raw->HasReady()) RETURN_IF_ERROR(work(n, "handling Ready", [&] { return ProcessReady(n); }));
    }
    for (size_t n : nodes) {
      if (!HasMessagesTo(n + 1)) continue;
      RETURN_IF_ERROR(work(n, "receiving messages", [&] {
        Deliver(n + 1, /*drop=*/false, std::nullopt);
        return absl::OkStatus();
      }));
    }
    for (size_t n : nodes) {
      if (At(n).append_work.empty()) continue;
      RETURN_IF_ERROR(work(n, "processing append thread", [&]() -> absl::Status {
        while (!At(n).append_work.empty()) RETURN_IF_ERROR(ProcessAppendThread(n));
        return absl::OkStatus();
      }));
    }
    for (size_t n : nodes) {
      if (At(n).apply_work.empty()) continue;
      RETURN_IF_ERROR(work(n, "processing apply thread", [&]() -> absl::Status {
        while (!At(n).apply_work.empty()) RETURN_IF_ERROR(ProcessApplyThread(n));
        return absl::OkStatus();
      }));
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::raft::testing
