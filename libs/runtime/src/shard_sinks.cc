#include <algorithm>

#include "backoff.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/model/object_keys.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {
void Shard::StartSinks() {
  const auto keep = [](std::shared_ptr<Shard> self, Task<> task) -> Task<> {
    try {
      co_await std::move(task);
    } catch (const InvariantViolation& broken) {
      self->Halt({std::string("a broken invariant in a sink: ") + broken.what() +
                      "; report it, then try again with `millrace shard retry " +
                      self->id().ToString() + "`",
                  "", false, std::nullopt, false});
    }
    self.reset();
  };
  Executor::Current().Spawn(keep(shared_from_this(), ServingLoop()));
  Executor::Current().Spawn(keep(shared_from_this(), FileLoop()));
}

/// One transaction takes what waits for all tables, so one loop serves them.
Task<> Shard::ServingLoop() {
  Backoff backoff(options_.retry_first, options_.retry_last);
  auto written = Executor::Current().Monotonic();
  while (alive()) {
    Outbox::Batch batch = outbox_.Next(options_.sink_rows);
    Status status;
    if (!batch.rows.empty()) {
      status = co_await ApplyBatch(std::move(batch));
      written = Executor::Current().Monotonic();
    } else if (Executor::Current().Monotonic() - written >= options_.fence_check) {
      status = co_await CheckFence();
      written = Executor::Current().Monotonic();
    } else {
      co_await outbox_.changed().WaitFor(options_.fence_check);
    }
    if (status.ok()) {
      backoff.Reset();
      troubles_.Worked("sink_tables");
      continue;
    }
    if (!alive()) break;
    for (const Output output : kServedOutputs) telemetry_.SinkFailed(output);
    troubles_.Failed("sink_tables",
                     "see to the table store and its disk; rows wait until it takes them",
                     status.error());
    co_await Delay(backoff.Next());
  }
}

Task<Status> Shard::ApplyBatch(Outbox::Batch rows) {
  std::array<int64_t, kOutputs + 1> counts = {};
  for (const OutputRow& row : rows.rows) ++counts[static_cast<size_t>(row.output)];
  const std::vector<ShardTelemetry::Moment> moments = ShardTelemetry::MomentsOf(rows.rows);
  const auto begun = Executor::Current().Monotonic();
  const LastRows to = rows.to;
  ServingBatch batch{id_, epoch_, outbox_.served(), to, std::move(rows.rows)};
  CrashPoint("sink.serving.before_apply");
  const Status applied = co_await ports_.serving->Apply(std::move(batch));
  CrashPoint("sink.serving.after_apply");
  if (applied.ok()) {
    const auto took = Executor::Current().Monotonic() - begun;
    for (const Output output : kServedOutputs) {
      const auto o = static_cast<size_t>(output);
      if (counts[o] > 0) telemetry_.SinkApplied(output, counts[o], took);
      if (outbox_.applied(output) < to[o].seq) outbox_.SetApplied(output, to[o]);
    }
    telemetry_.Readable(moments, Executor::Current().Wall());
    co_return Status();
  }
  if (applied.error().code == Code::kInvalidArgument) {
    // Tried again it would hold up all tables of the shard for ever.
    Halt(
        {"the table store will never take a row of this shard; see to what refuses it, then try "
         "again with `millrace shard retry " +
             id_.ToString() + "`",
         "error=\"" + applied.error().message + "\"", false, std::nullopt, false});
    co_return Status();
  }
  // Whether it was written or not, and why not, the fence knows.
  MILLRACE_CO_TRY(co_await CheckFence());
  if (applied.error().code == Code::kConflict || !alive()) co_return Status();
  co_return applied;
}

Task<Status> Shard::CheckFence() {
  const LastRows believed = outbox_.applied();
  std::vector<ShardId> own{id_};
  MILLRACE_CO_ASSIGN(const auto fences, co_await ports_.serving->ReadFences(std::move(own)));
  if (!alive()) co_return Status();
  const std::optional<Fence>& read = fences.front();
  if (read && read->epoch > fence_epoch()) {
    LogInfo("a newer owner writes the serving store, this one stops",
            {{"shard", id_.ToString()}, {"epoch", epoch_.value}, {"newer", read->epoch.value}});
    fenced_ = true;
    Stop();
    co_return Status();
  }
  if (read && read->epoch == fence_epoch()) {
    Believe(believed, read->last);
  } else {
    WentBack();
  }
  co_return Status();
}

void Shard::WentBack() {
  LogWarn("the serving store went back, the shard is opened anew from a checkpoint that it covers",
          {{"shard", id_.ToString()}, {"epoch", epoch_.value}});
  AwaitEpoch("the serving store went back");
}

/// The fence was at `held` when the shard took it to be at `believed`, or later.
void Shard::Believe(const LastRows& believed, const LastRows& held) {
  for (const Output output : kServedOutputs) {
    const auto o = static_cast<size_t>(output);
    if (held[o].seq < believed[o].seq) return WentBack();
  }
  for (const Output output : kServedOutputs) {
    const LastRow& row = held[static_cast<size_t>(output)];
    // A batch may have been applied since the fence was read.
    if (row.seq >= outbox_.applied(output)) outbox_.Believe(output, row);
  }
  CheckRows();
}

Task<> Shard::FileLoop() {
  Backoff backoff(options_.retry_first, options_.retry_last);
  std::optional<EncodedFile> encoded;
  while (alive()) {
    std::optional<Outbox::File> file = outbox_.NextFile();
    if (!file) {
      co_await outbox_.changed().Wait();
      continue;
    }
    const Status put = co_await PutFile(std::move(*file), &encoded);
    if (put.ok()) {
      encoded.reset();
      backoff.Reset();
      troubles_.Worked("sink_files");
      continue;
    }
    if (!alive()) break;
    telemetry_.SinkFailed(Output::kFiles);
    troubles_.Failed("sink_files", "see to the object store and its disk; files wait until then",
                     put.error());
    co_await Delay(backoff.Next());
  }
}

/// Name and bytes are the same whoever writes it, so one that exists stays. A file of which a skip
/// found the first rows put has the rest. `encoded` keeps the bytes for the next try.
Task<Status> Shard::PutFile(Outbox::File file, std::optional<EncodedFile>* encoded) {
  const uint64_t hash = Planted("hash_not_in_file_name") ? 0 : file.hash.lo;
  const ResultFileKey key{id_, FormatDate(file.end.file_interval_start), file.first, file.end.seq,
                          hash};
  const std::string object = key.ToString();
  const auto begun = Executor::Current().Monotonic();
  MILLRACE_CO_ASSIGN(const bool there, co_await HasFile(key));
  if (!alive()) co_return Status();
  if (!there) {
    if (!*encoded || (*encoded)->object != object) {
      auto bytes = co_await ports_.files->Encode(pipeline_.spec.select, std::move(file.rows));
      if (!bytes.ok()) {
        MILLRACE_CHECK(bytes.error().code != Code::kInternal, bytes.error().message);
        co_return bytes.error();
      }
      encoded->emplace(EncodedFile{object, std::move(*bytes)});
    }
    CrashPoint("sink.file.before_put");
    MILLRACE_CO_TRY(co_await ports_.objects->Put(object, (*encoded)->bytes));
    CrashPoint("sink.file.after_put");
    telemetry_.SinkApplied(Output::kFiles, file.end.seq - file.first + 1,
                           Executor::Current().Monotonic() - begun);
  }
  outbox_.SetApplied(Output::kFiles, {file.end.seq, file.hash});
  co_return Status();
}

/// Whether the file is there. One that begins with the same row and is another is of another log:
/// the shard halts.
Task<Result<bool>> Shard::HasFile(ResultFileKey key) {
  MILLRACE_CO_ASSIGN(const std::vector<ObjectInfo> objects,
                     co_await ports_.objects->List(key.Beginning(), "", kMaxObjectsListed));
  bool there = false;
  for (const ObjectInfo& object : objects) {
    const auto found = ResultFileKey::Parse(object.key);
    if (!found) continue;
    there |= *found == key;
    if (*found == key) continue;
    Halt(
        {"the object store holds a result file of another log: its first row has the number of "
         "one that this log makes; restore the log that belongs to it, or keep the file",
         "file=" + object.key, true});
  }
  co_return there;
}

}  // namespace millrace::runtime
