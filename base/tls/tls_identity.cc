#include "base/tls/tls_identity.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/openssl_util.h"

namespace insula {
namespace tls {

absl::Status OpenSslError(absl::StatusCode code, std::string_view what) {
  std::string text(what);
  while (unsigned long error = ERR_get_error()) {  // NOLINT: OpenSSL's type
    const char* reason = ERR_reason_error_string(error);
    if (reason != nullptr) StrAppend(&text, ": ", reason);
  }
  return absl::Status(code, text);
}

absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<X509Ptr> out;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  unsigned long error = ERR_peek_last_error();  // NOLINT
  bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end) return OpenSslError(absl::StatusCode::kInvalidArgument, "a certificate does not parse");
  ERR_clear_error();
  return out;
}

absl::StatusOr<KeyPtr> ReadKey(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Without a callback OpenSSL would ask the terminal for the password of an encrypted key.
  auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr) return OpenSslError(absl::StatusCode::kInvalidArgument, "the private key does not parse");
  return key;
}

namespace {

std::string NameEntry(X509_NAME* name, int nid) {
  int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return "";
  unsigned char* utf8 = nullptr;
  int length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (length < 0) return "";
  std::string out(reinterpret_cast<char*>(utf8), length);
  OPENSSL_free(utf8);
  return out;
}

}  // namespace

PeerIdentity SubjectOf(X509* certificate) {
  PeerIdentity out;
  X509_NAME* subject = X509_get_subject_name(certificate);
  out.common_name = NameEntry(subject, NID_commonName);
  out.organizational_unit = NameEntry(subject, NID_organizationalUnitName);
  std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    out.uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), ASN1_STRING_length(uri));
  }
  return out;
}

}  // namespace tls

namespace {

absl::StatusOr<std::string> ReadPem(const std::string& path, bool is_key) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    std::string text = StrCat("open ", path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat st;
  if (fstat(fd, &st) != 0) return absl::InternalError(StrCat("stat ", path, ": ", std::strerror(errno)));
  if (is_key && (st.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(StrCat("the private key ", path, " can be read by others: chmod 0600 it"));
  }
  std::string out;
  char buffer[4096];
  while (true) {
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::InternalError(StrCat("read ", path, ": ", std::strerror(errno)));
    if (n == 0) return out;
    out.append(buffer, n);
  }
}

}  // namespace

TlsIdentity::TlsIdentity(std::string ca_pem, std::string chain_pem, std::string key_pem, PeerIdentity subject)
    : ca_pem_(std::move(ca_pem)), chain_pem_(std::move(chain_pem)), key_pem_(std::move(key_pem)), subject_(std::move(subject)) {}

absl::StatusOr<std::shared_ptr<const TlsIdentity>> TlsIdentity::FromPem(std::string ca_pem, std::string chain_pem, std::string key_pem) {
  ASSIGN_OR_RETURN(auto authorities, tls::ReadCertificates(ca_pem));
  if (!ca_pem.empty() && authorities.empty()) return absl::InvalidArgumentError("the CA bundle holds no certificate");
  if (chain_pem.empty() != key_pem.empty()) return absl::InvalidArgumentError("a certificate needs its private key, and the other way round");
  PeerIdentity subject;
  if (!chain_pem.empty()) {
    ASSIGN_OR_RETURN(auto chain, tls::ReadCertificates(chain_pem));
    if (chain.empty()) return absl::InvalidArgumentError("the certificate chain holds no certificate");
    ASSIGN_OR_RETURN(auto key, tls::ReadKey(key_pem));
    if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
      return tls::OpenSslError(absl::StatusCode::kInvalidArgument, "the private key is not the certificate's");
    }
    subject = tls::SubjectOf(chain[0].get());
  }
  return std::shared_ptr<const TlsIdentity>(new TlsIdentity(std::move(ca_pem), std::move(chain_pem), std::move(key_pem), std::move(subject)));
}

absl::StatusOr<std::shared_ptr<const TlsIdentity>> TlsIdentity::FromFiles(const std::string& ca_path, const std::string& chain_path,
                                                                          const std::string& key_path) {
  std::string ca, chain, key;
  if (!ca_path.empty()) {
    ASSIGN_OR_RETURN(ca, ReadPem(ca_path, false));
  }
  if (!chain_path.empty()) {
    ASSIGN_OR_RETURN(chain, ReadPem(chain_path, false));
  }
  if (!key_path.empty()) {
    ASSIGN_OR_RETURN(key, ReadPem(key_path, true));
  }
  auto identity = FromPem(std::move(ca), std::move(chain), std::move(key));
  if (!identity.ok()) {
    return absl::Status(identity.status().code(),
                        StrCat(ca_path, " ", chain_path, " ", key_path, ": ", identity.status().message()));
  }
  return identity;
}

std::shared_ptr<const TlsIdentity> TlsIdentity::ForSimulation(PeerIdentity subject) {
  return std::shared_ptr<const TlsIdentity>(new TlsIdentity("", "", "", std::move(subject)));
}

absl::StatusOr<PeerIdentity> ParsePeerIdentity(std::string_view pem) {
  ASSIGN_OR_RETURN(auto certificates, tls::ReadCertificates(pem));
  if (certificates.empty()) return absl::InvalidArgumentError("no certificate");
  return tls::SubjectOf(certificates[0].get());
}

absl::StatusOr<PeerIdentity> ParsePeerIdentityDer(std::string_view der) {
  const unsigned char* at = reinterpret_cast<const unsigned char*>(der.data());
  tls::X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));  // NOLINT
  if (certificate == nullptr) return tls::OpenSslError(absl::StatusCode::kInvalidArgument, "the certificate does not parse");
  return tls::SubjectOf(certificate.get());
}

}  // namespace insula
