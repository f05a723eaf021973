// The plain values that consensus exchanges with its driver: entries, snapshots, configurations, hard state and
// messages.
//
// The driver encodes them for the log and for the wire; nothing here knows how. Payloads are shared, not copied:
// copying an Entry or a Message copies no user data.
//
// Thread safety: values; a Payload may be read from several threads.
#ifndef INSULA_KV_RAFT_MESSAGE_H_
#define INSULA_KV_RAFT_MESSAGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace insula::raft {

// One replica of one group. Never reused within a group.
using NodeId = uint64_t;
inline constexpr NodeId kNone = 0;
// Addressees of the local storage messages of Config::async_storage_writes.
inline constexpr NodeId kLocalAppendThread = ~uint64_t{0};
inline constexpr NodeId kLocalApplyThread = ~uint64_t{0} - 1;
inline bool IsLocalTarget(NodeId id) { return id == kLocalAppendThread || id == kLocalApplyThread; }

// Immutable bytes that copies share.
class Payload {
 public:
  Payload() = default;
  Payload(std::string bytes)  // NOLINT: implicit on purpose
      : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}
  Payload(const char* bytes) : Payload(std::string(bytes)) {}  // NOLINT: implicit on purpose

  const std::string& str() const { return bytes_ ? *bytes_ : Empty(); }
  std::string_view view() const { return str(); }
  size_t size() const { return bytes_ ? bytes_->size() : 0; }
  bool empty() const { return size() == 0; }
  friend bool operator==(const Payload& a, const Payload& b) { return a.bytes_ == b.bytes_ || a.str() == b.str(); }

 private:
  static const std::string& Empty();
  std::shared_ptr<const std::string> bytes_;
};

enum class EntryType : uint8_t {
  kNormal = 0,        // opaque to consensus; empty in the first entry of each term
  kConfChange = 1,    // data: EncodeConfChange (one change; kept for the outside suites)
  kConfChangeV2 = 2,  // data: EncodeConfChangeV2; empty data leaves the joint configuration
};

struct Entry {
  uint64_t term = 0;
  uint64_t index = 0;
  EntryType type = EntryType::kNormal;
  Payload data;

  bool operator==(const Entry&) const = default;
};

// The bytes that `entry` counts for in every size limit: its fields in a tag-and-varint encoding.
uint64_t EntrySize(const Entry& entry);
uint64_t EntriesSize(const std::vector<Entry>& entries);
// What counts against Config::max_uncommitted_size: the payload alone, so that an empty entry is never refused.
inline uint64_t PayloadSize(const Entry& entry) { return entry.data.size(); }

// Who takes part. `voters_outgoing` is not empty while the configuration is joint; then both halves must agree.
struct ConfState {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
  std::vector<NodeId> voters_outgoing;
  std::vector<NodeId> learners_next;  // voters of the outgoing half that become learners when the joint state is left
  bool auto_leave = false;

  bool empty() const { return voters.empty() && learners.empty() && voters_outgoing.empty() && learners_next.empty(); }
  bool operator==(const ConfState&) const = default;
};

struct SnapshotMetadata {
  ConfState conf_state;
  uint64_t index = 0;
  uint64_t term = 0;

  bool operator==(const SnapshotMetadata&) const = default;
};

// `data` is the driver's: usually a handle, the state itself travels beside the message.
struct Snapshot {
  Payload data;
  SnapshotMetadata metadata;

  bool empty() const { return metadata.index == 0; }
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// What must survive a crash besides the entries.
struct HardState {
  uint64_t term = 0;
  NodeId vote = kNone;
  uint64_t commit = 0;
  // The promise of fortify.h: while this replica's store supports `lead_epoch` of `lead`'s store, the replica neither
  // campaigns nor votes for others. Both zero when there is none; it belongs to `term`.
  NodeId lead = kNone;
  uint64_t lead_epoch = 0;

  bool empty() const { return *this == HardState{}; }
  bool operator==(const HardState&) const = default;
};

enum class MessageType : uint8_t {
  // Local: stepped by the driver through RawNode, never sent.
  kHup,             // campaign
  kBeat,            // leader: send heartbeats
  kProp,            // propose entries (a follower forwards it to its leader)
  kCheckQuorum,     // leader: is a quorum active?
  kUnreachable,     // leader: the last message to `from` was not delivered
  kSnapStatus,      // leader: sending a snapshot to `from` ended (reject: it failed)
  kTransferLeader,  // `from` shall become leader (a follower forwards it)
  kForgetLeader,    // follower: forget who leads, stay in the term
  kReadIndex,       // (a follower forwards it)
  kReadIndexResp,
  // Between replicas.
  kApp,
  kAppResp,
  kSnap,
  kHeartbeat,
  kHeartbeatResp,
  kVote,
  kVoteResp,
  kPreVote,
  kPreVoteResp,
  kTimeoutNow,
  kFortify,        // leader: promise me your support (fortify.h)
  kFortifyResp,    // promised, in lead_epoch; reject: my store does not support yours now
  kDeFortify,      // former leader of `term`: you are free
  kDeFortifyResp,  // freed (or never bound)
  // Between this replica and its own storage, with Config::async_storage_writes.
  kStorageAppend,
  kStorageAppendResp,
  kStorageApply,
  kStorageApplyResp,
};
inline constexpr int kMessageTypes = static_cast<int>(MessageType::kStorageApplyResp) + 1;

std::string_view MessageTypeName(MessageType type);  // "MsgApp"
bool IsResponse(MessageType type);
// Messages that never cross the network.
bool IsLocal(MessageType type);

// One message. Which fields matter depends on the type; all others are zero. In a kVote or kPreVote, index and log_term
// are of the last entry; in their answers (with Config::synced_conf_changes) of the last committed one.
struct Message {
  MessageType type = MessageType::kHup;
  NodeId to = kNone;
  NodeId from = kNone;
  uint64_t term = 0;
  uint64_t log_term = 0;
  uint64_t index = 0;
  std::vector<Entry> entries;
  uint64_t commit = 0;  // with leases, kAppResp and kHeartbeatResp say what the follower knows
  NodeId vote = kNone;  // kStorageAppend only
  SnapshotPtr snapshot;
  bool reject = false;
  uint64_t reject_hint = 0;
  std::string context;             // read index request, or kTransferContext in a vote
  std::vector<Message> responses;  // kStorageAppend, kStorageApply: deliver these when done
  NodeId lead = kNone;             // kStorageAppend: HardState::lead
  uint64_t lead_epoch = 0;         // kStorageAppend: HardState::lead_epoch; kFortifyResp: the epoch promised
  uint64_t hlc = 0;  // votes, kTimeoutNow, kDeFortify: at or above every timestamp the sender served (fortify.h)
};

// Message::context of votes in an election that the leader itself asked for.
inline constexpr std::string_view kTransferContext = "CampaignTransfer";

enum class ConfChangeType : uint8_t { kAddNode = 0, kRemoveNode = 1, kUpdateNode = 2, kAddLearnerNode = 3 };

struct ConfChangeSingle {
  ConfChangeType type = ConfChangeType::kAddNode;
  NodeId node = kNone;

  bool operator==(const ConfChangeSingle&) const = default;
};

enum class ConfChangeTransition : uint8_t {
  kAuto = 0,           // simple if at most one voter changes, else joint with automatic leave
  kJointImplicit = 1,  // joint, left automatically
  kJointExplicit = 2,  // joint, left by proposing an empty ConfChangeV2
};

struct ConfChangeV2 {
  ConfChangeTransition transition = ConfChangeTransition::kAuto;
  std::vector<ConfChangeSingle> changes;
  std::string context;  // the driver's

  bool operator==(const ConfChangeV2&) const = default;
  // Whether this leaves a joint configuration: no changes.
  bool LeavesJoint() const { return changes.empty() && transition == ConfChangeTransition::kAuto; }
  // Whether this enters a joint configuration; sets whether it is left automatically.
  bool EntersJoint(bool* auto_leave) const;
};

// Entry data <-> changes. Version 1: a byte 1, then transition, changes and context as varints and bytes. The change
// that leaves the joint state encodes as nothing.
std::string EncodeConfChange(const ConfChangeV2& change);
// False if `data` is damaged.
[[nodiscard]] bool DecodeConfChange(std::string_view data, ConfChangeV2* change);

// "v1 l2 r3 u4" <-> changes (tests, tools).
[[nodiscard]] bool ParseConfChanges(std::string_view text, std::vector<ConfChangeSingle>* changes);
std::string ConfChangesToString(const std::vector<ConfChangeSingle>& changes);

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_MESSAGE_H_
