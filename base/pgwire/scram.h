// SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL uses it: both sides of the exchange as plain state machines, and verifiers.
//
//   client                                          server
//   n,,n=,r=CNONCE                            ───►  ScramServer::First
//   ScramClient::Final                        ◄───  r=CNONCE SNONCE,s=SALT,i=4096
//   c=biws,r=…,p=PROOF                        ───►  ScramServer::Final
//   ScramClient::Verify                       ◄───  v=SERVER SIGNATURE
//
// What a server stores is the verifier, in pg_authid's form: SCRAM-SHA-256$4096:SALT$STORED KEY:SERVER KEY (base64).
// A user that does not exist, or has no password, gets a mock verifier: always the same salt for the same name, and every proof
// fails at the same place as a wrong password does.
//
// Passwords: ASCII as it is; others byte by byte without SASLprep normalisation, which PostgreSQL also falls back to for what
// is not valid UTF-8. Channel binding is not offered: pods stand behind a proxy that ends TLS.
// Thread safety: values.
#ifndef INSULA_BASE_PGWIRE_SCRAM_H_
#define INSULA_BASE_PGWIRE_SCRAM_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"

namespace insula::pgwire {

inline constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";
inline constexpr int kScramIterations = 4096;
inline constexpr size_t kScramSaltBytes = 16;
inline constexpr size_t kScramNonceBytes = 18;

struct ScramVerifier {
  int iterations = kScramIterations;
  std::string salt;        // raw bytes, as are the keys
  std::string stored_key;
  std::string server_key;

  std::string ToString() const;
  static absl::StatusOr<ScramVerifier> Parse(std::string_view text);
};

// Derives a verifier: thousands of HMACs, some milliseconds. On the loop use DeriveScramVerifier.
ScramVerifier MakeScramVerifier(std::string_view password, std::string salt, int iterations = kScramIterations);
// The same off the loop.
Task<absl::StatusOr<ScramVerifier>> DeriveScramVerifier(const Context& ctx, std::string password, std::string salt,
                                                        int iterations = kScramIterations);
// For a user without a verifier. `secret` is the cluster's, unknown to clients.
ScramVerifier MockScramVerifier(std::string_view user, std::string_view secret);

// Whether `password` is the verifier's. As slow as deriving one.
bool VerifyPassword(std::string_view password, const ScramVerifier& verifier);

class ScramServer {
 public:
  // nonce: printable, without commas; MakeScramNonce() of kScramNonceBytes random bytes. known: false for a mock verifier.
  ScramServer(ScramVerifier verifier, bool known, std::string nonce);

  // client-first-message → server-first-message. 08P01 when malformed.
  absl::StatusOr<std::string> First(std::string_view message);
  // client-final-message → server-final-message. 28P01 without a text of its own when the proof is wrong: the caller words it.
  absl::StatusOr<std::string> Final(std::string_view message);

 private:
  ScramVerifier verifier_;
  bool known_;
  std::string nonce_;
  std::string gs2_header_;
  std::string auth_message_;  // grows: client-first-bare, server-first, client-final-without-proof
};

class ScramClient {
 public:
  ScramClient(std::string password, std::string nonce);

  std::string First();
  // server-first-message → client-final-message. Slow (derives keys): see FinalOffLoop.
  absl::StatusOr<std::string> Final(std::string_view server_first);
  Task<absl::StatusOr<std::string>> FinalOffLoop(const Context& ctx, std::string server_first);
  // server-final-message: OK if the server knows the verifier.
  absl::Status Verify(std::string_view server_final) const;

 private:
  struct ServerFirst {
    std::string nonce, salt;
    int iterations = 0;
  };
  absl::StatusOr<ServerFirst> ParseServerFirst(std::string_view message) const;
  std::string Finish(std::string_view server_first, const ServerFirst& parsed, std::string_view salted_password);

  std::string password_;
  std::string nonce_;
  std::string server_signature_;
};

// Random bytes as a nonce: base64.
std::string MakeScramNonce(std::string_view random_bytes);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_SCRAM_H_
