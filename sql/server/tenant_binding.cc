#include "sql/server/tenant_binding.h"

#include <algorithm>

#include "base/pgwire/scram.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"

namespace insula::sql {
namespace {

constexpr uint32_t kStampVersion = 1;

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(StrCat("the stamp ", what)); }

}  // namespace

absl::StatusOr<TenantBinding> ParseStamp(const ops::v1::StampRequest& stamp) {
  if (stamp.version() != kStampVersion) return Bad(StrCat("has version ", stamp.version(), "; this pod knows ", kStampVersion));
  if (stamp.tenant_id() < kFirstTenant) return Bad("names no tenant");
  if (stamp.generation() == 0) return Bad("has no generation");
  if (stamp.keyspace_id() == 0) return Bad("has no keyspace");
  if (stamp.kv_nodes().empty()) return Bad("names no KV node");
  if (stamp.user().empty()) return Bad("names no first user");
  ASSIGN_OR_RETURN(ClusterName name, ParseClusterName(stamp.cluster_name()));
  if (name.id != stamp.tenant_id()) return Bad("has a cluster name of another tenant");
  absl::StatusOr<pgwire::ScramVerifier> verifier = pgwire::ScramVerifier::Parse(stamp.scram_verifier());
  if (!verifier.ok()) return Bad("has no SCRAM verifier for the first user");

  TenantBinding binding;
  ASSIGN_OR_RETURN(binding.identity, TlsIdentity::FromPem(stamp.ca_pem(), stamp.certificate_pem(), stamp.key_pem()));
  Identity identity = IdentifyPeer(binding.identity->subject());
  if (identity.role != Role::kTenant || identity.tenant != stamp.tenant_id() || identity.generation != stamp.generation()) {
    return Bad(StrCat("has a certificate of ", identity.ToString()));
  }
  binding.tenant = stamp.tenant_id();
  binding.cluster_name = stamp.cluster_name();
  binding.generation = stamp.generation();
  binding.keyspace_id = stamp.keyspace_id();
  for (const auto& node : stamp.kv_nodes()) binding.kv_nodes.emplace_back(node.node_id(), node.address());
  binding.user = stamp.user();
  binding.scram_verifier = stamp.scram_verifier();
  for (const auto& [setting, value] : stamp.settings()) binding.settings.emplace_back(setting, value);
  std::sort(binding.settings.begin(), binding.settings.end());
  return binding;
}

}  // namespace insula::sql
