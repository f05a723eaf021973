#include "test/checkers/models.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace insula::checkers {
namespace {

// A model whose states are values, numbered as they come up.
class ValueModel : public Model {
 public:
  explicit ValueModel(Value initial) { Number(std::move(initial)); }

  int Step(int state, const Operation& op) final {
    std::optional<Value> next = Next(states_[static_cast<size_t>(state)], op);
    return next ? Number(*std::move(next)) : kIllegal;
  }
  std::string Describe(int state) const final { return states_[static_cast<size_t>(state)].ToString(); }

 protected:
  virtual std::optional<Value> Next(const Value& state, const Operation& op) = 0;

 private:
  int Number(Value state) {
    const auto [it, added] = numbers_.try_emplace(state, static_cast<int>(states_.size()));
    if (added) states_.push_back(std::move(state));
    return it->second;
  }

  std::map<Value, int> numbers_;
  std::vector<Value> states_;
};

bool Crashed(const Operation& op) { return !op.completed_at; }

// The state, if it is what was read.
std::optional<Value> IfRead(const Value& state, const Operation& op) {
  return Crashed(op) || op.output == state ? std::optional(state) : std::nullopt;
}

class RegisterModel : public ValueModel {
 public:
  RegisterModel(bool cas, NilRead nil_read) : ValueModel(Value()), cas_(cas), nil_read_(nil_read) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    if (op.f == "write" || op.f == "w") return op.input;
    if (op.f == "read" || op.f == "r") {
      if (op.output.is_nil() && nil_read_ == NilRead::kNotTold) return state;
      return IfRead(state, op);
    }
    if (op.f != "cas" || !cas_ || op.input.items.size() != 2) return std::nullopt;
    const bool matches = op.input.items[0] == state;
    if (op.failed) return matches ? std::nullopt : std::optional(state);
    return matches ? std::optional(op.input.items[1]) : std::nullopt;
  }

 private:
  const bool cas_;
  const NilRead nil_read_;
};

class MultiRegisterModel : public ValueModel {
 public:
  explicit MultiRegisterModel(NilRead nil_read) : ValueModel(Value::Map({})), nil_read_(nil_read) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    std::map<Value, Value> registers;
    for (size_t i = 0; i + 1 < state.items.size(); i += 2) registers[state.items[i]] = state.items[i + 1];
    const Value& ops = Crashed(op) || op.output.kind != Value::Kind::kList ? op.input : op.output;
    for (const Value& item : ops.items) {
      if (item.items.size() != 3) return std::nullopt;
      Value& current = registers[item.items[1]];
      if (item.items[0].Named("write") || item.items[0].Named("w")) {
        current = item.items[2];
      } else if (!Crashed(op) && !(item.items[2] == current)) {
        if (!item.items[2].is_nil() || nil_read_ == NilRead::kEmpty) return std::nullopt;
      }
    }
    std::vector<Value> items;
    for (auto& [key, value] : registers) {
      if (!value.is_nil()) items.insert(items.end(), {key, value});
    }
    return Value::Map(std::move(items));
  }

 private:
  const NilRead nil_read_;
};

class KvModel : public ValueModel {
 public:
  KvModel() : ValueModel(Value::Text(Value::Kind::kString, "")) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    if (op.f == "put") return op.input;
    if (op.f == "append") return Value::Text(Value::Kind::kString, state.text + op.input.text);
    if (op.f == "get") return IfRead(state, op);
    return std::nullopt;
  }
};

class CounterModel : public ValueModel {
 public:
  CounterModel() : ValueModel(Value::Int(0)) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    const int64_t by = op.input.is_int() ? op.input.number : 1;
    if (op.f == "add" || op.f == "inc") return Value::Int(state.number + by);
    if (op.f == "dec") return Value::Int(state.number - by);
    if (op.f == "read") return IfRead(state, op);
    return std::nullopt;
  }
};

class AppendListModel : public ValueModel {
 public:
  AppendListModel() : ValueModel(Value::List({})) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    if (op.f == "append") {
      Value next = state;
      next.items.push_back(op.input);
      return next;
    }
    if (op.f != "read") return std::nullopt;
    if (op.output.is_nil() && state.items.empty()) return state;
    return IfRead(state, op);
  }
};

class SetModel : public ValueModel {
 public:
  SetModel() : ValueModel(Value::Set({})) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    if (op.f == "add") {
      std::vector<Value> items = state.items;
      items.push_back(op.input);
      return Value::Set(std::move(items));
    }
    if (op.f != "read") return std::nullopt;
    return Crashed(op) || Value::Set(op.output.items) == state ? std::optional(state) : std::nullopt;
  }
};

class FifoQueueModel : public ValueModel {
 public:
  FifoQueueModel() : ValueModel(Value::List({})) {}

 protected:
  std::optional<Value> Next(const Value& state, const Operation& op) override {
    if (op.f == "enqueue") {
      Value next = state;
      next.items.push_back(op.input);
      return next;
    }
    if (op.f != "dequeue") return std::nullopt;
    if (state.items.empty()) return Crashed(op) || op.output.is_nil() ? std::optional(state) : std::nullopt;
    if (!Crashed(op) && !(op.output == state.items.front())) return std::nullopt;
    return Value::List({state.items.begin() + 1, state.items.end()});
  }
};

}  // namespace

std::unique_ptr<Model> NewModel(std::string_view name, NilRead nil_read) {
  if (name == "register") return std::make_unique<RegisterModel>(false, nil_read);
  if (name == "cas-register") return std::make_unique<RegisterModel>(true, nil_read);
  if (name == "multi-register") return std::make_unique<MultiRegisterModel>(nil_read);
  if (name == "kv") return std::make_unique<KvModel>();
  if (name == "counter") return std::make_unique<CounterModel>();
  if (name == "append-list") return std::make_unique<AppendListModel>();
  if (name == "set") return std::make_unique<SetModel>();
  if (name == "fifo-queue") return std::make_unique<FifoQueueModel>();
  return nullptr;
}

}  // namespace insula::checkers
