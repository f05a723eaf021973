#include "proxy/cluster_selector.h"

#include <gtest/gtest.h>

#include "base/pgerror/pg_error.h"

namespace insula::proxy {
namespace {

pgwire::StartupMessage Message(std::vector<std::pair<std::string, std::string>> parameters) {
  pgwire::StartupMessage message;
  message.parameters = std::move(parameters);
  return message;
}

TEST(ClusterSelector, ReadsEveryFormOfTheOptionAndTakesItOut) {
  for (const char* options : {"--cluster=acme-7 -c geqo=off", "-c geqo=off -ccluster=acme-7", "-c cluster=acme-7 -c geqo=off"}) {
    auto selection = SelectCluster(Message({{"user", "app"}, {"database", "db"}, {"options", options}}), "");
    ASSERT_TRUE(selection.ok()) << options;
    EXPECT_EQ(selection->cluster.ToString(), "acme-7");
    EXPECT_EQ(selection->message.Find("options"), "-c geqo=off");
  }
  auto only = SelectCluster(Message({{"user", "app"}, {"options", "--cluster=acme-7"}}), "");
  ASSERT_TRUE(only.ok());
  EXPECT_FALSE(only->message.Find("options").has_value());
}

TEST(ClusterSelector, ReadsTheDatabaseAndTheServerName) {
  auto by_database = SelectCluster(Message({{"user", "app"}, {"database", "acme-7.shop"}}), "localhost");
  ASSERT_TRUE(by_database.ok());
  EXPECT_EQ(by_database->cluster.id, 7u);
  EXPECT_EQ(by_database->message.Find("database"), "shop");
  auto by_sni = SelectCluster(Message({{"user", "app"}, {"database", "shop"}}), "acme-7.db.example.com");
  ASSERT_TRUE(by_sni.ok());
  EXPECT_EQ(by_sni->cluster.name, "acme");
}

TEST(ClusterSelector, RefusesMissingMalformedAndContradictoryNames) {
  auto expect = [](absl::StatusOr<Selection> selection, std::string_view message) {
    ASSERT_FALSE(selection.ok());
    PgErrorFields fields = ToPgError(selection.status());
    EXPECT_EQ(fields.sqlstate, "08004");
    EXPECT_EQ(fields.severity, "FATAL");
    EXPECT_EQ(fields.message, message);
    EXPECT_NE(fields.hint.find("--cluster=acme-7"), std::string::npos);
  };
  expect(SelectCluster(Message({{"user", "app"}, {"database", "my.db"}}), "localhost"), "the connection does not say which cluster it is for");
  expect(SelectCluster(Message({{"user", "app"}, {"options", "--cluster=acme"}}), ""), "the cluster option is malformed");
  expect(SelectCluster(Message({{"user", "app"}, {"options", "--cluster="}}), ""), "the cluster option is malformed");
  expect(SelectCluster(Message({{"user", "app"}, {"options", "--cluster=acme-7"}}), "other-8.example.com"), "two different clusters are named");
  expect(SelectCluster(Message({{"user", "app"}, {"options", "--cluster=acme-7 --cluster=acme-8"}}), ""), "two different clusters are named");
}

TEST(ClusterSelector, TheSameNameTwiceIsFine) {
  EXPECT_TRUE(SelectCluster(Message({{"user", "app"}, {"database", "acme-7.db"}, {"options", "--cluster=acme-7"}}), "acme-7.x").ok());
}

}  // namespace
}  // namespace insula::proxy
