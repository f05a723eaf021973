#include "base/metrics/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace insula::metrics {
namespace {

bool IsName(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == ':'; };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string Escape(std::string_view text, bool quote) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quote) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return StrCat(value);
}

// {a="x",b="y"}, with `extra` (already written) at the end; nothing if there is none.
std::string Labels(const std::vector<std::string>& names, const std::vector<std::string>& values, const std::string& extra = "") {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) StrAppend(&out, out.empty() ? "" : ",", names[i], "=\"", Escape(values[i], true), "\"");
  if (!extra.empty()) StrAppend(&out, out.empty() ? "" : ",", extra);
  return out.empty() ? "" : StrCat("{", out, "}");
}

void Head(std::string* out, const std::string& name, const std::string& help, std::string_view type) {
  StrAppend(out, "# HELP ", name, " ", Escape(help, false), "\n# TYPE ", name, " ", type, "\n");
}

template <typename Metric>
void RenderValues(std::string* out, const std::string& name, const Family<Metric>& family) {
  for (const auto& [values, metric] : family.series()) StrAppend(out, name, Labels(family.labels(), values), " ", Number(metric->value()), "\n");
}

void RenderHistogram(std::string* out, const std::string& name, const std::vector<std::string>& labels, const std::vector<std::string>& values, const Histogram& histogram) {
  const auto& bounds = histogram.bounds();
  // The same total for all three, although somebody may be counting meanwhile.
  uint64_t total = histogram.CountUpTo(bounds.size());
  for (size_t i = 0; i < bounds.size(); ++i) {
    StrAppend(out, name, "_bucket", Labels(labels, values, StrCat("le=\"", Number(bounds[i]), "\"")), " ", std::min(histogram.CountUpTo(i), total), "\n");
  }
  StrAppend(out, name, "_bucket", Labels(labels, values, "le=\"+Inf\""), " ", total, "\n");
  StrAppend(out, name, "_sum", Labels(labels, values), " ", Number(histogram.sum()), "\n");
  StrAppend(out, name, "_count", Labels(labels, values), " ", total, "\n");
}

double CpuSeconds() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return std::nan("");
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return std::nan("");
  long size = 0, resident = 0;  // NOLINT: what fscanf reads
  int read = std::fscanf(file, "%ld %ld", &size, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) : std::nan("");
}

double OpenFiles() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return std::nan("");
  int count = -3;  // ".", ".." and the folder itself
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

}  // namespace

const std::vector<double>& LatencyBuckets() {
  static const auto* const bounds = [] {
    auto* out = new std::vector<double>();
    for (double bound = 50e-6; bound < 30; bound *= 2) out->push_back(bound);
    return out;
  }();
  return *bounds;
}

Histogram::Histogram(const std::vector<double>& bounds) : bounds_(bounds), buckets_(new std::atomic<uint64_t>[bounds.size() + 1]()) {}

void Histogram::Observe(double value) {
  size_t i = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  Counter::Add(&sum_, value);
}

uint64_t Histogram::CountUpTo(size_t i) const {
  uint64_t total = 0;
  for (size_t j = 0; j <= i; ++j) total += buckets_[j].load(std::memory_order_relaxed);
  return total;
}

uint64_t Histogram::count() const { return CountUpTo(bounds_.size()); }

Registry::Entry* Registry::Add(const std::string& name, const std::string& help) {
  CHECK(IsName(name)) << "metric name " << name;
  auto [it, added] = entries_.try_emplace(name);
  CHECK(added) << "metric " << name << " added twice";
  it->second.help = help;
  return &it->second;
}

Counter* Registry::AddCounter(const std::string& name, const std::string& help) { return AddCounters(name, help, {})->With({}); }
Gauge* Registry::AddGauge(const std::string& name, const std::string& help) { return AddGauges(name, help, {})->With({}); }
void Registry::AddSeries(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read, bool counts) {
  Entry* entry = Add(name, help);
  entry->labels = std::move(labels);
  entry->read = std::move(read);
  entry->counts = counts;
}

void Registry::AddGauge(const std::string& name, const std::string& help, std::function<double()> read) {
  AddSeries(name, help, {}, [read = std::move(read)] { return Series{{{}, read()}}; }, /*counts=*/false);
}
void Registry::AddCounter(const std::string& name, const std::string& help, std::function<double()> read) {
  AddSeries(name, help, {}, [read = std::move(read)] { return Series{{{}, read()}}; }, /*counts=*/true);
}
void Registry::AddGauges(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read) {
  AddSeries(name, help, std::move(labels), std::move(read), /*counts=*/false);
}
void Registry::AddCounters(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read) {
  AddSeries(name, help, std::move(labels), std::move(read), /*counts=*/true);
}
void Registry::AddHistograms(const std::string& name, const std::string& help, std::vector<std::string> labels,
                             std::vector<std::pair<std::vector<std::string>, std::shared_ptr<const Histogram>>> histograms) {
  Entry* entry = Add(name, help);
  entry->labels = std::move(labels);
  entry->others_histograms = std::move(histograms);
}

Histogram* Registry::AddHistogram(const std::string& name, const std::string& help, const std::vector<double>& bounds) {
  return AddHistograms(name, help, {}, bounds)->With({});
}

Family<Counter>* Registry::AddCounters(const std::string& name, const std::string& help, std::vector<std::string> labels, size_t max_series) {
  Entry* entry = Add(name, help);
  entry->counters = std::make_unique<Family<Counter>>(std::move(labels), max_series, [] { return std::make_unique<Counter>(); });
  return entry->counters.get();
}

Family<Gauge>* Registry::AddGauges(const std::string& name, const std::string& help, std::vector<std::string> labels, size_t max_series) {
  Entry* entry = Add(name, help);
  entry->gauges = std::make_unique<Family<Gauge>>(std::move(labels), max_series, [] { return std::make_unique<Gauge>(); });
  return entry->gauges.get();
}

Family<Histogram>* Registry::AddHistograms(const std::string& name, const std::string& help, std::vector<std::string> labels,
                                           const std::vector<double>& bounds, size_t max_series) {
  Entry* entry = Add(name, help);
  auto kept = std::make_shared<const std::vector<double>>(bounds);  // the histograms refer to it; `make` holds it
  entry->histograms = std::make_unique<Family<Histogram>>(std::move(labels), max_series, [kept] { return std::make_unique<Histogram>(*kept); });
  return entry->histograms.get();
}

std::string Registry::Render() const {
  std::string out;
  for (const auto& [name, entry] : entries_) {
    if (entry.counters != nullptr) {
      Head(&out, name, entry.help, "counter");
      RenderValues(&out, name, *entry.counters);
    } else if (entry.gauges != nullptr) {
      Head(&out, name, entry.help, "gauge");
      RenderValues(&out, name, *entry.gauges);
    } else if (entry.read) {
      Head(&out, name, entry.help, entry.counts ? "counter" : "gauge");
      for (const auto& [values, value] : entry.read()) StrAppend(&out, name, Labels(entry.labels, values), " ", Number(value), "\n");
    } else {
      Head(&out, name, entry.help, "histogram");
      if (entry.histograms != nullptr) {
        for (const auto& [values, histogram] : entry.histograms->series()) RenderHistogram(&out, name, entry.histograms->labels(), values, *histogram);
      }
      for (const auto& [values, histogram] : entry.others_histograms) RenderHistogram(&out, name, entry.labels, values, *histogram);
    }
  }
  return out;
}

std::vector<std::string> Registry::Names() const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : entries_) out.push_back(name);
  return out;
}

void AddProcessMetrics(Registry* registry) {
  registry->AddCounter("process_cpu_seconds_total", "User and system CPU time.", CpuSeconds);
  registry->AddGauge("process_resident_memory_bytes", "Resident memory.", ResidentBytes);
  registry->AddGauge("process_open_fds", "Open file descriptors.", OpenFiles);
  registry->AddGauge("process_start_time_seconds", "When the process started, in Unix time.")->Set(static_cast<double>(std::time(nullptr)));
}

}  // namespace insula::metrics
