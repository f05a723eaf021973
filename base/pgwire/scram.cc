#include "base/pgwire/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/async/wait.h"
#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

constexpr size_t kKeyBytes = SHA256_DIGEST_LENGTH;
constexpr int kMaxIterations = 10'000'000;

const unsigned char* Raw(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
unsigned char* Raw(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }

std::string Hmac(std::string_view key, std::string_view data) {
  std::string out(kKeyBytes, '\0');
  unsigned int size = kKeyBytes;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Raw(data), data.size(), Raw(out), &size) != nullptr);
  return out;
}

std::string Hash(std::string_view data) {
  std::string out(kKeyBytes, '\0');
  SHA256(Raw(data), data.size(), Raw(out));
  return out;
}

std::string SaltedPassword(std::string_view password, std::string_view salt, int iterations) {
  std::string out(kKeyBytes, '\0');
  CHECK_EQ(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), Raw(salt), static_cast<int>(salt.size()), iterations,
                             EVP_sha256(), kKeyBytes, Raw(out)),
           1);
  return out;
}

std::string Xor(std::string_view a, std::string_view b) {
  CHECK_EQ(a.size(), b.size());
  std::string out(a);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string Base64(std::string_view s) { return absl::Base64Escape(Sv(s)); }
std::optional<std::string> FromBase64(std::string_view s) {
  std::string out;
  // Abseil forgives missing padding and blanks; the protocol does not.
  if (s.size() % 4 != 0 || s.find_first_of(" \t\r\n") != std::string_view::npos) return std::nullopt;
  if (!absl::Base64Unescape(Sv(s), &out)) return std::nullopt;
  return out;
}

std::optional<int> ParseIterations(std::string_view s) {
  int v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (error != std::errc() || end != s.data() + s.size() || v < 1 || v > kMaxIterations) return std::nullopt;
  return v;
}

ScramVerifier VerifierFrom(std::string_view salted_password, std::string salt, int iterations) {
  return {iterations, std::move(salt), Hash(Hmac(salted_password, "Client Key")), Hmac(salted_password, "Server Key")};
}

absl::Status Malformed(std::string_view detail) {
  return PgErrorBuilder(sqlstate::kProtocolViolation, "malformed SCRAM message").Detail(detail).Build();
}

// Attributes "a=value", separated by commas, in a fixed order.
class Attributes {
 public:
  explicit Attributes(std::string_view in) : in_(in) {}
  // The value of the next attribute if it is `name`.
  std::optional<std::string_view> Take(char name) {
    if (in_.size() < 2 || in_[0] != name || in_[1] != '=') return std::nullopt;
    size_t comma = in_.find(',');
    std::string_view value = in_.substr(2, comma == std::string_view::npos ? comma : comma - 2);
    in_ = comma == std::string_view::npos ? std::string_view() : in_.substr(comma + 1);
    return value;
  }
  std::string_view rest() const { return in_; }

 private:
  std::string_view in_;
};

bool IsPrintableNonce(std::string_view nonce) {
  if (nonce.empty()) return false;
  for (char c : nonce) {
    if (c < 0x21 || c > 0x7e || c == ',') return false;
  }
  return true;
}

// Off the loop; the work owns what it touches, so the waiting frame may go at any time.
Task<absl::StatusOr<std::string>> SaltedPasswordOffLoop(const Context& ctx, std::string password, std::string salt, int iterations) {
  struct Job {
    std::string password, salt, result;
    int iterations;
    OneShot<bool> done;
  };
  auto job = std::make_shared<Job>();
  job->password = std::move(password);
  job->salt = std::move(salt);
  job->iterations = iterations;
  ctx.executor().RunBlocking([job] { job->result = SaltedPassword(job->password, job->salt, job->iterations); },
                             [job] { job->done.Set(true); });
  absl::StatusOr<bool> done = co_await job->done.Take(ctx);
  if (!done.ok()) co_return done.status();
  co_return std::move(job->result);
}

}  // namespace

std::string ScramVerifier::ToString() const {
  return StrCat(kScramSha256, "$", iterations, ":", Base64(salt), "$", Base64(stored_key), ":", Base64(server_key));
}

absl::StatusOr<ScramVerifier> ScramVerifier::Parse(std::string_view text) {
  absl::Status bad = absl::InvalidArgumentError("not a SCRAM-SHA-256 verifier");
  std::string prefix = StrCat(kScramSha256, "$");
  if (!text.starts_with(prefix)) return bad;
  text.remove_prefix(prefix.size());
  size_t colon = text.find(':');
  size_t dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || colon > dollar) return bad;
  size_t colon2 = text.find(':', dollar);
  if (colon2 == std::string_view::npos) return bad;
  auto iterations = ParseIterations(text.substr(0, colon));
  auto salt = FromBase64(text.substr(colon + 1, dollar - colon - 1));
  auto stored = FromBase64(text.substr(dollar + 1, colon2 - dollar - 1));
  auto server = FromBase64(text.substr(colon2 + 1));
  if (!iterations || !salt || !stored || !server) return bad;
  if (salt->empty() || stored->size() != kKeyBytes || server->size() != kKeyBytes) return bad;
  return ScramVerifier{*iterations, *salt, *stored, *server};
}

ScramVerifier MakeScramVerifier(std::string_view password, std::string salt, int iterations) {
  std::string salted = SaltedPassword(password, salt, iterations);
  return VerifierFrom(salted, std::move(salt), iterations);
}

Task<absl::StatusOr<ScramVerifier>> DeriveScramVerifier(const Context& ctx, std::string password, std::string salt, int iterations) {
  CO_ASSIGN_OR_RETURN(std::string salted, co_await SaltedPasswordOffLoop(ctx, std::move(password), salt, iterations));
  co_return VerifierFrom(salted, std::move(salt), iterations);
}

ScramVerifier MockScramVerifier(std::string_view user, std::string_view secret) {
  ScramVerifier out;
  out.salt = Hmac(secret, user).substr(0, kScramSaltBytes);
  out.stored_key.assign(kKeyBytes, '\0');
  out.server_key.assign(kKeyBytes, '\0');
  return out;
}

bool VerifyPassword(std::string_view password, const ScramVerifier& verifier) {
  std::string salted = SaltedPassword(password, verifier.salt, verifier.iterations);
  return SameSecret(Hmac(salted, "Server Key"), verifier.server_key);
}

ScramServer::ScramServer(ScramVerifier verifier, bool known, std::string nonce)
    : verifier_(std::move(verifier)), known_(known), nonce_(std::move(nonce)) {}

absl::StatusOr<std::string> ScramServer::First(std::string_view message) {
  // gs2-cbind-flag "," [authzid] ","
  if (message.size() < 3) return Malformed("The message is too short.");
  if (message[0] == 'p') return Malformed("The client selected channel binding, which the server did not offer.");
  if ((message[0] != 'n' && message[0] != 'y') || message[1] != ',') return Malformed("Unexpected channel-binding flag.");
  if (message[2] != ',') {
    return PgError(sqlstate::kFeatureNotSupported, "client uses authorization identity, but it is not supported");
  }
  gs2_header_ = message.substr(0, 3);
  std::string_view bare = message.substr(3);
  if (bare.starts_with("m=")) {
    return PgError(sqlstate::kFeatureNotSupported, "client requires an unsupported SCRAM extension");
  }
  Attributes in(bare);
  // The user name is the startup packet's; what stands here is ignored, as PostgreSQL does.
  auto user = in.Take('n');
  if (!user) return Malformed("Expected attribute n.");
  auto client_nonce = in.Take('r');
  if (!client_nonce) return Malformed("Expected attribute r.");
  if (!IsPrintableNonce(*client_nonce)) return Malformed("The nonce contains unprintable characters.");
  nonce_ = StrCat(*client_nonce, nonce_);
  std::string reply = StrCat("r=", nonce_, ",s=", Base64(verifier_.salt), ",i=", verifier_.iterations);
  auth_message_ = StrCat(bare, ",", reply);
  return reply;
}

absl::StatusOr<std::string> ScramServer::Final(std::string_view message) {
  size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return Malformed("Expected attribute p.");
  std::string_view without_proof = message.substr(0, proof_at);
  Attributes in(without_proof);
  auto binding = in.Take('c');
  if (!binding) return Malformed("Expected attribute c.");
  if (*binding != Base64(gs2_header_)) return Malformed("Unexpected channel-binding attribute.");
  auto nonce = in.Take('r');
  if (!nonce) return Malformed("Expected attribute r.");
  if (!SameSecret(*nonce, nonce_)) return Malformed("The nonce does not match.");
  auto proof = FromBase64(message.substr(proof_at + 3));
  if (!proof || proof->size() != kKeyBytes) return Malformed("Malformed proof.");

  StrAppend(&auth_message_, ",", without_proof);
  std::string client_key = Xor(*proof, Hmac(verifier_.stored_key, auth_message_));
  bool same = SameSecret(Hash(client_key), verifier_.stored_key);
  if (!same || !known_) return PgError(sqlstate::kInvalidPassword, "password authentication failed");
  return StrCat("v=", Base64(Hmac(verifier_.server_key, auth_message_)));
}

ScramClient::ScramClient(std::string password, std::string nonce) : password_(std::move(password)), nonce_(std::move(nonce)) {}

std::string ScramClient::First() { return StrCat("n,,n=,r=", nonce_); }

absl::StatusOr<ScramClient::ServerFirst> ScramClient::ParseServerFirst(std::string_view message) const {
  Attributes in(message);
  auto nonce = in.Take('r');
  auto salt = in.Take('s');
  auto iterations = in.Take('i');
  if (!nonce || !salt || !iterations) return Malformed("Unexpected server-first-message.");
  if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size()) return Malformed("The nonce does not match.");
  auto raw_salt = FromBase64(*salt);
  auto count = ParseIterations(*iterations);
  if (!raw_salt || !count) return Malformed("Unexpected salt or iteration count.");
  return ServerFirst{std::string(*nonce), *raw_salt, *count};
}

std::string ScramClient::Finish(std::string_view server_first, const ServerFirst& parsed, std::string_view salted) {
  std::string without_proof = StrCat("c=biws,r=", parsed.nonce);
  std::string auth_message = StrCat("n=,r=", nonce_, ",", server_first, ",", without_proof);
  std::string client_key = Hmac(salted, "Client Key");
  std::string proof = Xor(client_key, Hmac(Hash(client_key), auth_message));
  server_signature_ = Hmac(Hmac(salted, "Server Key"), auth_message);
  return StrCat(without_proof, ",p=", Base64(proof));
}

absl::StatusOr<std::string> ScramClient::Final(std::string_view server_first) {
  ASSIGN_OR_RETURN(ServerFirst parsed, ParseServerFirst(server_first));
  return Finish(server_first, parsed, SaltedPassword(password_, parsed.salt, parsed.iterations));
}

Task<absl::StatusOr<std::string>> ScramClient::FinalOffLoop(const Context& ctx, std::string server_first) {
  CO_ASSIGN_OR_RETURN(ServerFirst parsed, ParseServerFirst(server_first));
  CO_ASSIGN_OR_RETURN(std::string salted, co_await SaltedPasswordOffLoop(ctx, password_, parsed.salt, parsed.iterations));
  co_return Finish(server_first, parsed, salted);
}

absl::Status ScramClient::Verify(std::string_view server_final) const {
  Attributes in(server_final);
  if (auto error = in.Take('e')) return PgError(sqlstate::kInvalidPassword, StrCat("SCRAM: ", *error));
  auto signature = in.Take('v');
  auto raw = signature ? FromBase64(*signature) : std::nullopt;
  if (!raw || server_signature_.empty() || !SameSecret(*raw, server_signature_)) {
    return PgError(sqlstate::kInvalidAuthorization, "the server does not know the password's verifier");
  }
  return absl::OkStatus();
}

std::string MakeScramNonce(std::string_view random_bytes) { return Base64(random_bytes); }

}  // namespace insula::pgwire
