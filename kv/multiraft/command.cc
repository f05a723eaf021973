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
constexpr uint8_t kHasSplit = 1;

void AppendSplit(std::string* out, const SplitTrigger& split) {
  AppendString(out, split.left.SerializeAsString());
  AppendString(out, split.right.SerializeAsString());
  std::string stats;
  mvcc::AppendStats(&stats, split.right_stats);
  AppendString(out, stats);
  AppendFixed64(out, split.served.bits);
}

bool TakeFixed(std::string_view* in, uint64_t* v) {
  if (in->size() < 8) return false;
  *v = ReadFixed64(in->data());
  in->remove_prefix(8);
  return true;
}

bool TakeSplit(std::string_view* in, SplitTrigger* split) {
  std::string_view left, right, stats;
  if (!TakeString(in, &left) || !TakeString(in, &right) || !TakeString(in, &stats) || !TakeFixed(in, &split->served.bits)) return false;
  return split->left.ParseFromArray(left.data(), static_cast<int>(left.size())) && split->right.ParseFromArray(right.data(), static_cast<int>(right.size())) &&
         mvcc::TakeStats(&stats, &split->right_stats);
}

}  // namespace

std::string EncodeCommand(const Command& command) {
  std::string out;
  out.reserve(command.write_set.size() + command.effects.size() + 64);
  out.push_back(kFormat);
  out.push_back(static_cast<char>(command.split.has_value() ? kHasSplit : 0));
  AppendFixed64(&out, command.proposal_id);
  AppendVarint(&out, command.lease_sequence);
  AppendVarint(&out, command.max_lease_index);
  std::string stats;
  if (!command.stats_delta.empty()) mvcc::AppendStats(&stats, command.stats_delta);
  AppendString(&out, stats);
  if (command.split.has_value()) AppendSplit(&out, *command.split);
  AppendString(&out, command.effects);
  AppendString(&out, command.write_set);
  return out;
}

absl::Status DecodeCommand(std::string_view bytes, Command* command) {
  *command = Command();
  if (bytes.size() < 2) return absl::DataLossError("command is damaged");
  if (bytes[0] != kFormat) return absl::UnimplementedError(StrCat("command of format ", static_cast<int>(bytes[0]), "; this program knows ", static_cast<int>(kFormat)));
  uint8_t flags = static_cast<uint8_t>(bytes[1]);
  if (flags & ~kHasSplit) return absl::UnimplementedError("command with parts that this program does not know");
  bytes.remove_prefix(2);
  std::string_view stats, effects, write_set;
  bool ok = TakeFixed(&bytes, &command->proposal_id) && TakeVarint(&bytes, &command->lease_sequence) && TakeVarint(&bytes, &command->max_lease_index) &&
            TakeString(&bytes, &stats) && (stats.empty() || mvcc::TakeStats(&stats, &command->stats_delta));
  if (ok && (flags & kHasSplit)) ok = TakeSplit(&bytes, &command->split.emplace());
  ok = ok && TakeString(&bytes, &effects) && TakeString(&bytes, &write_set) && bytes.empty();
  if (!ok) return absl::DataLossError("command is damaged");
  command->effects.assign(effects);
  command->write_set.assign(write_set);
  return absl::OkStatus();
}

}  // namespace insula::kv
