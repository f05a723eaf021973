// Runs histories with known verdicts (the outside suite `histories`) through the checkers.
//
// Where a verdict comes from, per folder:
//   expected.tsv     a table: file, model, valid or linearizable (true, false, unknown), options as of elle-cli's command line
//   *.json           a list of cases, each with a history, a model and "checks": what is asked, and the answer to it
//   .../MODEL/good/*, .../MODEL/bad/*
// Nothing else is scored, nor are models that no checker of ours claims (mutex, closed-predicate...).
#ifndef INSULA_TEST_CHECKERS_KNOWN_ANSWERS_H_
#define INSULA_TEST_CHECKERS_KNOWN_ANSWERS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "test/checkers/history.h"
#include "test/checkers/txn_check.h"

namespace insula::checkers {

struct KnownAnswer {
  std::string name;     // of the case
  std::string failure;  // how our answer differs, in one line; empty: it does not
};

// All of a folder. Errors are failures of their cases; a folder that cannot be read gives none.
std::vector<KnownAnswer> RunKnownAnswers(const std::string& folder);

// How histories of single objects are to be read: Knossos drops operations that failed and reads that returned nil; Porcupine
// takes both for answers.
enum class Convention { kKnossos, kPorcupine };

// The verdict on a history: "true", "false" or "unknown". An error for models and options that are not known.
absl::StatusOr<std::string> JudgeHistory(const std::vector<Event>& events, std::string_view model, std::string_view options,
                                         Convention convention);
bool IsClaimedModel(std::string_view model);

// One entry of a case's "checks", against its history.
KnownAnswer JudgeCheck(std::string name, const std::vector<Event>& events, std::string_view model, const Value& check);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_KNOWN_ANSWERS_H_
