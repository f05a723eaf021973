#include "base/metrics/metrics.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"

namespace insula::metrics {
namespace {

TEST(Metrics, RendersPrometheusText) {
  Registry registry;
  registry.AddCounter("b_total", "Counts\nb.")->Increment(3);
  registry.AddGauges("a_bytes", "Bytes.", {"kind", "store"})->With({"we\"ird\n", "1"})->Set(2.5);
  registry.AddGauge("c", "Asked.", [] { return 7.0; });
  EXPECT_EQ(registry.Render(),
            "# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes{kind=\"we\\\"ird\\n\",store=\"1\"} 2.5\n"
            "# HELP b_total Counts\\nb.\n# TYPE b_total counter\nb_total 3\n"
            "# HELP c Asked.\n# TYPE c gauge\nc 7\n");
}

TEST(Metrics, HistogramsAreCumulative) {
  Registry registry;
  Histogram* histogram = registry.AddHistogram("h", "H.", {1, 2, 4});
  for (double value : {0.5, 1.0, 1.5, 3.0, 100.0}) histogram->Observe(value);
  EXPECT_EQ(histogram->count(), 5u);
  EXPECT_EQ(registry.Render(),
            "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"4\"} 4\nh_bucket{le=\"+Inf\"} 5\n"
            "h_sum 106\nh_count 5\n");
}

TEST(Metrics, WhatIsCountedElsewhereIsReadWhenItIsRendered) {
  Registry registry;
  double count = 1;
  auto histogram = std::make_shared<Histogram>(LatencyBuckets());
  registry.AddCounter("a_total", "A.", [&] { return count; });
  registry.AddCounters("b_total", "B.", {"kind"}, [&] { return Registry::Series{{{"x"}, count}, {{"y"}, 2 * count}}; });
  registry.AddHistograms("c_seconds", "C.", {"kind"}, {{{"x"}, histogram}});
  count = 5;
  histogram->Observe(0.5);
  const std::string text = registry.Render();
  EXPECT_NE(text.find("# TYPE a_total counter\na_total 5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("b_total{kind=\"x\"} 5\nb_total{kind=\"y\"} 10\n"), std::string::npos) << text;
  EXPECT_NE(text.find("c_seconds_count{kind=\"x\"} 1\n"), std::string::npos) << text;
  EXPECT_EQ(registry.Names(), (std::vector<std::string>{"a_total", "b_total", "c_seconds"}));
}

TEST(Metrics, SeriesAreBounded) {
  Registry registry;
  auto* family = registry.AddCounters("t_total", "T.", {"tenant"}, 3);
  for (int i = 0; i < 100; ++i) family->With({StrCat(i)})->Increment();
  EXPECT_EQ(family->series().size(), 4u);
  EXPECT_EQ(family->With({"0"})->value(), 1);
  EXPECT_EQ(family->With({"other"})->value(), 97);
}

TEST(Metrics, CountingFromManyThreadsLosesNothing) {
  Registry registry;
  Counter* counter = registry.AddCounter("n_total", "N.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) counter->Increment();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter->value(), 40000);
}

TEST(Metrics, TheKernelsNumbersAreThere) {
  Registry registry;
  AddProcessMetrics(&registry);
  std::string text = registry.Render();
  EXPECT_NE(text.find("\nprocess_resident_memory_bytes "), std::string::npos);
  EXPECT_EQ(text.find("NaN"), std::string::npos) << text;
}

TEST(MetricsDeathTest, NamesAreChecked) {
  Registry registry;
  registry.AddCounter("x_total", "X.");
  EXPECT_DEATH(registry.AddCounter("x_total", "X."), "added twice");
  EXPECT_DEATH(registry.AddCounter("Bad-Name", "X."), "metric name");
}

}  // namespace
}  // namespace insula::metrics
