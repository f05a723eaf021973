#include "test/checkers/known_answers.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

namespace fs = std::filesystem;

// A folder of its own, with files.
class Folder {
 public:
  explicit Folder(const std::string& name) : path_(fs::path(::testing::TempDir()) / name) { fs::remove_all(path_); }
  void Write(const std::string& file, const std::string& text) {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  // "file: passed" or "file: failure", one a line, without the folder's name.
  std::string Run() const {
    std::string out;
    for (const KnownAnswer& a : RunKnownAnswers(path_.string())) {
      StrAppend(&out, a.name.substr(path_.string().size() + 1), ": ", a.failure.empty() ? "passed" : a.failure, "\n");
    }
    return out;
  }

 private:
  fs::path path_;
};

constexpr const char* kGood = "{:process 0 :type :invoke :f :write :value 1} {:process 0 :type :ok :f :write :value 1}";
constexpr const char* kBad =
    "{:process 0 :type :invoke :f :write :value 1} {:process 0 :type :ok :f :write :value 1}"
    "{:process 0 :type :invoke :f :read :value nil} {:process 0 :type :ok :f :read :value 2}";

TEST(KnownAnswers, GoodAndBadFoldersNameTheirModel) {
  Folder folder("good_bad");
  folder.Write("data/cas-register/good/a.edn", kGood);
  folder.Write("data/cas-register/bad/a.edn", kBad);
  folder.Write("data/cas-register/good/wrong.edn", kBad);
  folder.Write("data/mutex/bad/a.edn", kBad);
  folder.Write("data/unscored.edn", kBad);
  EXPECT_EQ(folder.Run(),
            "data/cas-register/bad/a.edn: passed\n"
            "data/cas-register/good/a.edn: passed\n"
            "data/cas-register/good/wrong.edn: cas-register: false, not true\n");
}

TEST(KnownAnswers, ATableNamesFilesModelsAndOptions) {
  Folder folder("table");
  folder.Write("t/expected.tsv",
               "file\tmodel\tvalid\toptions\n"
               "h/bank.edn\tbank\tfalse\t\n"
               "h/bank.edn\tbank\ttrue\t--allow-negative-balances\n"
               "h/txn.json\tlist-append\ttrue\t--consistency-models read-committed\n"
               "h/txn.json\tlist-append\tfalse\t-c serializable -a G0\n"
               "h/mutex.edn\tmutex\ttrue\t\n"
               "h/bank.edn\tbank\tfalse\t-o 12 --verbose\n"
               "h/none.edn\tbank\ttrue\t\n"
               "h/bank.edn\tbank\ttrue\t--frobnicate 7\n");
  folder.Write("t/h/bank.edn", "{:type :ok :f :read :value {0 10, 1 0}} {:type :ok :f :read :value {0 11, 1 -1}}");
  folder.Write("t/h/txn.json", R"([{"type":"ok","f":"txn","process":0,"value":[["r","x",null],["append","y",1]]},
                                   {"type":"ok","f":"txn","process":1,"value":[["r","y",null],["append","x",1]]}])");
  folder.Write("t/h/good/not_listed.edn", kBad);
  const std::string ran = folder.Run();
  EXPECT_EQ(ran.substr(0, ran.find("t/h/none")),
            "t/h/bank.edn: passed\nt/h/bank.edn: passed\nt/h/txn.json: passed\nt/h/txn.json: passed\nt/h/bank.edn: passed\n");
  EXPECT_NE(ran.find("t/h/none.edn: NOT_FOUND"), std::string::npos) << ran;
  EXPECT_NE(ran.find("an option that is not known: frobnicate"), std::string::npos) << ran;
}

TEST(KnownAnswers, APorcupineTableTakesFailedOperationsForAnswers) {
  Folder folder("porcupine");
  folder.Write("expected.tsv", "file\tmodel\tlinearizable\na.log\tcas-register\tfalse\nb.txt\tkv (get/put/append)\ttrue\n");
  folder.Write("a.log",
               "INFO  jepsen.util - 0\t:invoke\t:write\t1\nINFO  jepsen.util - 0\t:ok\t:write\t1\n"
               "INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:fail\t:cas\t[1 2]\n");
  folder.Write("b.txt",
               "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x\"}\n{:process 0, :type :ok, :f :append, :key \"0\", :value \"x\"}\n"
               "{:process 0, :type :invoke, :f :get, :key \"1\", :value nil}\n{:process 0, :type :ok, :f :get, :key \"1\", :value \"\"}\n");
  EXPECT_EQ(folder.Run(), "a.log: passed\nb.txt: passed\n");
}

TEST(KnownAnswers, ChecksAskForModelsAnomaliesOrOneDetector) {
  Folder folder("cases");
  folder.Write("cases.json", R"([
    {"name": "skew", "model": "list-append",
     "history": [{"process": 0, "type": "ok", "f": "txn", "value": [["r","x",null],["append","y",1]]},
                 {"process": 1, "type": "ok", "f": "txn", "value": [["r","y",null],["append","x",1]]}],
     "checks": [{"ask": {"consistency_models": ["snapshot-isolation"]}, "valid": true, "anomaly_types": [], "not": []},
                {"ask": {"anomalies": ["G2"]}, "valid": false, "anomaly_types": ["G2-item"], "not": ["repeatable-read"]},
                {"ask": {"anomalies": ["G2"]}, "valid": true, "anomaly_types": [], "not": []},
                {"ask": {"anomalies": ["G2"]}, "valid": false, "anomaly_types": ["G-single-item"]},
                {"ask": {"anomalies": ["G2"]}, "valid": false, "anomaly_types": ["G2-item"], "not": ["read-committed"]},
                {"ask": {"internal_cases": true}, "valid": true, "anomaly_types": []},
                {"ask": {"tea_leaves": true}, "valid": true}]},
    {"name": "predicates", "model": "closed-predicate", "history": [], "checks": [{"ask": {}, "valid": false}]},
    {"name": "no verdict", "model": "list-append", "history": []}])");
  std::vector<std::string> failures;
  for (const KnownAnswer& a : RunKnownAnswers((fs::path(::testing::TempDir()) / "cases").string())) failures.push_back(a.failure);
  ASSERT_EQ(failures.size(), 7u);
  EXPECT_EQ(failures[0], "");
  EXPECT_EQ(failures[1], "");
  EXPECT_EQ(failures[2].substr(0, 15), "false, not true");
  EXPECT_EQ(failures[3], "anomalies: G2-item; not: G-single-item");
  EXPECT_EQ(failures[4], "read-committed is not ruled out");
  EXPECT_EQ(failures[5], "");
  EXPECT_NE(failures[6].find("nobody knows how to answer"), std::string::npos);
}

TEST(KnownAnswers, OptionsOfACheckSayWhatMayBeAssumedAndLookedAt) {
  auto events = ParseHistory("{:type :invoke :process 0 :value [[:w :x 1]]} {:type :ok :process 0 :value [[:w :x 1]]}"
                             "{:type :invoke :process 0 :value [[:w :x 2]]} {:type :ok :process 0 :value [[:w :x 2]]}"
                             "{:type :invoke :process 0 :value [[:r :x nil]]} {:type :ok :process 0 :value [[:r :x 1]]}");
  auto failure = [&](const char* check) { return JudgeCheck("case", *events, "rw-register", *ParseJson(check)).failure; };
  EXPECT_EQ(failure(R"({"ask": {}, "valid": true})"), "");
  for (const char* spelling : {"sequential_keys", "sequential-keys", "sequential-keys?"}) {
    EXPECT_EQ(failure(StrCat(R"({"ask": {}, "opts": {")", spelling, R"(": true}, "valid": false, "anomaly_types": ["cyclic-versions"]})").c_str()), "")
        << spelling;
  }
  // Two writes are related by nothing but their process.
  events = ParseHistory("{:type :ok :process 0 :value [[:w :x 1]]} {:type :ok :process 0 :value [[:w :y 1]]}");
  EXPECT_EQ(failure(R"({"ask": {"anomalies": ["G0"]}, "valid": "unknown", "anomaly_types": ["empty-transaction-graph"]})"), "");
  EXPECT_EQ(failure(R"({"ask": {"anomalies": ["G0"]}, "opts": {"additional_graphs": ["process"]}, "valid": true})"), "");
}

TEST(KnownAnswers, NothingThereIsNothingScored) { EXPECT_TRUE(RunKnownAnswers("/nonexistent").empty()); }

}  // namespace
}  // namespace insula::checkers
