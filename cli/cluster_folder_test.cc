#include "cli/cluster_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/real/real_world.h"

namespace insula::cli {
namespace {

class ClusterFolderTest : public testing::Test {
 protected:
  ClusterFolderTest() : path_(testing::TempDir() + "/cluster-" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(path_);
  }
  RealWorld world_;
  std::string path_;
};

TEST_F(ClusterFolderTest, IsMadeOnceAndFoundAgain) {
  auto made = ClusterFolder::OpenOrCreate(path_, 3, world_.runtime());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_FALSE(made->initialised());
  made->config().port = 4711;
  ASSERT_TRUE(made->SaveConfig().ok());
  ASSERT_TRUE(made->MarkInitialised().ok());
  auto again = ClusterFolder::OpenOrCreate(path_, 5, world_.runtime());
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->initialised());
  EXPECT_EQ(again->config().cluster_id, made->config().cluster_id);
  EXPECT_EQ(again->config().nodes.size(), 3u);
  EXPECT_EQ(again->config().port, 4711);
  for (const char* name : {"node.1", "operator", "proxy", "pool", "server", "client.admin"}) {
    EXPECT_TRUE(again->Identity(name).ok()) << name;
    struct stat info;
    ASSERT_EQ(stat(again->key(name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(ClusterFolderTest, AFirstStartThatWasCutShortIsMadeAnew) {
  auto first = ClusterFolder::OpenOrCreate(path_, 3, world_.runtime());
  ASSERT_TRUE(first.ok());
  std::filesystem::create_directories(path_ + "/kv/1");
  auto second = ClusterFolder::OpenOrCreate(path_, 3, world_.runtime());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->initialised());
  EXPECT_FALSE(std::filesystem::exists(path_ + "/kv/1"));
}

TEST_F(ClusterFolderTest, ForeignAndNewerFoldersAreRefusedAndLeftAlone) {
  std::filesystem::create_directories(path_);
  std::ofstream(path_ + "/thesis.tex") << "x";
  EXPECT_EQ(ClusterFolder::OpenOrCreate(path_, 3, world_.runtime()).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/certs"));
  std::filesystem::remove(path_ + "/thesis.tex");
  std::ofstream(path_ + "/VERSION") << "insula-data 2\n";
  auto newer = ClusterFolder::OpenOrCreate(path_, 3, world_.runtime());
  EXPECT_EQ(newer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(newer.status().message()).find("insula-data 2"), std::string::npos);
  EXPECT_EQ(ClusterFolder::Open(path_ + "/nothing", world_.runtime().files).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClusterFolderTest, CredentialsMakeAConnectionUri) {
  auto folder = ClusterFolder::OpenOrCreate(path_, 1, world_.runtime());
  ASSERT_TRUE(folder.ok());
  folder->config().port = 4711;
  ASSERT_TRUE(folder->SaveCredentials({"acme-7", "app", "p@ss/word"}).ok());
  auto loaded = folder->LoadCredentials("acme-7");
  ASSERT_TRUE(loaded.ok());
  std::string url = folder->Url(*loaded);
  EXPECT_EQ(url.find("postgresql://app:p%40ss%2Fword@127.0.0.1:4711/defaultdb?options=--cluster%3Dacme-7&sslmode=verify-full&sslrootcert="), 0u) << url;
  ASSERT_TRUE(folder->ForgetCredentials("acme-7").ok());
  EXPECT_EQ(folder->LoadCredentials("acme-7").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace insula::cli
