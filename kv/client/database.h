// The KV client: a Database over streams to the nodes (SQL pods, nodes' own work), or over any other channel (tests, simulation).
//
//   auto db = MakeDatabase(ctx, runtime, transport, {.bootstrap = {"10.0.0.1:26258", …}});
//   auto txn = db->Begin({.isolation = Isolation::kReadCommitted});
#ifndef INSULA_KV_CLIENT_DATABASE_H_
#define INSULA_KV_CLIENT_DATABASE_H_

#include <memory>
#include <string>
#include <vector>

#include "base/async/context.h"
#include "base/runtime/random.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/api/sender.h"
#include "kv/api/txn.h"
#include "kv/client/batch_channel.h"
#include "kv/client/dist_sender.h"
#include "kv/client/txn_coordinator.h"

namespace insula::kv {

struct DatabaseOptions {
  DistSenderOptions sender;  // .bootstrap: addresses of some nodes
  CoordinatorOptions coordinator;
};

// A Database whose parts nodes use directly, too.
class ClientDatabase : public Database {
 public:
  // The same ranges, without transactions: pushes, administration. Lives as long as the database.
  virtual DistSender& sender() = 0;
};

// Background work ends with `ctx`. `runtime` and `transport` outlive the database; transactions keep what they need of it.
std::unique_ptr<ClientDatabase> MakeDatabase(Context ctx, const Runtime& runtime, Transport* transport, DatabaseOptions options);
// Over a channel of the caller's, which outlives the database and its transactions.
std::unique_ptr<ClientDatabase> MakeDatabase(Context ctx, Random* random, BatchChannel* channel, DatabaseOptions options);

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_DATABASE_H_
