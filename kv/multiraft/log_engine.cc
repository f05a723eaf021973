// The log engine's writer: drains the queue, writes one frame, syncs once, tells everybody.
#include "kv/multiraft/log_engine.h"

#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/storage/varint.h"

namespace insula::kv {

void LogBatch::Add(RecordHeader header, std::string_view payload, raft::Payload shared) {
  size_t offset = bytes_.size();
  AppendRecord(&bytes_, header, payload);
  header.payload_length = static_cast<uint32_t>(payload.size());
  records_.push_back({header, offset, std::move(shared)});
}

void LogBatch::AppendEntries(RangeId range, const std::vector<raft::Entry>& entries) {
  for (const raft::Entry& e : entries) Add({.type = RecordType::kEntry, .entry_type = e.type, .range = range, .index = e.index, .term = e.term}, e.data.view(), e.data);
}
void LogBatch::SetHardState(RangeId range, const raft::HardState& state) { Add({.type = RecordType::kHardState, .range = range}, EncodeHardState(state)); }
void LogBatch::Truncate(RangeId range, uint64_t index, uint64_t term) { Add({.type = RecordType::kTruncate, .range = range, .index = index, .term = term}, {}); }
void LogBatch::Reset(RangeId range, uint64_t index, uint64_t term) { Add({.type = RecordType::kReset, .range = range, .index = index, .term = term}, {}); }
void LogBatch::SetReplica(RangeId range, ReplicaId replica) { Add({.type = RecordType::kReplica, .range = range, .index = replica}, {}); }
void LogBatch::Tombstone(RangeId range, ReplicaId next_replica) { Add({.type = RecordType::kTombstone, .range = range, .index = next_replica}, {}); }
void LogBatch::Redo(uint64_t id, std::string_view payload) { Add({.type = RecordType::kRedo, .index = id}, payload); }
void LogBatch::RedoDone(uint64_t id) { Add({.type = RecordType::kRedoDone, .index = id}, {}); }
void LogBatch::SetMeta(std::string_view key, std::string_view value) {
  std::string payload;
  storage::AppendString(&payload, key);
  payload.append(value);
  Add({.type = RecordType::kMeta}, payload);
}

LogEngine::LogEngine(const Runtime& runtime, LogOptions options)
    : runtime_(runtime), options_(std::move(options)), last_sync_(runtime.executor->Now()), tasks_(Context::Background(runtime.executor)) {}

LogEngine::~LogEngine() = default;

absl::StatusOr<std::unique_ptr<LogEngine>> LogEngine::Open(const Runtime& runtime, const LogOptions& options) {
  std::unique_ptr<LogEngine> engine(new LogEngine(runtime, options));
  RETURN_IF_ERROR(engine->Recover());
  engine->tasks_.Spawn(engine->Writer());
  return engine;
}

void LogEngine::Append(LogBatch batch, Done done) {
  if (!failure_.ok()) {
    if (done) runtime_.executor->Post([done = std::move(done), why = failure_]() mutable { done(why); });
    return;
  }
  queue_.push_back({std::move(batch), std::move(done), /*urgent=*/true});
  ++appends_;
  urgent_ = true;
  work_.NotifyAll();
}

void LogEngine::AfterAppended(Done done) {
  if (failure_.ok() && durable_appends_ < appends_) {
    after_.push_back({appends_, std::move(done)});
    return;
  }
  runtime_.executor->Post([done = std::move(done), how = failure_]() mutable { done(how); });
}

void LogEngine::AppendLazily(LogBatch batch) {
  if (failure_.ok() && !batch.empty()) queue_.push_back({std::move(batch), nullptr, /*urgent=*/false});
}

Task<absl::Status> LogEngine::AppendAndWait(Context ctx, LogBatch batch) {
  struct Result {
    Event done;
    absl::Status status;
  };
  auto result = std::make_shared<Result>();  // shared: the waiter may go before the writer gets there
  Append(std::move(batch), [result](absl::Status s) {
    result->status = std::move(s);
    result->done.Set();
  });
  CO_RETURN_IF_ERROR(co_await result->done.Wait(ctx));
  co_return result->status;
}

std::string LogEngine::SegmentPath(uint64_t number) const {
  char name[32];
  std::snprintf(name, sizeof(name), "/%016llu.log", static_cast<unsigned long long>(number));
  return options_.path + name;
}

absl::Status LogEngine::OpenSegment() {
  std::string path = SegmentPath(next_segment_);
  ASSIGN_OR_RETURN(bool left_over, runtime_.files->Exists(path));
  if (left_over) RETURN_IF_ERROR(runtime_.files->Remove(path));  // of an attempt that failed
  ASSIGN_OR_RETURN(file_, runtime_.files->OpenAppend(path));
  return absl::OkStatus();
}

// Durable when it returns OK. Otherwise what was written does not count, and no file is open.
Task<absl::Status> LogEngine::WriteFrame(std::string body) {
  std::string data;
  bool fresh = file_ == nullptr;
  if (fresh) {
    CO_RETURN_IF_ERROR(OpenSegment());
    data = EncodeSegmentHeader({.number = next_segment_, .store_id = options_.store_id, .previous_length = segments_.empty() ? 0 : segments_.back().size});
  }
  AppendFrameHeader(&data, {.body_length = static_cast<uint32_t>(body.size()), .sequence = next_frame_});
  data.append(body);
  const uint64_t size = data.size();
  const MonoTime from = runtime_.executor->Now();
  absl::Status s = co_await file_->WriteAndSync(tasks_.ctx(), std::move(data));
  if (s.ok() && fresh && !fault::On(fault::Mutation::kSkipFsync)) s = runtime_.files->SyncDir(options_.path);
  if (!s.ok()) {
    file_.reset();
    co_return s;
  }
  if (fresh) segments_.push_back({.number = next_segment_++, .size = 0, .live = 0});
  segments_.back().size += size;
  ++next_frame_;
  ++stats_.syncs;
  stats_.bytes += size;
  last_sync_ = runtime_.executor->Now();
  options_.metrics->log_sync_seconds.Observe(ToSeconds(last_sync_ - from));
  co_return absl::OkStatus();
}

Task<void> LogEngine::Writer() {
  for (;;) {
    while (!urgent_) {
      if (!(co_await work_.Wait(tasks_.ctx())).ok()) co_return;
    }
    // Everything that is queued now goes into one frame.
    std::vector<Pending> taken;
    std::string body;
    while (!queue_.empty() && (taken.empty() || body.size() + queue_.front().batch.bytes_.size() <= options_.max_frame_bytes)) {
      body.append(queue_.front().batch.bytes_);
      taken.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    urgent_ = !queue_.empty();
    bool tried_new_segment = false;
    while (!body.empty()) {  // empty: nothing but people who wait for what came before
      absl::Status s = co_await WriteFrame(body);
      if (s.ok()) break;
      if (tasks_.ctx().done()) co_return;
      if (s.code() == absl::StatusCode::kResourceExhausted) {
        full_ = true;
        PROBE("the log waited for room on a full disk");
        if (!(co_await Sleep(tasks_.ctx(), options_.full_retry)).ok()) co_return;
        continue;
      }
      if (!tried_new_segment) {
        tried_new_segment = true;
        PROBE("a write to the log failed and went to a new segment");
        continue;
      }
      failure_ = absl::Status(s.code(), StrCat("log engine: ", s.ToString()));
      for (Pending& p : taken) {
        if (p.done) p.done(failure_);
      }
      while (!queue_.empty()) {
        Pending p = std::move(queue_.front());
        queue_.pop_front();
        if (p.done) p.done(failure_);
      }
      for (After& a : std::exchange(after_, {})) a.done(failure_);
      if (on_failure_) std::exchange(on_failure_, nullptr)(failure_);
      co_return;
    }
    full_ = false;
    // The frame's body ends where the segment does.
    uint64_t at = segments_.empty() ? 0 : segments_.back().size - body.size();
    for (Pending& p : taken) {
      for (LogBatch::Record& r : p.batch.records_) {
        Location where{segments_.back().number, static_cast<uint32_t>(at + r.offset), static_cast<uint32_t>(r.header.size())};
        ApplyRecord(r.header, std::string_view(p.batch.bytes_).substr(r.offset + kRecordHeaderSize, r.header.payload_length), where, std::move(r.payload));
      }
      at += p.batch.bytes_.size();
    }
    stats_.batches += taken.size();
    options_.metrics->log_batches_per_sync.Observe(static_cast<double>(taken.size()));
    TrimCache();
    if (!segments_.empty() && segments_.back().size >= options_.segment_bytes) file_.reset();  // the next frame opens a new one
    RemoveDeadSegments();
    if (NeedsRewrite()) {
      Pending rewrite;
      ComposeRewrite(&rewrite.batch);
      if (!rewrite.batch.empty()) {
        queue_.push_front(std::move(rewrite));  // before anything that could change what it copies
        urgent_ = true;
      }
    }
    for (const Pending& p : taken) durable_appends_ += p.urgent ? 1 : 0;
    for (Pending& p : taken) {
      if (p.done) p.done(absl::OkStatus());
    }
    while (!after_.empty() && after_.front().appends <= durable_appends_) {
      After after = std::move(after_.front());
      after_.pop_front();
      after.done(absl::OkStatus());
    }
  }
}

}  // namespace insula::kv
