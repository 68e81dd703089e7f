#include <catch2/catch.hpp>

#include "millrace/sql/planner.h"

namespace millrace {
namespace {

TEST_CASE("a stream and a view are planned in order") {
  const auto plans = PlanScript(R"(
CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL, origin text, destination text, delay_minutes int, distance_miles int
) WITH (partition_key = 'origin', event_time = 'scheduled_at', watermark_delay = '4 hours');

CREATE MATERIALIZED VIEW delays_hourly WITH (allowed_lateness = '1 hour') AS
SELECT origin, window_start, window_end, count(*) AS flights,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour')
WHERE distance_miles > 100
GROUP BY origin, window_start, window_end;
)");
  INFO((plans.ok() ? "" : plans.error().message));
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 2);
}

}  // namespace
}  // namespace millrace
