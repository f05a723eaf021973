#include "base/tls/certificates.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/openssl_util.h"

namespace insula {
namespace {

using tls::KeyPtr;
using tls::OpenSslError;
using tls::X509Ptr;

// Certificates are valid from a little before now, for clocks that differ.
constexpr long kBackdateSeconds = 300;  // NOLINT: OpenSSL's type

struct Request {
  std::string_view unit = {};
  std::string common_name = {};
  std::vector<std::string> names = {};  // DNS and IP
  std::string uri = {};
  Duration life = kLongCertificateLife;
  bool is_ca = false;
  bool server = false;
  bool client = false;
};

absl::Status Failed(std::string_view what) { return OpenSslError(absl::StatusCode::kInternal, what); }

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  if (extension == nullptr) return Failed(StrCat("certificate extension ", value));
  int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added == 1 ? absl::OkStatus() : Failed("certificate extension");
}

// The names as OpenSSL's own notation has them; refuses what would be read as notation.
absl::StatusOr<std::string> AlternativeNames(const Request& request) {
  std::string out;
  for (const std::string& name : request.names) {
    if (name.empty() || name.find_first_of(", \n\r\t:;\\") != std::string::npos) {
      in6_addr v6;
      if (inet_pton(AF_INET6, name.c_str(), &v6) != 1) return absl::InvalidArgumentError(StrCat("\"", name, "\" is no host name"));
    }
    in_addr v4;
    bool is_ip = name.find(':') != std::string::npos || inet_pton(AF_INET, name.c_str(), &v4) == 1;
    StrAppend(&out, out.empty() ? "" : ",", is_ip ? "IP:" : "DNS:", name);
  }
  if (!request.uri.empty()) StrAppend(&out, out.empty() ? "" : ",", "URI:", request.uri);
  return out;
}

absl::Status SetSubject(X509_NAME* name, const Request& request) {
  auto add = [&](const char* field, std::string_view value) {
    return value.empty() || X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                                       static_cast<int>(value.size()), -1, 0) == 1;
  };
  if (!add("O", "Insula") || !add("OU", request.unit) || !add("CN", request.common_name)) return Failed("certificate subject");
  return absl::OkStatus();
}

absl::Status SetExtensions(X509* certificate, X509* issuer, const Request& request) {
  RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_basic_constraints, request.is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE"));
  RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_key_usage, request.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
  RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_subject_key_identifier, "hash"));
  if (request.is_ca) return absl::OkStatus();
  RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid"));
  std::string usage = request.server ? (request.client ? "serverAuth,clientAuth" : "serverAuth") : "clientAuth";
  RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_ext_key_usage, usage));
  ASSIGN_OR_RETURN(std::string names, AlternativeNames(request));
  if (!names.empty()) RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_subject_alt_name, names));
  return absl::OkStatus();
}

absl::Status SetSerialAndTimes(X509* certificate, Duration life) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof(serial)) != 1) return Failed("random serial number");
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof(serial), nullptr);
  bool set = number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  long seconds = static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(life).count());  // NOLINT
  if (!set || X509_gmtime_adj(X509_getm_notBefore(certificate), -kBackdateSeconds) == nullptr ||
      X509_gmtime_adj(X509_getm_notAfter(certificate), seconds) == nullptr) {
    return Failed("certificate times");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ToPem(X509* certificate, EVP_PKEY* key) {
  tls::BioPtr bio(BIO_new(BIO_s_mem()));
  bool written = certificate != nullptr ? PEM_write_bio_X509(bio.get(), certificate) == 1
                                        : PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!written) return Failed("PEM");
  char* data = nullptr;
  long size = BIO_get_mem_data(bio.get(), &data);  // NOLINT
  return std::string(data, size);
}

// A new key and its certificate, signed by `ca`, or by itself when null.
absl::StatusOr<CertificateAndKey> Issue(const CertificateAndKey* ca, const Request& request) {
  KeyPtr key(EVP_EC_gen("P-256"));
  X509Ptr certificate(X509_new());
  if (key == nullptr || certificate == nullptr) return Failed("key generation");
  X509Ptr issuer;
  KeyPtr issuer_key;
  if (ca != nullptr) {
    ASSIGN_OR_RETURN(auto issuers, tls::ReadCertificates(ca->certificate_pem));
    if (issuers.empty()) return absl::InvalidArgumentError("the CA has no certificate");
    issuer = std::move(issuers[0]);
    ASSIGN_OR_RETURN(issuer_key, tls::ReadKey(ca->key_pem));
  }
  RETURN_IF_ERROR(SetSerialAndTimes(certificate.get(), request.life));
  RETURN_IF_ERROR(SetSubject(X509_get_subject_name(certificate.get()), request));
  X509* signer = issuer ? issuer.get() : certificate.get();
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 || X509_set_pubkey(certificate.get(), key.get()) != 1 ||
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer)) != 1) {
    return Failed("certificate");
  }
  RETURN_IF_ERROR(SetExtensions(certificate.get(), signer, request));
  if (X509_sign(certificate.get(), issuer_key ? issuer_key.get() : key.get(), EVP_sha256()) == 0) return Failed("signature");
  CertificateAndKey out;
  ASSIGN_OR_RETURN(out.certificate_pem, ToPem(certificate.get(), nullptr));
  ASSIGN_OR_RETURN(out.key_pem, ToPem(nullptr, key.get()));
  return out;
}

absl::StatusOr<CertificateAndKey> IssueMember(const CertificateAndKey& ca, std::string_view unit, std::string common_name,
                                              const std::vector<std::string>& names) {
  return Issue(&ca, {.unit = unit, .common_name = std::move(common_name), .names = names, .server = true, .client = true});
}

}  // namespace

absl::StatusOr<CertificateAndKey> CreateCa(const std::string& common_name, Duration life) {
  return Issue(nullptr, {.common_name = common_name, .life = life, .is_ca = true});
}

absl::StatusOr<CertificateAndKey> IssueNodeCertificate(const CertificateAndKey& ca, uint64_t node_id, const std::vector<std::string>& names) {
  return IssueMember(ca, kNodesUnit, StrCat("node-", node_id), names);
}
absl::StatusOr<CertificateAndKey> IssueOperatorCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names) {
  return IssueMember(ca, kOperatorsUnit, "operator", names);
}
absl::StatusOr<CertificateAndKey> IssueProxyCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names) {
  return IssueMember(ca, kProxiesUnit, "proxy", names);
}
absl::StatusOr<CertificateAndKey> IssuePoolCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names) {
  return IssueMember(ca, kPoolUnit, "pool", names);
}
absl::StatusOr<CertificateAndKey> IssueServerCertificate(const CertificateAndKey& ca, const std::vector<std::string>& names) {
  if (names.empty()) return absl::InvalidArgumentError("a server certificate needs a name");
  return Issue(&ca, {.unit = kServersUnit, .common_name = names[0], .names = names, .server = true});
}
absl::StatusOr<CertificateAndKey> IssueClientCertificate(const CertificateAndKey& ca, const std::string& user) {
  return Issue(&ca, {.unit = kAdminsUnit, .common_name = user, .client = true});
}
absl::StatusOr<CertificateAndKey> IssueTenantCertificate(const CertificateAndKey& tenant_ca, uint64_t tenant_id, uint64_t generation,
                                                         Duration life, const std::vector<std::string>& names) {
  if (tenant_id < 2) return absl::InvalidArgumentError("tenant certificates start at tenant 2");
  return Issue(&tenant_ca, {.unit = kTenantsUnit,
                            .common_name = StrCat(tenant_id),
                            .names = names,
                            .uri = StrCat("insula://tenant/", tenant_id, "/generation/", generation),
                            .life = life,
                            .server = true,
                            .client = true});
}

absl::StatusOr<WallTime> CertificateExpiry(std::string_view pem) {
  ASSIGN_OR_RETURN(auto certificates, tls::ReadCertificates(pem));
  if (certificates.empty()) return absl::InvalidArgumentError("no certificate");
  tm when;
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificates[0].get()), &when) != 1) return Failed("certificate expiry");
  return WallTime(std::chrono::seconds(timegm(&when)));
}

}  // namespace insula
