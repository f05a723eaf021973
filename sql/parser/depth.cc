#include "sql/parser/depth.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace insula::sql {
namespace {

bool IsWordStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool IsWord(char c) { return IsWordStart(c) || (c >= '0' && c <= '9') || c == '$'; }
bool IsOperator(char c) { return std::string_view("+-*/<>=~!@#%^&|`?:").find(c) != std::string_view::npos; }

// The end of what begins at `at` with a quote, a comment or a dollar quote; `at` itself if nothing of the kind does.
size_t SkipQuoted(std::string_view sql, size_t at) {
  const char c = sql[at];
  auto until = [&](std::string_view end, size_t from) {
    size_t p = sql.find(end, from);
    return p == std::string_view::npos ? sql.size() : p + end.size();
  };
  if (c == '\'' || c == '"') return until(std::string_view(&c, 1), at + 1);
  if (c == '-' && sql.substr(at, 2) == "--") return until("\n", at);
  if (c == '/' && sql.substr(at, 2) == "/*") return until("*/", at + 2);
  if (c == '$') {
    size_t i = at + 1;
    while (i < sql.size() && IsWord(sql[i]) && sql[i] != '$') ++i;
    if (i < sql.size() && sql[i] == '$') return until(sql.substr(at, i + 1 - at), i + 1);
  }
  return at;
}

class Estimator {
 public:
  void Open() {
    below_ += chains_.back() + 1;
    chains_.push_back(0);
    Grow(0);
  }
  void Close() {
    if (chains_.size() == 1) return;
    chains_.pop_back();
    below_ -= chains_.back() + 1;
  }
  void Grow(int n) {
    chains_.back() += n;
    deepest_ = std::max(deepest_, below_ + chains_.back());
  }
  void NewChain() { chains_.back() = 0; }
  void Word(std::string_view word, char before) {
    if (word.size() > 9) return;
    const std::string w = AsciiLower(word);
    if (w == "and" || w == "or") NewChain();
    if (w == "not" || w == "case" || w == "union" || w == "except" || w == "intersect" || w == "join") Grow(1);
    if (w == "select" && before == '(') Grow(3);
  }
  int deepest() const { return deepest_; }

 private:
  std::vector<int> chains_ = {0};  // operators so far, by open bracket
  int below_ = 0;                  // of the enclosing brackets
  int deepest_ = 0;
};

}  // namespace

int EstimateTreeDepth(std::string_view sql) {
  Estimator estimate;
  char before = '\0';  // the last character that was not blank
  for (size_t i = 0; i < sql.size();) {
    const char c = sql[i];
    if (size_t end = SkipQuoted(sql, i); end > i) {
      i = end;
      before = '\'';
      continue;
    }
    if (IsWordStart(c)) {
      size_t end = i;
      while (end < sql.size() && IsWord(sql[end])) ++end;
      estimate.Word(sql.substr(i, end - i), before);
      i = end;
      before = 'a';
      continue;
    }
    if (c == '(' || c == '[') estimate.Open();
    if (c == ')' || c == ']') estimate.Close();
    if (c == ',' || c == ';') estimate.NewChain();
    if (IsOperator(c) && !IsOperator(before)) estimate.Grow(1);
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') before = c;
    ++i;
  }
  return estimate.deepest();
}

}  // namespace insula::sql
