// Counters, gauges and histograms of one process, rendered as Prometheus text.
//
//   MetricsRegistry metrics;
//   Counter* batches = metrics.AddCounter("insula_kv_batches_total", "Batches executed.");
//   batches->Add(1);
//   metrics.AddGauge("insula_kv_leases", "Leases held.", [&] { return double(store.leases()); });
//
// Names are insula_ROOM_WHAT_UNIT; labels come from fixed sets, so that cardinality is bounded. Loop thread only.
#ifndef INSULA_BASE_METRICS_METRICS_H_
#define INSULA_BASE_METRICS_METRICS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/runtime/time.h"

namespace insula {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(uint64_t n = 1) { value_ += n; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

// Distribution of durations: buckets from 50 µs to 100 s, each about 2.2 times the one before.
class Histogram {
 public:
  void Observe(Duration d);
  uint64_t count() const { return count_; }

 private:
  friend class MetricsRegistry;
  static const std::vector<double>& Bounds();  // seconds
  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(Bounds().size() + 1);
  uint64_t count_ = 0;
  double sum_seconds_ = 0;
};

class MetricsRegistry {
 public:
  // The same name and labels give the same object. The registry owns it.
  Counter* AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram* AddHistogram(const std::string& name, const std::string& help, const Labels& labels = {});
  // `read` is called at each rendering.
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read, const Labels& labels = {});
  // The same for a number that only rises.
  void AddCounterReader(const std::string& name, const std::string& help, std::function<double()> read, const Labels& labels = {});

  // Text exposition format 0.0.4, sorted by name.
  std::string Render() const;

 private:
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> read;
  };
  struct Family {
    std::string help;
    std::string type;
    std::map<std::string, Series> series;  // by rendered labels
  };
  Series& Find(const std::string& name, const std::string& help, const std::string& type, const Labels& labels);
  std::map<std::string, Family> families_;
};

}  // namespace insula

#endif  // INSULA_BASE_METRICS_METRICS_H_
