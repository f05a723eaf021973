// What a tenant is: id, name, keyspace, and its identity in certificates.
//
//   cluster name  NAME-ID                    acme-7
//   keyspace      0xFE ‖ ordered(keyspace)   every key of the tenant has this prefix
//   certificate   OU Tenants, CN 7, URI insula://tenant/7/generation/3
#ifndef INSULA_TENANT_TENANT_H_
#define INSULA_TENANT_TENANT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/runtime/transport.h"

namespace insula {

using TenantId = uint64_t;
inline constexpr TenantId kSystemTenant = 1;
inline constexpr TenantId kFirstTenant = 2;

// NAME matches [a-z]([a-z0-9-]{0,61}[a-z0-9])?
bool IsValidTenantName(std::string_view name);

struct ClusterName {
  std::string name;
  TenantId id = 0;
  std::string ToString() const;
};
// Takes NAME-ID apart at the last '-'. kInvalidArgument, saying what is wrong, if it is not of that form.
absl::StatusOr<ClusterName> ParseClusterName(std::string_view text);

// What a verified certificate says about its holder.
enum class Role { kNobody, kTenant, kNode, kOperator, kProxy, kAdmin, kPoolPod };
struct Identity {
  Role role = Role::kNobody;
  TenantId tenant = 0;      // kTenant
  uint64_t generation = 0;  // kTenant
  uint64_t node = 0;        // kNode
  std::string ToString() const;
};
// kNobody for whatever does not have exactly the expected form (default deny).
Identity IdentifyPeer(const PeerIdentity& peer);

// The first byte of every tenant key.
inline constexpr char kKeyspaceTag = '\xfe';
// Prefix of all keys of a keyspace.
std::string KeyspacePrefix(uint64_t keyspace_id);
// Keyspace that `key` lies in; nullopt if in none.
std::optional<uint64_t> KeyspaceOf(std::string_view key);

}  // namespace insula

#endif  // INSULA_TENANT_TENANT_H_
