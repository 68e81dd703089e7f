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
      self->Halt(std::string("a broken invariant in a sink: ") + broken.what() +
                 "; report it, then start the process again");
    }
    self.reset();
  };
  for (const Output output :
       {Output::kResults, Output::kProvisional, Output::kLate, Output::kQuarantine}) {
    Executor::Current().Spawn(keep(shared_from_this(), ServingLoop(output)));
  }
  Executor::Current().Spawn(keep(shared_from_this(), FileLoop()));
}

Task<> Shard::ServingLoop(Output output) {
  const std::string part = "sink_" + std::string(OutputName(output));
  Backoff backoff(options_.retry_first, options_.retry_last);
  auto written = Executor::Current().Monotonic();
  while (alive()) {
    std::vector<OutputRow> rows = outbox_.Next(output, options_.sink_rows);
    Status status;
    if (!rows.empty()) {
      status = co_await ApplyBatch(output, std::move(rows));
      written = Executor::Current().Monotonic();
    } else if (Executor::Current().Monotonic() - written >= options_.fence_check) {
      status = co_await CheckFence(output);
      written = Executor::Current().Monotonic();
    } else {
      co_await outbox_.changed().WaitFor(options_.fence_check);
    }
    if (status.ok()) {
      backoff.Reset();
      troubles_.Worked(part);
      continue;
    }
    if (!alive()) break;
    telemetry_.SinkFailed(output);
    troubles_.Failed(part, "see to the table store and its disk; rows wait until it takes them",
                     status.error());
    co_await Delay(backoff.Next());
  }
}

Task<Status> Shard::ApplyBatch(Output output, std::vector<OutputRow> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<ShardTelemetry::Moment> moments;
  if (output == Output::kResults) moments = ShardTelemetry::MomentsOf(rows);
  const auto begun = Executor::Current().Monotonic();
  ServingBatch batch{
      id_, output, epoch_, outbox_.applied(output), rows.back().seq, std::move(rows)};
  const int64_t high = batch.high;
  CrashPoint("sink.serving.before_apply");
  const Status applied = co_await ports_.serving->Apply(std::move(batch));
  CrashPoint("sink.serving.after_apply");
  if (applied.ok()) {
    telemetry_.SinkApplied(output, count, Executor::Current().Monotonic() - begun);
    telemetry_.Readable(moments, Executor::Current().Wall());
    if (outbox_.applied(output) < high) outbox_.SetApplied(output, high);
    co_return Status();
  }
  // Whether it was written or not, and why not, the fence knows.
  MILLRACE_CO_TRY(co_await CheckFence(output));
  if (applied.error().code == Code::kConflict || !alive()) co_return Status();
  co_return applied;
}

Task<Status> Shard::CheckFence(Output output) {
  const int64_t believed = outbox_.applied(output);
  MILLRACE_CO_ASSIGN(const std::optional<Fence> read,
                     co_await ports_.serving->ReadFence(id_, output));
  if (!alive()) co_return Status();
  const bool lost = !read || read->epoch < fence_epoch();
  if (!lost && read->epoch > fence_epoch()) {
    LogInfo("a newer owner writes the serving store, this one stops",
            {{"shard", id_.ToString()}, {"epoch", epoch_.value}, {"newer", read->epoch.value}});
    fenced_ = true;
    Stop();
    co_return Status();
  }
  if (lost || read->seq < believed) {
    LogWarn(
        "the serving store went back, the shard is opened anew from a checkpoint that it covers",
        {{"shard", id_.ToString()},
         {"output", OutputName(output)},
         {"had", believed},
         {"has", read ? read->seq : 0}});
    AwaitEpoch("the serving store went back");
  } else if (read->seq > outbox_.applied(output)) {
    outbox_.SetApplied(output, read->seq);
  }
  co_return Status();
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
  const std::string object =
      ResultFileKey{id_, FormatDate(file.end.file_interval_start), file.first, file.end.seq}
          .ToString();
  const auto begun = Executor::Current().Monotonic();
  const auto there = co_await ports_.objects->Stat(object);
  if (!there.ok() && there.error().code != Code::kNotFound) co_return there.error();
  if (!there.ok()) {
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
  outbox_.SetApplied(Output::kFiles, file.end.seq);
  co_return Status();
}

}  // namespace millrace::runtime
