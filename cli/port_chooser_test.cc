#include "cli/port_chooser.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/real/real_world.h"

namespace insula::cli {
namespace {

class PortChooserTest : public testing::Test {
 protected:
  RealWorld world_;
  PortChooser ports_{world_.runtime().random, world_.runtime().files};
};

TEST_F(PortChooserTest, GivesNoPortTwice) {
  std::set<int> chosen;
  for (int i = 0; i < 200; ++i) {
    auto port = ports_.TakeAny();
    ASSERT_TRUE(port.ok()) << port.status();
    EXPECT_TRUE(chosen.insert(*port).second) << *port;
  }
  auto again = ports_.Take(*chosen.begin());
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists) << again.status();
}

TEST_F(PortChooserTest, ChoosesWhereNoOutgoingConnectionComesFrom) {
  int first = 0;
  int last = 0;
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  if (!(range >> first >> last)) {  // a kernel that does not tell has Linux's usual range
    first = 32768;
    last = 60999;
  }
  for (int i = 0; i < 50; ++i) {
    auto port = ports_.TakeAny();
    ASSERT_TRUE(port.ok()) << port.status();
    EXPECT_TRUE(*port < first || *port > last) << *port;
  }
}

TEST_F(PortChooserTest, LetsThePortsGoAtTheEnd) {
  int port = 0;
  {
    PortChooser earlier(world_.runtime().random, world_.runtime().files);
    auto chosen = earlier.TakeAny();
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    port = *chosen;
    auto taken = ports_.Take(port);
    EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists) << taken.status();
  }
  auto taken = ports_.Take(port);
  EXPECT_TRUE(taken.ok()) << taken.status();
}

}  // namespace
}  // namespace insula::cli
