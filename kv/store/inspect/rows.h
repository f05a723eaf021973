// What lies in a store, for people: rows of the state engine, versions and locks of keys, entries of a log.
#ifndef INSULA_KV_STORE_INSPECT_ROWS_H_
#define INSULA_KV_STORE_INSPECT_ROWS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "kv/multiraft/command.h"
#include "kv/mvcc/lock_record.h"
#include "kv/raft/message.h"
#include "kv/storage/engine.h"

namespace insula::kv {

// Bytes as readable text; what is not printable as \xNN.
std::string Readable(std::string_view bytes);
std::string Hex(std::string_view bytes);
// The key of a row of any column family: "/Keyspace/7/a @ 12.000000,0", "range 7: descriptor", "transaction record … at /Keyspace/7/a".
std::string PrettyRow(storage::ColumnFamily cf, std::string_view key);

struct VersionView {
  Timestamp ts;
  bool provisional = false;  // the lock's holder wrote it
  bool deletion = false;
  bool damaged = false;      // of no format that is known
  Timestamp local;           // empty: as `ts`
  std::string value;         // damaged: all bytes
};
struct KeyView {
  std::string key;
  std::optional<mvcc::LockRecord> lock;
  absl::Status lock_damage;
  std::vector<VersionView> versions;  // newest first
};
// Shows the keys of [start, end) (empty end: the end of all keys) in order, `limit` of them at most. The key to go on with; nullopt: that was
// all.
absl::StatusOr<std::optional<std::string>> VisitKeys(storage::Reader& reader, std::string_view start, std::string_view end, uint64_t limit, const std::function<void(KeyView)>& show);

struct EntryView {
  uint64_t index = 0, term = 0;
  uint64_t bytes = 0;   // of its data
  std::string type;  // "empty", "command", "split", "merge", "replicas", "leave joint"
  absl::Status damage;  // not OK: it does not parse, or is of a newer program
  Command command;
  std::string detail;                // of splits, merges and changes of replicas
  std::vector<std::string> changes;  // one line each
};
EntryView Explain(const raft::Entry& entry);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_INSPECT_ROWS_H_
