#include "base/datadriven/datadriven.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::datadriven {

namespace {

constexpr std::string_view kSeparator = "----";

std::string_view Trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

std::string Ended(std::string text) {
  if (!text.empty() && text.back() != '\n') text.push_back('\n');
  return text;
}

// Line by line, with one line of looking ahead.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  bool done() const { return rest_.empty(); }
  int number() const { return number_; }
  std::string_view Peek() const {
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
  }
  std::string_view Next() {
    std::string_view line = Peek();
    const size_t end = rest_.find('\n');
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++number_;
    return line;
  }

 private:
  std::string_view rest_;
  int number_ = 0;
};

absl::Status ParseDirective(std::string_view text, Case* c) {
  auto wrong = [&](std::string_view what) {
    return absl::InvalidArgumentError(StrCat("line ", c->line, ": ", what, ": ", text));
  };
  size_t at = 0;
  auto skip_blanks = [&] {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  };
  auto word = [&](std::string_view stops) {
    const size_t from = at;
    while (at < text.size() && !std::isspace(static_cast<unsigned char>(text[at])) &&
           stops.find(text[at]) == stops.npos)
      ++at;
    return std::string(text.substr(from, at - from));
  };
  skip_blanks();
  c->command = word("");
  for (skip_blanks(); at < text.size(); skip_blanks()) {
    Arg arg;
    arg.key = word("=");
    if (arg.key.empty()) return wrong("an argument without a name");
    if (at < text.size() && text[at] == '=') {
      ++at;
      arg.has_values = true;
      if (at < text.size() && text[at] == '(') {
        const size_t close = text.find(')', at);
        if (close == std::string_view::npos) return wrong("a parenthesis that is not closed");
        std::string_view list = text.substr(at + 1, close - at - 1);
        at = close + 1;
        while (!Trim(list).empty()) {
          const size_t comma = list.find(',');
          arg.values.emplace_back(Trim(list.substr(0, comma)));
          list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        }
      } else {
        arg.values.push_back(word(""));
      }
    }
    c->args.push_back(std::move(arg));
  }
  return absl::OkStatus();
}

absl::Status ParseExpected(Lines* lines, Case* c) {
  if (!lines->done() && lines->Peek() == kSeparator) {
    lines->Next();
    while (true) {
      if (lines->done())
        return absl::InvalidArgumentError(StrCat("line ", c->line, ": the doubled separator is not closed"));
      std::string_view line = lines->Next();
      if (line == kSeparator && !lines->done() && lines->Peek() == kSeparator) {
        lines->Next();
        return absl::OkStatus();
      }
      StrAppend(&c->expected, line, "\n");
    }
  }
  while (!lines->done() && !Trim(lines->Peek()).empty()) StrAppend(&c->expected, lines->Next(), "\n");
  return absl::OkStatus();
}

}  // namespace

const Arg* Case::Find(std::string_view key) const {
  for (const Arg& a : args) {
    if (a.key == key) return &a;
  }
  return nullptr;
}

std::string Case::Get(std::string_view key, std::string_view otherwise) const {
  const Arg* arg = Find(key);
  return arg && !arg->values.empty() ? arg->values.front() : std::string(otherwise);
}

std::vector<std::string> Case::Positional() const {
  std::vector<std::string> out;
  for (const Arg& a : args) {
    if (!a.has_values) out.push_back(a.key);
  }
  return out;
}

absl::StatusOr<File> File::Parse(std::string_view text) {
  File file;
  Lines lines(text);
  std::string source;
  while (!lines.done()) {
    std::string_view line = lines.Next();
    StrAppend(&source, line, "\n");
    std::string_view trimmed = Trim(line);
    if (trimmed.empty() || trimmed.front() == '#') continue;
    Case c;
    c.line = lines.number();
    std::string directive(trimmed);
    while (!directive.empty() && directive.back() == '\\' && !lines.done()) {
      directive.pop_back();
      line = lines.Next();
      StrAppend(&source, line, "\n");
      StrAppend(&directive, " ", Trim(line));
    }
    RETURN_IF_ERROR(ParseDirective(directive, &c));
    while (true) {
      if (lines.done()) return absl::InvalidArgumentError(StrCat("line ", c.line, ": no separator after ", c.command));
      line = lines.Next();
      if (line == kSeparator) break;
      StrAppend(&source, line, "\n");
      StrAppend(&c.input, line, "\n");
    }
    c.source = std::move(source);
    source.clear();
    RETURN_IF_ERROR(ParseExpected(&lines, &c));
    file.cases.push_back(std::move(c));
  }
  file.rest = std::move(source);
  return file;
}

std::string File::WithOutputs(const std::vector<std::string>& outputs) const {
  std::string out;
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string output = Ended(outputs[i]);
    const bool doubled =
        output.starts_with("\n") || output.starts_with(kSeparator) || output.find("\n\n") != output.npos;
    StrAppend(&out, cases[i].source, kSeparator, "\n");
    if (doubled) {
      StrAppend(&out, kSeparator, "\n", output, kSeparator, "\n", kSeparator, "\n");
    } else {
      StrAppend(&out, output);
    }
  }
  return StrCat(out, rest);
}

std::string Failure::ToString(std::string_view path) const {
  return StrCat(path, ":", line, ": ", command, "\n--- expected\n", expected, "--- actual\n", actual);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(StrCat("cannot read ", path));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::StatusOr<RunResult> RunFile(const std::string& path, const Handler& handler, const Same& same) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const File file, File::Parse(text));
  RunResult result;
  std::vector<std::string> outputs;
  for (const Case& c : file.cases) {
    std::string actual = Ended(handler(c));
    ++result.cases;
    if (!(same ? same(c.expected, actual) : c.expected == actual)) {
      result.failures.push_back({c.line, c.command, c.expected, actual});
    }
    outputs.push_back(std::move(actual));
  }
  result.rewritten = file.WithOutputs(outputs);
  return result;
}

std::vector<std::string> ListFiles(const std::string& folder, std::string_view suffix) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::string path = entry.path().string();
    if (entry.is_regular_file() && path.ends_with(suffix)) paths.push_back(std::move(path));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool RewriteRequested() {
  if (const char* env = std::getenv("INSULA_REWRITE")) return std::string_view(env) == "1";
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  for (std::string arg; std::getline(in, arg, '\0');) {
    if (arg == "--rewrite") return true;
  }
  return false;
}

absl::Status WriteSource(const std::string& path, std::string_view text) {
  const char* tree = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  const std::string target = tree && !path.starts_with("/") ? StrCat(tree, "/", path) : path;
  std::ofstream out(target, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return absl::UnavailableError(StrCat("cannot write ", target));
  return absl::OkStatus();
}

}  // namespace insula::datadriven
