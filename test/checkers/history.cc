#include "test/checkers/history.h"

#include <map>

#include "base/strings.h"

namespace insula::checkers {
namespace {

std::optional<Event::Type> ParseType(const Value& v) {
  if (v.Named("invoke")) return Event::Type::kInvoke;
  if (v.Named("ok")) return Event::Type::kOk;
  if (v.Named("fail")) return Event::Type::kFail;
  if (v.Named("info")) return Event::Type::kInfo;
  return std::nullopt;
}

// Whether `b` may be what became of the micro-operations `a`: the same ones, reads with any result.
bool SameMicroOps(const Value& a, const Value& b) {
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    const Value& x = a.items[i];
    const Value& y = b.items[i];
    if (x.kind != Value::Kind::kList || y.kind != Value::Kind::kList || x.items.size() < 2 || y.items.size() < 2) return false;
    if (!(x.items[0] == y.items[0]) || !(x.items[1] == y.items[1])) return false;
    const bool read = x.items[0].Named("r") || x.items[0].Named("read");
    if (!read && !(x == y)) return false;
  }
  return true;
}

// How well a completion fits an invocation.
int Fit(const Event& invoked, const Event& completed) {
  if (invoked.f != completed.f || invoked.key != completed.key) return 0;
  const Value& a = invoked.value;
  const Value& b = completed.value;
  if (a.is_nil() || a == b) return 2;
  return a.kind == Value::Kind::kList && b.kind == Value::Kind::kList && SameMicroOps(a, b) ? 2 : 1;
}

// The first character that is no blank; 0: there is none.
char FirstCharacter(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? 0 : text[at];
}

// Lines of the log that tell no operation are passed over.
absl::StatusOr<std::vector<Event>> ParseLog(std::string_view text) {
  constexpr std::string_view kMark = "jepsen.util - ";
  std::vector<Event> events;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t mark = line.find(kMark);
    if (mark == std::string_view::npos) continue;
    auto forms = ParseEdn(line.substr(mark + kMark.size()));
    if (!forms.ok() || forms->size() < 4) continue;
    auto type = ParseType((*forms)[1]);
    if (!type) continue;
    events.push_back({.type = *type, .process = (*forms)[0], .f = (*forms)[2].text, .key = std::nullopt, .value = (*forms)[3]});
  }
  return events;
}

}  // namespace

std::vector<OperationSpan> PairEvents(const std::vector<Event>& events) {
  std::vector<OperationSpan> spans;
  std::map<Value, std::vector<size_t>> pending;  // by process: indices of spans, oldest first
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (!e.is_client()) continue;
    std::vector<size_t>& open = pending[e.process];
    if (e.type == Event::Type::kInvoke) {
      open.push_back(spans.size());
      spans.push_back({.invoked = static_cast<int>(i), .completed = -1});
      continue;
    }
    size_t best = open.size();
    int best_fit = 0;
    for (size_t j = 0; j < open.size(); ++j) {
      const int fit = Fit(events[static_cast<size_t>(spans[open[j]].invoked)], e);
      if (fit > best_fit) {
        best = j;
        best_fit = fit;
      }
    }
    if (best == open.size()) {
      spans.push_back({.invoked = -1, .completed = static_cast<int>(i)});
      continue;
    }
    spans[open[best]].completed = static_cast<int>(i);
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(best));
  }
  return spans;
}

absl::StatusOr<std::vector<Event>> EventsFromValues(const std::vector<Value>& maps) {
  std::vector<Event> events;
  for (const Value& map : maps) {
    if (map.kind != Value::Kind::kMap) {
      return absl::InvalidArgumentError(StrCat("an operation that is no map: ", map.ToString().substr(0, 200)));
    }
    const Value* type = map.Get("type");
    const auto parsed = type ? ParseType(*type) : std::nullopt;
    if (!parsed) return absl::InvalidArgumentError(StrCat("an operation without a type: ", map.ToString().substr(0, 200)));
    Event e;
    e.type = *parsed;
    if (const Value* v = map.Get("process")) e.process = *v;
    if (const Value* v = map.Get("f")) e.f = v->text;
    if (const Value* v = map.Get("key")) e.key = *v;
    if (const Value* v = map.Get("value")) e.value = *v;
    events.push_back(std::move(e));
  }
  return events;
}

absl::StatusOr<std::vector<Event>> ParseHistory(std::string_view text) {
  const char first = FirstCharacter(text);
  if (first == 0) return std::vector<Event>();
  if (text.find("jepsen.util - ") != std::string_view::npos && first != '[' && first != '{' && first != '(') return ParseLog(text);
  auto json = ParseJson(text);
  if (json.ok() && json->kind == Value::Kind::kList) return EventsFromValues(json->items);
  if (json.ok() && json->kind == Value::Kind::kMap) return EventsFromValues({*json});
  auto forms = ParseEdn(text);
  if (!forms.ok()) return forms.status();
  if (forms->size() == 1 && forms->front().kind == Value::Kind::kList) return EventsFromValues(forms->front().items);
  return EventsFromValues(*forms);
}

}  // namespace insula::checkers
