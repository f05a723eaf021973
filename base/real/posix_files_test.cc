#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/real/file_lock.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

class PosixFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = StrCat(testing::TempDir(), "/posix_files_", getpid(), "_", testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(files_->CreateDirs(dir_ + "/a/b").ok());
  }
  void TearDown() override { EXPECT_TRUE(files_->RemoveRecursively(dir_).ok()); }

  std::unique_ptr<RealExecutor> loop_ = MakeRealExecutor();
  std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  std::string dir_;
};

TEST_F(PosixFilesTest, AppendsAreThereAfterReopening) {
  std::string path = dir_ + "/log";
  EXPECT_TRUE(loop_->RunMain([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto file, files_->OpenAppend(path));
    CO_RETURN_IF_ERROR(co_await file->WriteAndSync(ctx, "hello "));
    CO_RETURN_IF_ERROR(co_await file->WriteAndSync(ctx, "world"));
    EXPECT_EQ(file->size(), 11u);
    file.reset();
    CO_ASSIGN_OR_RETURN(file, files_->OpenAppend(path));
    EXPECT_EQ(file->size(), 11u);
    co_return co_await file->WriteAndSync(ctx, "!");
  }).ok());
  EXPECT_EQ(*files_->ReadFile(path), "hello world!");
  EXPECT_EQ(*files_->ReadRange(path, 6, 5), "world");
  EXPECT_EQ(*files_->ReadRange(path, 10, 100), "d!");
  EXPECT_EQ(*files_->ReadRange(path, 100, 5), "");
  EXPECT_TRUE(files_->Truncate(path, 5).ok());
  EXPECT_EQ(*files_->ReadFile(path), "hello");
}

TEST_F(PosixFilesTest, AtomicWritesReplaceAndSetTheMode) {
  std::string path = dir_ + "/a/VERSION";
  EXPECT_TRUE(files_->WriteFileAtomically(path, "1").ok());
  EXPECT_TRUE(files_->WriteFileAtomically(path, "2", 0600).ok());
  EXPECT_EQ(*files_->ReadFile(path), "2");
  struct stat st;
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(*files_->List(dir_ + "/a"), (std::vector<std::string>{"VERSION", "b"}));
}

TEST_F(PosixFilesTest, ErrorsSayWhatIsWrong) {
  EXPECT_EQ(files_->ReadFile(dir_ + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->OpenAppend(dir_ + "/none/x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->Remove(dir_ + "/a").code(), absl::StatusCode::kAlreadyExists) << "not empty";
  EXPECT_EQ(files_->CreateDirs("/proc/none").code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(*files_->Exists(dir_ + "/none"));
  EXPECT_TRUE(*files_->Exists(dir_ + "/a"));
}

TEST_F(PosixFilesTest, AFullDiskIsResourceExhaustedAndNothingOfTheWriteCounts) {
  EXPECT_TRUE(loop_->RunMain([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto file, files_->OpenAppend("/dev/full"));
    absl::Status status = co_await file->WriteAndSync(ctx, "x");
    // /dev/full cannot be truncated, which makes the file unusable; a regular file stays at its size.
    EXPECT_TRUE(absl::IsResourceExhausted(status) || absl::IsDataLoss(status)) << status;
    EXPECT_EQ(file->size(), 0u);
    co_return absl::OkStatus();
  }).ok());
}

TEST_F(PosixFilesTest, LocksExclude) {
  auto lock = files_->LockFile(dir_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(files_->LockFile(dir_ + "/LOCK").status().code(), absl::StatusCode::kUnavailable);
  lock->reset();
  EXPECT_TRUE(files_->LockFile(dir_ + "/LOCK").ok());
}

TEST_F(PosixFilesTest, WhoLooksAtALockTakesItFromNobody) {
  const std::string path = dir_ + "/LOCK";
  EXPECT_EQ(*IsFileLocked(path), false);
  EXPECT_EQ(*files_->Exists(path), false) << "looking made the file";
  auto lock = files_->LockFile(path);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(*IsFileLocked(path), true);
  lock->reset();
  EXPECT_EQ(*IsFileLocked(path), false);

  // Many look while one takes it again and again.
  std::atomic<bool> end = false;
  std::thread looker([&] {
    while (!end) EXPECT_TRUE(IsFileLocked(path).ok());
  });
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(files_->LockFile(path).ok());
  end = true;
  looker.join();
}

}  // namespace
}  // namespace insula
