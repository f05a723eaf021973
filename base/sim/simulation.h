// The simulated world: many processes in one thread under virtual time, everything chosen by one seed.
//
//   Simulation sim(seed);
//   SimProcess* n1 = sim.AddProcess("n1");
//   n1->Boot([](SimProcess& p) -> std::shared_ptr<void> {         // runs now and at every Restart
//     return std::make_shared<Server>(p.runtime(), p.MakeTransport(identity));
//   });
//   sim.At(5s, [&] { n1->Crash(); });
//   sim.At(7s, [&] { n1->Restart(); });
//   EXPECT_TRUE(sim.RunUntil([&] { return done; }, 60s));
//
//   event queue, by (time, sequence) ─► event of the world (faults, workloads)
//                                    └► event of one incarnation of one process: timer, delivery, posted function;
//                                       then the coroutines that it made ready, each to its next wait
//
// Invariants:
//   S1  The same seed and the same program give the same events in the same order: equal trace_hash().
//   S2  A crashed incarnation never runs again: its events are dropped, its objects and frames are destroyed at the crash.
//   S3  Virtual time passes only between events.
// Whatever a process builds must be owned by what Boot returned or by tasks that Spawn started: that is what a crash ends.
#ifndef INSULA_BASE_SIM_SIMULATION_H_
#define INSULA_BASE_SIM_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/log/log.h"
#include "base/runtime/executor.h"
#include "base/runtime/runtime.h"
#include "base/sim/disk.h"

namespace insula {

class SimNet;
class SimProcess;

namespace sim {
class SimExecutor;
}

class Simulation {
 public:
  using Function = Executor::Function;

  explicit Simulation(uint64_t seed);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation();

  uint64_t seed() const { return seed_; }
  // For the choices of tests and workloads. Each process has its own besides.
  Random& random() { return random_; }
  MonoTime now() const { return now_; }
  // Virtual time since the start.
  Duration elapsed() const;

  // A host with one process, alive and empty. Its name is its address: "n1:26257".
  SimProcess* AddProcess(const std::string& name);
  SimProcess* process(const std::string& name) const;  // null: none of that name
  SimNet& net() { return *net_; }

  // Runs `fn` after `delay`, outside all processes.
  void At(Duration delay, Function fn);

  // Runs events until `done` (asked after each) or until `limit` of virtual time has passed; gives done().
  bool RunUntil(const std::function<bool()>& done, Duration limit);
  void RunFor(Duration duration);
  // Runs `fn` as a task of `process`; its status, or kDeadlineExceeded (and the task is ended) after `limit`.
  absl::Status Run(SimProcess* process, std::function<Task<absl::Status>(Context)> fn, Duration limit);

  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t events() const { return events_; }
  // Writes one line per event from now on; null: none.
  void set_trace(std::ostream* out) { trace_ = out; }
  // Log lines of everything that runs here go to the trace (not into its hash); silent without one.
  void set_log_level(log::Level level) { log_sink_.set_level(level); }
  // Adds a line of the caller's to the trace.
  void Note(std::string_view who, std::string_view what);

  // ---- for base/sim
  void Schedule(SimProcess* process, uint64_t incarnation, Duration delay, const char* kind, uint64_t detail, Function fn);
  std::pair<MonoTime, uint64_t> ScheduleAt(MonoTime when, SimProcess* process, uint64_t incarnation, const char* kind,
                                           uint64_t detail, Function fn);
  void Unschedule(std::pair<MonoTime, uint64_t> key);
  Duration Between(Duration low, Duration high);
  SimProcess* current() const { return current_; }

 private:
  friend class SimNet;
  friend class SimProcess;
  struct Event {
    SimProcess* process;  // null: the world
    uint64_t incarnation;
    const char* kind;
    uint64_t detail;
    Function fn;
  };
  void Step();
  void Trace(std::string_view who, std::string_view kind, uint64_t detail);
  void WriteTime();

  const uint64_t seed_;
  SeededRandom random_;
  MonoTime now_;
  uint64_t sequence_ = 0;
  std::map<std::pair<MonoTime, uint64_t>, Event> queue_;
  SimProcess* current_ = nullptr;
  uint64_t trace_hash_ = 0;
  uint64_t events_ = 0;
  uint64_t events_at_this_time_ = 0;
  std::ostream* trace_ = nullptr;
  log::ScopedSink log_sink_;
  std::unique_ptr<SimNet> net_;
  std::map<std::string, std::unique_ptr<SimProcess>> processes_;
};

// What is left of a process's connections when it crashes: the kernel resets them, or the whole host is gone and the
// peers find out by their keepalive.
enum class CrashKind { kAny, kProcess, kHost };

class SimProcess {
 public:
  // Builds the process; the result owns all of it.
  using BootFn = std::function<std::shared_ptr<void>(SimProcess&)>;

  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;
  ~SimProcess();

  const std::string& name() const { return name_; }
  Simulation& simulation() { return *sim_; }
  bool alive() const { return alive_; }
  bool paused() const { return paused_; }
  uint64_t incarnation() const { return incarnation_; }

  // Of the incarnation that is alive now: do not keep across a crash.
  Runtime runtime();
  Executor& executor();
  Context context();
  Random& random() { return random_; }
  SimDisk& disk() { return *disk_; }
  // A transport that presents `identity` to its peers.
  std::unique_ptr<Transport> MakeTransport(PeerIdentity identity);

  void Boot(BootFn boot);
  template <typename T>
  T* root() const {
    return static_cast<T*>(root_.get());
  }
  // Starts fn(ctx) as a task that a crash ends.
  void Spawn(std::function<Task<void>(Context)> fn);

  // Ends this incarnation where it stands. From inside the process itself: after the coroutine that runs now reaches its
  // next wait, and nothing else of the process runs before.
  void Crash(CrashKind kind = CrashKind::kAny);
  // Crashes after `steps` more coroutine resumptions or events of this process: a crash between any two awaits.
  void CrashAfterSteps(uint64_t steps, CrashKind kind = CrashKind::kAny);
  // A new incarnation with the disk that the crash left; runs the boot function.
  void Restart();
  // A stall (SIGSTOP, a long pause of the host): events wait until Resume.
  void Pause();
  void Resume();

  // The wall clock leaps; the monotonic one does not.
  void JumpClock(Duration by) { wall_offset_ += by; }
  // Both clocks run fast (> 0) or slow by parts per million, from now on.
  void SetClockDrift(int64_t ppm);

  // ---- for base/sim
  void Schedule(Duration delay, const char* kind, uint64_t detail, Simulation::Function fn);
  // Of the pause that lasts now; 0: none.
  uint64_t pause_id() const { return alive_ && paused_ ? pauses_ : 0; }
  bool crashing() const { return crashing_; }
  bool host_down() const { return host_down_; }
  MonoTime LocalMono() const;
  WallTime LocalWall() const;
  MonoTime ToGlobal(MonoTime local) const;

 private:
  friend class Simulation;
  friend class sim::SimExecutor;
  SimProcess(Simulation* sim, std::string name);
  void StartIncarnation();
  void CrashNow(CrashKind kind);
  void Teardown();
  // Counts down to a planned crash; true when it is now.
  bool StepDone();
  void RunEvent(Simulation::Function& fn);

  Simulation* sim_;
  const std::string name_;
  SeededRandom random_;
  uint64_t incarnation_ = 0;
  bool alive_ = false;
  bool dying_ = false;     // a crash of our own making waits for the current event to end
  bool crashing_ = false;  // destructors of the crashed incarnation are running: they reach nobody
  bool host_down_ = false;
  bool paused_ = false;
  uint64_t pauses_ = 0;
  uint64_t crash_countdown_ = 0;
  CrashKind crash_kind_ = CrashKind::kAny;
  Duration wall_offset_{0};
  MonoTime drift_start_;
  MonoTime local_at_drift_start_;
  int64_t drift_ppm_ = 0;
  std::vector<std::pair<std::pair<MonoTime, uint64_t>, Simulation::Event>> deferred_;  // while paused, with their keys
  BootFn boot_;

  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<Clock> clock_;
  // Executors of crashed incarnations stay, so that what a test wrongly holds on to does not dangle.
  std::vector<std::unique_ptr<sim::SimExecutor>> executors_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Network> network_;
  std::shared_ptr<void> root_;
  std::unique_ptr<TaskGroup> group_;
};

}  // namespace insula

#endif  // INSULA_BASE_SIM_SIMULATION_H_
