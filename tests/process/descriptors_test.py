#!/usr/bin/env python3
"""A process with few descriptors: what it cannot have it refuses with the reason, and goes on when others let go.

    descriptors_test.py MILLRACE [unittest arguments]
"""
import json
import os
import re
import socket
import subprocess
import urllib.request

import cluster

PATIENCE = 60
LIMIT = 400
STREAM = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text, amount bigint)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = %d);
CREATE MATERIALIZED VIEW per_minute AS SELECT shop, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
'''


class Descriptors(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.dev.stop()
        self.dev.process.stdout.close()
        self.whole = self.dev.binary

    def start(self, limit):
        """Starts with so many descriptors; None: with as many as this user may have."""
        self.dev.binary = self.whole
        if limit is not None:
            self.dev.binary = self.file('limited', f'#!/bin/sh\nulimit -n {limit}\nexec {self.whole} "$@"\n')
            os.chmod(self.dev.binary, 0o755)
        self.assertTrue(self.dev.start(), self.said())
        self.dev.binary = self.whole

    def said(self):
        with open(self.dev.log.name) as log:
            return log.read()

    def refused(self):
        text = urllib.request.urlopen(f'http://{self.dev.admin}/metrics', timeout=30).read().decode()
        return float(re.search(r'^millrace_rpc_connections_refused_total (\S+)$', text, re.MULTILINE).group(1))

    def answers(self):
        return self.dev.command('shard', 'list', check=False, timeout=PATIENCE).returncode == 0

    def shards(self):
        return [json.loads(line) for line in
                self.dev.command('shard', 'list', '--format', 'json').stdout.splitlines()]

    def send(self, shops):
        lines = ''.join(json.dumps({'placed': '2001-01-01T10:00:00Z', 'shop': f's{i}', 'amount': i}) + '\n'
                        for i in range(shops))
        self.dev.command('produce', 'orders', '--input', self.file('events.jsonl', lines), '--end', timeout=PATIENCE)

    def test_connections_beyond_the_limit_are_closed_and_the_port_recovers(self):
        self.start(LIMIT)
        self.dev.command('apply', self.file('base.sql', STREAM % 1))
        host, port = self.dev.grpc.rsplit(':', 1)
        held = []
        # A first client is connected while all others come and go.
        for _ in range(2 * LIMIT):
            s = socket.create_connection((host, int(port)), timeout=PATIENCE)
            s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0')
            held.append(s)
        cluster.wait_until('the process says that it closes connections',
                           lambda: 'a connection was closed: too many are open' in self.said(), PATIENCE)
        self.assertFalse(self.answers())
        trouble = cluster.troubles(self.dev)
        self.assertEqual(list(trouble), ['connections'])
        self.assertRegex(trouble['connections'], r'^connections are refused since 20.*ulimit -n.* open=\d+ limit=400$')
        self.assertGreater(self.refused(), LIMIT)
        # Files can still be opened: a cut, the log, the other port.
        self.assertGreater(len(cluster.metrics(self.dev, 'millrace_worker_lag_records')), 0)
        for s in held:
            s.close()
        cluster.wait_until('the port takes connections again', self.answers, PATIENCE)
        self.assertEqual(cluster.troubles(self.dev), {})
        self.send(10)
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)
        self.dev.stop()
        self.assertNotIn('Too many open files', self.said())

    def test_shards_beyond_the_limit_wait_with_the_reason(self):
        self.start(LIMIT)
        self.dev.command('apply', self.file('base.sql', STREAM % 64))

        def settled():
            shards = self.shards()
            waiting = [s for s in shards if s['state'] != 'running']
            return waiting and all('ulimit -n' in (s['message'] or '') for s in waiting) and len(shards) > len(waiting)
        cluster.wait_until('some shards run and the others say what they wait for', settled, PATIENCE)
        self.assertEqual({s['state'] for s in self.shards()}, {'running', 'opening'})
        self.send(500)
        self.dev.stop()
        self.dev.process.stdout.close()
        self.assertNotIn('Too many open files', self.said())
        self.start(None)
        text = self.dev.command('results', 'per_minute', '--wait', '--format', 'csv', timeout=PATIENCE).stdout
        self.assertEqual(len(text.splitlines()), 501)
        self.assertEqual({s['state'] for s in self.shards()}, {'running'})
        self.dev.stop()

    def test_too_low_a_limit_ends_the_start_with_one_line(self):
        done = subprocess.run(['/bin/sh', '-c', f'ulimit -n 100; exec {self.whole} dev --data-dir {self.dev.data_dir} '
                               '--listen 127.0.0.1:0 --admin 127.0.0.1:0'],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (78, ''), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn('ulimit -n', done.stderr)


if __name__ == '__main__':
    cluster.run()
