// What a process counts, for /metrics in Prometheus' text format.
//
//   metrics::Registry registry;
//   metrics::Counter* batches = registry.AddCounter("insula_kv_batches_total", "Batches received.");
//   auto* latency = registry.AddHistograms("insula_sql_statement_seconds", "Time per statement.", {"kind"});
//   batches->Increment();
//   latency->With({"select"})->Observe(0.003);
//   std::string text = registry.Render();
//
// Cardinality is bounded: a family keeps at most `max_series` label sets; what comes beyond is counted under the value
// "other". One registry per process (in the simulator: per simulated process). Counting is thread-safe and lock-free;
// adding and With are for the loop thread, so keep the pointer that they give (valid as long as the registry).
#ifndef INSULA_BASE_METRICS_METRICS_H_
#define INSULA_BASE_METRICS_METRICS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace insula::metrics {

class Counter {
 public:
  void Increment(double by = 1) { Add(&value_, by); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  friend class Gauge;
  friend class Histogram;
  static void Add(std::atomic<double>* to, double by) {
    double now = to->load(std::memory_order_relaxed);
    while (!to->compare_exchange_weak(now, now + by, std::memory_order_relaxed)) {
    }
  }
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { Counter::Add(&value_, by); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// 50 µs, doubling, to 26 s.
const std::vector<double>& LatencyBuckets();

class Histogram {
 public:
  explicit Histogram(const std::vector<double>& bounds);
  void Observe(double value);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& bounds() const { return bounds_; }
  // Observations at or below bounds()[i]; i == bounds().size(): all.
  uint64_t CountUpTo(size_t i) const;

 private:
  const std::vector<double>& bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;  // one more than bounds
  std::atomic<double> sum_{0};
};

// All series of one name, by their labels' values.
template <typename Metric>
class Family {
 public:
  Family(std::vector<std::string> labels, size_t max_series, std::function<std::unique_ptr<Metric>()> make)
      : labels_(std::move(labels)), max_series_(max_series), make_(std::move(make)) {}
  // As many values as there are labels.
  Metric* With(const std::vector<std::string>& values) {
    auto it = series_.find(values);
    if (it != series_.end()) return it->second.get();
    if (series_.size() < max_series_) return (series_[values] = make_()).get();
    auto& other = series_[std::vector<std::string>(values.size(), "other")];
    if (other == nullptr) other = make_();
    return other.get();
  }
  const std::vector<std::string>& labels() const { return labels_; }
  const std::map<std::vector<std::string>, std::unique_ptr<Metric>>& series() const { return series_; }

 private:
  const std::vector<std::string> labels_;
  const size_t max_series_;
  std::function<std::unique_ptr<Metric>()> make_;
  std::map<std::vector<std::string>, std::unique_ptr<Metric>> series_;
};

inline constexpr size_t kDefaultMaxSeries = 200;

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Names are [a-z_:][a-z0-9_:]*; adding a name twice is a programming error.
  Counter* AddCounter(const std::string& name, const std::string& help);
  Gauge* AddGauge(const std::string& name, const std::string& help);
  // What is counted elsewhere: asked for when rendered, on the loop thread. One value per set of the labels' values.
  using Series = std::vector<std::pair<std::vector<std::string>, double>>;
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read);
  void AddCounter(const std::string& name, const std::string& help, std::function<double()> read);
  void AddGauges(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read);
  void AddCounters(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read);
  void AddHistograms(const std::string& name, const std::string& help, std::vector<std::string> labels,
                     std::vector<std::pair<std::vector<std::string>, std::shared_ptr<const Histogram>>> histograms);
  Histogram* AddHistogram(const std::string& name, const std::string& help, const std::vector<double>& bounds = LatencyBuckets());
  Family<Counter>* AddCounters(const std::string& name, const std::string& help, std::vector<std::string> labels,
                               size_t max_series = kDefaultMaxSeries);
  Family<Gauge>* AddGauges(const std::string& name, const std::string& help, std::vector<std::string> labels,
                           size_t max_series = kDefaultMaxSeries);
  Family<Histogram>* AddHistograms(const std::string& name, const std::string& help, std::vector<std::string> labels,
                                   const std::vector<double>& bounds = LatencyBuckets(), size_t max_series = kDefaultMaxSeries);

  // Prometheus' text format, version 0.0.4; families by name.
  std::string Render() const;
  // All names, in order.
  std::vector<std::string> Names() const;

 private:
  struct Entry {
    std::string help;
    std::unique_ptr<Family<Counter>> counters;
    std::unique_ptr<Family<Gauge>> gauges;
    std::unique_ptr<Family<Histogram>> histograms;
    std::vector<std::string> labels;  // of the two below
    std::function<Series()> read;
    bool counts = false;  // `read` gives counters
    std::vector<std::pair<std::vector<std::string>, std::shared_ptr<const Histogram>>> others_histograms;
  };
  Entry* Add(const std::string& name, const std::string& help);
  void AddSeries(const std::string& name, const std::string& help, std::vector<std::string> labels, std::function<Series()> read, bool counts);
  std::map<std::string, Entry> entries_;
};

// Adds what the kernel knows of this process: CPU seconds, resident memory, open files, start time.
void AddProcessMetrics(Registry* registry);

}  // namespace insula::metrics

#endif  // INSULA_BASE_METRICS_METRICS_H_
