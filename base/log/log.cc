#include "base/log/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"

namespace insula::log {
namespace {

thread_local ScopedSink* scoped_sink = nullptr;
std::atomic<Level> process_level{Level::kInfo};

struct ProcessLog {
  std::shared_ptr<spdlog::logger> logger;
  std::string name;  // "kv-1 ", or empty
  const ProcessLog* before = nullptr;  // replaced, but some thread may still be writing to it
};

void SetPattern(spdlog::logger* logger) {
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%fZ %v", spdlog::pattern_time_type::utc));
  logger->set_level(spdlog::level::trace);  // Enabled decides
  logger->flush_on(spdlog::level::trace);   // a line is out before what it tells of goes on
}

// Never destroyed: threads may log until the very end.
std::atomic<const ProcessLog*>& Current() {
  static std::atomic<const ProcessLog*> current = [] {
    auto* first = new ProcessLog();
    first->logger = std::make_shared<spdlog::logger>("insula", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    SetPattern(first->logger.get());
    return first;
  }();
  return current;
}

std::optional<Level> ParseLevel(std::string_view text) {
  for (Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError, Level::kOff}) {
    if (text == ToString(level)) return level;
  }
  return std::nullopt;
}

bool IsPlain(std::string_view text) {
  if (text.empty()) return false;
  for (unsigned char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

void AppendQuoted(std::string* out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += static_cast<char>(c);
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c < ' ' || c == 0x7f) {
      *out += "\\x";
      *out += kHex[c >> 4];
      *out += kHex[c & 15];
    } else {
      *out += static_cast<char>(c);
    }
  }
  *out += '"';
}

void AppendField(std::string* out, std::string_view key, std::string_view value) {
  *out += ' ';
  *out += key;
  *out += '=';
  if (IsPlain(value)) {
    *out += value;
  } else {
    AppendQuoted(out, value);
  }
}

void Emit(Level level, const std::string& line) {
  const ProcessLog* log = Current().load();
  // The level is part of the text, so that spdlog's own names do not show.
  log->logger->log(spdlog::level::info, "{} {}{}", std::string(ToString(level)), log->name, line);
}

}  // namespace

std::string_view ToString(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
    case Level::kOff:
      return "off";
  }
  return "unknown";
}

absl::Status Configure(const Options& options) {
  Level level = options.level;
  if (const char* text = std::getenv("INSULA_LOG")) {
    auto parsed = ParseLevel(text);
    if (!parsed) return absl::InvalidArgumentError(StrCat("INSULA_LOG=", text, " is no level (debug, info, warning, error, off)"));
    level = *parsed;
  }
  auto next = std::make_unique<ProcessLog>();
  if (!options.role.empty()) next->name = options.id.empty() ? options.role + " " : StrCat(options.role, "-", options.id, " ");
  spdlog::sink_ptr sink;
  if (options.path.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.path);
    } catch (const spdlog::spdlog_ex& error) {
      return absl::FailedPreconditionError(StrCat("log file ", options.path, ": ", error.what()));
    }
  }
  next->logger = std::make_shared<spdlog::logger>("insula", sink);
  SetPattern(next->logger.get());
  SetLevel(level);
  next->before = Current().load();
  Current().store(next.release());
  return absl::OkStatus();
}

void SetLevel(Level level) { process_level.store(level, std::memory_order_relaxed); }

bool Enabled(Level level) {
  if (scoped_sink != nullptr) return level >= scoped_sink->level_ && scoped_sink->level_ != Level::kOff;
  return level >= process_level.load(std::memory_order_relaxed);
}

std::string Format(std::string_view message, std::initializer_list<Field> fields) {
  std::string out(message);
  for (const Field& field : fields) AppendField(&out, field.key(), field.value());
  return out;
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = Format(message, fields);
  if (scoped_sink != nullptr) return scoped_sink->sink_(level, line);
  Emit(level, line);
}

void WriteIn(const Context& ctx, Level level, std::string_view message, std::initializer_list<Field> fields) {
  const RequestInfo& info = ctx.info();
  std::string line = Format(message, fields);
  if (info.tenant_id != 0) AppendField(&line, "tenant", StrCat(info.tenant_id));
  if (info.trace_id != 0) AppendField(&line, "trace", StrCat(info.trace_id));
  Write(level, line, {});
}

ScopedSink::ScopedSink(Level level, Sink sink) : level_(level), sink_(std::move(sink)), outer_(scoped_sink) { scoped_sink = this; }

ScopedSink::~ScopedSink() {
  ScopedSink** at = &scoped_sink;
  while (*at != nullptr && *at != this) at = &(*at)->outer_;
  CHECK(*at == this) << "a log sink of another thread";
  *at = outer_;
}

}  // namespace insula::log
