// The data folder of a local cluster: what lies where, made on first start, checked on every later one.
//
//   DIR/VERSION                 "insula-data 1": format of the folder; written last on first start
//   DIR/cluster.json            cluster id, node addresses, ports
//   DIR/lock                    held by the running supervisor
//   DIR/certs/                  ca.crt, client.admin.{crt,key}, and one pair per role (keys 0600)
//   DIR/kv/N/                   store of node N
//   DIR/run/ROLE-ID.json        running processes
//   DIR/logs/ROLE-ID.log
//   DIR/credentials/            passwords of tenants that were made here (0600)
#ifndef INSULA_CLI_CLUSTER_FOLDER_H_
#define INSULA_CLI_CLUSTER_FOLDER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/runtime.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula::cli {

struct NodeConfig {
  uint64_t id = 0;
  std::string address;  // gRPC
  std::string http;
  bool joined = false;  // after the first start
  std::string locality;
};

struct ClusterConfig {
  std::string cluster_id;  // 16 hex digits
  std::vector<NodeConfig> nodes;
  int port = 0;       // SQL, of the proxy
  int http_port = 0;  // of the operator
  uint64_t last_node = 0;  // the highest number that a node ever had: they are not used again
};

struct Credentials {
  std::string cluster;  // NAME-ID
  std::string user;
  std::string password;
};

class ClusterFolder {
 public:
  // An existing folder. kNotFound with advice if there is no cluster in it; kFailedPrecondition for a foreign folder or
  // another format.
  static absl::StatusOr<ClusterFolder> Open(const std::string& path, FileSystem* files);
  // The same, making the folder and its certificates if it is new or empty, or if a first start was interrupted.
  static absl::StatusOr<ClusterFolder> OpenOrCreate(const std::string& path, int nodes, const Runtime& runtime);

  const std::string& path() const { return path_; }  // absolute
  std::string certs() const { return path_ + "/certs"; }
  std::string run() const { return path_ + "/run"; }
  std::string logs() const { return path_ + "/logs"; }
  std::string store(uint64_t node) const;
  std::string cert(const std::string& name) const { return certs() + "/" + name + ".crt"; }
  std::string key(const std::string& name) const { return certs() + "/" + name + ".key"; }
  std::string ca() const { return cert("ca"); }
  // The identity `name` (node.1, operator, proxy, pool, server, client.admin).
  absl::StatusOr<std::shared_ptr<const TlsIdentity>> Identity(const std::string& name) const;
  // The tenant CA with its key, which only the operator reads.
  absl::StatusOr<CertificateAndKey> TenantCa() const;
  absl::StatusOr<std::string> CaBundle() const { return files_->ReadFile(ca()); }

  ClusterConfig& config() { return config_; }
  const ClusterConfig& config() const { return config_; }
  absl::Status SaveConfig();
  // Takes a further node into the configuration, with its certificate; not saved yet.
  absl::StatusOr<NodeConfig*> AddNode(const std::string& locality);
  // True once the stores are initialised and VERSION is written.
  bool initialised() const { return initialised_; }
  absl::Status MarkInitialised();

  absl::Status SaveCredentials(const Credentials& credentials);
  absl::StatusOr<Credentials> LoadCredentials(const std::string& cluster) const;
  absl::Status ForgetCredentials(const std::string& cluster);
  // libpq connection URI, with the password.
  std::string Url(const Credentials& credentials) const;

 private:
  ClusterFolder(std::string path, FileSystem* files) : path_(std::move(path)), files_(files) {}
  absl::Status Load();
  absl::Status MakeCertificates();
  absl::Status WritePair(const std::string& name, const absl::StatusOr<CertificateAndKey>& pair);

  std::string path_;
  FileSystem* files_;
  ClusterConfig config_;
  bool initialised_ = false;
};

// What the folder's format is called in VERSION.
inline constexpr char kFolderVersion[] = "insula-data 1";

}  // namespace insula::cli

#endif  // INSULA_CLI_CLUSTER_FOLDER_H_
