#include "base/metrics/metrics.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

TEST(Metrics, RenderAsPrometheusText) {
  MetricsRegistry metrics;
  metrics.AddCounter("b_total", "Bees.", {{"kind", "a\"b"}})->Add(3);
  EXPECT_EQ(metrics.AddCounter("b_total", "Bees.", {{"kind", "a\"b"}})->value(), 3u);
  metrics.AddGauge("a", "An a.", [] { return 1.5; });
  EXPECT_EQ(metrics.Render(), "# HELP a An a.\n# TYPE a gauge\na 1.5\n# HELP b_total Bees.\n# TYPE b_total counter\nb_total{kind=\"a\\\"b\"} 3\n");
}

TEST(Metrics, HistogramsAreCumulative) {
  MetricsRegistry metrics;
  Histogram* h = metrics.AddHistogram("h_seconds", "H.");
  h->Observe(60us);
  h->Observe(3s);
  h->Observe(1h);
  std::string text = metrics.Render();
  EXPECT_NE(text.find("h_seconds_bucket{le=\"1e-04\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("h_seconds_bucket{le=\"100\"} 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("h_seconds_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("h_seconds_count 3\n"), std::string::npos);
}

}  // namespace
}  // namespace insula
