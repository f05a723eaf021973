#include "test/slt/slt_runner.h"

#include <charconv>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "test/slt/slt_compare.h"

namespace insula::slt {
namespace {

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
  return text;
}

// Loops written out; their records are marked as not to be scored by a block line of 0.
std::vector<Record> Unroll(const std::vector<Record>& records, size_t begin, size_t end) {
  std::vector<Record> out;
  for (size_t i = begin; i < end; ++i) {
    const Record& r = records[i];
    if (r.kind != RecordKind::kLoop && r.kind != RecordKind::kForeach) {
      out.push_back(r);
      continue;
    }
    size_t close = i + 1;
    for (int depth = 1; close < end; ++close) {
      if (records[close].kind == RecordKind::kLoop || records[close].kind == RecordKind::kForeach) ++depth;
      if (records[close].kind == RecordKind::kEndLoop && --depth == 0) break;
    }
    std::vector<std::string> values(r.words.empty() ? r.words.begin() : r.words.begin() + 1, r.words.end());
    if (r.kind == RecordKind::kLoop && values.size() >= 2) {
      int from = std::atoi(values[0].c_str()), to = std::atoi(values[1].c_str());
      values.clear();
      for (int v = from; v < to && v < from + 2000; ++v) values.push_back(StrCat(v));
    }
    std::vector<Record> body = Unroll(records, i + 1, close);
    for (const std::string& value : values) {
      for (Record copy : body) {
        copy.block_line = 0;
        copy.sql = Replace(std::move(copy.sql), StrCat("${", r.words[0], "}"), value);
        for (std::string& line : copy.expected) line = Replace(std::move(line), StrCat("${", r.words[0], "}"), value);
        out.push_back(std::move(copy));
      }
    }
    i = close;
  }
  return out;
}

class Runner {
 public:
  Runner(const Context& ctx, RunOptions options) : ctx_(ctx), options_(std::move(options)) {}

  Task<FileScore> Run(std::vector<Record> records) {
    records = Unroll(records, 0, records.size());
    for (const Record& record : records) {
      if (record.kind == RecordKind::kHalt && !record.skip) break;
      if (record.kind == RecordKind::kMode && !record.words.empty()) {
        if (record.words[0] == "skip") skipping_ = true;
        if (record.words[0] == "unskip") skipping_ = false;
      }
      if (record.kind != RecordKind::kStatement && record.kind != RecordKind::kQuery) continue;
      const bool counts = Counts(record);
      if (!counts && (record.skip || skipping_)) continue;
      std::string why = late_ || ctx_.executor().Now() > options_.deadline ? Late() : co_await RunOne(record);
      if (counts) Score(record, std::move(why));
    }
    co_return std::move(score_);
  }

 private:
  std::string Late() {
    late_ = true;
    return "the file's time is up";
  }

  bool Counts(const Record& record) const {
    if (record.maybe || record.block_line == 0) return false;
    if (options_.scored_lines != nullptr) return !record.expect_error && options_.scored_lines->count(record.block_line) != 0;
    if (record.skip) return false;
    if (options_.excluded_lines != nullptr) {
      for (int line = record.block_line; line <= record.line; ++line) {
        if (options_.excluded_lines->count(line) != 0) return false;
      }
    }
    return true;
  }

  void Score(const Record& record, std::string why) {
    ++score_.scored;
    Failure failure{record.line, record.sql, std::move(why)};
    const bool passed = failure.why.empty();
    if (passed) ++score_.passed;
    if (options_.on_record) options_.on_record(passed, passed ? nullptr : &failure);
    if (!passed) score_.failures.push_back(std::move(failure));
  }

  Task<std::string> RunOne(const Record& record) {
    std::unique_ptr<pgwire::PgClient>& client = clients_[record.connection];
    if (client == nullptr) {
      auto connected = co_await options_.connect();
      if (!connected.ok()) co_return StrCat("no connection: ", connected.status().ToString());
      client = *std::move(connected);
    }
    auto outcome = co_await client->Query(ctx_, record.sql);
    if (!outcome.ok()) {
      client.reset();
      co_return StrCat("the connection was lost: ", outcome.status().ToString());
    }
    if (record.expect_error) co_return outcome->error.ok() ? "expected an error" : "";
    if (!outcome->error.ok()) {
      PgErrorFields e = ToPgError(outcome->error);
      co_return StrCat(e.sqlstate, " ", e.message);
    }
    if (record.kind == RecordKind::kStatement) co_return "";
    if (outcome->results.empty()) co_return "no result";
    if (!record.has_results && record.expected.empty() && options_.dialect == Dialect::kSqlite && !outcome->results.back().rows.empty()) {
      co_return StrCat("expected no rows, got ", outcome->results.back().rows.size());
    }
    co_return CompareResult(record, options_.dialect, outcome->results.back());
  }

  const Context& ctx_;
  RunOptions options_;
  std::map<std::string, std::unique_ptr<pgwire::PgClient>> clients_;
  bool skipping_ = false;
  bool late_ = false;
  FileScore score_;
};

}  // namespace

Task<FileScore> RunRecords(const Context& ctx, std::vector<Record> records, RunOptions options) {
  Runner runner(ctx, std::move(options));
  co_return co_await runner.Run(std::move(records));
}

}  // namespace insula::slt
