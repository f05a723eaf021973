// insula cert create-ca | create-node | create-client | create-tenant-ca
#include <CLI/CLI.hpp>

#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "cli/command_line.h"
#include "cli/commands.h"

namespace insula::cli {
namespace {

struct CertFlags {
  std::string folder = "certs";
  std::string user = "admin";
  std::string role;
  uint64_t node = 0;
  std::vector<std::string> names;
};

absl::Status WritePair(FileSystem* files, const std::string& folder, const std::string& name, const absl::StatusOr<CertificateAndKey>& pair) {
  if (!pair.ok()) return pair.status();
  for (const char* ending : {".crt", ".key"}) {
    ASSIGN_OR_RETURN(bool exists, files->Exists(StrCat(folder, "/", name, ending)));
    if (exists) return absl::AlreadyExistsError(StrCat(folder, "/", name, ending, " exists already; move it away first"));
  }
  RETURN_IF_ERROR(files->WriteFileAtomically(StrCat(folder, "/", name, ".key"), pair->key_pem, 0600));
  return files->WriteFileAtomically(StrCat(folder, "/", name, ".crt"), pair->certificate_pem, 0644);
}

absl::StatusOr<CertificateAndKey> ReadCa(FileSystem* files, const std::string& folder) {
  CertificateAndKey ca;
  ASSIGN_OR_RETURN(ca.certificate_pem, files->ReadFile(folder + "/ca.crt"));
  ASSIGN_OR_RETURN(ca.key_pem, files->ReadFile(folder + "/ca.key"));
  return ca;
}

absl::Status CreateAuthority(FileSystem* files, const CertFlags& flags, const char* name, const char* subject) {
  RETURN_IF_ERROR(files->CreateDirs(flags.folder, 0700));
  return WritePair(files, flags.folder, name, CreateCa(subject));
}

absl::Status CreateForRole(FileSystem* files, const CertFlags& flags) {
  ASSIGN_OR_RETURN(CertificateAndKey ca, ReadCa(files, flags.folder));
  std::vector<std::string> names = flags.names.empty() ? std::vector<std::string>{"127.0.0.1", "::1", "localhost"} : flags.names;
  if (flags.role == "node") return WritePair(files, flags.folder, StrCat("node.", flags.node), IssueNodeCertificate(ca, flags.node, names));
  if (flags.role == "operator") return WritePair(files, flags.folder, "operator", IssueOperatorCertificate(ca, names));
  if (flags.role == "proxy") return WritePair(files, flags.folder, "proxy", IssueProxyCertificate(ca, names));
  if (flags.role == "pool") return WritePair(files, flags.folder, "pool", IssuePoolCertificate(ca, names));
  if (flags.role == "server") return WritePair(files, flags.folder, "server", IssueServerCertificate(ca, names));
  return WritePair(files, flags.folder, StrCat("client.", flags.user), IssueClientCertificate(ca, flags.user));
}

}  // namespace

int CertCommand(int argc, char** argv) {
  CertFlags flags;
  CLI::App app("Makes the certificates of a cluster (insula up makes its own).", "insula cert");
  app.require_subcommand(1);
  app.add_option("--certs", flags.folder, "folder of the certificates")->capture_default_str();
  RealWorld world;
  FileSystem* files = world.runtime().files;
  absl::Status result;
  app.add_subcommand("create-ca", "the cluster's CA")->fallthrough()->callback([&] { result = CreateAuthority(files, flags, "ca", "Insula cluster CA"); });
  app.add_subcommand("create-tenant-ca", "the CA of tenants' certificates, which the operator holds")->fallthrough()->callback([&] {
    result = CreateAuthority(files, flags, "tenant-ca", "Insula tenant CA");
  });
  for (const char* role : {"node", "operator", "proxy", "pool", "server", "client"}) {
    CLI::App* sub = app.add_subcommand(StrCat("create-", role), StrCat("a certificate for a ", role))->fallthrough();
    if (std::string_view(role) == "node") sub->add_option("--node-id", flags.node, "the node's number")->required();
    if (std::string_view(role) == "client") sub->add_option("--user", flags.user, "the administrator's name")->capture_default_str();
    sub->add_option("--names", flags.names, "DNS names and addresses, comma separated (default: loopback)")->delimiter(',');
    sub->callback([&, role] {
      flags.role = role;
      result = CreateForRole(files, flags);
    });
  }
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  return Report(result);
}

}  // namespace insula::cli
