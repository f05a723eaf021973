#include "sql/bulk/copy_reader.h"

#include <gtest/gtest.h>

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

// All rows of `data`, fed in pieces of `piece` bytes: fields in brackets, NULL as -.
std::string Read(const CopyOptions& options, std::string data, size_t piece) {
  CopyLineReader reader(options);
  std::string out;
  size_t at = 0;
  for (;;) {
    absl::StatusOr<bool> row = reader.Next();
    if (!row.ok()) return out + "ERROR " + ToPgError(row.status()).message;
    if (*row) {
      for (const auto& f : reader.fields()) out += f.is_null ? "-" : "[" + std::string(f.text) + "]";
      out += "@" + std::to_string(reader.line_number()) + " ";
      continue;
    }
    if (at >= data.size()) {
      if (at > data.size()) return out;
      reader.End();
      ++at;
      continue;
    }
    reader.Feed(data.substr(at, piece));
    at = std::min(at + piece, data.size());
  }
}

void Expect(const CopyOptions& options, std::string data, std::string want) {
  for (size_t piece : {size_t{1}, size_t{2}, size_t{5}, size_t{1000}}) EXPECT_EQ(Read(options, data, piece), want) << "pieces of " << piece;
}

TEST(CopyReaderTest, Text) {
  CopyOptions text;
  Expect(text, "a\tb\n1\t\\N\n\n", "[a][b]@1 [1]-@2 []@3 ");
  Expect(text, "a\\tb\tc\\\\d\\ne\\x41\\101\\q\n", "[a\tb][c\\d\neAAq]@1 ");
  Expect(text, "x\ty\r\nz\tw", "[x][y]@1 [z][w]@2 ");
  Expect(text, "1\n\\.\n2\n", "[1]@1 ");
  Expect(text, "a\\\tb\n", "[a\tb]@1 ");
  text.delimiter = '|';
  text.null_text = "NULL";
  Expect(text, "1|NULL|\\N\n", "[1]-[N]@1 ");
}

TEST(CopyReaderTest, Csv) {
  CopyOptions csv;
  csv.csv = true;
  csv.delimiter = ',';
  csv.null_text = "";
  Expect(csv, "a,,\"\"\n\"x,y\",\"he said \"\"hi\"\"\",pre\"fix\"post\n", "[a]-[]@1 [x,y][he said \"hi\"][prefixpost]@2 ");
  Expect(csv, "\"two\nlines\",1\r\nnext,2\r\n", "[two\nlines][1]@2 [next][2]@3 ");
  Expect(csv, "\"open\n", "ERROR unterminated CSV quoted field");
  csv.escape = '\\';
  Expect(csv, "\"a\\\"b\\\\\",2\n", "[a\"b\\][2]@1 ");
}

}  // namespace
}  // namespace insula::sql
