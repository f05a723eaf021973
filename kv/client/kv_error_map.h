// KV errors as the SQL client is to see them (kv/api/txn.h lists the SQLSTATEs).
#ifndef INSULA_KV_CLIENT_KV_ERROR_MAP_H_
#define INSULA_KV_CLIENT_KV_ERROR_MAP_H_

#include "absl/status/status.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

absl::Status ToPgStatus(const v1::Error& error);

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_KV_ERROR_MAP_H_
