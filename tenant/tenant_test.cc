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

TEST(Identity, ContradictingCertificatesAreNobodys) {
  const PeerIdentity good{.common_name = "7", .organizational_unit = "Tenants", .uris = {"insula://tenant/7/generation/1"}, .address = ""};
  ASSERT_EQ(IdentifyPeer(good).role, Role::kTenant);
  for (auto change : {+[](PeerIdentity& p) { p.common_name = "8"; }, +[](PeerIdentity& p) { p.common_name = "07"; },
                      +[](PeerIdentity& p) { p.common_name = "+7"; }, +[](PeerIdentity& p) { p.common_name = ""; },
                      +[](PeerIdentity& p) { p.uris.push_back(p.uris[0]); }, +[](PeerIdentity& p) { p.uris = {"insula://tenant/7"}; },
                      +[](PeerIdentity& p) { p.uris = {"insula://tenant/7/generation/"}; }, +[](PeerIdentity& p) { p.uris = {"insula://tenant/7/generation/1x"}; },
                      +[](PeerIdentity& p) { p.uris = {"https://tenant/7/generation/1"}; }, +[](PeerIdentity& p) { p.organizational_unit = "Nodes"; },
                      +[](PeerIdentity& p) { p.organizational_unit = "tenants"; }}) {
    PeerIdentity bad = good;
    change(bad);
    EXPECT_EQ(IdentifyPeer(bad).role, Role::kNobody) << bad.organizational_unit << " " << bad.common_name;
  }
  for (const char* name : {"node-", "node-0", "node-01", "node-x", "node", "1"}) {
    EXPECT_EQ(IdentifyPeer({.common_name = name, .organizational_unit = "Nodes", .uris = {}, .address = ""}).role, Role::kNobody) << name;
  }
}

TEST(Keyspace, PrefixesAreDisjointAndFoundAgain) {
  EXPECT_EQ(KeyspaceOf(KeyspacePrefix(300) + "abc"), 300u);
  EXPECT_LT(KeyspacePrefix(255), KeyspacePrefix(256));
  EXPECT_EQ(KeyspaceOf("\x04sys"), std::nullopt);
  EXPECT_EQ(KeyspaceOf("\xfe"), std::nullopt);
}

}  // namespace
}  // namespace insula
