#include "kv/store/inspect/rows.h"

#include <algorithm>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/value.h"
#include "kv/storage/data_key.h"
#include "kv/storage/write_batch.h"

namespace insula::kv {
namespace {

using storage::ColumnFamily;
using storage::WriteBatch;

std::string FieldName(keys::RangeField field) {
  switch (field) {
    case keys::RangeField::kAppliedState: return "applied state";
    case keys::RangeField::kDescriptor: return "descriptor";
    case keys::RangeField::kFrozen: return "frozen for a merge";
    case keys::RangeField::kGcThreshold: return "GC threshold";
    case keys::RangeField::kPublished: return "published address";
    case keys::RangeField::kRemoved: return "removed replicas";
    case keys::RangeField::kAborted: return "aborted transaction";
  }
  return StrCat("field ", Readable(std::string(1, static_cast<char>(field))));
}

std::string PrettyRangeRow(std::string_view key) {
  constexpr size_t kIdRow = 10;
  if (auto parts = keys::DecodeRangeIdKey(key.substr(0, kIdRow)); parts.has_value()) {
    std::string out = StrCat("range ", parts->range, ": ", FieldName(parts->field));
    if (key.size() > kIdRow) StrAppend(&out, " ", Hex(key.substr(kIdRow)));
    return out;
  }
  if (auto parts = keys::DecodeAnchorKey(key); parts.has_value()) {
    return StrCat(parts->field == keys::AnchorField::kOutcome ? "outcome of transaction " : "record of transaction ", Hex(parts->txn_id), " at ", keys::Pretty(parts->anchor));
  }
  return Readable(key);
}

void ExplainCommand(EntryView* out) {
  const Command& c = out->command;
  if (c.split.has_value()) {
    out->type = "split";
    out->detail = StrCat("range ", c.split->left.range_id(), " ", keys::PrettyRange(c.split->left.start_key(), c.split->left.end_key()), " and range ", c.split->right.range_id(), " ",
                         keys::PrettyRange(c.split->right.start_key(), c.split->right.end_key()));
  } else if (c.merge.has_value()) {
    out->type = "merge";
    out->detail = StrCat("range ", c.merge->right.range_id(), " into range ", c.merge->left.range_id(), " ", keys::PrettyRange(c.merge->left.start_key(), c.merge->left.end_key()));
  }
  if (!c.check_id.empty()) out->detail = "replicas are compared as of here";
  auto batch = WriteBatch::FromBytes(c.write_set);
  if (!c.write_set.empty() && !batch.ok()) out->damage = batch.status();
  if (c.write_set.empty() || !batch.ok()) return;
  WriteBatch::Cursor cursor(*batch);
  WriteBatch::Change change;
  while (cursor.Next(&change)) {
    const std::string row = StrCat(storage::ColumnFamilyName(change.cf), " ", PrettyRow(change.cf, change.key));
    switch (change.op) {
      case WriteBatch::Op::kPut: out->changes.push_back(StrCat("put ", row, " (", change.value.size(), " bytes)")); break;
      case WriteBatch::Op::kDelete: out->changes.push_back(StrCat("delete ", row)); break;
      case WriteBatch::Op::kDeleteRange: out->changes.push_back(StrCat("delete ", row, " up to ", PrettyRow(change.cf, change.value))); break;
    }
  }
}

}  // namespace

std::string Readable(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : bytes) {
    const uint8_t b = static_cast<uint8_t>(c);
    if (c >= ' ' && c <= '~' && c != '\\') {
      out.push_back(c);
    } else {
      StrAppend(&out, "\\x", kHex[b >> 4], kHex[b & 15]);
    }
  }
  return out;
}

std::string Hex(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : bytes) StrAppend(&out, kHex[static_cast<uint8_t>(c) >> 4], kHex[static_cast<uint8_t>(c) & 15]);
  return out;
}

std::string PrettyRow(ColumnFamily cf, std::string_view key) {
  switch (cf) {
    case ColumnFamily::kData:
      if (key.size() < storage::kDataKeySuffix) return Readable(key);
      // The bound of a span stands before all versions of its key.
      if (storage::VersionTimestamp(key) == Timestamp::Max()) return keys::Pretty(storage::UserKey(key));
      return StrCat(keys::Pretty(storage::UserKey(key)), " @ ", storage::VersionTimestamp(key).ToString());
    case ColumnFamily::kLock: return keys::Pretty(key);
    case ColumnFamily::kRange: return PrettyRangeRow(key);
  }
  return Readable(key);
}

absl::StatusOr<std::optional<std::string>> VisitKeys(storage::Reader& reader, std::string_view start, std::string_view end, uint64_t limit, const std::function<void(KeyView)>& show) {
  auto data = reader.NewIterator({.cf = ColumnFamily::kData, .lower = storage::DataKeyBound(start), .upper = end.empty() ? "" : storage::DataKeyBound(end)});
  auto locks = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = std::string(end)});
  data->SeekToFirst();
  locks->SeekToFirst();
  for (uint64_t shown = 0; data->Valid() || locks->Valid(); ++shown) {
    KeyView view;
    if (data->Valid()) view.key = storage::UserKey(data->key());
    if (locks->Valid() && (!data->Valid() || locks->key() < view.key)) view.key = locks->key();
    if (shown == limit) return std::optional(std::move(view.key));
    const mvcc::LockHolder* writer = nullptr;
    if (locks->Valid() && locks->key() == view.key) {
      view.lock_damage = mvcc::DecodeLockRecord(locks->value(), &view.lock.emplace());
      if (view.lock_damage.ok()) writer = view.lock->intent_holder();
      locks->Next();
    }
    for (; data->Valid() && storage::UserKey(data->key()) == view.key; data->Next()) {
      VersionView& v = view.versions.emplace_back();
      v.ts = storage::VersionTimestamp(data->key());
      v.provisional = writer != nullptr && writer->intent->ts == v.ts;
      mvcc::ValueView value;
      v.damaged = !mvcc::ParseValue(data->value(), &value);
      v.deletion = !v.damaged && value.deletion;
      v.local = value.local;
      v.value = v.damaged ? data->value() : value.value;
    }
    show(std::move(view));
  }
  RETURN_IF_ERROR(data->status());
  RETURN_IF_ERROR(locks->status());
  return std::optional<std::string>();
}

EntryView Explain(const raft::Entry& entry) {
  EntryView out{.index = entry.index, .term = entry.term, .bytes = entry.data.size(), .type = "", .damage = {}, .command = {}, .detail = "", .changes = {}};
  std::string_view command = entry.data.view();
  raft::ConfChangeV2 change;
  if (entry.type != raft::EntryType::kNormal) {
    out.type = "replicas";
    if (!raft::DecodeConfChange(entry.data.view(), &change)) {
      out.damage = absl::DataLossError("a change of replicas does not parse");
      return out;
    }
    if (change.LeavesJoint()) out.type = "leave joint";
    out.detail = raft::ConfChangesToString(change.changes);
    command = change.context;
  }
  if (command.empty()) {
    if (entry.type == raft::EntryType::kNormal) out.type = "empty";
    return out;
  }
  if (out.type.empty()) out.type = "command";
  out.damage = DecodeCommand(command, &out.command);
  if (out.damage.ok()) ExplainCommand(&out);
  return out;
}

}  // namespace insula::kv
