#include "sql/session/settings.h"

#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::sql {
namespace {

using Source = Settings::Source;

std::string Code(const absl::Status& s) { return s.ok() ? "" : ToPgError(s).sqlstate; }
std::string Message(const absl::Status& s) { return ToPgError(s).message; }

TEST(SettingInfo, TableIsSound) {
  std::string last;
  for (const SettingInfo& info : AllSettings()) {
    EXPECT_LT(last, AsciiLower(info.name)) << "sorted, each once";
    last = AsciiLower(info.name);
    EXPECT_EQ(FindSetting(info.name), &info);
    auto value = ParseSettingValue(info, info.default_value);
    ASSERT_TRUE(value.ok()) << info.name << value.status();
    EXPECT_EQ(*value, info.default_value) << info.name << ": defaults are canonical";
    EXPECT_FALSE(info.description.empty()) << info.name;
  }
}

TEST(SettingInfo, Units) {
  const SettingInfo& memory = *FindSetting("work_mem");
  EXPECT_EQ(*ParseSettingValue(memory, "64MB"), "65536");
  EXPECT_EQ(*ParseSettingValue(memory, " 1 GB "), "1048576");
  EXPECT_EQ(ShowSettingValue(memory, "65536"), "64MB");
  EXPECT_EQ(ShowSettingValue(memory, "65537"), "65537kB");
  EXPECT_EQ(Code(ParseSettingValue(memory, "64 parsecs").status()), "22023");
  EXPECT_EQ(Message(ParseSettingValue(memory, "1").status()), "1 kB is outside the valid range for parameter \"work_mem\" (64 .. 2147483647)");
  const SettingInfo& timeout = *FindSetting("statement_timeout");
  EXPECT_EQ(*ParseSettingValue(timeout, "1.5s"), "1500");
  EXPECT_EQ(*ParseSettingValue(timeout, "2min"), "120000");
  EXPECT_EQ(ShowSettingValue(timeout, "120000"), "2min");
  EXPECT_EQ(ShowSettingValue(timeout, "0"), "0");
}

TEST(SettingInfo, BoolsAndEnums) {
  const SettingInfo& b = *FindSetting("jit");
  for (const char* yes : {"on", "TRUE", "t", "y", "1", "yes"}) EXPECT_EQ(*ParseSettingValue(b, yes), "on") << yes;
  for (const char* no : {"off", "false", "n", "0", "of"}) EXPECT_EQ(*ParseSettingValue(b, no), "off") << no;
  EXPECT_EQ(Message(ParseSettingValue(b, "o").status()), "parameter \"jit\" requires a Boolean value");
  const SettingInfo& e = *FindSetting("synchronous_commit");
  EXPECT_EQ(*ParseSettingValue(e, "TRUE"), "on");
  EXPECT_EQ(ToPgError(ParseSettingValue(e, "maybe").status()).hint, "Available values: local, remote_write, remote_apply, on, off.");
}

TEST(Settings, UnknownAndForbidden) {
  Settings s;
  EXPECT_EQ(Code(s.Set("no_such", "1", Source::kSession, true)), "42704");
  EXPECT_EQ(Code(s.Show("no_such").status()), "42704");
  EXPECT_EQ(Code(s.Set("server_version", "9", Source::kSession, true)), "55P02");
  EXPECT_EQ(Code(s.Set("port", "9", Source::kSession, true)), "55P02");
  EXPECT_EQ(Code(s.Set("log_statement", "all", Source::kSession, false)), "42501");
  EXPECT_TRUE(s.Set("log_statement", "all", Source::kSession, true).ok());
  EXPECT_EQ(Code(s.Set("client_encoding", "latin1", Source::kSession, true)), "0A000");
  EXPECT_EQ(Code(s.Set("client_encoding", "klingon", Source::kSession, true)), "22023");
  EXPECT_EQ(Code(s.Set("timezone", "Mars/Olympus", Source::kSession, true)), "22023");
  EXPECT_EQ(Code(s.Set(".x", "1", Source::kSession, true)), "42602");
}

TEST(Settings, Canonical) {
  Settings s;
  EXPECT_EQ(*s.Show("search_path"), "\"$user\", public");
  EXPECT_TRUE(s.Set("client_encoding", "utf-8", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("CLIENT_ENCODING"), "UTF8");
  EXPECT_TRUE(s.Set("datestyle", "german", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("datestyle"), "German, DMY");
  EXPECT_TRUE(s.Set("datestyle", "iso, mdy", Source::kSession, false).ok());
  EXPECT_TRUE(s.SetList("search_path", {"a", "B c"}, Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("search_path"), "a, \"B c\"");
  EXPECT_EQ(s.Current().search_path, (std::vector<std::string>{"a", "B c"}));
  EXPECT_EQ(Code(s.SetList("work_mem", {"1", "2"}, Source::kSession, false)), "22023");
  EXPECT_TRUE(s.Set("myapp.user", "7", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("myapp.user"), "7");
  EXPECT_TRUE(s.Reset("myapp.user", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("myapp.user"), "");
}

TEST(Settings, FollowTransactions) {
  Settings s;
  ASSERT_TRUE(s.Set("work_mem", "1MB", Source::kSession, false).ok());
  Settings::Mark begin = s.Save();
  ASSERT_TRUE(s.Set("work_mem", "2MB", Source::kSession, false).ok());
  ASSERT_TRUE(s.Set("lock_timeout", "5s", Source::kLocal, false).ok());
  Settings::Mark savepoint = s.Save();
  ASSERT_TRUE(s.Set("work_mem", "3MB", Source::kSession, false).ok());
  s.RollbackTo(savepoint);
  EXPECT_EQ(*s.Show("work_mem"), "2MB");
  EXPECT_EQ(s.Current().lock_timeout, 5s);
  Settings committed = s;
  committed.Commit();
  EXPECT_EQ(*committed.Show("work_mem"), "2MB");
  EXPECT_EQ(*committed.Show("lock_timeout"), "0");
  s.RollbackTo(begin);
  EXPECT_EQ(*s.Show("work_mem"), "1MB");
  EXPECT_EQ(*s.Show("lock_timeout"), "0");
}

TEST(Settings, SetAfterSetLocalHoldsAfterCommit) {
  Settings s;
  ASSERT_TRUE(s.Set("work_mem", "1MB", Source::kLocal, false).ok());
  ASSERT_TRUE(s.Set("work_mem", "2MB", Source::kSession, false).ok());
  s.Commit();
  EXPECT_EQ(*s.Show("work_mem"), "2MB");
}

TEST(Settings, ResetGoesToTheStartupValue) {
  Settings s;
  ASSERT_TRUE(s.Set("application_name", "psql", Source::kStartup, false).ok());
  ASSERT_TRUE(s.Set("application_name", "x", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("application_name"), "x");
  ASSERT_TRUE(s.Reset("application_name", Source::kSession, false).ok());
  EXPECT_EQ(*s.Show("application_name"), "psql");
  ASSERT_TRUE(s.Set("work_mem", "1MB", Source::kSession, false).ok());
  s.ResetAll();
  EXPECT_EQ(*s.Show("work_mem"), "4MB");
}

TEST(Settings, Reports) {
  Settings s;
  auto first = s.TakeChangedReports();
  EXPECT_EQ(first.size(), 13u);
  EXPECT_TRUE(s.TakeChangedReports().empty());
  EXPECT_FALSE(s.MayHaveReports());
  ASSERT_TRUE(s.Set("timezone", "UTC", Source::kSession, false).ok());
  ASSERT_TRUE(s.Set("work_mem", "1MB", Source::kSession, false).ok());
  auto changed = s.TakeChangedReports();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].first, "TimeZone");
}

TEST(Settings, PlanKeyChangesWithWhatBindingSees) {
  Settings s;
  std::string before = s.Current().plan_key;
  ASSERT_TRUE(s.Set("work_mem", "1MB", Source::kSession, false).ok());
  EXPECT_EQ(s.Current().plan_key, before);
  ASSERT_TRUE(s.Set("search_path", "x", Source::kSession, false).ok());
  EXPECT_NE(s.Current().plan_key, before);
}

TEST(IdentifierList, Splits) {
  using V = std::vector<std::string>;
  EXPECT_EQ(*SplitIdentifierList(""), V{});
  EXPECT_EQ(*SplitIdentifierList("A, \"B\"\"c\" ,d"), (V{"a", "B\"c", "d"}));
  EXPECT_FALSE(SplitIdentifierList("a,,b").has_value());
  EXPECT_FALSE(SplitIdentifierList("a b").has_value());
  EXPECT_FALSE(SplitIdentifierList("\"a").has_value());
}

}  // namespace
}  // namespace insula::sql
