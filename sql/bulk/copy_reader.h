// COPY's text and csv → fields, from pieces cut anywhere.
//
//   CopyLineReader lines(options);
//   lines.Feed(piece);  while (lines.Next()) { use lines.fields(); }  lines.End();
//
// Text: one row per line, backslash escapes, \N for NULL, \. ends the data. Csv: quoted fields may hold line ends.
// Fields point into the reader's buffer and are valid until the next call. Memory: one piece and one unfinished row.
// Thread safety: one thread.
#ifndef INSULA_SQL_BULK_COPY_READER_H_
#define INSULA_SQL_BULK_COPY_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/bulk/copy_options.h"

namespace insula::sql {

class CopyLineReader {
 public:
  struct Field {
    std::string_view text;
    bool is_null = false;
    bool quoted = false;  // csv: never NULL unless forced
  };

  explicit CopyLineReader(const CopyOptions& options) : options_(options) {}

  void Feed(std::string_view piece);
  // No more pieces: a last line without a line end counts.
  void End() { ended_ = true; }
  // The next row: true, with its fields. False: more data is needed, or the data has ended. 22P04 for malformed rows.
  absl::StatusOr<bool> Next();

  const std::vector<Field>& fields() const { return fields_; }
  // The row as it came, for error messages.
  std::string_view line() const { return line_; }
  uint64_t line_number() const { return line_number_; }
  bool saw_end_marker() const { return end_marker_; }

 private:
  // Finds the next line in the buffer (csv: with its quoted line ends); false if it is not complete yet.
  absl::StatusOr<bool> NextLine();
  void SplitText();
  absl::Status SplitCsv();
  size_t CsvLineEnd();

  const CopyOptions& options_;
  std::string buffer_;
  size_t at_ = 0;          // start of what is unread
  size_t scanned_ = 0;     // csv: how far the search for the line's end has come
  bool in_quotes_ = false; // csv: there
  bool ended_ = false, end_marker_ = false;
  uint64_t line_number_ = 0;
  uint64_t lines_in_row_ = 1;
  std::string_view line_;
  std::vector<Field> fields_;
  std::string unescaped_;  // fields that are not as they stand in the line
};

}  // namespace insula::sql

#endif  // INSULA_SQL_BULK_COPY_READER_H_
