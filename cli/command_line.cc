#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "base/pgerror/pg_error.h"

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

int Report(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  std::cerr << "insula: " << std::string(status.message()) << std::endl;
  return kExitFailed;
}

int RunOnLoop(const std::function<Task<absl::Status>(Context, RealWorld&)>& main) {
  RealWorld world;
  return Report(world.executor()->RunMain([&](Context ctx) { return main(ctx, world); }));
}

std::string SelfPath() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace insula::cli
