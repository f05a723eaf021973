// Whom a gRPC connection's certificate names (private to base/real; shows gRPC).
#ifndef INSULA_BASE_REAL_GRPC_IDENTITY_H_
#define INSULA_BASE_REAL_GRPC_IDENTITY_H_

#include <grpcpp/security/auth_context.h>

#include "base/runtime/transport.h"

namespace insula::real {

// Empty if the peer proved nothing. Any thread.
PeerIdentity IdentityOf(const grpc::AuthContext& auth);

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_IDENTITY_H_
