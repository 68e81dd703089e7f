#include "millrace/runtime/result_reader.h"

#include <vector>

#include "millrace/base/facts.h"
#include "millrace/control/settings.h"
#include "millrace/serving/table_shape.h"
#include "names.h"

namespace millrace::runtime {
namespace {

/// Of a caller that waits for rows; after that nobody listens any more.
constexpr auto kLongestWait = std::chrono::hours(1);

}  // namespace

Task<Status> ResultReader::WaitApplied(std::string name_space, std::string name,
                                       operations::Operations::Left left) {
  const Incarnation* found = control_.fold().Current(name_space, name);
  if (found == nullptr) co_return NoSuchPipeline(control_.fold(), name_space, name);
  const auto deadline = Executor::Current().Monotonic() + kLongestWait;
  const Incarnation incarnation = *found;
  if (control::IsPaused(control_.fold(), incarnation))
    co_return Conflict("the pipeline is paused and reads nothing; `millrace pipeline resume` first",
                       {{"pipeline", Qualified(name_space, name)}});
  const StreamSpec stream = *control_.fold().FindStream(
      name_space, control_.fold().pipelines().at(incarnation).spec.stream);
  std::vector<Offset> ends;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    MILLRACE_CO_ASSIGN(const OffsetRange range,
                       co_await ports_.log->Range(stream.topic, PartitionId(p)));
    ends.push_back(range.end);
  }
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const ShardId shard{incarnation, PartitionId(p)};
    const auto at = control_.fold().shards().find(shard);
    if (at != control_.fold().shards().end() && at->second.halt) {
      co_return Unavailable("a shard does not run; see `millrace shard list`",
                            {{"shard", shard.ToString()}});
    }
    const Status applied =
        co_await workers_.WaitApplied(shard, ends[static_cast<size_t>(p)], deadline, left);
    // Dropped while this waited.
    if (!applied.ok() && applied.error().code == Code::kNotFound)
      co_return NoSuchPipeline(control_.fold(), name_space, name);
    MILLRACE_CO_TRY(applied);
  }
  co_return Status();
}

Task<Result<std::shared_ptr<RowCursor>>> ResultReader::OpenQuery(ServingQuery query) {
  const Incarnation* found = control_.fold().Current(query.name_space, query.name);
  if (found == nullptr) co_return NoSuchPipeline(control_.fold(), query.name_space, query.name);
  if (query.output == Output::kResults)
    MILLRACE_CO_TRY(CheckKeys(control_.fold().pipelines().at(*found).spec, query));
  auto cursor = co_await ports_.served->Open(std::move(query));
  co_return cursor;
}

}  // namespace millrace::runtime
