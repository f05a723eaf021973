// What all subcommands share: parsing with CLI11's exit codes mapped to ours, errors on standard error.
//
// Exit codes: 0 ok, 1 failed, 2 usage.
#ifndef INSULA_CLI_COMMAND_LINE_H_
#define INSULA_CLI_COMMAND_LINE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/real/real_world.h"

namespace CLI {
class App;
}

namespace insula::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Parses; true to go on. False: `*exit_code` says how to leave (help was printed, or a usage error).
bool Parse(CLI::App& app, int argc, char** argv, int* exit_code);

// A subcommand of `app` about a local cluster: --data for its folder (`*data` holds the default), and --json.
CLI::App* AddClusterCommand(CLI::App& app, const char* name, const char* help, std::string* data, bool* json);

// Prints "insula: MESSAGE" to standard error and gives kExitFailed; kExitOk for OK.
int Report(const absl::Status& status);

// Runs `main` on a real world's loop to its end; reports its status.
int RunOnLoop(const std::function<Task<absl::Status>(Context, RealWorld&)>& main);

// "500ms", "10s", "5m", "2h" in milliseconds; kInvalidArgument, with examples, otherwise.
absl::StatusOr<int64_t> ParseDuration(const std::string& text);

// What stands between commas.
std::vector<std::string> SplitList(const std::string& text);

// "12.3 MB"
std::string Size(uint64_t bytes);

// Path of the running binary.
std::string SelfPath();

}  // namespace insula::cli

#endif  // INSULA_CLI_COMMAND_LINE_H_
