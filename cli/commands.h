// The subcommands of insula, one function each. Exit codes as in command_line.h.
#ifndef INSULA_CLI_COMMANDS_H_
#define INSULA_CLI_COMMANDS_H_

namespace insula::cli {

// Subcommands. argv[0] is the command's own name ("insula tenant").
int KvCommand(int argc, char** argv);
int SqlCommand(int argc, char** argv);
int ProxyCommand(int argc, char** argv);
int OperatorCommand(int argc, char** argv);
int UpCommand(int argc, char** argv);
int DownCommand(int argc, char** argv);
int StatusCommand(int argc, char** argv);
int NodeCommand(int argc, char** argv);
int DebugCommand(int argc, char** argv);
int TenantCommand(int argc, char** argv);
int PsqlCommand(int argc, char** argv);
int CertCommand(int argc, char** argv);

}  // namespace insula::cli

#endif  // INSULA_CLI_COMMANDS_H_
