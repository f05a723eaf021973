#include "base/real/grpc_identity.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/tls/tls_identity.h"

namespace insula::real {
namespace {

// Parsed certificates by their text: a connection's streams all show the same one. Bounded; forgotten as a whole when full.
class IdentityCache {
 public:
  PeerIdentity Get(const std::string& pem) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto it = parsed_.find(pem);
      if (it != parsed_.end()) return it->second;
    }
    auto identity = ParsePeerIdentity(pem);
    if (!identity.ok()) return PeerIdentity();  // names nobody, so nobody trusts it
    std::lock_guard<std::mutex> lock(mutex_);
    if (parsed_.size() >= kMaxEntries) parsed_.clear();
    parsed_[pem] = *identity;
    return *std::move(identity);
  }

 private:
  static constexpr size_t kMaxEntries = 1024;
  std::mutex mutex_;
  std::map<std::string, PeerIdentity> parsed_;
};

}  // namespace

PeerIdentity IdentityOf(const grpc::AuthContext& auth) {
  static auto* const cache = new IdentityCache();
  if (!auth.IsPeerAuthenticated()) return PeerIdentity();
  auto pem = auth.FindPropertyValues("x509_pem_cert");
  if (pem.size() != 1) return PeerIdentity();
  return cache->Get(std::string(pem[0].data(), pem[0].size()));
}

}  // namespace insula::real
