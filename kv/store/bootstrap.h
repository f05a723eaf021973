// How a cluster begins: the ranges that every store holds from the start, identical on all of them, as if a snapshot had been
// applied (index 10, term 5). So no store has to ask another how the world looks.
//
//   range 1      [min, 0x04)                  meta1, meta2
//   range 2      [0x04, keyspace 2)           system
//   range 3…66   keyspace 2 … keyspace 65     one each, empty
//   range 67     [keyspace 66, max)           the tail, from which further keyspaces are split
#ifndef INSULA_KV_STORE_BOOTSTRAP_H_
#define INSULA_KV_STORE_BOOTSTRAP_H_

#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/runtime.h"
#include "kv/storage/engine.h"
#include "kv/store/store_files.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

std::vector<v1::RangeDescriptor> InitialRanges(const std::vector<StoreMember>& members);

// The explicit step that makes a store of the folder `dir` (created if it is not there). kAlreadyExists when there is one;
// kInvalidArgument for an ident whose members do not hold its store. A store whose initialisation was cut short is made anew.
Task<absl::Status> InitStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string dir, StoreIdent ident);

// The same for a store that joins a cluster: it is none of the members that founded it (`ident.members`), and holds no range.
Task<absl::Status> InitJoiningStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string dir, StoreIdent ident);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_BOOTSTRAP_H_
