// What a range knows about its own address: up to which of its generations it is known to be written into the meta range.
//
//   row  range id ‖ 'p'   version byte ‖ generation (8 bytes, big-endian)
//
// The address is to be written while `published` is below the descriptor's generation. A range without the row has published
// generation 1, the one that a cluster begins with; so whatever raises a generation (splits, merges, changes of replicas) has said by
// that alone that the address is to be written again, and nothing ever takes such a note away. A note of version 1 is of before there were
// two levels of addresses: of range 1 it says nothing about where its address is now.
#ifndef INSULA_KV_REPLICA_ADDRESS_H_
#define INSULA_KV_REPLICA_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

absl::StatusOr<uint64_t> LoadPublished(storage::Reader& reader, RangeId range);
// The row's key and value, for whoever writes it.
std::string PublishedKey(RangeId range);
std::string EncodePublished(uint64_t generation);
// Whether the address of `range` is to be written, as far as `reader` shows. A row that cannot be read says nothing: then it is.
bool IsAddressPending(storage::Reader& reader, const v1::RangeDescriptor& range);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_ADDRESS_H_
