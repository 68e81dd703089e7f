#!/usr/bin/env python3
"""A producer in time order loses no event as late, however long the disk takes nothing.

    order_test.py MILLRACE [unittest arguments]
"""
import resource

import cluster

EVENTS = 200_000
SCRIPT = '''CREATE TABLE ordered (at timestamptz NOT NULL, k text)
WITH (event_time = 'at', watermark_delay = '0 seconds', partition_key = 'k', partitions = 3);
CREATE MATERIALIZED VIEW per_second AS SELECT k, window_start, window_end, count(*) AS n
FROM tumble(ordered, at, INTERVAL '1 second') GROUP BY k, window_start, window_end;
'''


def event(i):
    seconds, millis = divmod(i, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f'{{"at":"2001-01-01T00:{minutes:02}:{seconds:02}.{millis:03}Z","k":"k{i % 7}"}}'


class Order(cluster.DevCase):
    def acknowledged(self):
        return sum(value for labels, value in cluster.metrics(self.dev, 'millrace_gateway_events_total')
                   if labels['result'] == 'acknowledged')

    def failed(self):
        return sum(value for _, value in cluster.metrics(self.dev, 'millrace_gateway_log_errors_total'))

    def test_a_disk_that_is_full_now_and_then_makes_nothing_late(self):
        self.dev.command('apply', self.file('ordered.sql', SCRIPT))
        events = self.file('ordered.jsonl', '\n'.join(event(i) for i in range(EVENTS)))
        producer = self.dev.produce('ordered', events, '--rate', '40000')
        pid = self.dev.process.pid
        full = 0
        while self.acknowledged() < EVENTS * 3 / 4:
            failed = self.failed()
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            cluster.wait_until('appends fail', lambda: self.failed() > failed)
            self.assertIn('the log takes no events', cluster.troubles(self.dev)['appends'])
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            full += 1
            acknowledged = self.acknowledged()
            cluster.wait_until('events are acknowledged again', lambda: self.acknowledged() > acknowledged)
        self.assertGreater(full, 3)
        cluster.wait_until('it is ready again', lambda: cluster.troubles(self.dev) == {})
        _, said = producer.communicate(timeout=cluster.PATIENCE)
        self.assertEqual(producer.returncode, 0, said)
        self.assertIn(f'acknowledged={EVENTS} refused=0', said)
        self.assertNotIn('resent=0', said)
        self.dev.command('stream', 'advance', 'ordered', '--to', 'end')
        rows = self.dev.command('results', 'per_second', '--wait', '--format', 'csv').stdout.splitlines()[1:]
        self.assertEqual(sum(int(row.rsplit(',', 1)[1]) for row in rows), EVENTS)
        self.assertEqual(cluster.ledger(self.dev, 'per_second')['late'], 0)


if __name__ == '__main__':
    cluster.run()
