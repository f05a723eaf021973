// Minting of Insula's certificates: ECDSA P-256, X.509 v3.
//
//   kind     | OU        | CN        | alternative names                          | used as
//   ---------+-----------+-----------+--------------------------------------------+----------------
//   node     | Nodes     | node-N    | the host's DNS names and IP addresses       | server, client
//   operator | Operators | operator  | the same                                   | server, client
//   proxy    | Proxies   | proxy     | the same                                   | server, client
//   pool pod | Pool      | pool      | the same                                   | server, client
//   server   | Servers   | first name| the same (what SQL clients verify)          | server
//   admin    | Admins    | user name | –                                          | client
//   tenant   | Tenants   | tenant id | insula://tenant/ID/generation/G, host names | server, client
//
// What a verified certificate says about its holder is read in one place: IdentifyPeer (tenant/tenant.h).
// Node and other cluster certificates are signed by the cluster CA, tenant certificates by the tenant CA, which only the
// operator holds. A trust bundle is the concatenation of both CAs' certificates.
#ifndef INSULA_BASE_TLS_CERTIFICATES_H_
#define INSULA_BASE_TLS_CERTIFICATES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/time.h"
#include "base/runtime/transport.h"

namespace insula {

// A certificate with its private key, both PEM.
struct CertificateAndKey {
  std::string certificate_pem;
  std::string key_pem;
};

inline constexpr std::string_view kNodesUnit = "Nodes";
inline constexpr std::string_view kOperatorsUnit = "Operators";
inline constexpr std::string_view kProxiesUnit = "Proxies";
inline constexpr std::string_view kAdminsUnit = "Admins";
inline constexpr std::string_view kPoolUnit = "Pool";
inline constexpr std::string_view kTenantsUnit = "Tenants";
inline constexpr std::string_view kServersUnit = "Servers";

inline constexpr Duration kLongCertificateLife = std::chrono::hours(24 * 365 * 5);
inline constexpr Duration kCaLife = std::chrono::hours(24 * 365 * 10);

// A self-signed authority.
absl::StatusOr<CertificateAndKey> CreateCa(const std::string& common_name, Duration life = kCaLife);

// `names`: DNS names and IP addresses that the certificate answers to, mixed.
absl::StatusOr<CertificateAndKey> IssueNodeCertificate(const CertificateAndKey& ca, uint64_t node_id, const std::vector<std::string>& names);
absl::StatusOr<CertificateAndKey> IssueOperatorCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names);
absl::StatusOr<CertificateAndKey> IssueProxyCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names);
absl::StatusOr<CertificateAndKey> IssuePoolCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names);
absl::StatusOr<CertificateAndKey> IssueServerCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names);
absl::StatusOr<CertificateAndKey> IssueClientCertificate(const CertificateAndKey& ca, const std::string& user);
absl::StatusOr<CertificateAndKey> IssueTenantCertificate(const CertificateAndKey& tenant_ca, uint64_t tenant_id, uint64_t generation,
                                                         Duration life, const std::vector<std::string>& names = {});

// When the first certificate of `pem` ends.
absl::StatusOr<WallTime> CertificateExpiry(std::string_view pem);

}  // namespace insula

#endif  // INSULA_BASE_TLS_CERTIFICATES_H_
