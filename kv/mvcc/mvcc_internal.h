// Shared by the sources of kv/mvcc; not for others.
#ifndef INSULA_KV_MVCC_MVCC_INTERNAL_H_
#define INSULA_KV_MVCC_MVCC_INTERNAL_H_

#include <cstring>
#include <string>
#include <string_view>

#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/value.h"
#include "kv/storage/data_key.h"

namespace insula::kv::mvcc::internal {

using storage::ColumnFamily;

// A data key in memory of its own, on the stack when it is short.
class KeyBuffer {
 public:
  std::string_view Set(std::string_view user_key, Timestamp ts) {
    char* to = inline_;
    if (user_key.size() + storage::kDataKeySuffix > sizeof(inline_)) {
      heap_.resize(user_key.size() + storage::kDataKeySuffix);
      to = heap_.data();
    }
    std::memcpy(to, user_key.data(), user_key.size());
    uint64_t inverted = __builtin_bswap64(~ts.bits);
    std::memcpy(to + user_key.size(), &inverted, 8);
    return std::string_view(to, user_key.size() + storage::kDataKeySuffix);
  }

 private:
  char inline_[120];
  std::string heap_;
};

inline Outcome DamagedVersion(std::string_view key) {
  return Outcome::Error(absl::DataLossError("version of an unknown format or damaged, key " + std::string(key)));
}

// Reads the lock record of `key`; `*found` false: there is none.
Outcome LoadLock(storage::Reader& reader, std::string_view key, LockRecord* record, bool* found);
// Writes it back; without holders it goes.
void StoreLock(storage::ReadWriter& rw, std::string_view key, const LockRecord& record);

bool IsIgnored(const v1::Transaction& txn, uint32_t sequence);

// What a transaction sees of its own intent.
struct OwnView {
  enum class Kind {
    kNone,      // nothing: look below, past the provisional version
    kVersion,   // the provisional version
    kHistory,   // `history`
    kStale,     // the intent is of a later epoch than the request
  };
  Kind kind = Kind::kNone;
  const HistoryEntry* history = nullptr;
};
OwnView ViewOwnIntent(const LockHolder& own, const v1::Transaction& txn);

// Whether the batch itself has committed a version of `key` at `ts`.
inline bool OwnCommitted(const storage::ReadWriter& rw, std::string_view key, Timestamp ts) {
  KeyBuffer buffer;
  return rw.Puts(ColumnFamily::kData, buffer.Set(key, ts));
}

// What the versions of one key are to a write.
struct Versions {
  // The newest committed one; ts empty: none.
  Timestamp committed_ts;
  bool committed_live = false;
  std::string committed_value;
  // The provisional one: an intent's, or what the batch itself has committed; ts empty: none.
  Timestamp provisional_ts;
  bool provisional_live = false;
  std::string provisional_value;
  size_t provisional_bytes = 0;  // encoded
  Timestamp provisional_local;   // as encoded
};
Outcome LoadVersions(storage::Reader& reader, std::string_view key, Timestamp provisional_ts, Versions* out);

inline int64_t VersionBytes(std::string_view key, size_t encoded) { return static_cast<int64_t>(key.size() + storage::kDataKeySuffix + encoded); }
inline int64_t LiveBytes(std::string_view key, size_t value) { return static_cast<int64_t>(key.size() + value); }

}  // namespace insula::kv::mvcc::internal

#endif  // INSULA_KV_MVCC_MVCC_INTERNAL_H_
