#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/control/records.h"
#include "millrace/model/ids.h"
#include "millrace/operations/operations.h"

namespace millrace::runtime {

/// What a worker says of itself when its link to a coordinator opens.
struct Hello {
  std::string cluster;  ///< empty: it has read no Claim yet
  control::Process process;
  /// The instance that ran on its data directory before. It is dead for certain, since the worker
  /// holds the directory's lock. 0: none is known.
  uint64_t predecessor = 0;
  std::string versions;  ///< which semantics versions it runs
  int64_t executors = 1;
  int64_t memory = 0;    ///< bytes that its shards may take; 0: not known
  bool standby = false;  ///< it takes only shards that have no owner
};

/// A shard that a worker runs, opens or follows.
struct ShardReport {
  operations::ShardInfo info;
  int64_t rows_made = 0;
  int64_t rows_applied = 0;
  /// What it took of its executor and read of the log since it was opened.
  Executor::Duration busy{0};
  int64_t bytes = 0;
  int64_t state_bytes = 0;
  /// It is less than a second, or 1,000 records, behind the end of its log.
  bool level = false;
  std::string cannot;  ///< the store that it has not reached for long; empty: none
};

struct Report {
  bool draining = false;
  std::string cannot;  ///< which store no shard of it reaches; empty: none
  /// The highest number of a leader that answers it now, over any of its links. 0: none does.
  int64_t leader = 0;
  std::vector<ShardReport> shards;
};

/// What a coordinator says to a report.
struct Answer {
  /// The number under which it leads. 0: it does not, and its wishes count for nothing.
  int64_t leader = 0;
  std::vector<ShardId> follow;  ///< the whole wish: all that the worker is to follow
};

/// Most shards in a report and in an answer, and the longest message of one.
inline constexpr size_t kMostShardsReported = 20'000;
inline constexpr size_t kLongestMessage = 4'000;

/// What a coordinator asks of one worker.
///
/// Threads: the coordinator's control executor. Errors: kUnavailable, it does not answer.
class WorkerQuestions {
 public:
  virtual ~WorkerQuestions() = default;

  /// Its report as it would be now.
  virtual Task<Result<Report>> ReportNow() = 0;
  /// Producers of its shards that read the stream; a producer comes once for each shard. At most
  /// operations::Operations::kMostProducers of a shard.
  virtual Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string name_space,
                                                                            std::string stream,
                                                                            Principal principal,
                                                                            std::string prefix) = 0;
  /// Waits until it has read the shard to `offset`, and until the serving store holds all that this
  /// made. kConflict: the shard is not its own any more. kUnavailable: the shard does not run, or
  /// has not come so far within `patience`, or the caller left. kNotFound: it was dropped.
  virtual Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                                   operations::Operations::Left left) = 0;
  /// There is news for it: it sends its next report at once, for the answer.
  virtual void Wake() = 0;
};

/// What a worker says to one coordinator, which it does for every coordinator that it knows of.
/// Nothing that decides goes this way: who owns a shard, and which checkpoints count, stands in the
/// control log alone. A link that breaks loses knowledge, never correctness.
///
/// Threads: the worker's control executor. Errors: kUnavailable, the link broke or the coordinator
/// does not answer; Open it again. kResourceExhausted: the coordinator knows too many workers.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;

  /// Opens the link, in place of one that broke. The coordinator asks `worker` while it is open.
  virtual Task<Status> Open(Hello hello, std::shared_ptr<WorkerQuestions> worker) = 0;
  virtual Task<Result<Answer>> Send(Report report) = 0;
  /// The worker's last word: it has stopped.
  virtual Task<> Bye() = 0;
};

}  // namespace millrace::runtime
