#include "base/sim/simulation.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/sim/net.h"
#include "base/sim/streams.h"

namespace insula {
namespace {

// Virtual time starts here, so that "a while ago" is a valid time.
constexpr MonoTime kStart{std::chrono::seconds(1000)};
// 2025-01-01: what the wall clock shows at kStart.
constexpr WallTime kWallStart{std::chrono::seconds(1735689600)};
// More events than this at one instant are a livelock.
constexpr uint64_t kMaxEventsAtOneTime = 2'000'000;

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t sim::HashBytes(std::string_view bytes) {
  uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
  for (unsigned char c : bytes) h = (h ^ c) * 0x100000001b3ull;
  return h;
}

namespace sim {

class SimClock : public Clock {
 public:
  explicit SimClock(const SimProcess* process) : process_(process) {}
  MonoTime Mono() const override { return process_->LocalMono(); }
  WallTime Wall() const override { return process_->LocalWall(); }

 private:
  const SimProcess* process_;
};

// The loop of one incarnation.
class SimExecutor : public Executor {
 public:
  SimExecutor(SimProcess* process, uint64_t incarnation) : process_(process), incarnation_(incarnation) {}

  void Post(Function fn) override { Schedule(Duration(0), "post", std::move(fn)); }

  TimerId StartTimer(MonoTime when, Function fn) override {
    TimerId id = ++last_timer_;
    if (dead_) return id;
    Arm(id, when, std::move(fn));
    return id;
  }

  void CancelTimer(TimerId id) override {
    auto it = timers_.find(id);
    if (it == timers_.end()) return;
    process_->sim_->Unschedule(it->second);
    timers_.erase(it);
  }

  void RunBlocking(Function work, Function done) override {
    Schedule(process_->sim_->Between(20us, 200us), "blocking", [work = std::move(work), done = std::move(done)]() mutable {
      work();
      done();
    });
  }

  const Clock& clock() const override { return *process_->clock_; }

  // Runs `fn` as an event of this process, then what it made ready.
  void RunEvent(Function& fn) {
    in_event_ = true;
    fn();
    in_event_ = false;
    Drain();
  }

  void Kill() { dead_ = true; }

 protected:
  void WakeUp() override {
    if (!in_event_) ScheduleDrain(Duration(0));
  }

 private:
  static constexpr int kBatch = 64;

  void Schedule(Duration delay, const char* kind, Function fn) {
    if (!dead_) process_->sim_->Schedule(process_, incarnation_, delay, kind, 0, std::move(fn));
  }

  void Arm(TimerId id, MonoTime when, Function fn) {
    timers_[id] = process_->sim_->ScheduleAt(process_->ToGlobal(when), process_, incarnation_, "timer", id,
                                             [this, id, when, fn = std::move(fn)]() mutable {
                                               if (process_->LocalMono() < when) return Arm(id, when, std::move(fn));  // the clock slowed down
                                               timers_.erase(id);
                                               fn();
                                             });
  }

  void Drain() {
    if (process_->StepDone()) return;
    for (int i = 0; i < kBatch && HasReady(); ++i) {
      DrainReady(1);
      if (process_->StepDone()) return;
    }
    // Time passes under a long computation that yields, or it could wait for time for ever.
    if (HasReady()) ScheduleDrain(5us);
  }

  void ScheduleDrain(Duration delay) {
    if (dead_ || drain_scheduled_) return;
    drain_scheduled_ = true;
    Schedule(delay, "run", [this] { drain_scheduled_ = false; });
  }

  SimProcess* process_;
  const uint64_t incarnation_;
  bool dead_ = false;
  bool in_event_ = false;
  bool drain_scheduled_ = false;
  TimerId last_timer_ = 0;
  std::map<TimerId, std::pair<MonoTime, uint64_t>> timers_;
};

}  // namespace sim

// -------------------------------------------------------------------------------------------------------- simulation

Simulation::Simulation(uint64_t seed)
    : seed_(seed),
      random_(seed),
      now_(kStart),
      log_sink_(log::Level::kInfo,
                [this](log::Level level, std::string_view line) {
                  if (trace_ == nullptr) return;
                  WriteTime();
                  *trace_ << (current_ == nullptr ? "world" : current_->name_) << " log " << log::ToString(level) << ' ' << line << '\n';
                }),
      net_(std::make_unique<SimNet>(this)) {}

Simulation::~Simulation() {
  for (auto& [name, process] : processes_) process->Teardown();
  net_->Shutdown();
  queue_.clear();
  processes_.clear();
}

Duration Simulation::elapsed() const { return now_ - kStart; }

SimProcess* Simulation::AddProcess(const std::string& name) {
  auto& slot = processes_[name];
  CHECK(slot == nullptr) << "two processes named " << name;
  slot.reset(new SimProcess(this, name));
  slot->StartIncarnation();
  return slot.get();
}

SimProcess* Simulation::process(const std::string& name) const {
  auto it = processes_.find(name);
  return it == processes_.end() ? nullptr : it->second.get();
}

void Simulation::At(Duration delay, Function fn) { ScheduleAt(now_ + delay, nullptr, 0, "world", 0, std::move(fn)); }

Duration Simulation::Between(Duration low, Duration high) {
  if (high <= low) return low;
  return low + Duration(random_.Uniform((high - low).count() + 1));
}

void Simulation::Schedule(SimProcess* process, uint64_t incarnation, Duration delay, const char* kind, uint64_t detail, Function fn) {
  ScheduleAt(now_ + delay, process, incarnation, kind, detail, std::move(fn));
}

std::pair<MonoTime, uint64_t> Simulation::ScheduleAt(MonoTime when, SimProcess* process, uint64_t incarnation, const char* kind,
                                                     uint64_t detail, Function fn) {
  std::pair key(std::max(when, now_), ++sequence_);
  queue_.emplace(key, Event{process, incarnation, kind, detail, std::move(fn)});
  return key;
}

void Simulation::Unschedule(std::pair<MonoTime, uint64_t> key) { queue_.erase(key); }

void Simulation::Step() {
  auto node = queue_.extract(queue_.begin());
  MonoTime when = node.key().first;
  Event& event = node.mapped();
  events_at_this_time_ = when == now_ ? events_at_this_time_ + 1 : 0;
  CHECK_LT(events_at_this_time_, kMaxEventsAtOneTime) << "livelock at one instant, last event " << event.kind << " seed " << seed_;
  now_ = std::max(now_, when);
  SimProcess* process = event.process;
  if (process == nullptr) {
    Trace("world", event.kind, event.detail);
    event.fn();
    return;
  }
  if (!process->alive_ || process->incarnation_ != event.incarnation || process->dying_) return;
  if (process->paused_) {
    process->deferred_.emplace_back(node.key(), std::move(event));
    return;
  }
  Trace(process->name_, event.kind, event.detail);
  process->RunEvent(event.fn);
}

void Simulation::Trace(std::string_view who, std::string_view kind, uint64_t detail) {
  ++events_;
  uint64_t h = Mix(trace_hash_ + 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(now_.time_since_epoch().count()));
  h = Mix(h ^ sim::HashBytes(who));
  h = Mix(h ^ sim::HashBytes(kind));
  trace_hash_ = Mix(h ^ detail);
  if (trace_ == nullptr) return;
  WriteTime();
  *trace_ << who << ' ' << kind;
  if (detail != 0) {
    char line[32];
    std::snprintf(line, sizeof(line), " %llx", static_cast<unsigned long long>(detail));
    *trace_ << line;
  }
  *trace_ << '\n';
}

void Simulation::WriteTime() {
  char text[32];
  std::snprintf(text, sizeof(text), "%14.9f ", std::chrono::duration<double>(elapsed()).count());
  *trace_ << text;
}

void Simulation::Note(std::string_view who, std::string_view what) { Trace(who, what, 0); }

bool Simulation::RunUntil(const std::function<bool()>& done, Duration limit) {
  MonoTime deadline = now_ + limit;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > deadline) {
      now_ = deadline;
      return done();
    }
    Step();
  }
  return true;
}

void Simulation::RunFor(Duration duration) {
  RunUntil([] { return false; }, duration);
}

absl::Status Simulation::Run(SimProcess* process, std::function<Task<absl::Status>(Context)> fn, Duration limit) {
  auto result = std::make_shared<std::optional<absl::Status>>();
  Context ctx = process->context().WithCancel();
  uint64_t incarnation = process->incarnation();
  process->Spawn([ctx, fn = std::move(fn), result](Context) -> Task<void> { result->emplace(co_await fn(ctx)); });
  auto crashed = [&] { return !process->alive() || process->incarnation() != incarnation; };
  if (!RunUntil([&] { return result->has_value() || crashed(); }, limit)) {
    ctx.Cancel(absl::DeadlineExceededError("the simulated task did not end in time"));
    RunUntil([&] { return result->has_value(); }, 1s);
    return absl::DeadlineExceededError("the simulated task did not end in time");
  }
  return result->has_value() ? **result : absl::UnavailableError("the process crashed");
}

// ----------------------------------------------------------------------------------------------------------- process

SimProcess::SimProcess(Simulation* sim, std::string name)
    : sim_(sim),
      name_(std::move(name)),
      random_(sim->random().Next64()),
      drift_start_(sim->now()),
      local_at_drift_start_(sim->now()),
      disk_(std::make_unique<SimDisk>(this, &random_)),
      clock_(std::make_unique<sim::SimClock>(this)) {}

SimProcess::~SimProcess() { Teardown(); }

void SimProcess::StartIncarnation() {
  ++incarnation_;
  alive_ = true;
  host_down_ = false;
  executors_.push_back(std::make_unique<sim::SimExecutor>(this, incarnation_));
  files_ = disk_->MakeFileSystem();
  network_ = sim::MakeNetwork(this);
  group_ = std::make_unique<TaskGroup>(Context::Background(executors_.back().get()));
}

Runtime SimProcess::runtime() {
  CHECK(alive_) << name_;
  return Runtime{.executor = executors_.back().get(),
                 .clock = clock_.get(),
                 .random = &random_,
                 .files = files_.get(),
                 .network = network_.get()};
}

Executor& SimProcess::executor() { return *runtime().executor; }

Context SimProcess::context() {
  CHECK(alive_) << name_;
  return group_->ctx();
}

std::unique_ptr<Transport> SimProcess::MakeTransport(PeerIdentity identity) { return sim::MakeTransport(this, std::move(identity)); }

void SimProcess::Boot(BootFn boot) {
  boot_ = std::move(boot);
  root_ = boot_(*this);
}

void SimProcess::Spawn(std::function<Task<void>(Context)> fn) {
  CHECK(alive_) << name_;
  Context ctx = group_->ctx();
  group_->SpawnFn([fn = std::move(fn), ctx]() -> Task<void> { co_await fn(ctx); });
}

void SimProcess::Crash(CrashKind kind) {
  if (!alive_ || dying_) return;
  if (sim_->current_ != this) return CrashNow(kind);
  dying_ = true;
  uint64_t incarnation = incarnation_;
  sim_->At(Duration(0), [this, incarnation, kind] {
    if (incarnation_ == incarnation && alive_) CrashNow(kind);
  });
}

void SimProcess::CrashAfterSteps(uint64_t steps, CrashKind kind) {
  crash_countdown_ = steps;
  crash_kind_ = kind;
}

bool SimProcess::StepDone() {
  if (crash_countdown_ != 0 && --crash_countdown_ == 0) Crash(crash_kind_);
  return dying_;
}

void SimProcess::CrashNow(CrashKind kind) {
  if (kind == CrashKind::kAny) kind = sim_->random().Chance(0.3) ? CrashKind::kHost : CrashKind::kProcess;
  sim_->Note(name_, kind == CrashKind::kHost ? "crash of the host" : "crash");
  alive_ = false;
  crashing_ = true;
  host_down_ = kind == CrashKind::kHost;
  disk_->Crash();
  sim_->net().OnCrash(this, incarnation_, host_down_);
  Teardown();
  paused_ = false;
  dying_ = false;
  crash_countdown_ = 0;
}

void SimProcess::Teardown() {
  crashing_ = true;
  if (!executors_.empty()) executors_.back()->Kill();
  group_.reset();
  root_.reset();
  files_.reset();
  network_.reset();
  deferred_.clear();
  alive_ = false;
  crashing_ = false;
}

void SimProcess::Restart() {
  if (alive_) {
    CHECK(sim_->current_ != this) << name_ << " cannot restart itself";
    CrashNow(CrashKind::kProcess);
  }
  sim_->Note(name_, "restart");
  StartIncarnation();
  if (boot_) root_ = boot_(*this);
}

void SimProcess::Pause() {
  if (!alive_ || paused_) return;
  sim_->Note(name_, "pause");
  paused_ = true;
  ++pauses_;
  sim_->net().OnPause(this);
}

void SimProcess::Resume() {
  if (!alive_ || !paused_) return;
  sim_->Note(name_, "resume");
  paused_ = false;
  // Under their old keys, so that they come before anything newer, in their order, and timers can still be cancelled.
  for (auto& [key, event] : deferred_) sim_->queue_.emplace(key, std::move(event));
  deferred_.clear();
}

void SimProcess::SetClockDrift(int64_t ppm) {
  local_at_drift_start_ = LocalMono();
  drift_start_ = sim_->now();
  drift_ppm_ = ppm;
}

MonoTime SimProcess::LocalMono() const {
  Duration passed = sim_->now() - drift_start_;
  return local_at_drift_start_ + passed + Duration(static_cast<int64_t>(static_cast<__int128>(passed.count()) * drift_ppm_ / 1'000'000));
}

WallTime SimProcess::LocalWall() const {
  return kWallStart + std::chrono::duration_cast<std::chrono::microseconds>(LocalMono() - kStart + wall_offset_);
}

MonoTime SimProcess::ToGlobal(MonoTime local) const {
  if (drift_ppm_ == 0) return drift_start_ + (local - local_at_drift_start_);
  if (local >= MonoTime::max() - 24h) return MonoTime::max();
  __int128 wanted = (local - local_at_drift_start_).count();
  // Rounded up, so that the local clock has reached `local` when the event comes.
  return drift_start_ + Duration(static_cast<int64_t>(wanted * 1'000'000 / (1'000'000 + drift_ppm_)) + 1);
}

void SimProcess::Schedule(Duration delay, const char* kind, uint64_t detail, Simulation::Function fn) {
  sim_->Schedule(this, incarnation_, delay, kind, detail, std::move(fn));
}

void SimProcess::RunEvent(Simulation::Function& fn) {
  SimProcess* outer = std::exchange(sim_->current_, this);
  executors_.back()->RunEvent(fn);
  sim_->current_ = outer;
}

}  // namespace insula
