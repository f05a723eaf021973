#include "kv/multiraft/raft_convert.h"

#include <memory>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace insula::kv {

void ToProto(const raft::ConfState& in, v1::RaftConfState* out) {
  out->mutable_voters()->Assign(in.voters.begin(), in.voters.end());
  out->mutable_learners()->Assign(in.learners.begin(), in.learners.end());
  out->mutable_voters_outgoing()->Assign(in.voters_outgoing.begin(), in.voters_outgoing.end());
  out->mutable_learners_next()->Assign(in.learners_next.begin(), in.learners_next.end());
  out->set_auto_leave(in.auto_leave);
}

raft::ConfState FromProto(const v1::RaftConfState& in) {
  raft::ConfState out;
  out.voters.assign(in.voters().begin(), in.voters().end());
  out.learners.assign(in.learners().begin(), in.learners().end());
  out.voters_outgoing.assign(in.voters_outgoing().begin(), in.voters_outgoing().end());
  out.learners_next.assign(in.learners_next().begin(), in.learners_next().end());
  out.auto_leave = in.auto_leave();
  return out;
}

// The numbers on the wire are those of raft::MessageType; they are never changed, only added to.
void ToProto(const raft::Message& in, v1::RaftMessage* out) {
  CHECK(!raft::IsLocalTarget(in.to)) << raft::MessageTypeName(in.type);
  out->set_type(static_cast<uint32_t>(in.type));
  out->set_to(in.to);
  out->set_from(in.from);
  out->set_term(in.term);
  out->set_log_term(in.log_term);
  out->set_index(in.index);
  out->mutable_entries()->Reserve(static_cast<int>(in.entries.size()));
  for (const raft::Entry& e : in.entries) {
    v1::RaftEntry* to = out->add_entries();
    to->set_term(e.term);
    to->set_index(e.index);
    to->set_type(static_cast<uint32_t>(e.type));
    to->set_data(e.data.str());
  }
  out->set_commit(in.commit);
  out->set_vote(in.vote);
  if (in.snapshot != nullptr) {
    out->mutable_snapshot()->set_index(in.snapshot->metadata.index);
    out->mutable_snapshot()->set_term(in.snapshot->metadata.term);
    ToProto(in.snapshot->metadata.conf_state, out->mutable_snapshot()->mutable_conf_state());
  }
  out->set_reject(in.reject);
  out->set_reject_hint(in.reject_hint);
  out->set_context(in.context);
  out->set_hlc(in.hlc);
  out->set_lead_epoch(in.lead_epoch);
}

absl::Status FromProto(v1::RaftMessage&& in, raft::Message* out) {
  if (in.type() >= static_cast<uint32_t>(raft::kMessageTypes)) return absl::InvalidArgumentError(StrCat("raft message of unknown type ", in.type()));
  out->type = static_cast<raft::MessageType>(in.type());
  if (raft::IsLocal(out->type)) return absl::InvalidArgumentError(StrCat("raft message of type ", raft::MessageTypeName(out->type), " never travels"));
  out->to = in.to();
  out->from = in.from();
  out->term = in.term();
  out->log_term = in.log_term();
  out->index = in.index();
  out->entries.clear();
  out->entries.reserve(in.entries_size());
  for (v1::RaftEntry& e : *in.mutable_entries()) {
    if (e.type() > static_cast<uint32_t>(raft::EntryType::kConfChangeV2)) return absl::InvalidArgumentError("raft entry of unknown type");
    out->entries.push_back({.term = e.term(), .index = e.index(), .type = static_cast<raft::EntryType>(e.type()), .data = std::move(*e.mutable_data())});
  }
  out->commit = in.commit();
  out->vote = in.vote();
  out->snapshot = nullptr;
  if (in.has_snapshot()) {
    auto snapshot = std::make_shared<raft::Snapshot>();
    snapshot->metadata.index = in.snapshot().index();
    snapshot->metadata.term = in.snapshot().term();
    snapshot->metadata.conf_state = FromProto(in.snapshot().conf_state());
    out->snapshot = std::move(snapshot);
  }
  out->reject = in.reject();
  out->reject_hint = in.reject_hint();
  out->context = std::move(*in.mutable_context());
  out->hlc = in.hlc();
  out->lead_epoch = in.lead_epoch();
  return absl::OkStatus();
}

void ToProto(const LivenessMessage& in, v1::LivenessMessage* out) {
  out->set_type(in.type == LivenessMessage::Type::kHeartbeat ? v1::LivenessMessage::HEARTBEAT : v1::LivenessMessage::HEARTBEAT_RESPONSE);
  out->set_from_store(in.from);
  out->set_to_store(in.to);
  out->set_epoch(in.epoch);
  out->set_expiration(in.expiration.bits);
}

absl::Status FromProto(const v1::LivenessMessage& in, LivenessMessage* out) {
  switch (in.type()) {
    case v1::LivenessMessage::HEARTBEAT: out->type = LivenessMessage::Type::kHeartbeat; break;
    case v1::LivenessMessage::HEARTBEAT_RESPONSE: out->type = LivenessMessage::Type::kHeartbeatResponse; break;
    default: return absl::InvalidArgumentError("liveness message of unknown type");
  }
  out->from = in.from_store();
  out->to = in.to_store();
  out->epoch = in.epoch();
  out->expiration = Timestamp{in.expiration()};
  return absl::OkStatus();
}

}  // namespace insula::kv
