#!/usr/bin/env python3
"""The metrics of a real server: each is documented and each documented one is there, and they say what happened.

    metrics_test.py MILLRACE [unittest arguments]
"""
import json
import os
import re
import time
import urllib.request

import cluster

PATIENCE = 60
DOCUMENT = os.path.join(cluster.ROOT, 'docs', 'metrics.md')
SCRIPT = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text, amount bigint)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = 1, ticks = off);
CREATE MATERIALIZED VIEW per_minute AS SELECT shop, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
'''
# 2001-01-01 in seconds, and the watermark's delay.
DAY = 978_307_200
DELAY = 60
# Seconds that have an event each.
MANY = 1_000
LEDGER = ('events_read', 'events', 'pairs_assigned', 'pairs', 'pairs_accepted_late', 'rows_due', 'rows',
          'control_records', 'ignored_ticks', 'skipped_records')


class Metrics(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.dev.command('apply', self.file('base.sql', SCRIPT))

    def send(self, *times):
        lines = [json.dumps({'placed': time, 'shop': 'a', 'amount': 1}) for time in times]
        self.dev.command('produce', 'orders', '--input', self.file('events.jsonl', '\n'.join(lines)), timeout=PATIENCE)
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)

    def value(self, family, **labels):
        """The sum of all metrics of the family that have the labels."""
        return sum(value for have, value in cluster.metrics(self.dev, family) if labels.items() <= have.items())

    def becomes(self, family, wanted, **labels):
        """Metrics are exported a little after the fact."""
        cluster.wait_until(f'{family} {labels} is {wanted}', lambda: self.value(family, **labels) == wanted, PATIENCE)

    def restart(self):
        self.dev.process.stdout.close()
        self.assertTrue(self.dev.start())
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)

    def test_the_document_and_the_server_name_the_same_metrics(self):
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:05:00Z')
        # Times are absent until they are known and exported.
        cluster.wait_until('the watermark is exported',
                           lambda: cluster.metrics(self.dev, 'millrace_worker_watermark_timestamp_seconds'))
        text = urllib.request.urlopen(f'http://{self.dev.admin}/metrics', timeout=10).read().decode()
        exposed = set(re.findall(r'^# TYPE (millrace_\w+) ', text, re.MULTILINE))
        with open(DOCUMENT) as file:
            documented = set(re.findall(r'`(millrace_[a-z_]+)', file.read()))
        self.assertEqual(exposed - documented, set())
        self.assertEqual(documented - exposed, set())

    def test_sums_count_nothing_twice(self):
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:05:00Z', '2001-01-01T10:01:00Z')
        self.becomes('millrace_worker_events_read_total', 3)
        self.becomes('millrace_worker_events_total', 3)
        self.becomes('millrace_worker_events_total', 1, result='late')
        self.becomes('millrace_worker_pairs_total', self.value('millrace_worker_pairs_assigned_total'))
        self.becomes('millrace_worker_rows_total', self.value('millrace_worker_rows_due_total'))

    def ledger(self, family):
        """Every count of the ledger, by its name and its label `result`: those of `worker_ledger` are the ledger's own,
        those of `worker` what this process counted."""
        ending = '' if family == 'worker_ledger' else '_total'
        return {(name, labels.get('result', '')): value for name in LEDGER
                for labels, value in cluster.metrics(self.dev, f'millrace_{family}_{name}{ending}')}

    def ledger_becomes(self, wanted):
        cluster.wait_until(f'the ledger is {wanted}', lambda: self.ledger('worker_ledger') == wanted, PATIENCE)

    def ledger_at(self, hour, second):
        """The ledger once every row is applied of which the last admitted event is of this time. Of one export the
        watermark comes last, so the counts are there when it is."""
        time_of_day = hour * 3600 + second
        self.becomes('millrace_worker_watermark_applied_timestamp_seconds', DAY + time_of_day - DELAY)
        return self.ledger('worker_ledger')

    def send_many(self, hour):
        """Events of which many are aggregated, one is late and one is quarantined; gives the ledger after them."""
        times = [f'2001-01-01T{hour}:{second // 60:02}:{second % 60:02}Z' for second in range(MANY)]
        self.send(*times, '2001-01-01T01:00:00Z', '2101-01-01T00:00:00Z')
        return self.ledger_at(hour, MANY - 1)

    def test_counters_begin_at_zero_after_a_restart_and_the_ledger_goes_on(self):
        before = self.send_many(10)
        self.assertEqual(before, self.ledger('worker'))
        for count in (('events_read', ''), ('events', 'late'), ('events', 'quarantined'), ('pairs', 'taken'),
                      ('rows', 'emitted')):
            self.assertGreater(before[count], 0, count)
        # The checkpoint of an orderly stop holds everything: nothing is folded again.
        self.dev.stop()
        self.restart()
        self.ledger_becomes(before)
        self.assertEqual(set(self.ledger('worker').values()), {0})
        after = self.send_many(11)
        self.assertEqual(self.ledger('worker'), {count: after[count] - before[count] for count in after})

    def test_counters_after_kill_9_count_what_was_folded_again_and_no_more(self):
        self.send_many(10)
        self.dev.stop()
        self.restart()
        self.send('2001-01-01T11:00:00Z')
        before = self.ledger_at(11, 0)
        self.dev.kill()
        self.restart()
        self.ledger_becomes(before)
        # One record of one event follows the checkpoint, unless a later checkpoint came before the kill.
        again = self.value('millrace_worker_replayed_records_total')
        self.assertIn(again, (0, 1))
        counted = self.ledger('worker')
        self.assertEqual([counted[count] for count in (('events_read', ''), ('events', 'aggregated'), ('pairs', 'taken'))],
                         [again] * 3)
        self.assertEqual([counted[count] for count in (('events', 'late'), ('events', 'quarantined'))], [0, 0])
        self.send('2001-01-01T11:10:00Z')
        self.assertEqual(self.ledger_at(11, 600)[('events_read', '')], MANY + 4)
        self.assertEqual(self.value('millrace_worker_events_read_total'), again + 1)

    def test_errors_have_a_series_before_the_first_one(self):
        for family in ('millrace_gateway_backpressure_total', 'millrace_gateway_log_errors_total',
                       'millrace_coordinator_control_records_skipped_total'):
            self.assertEqual({value for _, value in cluster.metrics(self.dev, family)}, {0}, family)

    def test_rows_delays_and_lag(self):
        before = time.time()
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:01:00Z', '2001-01-01T10:02:00Z')
        self.becomes('millrace_worker_sink_rows_total', 1, sink='results')
        self.send('2001-01-01T10:00:30Z')
        self.becomes('millrace_worker_sink_rows_total', 1, sink='late')
        self.becomes('millrace_worker_emit_delay_seconds_count', 1)
        self.assertLess(self.value('millrace_worker_emit_delay_seconds_sum'), time.time() - before)
        self.assertGreater(self.value('millrace_worker_end_to_end_latency_seconds_sum'), 20 * 365 * 86400)
        self.becomes('millrace_worker_lag_records', 0)
        self.becomes('millrace_worker_lag_seconds', 0)
        self.assertEqual(self.value('millrace_worker_sink_errors_total'), 0)
        self.assertGreater(self.value('millrace_worker_partition_seconds_total', state='busy'), 0)
        self.assertGreater(self.value('millrace_worker_partition_seconds_total', state='idle'), 0)
        self.becomes('millrace_coordinator_shards', 1, state='running')
        self.becomes('millrace_coordinator_leader', 1)

    def test_a_paused_pipeline_shows(self):
        self.becomes('millrace_worker_paused', 0)
        self.dev.command('pipeline', 'pause', 'per_minute')
        self.becomes('millrace_worker_paused', 1)
        self.dev.command('pipeline', 'resume', 'per_minute')
        self.becomes('millrace_worker_paused', 0)

    def test_cuts_and_restores(self):
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:05:00Z')
        self.dev.stop()
        self.restart()
        self.assertEqual(self.value('millrace_worker_restore_duration_seconds_count'), 1)
        self.assertEqual(self.value('millrace_worker_replayed_records_total'), 0, 'all is in the checkpoint')
        self.send('2001-01-01T10:06:00Z')
        cluster.wait_until('a cut', lambda: self.value('millrace_worker_cut_duration_seconds_count', phase='commit') == 1,
                           PATIENCE)
        self.becomes('millrace_worker_last_cut_number', 2)
        for phase in ('freeze', 'write', 'upload'):
            self.assertEqual(self.value('millrace_worker_cut_duration_seconds_count', phase=phase), 1)
        self.assertGreater(self.value('millrace_worker_cut_bytes_total'), 100)
        self.assertEqual(self.value('millrace_worker_cut_errors_total'), 0)
        self.assertAlmostEqual(self.value('millrace_worker_last_cut_timestamp_seconds'), time.time(), delta=PATIENCE)
        self.send('2001-01-01T10:07:00Z')
        self.dev.kill()
        self.restart()
        self.assertEqual(self.value('millrace_worker_replayed_records_total'), 1)


if __name__ == '__main__':
    cluster.run()
