#include "tenant/method_access.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/strings.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/raft.pb.h"
#include "proto/kv/status.pb.h"
#include "proto/operator/operator.pb.h"
#include "proto/operator/pod.pb.h"
#include "proto/operator/supervisor.pb.h"
#include "proto/tenant/admin.pb.h"
#include "proto/tenant/lending.pb.h"

namespace insula {
namespace {

constexpr Role kRoles[] = {Role::kNobody, Role::kTenant, Role::kNode, Role::kOperator, Role::kProxy, Role::kAdmin, Role::kPoolPod};

// The table once more, by hand: a row that changes by mistake is found.
const std::map<std::string, std::set<Role>> kExpected = {
    {"/insula.kv.v1.Kv/Batch", {Role::kTenant, Role::kNode}},
    {"/insula.kv.v1.Stores/Messages", {Role::kNode}},
    {"/insula.kv.v1.Stores/Snapshot", {Role::kNode}},
    {"/insula.kv.v1.Stores/Checksum", {Role::kNode}},
    {"/insula.kv.v1.Node/Status", {Role::kNode, Role::kOperator, Role::kAdmin}},
    {"/insula.kv.v1.Node/HotRanges", {Role::kNode, Role::kAdmin}},
    {"/insula.kv.v1.Node/Join", {Role::kNode}},
    {"/insula.kv.v1.Node/ListNodes", {Role::kNode, Role::kOperator, Role::kAdmin}},
    {"/insula.kv.v1.Node/WatchNodes", {Role::kNode, Role::kOperator}},
    {"/insula.kv.v1.Node/SetNodeState", {Role::kNode, Role::kAdmin}},
    {"/insula.kv.v1.Node/Drain", {Role::kAdmin}},
    {"/insula.kv.v1.Node/Decommission", {Role::kNode, Role::kAdmin}},
    {"/insula.tenant.v1.TenantAdmin/Create", {Role::kNode, Role::kAdmin}},
    {"/insula.tenant.v1.TenantAdmin/Get", {Role::kNode, Role::kOperator, Role::kAdmin}},
    {"/insula.tenant.v1.TenantAdmin/List", {Role::kNode, Role::kAdmin}},
    {"/insula.tenant.v1.TenantAdmin/SetPlan", {Role::kNode, Role::kAdmin}},
    {"/insula.tenant.v1.Lending/Borrow", {Role::kNode}},
    {"/insula.tenant.v1.Registry/Watch", {Role::kNode, Role::kOperator}},
    {"/insula.tenant.v1.Registry/Update", {Role::kNode, Role::kOperator}},
    {"/insula.tenant.v1.Registry/Purge", {Role::kNode, Role::kOperator}},
    {"/insula.ops.v1.Directory/LookupTenant", {Role::kProxy, Role::kAdmin}},
    {"/insula.ops.v1.Directory/ListPods", {Role::kProxy, Role::kAdmin}},
    {"/insula.ops.v1.Directory/WatchPods", {Role::kProxy, Role::kAdmin}},
    {"/insula.ops.v1.Directory/EnsurePod", {Role::kProxy, Role::kAdmin}},
    {"/insula.ops.v1.Operator/Suspend", {Role::kAdmin}},
    {"/insula.ops.v1.Operator/Resume", {Role::kAdmin}},
    {"/insula.ops.v1.Operator/Drop", {Role::kAdmin}},
    {"/insula.ops.v1.PodControl/WatchActivity", {Role::kOperator}},
    {"/insula.ops.v1.PodControl/CloseGate", {Role::kOperator}},
    {"/insula.ops.v1.PodControl/OpenGate", {Role::kOperator}},
    {"/insula.ops.v1.PodControl/Stop", {Role::kOperator}},
    {"/insula.ops.v1.Supervisor/StartNode", {Role::kAdmin}},
    {"/insula.ops.v1.Supervisor/AddNode", {Role::kAdmin}},
    {"/insula.ops.v1.Supervisor/RemoveNode", {Role::kAdmin}},
};

// Every method of every service that is compiled in.
std::vector<std::string> AllMethods() {
  std::vector<std::string> methods;
  for (const google::protobuf::FileDescriptor* file :
       {kv::v1::BatchRequest::descriptor()->file(), kv::v1::StoreMessages::descriptor()->file(), kv::v1::NodeStatusRequest::descriptor()->file(),
        tenant::v1::TenantRecord::descriptor()->file(), tenant::v1::BorrowRequest::descriptor()->file(), ops::v1::LookupTenantRequest::descriptor()->file(), ops::v1::StopRequest::descriptor()->file(),
        ops::v1::StartNodeRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) methods.push_back(StrCat("/", file->service(s)->full_name(), "/", file->service(s)->method(m)->name()));
    }
  }
  return methods;
}

TEST(MethodAccess, EveryMethodOfEveryServiceHasItsRow) {
  std::set<std::string> seen;
  for (const std::string& method : AllMethods()) {
    seen.insert(method);
    auto row = kExpected.find(method);
    ASSERT_NE(row, kExpected.end()) << method << " is new: say in tenant/method_access.cc and here who may call it";
    for (Role role : kRoles) EXPECT_EQ(MayCall(role, method), row->second.contains(role)) << method << " by " << Identity{.role = role}.ToString();
  }
  EXPECT_EQ(seen.size(), kExpected.size()) << "a row for a method that there is not";
}

TEST(MethodAccess, WhatIsNotInTheTableIsNobodys) {
  for (Role role : kRoles) {
    for (const char* method : {"", "/", "/insula.kv.v1.Kv/", "/insula.kv.v1.Kv/batch", "/insula.kv.v1.Kv/Batch/", "insula.kv.v1.Kv/Batch", "/insula.kv.v1.Kv/Other"}) {
      EXPECT_FALSE(MayCall(role, method)) << method;
    }
  }
}

TEST(MethodAccess, TenantsHaveOneMethodAndStrangersNone) {
  int tenant = 0;
  for (const std::string& method : AllMethods()) {
    tenant += MayCall(Role::kTenant, method) ? 1 : 0;
    EXPECT_FALSE(MayCall(Role::kNobody, method)) << method;
    EXPECT_FALSE(MayCall(Role::kPoolPod, method)) << method;
  }
  EXPECT_EQ(tenant, 1);
}

}  // namespace
}  // namespace insula
