#include "base/tls/certificates.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "base/tls/tls_identity.h"

namespace insula {
namespace {

void Write(const std::string& path, const std::string& text, int mode) {
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
}

class CertificatesTest : public testing::Test {
 protected:
  CertificateAndKey ca_ = *CreateCa("Insula cluster CA");
  CertificateAndKey tenant_ca_ = *CreateCa("Insula tenant CA");
};

TEST_F(CertificatesTest, NodeCertificatesNameTheirNode) {
  auto node = IssueNodeCertificate(ca_, 3, {"localhost", "127.0.0.1", "::1"});
  ASSERT_TRUE(node.ok()) << node.status();
  auto identity = TlsIdentity::FromPem(ca_.certificate_pem, node->certificate_pem, node->key_pem);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ((*identity)->subject().common_name, "node-3");
  EXPECT_EQ((*identity)->subject().organizational_unit, "Nodes");
  EXPECT_TRUE((*identity)->subject().uris.empty());
}

TEST_F(CertificatesTest, TenantCertificatesCarryTenantAndGeneration) {
  auto tenant = IssueTenantCertificate(tenant_ca_, 7, 12, 1h, {"127.0.0.1"});
  ASSERT_TRUE(tenant.ok()) << tenant.status();
  PeerIdentity peer = *ParsePeerIdentity(tenant->certificate_pem);
  EXPECT_EQ(peer.organizational_unit, "Tenants");
  EXPECT_EQ(peer.common_name, "7");
  EXPECT_EQ(peer.uris, std::vector<std::string>{"insula://tenant/7/generation/12"});
  auto left = CertificateExpiry(tenant->certificate_pem)->time_since_epoch() - std::chrono::system_clock::now().time_since_epoch();
  EXPECT_GT(left, 59min);
  EXPECT_LE(left, 1h + 1s);
}

TEST_F(CertificatesTest, TheSystemTenantGetsNoCertificate) {
  EXPECT_EQ(IssueTenantCertificate(tenant_ca_, 1, 1, 1h).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CertificatesTest, NamesThatWouldBeNotationAreRefused) {
  EXPECT_EQ(IssueServerCertificate(ca_, {"a,URI:insula://tenant/2/generation/1"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(IssueServerCertificate(ca_, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CertificatesTest, AForeignKeyIsRefused) {
  auto a = IssueClientCertificate(ca_, "admin");
  auto b = IssueClientCertificate(ca_, "admin");
  EXPECT_TRUE(TlsIdentity::FromPem(ca_.certificate_pem, a->certificate_pem, a->key_pem).ok());
  EXPECT_EQ(TlsIdentity::FromPem(ca_.certificate_pem, a->certificate_pem, b->key_pem).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TlsIdentity::FromPem("garbage", a->certificate_pem, a->key_pem).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CertificatesTest, KeysThatOthersCanReadAreRefused) {
  std::string dir = testing::TempDir();
  auto cert = IssueClientCertificate(ca_, "admin");
  Write(dir + "/ca.crt", ca_.certificate_pem + tenant_ca_.certificate_pem, 0644);
  Write(dir + "/admin.crt", cert->certificate_pem, 0644);
  Write(dir + "/admin.key", cert->key_pem, 0644);
  auto identity = TlsIdentity::FromFiles(dir + "/ca.crt", dir + "/admin.crt", dir + "/admin.key");
  EXPECT_EQ(identity.status().code(), absl::StatusCode::kFailedPrecondition);
  chmod((dir + "/admin.key").c_str(), 0600);
  identity = TlsIdentity::FromFiles(dir + "/ca.crt", dir + "/admin.crt", dir + "/admin.key");
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ((*identity)->subject().common_name, "admin");
  EXPECT_EQ((*identity)->subject().organizational_unit, "Admins");
  EXPECT_EQ(TlsIdentity::FromFiles(dir + "/absent.crt", "", "").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace insula
