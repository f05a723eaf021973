// Structured log lines: a fixed message and key=value fields, one line each, to standard error.
//
//   LOG_INFO("tenant is awake", {"tenant", id}, {"pod", pod}, {"took_ms", ms});
//   2026-11-21T06:16:45.123456Z INFO operator-1 tenant is awake tenant=7 pod=1f2e took_ms=41
//
// Fields are evaluated only when the level is on. Never log secrets (keys, passwords, verifiers, tokens) or row data.
// Any thread. In the simulator a sink takes the lines instead.
#ifndef INSULA_BASE_LOG_LOG_H_
#define INSULA_BASE_LOG_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace insula::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

struct Field {
  template <typename T>
  Field(std::string_view k, const T& v) : key(k), value(StrCat(v)) {}  // NOLINT
  std::string_view key;
  std::string value;
};

// What each line of this process names as its source, e.g. "kv-1". Before threads start.
void SetSource(std::string source);
// Least level that is written; default kInfo, or the environment's INSULA_LOG (debug, info, warn, error, off).
void SetLevel(Level level);
bool Enabled(Level level);
// Takes the lines (without time) instead of standard error; empty: standard error again.
void SetSink(std::function<void(std::string line)> sink);

void Write(Level level, std::string_view message, std::initializer_list<Field> fields);

}  // namespace insula::log

#define INSULA_LOG(level, message, ...)                                                           \
  do {                                                                                            \
    if (::insula::log::Enabled(level)) ::insula::log::Write(level, message, {__VA_ARGS__});       \
  } while (0)
#define LOG_DEBUG(message, ...) INSULA_LOG(::insula::log::Level::kDebug, message, ##__VA_ARGS__)
#define LOG_INFO(message, ...) INSULA_LOG(::insula::log::Level::kInfo, message, ##__VA_ARGS__)
#define LOG_WARN(message, ...) INSULA_LOG(::insula::log::Level::kWarn, message, ##__VA_ARGS__)
#define LOG_ERROR(message, ...) INSULA_LOG(::insula::log::Level::kError, message, ##__VA_ARGS__)

#endif  // INSULA_BASE_LOG_LOG_H_
