// Owning pointers to OpenSSL's objects and PEM reading (private to base/).
#ifndef INSULA_BASE_TLS_OPENSSL_UTIL_H_
#define INSULA_BASE_TLS_OPENSSL_UTIL_H_

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/transport.h"

namespace insula::tls {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

// Empties OpenSSL's error queue into a status.
absl::Status OpenSslError(absl::StatusCode code, std::string_view what);

absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(std::string_view pem);
absl::StatusOr<KeyPtr> ReadKey(std::string_view pem);
PeerIdentity SubjectOf(X509* certificate);

}  // namespace insula::tls

#endif  // INSULA_BASE_TLS_OPENSSL_UTIL_H_
