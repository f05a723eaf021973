#include "kv/raft/log.h"

#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/raft/memory_storage.h"

namespace insula::raft {
namespace {

std::vector<Entry> Entries(std::initializer_list<std::pair<uint64_t, uint64_t>> ids) {
  std::vector<Entry> out;
  for (auto [term, index] : ids) out.push_back({.term = term, .index = index, .data = StrCat("payload of ", index)});
  return out;
}

std::string Ids(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& e : entries) StrAppend(&out, out.empty() ? "" : " ", e.term, "/", e.index);
  return out;
}

std::string All(const Log& log) { return Ids(*log.EntriesFrom(log.FirstIndex(), kNoLimit)); }

TEST(Unstable, HandsOutOnceAndForgetsWhatIsStable) {
  Unstable u(5);
  u.TruncateAndAppend(Entries({{1, 5}, {1, 6}}));
  EXPECT_EQ(Ids(u.NextEntries()), "1/5 1/6");
  u.AcceptInProgress();
  EXPECT_FALSE(u.HasNextEntries());
  u.TruncateAndAppend(Entries({{1, 7}}));
  EXPECT_EQ(Ids(u.NextEntries()), "1/7");
  u.StableTo({.term = 1, .index = 6});
  EXPECT_EQ(u.offset(), 7u);
  EXPECT_EQ(Ids(u.NextEntries()), "1/7");
}

TEST(Unstable, AnOverwrittenEntryIsNotStable) {
  Unstable u(5);
  u.TruncateAndAppend(Entries({{1, 5}, {1, 6}}));
  u.AcceptInProgress();
  u.TruncateAndAppend(Entries({{2, 6}}));
  EXPECT_EQ(Ids(u.NextEntries()), "2/6");  // to be written again
  u.StableTo({.term = 1, .index = 6});     // the write of before
  EXPECT_EQ(u.offset(), 5u);
  u.AcceptInProgress();
  u.StableTo({.term = 2, .index = 6});
  EXPECT_EQ(u.offset(), 7u);
}

TEST(Unstable, TruncationBelowItsOffsetReplacesAll) {
  Unstable u(5);
  u.TruncateAndAppend(Entries({{1, 5}, {1, 6}}));
  u.TruncateAndAppend(Entries({{3, 3}, {3, 4}}));
  EXPECT_EQ(u.offset(), 3u);
  EXPECT_EQ(Ids(u.NextEntries()), "3/3 3/4");
}

TEST(Unstable, SnapshotComesBeforeEntries) {
  Unstable u(5);
  Snapshot s;
  s.metadata.index = 10;
  s.metadata.term = 2;
  u.Restore(std::make_shared<const Snapshot>(s));
  EXPECT_EQ(u.FirstIndex(), 11u);
  EXPECT_EQ(u.LastIndex(), 10u);
  EXPECT_EQ(u.Term(10), 2u);
  EXPECT_NE(u.NextSnapshot(), nullptr);
  u.AcceptInProgress();
  EXPECT_EQ(u.NextSnapshot(), nullptr);
  u.StableSnapshotTo(9);
  EXPECT_NE(u.snapshot(), nullptr);
  u.StableSnapshotTo(10);
  EXPECT_EQ(u.snapshot(), nullptr);
}

class LogTest : public ::testing::Test {
 protected:
  MemoryStorage storage_;
};

TEST_F(LogTest, AppendsOnlyWhereTheLogsAgree) {
  Log log(&storage_, nullptr, {});
  log.Append(Entries({{1, 1}, {1, 2}, {2, 3}}));
  EXPECT_EQ(log.MaybeAppend({.term = 3, .index = 3}, Entries({{3, 4}}), 9), std::nullopt);
  EXPECT_EQ(log.MaybeAppend({.term = 1, .index = 2}, Entries({{2, 3}, {3, 4}}), 2), 4u);
  EXPECT_EQ(All(log), "1/1 1/2 2/3 3/4");
  EXPECT_EQ(log.committed(), 2u);
  // Entries that are there already do not shorten the log.
  EXPECT_EQ(log.MaybeAppend({.term = 1, .index = 2}, Entries({{2, 3}}), 9), 3u);
  EXPECT_EQ(All(log), "1/1 1/2 2/3 3/4");
  EXPECT_EQ(log.committed(), 3u);  // not past what the message covers
  // A conflict replaces the tail.
  EXPECT_EQ(log.MaybeAppend({.term = 2, .index = 3}, Entries({{4, 4}}), 3), 4u);
  EXPECT_EQ(All(log), "1/1 1/2 2/3 4/4");
}

TEST_F(LogTest, ACommittedEntryIsNeverReplaced) {
  Log log(&storage_, nullptr, {});
  log.Append(Entries({{1, 1}, {1, 2}}));
  log.CommitTo(2);
  EXPECT_DEATH(log.MaybeAppend({.term = 1, .index = 1}, Entries({{2, 2}}), 2), "conflicts with a committed one");
  EXPECT_DEATH(log.CommitTo(3), "past the end");
}

TEST_F(LogTest, HintsSkipWholeTerms) {
  Log log(&storage_, nullptr, {});
  log.Append(Entries({{1, 1}, {1, 2}, {4, 3}, {4, 4}, {5, 5}}));
  EXPECT_EQ(log.FindConflictByTerm(5, 3), (EntryId{.term = 1, .index = 2}));
  EXPECT_EQ(log.FindConflictByTerm(5, 5), (EntryId{.term = 5, .index = 5}));
  EXPECT_EQ(log.FindConflictByTerm(4, 0), (EntryId{.term = 0, .index = 0}));
}

TEST_F(LogTest, ReadsAcrossStorageAndUnstableWithinTheLimit) {
  storage_.Append(Entries({{1, 1}, {1, 2}, {1, 3}}));
  Log log(&storage_, nullptr, {});
  log.Append(Entries({{2, 3}, {2, 4}}));  // over what storage has at 3
  EXPECT_EQ(All(log), "1/1 1/2 2/3 2/4");
  const uint64_t one = EntrySize(Entries({{1, 1}})[0]);
  EXPECT_EQ(Ids(*log.EntriesFrom(1, 0)), "1/1");
  EXPECT_EQ(Ids(*log.EntriesFrom(1, 2 * one)), "1/1 1/2");
  EXPECT_EQ(Ids(*log.EntriesFrom(2, 2 * one)), "1/2 2/3");
  EXPECT_EQ(Ids(*log.EntriesFrom(4, 0)), "2/4");
  EXPECT_EQ(log.LastId(), (EntryId{.term = 2, .index = 4}));
  ASSERT_TRUE(storage_.Compact(2).ok());
  EXPECT_TRUE(IsCompacted(log.EntriesFrom(1, kNoLimit).status()));
  EXPECT_TRUE(IsCompacted(log.Term(1).status()));
  EXPECT_EQ(*log.Term(2), 1u);
  EXPECT_TRUE(IsMissing(log.Term(5).status()));
}

TEST_F(LogTest, UpToDateMeansLaterTermOrLongerLog) {
  Log log(&storage_, nullptr, {});
  log.Append(Entries({{1, 1}, {2, 2}}));
  EXPECT_TRUE(log.IsUpToDate({.term = 3, .index = 1}));
  EXPECT_TRUE(log.IsUpToDate({.term = 2, .index = 2}));
  EXPECT_FALSE(log.IsUpToDate({.term = 2, .index = 1}));
  EXPECT_FALSE(log.IsUpToDate({.term = 1, .index = 9}));
}

TEST_F(LogTest, HandsOutCommittedEntriesInBoundedPortions) {
  const uint64_t one = EntrySize(Entries({{1, 1}})[0]);
  Log log(&storage_, nullptr, {.max_applying_size = 2 * one});
  log.Append(Entries({{1, 1}, {1, 2}, {1, 3}, {1, 4}}));
  log.CommitTo(4);
  EXPECT_EQ(Ids(log.NextCommitted()), "1/1 1/2");
  log.AcceptApplying(2, 2 * one);
  EXPECT_FALSE(log.HasNextCommitted());  // the limit counts what is not yet reported applied
  log.AppliedTo(2, 2 * one);
  EXPECT_EQ(Ids(log.NextCommitted()), "1/3 1/4");
}

TEST_F(LogTest, AsynchronousStorageAppliesOnlyWhatIsStable) {
  Log log(&storage_, nullptr, {.apply_unstable = false});
  log.Append(Entries({{1, 1}, {1, 2}}));
  log.CommitTo(2);
  EXPECT_FALSE(log.HasNextCommitted());
  log.unstable().AcceptInProgress();
  storage_.Append(Entries({{1, 1}, {1, 2}}));
  log.unstable().StableTo({.term = 1, .index = 1});
  EXPECT_EQ(Ids(log.NextCommitted()), "1/1");
}

TEST_F(LogTest, AConfigurationChangeWaitsForItsCommitIndexToBeDurable) {
  Log log(&storage_, nullptr, {.apply_unstable = true, .hold_conf_changes = true});
  std::vector<Entry> entries = Entries({{1, 1}, {1, 2}, {1, 3}});
  entries[1].type = EntryType::kConfChangeV2;
  log.Append(entries);
  log.CommitTo(3);
  EXPECT_EQ(Ids(log.NextCommitted()), "1/1");
  log.AcceptApplying(1, 1);
  EXPECT_FALSE(log.HasNextCommitted());
  EXPECT_TRUE(log.HasUnsyncedConfChange());
  EXPECT_TRUE(log.HasUnappliedConfChange());
  log.CommitSyncedTo(1);
  EXPECT_FALSE(log.HasNextCommitted());
  log.CommitSyncedTo(2);
  EXPECT_FALSE(log.HasUnsyncedConfChange());
  EXPECT_EQ(Ids(log.NextCommitted()), "1/2 1/3");
  log.AcceptApplying(3, 1);
  log.AppliedTo(3, 1);
  EXPECT_FALSE(log.HasUnappliedConfChange());
}

TEST_F(LogTest, ATruncatedConfigurationChangeIsForgotten) {
  Log log(&storage_, nullptr, {});
  std::vector<Entry> entries = Entries({{1, 1}, {1, 2}});
  entries[1].type = EntryType::kConfChangeV2;
  log.Append(entries);
  log.Append(Entries({{2, 2}}));
  log.CommitTo(2);
  EXPECT_FALSE(log.HasUnappliedConfChange());
}

TEST_F(LogTest, FindsUnappliedConfigurationChangesAtTheStart) {
  std::vector<Entry> entries = Entries({{1, 1}, {1, 2}, {1, 3}});
  entries[1].type = EntryType::kConfChange;
  storage_.Append(entries);
  Log log(&storage_, nullptr, {});
  log.LoadCommit(3);
  log.LoadApplied(1);
  EXPECT_TRUE(log.HasUnappliedConfChange());
  Log later(&storage_, nullptr, {});
  later.LoadCommit(1);  // the commit index on disk may be behind what was applied
  later.LoadApplied(2);
  EXPECT_EQ(later.committed(), 2u);
  EXPECT_FALSE(later.HasUnappliedConfChange());
}

}  // namespace
}  // namespace insula::raft
