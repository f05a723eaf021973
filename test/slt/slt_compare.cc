#include "test/slt/slt_compare.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "base/strings.h"
#include "re2/re2.h"

namespace insula::slt {
namespace {

constexpr uint32_t kBool = 16;

using Cells = std::vector<std::string>;

std::string Md5(std::string_view data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK_EQ(EVP_Digest(data.data(), data.size(), digest, &size, EVP_md5(), nullptr), 1);
  std::string out;
  char hex[3];
  for (unsigned int i = 0; i < size; ++i) {
    std::snprintf(hex, sizeof(hex), "%02x", digest[i]);
    out += hex;
  }
  return out;
}

std::string Shorten(std::string s) {
  if (s.size() > 120) s = s.substr(0, 117) + "...";
  return s;
}

std::string Differs(size_t at, std::string_view expected, std::string_view actual) {
  return Shorten(StrCat("value ", at + 1, ": expected '", expected, "', got '", actual, "'"));
}

// "30 values hashing to 3c13dee48d9356ae19af2515e05e6b54"
bool ParseHashLine(const std::vector<std::string>& lines, size_t* count, std::string* md5) {
  if (lines.size() != 1) return false;
  char hash[64];
  return std::sscanf(lines[0].c_str(), "%zu values hashing to %40[0-9a-f]", count, hash) == 2 && (*md5 = hash, true);
}

std::string CompareSqlite(const Record& record, const pgwire::QueryResult& result) {
  const size_t columns = result.fields.size();
  if (!record.types.empty() && columns != record.types.size()) {
    return StrCat("expected ", record.types.size(), " columns, got ", columns);
  }
  std::vector<Cells> rows;
  for (const auto& row : result.rows) {
    Cells cells;
    for (size_t c = 0; c < columns; ++c) cells.push_back(RenderValue(record.types[c], result.fields[c].type, row[c]));
    rows.push_back(std::move(cells));
  }
  if (record.sort == SortMode::kRow) std::sort(rows.begin(), rows.end());
  std::vector<std::string> values;
  for (Cells& row : rows) {
    for (std::string& cell : row) values.push_back(std::move(cell));
  }
  if (record.sort == SortMode::kValue) std::sort(values.begin(), values.end());
  size_t count = 0;
  std::string md5;
  if (ParseHashLine(record.expected, &count, &md5)) {
    if (count != values.size()) return StrCat("expected ", count, " values, got ", values.size());
    std::string all;
    for (const std::string& v : values) StrAppend(&all, v, "\n");
    std::string actual = Md5(all);
    return actual == md5 ? "" : StrCat("expected hash ", md5, ", got ", actual);
  }
  if (values.size() != record.expected.size()) {
    return StrCat("expected ", record.expected.size(), " values, got ", values.size());
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != record.expected[i]) return Differs(i, record.expected[i], values[i]);
  }
  return "";
}

// A whole number or decimal; blanks around it do not matter.
bool ParseNumber(std::string s, double* v) {
  while (!s.empty() && s.back() == ' ') s.pop_back();
  s.erase(0, std::min(s.find_first_not_of(' '), s.size()));
  if (s.empty() || std::isspace(static_cast<unsigned char>(s[0]))) return false;
  if (s.find_first_of("xX") != std::string::npos) return false;
  char* end = nullptr;
  *v = std::strtod(s.c_str(), &end);
  return *end == '\0';
}

bool SameCell(const std::string& expected, const std::string& actual) {
  if (expected == actual) return true;
  if (expected.starts_with("<REGEX>:")) return RE2::FullMatch(actual, expected.substr(8));
  if (expected.starts_with("<!REGEX>:")) return !RE2::FullMatch(actual, expected.substr(9));
  double a, b;
  if (!ParseNumber(expected, &a) || !ParseNumber(actual, &b)) return false;
  if (std::isnan(a) && std::isnan(b)) return true;
  return std::abs(a - b) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(b)});
}

// Cells of both sides in one form, so that sorting them brings equal ones together.
std::string Canonical(std::string cell, uint32_t type) {
  if (type == kBool) {
    std::string s = AsciiLower(cell);
    if (s == "t" || s == "true" || s == "1") return "true";
    if (s == "f" || s == "false" || s == "0") return "false";
  }
  double v;
  if (ParseNumber(cell, &v)) {
    char buffer[64];
    std::snprintf(buffer, sizeof(buffer), "%.9g", v == 0 ? 0 : v);
    return buffer;
  }
  return cell;
}

std::string CompareDuckdb(const Record& record, const pgwire::QueryResult& result) {
  const size_t columns = result.fields.size();
  std::vector<Cells> actual;
  for (const auto& row : result.rows) {
    Cells cells;
    for (size_t c = 0; c < columns; ++c) {
      std::string cell = row[c].value_or("NULL");
      if (row[c] && cell.empty()) cell = "(empty)";
      cells.push_back(Canonical(cell, result.fields[c].type));
    }
    actual.push_back(std::move(cells));
  }
  size_t count = 0;
  std::string md5;
  if (ParseHashLine(record.expected, &count, &md5)) return CompareSqlite(record, result);
  // One row per line, or one value per line.
  std::vector<Cells> expected;
  const bool by_value = columns > 1 && !record.expected.empty() && record.expected[0].find('\t') == std::string::npos &&
                        record.expected.size() == actual.size() * columns;
  if (by_value) {
    for (size_t i = 0; i < record.expected.size(); ++i) {
      if (i % columns == 0) expected.emplace_back();
      expected.back().push_back(Canonical(record.expected[i], result.fields[i % columns].type));
    }
  } else {
    for (const std::string& line : record.expected) {
      Cells cells;
      std::string_view rest = line;
      for (;;) {
        size_t tab = rest.find('\t');
        size_t c = cells.size();
        cells.push_back(Canonical(std::string(rest.substr(0, tab)), c < columns ? result.fields[c].type : 0));
        if (tab == std::string_view::npos) break;
        rest.remove_prefix(tab + 1);
      }
      expected.push_back(std::move(cells));
    }
  }
  if (expected.size() != actual.size()) return StrCat("expected ", expected.size(), " rows, got ", actual.size());
  if (record.sort == SortMode::kRow) {
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
  }
  Cells e, a;
  for (Cells& row : expected) e.insert(e.end(), row.begin(), row.end());
  for (Cells& row : actual) a.insert(a.end(), row.begin(), row.end());
  if (record.sort == SortMode::kValue) {
    std::sort(e.begin(), e.end());
    std::sort(a.begin(), a.end());
  }
  if (e.size() != a.size()) return StrCat("expected ", e.size(), " values, got ", a.size());
  for (size_t i = 0; i < e.size(); ++i) {
    if (!SameCell(e[i], a[i])) return Differs(i, e[i], a[i]);
  }
  return "";
}

// A row's text as words: blanks inside and between cells count alike.
Cells Squeeze(std::string_view line) {
  Cells words;
  size_t i = 0;
  while (i < line.size()) {
    while (i < line.size() && std::isspace(static_cast<unsigned char>(line[i]))) ++i;
    size_t start = i;
    while (i < line.size() && !std::isspace(static_cast<unsigned char>(line[i]))) ++i;
    if (i > start) words.push_back(Canonical(std::string(line.substr(start, i - start)), 0));
  }
  return words;
}

std::string CompareRisingwave(const Record& record, const pgwire::QueryResult& result) {
  std::vector<Cells> actual, expected;
  for (const auto& row : result.rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      std::string cell = row[c].value_or("NULL");
      if (cell.empty()) cell = "(empty)";
      StrAppend(&line, c == 0 ? "" : " ", cell);
    }
    actual.push_back(Squeeze(line));
  }
  for (const std::string& line : record.expected) expected.push_back(Squeeze(line));
  if (record.sort == SortMode::kValue) {
    Cells e, a;
    for (Cells& row : expected) e.insert(e.end(), row.begin(), row.end());
    for (Cells& row : actual) a.insert(a.end(), row.begin(), row.end());
    std::sort(e.begin(), e.end());
    std::sort(a.begin(), a.end());
    expected = {e};
    actual = {a};
  }
  if (record.sort == SortMode::kRow) {
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
  }
  if (expected.size() != actual.size()) {
    // A value with line breaks takes several lines: compare the words alone.
    Cells e, a;
    for (Cells& row : expected) e.insert(e.end(), row.begin(), row.end());
    for (Cells& row : actual) a.insert(a.end(), row.begin(), row.end());
    return e == a ? "" : StrCat("expected ", expected.size(), " rows, got ", actual.size());
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].size() != actual[i].size()) return Differs(i, StrJoin(expected[i], " "), StrJoin(actual[i], " "));
    for (size_t j = 0; j < expected[i].size(); ++j) {
      if (!SameCell(expected[i][j], actual[i][j])) return Differs(i, StrJoin(expected[i], " "), StrJoin(actual[i], " "));
    }
  }
  return "";
}

}  // namespace

std::string RenderValue(char letter, uint32_t type, const std::optional<std::string>& value) {
  if (!value) return "NULL";
  std::string text = *value;
  if (type == kBool) text = text == "t" ? "1" : "0";
  char buffer[400];
  switch (letter) {
    case 'I': {
      // Truncated; what is past 64 bits stays as it is.
      double v = std::strtod(text.c_str(), nullptr);
      if (std::abs(v) > 9e18) return text;
      std::snprintf(buffer, sizeof(buffer), "%lld",
                    text.find_first_of(".eE") == std::string::npos ? std::strtoll(text.c_str(), nullptr, 10) : static_cast<long long>(v));
      return buffer;
    }
    case 'R':
      std::snprintf(buffer, sizeof(buffer), "%.3f", std::strtod(text.c_str(), nullptr));
      return buffer;
    default:
      if (text.empty()) return "(empty)";
      for (char& c : text) {
        if (c < ' ' || c > '~') c = '@';
      }
      return text;
  }
}

std::string CompareResult(const Record& record, Dialect dialect, const pgwire::QueryResult& result) {
  switch (dialect) {
    case Dialect::kSqlite: return CompareSqlite(record, result);
    case Dialect::kDuckdb: return CompareDuckdb(record, result);
    case Dialect::kRisingwave: return CompareRisingwave(record, result);
  }
  return "no such dialect";
}

}  // namespace insula::slt
