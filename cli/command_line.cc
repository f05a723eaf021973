#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"

namespace insula::cli {

bool Parse(CLI::App& app, int argc, char** argv, int* exit_code) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? kExitOk : kExitUsage;
    return false;
  }
}

CLI::App* AddClusterCommand(CLI::App& app, const char* name, const char* help, std::string* data, bool* json) {
  CLI::App* sub = app.add_subcommand(name, help);
  sub->add_option("--data", *data, "data folder of the cluster")->capture_default_str();
  sub->add_flag("--json", *json, "print JSON");
  return sub;
}

int Report(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  std::cerr << "insula: " << std::string(status.message()) << std::endl;
  return kExitFailed;
}

int RunOnLoop(const std::function<Task<absl::Status>(Context, RealWorld&)>& main) {
  RealWorld world;
  return Report(world.executor()->RunMain([&](Context ctx) { return main(ctx, world); }));
}

absl::StatusOr<int64_t> ParseDuration(const std::string& text) {
  size_t digits = text.find_first_not_of("0123456789");
  std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  int64_t factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" || unit == "min" ? 60000 : unit == "h" ? 3600000 : 0;
  if (factor == 0 || digits == 0 || digits > 9) return absl::InvalidArgumentError(StrCat("\"", text, "\" is not a duration; examples: 500ms, 10s, 5m, 2h"));
  int64_t value = std::stoll(text.substr(0, digits)) * factor;
  if (value <= 0) return absl::InvalidArgumentError("a duration must be positive");
  return value;
}

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) out.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

std::string Size(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1000 && unit < 5; ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string SelfPath() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace insula::cli
