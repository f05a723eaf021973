#include "base/log/log.h"

#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>

namespace insula::log {
namespace {

Level LevelFromEnvironment() {
  const char* value = std::getenv("INSULA_LOG");
  std::string_view text = value == nullptr ? "" : value;
  if (text == "debug") return Level::kDebug;
  if (text == "warn") return Level::kWarn;
  if (text == "error") return Level::kError;
  if (text == "off") return Level::kOff;
  return Level::kInfo;
}

struct State {
  std::atomic<Level> level{LevelFromEnvironment()};
  std::mutex mutex;  // guards what follows
  std::string source;
  std::function<void(std::string)> sink;
};
State& state() {
  static State* s = new State;
  return *s;
}

std::string_view Name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarn:
      return "WARN";
    default:
      return "ERROR";
  }
}

// Values with blanks, quotes or control characters are quoted, so that a line stays a line.
void AppendValue(std::string_view value, std::string* out) {
  bool plain = !value.empty();
  for (char c : value) plain = plain && c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  if (plain) {
    out->append(value);
    return;
  }
  out->push_back('"');
  for (char c : value) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned char>(c));
      out->append(hex);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

std::string Now() {
  timeval now;
  gettimeofday(&now, nullptr);
  tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char text[64];
  size_t n = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + n, sizeof(text) - n, ".%06ldZ ", static_cast<long>(now.tv_usec));
  return text;
}

}  // namespace

void SetSource(std::string source) {
  std::lock_guard lock(state().mutex);
  state().source = std::move(source);
}

void SetLevel(Level level) { state().level = level; }
bool Enabled(Level level) { return level >= state().level.load(std::memory_order_relaxed); }

void SetSink(std::function<void(std::string)> sink) {
  std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line(Name(level));
  std::lock_guard lock(state().mutex);
  if (!state().source.empty()) StrAppend(&line, " ", state().source);
  StrAppend(&line, " ", message);
  for (const Field& field : fields) {
    StrAppend(&line, " ", field.key, "=");
    AppendValue(field.value, &line);
  }
  if (state().sink) {
    state().sink(std::move(line));
    return;
  }
  line = Now() + line + "\n";
  // A log that cannot be written must not stop the server.
  ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(written);
}

}  // namespace insula::log
