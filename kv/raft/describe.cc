#include "kv/raft/describe.h"

#include "base/strings.h"

namespace insula::raft {

namespace {

std::string Target(NodeId id) {
  if (id == kNone) return "None";
  if (id == kLocalAppendThread) return "AppendThread";
  if (id == kLocalApplyThread) return "ApplyThread";
  char hex[17];
  auto end = std::to_chars(hex, hex + sizeof(hex), id, 16).ptr;
  return std::string(hex, end);
}

std::string Quote(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (unsigned char c : bytes) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c >= 0x7f) {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

std::string List(const std::vector<NodeId>& ids) { return StrCat("[", StrJoin(ids, " "), "]"); }

void AppendEntries(std::string* out, const std::vector<Entry>& entries, std::string_view indent) {
  if (entries.empty()) return;
  StrAppend(out, " Entries:[");
  if (entries.size() == 1) {
    StrAppend(out, Describe(entries[0]));
  } else {
    for (const Entry& e : entries) StrAppend(out, "\n", indent, "  ", Describe(e));
    StrAppend(out, "\n", indent);
  }
  StrAppend(out, "]");
}

}  // namespace

std::string Describe(const Entry& entry) {
  std::string out = StrCat(entry.term, "/", entry.index);
  if (entry.type == EntryType::kNormal) return StrCat(out, " EntryNormal ", Quote(entry.data.view()));
  StrAppend(&out, entry.type == EntryType::kConfChange ? " EntryConfChange" : " EntryConfChangeV2");
  ConfChangeV2 change;
  if (!DecodeConfChange(entry.data.view(), &change)) return StrCat(out, " <damaged>");
  std::string text = ConfChangesToString(change.changes);
  if (!text.empty()) StrAppend(&out, " ", text);
  return out;
}

std::string Describe(const HardState& state) {
  std::string out = StrCat("Term:", state.term);
  if (state.vote != kNone) StrAppend(&out, " Vote:", state.vote);
  StrAppend(&out, " Commit:", state.commit);
  if (state.lead_epoch != 0) StrAppend(&out, " Bond:", state.lead, "@", state.lead_epoch);
  return out;
}

std::string Describe(const SoftState& state) {
  return StrCat("Lead:", state.lead, " State:", StateTypeName(state.state));
}

std::string Describe(const ConfState& state) {
  return StrCat("Voters:", List(state.voters), " VotersOutgoing:", List(state.voters_outgoing),
                " Learners:", List(state.learners), " LearnersNext:", List(state.learners_next),
                " AutoLeave:", state.auto_leave);
}

std::string Describe(const Snapshot& snapshot) {
  return StrCat("Index:", snapshot.metadata.index, " Term:", snapshot.metadata.term,
                " ConfState:", Describe(snapshot.metadata.conf_state));
}

std::string Describe(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& e : entries) StrAppend(&out, Describe(e), "\n");
  return out;
}

std::string Describe(const Message& m, std::string_view indent) {
  std::string out = StrCat(Target(m.from), "->", Target(m.to), " ", MessageTypeName(m.type), " Term:", m.term,
                           " Log:", m.log_term, "/", m.index);
  if (m.reject) StrAppend(&out, " Rejected (Hint: ", m.reject_hint, ")");
  if (m.commit != 0) StrAppend(&out, " Commit:", m.commit);
  if (m.vote != kNone) StrAppend(&out, " Vote:", m.vote);
  if (m.lead_epoch != 0) StrAppend(&out, " Epoch:", m.lead_epoch);
  AppendEntries(&out, m.entries, indent);
  if (m.snapshot && !m.snapshot->empty()) StrAppend(&out, "\n", indent, "  Snapshot: ", Describe(*m.snapshot));
  if (!m.responses.empty()) {
    const std::string deeper = StrCat(indent, "  ");
    StrAppend(&out, " Responses:[");
    for (const Message& r : m.responses) StrAppend(&out, "\n", deeper, Describe(r, deeper));
    StrAppend(&out, "\n", indent, "]");
  }
  return out;
}

std::string Describe(const Ready& ready) {
  std::string out;
  if (ready.soft_state) StrAppend(&out, Describe(*ready.soft_state), "\n");
  if (ready.hard_state) StrAppend(&out, "HardState ", Describe(*ready.hard_state), "\n");
  if (!ready.read_states.empty()) {
    StrAppend(&out, "ReadStates");
    for (const ReadState& r : ready.read_states) StrAppend(&out, " ", r.index, ":", Quote(r.request));
    StrAppend(&out, "\n");
  }
  if (!ready.entries.empty()) StrAppend(&out, "Entries:\n", Describe(ready.entries));
  if (ready.snapshot) StrAppend(&out, "Snapshot ", Describe(*ready.snapshot), "\n");
  if (!ready.committed_entries.empty()) StrAppend(&out, "CommittedEntries:\n", Describe(ready.committed_entries));
  if (!ready.messages.empty()) {
    StrAppend(&out, "Messages:\n");
    for (const Message& m : ready.messages) StrAppend(&out, Describe(m), "\n");
  }
  if (out.empty()) return "<empty Ready>";
  return StrCat("Ready MustSync=", ready.must_sync, ":\n", out);
}

}  // namespace insula::raft
