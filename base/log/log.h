// Structured logs: one line per event, a fixed message and key=value fields.
//
//   LOG_INFO("range split", {"range", id}, {"at", key});
//   LOG_WARNING_IN(ctx, "batch refused", {"status", status});     // adds tenant=… trace=… of the context
//
//   2025-11-21T06:54:24.317803Z info kv-1 range split range=12 at="a b"
//
// Messages are constant text, so that they can be searched and counted; what varies goes into fields. Fields are formatted
// only if the level is on. Never log keys, passwords, tokens or user data.
// Thread-safe. Under a ScopedSink (the simulator's) lines of this thread go there instead.
#ifndef INSULA_BASE_LOG_LOG_H_
#define INSULA_BASE_LOG_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/strings.h"

namespace insula::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

struct Options {
  std::string role;         // "kv", "sql", "proxy", "operator"
  std::string id;           // "1"
  std::string path;         // file to append to; "": standard error
  Level level = Level::kInfo;
};

// Sets up the process's log; INSULA_LOG=debug|info|warning|error|off overrides the level. Call once, early; before that
// lines go to standard error.
absl::Status Configure(const Options& options);
void SetLevel(Level level);

// One key=value pair. The value is anything StrCat takes, or a Status.
class Field {
 public:
  template <typename T>
  Field(std::string_view key, const T& value) : key_(key), value_(StrCat(value)) {}
  Field(std::string_view key, const absl::Status& value) : key_(key), value_(value.ToString()) {}
  std::string_view key() const { return key_; }
  const std::string& value() const { return value_; }

 private:
  std::string_view key_;
  std::string value_;
};

bool Enabled(Level level);
void Write(Level level, std::string_view message, std::initializer_list<Field> fields);
void WriteIn(const Context& ctx, Level level, std::string_view message, std::initializer_list<Field> fields);

// message key=value … as it is logged, without time, level and process. Values with anything but plain characters are
// quoted; control characters are escaped, so a line stays a line.
std::string Format(std::string_view message, std::initializer_list<Field> fields);

// Takes this thread's lines while it lives; the newest wins. To be destroyed on the thread that made it.
class ScopedSink {
 public:
  using Sink = std::function<void(Level, std::string_view line)>;
  ScopedSink(Level level, Sink sink);
  ScopedSink(const ScopedSink&) = delete;
  ScopedSink& operator=(const ScopedSink&) = delete;
  ~ScopedSink();
  void set_level(Level level) { level_ = level; }

 private:
  friend bool Enabled(Level level);
  friend void Write(Level level, std::string_view message, std::initializer_list<Field> fields);
  Level level_;
  Sink sink_;
  ScopedSink* outer_;
};

std::string_view ToString(Level level);

}  // namespace insula::log

#define INSULA_LOG(level, message, ...)                                                      \
  do {                                                                                       \
    if (::insula::log::Enabled(level)) ::insula::log::Write(level, message, {__VA_ARGS__});  \
  } while (0)
#define INSULA_LOG_IN(ctx, level, message, ...)                                                      \
  do {                                                                                               \
    if (::insula::log::Enabled(level)) ::insula::log::WriteIn(ctx, level, message, {__VA_ARGS__});   \
  } while (0)

#define LOG_DEBUG(message, ...) INSULA_LOG(::insula::log::Level::kDebug, message, __VA_ARGS__)
#define LOG_INFO(message, ...) INSULA_LOG(::insula::log::Level::kInfo, message, __VA_ARGS__)
#define LOG_WARNING(message, ...) INSULA_LOG(::insula::log::Level::kWarning, message, __VA_ARGS__)
#define LOG_ERROR(message, ...) INSULA_LOG(::insula::log::Level::kError, message, __VA_ARGS__)
#define LOG_DEBUG_IN(ctx, message, ...) INSULA_LOG_IN(ctx, ::insula::log::Level::kDebug, message, __VA_ARGS__)
#define LOG_INFO_IN(ctx, message, ...) INSULA_LOG_IN(ctx, ::insula::log::Level::kInfo, message, __VA_ARGS__)
#define LOG_WARNING_IN(ctx, message, ...) INSULA_LOG_IN(ctx, ::insula::log::Level::kWarning, message, __VA_ARGS__)
#define LOG_ERROR_IN(ctx, message, ...) INSULA_LOG_IN(ctx, ::insula::log::Level::kError, message, __VA_ARGS__)

#endif  // INSULA_BASE_LOG_LOG_H_
