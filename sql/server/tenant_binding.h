// What a stamp makes of a pod: whose it is, and how it reaches that tenant's data.
#ifndef INSULA_SQL_SERVER_TENANT_BINDING_H_
#define INSULA_SQL_SERVER_TENANT_BINDING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/async/task.h"
#include "base/runtime/net.h"
#include "kv/api/txn.h"
#include "proto/operator/pod.pb.h"
#include "tenant/tenant.h"

namespace insula::sql {

struct TenantBinding {
  TenantId tenant = 0;
  std::string cluster_name;  // NAME-ID
  uint64_t generation = 0;
  uint64_t keyspace_id = 0;
  std::shared_ptr<const TlsIdentity> identity;             // the tenant's certificate
  std::vector<std::pair<uint64_t, std::string>> kv_nodes;  // id, address
  std::string user;            // first user and its verifier
  std::string scram_verifier;
  std::vector<std::pair<std::string, std::string>> settings;  // defaults of every session, by name
};

// Checks that a stamp is whole and that its parts belong together (name, id, certificate). kInvalidArgument, saying what is wrong.
absl::StatusOr<TenantBinding> ParseStamp(const ops::v1::StampRequest& stamp);

// The tenant's keys, with whatever connects to them.
class TenantDatabase {
 public:
  virtual ~TenantDatabase() = default;
  virtual kv::Database* database() = 0;
  // Lets connections go; nothing runs on the database any more.
  virtual Task<void> Shutdown() = 0;
};

// Connects to the tenant's keys with its certificate. Injected: processes bind the KV client, tests a database in memory.
using DatabaseFactory = std::function<absl::StatusOr<std::unique_ptr<TenantDatabase>>(const TenantBinding& binding)>;

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_TENANT_BINDING_H_
