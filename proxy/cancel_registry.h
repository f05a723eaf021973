// Cancel keys: clients get keys of the proxy's own making; a cancel request with one leads to the pod and its key.
#ifndef INSULA_PROXY_CANCEL_REGISTRY_H_
#define INSULA_PROXY_CANCEL_REGISTRY_H_

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/pgwire/backend.h"
#include "base/runtime/random.h"

namespace insula::proxy {

class CancelRegistry {
 public:
  explicit CancelRegistry(Random* random) : random_(random) {}

  struct Target {
    std::string pod_address;
    pgwire::BackendKeyData pod_key;
  };

  // A fresh key (64 random bits) for a connection to `target`.
  pgwire::BackendKeyData Add(Target target) {
    while (true) {
      uint64_t bits = random_->Next64();
      pgwire::BackendKeyData key{.process_id = static_cast<uint32_t>(bits >> 32), .secret = {}};
      AppendFixed32(&key.secret, static_cast<uint32_t>(bits));
      if (targets_.try_emplace({key.process_id, key.secret}, target).second) return key;
    }
  }
  std::optional<Target> Find(uint32_t process_id, const std::string& secret) const {
    auto it = targets_.find({process_id, secret});
    if (it == targets_.end()) return std::nullopt;
    return it->second;
  }
  void Remove(const pgwire::BackendKeyData& key) { targets_.erase({key.process_id, key.secret}); }

 private:
  Random* random_;
  std::map<std::pair<uint32_t, std::string>, Target> targets_;
};

}  // namespace insula::proxy

#endif  // INSULA_PROXY_CANCEL_REGISTRY_H_
