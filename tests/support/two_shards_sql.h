#pragma once

namespace millrace::test {

/// A stream of two partitions and a view `r` on it, for tests that need definitions and not their
/// meaning.
inline constexpr const char* kTwoShardsSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '1 second', partitions = 2);
CREATE MATERIALIZED VIEW r AS SELECT k, window_start, window_end, count(*) AS n
FROM tumble(s, ts, INTERVAL '2 seconds') GROUP BY k, window_start, window_end;
)";

}  // namespace millrace::test
