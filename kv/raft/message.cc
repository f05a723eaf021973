#include "kv/raft/message.h"

namespace insula::raft {

const std::string& Payload::Empty() {
  static const std::string empty;
  return empty;
}

namespace {

uint64_t VarintSize(uint64_t v) {
  uint64_t size = 1;
  for (; v >= 0x80; v >>= 7) ++size;
  return size;
}

struct TypeInfo {
  std::string_view name;
  bool local;
  bool response;
};

constexpr TypeInfo kTypes[kMessageTypes] = {
    {"MsgHup", true, false},
    {"MsgBeat", true, false},
    {"MsgProp", false, false},
    {"MsgCheckQuorum", true, false},
    {"MsgUnreachable", true, true},
    {"MsgSnapStatus", true, false},
    {"MsgTransferLeader", false, false},
    {"MsgForgetLeader", false, false},
    {"MsgReadIndex", false, false},
    {"MsgReadIndexResp", false, true},
    {"MsgApp", false, false},
    {"MsgAppResp", false, true},
    {"MsgSnap", false, false},
    {"MsgHeartbeat", false, false},
    {"MsgHeartbeatResp", false, true},
    {"MsgVote", false, false},
    {"MsgVoteResp", false, true},
    {"MsgPreVote", false, false},
    {"MsgPreVoteResp", false, true},
    {"MsgTimeoutNow", false, false},
    {"MsgFortify", false, false},
    // Not a "response": it must be answered even when its sender left the configuration.
    {"MsgFortifyResp", false, false},
    {"MsgDeFortify", false, false},
    {"MsgDeFortifyResp", false, false},
    {"MsgStorageAppend", true, false},
    {"MsgStorageAppendResp", true, true},
    {"MsgStorageApply", true, false},
    {"MsgStorageApplyResp", true, true},
};

}  // namespace

uint64_t EntrySize(const Entry& entry) {
  uint64_t size = 2 + 1 + VarintSize(entry.term) + 1 + VarintSize(entry.index);
  if (!entry.data.empty()) size += 1 + VarintSize(entry.data.size()) + entry.data.size();
  return size;
}

uint64_t EntriesSize(const std::vector<Entry>& entries) {
  uint64_t size = 0;
  for (const Entry& e : entries) size += EntrySize(e);
  return size;
}

std::string_view MessageTypeName(MessageType type) { return kTypes[static_cast<int>(type)].name; }
bool IsResponse(MessageType type) { return kTypes[static_cast<int>(type)].response; }
bool IsLocal(MessageType type) { return kTypes[static_cast<int>(type)].local; }

}  // namespace insula::raft
