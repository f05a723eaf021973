#include "test/checkers/value.h"

#include <algorithm>

#include "base/strings.h"

namespace insula::checkers {

Value Value::Bool(bool b) {
  Value v;
  v.kind = Kind::kBool;
  v.number = b ? 1 : 0;
  return v;
}

Value Value::Int(int64_t number) {
  Value v;
  v.kind = Kind::kInt;
  v.number = number;
  return v;
}

Value Value::Real(double real) {
  Value v;
  v.kind = Kind::kReal;
  v.real = real;
  return v;
}

Value Value::Text(Kind kind, std::string text) {
  Value v;
  v.kind = kind;
  v.text = std::move(text);
  return v;
}

Value Value::List(std::vector<Value> items) {
  Value v;
  v.kind = Kind::kList;
  v.items = std::move(items);
  return v;
}

Value Value::Set(std::vector<Value> items) {
  Value v;
  v.kind = Kind::kSet;
  v.items = std::move(items);
  std::sort(v.items.begin(), v.items.end());
  v.items.erase(std::unique(v.items.begin(), v.items.end()), v.items.end());
  return v;
}

Value Value::Map(std::vector<Value> items) {
  std::vector<std::pair<Value, Value>> pairs;
  for (size_t i = 0; i + 1 < items.size(); i += 2) pairs.push_back({std::move(items[i]), std::move(items[i + 1])});
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Value v;
  v.kind = Kind::kMap;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i + 1 < pairs.size() && pairs[i].first == pairs[i + 1].first) continue;
    v.items.push_back(std::move(pairs[i].first));
    v.items.push_back(std::move(pairs[i].second));
  }
  return v;
}

bool Value::Named(std::string_view name) const {
  return (kind == Kind::kString || kind == Kind::kKeyword || kind == Kind::kSymbol) && text == name;
}

const Value* Value::Get(std::string_view name) const {
  if (kind != Kind::kMap) return nullptr;
  for (size_t i = 0; i < items.size(); i += 2) {
    if (items[i].Named(name)) return &items[i + 1];
  }
  return nullptr;
}

namespace {

void Append(const Value& v, std::string* out) {
  using Kind = Value::Kind;
  auto items = [&](std::string_view open, std::string_view close) {
    out->append(open);
    for (size_t i = 0; i < v.items.size(); ++i) {
      if (i > 0) out->push_back(' ');
      Append(v.items[i], out);
    }
    out->append(close);
  };
  switch (v.kind) {
    case Kind::kNil: out->append("nil"); break;
    case Kind::kBool: out->append(v.number ? "true" : "false"); break;
    case Kind::kInt: StrAppend(out, v.number); break;
    case Kind::kReal: StrAppend(out, v.real); break;
    case Kind::kString: StrAppend(out, "\"", v.text, "\""); break;
    case Kind::kKeyword: StrAppend(out, ":", v.text); break;
    case Kind::kSymbol: out->append(v.text); break;
    case Kind::kList: items("[", "]"); break;
    case Kind::kSet: items("#{", "}"); break;
    case Kind::kMap: items("{", "}"); break;
  }
}

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

std::string Value::ToString() const {
  std::string out;
  Append(*this, &out);
  return out;
}

int Compare(const Value& a, const Value& b) {
  if (a.kind != b.kind) return Order(static_cast<int>(a.kind), static_cast<int>(b.kind));
  if (int c = Order(a.number, b.number)) return c;
  if (int c = Order(a.real, b.real)) return c;
  if (int c = a.text.compare(b.text)) return c;
  for (size_t i = 0; i < std::min(a.items.size(), b.items.size()); ++i) {
    if (int c = Compare(a.items[i], b.items[i])) return c;
  }
  return Order(a.items.size(), b.items.size());
}

}  // namespace insula::checkers
