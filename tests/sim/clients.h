#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/fleet.h"

namespace millrace::sim {

/// A producer of the outside world. It sends to some gateway, several requests one after another,
/// and after any doubt all again from the first event that is not acknowledged, to any gateway.
class Client {
 public:
  Client(SimWorld* world, Fleet* fleet, std::string id)
      : world_(world), fleet_(fleet), id_(std::move(id)) {}

  /// Sends what is due and takes the answers that came; call it often. `fresh`: it may make new
  /// events.
  void Step(bool fresh);
  bool idle() const { return unsettled_.empty(); }

  int64_t acknowledged() const { return acknowledged_; }
  int64_t unsettled() const { return static_cast<int64_t>(unsettled_.size()); }

 private:
  using Events = std::deque<std::pair<int64_t, std::string>>;
  using Answer = std::shared_ptr<std::optional<ingest::PublishReply>>;
  static constexpr size_t kBatch = 4;
  static constexpr auto kPatience = std::chrono::seconds(10);

  void MakeEvents();
  void Send();
  void TakeAnswers();
  void Doubt();
  Process* AnyGateway();

  SimWorld* const world_;
  Fleet* const fleet_;
  const std::string id_;
  int64_t next_ = 1;
  int64_t acknowledged_ = 0;
  Events unsettled_;
  std::deque<Answer> answers_;  ///< of the requests under way, in their order
  SimExecutor* gateway_ = nullptr;
  Executor::Duration give_up_at_{0};
  Executor::Duration next_send_{0};
  std::shared_ptr<ingest::Lane> lane_;
};

}  // namespace millrace::sim
