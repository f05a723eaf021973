#include "tenant/tenant.h"

#include <charconv>

#include "base/encoding/ordered.h"
#include "base/strings.h"

namespace insula {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A decimal number without sign, leading zeros or anything else.
std::optional<uint64_t> ParseId(std::string_view text) {
  if (text.empty() || text.size() > 19 || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Identity IdentifyTenant(const PeerIdentity& peer) {
  auto id = ParseId(peer.common_name);
  if (!id || *id < kFirstTenant || peer.uris.size() != 1) return {};
  std::string prefix = StrCat("insula://tenant/", *id, "/generation/");
  std::string_view uri = peer.uris[0];
  if (uri.substr(0, prefix.size()) != prefix) return {};
  auto generation = ParseId(uri.substr(prefix.size()));
  if (!generation) return {};
  return {.role = Role::kTenant, .tenant = *id, .generation = *generation};
}

}  // namespace

bool IsValidTenantName(std::string_view name) {
  if (name.empty() || name.size() > 63 || !IsLower(name[0]) || name.back() == '-') return false;
  for (char c : name) {
    if (!IsLower(c) && !IsDigit(c) && c != '-') return false;
  }
  return true;
}

std::string ClusterName::ToString() const { return StrCat(name, "-", id); }

absl::StatusOr<ClusterName> ParseClusterName(std::string_view text) {
  size_t dash = text.rfind('-');
  if (dash == std::string_view::npos) {
    return absl::InvalidArgumentError("a cluster is named NAME-ID, for example acme-7: there is no '-'");
  }
  auto id = ParseId(text.substr(dash + 1));
  if (!id || *id < kFirstTenant) {
    return absl::InvalidArgumentError("a cluster is named NAME-ID, for example acme-7: what follows the last '-' is not a tenant id");
  }
  if (!IsValidTenantName(text.substr(0, dash))) {
    return absl::InvalidArgumentError(
        "a cluster is named NAME-ID, for example acme-7: NAME starts with a letter, holds a-z, 0-9 and '-', and ends with a letter or digit");
  }
  return ClusterName{std::string(text.substr(0, dash)), *id};
}

std::string Identity::ToString() const {
  switch (role) {
    case Role::kNobody:
      return "nobody";
    case Role::kTenant:
      return StrCat("tenant ", tenant, " generation ", generation);
    case Role::kNode:
      return StrCat("node ", node);
    case Role::kOperator:
      return "operator";
    case Role::kProxy:
      return "proxy";
    case Role::kAdmin:
      return "admin";
    case Role::kPoolPod:
      return "pool pod";
  }
  return "nobody";
}

Identity IdentifyPeer(const PeerIdentity& peer) {
  const std::string& unit = peer.organizational_unit;
  if (unit == "Tenants") return IdentifyTenant(peer);
  if (unit == "Nodes") {
    constexpr std::string_view kPrefix = "node-";
    if (peer.common_name.rfind(kPrefix, 0) != 0) return {};
    auto id = ParseId(std::string_view(peer.common_name).substr(kPrefix.size()));
    if (!id || *id == 0) return {};
    return {.role = Role::kNode, .node = *id};
  }
  if (unit == "Operators") return {.role = Role::kOperator};
  if (unit == "Proxies") return {.role = Role::kProxy};
  if (unit == "Admins") return {.role = Role::kAdmin};
  if (unit == "Pool") return {.role = Role::kPoolPod};
  return {};
}

std::string KeyspacePrefix(uint64_t keyspace_id) {
  std::string out(1, kKeyspaceTag);
  AppendUint64(&out, keyspace_id);
  return out;
}

std::optional<uint64_t> KeyspaceOf(std::string_view key) {
  if (key.empty() || key[0] != kKeyspaceTag) return std::nullopt;
  key.remove_prefix(1);
  auto id = TakeUint64(&key);
  if (!id.ok()) return std::nullopt;
  return *id;
}

}  // namespace insula
