#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/runtime/worker_link.h"

namespace millrace::worker::v1 {
class FromCoordinator;
class Question;
class Reply;
}  // namespace millrace::worker::v1

namespace millrace::rpc {

/// A worker at the other end of a link, to be asked by a coordinator. Questions that the worker
/// does not answer end with kUnavailable, at the latest when the link breaks.
///
/// Threads: the control executor. Bounds: kMostQuestions.
class RemoteWorker : public runtime::WorkerQuestions {
 public:
  static constexpr size_t kMostQuestions = 1'024;

  /// `write` gives a message to the link; false: it is broken.
  explicit RemoteWorker(std::function<bool(worker::v1::FromCoordinator)> write)
      : write_(std::move(write)) {}

  Task<Result<runtime::Report>> ReportNow() override;
  Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string name_space,
                                                                    std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override;
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                           operations::Operations::Left left) override;
  void Wake() override;

  void OnReply(worker::v1::Reply reply);
  void OnBroken();

 private:
  struct Asked;
  class Question;

  Task<Result<worker::v1::Reply>> Ask(worker::v1::Question question, Executor::Duration patience,
                                      operations::Operations::Left left);

  const std::function<bool(worker::v1::FromCoordinator)> write_;
  const std::shared_ptr<std::map<int64_t, std::shared_ptr<Asked>>> asked_ =
      std::make_shared<std::map<int64_t, std::shared_ptr<Asked>>>();
  int64_t last_ = 0;
  bool broken_ = false;
};

}  // namespace millrace::rpc
