// Which anomalies rule out which consistency models, and which anomalies a model forbids.
//
// Anomalies imply one another (every G0 is a G1c), models imply one another (what is serializable is also snapshot isolated),
// and a model forbids what it names, what implies that, and what the models below it forbid. The relations are those of Adya's
// thesis, Bailis et al. and Cerone et al., in the shape in which Elle published them, with its names.
//
// "-item" anomalies are about single keys, the others also about predicates. "-process" and "-realtime" variants of a cycle need
// an edge of a process's own order, or of real time.
#ifndef INSULA_TEST_CHECKERS_CONSISTENCY_MODEL_H_
#define INSULA_TEST_CHECKERS_CONSISTENCY_MODEL_H_

#include <set>
#include <string>

namespace insula::checkers {

using Names = std::set<std::string>;

// These anomalies and all that imply one of them.
Names AnomaliesImplying(const Names& anomalies);
// These anomalies and all that they imply.
Names AnomaliesImpliedBy(const Names& anomalies);
// All anomalies that may not occur if these models hold.
Names AnomaliesForbiddenBy(const Names& models);
// All models (canonical names) that cannot hold when these anomalies occur.
Names ModelsRuledOutBy(const Names& anomalies);
// All models (canonical names) that cannot hold when these do not.
Names ModelsRuledOutByModels(const Names& models);
// Those of these models that no other of these is implied by, under their friendly names.
Names WeakestModels(const Names& models);

// Two names of one model: "PL-2.99" is canonical, "repeatable-read" friendly. Unknown names are returned as they are.
std::string CanonicalModel(const std::string& name);
std::string FriendlyModel(const std::string& name);
bool IsModel(const std::string& name);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_CONSISTENCY_MODEL_H_
