// Objects for CheckLinearizable.
//
//   name            operations (input -> output)
//   register        write v; read -> v. Initially nil
//   cas-register    the same; cas [old new]
//   multi-register  txn [[read k v] [write k v]...]; all of it at one moment
//   kv              put s; append s; get -> string. Initially "". One key: Partition() first
//   counter         add n; read -> n. Initially 0
//   append-list     append v; read -> list. Initially empty
//   set             add v; read -> set. Initially empty
//   fifo-queue      enqueue v; dequeue -> v, nil from an empty queue
#ifndef INSULA_TEST_CHECKERS_MODELS_H_
#define INSULA_TEST_CHECKERS_MODELS_H_

#include <memory>
#include <string_view>

#include "test/checkers/linearizability.h"

namespace insula::checkers {

// What a read that returned nil means: that the register was empty, or that the history does not say what it read.
enum class NilRead { kEmpty, kNotTold };

// By the names above; nullptr for others.
std::unique_ptr<Model> NewModel(std::string_view name, NilRead nil_read = NilRead::kEmpty);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_MODELS_H_
