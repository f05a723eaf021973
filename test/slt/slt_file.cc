#include "test/slt/slt_file.h"

#include "base/strings.h"

namespace insula::slt {
namespace {

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  size_t i = 0;
  while (i < line.size()) {
    while (i < line.size() && (line[i] == ' ' || line[i] == '\t')) ++i;
    size_t start = i;
    while (i < line.size() && line[i] != ' ' && line[i] != '\t') ++i;
    if (i > start) words.emplace_back(line.substr(start, i - start));
  }
  return words;
}

bool IsBlank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

class Parser {
 public:
  Parser(std::string_view text, Dialect dialect) : lines_(SplitLines(text)), dialect_(dialect) {}

  std::vector<Record> Run() {
    while (at_ < lines_.size()) {
      if (IsBlank(lines_[at_])) {
        ++at_;
        continue;
      }
      Block();
    }
    return std::move(records_);
  }

 private:
  // One block: comments, conditions, and a record. Control records need no blank line after them.
  void Block() {
    Record record;
    record.block_line = static_cast<int>(at_) + 1;
    for (; at_ < lines_.size(); ++at_) {
      std::string_view line = lines_[at_];
      if (IsBlank(line)) return;  // comments alone
      if (line.starts_with('#')) continue;
      std::vector<std::string> words = Words(line);
      if (words[0] == "skipif" || words[0] == "onlyif") {
        Condition(words, line, &record);
        continue;
      }
      record.line = static_cast<int>(at_) + 1;
      ++at_;
      if (words[0] == "statement" || words[0] == "query") {
        Sql(words, &record);
      } else {
        Control(words, &record);
      }
      records_.push_back(std::move(record));
      return;
    }
  }

  void Condition(const std::vector<std::string>& words, std::string_view line, Record* record) {
    const std::string engine = words.size() > 1 ? words[1] : "";
    // Conditions on loop variables ("skipif i=0") belong to records that nobody scores.
    if (engine.find('=') != std::string::npos) {
      record->skip = true;
      return;
    }
    const bool ours = AsciiLower(engine) == "postgresql";
    // Written when PostgreSQL could not yet do without AS.
    const bool outdated = line.find("requires AS") != std::string_view::npos;
    if (words[0] == "skipif" ? ours && !outdated : !ours) record->skip = true;
  }

  void Control(const std::vector<std::string>& words, Record* record) {
    const std::string& word = words[0];
    record->words.assign(words.begin() + 1, words.end());
    if (word == "halt") {
      record->kind = RecordKind::kHalt;
    } else if (word == "mode") {
      record->kind = RecordKind::kMode;
    } else if (word == "loop" || word == "concurrentloop") {
      record->kind = RecordKind::kLoop;
    } else if (word == "foreach" || word == "concurrentforeach") {
      record->kind = RecordKind::kForeach;
    } else if (word == "endloop") {
      record->kind = RecordKind::kEndLoop;
    } else if (word == "restart" || word == "reconnect") {
      record->kind = RecordKind::kRestart;
    } else if (word == "system") {
      while (at_ < lines_.size() && !IsBlank(lines_[at_])) ++at_;
    }
  }

  void Sql(const std::vector<std::string>& words, Record* record) {
    const bool query = words[0] == "query";
    record->kind = query ? RecordKind::kQuery : RecordKind::kStatement;
    const std::string first = words.size() > 1 ? words[1] : "";
    record->expect_error = first == "error";
    record->maybe = first == "maybe";
    if (query && !record->expect_error) {
      record->types = first;
      size_t i = 2;
      if (i < words.size()) {
        const std::string& sort = words[i];
        if (sort == "rowsort" || sort == "sort") record->sort = SortMode::kRow;
        if (sort == "valuesort") record->sort = SortMode::kValue;
        if (sort == "nosort" || record->sort != SortMode::kNone) {
          ++i;
        } else if (dialect_ == Dialect::kDuckdb) {
          record->connection = words[i++];
        }
      }
      if (i < words.size()) record->label = words[i];
    } else if (!query && dialect_ == Dialect::kDuckdb && words.size() > 2) {
      record->connection = words[2];
    }
    while (at_ < lines_.size() && !IsBlank(lines_[at_]) && lines_[at_] != "----") {
      if (!lines_[at_].starts_with('#')) {
        if (!record->sql.empty()) record->sql.push_back('\n');
        record->sql.append(lines_[at_]);
      }
      ++at_;
    }
    if (at_ < lines_.size() && lines_[at_] == "----") {
      record->has_results = true;
      for (++at_; at_ < lines_.size() && !lines_[at_].empty(); ++at_) record->expected.emplace_back(lines_[at_]);
    }
  }

  std::vector<std::string_view> lines_;
  Dialect dialect_;
  size_t at_ = 0;
  std::vector<Record> records_;
};

}  // namespace

std::vector<Record> ParseSltFile(std::string_view text, Dialect dialect) { return Parser(text, dialect).Run(); }

}  // namespace insula::slt
