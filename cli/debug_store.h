// insula debug store: looks into the files of a store that no node uses, and changes nothing of them (kv/store/inspect).
#ifndef INSULA_CLI_DEBUG_STORE_H_
#define INSULA_CLI_DEBUG_STORE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "kv/store/inspect/store_view.h"

namespace CLI {
class App;
}

namespace insula::cli {

struct DebugStoreFlags {
  std::string path;
  bool json = false;
  uint64_t range = 0;
  uint64_t first_index = 0, last_index = ~uint64_t{0};
  std::string from, to;  // keys, as typed
  uint64_t limit = 100;
  bool values = false;
};

class DebugStore {
 public:
  // Adds `store` to `insula debug`.
  explicit DebugStore(CLI::App& debug);
  // Whether it was asked for.
  bool chosen() const;
  int Run();

 private:
  using Show = absl::Status (*)(kv::StoreView& view, const DebugStoreFlags& flags);
  CLI::App* Add(const char* name, const char* help, Show show);

  CLI::App* store_;
  DebugStoreFlags flags_;
  Show show_;
};

// What the subcommands print, to standard output. Not OK: what was asked for is not there, or damaged.
absl::Status ShowStoreSummary(kv::StoreView& view, const DebugStoreFlags& flags);
absl::Status ShowStoreRanges(kv::StoreView& view, const DebugStoreFlags& flags);
absl::Status ShowStoreRange(kv::StoreView& view, const DebugStoreFlags& flags);
absl::Status ShowStoreLog(kv::StoreView& view, const DebugStoreFlags& flags);
absl::Status ShowStoreKeys(kv::StoreView& view, const DebugStoreFlags& flags);
absl::Status ShowStoreCheck(kv::StoreView& view, const DebugStoreFlags& flags);

}  // namespace insula::cli

#endif  // INSULA_CLI_DEBUG_STORE_H_
