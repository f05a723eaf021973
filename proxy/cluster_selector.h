// Which cluster a client wants: read from its startup message and its TLS server name. Pure.
//
//   options   --cluster=NAME-ID | -ccluster=NAME-ID | -c cluster=NAME-ID    removed from what the pod sees
//   database  NAME-ID.db                                                    the pod sees db
//   SNI       NAME-ID.anything                                              first label
//
// Every source that names a cluster must name the same one.
#ifndef INSULA_PROXY_CLUSTER_SELECTOR_H_
#define INSULA_PROXY_CLUSTER_SELECTOR_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/pgwire/startup.h"
#include "tenant/tenant.h"

namespace insula::proxy {

struct Selection {
  ClusterName cluster;
  pgwire::StartupMessage message;  // as the pod shall see it
};

// 08004 with a hint that shows the right form, if no cluster is named, one is malformed, or two differ.
absl::StatusOr<Selection> SelectCluster(pgwire::StartupMessage message, std::string_view sni);

// The FATAL error for a cluster that does not exist. A wrong name and an unknown id look alike.
absl::Status UnknownCluster(const ClusterName& cluster);

}  // namespace insula::proxy

#endif  // INSULA_PROXY_CLUSTER_SELECTOR_H_
