// Who a process is on the wire: the CA bundle that it trusts, its certificate chain and its private key, as PEM text.
//
//   ASSIGN_OR_RETURN(auto identity, TlsIdentity::FromFiles("ca.crt", "node.1.crt", "node.1.key"));
//   auto transport = MakeGrpcTransport(executor, identity);
//
// Immutable and shared; safe to use from any thread. Never printed: the key is in it.
#ifndef INSULA_BASE_TLS_TLS_IDENTITY_H_
#define INSULA_BASE_TLS_TLS_IDENTITY_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/transport.h"

namespace insula {

class TlsIdentity {
 public:
  // `ca_pem`: one or more certificates that are trusted (may be empty for a server that asks for no client certificates).
  // `chain_pem` and `key_pem`: both empty for a client without a certificate. kInvalidArgument if something does not parse
  // or the key is not that of the first certificate.
  static absl::StatusOr<std::shared_ptr<const TlsIdentity>> FromPem(std::string ca_pem, std::string chain_pem, std::string key_pem);

  // The same from files; "" for a part that is absent. kFailedPrecondition if others than the owner can read the key.
  static absl::StatusOr<std::shared_ptr<const TlsIdentity>> FromFiles(const std::string& ca_path, const std::string& chain_path,
                                                                      const std::string& key_path);

  // Has a subject and no certificates: what simulated transports and streams report to the other side.
  static std::shared_ptr<const TlsIdentity> ForSimulation(PeerIdentity subject);

  const std::string& ca_pem() const { return ca_pem_; }
  const std::string& chain_pem() const { return chain_pem_; }
  const std::string& key_pem() const { return key_pem_; }
  bool has_certificate() const { return !chain_pem_.empty(); }
  // What the first certificate of the chain says; empty without one.
  const PeerIdentity& subject() const { return subject_; }

 private:
  TlsIdentity(std::string ca_pem, std::string chain_pem, std::string key_pem, PeerIdentity subject);

  std::string ca_pem_;
  std::string chain_pem_;
  std::string key_pem_;
  PeerIdentity subject_;
};

// Common name, organizational unit and URI names of a certificate (`address` stays empty). The first certificate of `pem`.
absl::StatusOr<PeerIdentity> ParsePeerIdentity(std::string_view pem);
// The same from one DER certificate.
absl::StatusOr<PeerIdentity> ParsePeerIdentityDer(std::string_view der);

}  // namespace insula

#endif  // INSULA_BASE_TLS_TLS_IDENTITY_H_
