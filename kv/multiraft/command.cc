#include "kv/multiraft/command.h"

#include "base/encoding/ordered.h"
#include "base/strings.h"
#include "kv/storage/varint.h"

// Format: byte 1; flags; proposal id (8 bytes); varints; then strings with their length. Unknown flags are refused: a command
// that is not understood as a whole must not be applied in part.
namespace insula::kv {
namespace {

using storage::AppendString;
using storage::AppendVarint;
using storage::TakeString;
using storage::TakeVarint;

constexpr char kFormat = 1;
constexpr uint8_t kHasSplit = 1, kHasMerge = 2, kHasChange = 4, kHasCheck = 8;
constexpr uint8_t kKnownFlags = kHasSplit | kHasMerge | kHasChange | kHasCheck;

void AppendStatsString(std::string* out, const mvcc::Stats& stats) {
  std::string bytes;
  mvcc::AppendStats(&bytes, stats);
  AppendString(out, bytes);
}

void AppendSplit(std::string* out, const SplitTrigger& split) {
  AppendString(out, split.left.SerializeAsString());
  AppendString(out, split.right.SerializeAsString());
  AppendStatsString(out, split.right_stats);
  AppendFixed64(out, split.served.bits);
}

void AppendMerge(std::string* out, const MergeTrigger& merge) {
  AppendString(out, merge.left.SerializeAsString());
  AppendString(out, merge.right.SerializeAsString());
  AppendVarint(out, merge.right_applied);
  AppendStatsString(out, merge.right_stats);
  AppendFixed64(out, merge.served.bits);
}

bool TakeFixed(std::string_view* in, uint64_t* v) {
  if (in->size() < 8) return false;
  *v = ReadFixed64(in->data());
  in->remove_prefix(8);
  return true;
}

bool TakeDescriptor(std::string_view* in, v1::RangeDescriptor* range) {
  std::string_view bytes;
  return TakeString(in, &bytes) && range->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

bool TakeStatsString(std::string_view* in, mvcc::Stats* stats) {
  std::string_view bytes;
  return TakeString(in, &bytes) && mvcc::TakeStats(&bytes, stats);
}

bool TakeSplit(std::string_view* in, SplitTrigger* split) {
  return TakeDescriptor(in, &split->left) && TakeDescriptor(in, &split->right) && TakeStatsString(in, &split->right_stats) &&
         TakeFixed(in, &split->served.bits);
}

bool TakeMerge(std::string_view* in, MergeTrigger* merge) {
  return TakeDescriptor(in, &merge->left) && TakeDescriptor(in, &merge->right) && TakeVarint(in, &merge->right_applied) &&
         TakeStatsString(in, &merge->right_stats) && TakeFixed(in, &merge->served.bits);
}

bool TakeCheck(std::string_view* in, std::string* id) {
  std::string_view bytes;
  if (!TakeString(in, &bytes) || bytes.empty()) return false;
  id->assign(bytes);
  return true;
}

}  // namespace

std::string EncodeCommand(const Command& command) {
  std::string out;
  out.reserve(command.write_set.size() + command.effects.size() + 64);
  out.push_back(kFormat);
  out.push_back(static_cast<char>((command.split.has_value() ? kHasSplit : 0) | (command.merge.has_value() ? kHasMerge : 0) |
                                  (command.change.has_value() ? kHasChange : 0) | (command.check_id.empty() ? 0 : kHasCheck)));
  AppendFixed64(&out, command.proposal_id);
  AppendVarint(&out, command.lease_sequence);
  AppendVarint(&out, command.max_lease_index);
  std::string stats;
  if (!command.stats_delta.empty()) mvcc::AppendStats(&stats, command.stats_delta);
  AppendString(&out, stats);
  if (command.split.has_value()) AppendSplit(&out, *command.split);
  if (command.merge.has_value()) AppendMerge(&out, *command.merge);
  if (command.change.has_value()) AppendString(&out, command.change->range.SerializeAsString());
  if (!command.check_id.empty()) AppendString(&out, command.check_id);
  AppendString(&out, command.effects);
  AppendString(&out, command.write_set);
  return out;
}

absl::Status DecodeCommand(std::string_view bytes, Command* command) {
  *command = Command();
  if (bytes.size() < 2) return absl::DataLossError("command is damaged");
  if (bytes[0] != kFormat) return absl::UnimplementedError(StrCat("command of format ", static_cast<int>(bytes[0]), "; this program knows ", static_cast<int>(kFormat)));
  uint8_t flags = static_cast<uint8_t>(bytes[1]);
  if (flags & ~kKnownFlags) return absl::UnimplementedError("command with parts that this program does not know");
  bytes.remove_prefix(2);
  std::string_view stats, effects, write_set;
  bool ok = TakeFixed(&bytes, &command->proposal_id) && TakeVarint(&bytes, &command->lease_sequence) && TakeVarint(&bytes, &command->max_lease_index) &&
            TakeString(&bytes, &stats) && (stats.empty() || mvcc::TakeStats(&stats, &command->stats_delta));
  if (ok && (flags & kHasSplit)) ok = TakeSplit(&bytes, &command->split.emplace());
  if (ok && (flags & kHasMerge)) ok = TakeMerge(&bytes, &command->merge.emplace());
  if (ok && (flags & kHasChange)) ok = TakeDescriptor(&bytes, &command->change.emplace().range);
  if (ok && (flags & kHasCheck)) ok = TakeCheck(&bytes, &command->check_id);
  ok = ok && TakeString(&bytes, &effects) && TakeString(&bytes, &write_set) && bytes.empty();
  if (!ok) return absl::DataLossError("command is damaged");
  command->effects.assign(effects);
  command->write_set.assign(write_set);
  return absl::OkStatus();
}

}  // namespace insula::kv
