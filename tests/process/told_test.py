#!/usr/bin/env python3
"""What users are told: names that do not exist, keys, ends of streams, metrics, and a server that recovers.

    told_test.py MILLRACE [unittest arguments]

Every test talks to a real `millrace dev` on free ports over a data directory of its own.
"""
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import cluster

FAILED, USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE, CONFIG = 1, 2, 3, 4, 5, 78
PATIENCE = 60

SQL = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text, size bigint, price double precision)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = 2);
CREATE MATERIALIZED VIEW per_minute AS
SELECT shop, size, price, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 minute')
GROUP BY shop, size, price, window_start, window_end;
'''
EVENTS = [{'shop': 'north', 'size': 5, 'price': 0.5}, {'shop': 'north', 'size': None, 'price': 'NaN'},
          {'shop': '', 'size': 9007199254740993, 'price': None}, {'shop': None, 'size': 5, 'price': -1e300}]


class Told(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.command('apply', self.file('base.sql', SQL))

    def command(self, *args, check=True):
        return self.dev.command(*args, check=check, timeout=PATIENCE)

    def refused(self, code, args, *fragments):
        done = self.command(*args, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def produce(self, name, events, *args):
        lines = ''.join(json.dumps({'placed': '2001-01-01T00:00:00Z'} | event) + '\n' for event in events)
        return self.command('produce', 'orders', '--input', self.file(name, lines), *args).stderr

    def test_every_verb_tells_what_does_not_exist_in_one_form(self):
        anything = self.file('any.jsonl', '{}\n')
        stream = 'no such stream; did you mean "orders"? `millrace stream list` shows what there is stream=ordres\n'
        for args in (['stream', 'describe', 'ordres'], ['stream', 'advance', 'ordres', '--to', 'end'],
                     ['produce', 'ordres', '--input', anything]):
            self.refused(NOT_FOUND, args, stream)
        pipeline = ('no such pipeline; did you mean "per_minute"? `millrace pipeline list` shows what there is '
                    'pipeline=per_minutes\n')
        for args in (['pipeline', 'describe', 'per_minutes'], ['pipeline', 'drop', 'per_minutes'],
                     ['results', 'per_minutes'], ['results', 'per_minutes', '--wait'],
                     ['late', 'per_minutes'], ['quarantine', 'per_minutes', '--wait']):
            self.refused(NOT_FOUND, args, pipeline)
        self.refused(NOT_FOUND, ['stream', 'describe', 'there.orders'],
                     'no such stream; `millrace stream list` shows what there is stream=there.orders\n')
        self.refused(NOT_FOUND, ['shard', 'skip', 'default/nowhere@1/p0', '--to', '5', '--reason', 'x'],
                     'no such shard; `millrace shard list` shows what there is shard=default/nowhere@1/p0\n')

    def test_a_script_with_other_bytes_than_utf8_is_told_where(self):
        path = self.file('latin.sql', b'-- fine\nCREATE TABLE caf\xe9 (at timestamptz);\n')
        self.refused(FAILED, ['apply', path], f'{path}:2:17: the script is not UTF-8 text; save it as UTF-8',
                     'byte=0xe9 offset=24')

    def test_what_is_not_built_has_its_place_in_the_file(self):
        path = self.file('like.sql', SQL.replace('GROUP', "WHERE shop LIKE 'n%'\nGROUP").replace('per_minute', 'other'))
        self.refused(CONFLICT, ['apply', path], f'{path}:6:12: LIKE is not available yet')

    def test_results_tell_what_their_rows_do_not_show(self):
        view = SQL.split('CREATE MATERIALIZED', 1)[0] + '''
CREATE MATERIALIZED VIEW more WITH (allowed_lateness = '1 minute') AS
SELECT shop, window_start, window_end, sum(size) AS size FROM tumble(orders, placed, INTERVAL '1 minute')
GROUP BY shop, window_start, window_end;'''
        self.command('apply', self.file('more.sql', view))
        at = [{'placed': f'2001-01-01T00:{minute:02}:00Z', 'shop': 'north', 'size': 1} for minute in (0, 10, 1, 11)]
        self.produce('out-of-order.jsonl', at)
        said = self.command('results', 'more', '--wait').stderr
        self.assertEqual(said, 'millrace: late=1 quarantined=0 open_windows=2 watermark=-infinity\n')
        self.command('stream', 'advance', 'orders', '--to', '2001-01-01T00:20:00Z')
        said = self.command('results', 'more', '--wait', '--key', 'shop=nobody').stderr
        self.assertEqual(said, 'millrace: late=1 quarantined=0 open_windows=0 watermark=2001-01-01T00:20:00.000000Z\n')
        self.assertEqual(self.command('results', 'more', '--quiet').stderr, '')
        for verb in ('late', 'quarantine'):
            self.assertEqual(self.command(verb, 'more').stderr, '')

    def test_a_reason_to_skip_is_not_empty(self):
        shard = self.command('shard', 'list', '--format', 'csv').stdout.splitlines()[1].split(',')[0]
        self.refused(USAGE, ['shard', 'skip', shard, '--to', '5', '--reason', ''], '--reason: say why')

    def test_keys_are_values_of_group_columns_by_their_type(self):
        self.produce('e.jsonl', EVENTS, '--end')

        def rows(*keys):
            args = [word for key in keys for word in ('--key', key)]
            text = self.command('results', 'per_minute', '--wait', '--format', 'csv', *args).stdout
            return sorted(f"{row['shop']}/{row['size']}/{row['price']}" for row in csv.DictReader(io.StringIO(text)))

        self.assertEqual(len(rows()), 4)
        self.assertEqual(rows('shop=north'), ['north//NaN', 'north/5/0.5'])
        self.assertEqual(rows('shop='), ['/5/-1e+300'])
        self.assertEqual(rows('shop=""'), ['/9007199254740993/'])
        self.assertEqual(rows('shop="north"', 'size='), ['north//NaN'])
        self.assertEqual(rows('size=9007199254740993'), ['/9007199254740993/'])
        self.assertEqual(rows('size=9007199254740992'), [])
        self.assertEqual(rows('size=005'), ['/5/-1e+300', 'north/5/0.5'])
        self.assertEqual(rows('price=NaN'), ['north//NaN'])
        self.assertEqual(rows('price=-1e300'), ['/5/-1e+300'])
        self.assertEqual(rows('price='), ['/9007199254740993/'])
        self.assertEqual(len(rows('window_start=2001-01-01T00:00:00Z')), 4)
        self.refused(USAGE, ['results', 'per_minute', '--key', 'orders=1'],
                     'a key is a value of a group column, which are: shop, size, price, window_start, window_end',
                     'column=orders')
        self.refused(USAGE, ['results', 'per_minute', '--key', 'size=big'], 'expected an integer from',
                     'column=size type=bigint value=big')
        self.refused(USAGE, ['results', 'per_minute', '--key', 'shop="open'], 'must end with one')

    def test_behind_the_end_nothing_counts_and_it_is_told(self):
        self.produce('first.jsonl', EVENTS)
        self.assertNotIn('warning', self.command('stream', 'advance', 'orders', '--to', '2001-01-02').stderr)
        self.command('results', 'per_minute', '--wait')
        self.assertIn('warning: nothing changes: every pipeline of the stream has reached that time already stream=orders',
                      self.command('stream', 'advance', 'orders', '--to', '2001-01-01').stderr)
        self.assertNotIn('warning', self.command('stream', 'advance', 'orders', '--to', 'end').stderr)
        self.command('results', 'per_minute', '--wait')
        self.assertIn('warning: nothing changes: the stream was at its end already',
                      self.command('stream', 'advance', 'orders', '--to', 'end').stderr)

        def late():
            return len(self.command('late', 'per_minute', '--wait', '--format', 'csv').stdout.splitlines()) - 1

        # A repeat is no late event, which only the shards can tell.
        for name, events, is_late in (('again.jsonl', EVENTS, 0), ('new.jsonl', EVENTS + EVENTS[:1], 5)):
            said = self.produce(name, events)
            self.assertIn(f'acknowledged={len(events)} refused=0', said)
            self.assertIn('warning: the stream was at its end before this run', said)
            self.assertIn(f'`millrace late per_minute` stream=orders late_at_most={len(events)}', said)
            self.assertEqual(late(), is_late)

    def test_a_time_that_is_not_known_is_no_series(self):
        def series(name):
            return cluster.metrics(self.dev, f'millrace_worker_{name}_timestamp_seconds')

        cluster.wait_until('the shards are exported', lambda: cluster.metrics(self.dev, 'millrace_worker_open_windows'))
        self.assertEqual(series('watermark') + series('largest_event'), [])
        self.produce('e.jsonl', [{'shop': 'north'}])
        cluster.wait_until('the watermark is exported', lambda: series('watermark'))
        self.assertEqual({labels['partition'] for labels, _ in series('watermark')},
                         {labels['partition'] for labels, _ in series('largest_event')})
        self.assertEqual(len(series('watermark')), 1)

    def test_help_is_a_verb(self):
        for words in ([], ['produce'], ['stream', 'advance']):
            by_verb = self.command('help', *words)
            self.assertEqual(by_verb.stdout, self.command(*words, '--help').stdout)
            self.assertIn('millrace ' + ' '.join(words), by_verb.stdout)
        self.refused(USAGE, ['help', 'resluts'], 'no such verb: resluts')


class Recovering(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix='millrace-recovering-')
        self.data_dir = os.path.join(self.scratch, 'data')

    def tearDown(self):
        shutil.rmtree(self.scratch)

    def dev(self, grpc, admin):
        return [cluster.DevCase.binary, 'dev', '--data-dir', self.data_dir, '--listen', grpc, '--admin', admin]

    @staticmethod
    def free_address():
        with socket.socket() as held:
            held.bind(('127.0.0.1', 0))
            return f'127.0.0.1:{held.getsockname()[1]}'

    def test_a_port_in_use_is_told_before_anything_is_opened(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            address = f'127.0.0.1:{taken.getsockname()[1]}'
            for grpc, admin in ((address, '127.0.0.1:0'), ('127.0.0.1:0', address)):
                done = subprocess.run(self.dev(grpc, admin), capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, CONFIG, done.stderr)
                self.assertIn(address, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertEqual(os.listdir(self.data_dir), ['LOCK'])

    def test_while_it_recovers_a_server_says_so(self):
        # Opening the log waits for somebody who writes this file.
        os.makedirs(os.path.join(self.data_dir, 'log'))
        os.mkfifo(os.path.join(self.data_dir, 'log', 'topics'))
        grpc, admin = self.free_address(), self.free_address()
        dev = subprocess.Popen(self.dev(grpc, admin), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            def page(name):
                try:
                    with urllib.request.urlopen(f'http://{admin}/{name}', timeout=10) as answer:
                        return answer.status, answer.read().decode()
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code, error.read().decode()
                except OSError:
                    return None, ''

            cluster.wait_until('the admin port answers', lambda: page('livez')[0] == 200)
            status, body = page('readyz')
            self.assertEqual(status, 503)
            self.assertIn('recovering: the log and the stores are being opened', body)
            done = subprocess.run([cluster.DevCase.binary, '--server', grpc, 'stream', 'list'], capture_output=True, text=True,
                                  timeout=PATIENCE)
            self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
            self.assertIn('the server is recovering', done.stderr)
            self.assertIsNone(dev.poll())
        finally:
            dev.kill()
            dev.communicate()


if __name__ == '__main__':
    cluster.run()
