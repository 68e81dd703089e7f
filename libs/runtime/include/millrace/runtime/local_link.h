#pragma once

#include "millrace/runtime/worker_desk.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// The link between a worker and the coordinator of its own process.
class LocalLink : public WorkerLink {
 public:
  /// `desk` outlives it and is on the same control executor.
  explicit LocalLink(WorkerDesk* desk) : desk_(*desk) {}

  Task<Status> Open(Hello hello, std::shared_ptr<WorkerQuestions> worker) override {
    instance_ = hello.process.instance;
    co_return desk_.Open(std::move(hello), std::move(worker));
  }
  Task<Result<Answer>> Send(Report report) override {
    co_return desk_.Take(instance_, std::move(report));
  }
  Task<> Bye() override {
    desk_.Bye(instance_);
    co_return;
  }

 private:
  WorkerDesk& desk_;
  uint64_t instance_ = 0;
};

}  // namespace millrace::runtime
