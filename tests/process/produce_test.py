#!/usr/bin/env python3
"""What `produce` makes of files that people really have: corrected, compressed, cut short, spelled otherwise.

    produce_test.py MILLRACE [unittest arguments]
"""
import gzip
import json
import os
import re
import shlex

import cluster
import grpc_by_hand

FAILED = 1
SCRIPT = '''CREATE TABLE orders (placed timestamptz NOT NULL, ShopId text, amount int)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shopid', partitions = 2);
CREATE MATERIALIZED VIEW per_minute AS SELECT ShopId, window_start, window_end, count(*) AS n
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY ShopId, window_start, window_end;
'''
GOOD = 'placed,ShopId,amount\n2001-01-01T00:00:00Z,a,1\n2001-01-01T00:00:01Z,b,2\n2001-01-01T00:00:02Z,c,3\n'


class Produce(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.dev.command('apply', self.file('orders.sql', SCRIPT))

    def send(self, name, content, *options, check=True):
        return self.dev.command('produce', 'orders', '--input', self.file(name, content), *options, check=check)

    def counted(self):
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        rows = self.dev.command('results', 'per_minute', '--wait', '--format', 'json').stdout.splitlines()
        return {row['shopid']: row['n'] for row in map(json.loads, rows)}

    def test_the_rejects_of_a_file_are_corrected_and_count_once(self):
        bad = GOOD.replace(',2\n', ',two\n')
        rejects = self.file('rejects.csv', '')
        done = self.send('orders.csv', bad, '--producer-id', 'nightly', '--rejects', rejects, '--end', check=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn('the stream was not brought to its end, because records were refused', done.stderr)
        with open(rejects) as kept:
            self.assertEqual(kept.read(), 'placed,ShopId,amount\n2001-01-01T00:00:01Z,b,two\n')
        self.dev.command('results', 'per_minute', '--wait')
        done = self.send('rejects.csv', GOOD.splitlines()[0] + '\n2001-01-01T00:00:01Z,b,2\n', '--producer-id', 'again')
        self.assertNotIn('warning', done.stderr)
        self.assertEqual(self.counted(), {'a': 1, 'b': 1, 'c': 1})

    def test_a_corrected_file_gives_a_warning_and_a_compressed_copy_counts_once(self):
        self.send('orders.csv', GOOD.replace(',2\n', ',two\n'), '--producer-id', 'nightly', check=False)
        self.dev.command('results', 'per_minute', '--wait')
        done = self.send('orders.csv', GOOD, '--producer-id', 'nightly')
        self.assertIn('warning: this id sent other content to the stream before', done.stderr)
        self.assertIn('(records up to 3)', done.stderr)
        self.dev.command('results', 'per_minute', '--wait')
        done = self.send('orders.csv.gz', gzip.compress(GOOD.encode()), '--producer-id', 'nightly')
        self.assertNotIn('warning', done.stderr)
        self.assertEqual(self.counted(), {'a': 2, 'b': 1, 'c': 2})

    def test_a_file_that_is_cut_short_sends_nothing(self):
        whole = gzip.compress((GOOD + 'x\n' * 10_000).encode())
        done = self.send('orders.csv.gz', whole[:-10], '--end', check=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn('it ends too early', done.stderr)
        self.assertEqual(self.counted(), {})

    def test_a_dry_run_is_judged_by_the_server_and_changes_nothing(self):
        lines = ['{"placed": "2001-01-01T00:00:00Z", "shopid": "a"}', '{"placed": "yesterday"}', '{"SHOPID": 1}']
        done = self.send('orders.jsonl', '\n'.join(lines), '--dry-run', check=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn('would_take=1 would_refuse=2 sent=0', done.stderr)
        self.assertIn('line 2: WRONG_TYPE', done.stderr)
        self.assertEqual(self.counted(), {})

    def test_names_fit_columns_that_were_not_quoted_in_any_case(self):
        times = [f'"2001-01-01T00:00:0{n}Z"' for n in range(4)]
        lines = [f'{{"placed": {times[0]}, "ShopId": "a"}}', f'{{"PLACED": {times[1]}, "shopid": "a", "SHOPID": "b"}}',
                 f'{{"placed": {times[2]}, "SHOPID": "a", "ShopID": "a"}}']
        done = self.send('orders.jsonl', '\n'.join(lines), check=False)
        self.assertIn('acknowledged=2 refused=1', done.stderr)
        self.assertIn('line 3: UNREADABLE: column shopid: two members fit it', done.stderr)
        self.send('mac.csv', 'PLACED,SHOPID\r2001-01-01T00:00:05Z,a\r2001-01-01T00:00:06Z,c\r', '--end')
        self.assertEqual(self.counted(), {'a': 3, 'c': 1})


    def test_events_out_of_order_are_told_to_be_late(self):
        lines = [f'{{"placed": "2001-01-01T{n % 24:02}:00:00Z", "shopid": "a"}}' for n in range(24, 0, -1)]
        done = self.send('unsorted.jsonl', '\n'.join(lines))
        self.assertIn('see `millrace late per_minute` pipeline=per_minute late=22 quarantined=0', done.stderr)
        done = self.send('sorted.jsonl', '{"placed": "2001-01-01T23:00:00Z", "shopid": "a"}')
        self.assertNotIn('not all events', done.stderr)


class Documents(cluster.DevCase):
    def test_the_call_in_producing_md_works_as_it_is_on_the_stream_of_the_readme(self):
        def block(document, language):
            with open(os.path.join(cluster.ROOT, document)) as text:
                return re.search(rf'^```{language}\n(.*?)^```', text.read(), re.M | re.S).group(1)

        self.dev.command('apply', self.file('orders.sql', block('README.md', 'sql')))
        words = shlex.split(block('docs/producing.md', 'sh'))
        request = json.loads(words[words.index('-d') + 1])
        self.assertEqual(set(request), {'stream', 'producer_id', 'first_sequence', 'events'})
        answer = grpc_by_hand.publish(self.dev.grpc, request['stream'], [event['json'] for event in request['events']],
                                      producer=request['producer_id'], first=request['first_sequence'],
                                      scratch=self.scratch)
        self.assertEqual(answer.status, 0, answer)
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        rows = self.dev.command('results', 'per_minute', '--wait', '--format', 'csv').stdout.splitlines()
        self.assertEqual(rows[1:], ['north,2001-01-01T10:00:00.000000Z,2001-01-01T10:01:00.000000Z,1,5'])


if __name__ == '__main__':
    cluster.run()
