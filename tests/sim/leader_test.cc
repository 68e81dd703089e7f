#include "sim/scenario.h"
#include "support/read_log.h"

namespace millrace::sim {
namespace {

/// A second process over the stores of a scenario, under a name of its own.
class Rival {
 public:
  explicit Rival(Scenario* s) : process_(s->world.NewProcess()) {
    runtime::Node::Wiring wiring;
    wiring.name = "rival";
    wiring.ports = {&s->cluster.log,     &s->cluster.objects, &states_, &s->cluster.serving,
                    &s->cluster.serving, &s->cluster.files,   &blocks_, &records_,
                    &s->cluster.metrics};
    wiring.options = Scenario::Quick();
    wiring.control = process_;
    wiring.shards = {process_};
    wiring.on_stream = [](const StreamSpec&) {};
    wiring.on_stream_dropped = [](StreamSpec) -> Task<> { co_return; };
    node_ = std::make_unique<runtime::Node>(std::move(wiring));
    REQUIRE(s->cluster.On(process_, node_->Start(), seconds(60))->ok());
  }
  ~Rival() { process_->Kill(); }

  runtime::Node& node() { return *node_; }
  SimExecutor* process() { return process_; }

 private:
  SimExecutor* process_;
  InMemoryStates states_;
  block_arrow::ArrowBlockCodec blocks_;
  record_simdjson::JsonRecordParsers records_;
  std::unique_ptr<runtime::Node> node_;
};

}  // namespace

TEST_CASE("a leader that was overtaken changes nothing, also after it has read the other claim") {
  Scenario s;
  s.Send(20);
  Rival rival(&s);
  s.Sleep(seconds(2));
  const std::string sql = kSql;
  std::string view = sql.substr(sql.find("CREATE MATERIALIZED"));
  view.replace(view.find(" r "), 3, " again ");
  const auto applied = *s.cluster.Call(s.cluster.node().Apply(view, false), seconds(60));
  REQUIRE_FALSE(applied.ok());
  CHECK(applied.error().code == Code::kConflict);
  CHECK(applied.error().message.find("leader=rival") != std::string::npos);
  const auto skipped = *s.cluster.Call(s.cluster.node().DropPipeline("default", "r"), seconds(60));
  CHECK(skipped.error().code == Code::kConflict);
  const auto pipelines =
      s.cluster.On(rival.process(), rival.node().ListPipelines(), seconds(60))->value();
  REQUIRE(pipelines.size() == 1);
  CHECK(pipelines[0].incarnation == s.incarnation);

  // The other one leads, and owns the shards: all goes on there.
  s.Send(20);
  REQUIRE(s.cluster
              .On(rival.process(), rival.node().AdvanceStream("default", "s", kPlusInfinity),
                  seconds(60))
              ->ok());
  REQUIRE(
      s.cluster.On(rival.process(), rival.node().WaitApplied("default", "r"), seconds(60))->ok());
  s.Sleep(seconds(2));
  CHECK(s.Different() == "");
}

}  // namespace millrace::sim
