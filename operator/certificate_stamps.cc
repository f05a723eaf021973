#include "operator/certificate_stamps.h"

#include "base/status_macros.h"

namespace insula::ops {

absl::StatusOr<v1::StampRequest> CertificateStamps::Make(const TenantRecord& record) {
  ASSIGN_OR_RETURN(CertificateAndKey certificate, IssueTenantCertificate(tenant_ca_, record.id(), record.generation(), kTenantCertificateLife, pod_names_));
  v1::StampRequest stamp;
  stamp.set_version(1);
  stamp.set_tenant_id(record.id());
  stamp.set_cluster_name(ClusterName{record.name(), record.id()}.ToString());
  stamp.set_generation(record.generation());
  stamp.set_keyspace_id(record.keyspace_id());
  stamp.set_ca_pem(ca_bundle_pem_);
  stamp.set_certificate_pem(std::move(certificate.certificate_pem));
  stamp.set_key_pem(std::move(certificate.key_pem));
  for (auto& node : nodes_->All()) *stamp.add_kv_nodes() = node;
  stamp.set_user(record.user());
  stamp.set_scram_verifier(record.scram_verifier());
  return stamp;
}

}  // namespace insula::ops
