#include "kv/mvcc/lock_record.h"

#include "base/encoding/ordered.h"
#include "kv/storage/varint.h"

// Format: byte 1; varint number of holders; per holder: strength byte, flag byte (1: intent), TxnMeta with its length, and for an
// intent: 8 bytes timestamp, varint sequence, varint length of the history; per history entry: varint sequence, flag byte (1: a
// value follows), value with its length.
namespace insula::kv::mvcc {
namespace {

using storage::AppendString;
using storage::AppendVarint;
using storage::TakeString;
using storage::TakeVarint;

constexpr char kFormat = 1;

bool TakeByte(std::string_view* in, uint8_t* byte) {
  if (in->empty()) return false;
  *byte = static_cast<uint8_t>((*in)[0]);
  in->remove_prefix(1);
  return true;
}

bool TakeIntent(std::string_view* in, Intent* intent) {
  if (in->size() < 8) return false;
  intent->ts = Timestamp{ReadFixed64(in->data())};
  in->remove_prefix(8);
  uint64_t sequence, history;
  if (!TakeVarint(in, &sequence) || !TakeVarint(in, &history)) return false;
  intent->sequence = static_cast<uint32_t>(sequence);
  for (; history > 0; --history) {
    HistoryEntry entry;
    uint8_t has_value;
    if (!TakeVarint(in, &sequence) || !TakeByte(in, &has_value)) return false;
    entry.sequence = static_cast<uint32_t>(sequence);
    if (has_value != 0) {
      std::string_view value;
      if (!TakeString(in, &value)) return false;
      entry.value.emplace(value);
    }
    intent->history.push_back(std::move(entry));
  }
  return true;
}

bool TakeHolder(std::string_view* in, LockHolder* holder) {
  uint8_t strength, flags;
  std::string_view meta;
  if (!TakeByte(in, &strength) || !TakeByte(in, &flags) || !TakeString(in, &meta)) return false;
  if (strength > static_cast<uint8_t>(LockStrength::kExclusive)) return false;
  holder->strength = static_cast<LockStrength>(strength);
  if (!holder->txn.ParseFromArray(meta.data(), static_cast<int>(meta.size()))) return false;
  if ((flags & 1) == 0) return true;
  return TakeIntent(in, &holder->intent.emplace());
}

}  // namespace

const LockHolder* LockRecord::Find(std::string_view txn_id) const {
  for (const LockHolder& h : holders) {
    if (h.txn.id() == txn_id) return &h;
  }
  return nullptr;
}
LockHolder* LockRecord::Find(std::string_view txn_id) { return const_cast<LockHolder*>(std::as_const(*this).Find(txn_id)); }

const LockHolder* LockRecord::intent_holder() const {
  for (const LockHolder& h : holders) {
    if (h.intent.has_value()) return &h;
  }
  return nullptr;
}

std::string EncodeLockRecord(const LockRecord& record) {
  std::string out(1, kFormat);
  AppendVarint(&out, record.holders.size());
  for (const LockHolder& h : record.holders) {
    out.push_back(static_cast<char>(h.strength));
    out.push_back(h.intent.has_value() ? 1 : 0);
    AppendString(&out, h.txn.SerializeAsString());
    if (!h.intent.has_value()) continue;
    AppendFixed64(&out, h.intent->ts.bits);
    AppendVarint(&out, h.intent->sequence);
    AppendVarint(&out, h.intent->history.size());
    for (const HistoryEntry& entry : h.intent->history) {
      AppendVarint(&out, entry.sequence);
      out.push_back(entry.value.has_value() ? 1 : 0);
      if (entry.value.has_value()) AppendString(&out, *entry.value);
    }
  }
  return out;
}

absl::Status DecodeLockRecord(std::string_view bytes, LockRecord* record) {
  record->holders.clear();
  if (bytes.empty() || bytes[0] != kFormat) return absl::DataLossError("lock record of an unknown format");
  bytes.remove_prefix(1);
  uint64_t count;
  if (!TakeVarint(&bytes, &count) || count > bytes.size()) return absl::DataLossError("lock record is damaged");
  for (; count > 0; --count) {
    if (!TakeHolder(&bytes, &record->holders.emplace_back())) return absl::DataLossError("lock record is damaged");
  }
  return bytes.empty() ? absl::OkStatus() : absl::DataLossError("lock record is damaged");
}

std::string_view PeekOnlyHolder(std::string_view bytes) {
  // format, count 1, strength, flags, meta length, then TxnMeta's first field: tag 0x0a, length, id.
  if (bytes.size() < 5 || bytes[0] != kFormat || bytes[1] != 1) return {};
  bytes.remove_prefix(4);
  std::string_view meta, id;
  if (!TakeString(&bytes, &meta) || meta.empty() || meta[0] != 0x0a) return {};
  meta.remove_prefix(1);
  return TakeString(&meta, &id) ? id : std::string_view();
}

}  // namespace insula::kv::mvcc
