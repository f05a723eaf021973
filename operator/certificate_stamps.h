// The StampFactory that holds the tenant CA: mints a tenant certificate per stamp.
#ifndef INSULA_OPERATOR_CERTIFICATE_STAMPS_H_
#define INSULA_OPERATOR_CERTIFICATE_STAMPS_H_

#include <string>
#include <vector>

#include "base/tls/certificates.h"
#include "operator/kv_nodes.h"
#include "operator/stamp_factory.h"

namespace insula::ops {

// Tenant certificates outlive any sensible pod, and are useless after the next resume: KV refuses older generations.
inline constexpr Duration kTenantCertificateLife = std::chrono::hours(24 * 7);

class CertificateStamps : public StampFactory {
 public:
  CertificateStamps(std::string ca_bundle_pem, CertificateAndKey tenant_ca, const KvNodes* nodes, std::vector<std::string> pod_names)
      : ca_bundle_pem_(std::move(ca_bundle_pem)), tenant_ca_(std::move(tenant_ca)), nodes_(nodes), pod_names_(std::move(pod_names)) {}

  absl::StatusOr<v1::StampRequest> Make(const TenantRecord& record) override;

 private:
  std::string ca_bundle_pem_;
  CertificateAndKey tenant_ca_;
  const KvNodes* nodes_;
  std::vector<std::string> pod_names_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_CERTIFICATE_STAMPS_H_
