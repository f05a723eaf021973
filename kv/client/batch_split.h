// Takes a batch apart by range, and its answers together again. Pure.
//
//   scan [a, z) ──► range 1: scan [a, g)   range 2: scan [g, p)   range 3: scan [p, z)
//   put  h      ──►                        range 2: put h
//
// A piece holds, for one range, the parts of the requests that lie in it, in the order of the batch. Answers of parts join in the order
// in which the request walks the keys: descending for a reverse scan.
#ifndef INSULA_KV_CLIENT_BATCH_SPLIT_H_
#define INSULA_KV_CLIENT_BATCH_SPLIT_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/kv/api.pb.h"

namespace insula::kv {

struct BatchPiece {
  v1::RangeDescriptor range;
  std::vector<int> origins;  // for each request of `batch`: its index in the whole
  v1::BatchRequest batch;    // header not filled in
};

// Whether a limit may end the batch early: its pieces must then go one after another.
bool IsLimited(const v1::BatchRequest& batch);
// Whether its pieces go in descending order.
bool IsReverse(const v1::BatchRequest& batch);

// The part of `request` from `key` on that lies in `range`; `next`: where what is left begins (empty: nothing is left).
v1::Request ClipRequest(const v1::Request& request, const v1::BatchHeader& header, std::string_view key, const v1::RangeDescriptor& range, std::string* next);

// Joins the answer of a part to what its request has so far.
void JoinResponse(const v1::Request& part, v1::Response&& from, v1::Response* into);

// Says in the answer of `request` that what `part` covers, and all behind it, is left to do.
void SetRest(const v1::Request& request, const v1::Request& part, v1::Response* into);

// What a part's answer says of the transaction: together with what others said, and taken over by what is sent next.
void JoinTxn(const v1::Transaction& part, v1::Transaction* whole);
void AdoptTxn(const v1::Transaction& seen, v1::Transaction* txn);

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_BATCH_SPLIT_H_
