#pragma once

#include <memory>
#include <string>

#include "millrace/runtime/worker_link.h"

namespace millrace::rpc {

/// The link from a worker to a coordinator in another process, over gRPC.
///
/// Life: Close() or destroy it before the executor that called it is destroyed. Threads: as
/// WorkerLink, Close() any but an executor's. Errors: as WorkerLink; one that keeps it from opening
/// is logged too, once a minute. Bounds: a link opens within 3 s and an answer comes within 5 s, or
/// it breaks.
class LinkClient : public runtime::WorkerLink {
 public:
  /// `coordinator`: HOST:PORT.
  explicit LinkClient(std::string coordinator);
  ~LinkClient() override;

  Task<Status> Open(runtime::Hello hello,
                    std::shared_ptr<runtime::WorkerQuestions> worker) override;
  Task<Result<runtime::Answer>> Send(runtime::Report report) override;
  /// Ends when the coordinator has heard it, or at the latest when an answer would be late.
  Task<> Bye() override;

  /// Breaks the link for good and waits until gRPC calls nothing of it any more.
  void Close();

 private:
  struct State;

  const std::shared_ptr<State> state_;
};

}  // namespace millrace::rpc
