// Which keys a batch is about to touch, and how, before it is evaluated.
//
//   request                 | latch                            | lock table
//   ------------------------+----------------------------------+---------------------------
//   get, scan, check        | read, at the uncertainty limit   | read, at that limit
//   refresh                 | read, at the new timestamp       | read
//   get, scan with a lock   | write (shared: read, at any ts)  | shared or exclusive
//   lock, replicated        | write (shared: at the end of time, so that reads pass) | its strength
//   lock, unreplicated      | as get with a lock               | its strength
//   put, …                  | write, at the write timestamp    | exclusive
//   delete_range, clear_range, insert_rows | write, the whole span | exclusive
//   resolve_intent          | write, from the transaction's first timestamp on | -
//   about records           | write, the record's row (query_txn: read)        | -
//   end_txn                 | as about records; what it resolves here; one-phase: what it refreshes, read, at any ts
//   query_intent            | as resolve_intent                | -
//   gc                      | the row of the threshold         | -
#ifndef INSULA_KV_REPLICA_DECLARE_H_
#define INSULA_KV_REPLICA_DECLARE_H_

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/hlc/hlc.h"
#include "kv/concurrency/latches.h"
#include "kv/concurrency/lock_table.h"

#include "proto/kv/api.pb.h"

namespace insula::kv {

struct DeclareParams {
  const v1::RangeDescriptor* range = nullptr;
  Timestamp read_ts;
  Timestamp read_limit;  // the uncertainty limit, or read_ts
  Timestamp push_above;  // what is moved above it, is in no read's way
  Timestamp write_ts;
};

struct Declared {
  std::vector<LatchSpan> latches;
  std::vector<LockSpan> locks;
  std::deque<std::string> owned;  // bytes that the spans view and the batch does not hold
};

// Spans view into `batch`, which must outlive them.
Declared Declare(const v1::BatchRequest& batch, const DeclareParams& params);

// The latch key of a transaction's record and outcome: a row key of the `range` column family, which is no user key.
std::string RecordLatchKey(std::string_view anchor, std::string_view txn_id);

// The latch key of the range's GC threshold.
std::string GcLatchKey(uint64_t range_id);

// Whether `batch` commits its transaction in one phase: everything it writes is in the batch.
bool IsOnePhase(const v1::BatchRequest& batch);

// The part of `span` in the range; false: none.
bool Clip(const v1::RangeDescriptor& range, const v1::Span& span, v1::Span* inside);
// Whether all of `span` lies in the range.
bool IsInside(const v1::RangeDescriptor& range, std::string_view key, std::string_view end_key);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_DECLARE_H_
