// Where a tenant's keyspace holds what. All numbers are order-preserving (base/encoding).
//
//   keyspace ‖ table ‖ index ‖ columns
//   table  index  columns      value
//   -----  -----  -----------  ------------------------------------------------------------
//   1      1      –            catalog version N as the text "v1:N"; absent = 0, the untouched tenant
//   2      1      oid          Descriptor (proto/sql/descriptor.proto)
//   3      1      –            counter: the last OID given out, minus kFirstNormalOid - 1
//   4      1      storage id   counter of a sequence: its last value minus (start - increment)
//   5      1      table oid    TableStatistics
//   6      1      storage id   counter of hidden row ids
//   7      1      storage id,  to be cleared: "1d" (dropped) or "1r" (reserved by a transaction); index id 0: the whole storage
//                 index id     (clearings.h)
//   ≥16384 ≥1     see rowenc   rows and index entries of the table with that storage id
//
// Tables 8 to 99 are reserved. Counters (3, 4, 6) are written outside transactions by Database::Increment.
// An untouched tenant holds none of these but what the first pod writes: the first user's role and the version.
#ifndef INSULA_SQL_CATALOG_LAYOUT_H_
#define INSULA_SQL_CATALOG_LAYOUT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/encoding/ordered.h"

namespace insula::sql {

class CatalogLayout {
 public:
  // `keyspace`: KeyspacePrefix(keyspace id).
  explicit CatalogLayout(std::string keyspace) : keyspace_(std::move(keyspace)) {}

  const std::string& keyspace() const { return keyspace_; }
  std::string Version() const { return Index(kVersion, 1); }
  std::string DescriptorSpan() const { return Index(kDescriptors, 1); }
  std::string Descriptor(uint32_t oid) const { return Keyed(kDescriptors, oid); }
  std::string OidCounter() const { return Index(kOids, 1); }
  std::string Sequence(uint32_t storage_id) const { return Keyed(kSequences, storage_id); }
  std::string StatisticsSpan() const { return Index(kStatistics, 1); }
  std::string Statistics(uint32_t table_oid) const { return Keyed(kStatistics, table_oid); }
  std::string RowIds(uint32_t storage_id) const { return Keyed(kRowIds, storage_id); }

  std::string ClearingSpan() const { return Index(kClearings, 1); }
  std::string Clearing(uint32_t storage_id, uint32_t index_id) const {
    std::string out = Keyed(kClearings, storage_id);
    AppendUint64(&out, index_id);
    return out;
  }
  // What the key of such a row says is to be cleared. False: it is malformed.
  bool ClearedPrefix(std::string_view entry, std::string* prefix) const {
    const std::string span = ClearingSpan();
    if (!entry.starts_with(span)) return false;
    entry.remove_prefix(span.size());
    auto storage = TakeUint64(&entry);
    auto index = TakeUint64(&entry);
    if (!storage.ok() || !index.ok() || !entry.empty() || *storage <= kClearings) return false;
    *prefix = *index == 0 ? Table(static_cast<uint32_t>(*storage)) : Index(static_cast<uint32_t>(*storage), static_cast<uint32_t>(*index));
    return true;
  }

  // Prefix of all keys of a table, and of one of its indexes.
  std::string Table(uint32_t storage_id) const {
    std::string out = keyspace_;
    AppendUint64(&out, storage_id);
    return out;
  }
  std::string Index(uint32_t storage_id, uint32_t index_id) const {
    std::string out = Table(storage_id);
    AppendUint64(&out, index_id);
    return out;
  }

 private:
  enum : uint32_t { kVersion = 1, kDescriptors = 2, kOids = 3, kSequences = 4, kStatistics = 5, kRowIds = 6, kClearings = 7 };
  std::string Keyed(uint32_t table, uint64_t key) const {
    std::string out = Index(table, 1);
    AppendUint64(&out, key);
    return out;
  }
  std::string keyspace_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_LAYOUT_H_
