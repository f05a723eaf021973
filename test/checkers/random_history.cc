#include "test/checkers/random_history.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace insula::checkers {
namespace {

// A key's value: a list, or a register as the list of its only element.
using Contents = std::vector<int64_t>;

class Generator {
 public:
  explicit Generator(const RandomHistoryOptions& options) : options_(options), random_(options.seed) {
    for (int i = 0; i < options.keys; ++i) keys_.push_back(next_key_++);
  }

  std::vector<RandomTxn> Run() {
    std::vector<int> running(static_cast<size_t>(options_.processes), -1);
    while (true) {
      int& txn = running[Pick(running.size())];
      if (txn < 0) {
        if (static_cast<int>(txns_.size()) == options_.txns) break;
        txn = Begin(static_cast<int>(&txn - running.data()));
      } else if (Advance(txn)) {
        txn = -1;
      }
    }
    return std::move(txns_);
  }

 private:
  // What a running transaction has done so far.
  struct Progress {
    size_t executed = 0;
    std::map<int64_t, Contents> snapshot;  // as of its beginning (kSnapshot)
    std::map<int64_t, int> versions;       // of the keys in it
    std::map<int64_t, Contents> written;   // appended by itself, not committed yet
  };

  size_t Pick(size_t n) { return static_cast<size_t>(random_() % n); }

  int Begin(int process) {
    RandomTxn& txn = txns_.emplace_back();
    txn.process = process;
    txn.begins = position_++;
    const size_t length = 1 + Pick(static_cast<size_t>(options_.longest_txn));
    for (size_t i = 0; i < length; ++i) {
      const size_t which = Pick(keys_.size());
      const int64_t key = keys_[which];
      if (Pick(2) == 0) {
        txn.ops.push_back(MicroOp::Read(key));
        continue;
      }
      const int64_t element = ++writes_[key];
      txn.ops.push_back(options_.registers ? MicroOp::Write(key, element) : MicroOp::Append(key, element));
      if (element >= options_.writes_per_key) keys_[which] = next_key_++;
    }
    Progress& progress = progress_.emplace_back();
    for (const MicroOp& op : txn.ops) {
      progress.snapshot[op.key] = committed_[op.key];
      progress.versions[op.key] = versions_[op.key];
    }
    return static_cast<int>(txns_.size()) - 1;
  }

  // One step; true when the transaction has ended for its client.
  bool Advance(int number) {
    RandomTxn& txn = txns_[static_cast<size_t>(number)];
    Progress& progress = progress_[static_cast<size_t>(number)];
    if (progress.executed == 0 && Pick(20) == 0) return End(&txn, Txn::Outcome::kAborted);
    if (progress.executed < txn.ops.size()) {
      const size_t steps = options_.isolation == Isolation::kReadCommitted ? 1 : txn.ops.size();
      for (size_t i = 0; i < steps; ++i) {
        if (!Lock(number, txn.ops[progress.executed])) return End(&txn, Txn::Outcome::kAborted);
        Execute(&txn.ops[progress.executed++], &progress);
      }
      if (progress.executed < txn.ops.size()) return false;
      if (!Commit(txn, &progress)) return End(&txn, Txn::Outcome::kAborted);
      Unlock(number);
      return false;
    }
    return End(&txn, Pick(20) == 0 ? Txn::Outcome::kUnknown : Txn::Outcome::kCommitted);
  }

  // A key is written by one running transaction at a time.
  bool Lock(int number, const MicroOp& op) {
    return op.kind == MicroOp::Kind::kRead || locks_.try_emplace(op.key, number).first->second == number;
  }
  void Unlock(int number) {
    std::erase_if(locks_, [&](const auto& lock) { return lock.second == number; });
  }

  bool End(RandomTxn* txn, Txn::Outcome outcome) {
    Unlock(static_cast<int>(txn - txns_.data()));
    txn->outcome = outcome;
    txn->ends = position_++;
    if (outcome == Txn::Outcome::kCommitted) return true;
    for (MicroOp& op : txn->ops) {
      if (op.kind == MicroOp::Kind::kRead) op = MicroOp::Read(op.key);
    }
    return true;
  }

  void Execute(MicroOp* op, Progress* progress) {
    Contents& written = progress->written[op->key];
    if (op->kind != MicroOp::Kind::kRead) {
      if (options_.registers) written.clear();
      written.push_back(op->value);
      return;
    }
    Contents seen = options_.isolation == Isolation::kSnapshot ? progress->snapshot[op->key] : committed_[op->key];
    if (options_.registers && !written.empty()) seen.clear();
    seen.insert(seen.end(), written.begin(), written.end());
    *op = options_.registers ? MicroOp::ReadRegister(op->key, seen.empty() ? kNil : seen.back()) : MicroOp::ReadList(op->key, seen);
  }

  bool Commit(const RandomTxn& txn, Progress* progress) {
    for (const MicroOp& op : txn.ops) {
      const bool writes = op.kind != MicroOp::Kind::kRead;
      if (options_.isolation == Isolation::kSnapshot && writes && versions_[op.key] != progress->versions[op.key]) return false;
    }
    for (const auto& [key, written] : progress->written) {
      if (written.empty()) continue;
      ++versions_[key];
      Contents& contents = committed_[key];
      if (options_.registers) contents.clear();
      contents.insert(contents.end(), written.begin(), written.end());
    }
    return true;
  }

  const RandomHistoryOptions options_;
  std::mt19937_64 random_;
  std::vector<int64_t> keys_;  // in use
  int64_t next_key_ = 1;
  std::map<int64_t, int64_t> writes_;
  std::map<int64_t, Contents> committed_;
  std::map<int64_t, int> versions_;
  std::map<int64_t, int> locks_;  // by key: the transaction that has written it and runs
  std::vector<RandomTxn> txns_;
  std::vector<Progress> progress_;
  int position_ = 0;
};

bool Committed(const RandomTxn& txn) { return txn.outcome == Txn::Outcome::kCommitted; }

// A committed read of a list, and the transactions around it.
struct ReadAt {
  RandomTxn* txn;
  MicroOp* op;
};

std::vector<ReadAt> ShuffledReads(uint64_t seed, std::vector<RandomTxn>* txns) {
  std::vector<ReadAt> reads;
  for (RandomTxn& txn : *txns) {
    for (MicroOp& op : txn.ops) {
      if (Committed(txn) && op.kind == MicroOp::Kind::kRead) reads.push_back({&txn, &op});
    }
  }
  std::mt19937_64 random(seed);
  std::shuffle(reads.begin(), reads.end(), random);
  return reads;
}

const RandomTxn* WriterOf(const std::vector<RandomTxn>& txns, int64_t key, int64_t element) {
  for (const RandomTxn& txn : txns) {
    for (const MicroOp& op : txn.ops) {
      if (op.kind == MicroOp::Kind::kAppend && op.key == key && op.value == element) return &txn;
    }
  }
  return nullptr;
}

bool AppendsTo(const RandomTxn& txn, int64_t key) {
  return std::any_of(txn.ops.begin(), txn.ops.end(),
                     [&](const MicroOp& op) { return op.kind == MicroOp::Kind::kAppend && op.key == key; });
}

bool TellStaleRead(const ReadAt& read, const std::vector<RandomTxn>& txns) {
  if (read.op->list.empty()) return false;
  const RandomTxn* writer = WriterOf(txns, read.op->key, read.op->list.back());
  if (writer == nullptr || !Committed(*writer) || writer->ends > read.txn->begins) return false;
  read.op->list.pop_back();
  return true;
}

bool TellLostAppend(const ReadAt& read, std::vector<RandomTxn>* txns) {
  if (read.op->list.empty()) return false;
  const int64_t key = read.op->key;
  const int64_t element = read.op->list.front();
  const RandomTxn* writer = WriterOf(*txns, key, element);
  if (writer == nullptr || !Committed(*writer) || writer->ends > read.txn->begins) return false;
  for (RandomTxn& txn : *txns) {
    for (MicroOp& op : txn.ops) {
      if (op.kind == MicroOp::Kind::kRead && op.key == key) std::erase(op.list, element);
    }
  }
  return true;
}

bool TellAbortedRead(const ReadAt& read, const std::vector<RandomTxn>& txns) {
  for (const RandomTxn& txn : txns) {
    if (txn.outcome != Txn::Outcome::kAborted) continue;
    for (const MicroOp& op : txn.ops) {
      if (op.kind != MicroOp::Kind::kAppend || op.key != read.op->key) continue;
      read.op->list.push_back(op.value);
      return true;
    }
  }
  return false;
}

bool TellOtherOrder(const ReadAt& read, std::vector<RandomTxn>* txns) {
  const size_t n = read.op->list.size();
  if (n < 2 || AppendsTo(*read.txn, read.op->key)) return false;
  for (const ReadAt& other : ShuffledReads(1, txns)) {
    if (other.txn == read.txn || other.op->key != read.op->key || other.op->list.size() < n) continue;
    std::swap(read.op->list[n - 1], read.op->list[n - 2]);
    return true;
  }
  return false;
}

}  // namespace

std::vector<RandomTxn> RandomTxns(const RandomHistoryOptions& options) { return Generator(options).Run(); }

TxnHistory ToHistory(const std::vector<RandomTxn>& txns) {
  struct Moment {
    int position;
    size_t txn;
    bool begins;
  };
  std::vector<Moment> moments;
  for (size_t i = 0; i < txns.size(); ++i) {
    moments.push_back({txns[i].begins, i, true});
    if (txns[i].ends >= 0) moments.push_back({txns[i].ends, i, false});
  }
  std::sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) { return a.position < b.position; });
  TxnHistory history;
  std::vector<int> numbers(txns.size(), -1);
  for (const Moment& m : moments) {
    const RandomTxn& txn = txns[m.txn];
    int& number = numbers[m.txn];
    if (m.begins) {
      std::vector<MicroOp> asked = txn.ops;
      for (MicroOp& op : asked) {
        if (op.kind == MicroOp::Kind::kRead) op = MicroOp::Read(op.key);
      }
      number = history.Begin(txn.process, std::move(asked));
    } else if (txn.outcome == Txn::Outcome::kCommitted) {
      history.Commit(number, txn.ops);
    } else if (txn.outcome == Txn::Outcome::kAborted) {
      history.Abort(number);
    } else {
      history.Lose(number);
    }
  }
  return history;
}

std::string LieName(Lie lie) {
  constexpr const char* kNames[] = {"stale read", "lost append", "aborted read", "duplicate", "other order"};
  return kNames[static_cast<size_t>(lie)];
}

bool TellLie(Lie lie, uint64_t seed, std::vector<RandomTxn>* txns) {
  for (const ReadAt& read : ShuffledReads(seed, txns)) {
    switch (lie) {
      case Lie::kStaleRead:
        if (TellStaleRead(read, *txns)) return true;
        break;
      case Lie::kLostAppend:
        if (TellLostAppend(read, txns)) return true;
        break;
      case Lie::kAbortedRead:
        if (TellAbortedRead(read, *txns)) return true;
        break;
      case Lie::kDuplicate:
        if (read.op->list.empty()) break;
        read.op->list.push_back(read.op->list.back());
        return true;
      case Lie::kOtherOrder:
        if (TellOtherOrder(read, txns)) return true;
        break;
    }
  }
  return false;
}

}  // namespace insula::checkers
