// insula: one binary, one subcommand per role. Nothing but wiring.
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/version.h"

namespace insula::cli {
namespace {

struct Command {
  const char* name;
  const char* help;
  int (*run)(int argc, char** argv);
};

constexpr Command kCommands[] = {
    {"up", "run a whole local cluster: KV nodes, operator, proxy and a pool of SQL pods", UpCommand},
    {"down", "stop it", DownCommand},
    {"status", "list its processes", StatusCommand},
    {"tenant", "create, list, get, suspend, resume, drop tenants", TenantCommand},
    {"psql", "run psql with everything filled in", PsqlCommand},
    {"node", "list, add, start, drain, decommission KV nodes", NodeCommand},
    {"debug", "show nodes, ranges and hot ranges; look into the files of a store that is not in use", DebugCommand},
    {"cert", "make certificates", CertCommand},
    {"kv", "a KV node (kv init, start, join, drain, decommission)", KvCommand},
    {"sql", "a SQL pod (sql start)", SqlCommand},
    {"proxy", "the proxy (proxy start)", ProxyCommand},
    {"operator", "the operator (operator start)", OperatorCommand},
};

void PrintUsage(std::ostream& out) {
  out << "usage: insula COMMAND [OPTIONS]\n\nA serverless, multi-tenant SQL database that speaks PostgreSQL's protocol.\n\n";
  for (const Command& command : kCommands) out << "  " << command.name << std::string(12 - std::strlen(command.name), ' ') << command.help << "\n";
  out << "\n`insula COMMAND --help` tells more; `insula --version` the version.\n";
}

int Main(int argc, char** argv) {
  std::string name = argc > 1 ? argv[1] : "";
  if (name == "--version") {
    std::cout << "insula " << kVersion << "\n";
    return kExitOk;
  }
  if (name == "--help" || name == "-h" || name == "help") {
    PrintUsage(std::cout);
    return kExitOk;
  }
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    std::string full = "insula " + name;
    std::vector<char*> rest = {full.data()};
    rest.insert(rest.end(), argv + 2, argv + argc);
    rest.push_back(nullptr);
    return command.run(static_cast<int>(rest.size()) - 1, rest.data());
  }
  if (!name.empty()) std::cerr << "insula: no command '" << name << "'\n";
  PrintUsage(std::cerr);
  return kExitUsage;
}

}  // namespace
}  // namespace insula::cli

int main(int argc, char** argv) { return insula::cli::Main(argc, argv); }
