// Runs the records of one file against a server and scores them.
#ifndef INSULA_TEST_SLT_SLT_RUNNER_H_
#define INSULA_TEST_SLT_SLT_RUNNER_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/client.h"
#include "test/slt/slt_file.h"

namespace insula::slt {

struct Failure {
  int line = 0;
  std::string sql;
  std::string why;
};

struct FileScore {
  int passed = 0;
  int scored = 0;
  std::vector<Failure> failures;
};

struct RunOptions {
  Dialect dialect = Dialect::kSqlite;
  // Which records count: by the first line of their block. Null: all that run.
  const std::set<int>* scored_lines = nullptr;
  // Records that do not count: any line of their block.
  const std::set<int>* excluded_lines = nullptr;
  std::function<Task<absl::StatusOr<std::unique_ptr<pgwire::PgClient>>>()> connect;
  // Past this the file's remaining records fail without being run.
  MonoTime deadline{};
  // Told after every record, so that a crash loses none.
  std::function<void(bool passed, const Failure* failure)> on_record;
};

Task<FileScore> RunRecords(const Context& ctx, std::vector<Record> records, RunOptions options);

}  // namespace insula::slt

#endif  // INSULA_TEST_SLT_SLT_RUNNER_H_
