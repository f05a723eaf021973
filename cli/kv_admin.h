// insula kv drain, insula kv decommission: administration of nodes that no supervisor of ours runs.
#ifndef INSULA_CLI_KV_ADMIN_H_
#define INSULA_CLI_KV_ADMIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/role.h"

namespace CLI {
class App;
}

namespace insula::cli {

class KvAdmin {
 public:
  // Adds its subcommands to `insula kv`.
  explicit KvAdmin(CLI::App& app);
  // Whether one of them was asked for.
  bool chosen() const;
  int Run();

 private:
  CLI::App* drain_;
  CLI::App* decommission_;
  IdentityFlags identity_;
  std::string nodes_;
  uint64_t node_ = 0;
  std::vector<uint64_t> going_;
};

}  // namespace insula::cli

#endif  // INSULA_CLI_KV_ADMIN_H_
