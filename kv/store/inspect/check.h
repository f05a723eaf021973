// Everything of a store that can be wrong, looked at once.
//
//   files       every segment of the log against its checksums (log_scan.h), every file of the state engine against RocksDB's
//   each range  rows parse; statistics, counted anew, are those kept; log and applied state fit; entries of the log parse; it has not diverged
//   all ranges  none overlaps another; no row lies outside of all; open redo records parse
#ifndef INSULA_KV_STORE_INSPECT_CHECK_H_
#define INSULA_KV_STORE_INSPECT_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kv/store/inspect/store_view.h"

namespace insula::kv {

struct Finding {
  enum class Severity { kNote, kDamage };  // a note asks for nothing
  Severity severity = Severity::kNote;
  std::string where;   // a file (with the offset), or a range
  std::string what;
  std::string advice;  // what to do about it; empty for notes
};

struct CheckReport {
  uint64_t segments = 0, log_bytes = 0, log_records = 0;
  uint64_t tables = 0, table_bytes = 0;
  uint64_t ranges = 0, versions = 0, entries = 0;
  std::vector<Finding> findings;
  uint64_t damages() const;
};

// Goes on behind whatever it finds.
CheckReport CheckStore(StoreView& view);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_INSPECT_CHECK_H_
