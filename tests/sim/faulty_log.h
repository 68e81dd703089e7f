#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "millrace/log/log.h"
#include "sim/network.h"
#include "support/forwarding_log.h"

namespace millrace::sim {

/// A log behind a link.
class FaultyLog : public test::ForwardingLog {
 public:
  FaultyLog(EventLog* inner, Network* network, const Faults* faults)
      : ForwardingLog(inner), link_(network, faults) {}

  Link& link() { return link_; }

  Task<Status> CreateTopic(TopicSpec topic) override {
    const std::function<Task<Status>()> create = [log = inner(), topic] {
      return log->CreateTopic(topic);
    };
    auto r = co_await link_.Change(create);
    co_return r;
  }
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override {
    MILLRACE_CO_TRY(co_await link_.There());
    auto r = co_await inner()->DescribeTopic(std::move(name));
    co_return r;
  }
  Task<Result<ForeignTopic>> CheckForeignTopic(std::string name) override {
    MILLRACE_CO_TRY(co_await link_.There());
    auto r = co_await inner()->CheckForeignTopic(std::move(name));
    co_return r;
  }
  Task<Status> RemoveTopic(TopicSpec topic) override {
    const std::function<Task<Status>()> remove = [log = inner(), topic] {
      return log->RemoveTopic(topic);
    };
    auto r = co_await link_.Change(remove);
    co_return r;
  }
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    SimWorld& world = link_.network().world();
    // Appends to a partition take effect in the order in which they were started, whatever each
    // one's delay is.
    Executor::Duration& next = next_append_[{topic, partition}];
    next = std::max(next, world.now() + link_.NextDelay());
    const Executor::Duration due = next;
    const auto chain = entry.chain;
    const Appending append = [log = inner(), topic, partition, entry] {
      return log->Append(topic, partition, entry);
    };
    const Appending again = Unchained(topic, partition, entry);
    InFlight<Result<Offset>> change(&link_, append, due, [chain] { Break(chain); });
    co_await Delay(due - world.now());
    if (Broken(chain)) {
      change.Lost();
      co_return BehindFailedAppend();
    }
    if (!hold_next_.empty() && topic == hold_topic_ &&
        entry.value.find(hold_next_) != entry.value.npos) {
      hold_next_.clear();
      held_ = again;
      change.Lost();
      co_return OnItsWay();
    }
    const bool lose = topic == unanswered_topic_ && unanswered_ > 0;
    if (lose) --unanswered_;
    auto r = co_await AppendOnce(&change, append, again);
    if (r.ok() && lose) r = Unavailable("injected: outcome unknown");
    if (!r.ok()) Break(chain);
    co_return r;
  }
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    return std::make_unique<Reader>(&link_, inner()->OpenReader(std::move(topic), partition, from));
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    MILLRACE_CO_TRY(co_await link_.There());
    auto r = co_await inner()->Range(std::move(topic), partition);
    co_return r;
  }
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override {
    const std::function<Task<Status>()> remove = [log = inner(), topic, partition, before] {
      return log->DeleteBefore(topic, partition, before);
    };
    auto r = co_await link_.Change(remove);
    co_return r;
  }

  /// The next n appends to the topic take effect and are answered as if nobody knew.
  void LoseAnswers(std::string topic, int n) {
    unanswered_topic_ = std::move(topic);
    unanswered_ = n;
  }
  int unanswered() const { return unanswered_; }
  /// The next append to the topic whose value holds this text is answered as if nobody knew, and
  /// takes effect at Release().
  void HoldNext(std::string topic, std::string text) {
    hold_topic_ = std::move(topic);
    hold_next_ = std::move(text);
  }
  Task<Result<Offset>> Release() {
    const Appending held = std::exchange(held_, nullptr);
    auto appended = co_await held();
    co_return appended;
  }

 private:
  using Appending = std::function<Task<Result<Offset>>()>;

  class Reader : public LogReader {
   public:
    Reader(Link* link, std::unique_ptr<LogReader> inner) : link_(link), inner_(std::move(inner)) {}
    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
      MILLRACE_CO_TRY(co_await link_->Question());
      auto batch = co_await inner_->Next(max_bytes, max_wait);
      co_return batch;
    }

   private:
    Link* const link_;
    const std::unique_ptr<LogReader> inner_;
  };

  /// A copy that arrives late is behind no failure any more: its sender knows of that one.
  Appending Unchained(std::string topic, PartitionId partition, LogEntry entry) {
    entry.chain = nullptr;
    return [log = inner(), topic = std::move(topic), partition, entry = std::move(entry)] {
      return log->Append(topic, partition, entry);
    };
  }
  Task<Result<Offset>> AppendOnce(InFlight<Result<Offset>>* change, Appending append,
                                  Appending again) {
    const Status arrives = co_await link_.Arrive();
    if (!arrives.ok()) {
      change->Lost();
      co_return arrives.error();
    }
    if (change->GoesLate(again)) co_return OnItsWay();
    auto r = co_await append();
    change->TookPlace(r.ok(), again);
    const Status back = co_await link_.Back();
    if (!back.ok()) co_return back.error();
    co_return r;
  }

  Link link_;
  std::map<std::pair<std::string, PartitionId>, Executor::Duration> next_append_;
  std::string hold_topic_;
  std::string hold_next_;
  Appending held_;
  std::string unanswered_topic_;
  int unanswered_ = 0;
};

}  // namespace millrace::sim
