// Configuration changes as bytes and as text.
#include <charconv>

#include "base/strings.h"
#include "kv/raft/message.h"

namespace insula::raft {

namespace {

constexpr uint8_t kVersion = 1;

void PutVarint(std::string* out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>(v | 0x80));
  out->push_back(static_cast<char>(v));
}

bool GetVarint(std::string_view* in, uint64_t* v) {
  *v = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    *v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

constexpr char kLetters[] = {'v', 'r', 'u', 'l'};  // by ConfChangeType

}  // namespace

bool ConfChangeV2::EntersJoint(bool* auto_leave) const {
  // Asked for, or needed: more than one change might touch more than one voter, and joint is always right.
  if (transition == ConfChangeTransition::kAuto && changes.size() <= 1) return false;
  *auto_leave = transition != ConfChangeTransition::kJointExplicit;
  return true;
}

std::string EncodeConfChange(const ConfChangeV2& change) {
  std::string out;
  if (change == ConfChangeV2{}) return out;
  out.push_back(static_cast<char>(kVersion));
  PutVarint(&out, static_cast<uint64_t>(change.transition));
  PutVarint(&out, change.changes.size());
  for (const ConfChangeSingle& c : change.changes) {
    PutVarint(&out, static_cast<uint64_t>(c.type));
    PutVarint(&out, c.node);
  }
  PutVarint(&out, change.context.size());
  out.append(change.context);
  return out;
}

bool DecodeConfChange(std::string_view data, ConfChangeV2* change) {
  *change = {};
  if (data.empty()) return true;
  if (static_cast<uint8_t>(data.front()) != kVersion) return false;
  data.remove_prefix(1);
  uint64_t transition, count, size;
  if (!GetVarint(&data, &transition) || transition > 2) return false;
  if (!GetVarint(&data, &count) || count > data.size()) return false;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t type, node;
    if (!GetVarint(&data, &type) || type > 3 || !GetVarint(&data, &node)) return false;
    change->changes.push_back({static_cast<ConfChangeType>(type), node});
  }
  if (!GetVarint(&data, &size) || size != data.size()) return false;
  change->transition = static_cast<ConfChangeTransition>(transition);
  change->context = std::string(data);
  return true;
}

bool ParseConfChanges(std::string_view text, std::vector<ConfChangeSingle>* changes) {
  changes->clear();
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ' || text[at] == '\n') {
      ++at;
      continue;
    }
    size_t end = text.find_first_of(" \n", at);
    if (end == std::string_view::npos) end = text.size();
    ConfChangeSingle change;
    size_t letter = std::string_view(kLetters, sizeof(kLetters)).find(text[at]);
    if (letter == std::string_view::npos) return false;
    change.type = static_cast<ConfChangeType>(letter);
    auto [rest, error] = std::from_chars(text.data() + at + 1, text.data() + end, change.node);
    if (error != std::errc() || rest != text.data() + end) return false;
    changes->push_back(change);
    at = end;
  }
  return true;
}

std::string ConfChangesToString(const std::vector<ConfChangeSingle>& changes) {
  std::string out;
  for (const ConfChangeSingle& c : changes) {
    StrAppend(&out, out.empty() ? "" : " ", kLetters[static_cast<int>(c.type)], c.node);
  }
  return out;
}

}  // namespace insula::raft
