#include "test/checkers/txn_history.h"

#include "base/check.h"
#include "base/strings.h"

namespace insula::checkers {
namespace {

constexpr int64_t kFirstInterned = int64_t{1} << 62;
constexpr size_t kListShown = 12;

}  // namespace

int64_t NameTable::Intern(const Value& value) {
  if (value.is_nil()) return kNil;
  if (value.is_int() && value.number < kFirstInterned) return value.number;
  const auto [it, inserted] = numbers_.try_emplace(value, kFirstInterned + static_cast<int64_t>(names_.size()));
  if (inserted) names_.push_back(value.kind == Value::Kind::kString ? value.text : value.ToString());
  return it->second;
}

std::string NameTable::Name(int64_t number) const {
  if (number == kNil) return "nil";
  if (number < kFirstInterned) return StrCat(number);
  return names_.at(static_cast<size_t>(number - kFirstInterned));
}

int TxnHistory::Begin(int process, std::vector<MicroOp> ops) {
  Txn& txn = txns_.emplace_back();
  txn.process = StrCat(process);
  txn.invoked_at = next_position_++;
  txn.ops = std::move(ops);
  return static_cast<int>(txns_.size()) - 1;
}

void TxnHistory::Commit(int txn, std::vector<MicroOp> ops_with_results) {
  Txn& t = txns_.at(static_cast<size_t>(txn));
  CHECK(t.completed_at < 0) << "transaction " << txn << " ended twice";
  t.completed_at = next_position_++;
  t.outcome = Txn::Outcome::kCommitted;
  t.ops = std::move(ops_with_results);
}

void TxnHistory::Abort(int txn) {
  Txn& t = txns_.at(static_cast<size_t>(txn));
  CHECK(t.completed_at < 0) << "transaction " << txn << " ended twice";
  t.completed_at = next_position_++;
  t.outcome = Txn::Outcome::kAborted;
}

void TxnHistory::Lose(int txn) {
  Txn& t = txns_.at(static_cast<size_t>(txn));
  CHECK(t.completed_at < 0) << "transaction " << txn << " ended twice";
  t.completed_at = next_position_++;
}

absl::StatusOr<std::vector<MicroOp>> TxnHistory::MicroOpsOf(const Value& value, bool results) {
  std::vector<MicroOp> ops;
  for (const Value& item : value.items) {
    if (!item.is_collection() || item.items.size() < 2 || item.items.size() > 3) {
      return absl::InvalidArgumentError(StrCat("no micro-operation: ", item.ToString().substr(0, 200)));
    }
    const Value result = item.items.size() == 3 ? item.items[2] : Value();
    const int64_t key = keys_.Intern(item.items[1]);
    if (item.items[0].Named("append")) {
      ops.push_back(MicroOp::Append(key, elements_.Intern(result)));
    } else if (item.items[0].Named("w") || item.items[0].Named("write")) {
      ops.push_back(MicroOp::Write(key, elements_.Intern(result)));
    } else if (item.items[0].Named("r") || item.items[0].Named("read")) {
      MicroOp& read = ops.emplace_back(MicroOp::Read(key));
      read.known = results || !result.is_nil();
      if (result.is_collection()) {
        for (const Value& element : result.items) read.list.push_back(elements_.Intern(element));
      } else {
        read.value = elements_.Intern(result);
      }
    } else {
      return absl::InvalidArgumentError(StrCat("a micro-operation that is no read, append or write: ", item.ToString().substr(0, 200)));
    }
  }
  return ops;
}

absl::StatusOr<TxnHistory> TxnHistory::FromEvents(const std::vector<Event>& events) {
  TxnHistory history;
  for (const OperationSpan& span : PairEvents(events)) {
    const Event& last = events[static_cast<size_t>(span.completed >= 0 ? span.completed : span.invoked)];
    const bool committed = last.type == Event::Type::kOk;
    // A failed or lost operation may carry something else than what it was asked (an error, nothing).
    const Event& told = span.invoked >= 0 && !committed && last.value.kind != Value::Kind::kList
                            ? events[static_cast<size_t>(span.invoked)]
                            : last;
    auto ops = history.MicroOpsOf(told.value, committed);
    if (!ops.ok()) return ops.status();
    Txn& txn = history.txns_.emplace_back();
    txn.process = last.process.ToString();
    txn.invoked_at = span.invoked;
    txn.completed_at = span.completed;
    txn.outcome = committed                              ? Txn::Outcome::kCommitted
                  : last.type == Event::Type::kFail ? Txn::Outcome::kAborted
                                                         : Txn::Outcome::kUnknown;
    txn.ops = *std::move(ops);
  }
  history.next_position_ = static_cast<int>(events.size());
  return history;
}

std::string TxnHistory::Describe(const MicroOp& op) const {
  if (op.kind == MicroOp::Kind::kAppend) return StrCat("[append ", KeyName(op.key), " ", ElementName(op.value), "]");
  if (op.kind == MicroOp::Kind::kWrite) return StrCat("[w ", KeyName(op.key), " ", ElementName(op.value), "]");
  if (!op.known) return StrCat("[r ", KeyName(op.key), " ?]");
  if (op.list.empty()) return StrCat("[r ", KeyName(op.key), " ", ElementName(op.value), "]");
  std::string out = StrCat("[r ", KeyName(op.key), " [");
  const size_t hidden = op.list.size() > kListShown ? op.list.size() - kListShown : 0;
  if (hidden > 0) StrAppend(&out, "(", hidden, " more) ");
  for (size_t i = hidden; i < op.list.size(); ++i) StrAppend(&out, i > hidden ? " " : "", ElementName(op.list[i]));
  return StrCat(out, "]]");
}

std::string TxnHistory::Describe(int txn, std::string_view name) const {
  const Txn& t = txns_.at(static_cast<size_t>(txn));
  std::string out = StrCat(name, " = process ", t.process, ", ");
  StrAppend(&out, t.invoked_at >= 0 ? StrCat(t.invoked_at) : "?", "..", t.completed_at >= 0 ? StrCat(t.completed_at) : "?");
  StrAppend(&out, t.committed() ? ", committed:" : t.aborted() ? ", aborted:" : ", outcome unknown:");
  for (const MicroOp& op : t.ops) StrAppend(&out, " ", Describe(op));
  return out;
}

}  // namespace insula::checkers
