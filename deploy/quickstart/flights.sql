-- US domestic flights of January 2001, in the order in which they arrived.
CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL,
  origin text,
  destination text,
  delay_minutes int,
  distance_miles int
) WITH (partition_key = 'origin', event_time = 'scheduled_at', watermark_delay = '4 hours');

-- Each airport, each hour. A flight up to one hour too late revises its window.
CREATE MATERIALIZED VIEW delays_hourly WITH (allowed_lateness = '1 hour') AS
SELECT origin, window_start, window_end, count(*) AS flights,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour')
WHERE distance_miles > 100
GROUP BY origin, window_start, window_end;

-- The same airports, each hour that begins at a full ten minutes, where at least ten flights left:
-- how many were late by a quarter of an hour, and the airline miles behind schedule.
CREATE MATERIALIZED VIEW delays_rolling AS
SELECT origin, window_start, window_end, count(*) AS flights,
       count(*) FILTER (WHERE delay_minutes >= 15) AS late_flights,
       avg(CAST(delay_minutes AS double precision)) AS mean_delay,
       sum(distance_miles) AS miles
FROM hop(flights, scheduled_at, INTERVAL '10 minutes', INTERVAL '1 hour')
GROUP BY origin, window_start, window_end
HAVING count(*) >= 10;
