// libFuzzer target: what comes from other stores and from the disk, as any bytes at all. Each decoder says what is wrong, or gives something;
// what it gave, encoded, decodes to the same. A log opens, or says why it does not. The first byte picks.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/sim/simulation.h"
#include "kv/multiraft/command.h"
#include "kv/multiraft/liveness_driver.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/log_record.h"
#include "kv/multiraft/raft_convert.h"
#include "kv/multiraft/range_state.h"
#include "kv/multiraft/redo.h"
#include "kv/storage/write_batch.h"
#include "proto/kv/raft.pb.h"

using namespace insula;      // NOLINT
using namespace insula::kv;  // NOLINT

namespace {

void FuzzCommand(std::string_view in) {
  Command command;
  if (!DecodeCommand(in, &command).ok()) return;
  Command again;
  CHECK_OK(DecodeCommand(EncodeCommand(command), &again));
  CHECK(again.write_set == command.write_set && again.max_lease_index == command.max_lease_index && again.split.has_value() == command.split.has_value());
}

void FuzzWriteBatch(std::string_view in) {
  auto batch = storage::WriteBatch::FromBytes(std::string(in));
  if (!batch.ok()) return;
  storage::WriteBatch::Cursor cursor(*batch);
  storage::WriteBatch::Change change;
  size_t bytes = 0;
  while (cursor.Next(&change)) bytes += change.key.size() + change.value.size();
  CHECK(bytes <= in.size());
}

void FuzzMessages(std::string_view in) {
  v1::StoreMessages messages;
  if (!messages.ParseFromArray(in.data(), static_cast<int>(in.size()))) return;
  for (auto& envelope : *messages.mutable_raft()) {
    raft::Message message;
    (void)FromProto(std::move(*envelope.mutable_message()), &message);
  }
  for (const auto& liveness : messages.liveness()) {
    LivenessMessage message;
    (void)FromProto(liveness, &message);
  }
}

constexpr char kFile[] = "/log/0000000000000001.log";

// A log of two ranges, with all kinds of records.
std::string SoundLog() {
  Simulation sim(1);
  SimProcess* host = sim.AddProcess("n1");
  Runtime runtime = host->runtime();
  CHECK_OK(runtime.files->CreateDirs("/log"));
  std::unique_ptr<LogEngine> log = *LogEngine::Open(runtime, {.path = "/log", .store_id = 7});
  auto write = [&](LogBatch batch) { CHECK_OK(sim.Run(host, [&](Context ctx) { return log->AppendAndWait(ctx, std::move(batch)); }, std::chrono::seconds(60))); };
  for (RangeId range : {1, 2}) {
    LogBatch first, second;
    first.SetReplica(range, 1);
    first.SetHardState(range, {.term = 1, .vote = 1, .commit = 1});
    first.AppendEntries(range, {{.term = 1, .index = 1, .data = std::string(30, 'a')}, {.term = 1, .index = 2, .data = std::string("b")}});
    write(std::move(first));
    second.AppendEntries(range, {{.term = 2, .index = 2, .data = std::string(100, 'c')}, {.term = 2, .index = 3, .data = std::string()}});
    second.SetMeta("key", "value");
    write(std::move(second));
  }
  log.reset();
  return *runtime.files->ReadFile(kFile);
}

// Each three bytes change one of the log's; an odd number of bytes cuts it first.
void FuzzLog(std::string_view in) {
  static const std::string* const kSound = new std::string(SoundLog());
  std::string file = *kSound;
  if (in.size() % 2 == 1) {
    file.resize(static_cast<uint8_t>(in[0]) * file.size() / 255);
    in.remove_prefix(1);
  }
  for (; in.size() >= 3 && !file.empty(); in.remove_prefix(3)) {
    const size_t at = (static_cast<uint8_t>(in[0]) << 8 | static_cast<uint8_t>(in[1])) % file.size();
    file[at] = static_cast<char>(file[at] ^ in[2]);
  }
  Simulation sim(1);
  SimProcess* host = sim.AddProcess("n1");
  Runtime runtime = host->runtime();
  CHECK_OK(runtime.files->CreateDirs("/log"));
  CHECK_OK(runtime.files->WriteFileAtomically(kFile, file));
  auto log = LogEngine::Open(runtime, {.path = "/log", .store_id = 7});
  if (!log.ok()) return;
  for (RangeId range : {1, 2}) {
    if (!(*log)->Has(range)) continue;
    const uint64_t lo = (*log)->TruncatedIndex(range) + 1, hi = (*log)->LastIndex(range) + 1;
    if (lo < hi) (void)(*log)->Entries(range, lo, hi, 1 << 20);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  Redo redo;
  RangeState state;
  SegmentHeader header;
  LivenessState liveness;
  switch (data[0] % 8) {
    case 0: FuzzCommand(in); break;
    case 1: FuzzWriteBatch(in); break;
    case 2: FuzzMessages(in); break;
    case 3: FuzzLog(in); break;
    case 4: (void)DecodeRedo(in, &redo); break;
    case 5: (void)DecodeRangeState(in, &state); break;
    case 6: (void)DecodeSegmentHeader(in, &header); break;
    case 7: (void)DecodeLivenessState(in, &liveness); break;
  }
  return 0;
}
