// Prints what the front door costs per batch: admission (bounds, bucket, turn, release), with and without waiting, and the wall.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/hlc/hlc.h"
#include "base/metrics/metrics.h"
#include "base/real/real_world.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/server/admission.h"
#include "kv/server/authorization.h"
#include "tenant/cost_model.h"

namespace insula::kv {
namespace {

constexpr int kRounds = 1'000'000;

// Time as the machine has it, where the test loop's stands still.
double Nanos(const std::function<void()>& body, int rounds) {
  static const std::unique_ptr<RealExecutor> machine = MakeRealExecutor();
  const MonoTime start = machine->Now();
  body();
  return static_cast<double>((machine->Now() - start).count()) / rounds;
}

void Report(const char* name, double nanos) { std::printf("%-66s %7.0f ns per batch\n", name, nanos); }

struct Door {
  TestLoop loop;
  metrics::Registry registry;
  ServerMetrics metrics{&registry};
  Admission admission{&loop, &metrics};
};

// Each batch alone on an idle loop: a turn is opened and ended for it.
void AloneOnTheLoop() {
  Door door;
  auto stream = *door.admission.OpenStream(7);
  Report("admission, one batch per turn", Nanos([&] {
           for (int i = 0; i < kRounds; ++i) {
             auto batch = *stream.Begin(100, false);
             if (!batch.TryAdmit(550)) std::abort();
             batch.Charge(2);
             door.loop.RunUntilIdle();
           }
         }, kRounds));
}

void ManyPerTurn() {
  Door door;
  auto stream = *door.admission.OpenStream(7);
  Report("admission, 15 batches per turn", Nanos([&] {
           for (int i = 0; i < kRounds; ++i) {
             auto batch = *stream.Begin(100, false);
             if (!batch.TryAdmit(550)) std::abort();
             batch.Charge(2);
             if (i % 15 == 14) door.loop.RunUntilIdle();
           }
         }, kRounds));
}

// A thousand that always wait: the queue, the wake-up and a coroutine each.
void AllWait() {
  Door door;
  constexpr int kWaiters = 1000, kEach = 200;
  auto stream = *door.admission.OpenStream(7);
  TaskGroup tasks(door.loop.ctx());
  for (int w = 0; w < kWaiters; ++w) {
    tasks.SpawnFn([&]() -> Task<void> {
      for (int i = 0; i < kEach; ++i) {
        auto batch = *stream.Begin(100, false);
        if (!batch.TryAdmit(550) && !(co_await batch.Admit(door.loop.ctx(), 550, 0)).ok()) std::abort();
      }
    });
  }
  Report("admission, through the queue", Nanos([&] { door.loop.RunUntilIdle(); }, kWaiters * kEach));
}

void Wall(const char* name, int puts) {
  constexpr TenantScope kScope{.tenant = 7, .keyspace = 300};
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->mutable_txn()->mutable_meta()->set_id("0123456789abcdef");
  batch.mutable_header()->mutable_txn()->mutable_meta()->set_anchor_key(KeyspacePrefix(300) + "row");
  if (puts == 0) batch.add_requests()->mutable_get()->set_key(KeyspacePrefix(300) + "row");
  for (int i = 0; i < puts; ++i) {
    batch.add_requests()->mutable_put()->set_key(KeyspacePrefix(300) + "row");
    batch.mutable_requests(i)->mutable_put()->set_value("value");
  }
  std::string target;
  constexpr int kWallRounds = 200'000;
  Report(name, Nanos([&] {
           for (int i = 0; i < kWallRounds; ++i) {
             if (!AuthorizeTenantBatch(kScope, Timestamp::FromMicros(1), batch, &target).ok()) std::abort();
           }
         }, kWallRounds));
}

}  // namespace
}  // namespace insula::kv

int main() {
  insula::kv::AloneOnTheLoop();
  insula::kv::ManyPerTurn();
  insula::kv::AllWait();
  insula::kv::Wall("wall, 1 get", 0);
  insula::kv::Wall("wall, 10 puts", 10);
  return 0;
}
