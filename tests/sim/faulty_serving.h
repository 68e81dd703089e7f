#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"
#include "sim/network.h"

namespace millrace::sim {

/// A serving store behind a link.
class FaultyServingStore : public ServingTables, public ServingWriter {
 public:
  /// Over one store that is both ports.
  template <typename Store>
  FaultyServingStore(Store* inner, Network* network, const Faults* faults)
      : tables_(inner), inner_(inner), link_(network, faults) {}

  Link& link() { return link_; }

  Task<Result<std::string>> ReadMark() override {
    MILLRACE_CO_TRY(co_await link_.There());
    auto r = co_await tables_->ReadMark();
    co_return r;
  }
  Task<Result<std::string>> Mark(std::string mark, bool replace) override {
    const std::function<Task<Result<std::string>>()> set = [tables = tables_, mark, replace] {
      return tables->Mark(mark, replace);
    };
    auto r = co_await link_.Change(set);
    co_return r;
  }
  Task<Status> Define(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override {
    if (incarnation.name == refused_) co_return Refused();
    ++defines_begun_;
    while (hold_defines_) co_await Delay(std::chrono::milliseconds(1));
    const std::function<Task<Status>()> define = [tables = tables_, incarnation, stream, pipeline] {
      return tables->Define(incarnation, stream, pipeline);
    };
    auto r = co_await link_.Change(define);
    co_return r;
  }
  Task<Status> DropViews(Incarnation incarnation) override {
    if (incarnation.name == refused_) co_return Refused();
    const std::function<Task<Status>()> drop = [tables = tables_, incarnation] {
      return tables->DropViews(incarnation);
    };
    auto r = co_await link_.Change(drop);
    co_return r;
  }
  Task<Result<std::vector<Incarnation>>> ListViews() override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await tables_->ListViews();
    co_return r;
  }
  Task<Status> Attach(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    if (away_) co_return Away();
    auto r =
        co_await inner_->Attach(std::move(incarnation), std::move(stream), std::move(pipeline));
    co_return r;
  }
  Task<Result<Fence>> TakeOver(ShardId shard, Epoch epoch) override {
    if (away_) co_return Away();
    most_take_overs_ = std::max(most_take_overs_, ++take_overs_);
    const std::function<Task<Result<Fence>>()> take = [inner = inner_, shard, epoch] {
      return inner->TakeOver(shard, epoch);
    };
    auto r = co_await link_.Change(take);
    --take_overs_;
    co_return r;
  }
  Task<Result<std::vector<std::optional<Fence>>>> ReadFences(std::vector<ShardId> shards) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    if (away_) co_return Away();
    auto r = co_await inner_->ReadFences(std::move(shards));
    co_return r;
  }
  Task<Status> Apply(ServingBatch batch) override {
    if (away_ || refuse_batches_) co_return Away();
    if (std::exchange(hold_next_, false)) {
      held_ = std::move(batch);
      refuse_batches_ |= hold_last_;
      co_return OnItsWay();
    }
    const std::function<Task<Status>()> apply = [inner = inner_, batch] {
      return inner->Apply(batch);
    };
    auto r = co_await link_.Change(apply);
    co_return r;
  }
  Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) override {
    const std::function<Task<Result<int64_t>>()> remove = [tables = tables_, appended_before,
                                                           max_rows] {
      return tables->DeleteRaw(appended_before, max_rows);
    };
    auto r = co_await link_.Change(remove);
    co_return r;
  }
  /// From now on no pipeline of this name gets tables or loses them; empty: all do.
  void Refuse(std::string name) {
    refused_ = std::move(name);
    refusals_ = 0;
  }
  int refusals() const { return refusals_; }
  /// While they are held, tables that are asked for are not made yet.
  void HoldDefines(bool hold) { hold_defines_ = hold; }
  int defines_begun() const { return defines_begun_; }
  /// The most calls of TakeOver that were under way at once.
  int most_take_overs() const { return most_take_overs_; }
  /// The next batch is answered as if nobody knew, and takes effect at Release(), if it still can.
  /// `last`: batches behind it are refused.
  void HoldNext(bool last = false) {
    hold_next_ = true;
    hold_last_ = last;
  }
  bool holds() const { return held_.has_value(); }
  Task<Status> Release() {
    ServingBatch batch = *std::exchange(held_, std::nullopt);
    auto applied = co_await inner_->Apply(std::move(batch));
    co_return applied;
  }
  /// While they are refused no batch is applied, and fences are taken over and read as usual.
  void RefuseBatches(bool refuse) { refuse_batches_ = refuse; }
  /// While it is away nothing is applied, nobody takes over, and fences cannot be read.
  void Fail(bool away) { away_ = away; }

 private:
  Error Refused() {
    ++refusals_;
    return InvalidArgument("injected: tables refused");
  }

  static Error Away() { return Unavailable("injected: the serving store is away"); }

  ServingTables* tables_;
  ServingWriter* inner_;
  Link link_;
  bool away_ = false;
  bool refuse_batches_ = false;
  bool hold_next_ = false;
  bool hold_last_ = false;
  std::optional<ServingBatch> held_;
  std::string refused_;
  int refusals_ = 0;
  int take_overs_ = 0;
  int most_take_overs_ = 0;
  bool hold_defines_ = false;
  int defines_begun_ = 0;
};

}  // namespace millrace::sim
