#include "cli/cluster_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::cli {
namespace {

constexpr char kInitialising[] = "insula-data initialising\n";
const std::vector<std::string> kLoopbackNames = {"127.0.0.1", "::1", "localhost"};

std::string Absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

absl::Status Foreign(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(StrCat(path, " is not a data folder of this version of Insula: ", why, ". Nothing was changed. Choose another folder with --data=DIR."));
}

std::string RandomHex(Random* random) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(random->Next64()));
  return text;
}

// Percent-encodes all but unreserved characters (RFC 3986, 2.3).
std::string UrlEncode(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(static_cast<char>(c));
    } else {
      char hex[4];
      std::snprintf(hex, sizeof(hex), "%%%02X", c);
      out += hex;
    }
  }
  return out;
}

absl::Status CheckWritable(const std::string& path) {
  if (access(path.c_str(), R_OK | W_OK | X_OK) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(StrCat("the data folder ", path, " is not writable for this user; choose another with --data=DIR"));
}

}  // namespace

std::string ClusterFolder::store(uint64_t node) const { return StrCat(path_, "/kv/", node); }

absl::StatusOr<ClusterFolder> ClusterFolder::Open(const std::string& path, FileSystem* files) {
  ClusterFolder folder(Absolute(path), files);
  ASSIGN_OR_RETURN(bool exists, files->Exists(folder.path_ + "/VERSION"));
  if (!exists) {
    return absl::NotFoundError(StrCat("there is no cluster in ", folder.path_, ". Start one with: insula up --data=", folder.path_));
  }
  RETURN_IF_ERROR(folder.Load());
  return folder;
}

absl::StatusOr<ClusterFolder> ClusterFolder::OpenOrCreate(const std::string& path, int nodes, const Runtime& runtime) {
  ClusterFolder folder(Absolute(path), runtime.files);
  absl::Status made = runtime.files->CreateDirs(folder.path_, 0700);
  if (!made.ok()) return absl::PermissionDeniedError(StrCat("the data folder ", folder.path_, " cannot be made: ", std::string(made.message()), "; choose another with --data=DIR"));
  RETURN_IF_ERROR(CheckWritable(folder.path_));
  ASSIGN_OR_RETURN(bool exists, runtime.files->Exists(folder.path_ + "/VERSION"));
  if (exists) {
    RETURN_IF_ERROR(folder.Load());
    if (folder.initialised_) return folder;
    // A first start that did not finish: nothing was served from it yet.
    RETURN_IF_ERROR(runtime.files->RemoveRecursively(folder.path_ + "/kv"));
  } else {
    ASSIGN_OR_RETURN(std::vector<std::string> names, runtime.files->List(folder.path_));
    if (!names.empty()) return Foreign(folder.path_, StrCat("it has no VERSION file, but holds ", names[0]));
    RETURN_IF_ERROR(runtime.files->WriteFileAtomically(folder.path_ + "/VERSION", kInitialising));
  }
  folder.config_ = ClusterConfig{.cluster_id = RandomHex(runtime.random), .nodes = {}, .port = 0, .http_port = 0};
  for (int i = 1; i <= nodes; ++i) folder.config_.nodes.push_back({.id = static_cast<uint64_t>(i), .address = "", .http = "", .joined = false, .locality = ""});
  folder.config_.last_node = static_cast<uint64_t>(nodes);
  for (const char* sub : {"certs", "run", "credentials"}) RETURN_IF_ERROR(runtime.files->CreateDirs(StrCat(folder.path_, "/", sub), 0700));
  for (const char* sub : {"kv", "logs"}) RETURN_IF_ERROR(runtime.files->CreateDirs(StrCat(folder.path_, "/", sub), 0700));
  RETURN_IF_ERROR(folder.MakeCertificates());
  RETURN_IF_ERROR(folder.SaveConfig());
  return folder;
}

absl::Status ClusterFolder::Load() {
  ASSIGN_OR_RETURN(std::string version, files_->ReadFile(path_ + "/VERSION"));
  if (version == kInitialising) return absl::OkStatus();
  if (version != StrCat(kFolderVersion, "\n")) {
    std::string line = version.substr(0, std::min<size_t>(version.find('\n'), 60));
    return Foreign(path_, StrCat("its VERSION file says \"", line, "\", this version understands \"", kFolderVersion, "\""));
  }
  ASSIGN_OR_RETURN(std::string text, files_->ReadFile(path_ + "/cluster.json"));
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("nodes") || !json["nodes"].is_array()) return absl::DataLossError(StrCat(path_, "/cluster.json does not parse"));
  config_.cluster_id = json.value("cluster_id", "");
  config_.port = json.value("port", 0);
  config_.http_port = json.value("http_port", 0);
  for (auto& node : json["nodes"]) {
    config_.nodes.push_back({.id = node.value("id", uint64_t{0}), .address = node.value("address", ""), .http = node.value("http", ""), .joined = node.value("joined", false),
                             .locality = node.value("locality", "")});
    config_.last_node = std::max(config_.last_node, config_.nodes.back().id);
  }
  config_.last_node = std::max(config_.last_node, json.value("last_node", uint64_t{0}));
  initialised_ = true;
  return absl::OkStatus();
}

absl::Status ClusterFolder::SaveConfig() {
  nlohmann::json nodes = nlohmann::json::array();
  for (auto& node : config_.nodes) nodes.push_back({{"id", node.id}, {"address", node.address}, {"http", node.http}, {"joined", node.joined}, {"locality", node.locality}});
  nlohmann::json json = {{"cluster_id", config_.cluster_id}, {"port", config_.port}, {"http_port", config_.http_port}, {"last_node", config_.last_node}, {"nodes", nodes}};
  return files_->WriteFileAtomically(path_ + "/cluster.json", json.dump(2) + "\n");
}

absl::StatusOr<NodeConfig*> ClusterFolder::AddNode(const std::string& locality) {
  CertificateAndKey authority;
  ASSIGN_OR_RETURN(authority.certificate_pem, files_->ReadFile(ca()));  // the bundle begins with it
  ASSIGN_OR_RETURN(authority.key_pem, files_->ReadFile(key("ca")));
  const uint64_t id = ++config_.last_node;
  RETURN_IF_ERROR(WritePair(StrCat("node.", id), IssueNodeCertificate(authority, id, kLoopbackNames)));
  config_.nodes.push_back({.id = id, .address = "", .http = "", .joined = true, .locality = locality});
  return &config_.nodes.back();
}

absl::Status ClusterFolder::MarkInitialised() {
  RETURN_IF_ERROR(files_->WriteFileAtomically(path_ + "/VERSION", StrCat(kFolderVersion, "\n")));
  initialised_ = true;
  return absl::OkStatus();
}

absl::Status ClusterFolder::WritePair(const std::string& name, const absl::StatusOr<CertificateAndKey>& pair) {
  if (!pair.ok()) return pair.status();
  RETURN_IF_ERROR(files_->WriteFileAtomically(key(name), pair->key_pem, 0600));
  return files_->WriteFileAtomically(cert(name), pair->certificate_pem, 0644);
}

absl::Status ClusterFolder::MakeCertificates() {
  const std::vector<std::string>& names = kLoopbackNames;
  ASSIGN_OR_RETURN(CertificateAndKey ca, CreateCa("Insula cluster CA"));
  ASSIGN_OR_RETURN(CertificateAndKey tenant_ca, CreateCa("Insula tenant CA"));
  RETURN_IF_ERROR(WritePair("ca", ca));
  RETURN_IF_ERROR(WritePair("tenant-ca", tenant_ca));
  for (auto& node : config_.nodes) RETURN_IF_ERROR(WritePair(StrCat("node.", node.id), IssueNodeCertificate(ca, node.id, names)));
  RETURN_IF_ERROR(WritePair("operator", IssueOperatorCertificate(ca, names)));
  RETURN_IF_ERROR(WritePair("proxy", IssueProxyCertificate(ca, names)));
  RETURN_IF_ERROR(WritePair("pool", IssuePoolCertificate(ca, names)));
  RETURN_IF_ERROR(WritePair("server", IssueServerCertificate(ca, names)));
  RETURN_IF_ERROR(WritePair("client.admin", IssueClientCertificate(ca, "admin")));
  // Trust is in both: ca.crt is the bundle.
  return files_->WriteFileAtomically(cert("ca"), ca.certificate_pem + tenant_ca.certificate_pem, 0644);
}

absl::StatusOr<std::shared_ptr<const TlsIdentity>> ClusterFolder::Identity(const std::string& name) const {
  return TlsIdentity::FromFiles(ca(), cert(name), key(name));
}

absl::StatusOr<CertificateAndKey> ClusterFolder::TenantCa() const {
  CertificateAndKey pair;
  ASSIGN_OR_RETURN(pair.certificate_pem, files_->ReadFile(cert("tenant-ca")));
  ASSIGN_OR_RETURN(pair.key_pem, files_->ReadFile(key("tenant-ca")));
  return pair;
}

absl::Status ClusterFolder::SaveCredentials(const Credentials& credentials) {
  nlohmann::json json = {{"cluster", credentials.cluster}, {"user", credentials.user}, {"password", credentials.password}};
  return files_->WriteFileAtomically(StrCat(path_, "/credentials/", credentials.cluster, ".json"), json.dump() + "\n", 0600);
}

absl::StatusOr<Credentials> ClusterFolder::LoadCredentials(const std::string& cluster) const {
  std::string path = StrCat(path_, "/credentials/", cluster, ".json");
  ASSIGN_OR_RETURN(bool exists, files_->Exists(path));
  if (!exists) return absl::NotFoundError(StrCat("the password of ", cluster, " is not kept in this folder"));
  ASSIGN_OR_RETURN(std::string text, files_->ReadFile(path));
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError(StrCat(path, " does not parse"));
  return Credentials{json.value("cluster", ""), json.value("user", ""), json.value("password", "")};
}

absl::Status ClusterFolder::ForgetCredentials(const std::string& cluster) {
  std::string path = StrCat(path_, "/credentials/", cluster, ".json");
  ASSIGN_OR_RETURN(bool exists, files_->Exists(path));
  return exists ? files_->Remove(path) : absl::OkStatus();
}

std::string ClusterFolder::Url(const Credentials& c) const {
  std::string login = UrlEncode(c.user);
  if (!c.password.empty()) StrAppend(&login, ":", UrlEncode(c.password));
  return StrCat("postgresql://", login, "@127.0.0.1:", config_.port, "/defaultdb?options=--cluster%3D", UrlEncode(c.cluster), "&sslmode=verify-full&sslrootcert=",
                UrlEncode(ca()));
}

}  // namespace insula::cli
