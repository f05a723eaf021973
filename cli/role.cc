#include "cli/role.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/log/log.h"
#include "base/process/process_manager.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "cli/command_line.h"
#include "cli/version.h"

namespace insula::cli {

void IdentityFlags::AddTo(CLI::App* app) {
  app->add_option("--ca", ca, "PEM file of the CAs to trust")->required();
  app->add_option("--cert", certificate, "PEM file of this process's certificate")->required();
  app->add_option("--key", key, "PEM file of its private key (mode 0600)")->required();
}

absl::StatusOr<std::shared_ptr<const TlsIdentity>> IdentityFlags::Load() const { return TlsIdentity::FromFiles(ca, certificate, key); }

absl::StatusOr<std::map<uint64_t, std::string>> ParsePeers(const std::string& text) {
  std::map<uint64_t, std::string> peers;
  size_t at = 0;
  while (at < text.size()) {
    size_t comma = std::min(text.find(',', at), text.size());
    std::string_view entry = std::string_view(text).substr(at, comma - at);
    size_t equals = entry.find('=');
    uint64_t id = 0;
    bool good = equals != std::string_view::npos && std::from_chars(entry.data(), entry.data() + equals, id).ptr == entry.data() + equals && id > 0;
    if (!good || entry.size() == equals + 1) return absl::InvalidArgumentError(StrCat("\"", entry, "\" is not of the form ID=HOST:PORT"));
    peers[id] = std::string(entry.substr(equals + 1));
    at = comma + 1;
  }
  if (peers.empty()) return absl::InvalidArgumentError("no nodes are given");
  return peers;
}

absl::StatusOr<std::string> RoleHttp::Start(const std::string& address, std::function<absl::Status()> ready) {
  if (address.empty()) return std::string();
  metrics_.AddGauges("insula_build_info", "Always 1; the version is a label.", {"version"})->With({kVersion})->Set(1);
  metrics::AddProcessMetrics(&metrics_);
  AddStandardHandlers(&server_, std::move(ready), [this] { return metrics_.Render(); });
  ASSIGN_OR_RETURN(int port, server_.Listen(address));
  return StrCat(HostOf(address), ":", port);
}

void ReportRoleReady(const std::string& address, const std::string& http, const std::string& control) {
  nlohmann::json json = {{"address", address}, {"http", http}};
  if (!control.empty()) json["control"] = control;
  ReportReady(json.dump());
}

void StartLog(const std::string& role, const std::string& id) {
  absl::Status configured = log::Configure({.role = role, .id = id, .path = ""});
  if (!configured.ok()) Report(configured);
}

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace insula::cli
