#include <array>
#include <memory>

#include "support/all_changes.h"
#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

namespace {

/// Tumbling windows of a second; events of the second second may be late.
FoldSpec Spec(const std::string& lateness) {
  return Plan(kColumns, "watermark_delay = '0 seconds'",
              "CREATE MATERIALIZED VIEW r WITH (allowed_lateness = '" + lateness +
                  "') AS SELECT k, window_start, window_end, sum(v) AS s FROM tumble(s, ts, "
                  "INTERVAL '1 second') GROUP BY k, window_start, window_end;");
}

/// A log of events with a key each, one in a record, and the pieces that a fold made of it.
class Run {
 public:
  explicit Run(FoldSpec spec) : spec_(std::move(spec)), fold_(std::make_unique<ShardFold>(spec_)) {}

  void Event(Micros t, const std::string& key, int64_t v = 1) {
    BatchBuilder builder(spec_.stream);
    builder.BeginRecord(Offset(offset_++), t);
    builder.column(0).AppendInteger(t);
    builder.column(1).AppendText(key);
    builder.column(2).AppendInteger(v);
    builder.column(3).AppendNull();
    builder.column(4).AppendNull();
    builder.EndRow(-1, 0);
    fold_->Add(builder.Build());
    Take();
  }
  void AdvanceTo(Micros to) {
    fold_->Apply(Advance{Offset(offset_), offset_, to});
    ++offset_;
    Take();
  }
  void Skip(Epoch epoch) {
    fold_->Skip(1, std::vector<int64_t>(kOutputs + 1, 1), epoch);
    Take();
    last_.fill(std::nullopt);
  }
  void Restart() {
    StateHash hash;
    std::map<std::string, std::string> stored;
    for (auto& [key, value] : AllChanges(fold_->Freeze(true), &hash).puts) stored[key] = value;
    fold_ = std::make_unique<ShardFold>(spec_);
    for (const auto& [key, value] : stored) REQUIRE(fold_->Restore(key, value).ok());
    CHECK(fold_->FinishRestore().total() == hash.total());
  }
  LastRow last(Output output) const { return fold_->last_rows()[static_cast<size_t>(output)]; }

 private:
  void Take() {
    for (const OutputRows& piece : TakeAll(fold_.get())) {
      auto& last = last_[static_cast<size_t>(piece.output)];
      if (last) CHECK(piece.before == *last);
      last = piece.after;
      CHECK(ChainOf(piece) == piece.after);
      const LastRow made = fold_->last_rows()[static_cast<size_t>(piece.output)];
      if (piece.last[static_cast<size_t>(piece.output)] == made.seq)
        CHECK(piece.after == made.hash);
    }
  }

  const FoldSpec spec_;
  std::unique_ptr<ShardFold> fold_;
  int64_t offset_ = 0;
  /// Of the pieces taken; none: nothing was taken, or a skip came since.
  std::array<std::optional<Hash128>, kOutputs + 1> last_ = {Hash128(), Hash128(), Hash128(),
                                                            Hash128(), Hash128(), Hash128()};
};

constexpr Output kAll[] = {Output::kResults, Output::kFiles, Output::kLate};

}  // namespace

TEST_CASE("chains go through pieces, restarts and skips, and say which rows came before") {
  const std::string lateness = GENERATE("0 seconds", "1 second");
  const auto log = [&](int64_t first_value, bool restarts) {
    Run run(Spec(lateness));
    run.Event(kSecond / 2, "a", first_value);
    run.Event(kSecond / 2, "b");
    run.AdvanceTo(2 * kSecond);
    if (restarts) run.Restart();
    run.Event(kSecond / 4, "late");
    run.Event(3 * kSecond, "a");
    if (restarts) run.Restart();
    run.AdvanceTo(10 * kSecond);
    run.Event(kSecond, "late");
    return run;
  };
  const Run run = log(1, false);
  const Run again = log(1, true);
  const Run other = log(2, false);
  for (const Output output : kAll) {
    INFO(OutputName(output));
    CHECK(run.last(output).seq > 0);
    CHECK(run.last(output) == again.last(output));
    CHECK(run.last(output).seq == other.last(output).seq);
  }
  // Only the first row differs, and the last one still says so.
  CHECK(run.last(Output::kResults).hash != other.last(Output::kResults).hash);
  CHECK(run.last(Output::kFiles).hash != other.last(Output::kFiles).hash);
  CHECK((run.last(Output::kResults).hash == run.last(Output::kFiles).hash) ==
        (lateness == "0 seconds"));
}

TEST_CASE("a skip puts its epoch into every chain, of outputs without rows too") {
  const auto skipped = [](std::optional<int64_t> epoch) {
    Run run(Spec("0 seconds"));
    run.Event(kSecond / 2, "a");
    run.AdvanceTo(2 * kSecond);
    if (epoch) run.Skip(Epoch(*epoch));
    return run;
  };
  const Run none = skipped(std::nullopt);
  Run second = skipped(2);
  const Run third = skipped(3);
  for (int o = 1; o <= kOutputs; ++o) {
    const auto output = static_cast<Output>(o);
    INFO(OutputName(output));
    CHECK(none.last(output).seq == second.last(output).seq);
    CHECK(none.last(output).hash != second.last(output).hash);
    CHECK(second.last(output).hash != third.last(output).hash);
  }
  second.Event(3 * kSecond, "a");
  second.AdvanceTo(10 * kSecond);
  CHECK(second.last(Output::kResults).seq == 2);
  CHECK(second.last(Output::kResults).hash == second.last(Output::kFiles).hash);
}
