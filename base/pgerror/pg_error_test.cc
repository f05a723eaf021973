#include "base/pgerror/pg_error.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

TEST(PgError, CarriesEveryFieldThroughAStatus) {
  absl::Status status = PgErrorBuilder("23505", "dup").Detail("Key (a)=(1:2) exists.").Hint("h").Position(17).Table("s", "t").Column("c").Constraint("k").Build();
  PgErrorFields f = ToPgError(status);
  EXPECT_EQ(f.severity, "ERROR");
  EXPECT_EQ(f.sqlstate, "23505");
  EXPECT_EQ(f.message, "dup");
  EXPECT_EQ(f.detail, "Key (a)=(1:2) exists.");
  EXPECT_EQ(f.position, 17);
  EXPECT_EQ(f.table, "t");
  EXPECT_EQ(f.constraint, "k");
}

TEST(PgError, FirstPositionWins) {
  absl::Status status = WithPosition(PgError("42703", "no column"), 5);
  EXPECT_EQ(ToPgError(WithPosition(status, 9)).position, 5);
}

TEST(PgError, PlainStatusesMapByCode) {
  EXPECT_EQ(ToPgError(absl::CancelledError("x")).sqlstate, "57014");
  EXPECT_EQ(ToPgError(absl::InternalError("x")).sqlstate, "XX000");
  EXPECT_FALSE(IsPgError(absl::InternalError("x")));
}

}  // namespace
}  // namespace insula
