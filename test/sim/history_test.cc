// Known-good and known-bad histories: the checkers of the workloads see what they are for.
#include "test/sim/history.h"

#include <gtest/gtest.h>

namespace insula::simtest {
namespace {

using std::chrono::milliseconds;

RegisterOp Write(std::string value, int begin, int end) { return {.write = true, .value = std::move(value), .begin = milliseconds(begin), .end = end < 0 ? kNever : milliseconds(end)}; }
RegisterOp Read(std::string value, int begin, int end) { return {.write = false, .value = std::move(value), .begin = milliseconds(begin), .end = milliseconds(end)}; }

TEST(CheckRegister, AcceptsWhatIsLinearizable) {
  EXPECT_TRUE(CheckRegister({Read("", 0, 5), Write("a", 10, 20), Read("a", 12, 14), Read("a", 25, 30), Write("b", 40, 60), Read("a", 41, 45), Read("b", 50, 55)}).empty());
  // Two writes at once, in either order.
  EXPECT_TRUE(CheckRegister({Write("a", 0, 20), Write("b", 0, 20), Read("b", 5, 8), Read("a", 22, 25)}).empty());
  // Of unknown fate: never seen, or seen late.
  EXPECT_TRUE(CheckRegister({Write("a", 0, 5), Write("b", 6, -1), Read("a", 50, 60)}).empty());
  EXPECT_TRUE(CheckRegister({Write("a", 0, 5), Write("b", 6, -1), Read("a", 50, 60), Read("b", 70, 80)}).empty());
}

TEST(CheckRegister, SeesStaleReads) {
  EXPECT_FALSE(CheckRegister({Write("a", 0, 10), Write("b", 20, 30), Read("a", 40, 50)}).empty());
  EXPECT_FALSE(CheckRegister({Write("a", 0, 10), Read("", 20, 30)}).empty());
}

TEST(CheckRegister, SeesValuesThatComeBackOrComeFromNowhere) {
  EXPECT_FALSE(CheckRegister({Write("a", 0, 10), Write("b", 0, 10), Read("a", 20, 21), Read("b", 30, 31), Read("a", 40, 41)}).empty());
  EXPECT_FALSE(CheckRegister({Read("x", 0, 10)}).empty());
  EXPECT_FALSE(CheckRegister({Read("a", 0, 10), Write("a", 20, 30)}).empty());
}

ListTxn Txn(std::string name, int begin, int end, std::vector<ListTxn::Step> steps, ListTxn::Fate fate = ListTxn::Fate::kCommitted) {
  return {.name = std::move(name), .steps = std::move(steps), .begin = milliseconds(begin), .end = milliseconds(end), .fate = fate};
}
ListTxn::Step AppendTo(std::string list, uint64_t element) { return {.append = true, .list = std::move(list), .element = element, .read = {}}; }
ListTxn::Step ReadOf(std::string list, std::vector<uint64_t> read) { return {.append = false, .list = std::move(list), .element = 0, .read = std::move(read)}; }

TEST(CheckLists, AcceptsASerializableHistory) {
  EXPECT_TRUE(CheckLists({Txn("a", 0, 5, {AppendTo("x", 1)}), Txn("b", 6, 9, {ReadOf("x", {1}), AppendTo("y", 2)}), Txn("c", 0, 9, {ReadOf("y", {}), ReadOf("x", {1})})},
                         {{"x", {1}}, {"y", {2}}}, true)
                  .empty());
}

TEST(CheckLists, SeesLostAndRefusedAndDoubledAppends) {
  EXPECT_FALSE(CheckLists({Txn("a", 0, 5, {AppendTo("x", 1)})}, {}, true).empty());
  EXPECT_FALSE(CheckLists({Txn("a", 0, 5, {AppendTo("x", 1)}, ListTxn::Fate::kAborted)}, {{"x", {1}}}, true).empty());
  EXPECT_FALSE(CheckLists({Txn("a", 0, 5, {AppendTo("x", 1)})}, {{"x", {1, 1}}}, true).empty());
  EXPECT_FALSE(CheckLists({Txn("a", 0, 5, {ReadOf("x", {7})})}, {{"x", {}}}, true).empty());
  EXPECT_TRUE(CheckLists({Txn("a", 0, 5, {AppendTo("x", 1)}, ListTxn::Fate::kUnknown)}, {{"x", {1}}}, true).empty());
}

TEST(CheckLists, SeesWriteSkew) {
  auto problems = CheckLists({Txn("a", 0, 9, {ReadOf("x", {}), AppendTo("y", 1)}), Txn("b", 0, 9, {ReadOf("y", {}), AppendTo("x", 2)})}, {{"x", {2}}, {"y", {1}}}, true);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("-rw->"), std::string::npos) << problems[0];
}

TEST(CheckLists, SeesFracturedReads) {
  EXPECT_FALSE(CheckLists({Txn("a", 0, 9, {AppendTo("x", 1), AppendTo("y", 2)}), Txn("b", 0, 9, {ReadOf("x", {1}), ReadOf("y", {})})}, {{"x", {1}}, {"y", {2}}}, false).empty());
}

TEST(CheckLists, SeesAStaleReadOnlyWhereRealTimeCounts) {
  std::vector<ListTxn> txns = {Txn("a", 0, 5, {AppendTo("x", 1)}), Txn("b", 10, 15, {ReadOf("x", {})})};
  EXPECT_FALSE(CheckLists(txns, {{"x", {1}}}, true).empty());
  EXPECT_TRUE(CheckLists(txns, {{"x", {1}}}, false).empty());
}

}  // namespace
}  // namespace insula::simtest
