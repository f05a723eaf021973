// sqllogictest files as records, in the three dialects at hand.
//
//   sqlite      one expected value per line, "N values hashing to MD5"
//   duckdb      expected rows, cells split by tabs (or one value per line); loops, modes, several connections
//   risingwave  expected rows, cells split by blanks; includes
//
// Thread safety: values.
#ifndef INSULA_TEST_SLT_SLT_FILE_H_
#define INSULA_TEST_SLT_SLT_FILE_H_

#include <string>
#include <string_view>
#include <vector>

namespace insula::slt {

enum class Dialect { kSqlite, kDuckdb, kRisingwave };
enum class RecordKind { kStatement, kQuery, kHalt, kMode, kLoop, kForeach, kEndLoop, kRestart, kOther };
enum class SortMode { kNone, kRow, kValue };

struct Record {
  RecordKind kind = RecordKind::kOther;
  int block_line = 0;  // first line of the block, comments included
  int line = 0;        // the line that says what it is
  bool expect_error = false;
  bool maybe = false;  // statement maybe: either outcome
  bool skip = false;   // by skipif or onlyif
  std::string sql;
  std::string types;
  SortMode sort = SortMode::kNone;
  std::string label;
  std::string connection;
  bool has_results = false;
  std::vector<std::string> expected;  // lines after ----
  std::vector<std::string> words;     // of a control record: the rest of its line
};

// `text` may have CRLF line ends. Engine: postgresql.
std::vector<Record> ParseSltFile(std::string_view text, Dialect dialect);

}  // namespace insula::slt

#endif  // INSULA_TEST_SLT_SLT_FILE_H_
