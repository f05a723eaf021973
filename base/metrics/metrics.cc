#include "base/metrics/metrics.h"

#include "base/check.h"
#include "base/strings.h"

namespace insula {
namespace {

std::string RenderLabels(const Labels& labels) {
  std::string out;
  for (auto& [name, value] : labels) {
    StrAppend(&out, out.empty() ? "" : ",", name, "=\"");
    for (char c : value) {
      if (c == '"' || c == '\\') out.push_back('\\');
      c == '\n' ? out.append("\\n") : out.append(1, c);
    }
    out.push_back('"');
  }
  return out;
}

std::string Braced(const std::string& labels, const std::string& more = "") {
  if (labels.empty() && more.empty()) return "";
  return StrCat("{", labels, labels.empty() || more.empty() ? "" : ",", more, "}");
}

}  // namespace

const std::vector<double>& Histogram::Bounds() {
  static const std::vector<double>* bounds = new std::vector<double>{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                                                     0.1,     0.2,    0.5,    1,      2,     5,     10,    20,   50,   100};
  return *bounds;
}

void Histogram::Observe(Duration d) {
  double seconds = std::chrono::duration<double>(d).count();
  size_t i = 0;
  while (i < Bounds().size() && seconds > Bounds()[i]) ++i;
  ++buckets_[i];
  ++count_;
  sum_seconds_ += seconds;
}

MetricsRegistry::Series& MetricsRegistry::Find(const std::string& name, const std::string& help, const std::string& type, const Labels& labels) {
  Family& family = families_[name];
  CHECK(family.type.empty() || family.type == type) << "metric " << name << " is a " << family.type << " and a " << type;
  family.help = help;
  family.type = type;
  return family.series[RenderLabels(labels)];
}

Counter* MetricsRegistry::AddCounter(const std::string& name, const std::string& help, const Labels& labels) {
  Series& series = Find(name, help, "counter", labels);
  if (series.counter == nullptr) series.counter = std::make_unique<Counter>();
  return series.counter.get();
}

Histogram* MetricsRegistry::AddHistogram(const std::string& name, const std::string& help, const Labels& labels) {
  Series& series = Find(name, help, "histogram", labels);
  if (series.histogram == nullptr) series.histogram = std::make_unique<Histogram>();
  return series.histogram.get();
}

void MetricsRegistry::AddGauge(const std::string& name, const std::string& help, std::function<double()> read, const Labels& labels) {
  Find(name, help, "gauge", labels).read = std::move(read);
}

void MetricsRegistry::AddCounterReader(const std::string& name, const std::string& help, std::function<double()> read, const Labels& labels) {
  Find(name, help, "counter", labels).read = std::move(read);
}

std::string MetricsRegistry::Render() const {
  std::string out;
  for (auto& [name, family] : families_) {
    StrAppend(&out, "# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", family.type, "\n");
    for (auto& [labels, series] : family.series) {
      if (series.counter != nullptr) {
        StrAppend(&out, name, Braced(labels), " ", series.counter->value(), "\n");
      } else if (series.read) {
        StrAppend(&out, name, Braced(labels), " ", series.read(), "\n");
      } else {
        const Histogram& h = *series.histogram;
        uint64_t below = 0;
        for (size_t i = 0; i < Histogram::Bounds().size(); ++i) {
          below += h.buckets_[i];
          StrAppend(&out, name, "_bucket", Braced(labels, StrCat("le=\"", Histogram::Bounds()[i], "\"")), " ", below, "\n");
        }
        StrAppend(&out, name, "_bucket", Braced(labels, "le=\"+Inf\""), " ", h.count_, "\n");
        StrAppend(&out, name, "_sum", Braced(labels), " ", h.sum_seconds_, "\n", name, "_count", Braced(labels), " ", h.count_, "\n");
      }
    }
  }
  return out;
}

}  // namespace insula
