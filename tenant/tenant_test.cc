#include "tenant/tenant.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

TEST(ClusterName, SplitsAtTheLastDash) {
  auto c = ParseClusterName("my-shop-12");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->name, "my-shop");
  EXPECT_EQ(c->id, 12u);
  EXPECT_EQ(c->ToString(), "my-shop-12");
}

TEST(ClusterName, RefusesEverythingElse) {
  for (const char* bad : {"", "acme", "acme-", "-7", "acme-0", "acme-1", "acme-07", "Acme-7", "7a-7", "a--7", "acme-7x", "acme- 7", "acme-99999999999999999999"}) {
    EXPECT_FALSE(ParseClusterName(bad).ok()) << bad;
  }
  EXPECT_FALSE(IsValidTenantName(std::string(64, 'a')));
  EXPECT_TRUE(IsValidTenantName(std::string(63, 'a')));
}

TEST(Identity, ComesFromExactCertificatesOnly) {
  PeerIdentity peer{.common_name = "7", .organizational_unit = "Tenants", .uris = {"insula://tenant/7/generation/3"}, .address = ""};
  Identity id = IdentifyPeer(peer);
  EXPECT_EQ(id.role, Role::kTenant);
  EXPECT_EQ(id.tenant, 7u);
  EXPECT_EQ(id.generation, 3u);
  peer.uris = {"insula://tenant/8/generation/3"};
  EXPECT_EQ(IdentifyPeer(peer).role, Role::kNobody);
  peer.uris = {};
  EXPECT_EQ(IdentifyPeer(peer).role, Role::kNobody);
  peer = {.common_name = "1", .organizational_unit = "Tenants", .uris = {"insula://tenant/1/generation/1"}, .address = ""};
  EXPECT_EQ(IdentifyPeer(peer).role, Role::kNobody);
  EXPECT_EQ(IdentifyPeer({.common_name = "node-2", .organizational_unit = "Nodes", .uris = {}, .address = ""}).node, 2u);
  EXPECT_EQ(IdentifyPeer({.common_name = "admin", .organizational_unit = "", .uris = {}, .address = ""}).role, Role::kNobody);
}

TEST(Keyspace, PrefixesAreDisjointAndFoundAgain) {
  EXPECT_EQ(KeyspaceOf(KeyspacePrefix(300) + "abc"), 300u);
  EXPECT_LT(KeyspacePrefix(255), KeyspacePrefix(256));
  EXPECT_EQ(KeyspaceOf("\x04sys"), std::nullopt);
  EXPECT_EQ(KeyspaceOf("\xfe"), std::nullopt);
}

}  // namespace
}  // namespace insula
