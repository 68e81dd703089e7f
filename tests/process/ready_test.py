#!/usr/bin/env python3
"""Ready means that it works: what fails is told by /readyz, by the lists and by metrics, until it works again.

    ready_test.py MILLRACE [unittest arguments]
"""
import json
import os
import shutil
import sqlite3

import cluster

PATIENCE = 90
SCRIPT = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text)
WITH (event_time = 'placed', watermark_delay = '1 minute', partitions = 1);
CREATE MATERIALIZED VIEW per_minute AS SELECT shop, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
'''
SECOND = '''CREATE MATERIALIZED VIEW per_hour AS SELECT shop, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 hour') GROUP BY shop, window_start, window_end;
'''


class Ready(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.dev.command('apply', self.file('base.sql', SCRIPT))
        cluster.wait_until('it is ready', lambda: self.troubles() == {}, PATIENCE)

    def troubles(self):
        return cluster.troubles(self.dev)

    def send(self, *times):
        lines = ''.join(json.dumps({'placed': time, 'shop': 'a'}) + '\n' for time in times)
        self.dev.command('produce', 'orders', '--input', self.file('events.jsonl', lines), timeout=PATIENCE)

    def failing(self, part, family='millrace_worker_failing'):
        return sum(value for labels, value in cluster.metrics(self.dev, family) if labels['part'] == part)

    def listed(self, name):
        lines = self.dev.command('pipeline', 'list', '--format', 'json').stdout.splitlines()
        return next(pipeline for pipeline in map(json.loads, lines) if pipeline['name'] == name)

    def watermarks(self):
        """As far as the table has all rows, and as far as the shards have read."""
        seen = json.loads(self.dev.command('pipeline', 'describe', 'per_minute', '--format', 'json').stdout)
        return seen['watermark'], seen['read_watermark']

    def test_a_table_store_that_takes_no_rows(self):
        database = sqlite3.connect(os.path.join(self.dev.data_dir, 'serving.db'), isolation_level=None, timeout=60)
        database.execute('BEGIN IMMEDIATE')
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:05:00Z')
        cluster.wait_until('the sink is told', lambda: 'sink_tables fails since 20' in self.troubles().get('shards', ''), PATIENCE)
        message = self.troubles()['shards']
        self.assertIn('per_minute@', message)
        self.assertIn('see to the table store', message)
        self.assertIn('sink_tables fails since', self.dev.command('shard', 'list').stdout)
        pipeline = self.listed('per_minute')
        self.assertEqual(pipeline['state'], 'failing')
        self.assertIn('sink_tables fails since', pipeline['message'])
        self.assertIn('see to the table store', pipeline['message'])
        cluster.wait_until('the metric follows', lambda: self.failing('sink_tables') == 1, PATIENCE)
        # The window of 10:00 has closed, but its row waits: no reader may take 10:04 for final.
        self.assertEqual(self.watermarks(), ('-infinity', '2001-01-01T10:04:00.000000Z'))
        self.assertIn(' watermark=-infinity\n', self.dev.command('results', 'per_minute').stderr)
        database.execute('ROLLBACK')
        database.close()
        cluster.wait_until('it is ready again', lambda: self.troubles() == {}, PATIENCE)
        cluster.wait_until('the metric follows', lambda: self.failing('sink_tables') == 0, PATIENCE)
        self.assertEqual(self.watermarks(), ('2001-01-01T10:04:00.000000Z',) * 2)
        self.assertIn('running', self.dev.command('pipeline', 'list').stdout)

    def test_checkpoints_that_cannot_be_stored(self):
        state = os.path.join(self.dev.data_dir, 'objects', 'default', 'state')
        os.makedirs(os.path.dirname(state), exist_ok=True)
        shutil.rmtree(state, ignore_errors=True)
        with open(state, 'w'):
            pass
        self.send('2001-01-01T10:00:00Z')
        cluster.wait_until('the cut is told', lambda: 'cut fails since 20' in self.troubles().get('shards', ''), PATIENCE)
        os.remove(state)
        cluster.wait_until('it is ready again', lambda: self.troubles() == {}, PATIENCE)

    def test_tables_that_cannot_be_made(self):
        database = sqlite3.connect(os.path.join(self.dev.data_dir, 'serving.db'), isolation_level=None, timeout=60)
        database.execute('BEGIN IMMEDIATE')
        self.dev.command('apply', self.file('second.sql', SECOND), check=False, timeout=PATIENCE)
        cluster.wait_until('the tables are told', lambda: 'tables of default/per_hour@' in self.troubles().get('definitions', ''),
                           PATIENCE)
        pipeline = self.listed('per_hour')
        self.assertEqual(pipeline['state'], 'failing')
        self.assertIn('tables of default/per_hour@', pipeline['message'])
        self.assertIn('and is tried again', pipeline['message'])
        cluster.wait_until('the metric follows', lambda: self.failing('definitions', 'millrace_coordinator_failing') == 1,
                           PATIENCE)
        database.execute('ROLLBACK')
        database.close()
        cluster.wait_until('it is ready again', lambda: self.troubles() == {}, PATIENCE)


if __name__ == '__main__':
    cluster.run()
