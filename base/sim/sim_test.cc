#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/log/log.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

PeerIdentity Named(std::string name) {
  PeerIdentity out;
  out.common_name = std::move(name);
  out.organizational_unit = "Nodes";
  return out;
}

constexpr char kEcho[] = "/test.Echo/Echo";

// Serves kEcho: every message comes back with "!"; counts what ran.
class EchoServer {
 public:
  explicit EchoServer(SimProcess& process) : transport_(process.MakeTransport(Named(process.name()))) {
    transport_->Handle(kEcho, [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
      Witness witness{this};
      while (true) {
        CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
        if (!message.has_value()) co_return absl::OkStatus();
        if (*message == "fail") co_return absl::AbortedError("as asked");
        received.push_back(*message);
        last_peer = stream->peer().common_name;
        CO_RETURN_IF_ERROR(co_await stream->Send(ctx, *message + "!"));
      }
    });
    CHECK_OK(transport_->Listen(":1000").status());
  }

  std::vector<std::string> received;
  std::string last_peer;
  int running = 0;

 private:
  struct Witness {
    EchoServer* server;
    explicit Witness(EchoServer* s) : server(s) { ++server->running; }
    ~Witness() { --server->running; }
  };
  std::unique_ptr<Transport> transport_;
};

std::shared_ptr<void> BootEcho(SimProcess& process) { return std::make_shared<EchoServer>(process); }

// Sends `count` numbered messages one by one; how many came back.
Task<absl::StatusOr<int>> PingPong(Context ctx, Transport& transport, std::string address, int count) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport.Open(ctx, address, kEcho));
  for (int i = 0; i < count; ++i) {
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, StrCat(i)));
    CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
    if (reply != StrCat(i, "!")) co_return absl::InternalError("wrong reply");
  }
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  CO_ASSIGN_OR_RETURN(auto end, co_await stream->Receive(ctx));
  if (end.has_value()) co_return absl::InternalError("more than was sent");
  co_return count;
}

// A small world under faults: three echo servers, a client that keeps calling, crashes, partitions. Its trace.
std::pair<uint64_t, std::string> RunWorld(uint64_t seed) {
  Simulation sim(seed);
  std::ostringstream trace;
  sim.set_trace(&trace);
  sim.net().SetDefaultLink({.slow_chance = 0.05, .loss_chance = 0.01, .break_chance = 0.002});
  std::vector<std::string> names = {"n1", "n2", "n3"};
  for (const auto& name : names) sim.AddProcess(name)->Boot(BootEcho);
  SimProcess* client = sim.AddProcess("client");
  auto* c = client;
  client->Spawn([&, c](Context ctx) -> Task<void> {
    auto transport = c->MakeTransport(Named("client"));
    while (!ctx.done()) {
      auto done = co_await PingPong(ctx.WithTimeout(2s), *transport, names[c->random().Uniform(3)] + ":1000", 20);
      sim.Note("client", done.ok() ? "ok" : done.status().message().data());
      absl::Status slept = co_await Sleep(ctx, 10ms);
      if (!slept.ok()) co_return;
    }
  });
  for (int i = 0; i < 4; ++i) {
    SimProcess* victim = sim.process(names[sim.random().Uniform(3)]);
    Duration when = sim.Between(0s, 15s);
    sim.At(when, [victim] { victim->CrashAfterSteps(1 + victim->simulation().random().Uniform(30)); });
    sim.At(when + 2s, [victim] { victim->Restart(); });
  }
  sim.At(5s, [&] { sim.net().BlockOneWay("client", "n1"); });
  sim.At(12s, [&] { sim.net().HealAll(); });
  sim.RunFor(20s);
  return {sim.trace_hash(), trace.str()};
}

TEST(Simulation, TheSameSeedGivesTheSameTrace) {
  auto first = RunWorld(7);
  auto second = RunWorld(7);
  EXPECT_EQ(first.first, second.first);
  EXPECT_EQ(first.second, second.second);
  EXPECT_GT(first.second.size(), 10000u);
  EXPECT_NE(first.second.find("client ok"), std::string::npos);
  EXPECT_NE(first.second.find(" crash"), std::string::npos);
}

TEST(Simulation, ManySeedsReplay) {
  for (uint64_t seed = 100; seed < 130; ++seed) EXPECT_EQ(RunWorld(seed).first, RunWorld(seed).first) << seed;
}

TEST(Simulation, DifferentSeedsDiffer) { EXPECT_NE(RunWorld(1).first, RunWorld(2).first); }

TEST(Simulation, LogLinesGoToTheTraceAndNotIntoItsHash) {
  uint64_t hash[2];
  for (bool traced : {false, true}) {
    Simulation sim(3);
    std::ostringstream trace;
    if (traced) sim.set_trace(&trace);
    SimProcess* p = sim.AddProcess("n1");
    p->Spawn([](Context ctx) -> Task<void> {
      LOG_INFO("hello", {"n", 1});
      LOG_DEBUG("not shown");
      co_return;
    });
    sim.RunFor(1s);
    hash[traced] = sim.trace_hash();
    EXPECT_EQ(trace.str().find("n1 log info hello n=1\n") != std::string::npos, traced);
    EXPECT_EQ(trace.str().find("not shown"), std::string::npos);
  }
  EXPECT_EQ(hash[0], hash[1]);
}

class SimTest : public testing::Test {
 protected:
  SimTest() {
    server_ = sim_.AddProcess("n1");
    client_ = sim_.AddProcess("n2");
    server_->Boot(BootEcho);
  }
  EchoServer* echo() { return server_->root<EchoServer>(); }
  absl::Status Ping(int count = 3, Duration limit = 30s) {
    return sim_.Run(client_, [&](Context ctx) -> Task<absl::Status> {
      auto transport = client_->MakeTransport(Named("n2"));
      co_return (co_await PingPong(ctx, *transport, "n1:1000", count)).status();
    }, limit);
  }

  Simulation sim_{42};
  SimProcess* server_;
  SimProcess* client_;
};

TEST_F(SimTest, StreamsEchoInOrderAndReportThePeer) {
  EXPECT_TRUE(Ping(50).ok());
  EXPECT_EQ(echo()->received.size(), 50u);
  EXPECT_EQ(echo()->received[49], "49");
  EXPECT_EQ(echo()->last_peer, "n2");
  EXPECT_EQ(echo()->running, 0);
}

TEST_F(SimTest, AHandlersStatusReachesTheCaller) {
  absl::Status status = sim_.Run(client_, [&](Context ctx) -> Task<absl::Status> {
    auto transport = client_->MakeTransport(Named("n2"));
    CO_ASSIGN_OR_RETURN(auto stream, co_await transport->Open(ctx, "n1:1000", kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "fail"));
    co_return (co_await stream->Receive(ctx)).status();
  }, 10s);
  EXPECT_EQ(status, absl::AbortedError("as asked"));
}

TEST_F(SimTest, NobodyListensOrKnowsTheMethod) {
  auto open = [&](std::string address, std::string method) {
    return sim_.Run(client_, [=, this](Context ctx) -> Task<absl::Status> {
      auto transport = client_->MakeTransport(Named("n2"));
      CO_ASSIGN_OR_RETURN(auto stream, co_await transport->Open(ctx, address, method));
      co_return (co_await stream->Receive(ctx)).status();
    }, 10s);
  };
  EXPECT_EQ(open("n1:1001", kEcho).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(open("n9:1000", kEcho).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(open("n1:1000", "/test.Echo/Other").code(), absl::StatusCode::kUnimplemented);
}

TEST_F(SimTest, DestroyingAStreamCancelsItsHandler) {
  EXPECT_TRUE(sim_.Run(client_, [&](Context ctx) -> Task<absl::Status> {
    auto transport = client_->MakeTransport(Named("n2"));
    CO_ASSIGN_OR_RETURN(auto stream, co_await transport->Open(ctx, "n1:1000", kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "x"));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    EXPECT_EQ(echo()->running, 1);
    stream.reset();
    co_return absl::OkStatus();
  }, 10s).ok());
  EXPECT_TRUE(sim_.RunUntil([&] { return echo()->running == 0; }, 1s));
}

TEST_F(SimTest, ACrashDestroysSuspendedFramesAndBreaksStreams) {
  struct Witness {
    int* destroyed;
    ~Witness() { ++*destroyed; }
  };
  int destroyed = 0;
  bool resumed = false;
  server_->Spawn([&](Context ctx) -> Task<void> {
    Witness witness{&destroyed};
    absl::Status slept = co_await Sleep(ctx, 1h);
    resumed = true;
  });
  absl::Status seen = absl::UnknownError("still open");
  client_->Spawn([&](Context ctx) -> Task<void> {
    auto transport = client_->MakeTransport(Named("n2"));
    auto stream = co_await transport->Open(ctx, "n1:1000", kEcho);
    EXPECT_TRUE(stream.ok());
    seen = (co_await (*stream)->Receive(ctx)).status();
  });
  sim_.RunFor(1s);
  EXPECT_EQ(destroyed, 0);
  server_->Crash(CrashKind::kProcess);
  EXPECT_EQ(destroyed, 1);
  sim_.RunFor(2h);
  EXPECT_FALSE(resumed);
  EXPECT_EQ(seen.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Ping().code(), absl::StatusCode::kUnavailable);
  server_->Restart();
  EXPECT_TRUE(Ping().ok());
}

TEST_F(SimTest, ACrashFindsEveryAwait) {
  // Twenty yields, crashed after each number of steps: the count of what ran grows by at most one from crash to crash.
  int last = -1;
  for (uint64_t steps = 1; steps < 15; ++steps) {
    int ran = 0;
    server_->Spawn([&](Context ctx) -> Task<void> {
      for (; ran < 20; ++ran) {
        if (!(co_await ctx.Yield()).ok()) co_return;
      }
    });
    server_->CrashAfterSteps(steps);
    sim_.RunFor(1s);
    EXPECT_FALSE(server_->alive());
    EXPECT_LE(ran, last + 1);
    EXPECT_GE(ran, last);
    last = ran;
    server_->Restart();
  }
  EXPECT_GT(last, 5);
}

TEST_F(SimTest, AOneWayPartitionStopsOneDirectionAndThenBreaksTheStream) {
  absl::Status ended = absl::UnknownError("still open");
  MonoTime when;
  client_->Spawn([&](Context ctx) -> Task<void> {
    auto transport = client_->MakeTransport(Named("n2"));
    auto stream = co_await transport->Open(ctx, "n1:1000", kEcho);
    CHECK_OK((co_await (*stream)->Send(ctx, "before")));
    CHECK_OK((co_await (*stream)->Receive(ctx)).status());
    sim_.net().BlockOneWay("n1", "n2");
    CHECK_OK((co_await (*stream)->Send(ctx, "after")));
    ended = (co_await (*stream)->Receive(ctx)).status();
    when = sim_.now();
  });
  sim_.RunFor(2s);
  // The request arrived, its answer did not.
  EXPECT_EQ(echo()->received, (std::vector<std::string>{"before", "after"}));
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnknown);
  sim_.RunFor(4s);
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(echo()->running, 0);
  EXPECT_EQ(Ping(), absl::UnavailableError("n1:1000 does not answer"));
  sim_.net().HealAll();
  EXPECT_TRUE(Ping().ok());
}

TEST_F(SimTest, AShortPartitionOnlyDelays) {
  sim_.At(1ms, [&] { sim_.net().Partition({"n1"}, {"n2"}); });
  sim_.At(1500ms, [&] { sim_.net().HealAll(); });
  MonoTime start = sim_.now();
  EXPECT_TRUE(Ping(20).ok());
  EXPECT_GT(sim_.now() - start, 1400ms);
}

TEST_F(SimTest, APausedProcessRunsNothingAndGoesOnAfterwards) {
  int ticks = 0;
  server_->Spawn([&](Context ctx) -> Task<void> {
    while ((co_await Sleep(ctx, 100ms)).ok()) ++ticks;
  });
  sim_.RunFor(1050ms);
  EXPECT_EQ(ticks, 10);
  server_->Pause();
  sim_.RunFor(2s);
  EXPECT_EQ(ticks, 10);
  server_->Resume();
  sim_.RunFor(1s);
  EXPECT_GE(ticks, 19);
}

TEST_F(SimTest, ClocksSkewJumpAndDrift) {
  const Clock& skewed = *client_->runtime().clock;
  WallTime before = skewed.Wall();
  client_->JumpClock(5s);
  EXPECT_EQ(skewed.Wall() - before, 5s);
  MonoTime mono = skewed.Mono();
  client_->SetClockDrift(1000);
  sim_.RunFor(1000s);
  EXPECT_EQ(skewed.Mono() - mono, 1001s);
  // Timers follow the process's own clock: 100.1 s of it pass in 100 s.
  MonoTime start = sim_.now();
  EXPECT_TRUE(sim_.Run(client_, [](Context ctx) -> Task<absl::Status> { co_return co_await Sleep(ctx, 100100ms); }, 200s).ok());
  EXPECT_NEAR(std::chrono::duration<double>(sim_.now() - start).count(), 100.0, 1e-6);
}

TEST_F(SimTest, SendersWaitForSlowReaders) {
  int sent = 0;
  client_->Spawn([&](Context ctx) -> Task<void> {
    auto transport = client_->MakeTransport(Named("n2"));
    auto stream = co_await transport->Open(ctx, "n1:1000", kEcho);
    // Nobody reads the echoes, so the server stops reading, so the client stops sending.
    for (; sent < 1000; ++sent) {
      if (!(co_await (*stream)->Send(ctx, std::string(100'000, 'x'))).ok()) co_return;
    }
  });
  sim_.RunFor(60s);
  EXPECT_GT(sent, 5);
  EXPECT_LT(sent, 30);
}

TEST_F(SimTest, BlockingWorkComesBack) {
  EXPECT_TRUE(sim_.Run(client_, [](Context ctx) -> Task<absl::Status> {
    int n = co_await Blocking<int>(ctx, [] { return 41 + 1; });
    co_return n == 42 ? absl::OkStatus() : absl::InternalError("wrong");
  }, 1s).ok());
}

// ------------------------------------------------------------------------------------------------------------- disk

class DiskTest : public testing::Test {
 protected:
  FileSystem& files() { return *p_->runtime().files; }
  void WriteSynced(const std::string& path, const std::string& data) {
    ASSERT_TRUE(sim_->Run(p_, [&](Context ctx) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto file, files().OpenAppend(path));
      CO_RETURN_IF_ERROR(co_await file->WriteAndSync(ctx, data));
      co_return files().SyncDir("");
    }, 10s).ok());
  }
  void Reset(uint64_t seed) {
    sim_ = std::make_unique<Simulation>(seed);
    p_ = sim_->AddProcess("n1");
  }
  void SetUp() override { Reset(1); }
  std::unique_ptr<Simulation> sim_;
  SimProcess* p_ = nullptr;
};

TEST_F(DiskTest, WhatWasSyncedSurvivesACrashAndTheRestIsAPrefixPossiblyTorn) {
  int lost = 0, partial = 0, torn = 0;
  const std::string synced(1000, 'a'), unsynced(3000, 'b');
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Reset(seed);
    WriteSynced("log", synced);
    p_->disk().faults.frozen = true;
    p_->Spawn([&](Context ctx) -> Task<void> {
      auto file = files().OpenAppend("log");
      absl::Status never = co_await (*file)->WriteAndSync(ctx, unsynced);
      ADD_FAILURE() << "a frozen sync ended";
    });
    sim_->RunFor(1s);
    p_->Crash();
    p_->Restart();
    std::string found = *files().ReadFile("log");
    ASSERT_GE(found.size(), synced.size());
    ASSERT_EQ(found.substr(0, synced.size()), synced);
    std::string rest = found.substr(synced.size());
    ASSERT_LE(rest.size(), unsynced.size());
    if (rest.empty()) ++lost;
    if (!rest.empty() && rest.size() < unsynced.size()) ++partial;
    size_t good = rest.find_first_not_of('b');
    if (good != std::string::npos) {
      ++torn;
      ASSERT_LE(rest.size() - good, 512u) << "only the last sector is torn";
    }
    p_->disk().faults.frozen = false;
  }
  EXPECT_GT(partial, 20);
  EXPECT_GT(torn, 10);
  EXPECT_LT(torn, 50);
  EXPECT_LT(lost, 20);
}

TEST_F(DiskTest, NamesThatWereNotSyncedMayGo) {
  int there = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Reset(seed);
    ASSERT_TRUE(files().CreateDirs("d").ok());
    ASSERT_TRUE(files().SyncDir("").ok());
    ASSERT_TRUE(files().OpenAppend("d/f").ok());
    p_->Crash();
    p_->Restart();
    if (*files().Exists("d/f")) ++there;
    EXPECT_TRUE(*files().Exists("d"));
  }
  EXPECT_GT(there, 5);
  EXPECT_LT(there, 35);
}

TEST_F(DiskTest, SyncedNamesAndAtomicWritesStay) {
  ASSERT_TRUE(files().CreateDirs("a/b").ok());
  ASSERT_TRUE(files().SyncDir("").ok());
  ASSERT_TRUE(files().SyncDir("a").ok());
  ASSERT_TRUE(files().WriteFileAtomically("a/b/VERSION", "1").ok());
  ASSERT_TRUE(files().OpenAppend("a/b/tmp").ok());
  ASSERT_TRUE(files().Rename("a/b/tmp", "a/b/log").ok());
  ASSERT_TRUE(files().SyncDir("a/b").ok());
  p_->Crash();
  EXPECT_FALSE(p_->alive());
  p_->Restart();
  EXPECT_EQ(*files().List("a/b"), (std::vector<std::string>{"VERSION", "log"}));
  EXPECT_EQ(*files().ReadFile("a/b/VERSION"), "1");
}

TEST_F(DiskTest, AFullDiskCountsNothingOfTheWrite) {
  WriteSynced("log", std::string(100, 'a'));
  p_->disk().faults.capacity = 150;
  absl::Status status = sim_->Run(p_, [&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto file, files().OpenAppend("log"));
    absl::Status full = co_await file->WriteAndSync(ctx, std::string(100, 'b'));
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(file->size(), 100u);
    co_return co_await file->WriteAndSync(ctx, "c");
  }, 10s);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*files().ReadFile("log"), std::string(100, 'a') + "c");
}

TEST_F(DiskTest, ErrorsAndBitFlipsAreInjected) {
  WriteSynced("log", "hello");
  EXPECT_TRUE(p_->disk().FlipBit("log", 0, 0));
  EXPECT_EQ(*files().ReadFile("log"), "iello");
  p_->disk().faults.bit_flip_chance = 1;
  EXPECT_NE(*files().ReadFile("log"), "iello");
  p_->disk().faults.read_error_chance = 1;
  EXPECT_EQ(files().ReadFile("log").status().code(), absl::StatusCode::kDataLoss);
  p_->disk().faults.write_error_chance = 1;
  absl::Status status = sim_->Run(p_, [&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto file, files().OpenAppend("log"));
    EXPECT_EQ((co_await file->WriteAndSync(ctx, "x")).code(), absl::StatusCode::kDataLoss);
    p_->disk().faults.write_error_chance = 0;
    co_return co_await file->WriteAndSync(ctx, "y");
  }, 10s);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "the file is unusable after an error";
}

TEST_F(DiskTest, LocksExcludeUntilReleasedOrCrashed) {
  auto lock = files().LockFile("LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(files().LockFile("LOCK").status().code(), absl::StatusCode::kUnavailable);
  lock->reset();
  EXPECT_TRUE(files().LockFile("LOCK").ok());
}

// ----------------------------------------------------------------------------------------------------------- streams

TEST(SimNetwork, ByteStreamsCarryEverythingThroughTls) {
  Simulation sim(5);
  SimProcess* server = sim.AddProcess("server");
  SimProcess* client = sim.AddProcess("client");
  const std::string text = SeededRandom(9).Bytes(300'000);
  std::string received;
  TlsSessionInfo seen;
  server->Spawn([&](Context ctx) -> Task<void> {
    auto listener = server->runtime().network->Listen(":5432");
    CHECK_OK(listener.status());
    auto stream = co_await (*listener)->Accept(ctx);
    char buffer[1000];
    auto n = co_await (*stream)->Read(ctx, buffer, 3);  // the first bytes, as a proxy sniffs them
    TlsServerOptions options;
    options.identity = TlsIdentity::ForSimulation(Named("server"));
    options.require_client_certificate = true;
    options.alpn = "postgresql";
    auto info = co_await (*stream)->StartTlsServer(ctx, options, std::string(buffer, *n));
    CHECK_OK(info.status());
    seen = *info;
    while (true) {
      auto more = co_await (*stream)->Read(ctx, buffer, sizeof(buffer));
      if (!more.ok() || *more == 0) break;
      received.append(buffer, *more);
    }
  });
  absl::Status status = sim.Run(client, [&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client->runtime().network->Dial(ctx, "server:5432"));
    TlsClientOptions options;
    options.identity = TlsIdentity::ForSimulation(Named("client"));
    options.server_name = "acme-7.example";
    options.alpn = "postgresql";
    CO_ASSIGN_OR_RETURN(auto info, co_await stream->StartTlsClient(ctx, options));
    EXPECT_EQ(info.peer.common_name, "server");
    co_return co_await stream->Write(ctx, text);
  }, 60s);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sim.RunUntil([&] { return received.size() == text.size(); }, 10s));
  EXPECT_EQ(received, text);
  EXPECT_EQ(seen.sni, "acme-7.example");
  EXPECT_EQ(seen.alpn, "postgresql");
  EXPECT_EQ(seen.peer.common_name, "client");
}

}  // namespace
}  // namespace insula
