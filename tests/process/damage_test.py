#!/usr/bin/env python3
"""Files that are damaged or lost while Millrace is stopped: it goes on without them or refuses, and says which it was.

    damage_test.py MILLRACE [unittest arguments]
"""
import csv
import glob
import io
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import cluster

BINARY = None
UNAVAILABLE = 5
PATIENCE = 60
EVENTS = 2000
FALLBACK = 'a checkpoint cannot be used, an older one is tried'
STREAM = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text, amount bigint)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = 1);
'''
VIEW = '''CREATE MATERIALIZED VIEW %s AS SELECT shop, window_start, window_end, count(*) AS orders, sum(amount) AS amount
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
'''


def events(day):
    """One day's orders; a file each day, so that each is one record or more of the log."""
    return [{'placed': f'2001-01-{day:02}T{i // 240:02}:{i // 4 % 60:02}:{i % 4 * 15:02}Z', 'shop': f's{i % 7}', 'amount': i}
            for i in range(EVENTS)]


def aggregate(days):
    """What every window must hold in the end, by shop and begin."""
    rows = {}
    for day in days:
        for event in events(day):
            key = (event['shop'], event['placed'][:17] + '00.000000Z')
            count, total = rows.get(key, (0, 0))
            rows[key] = (count + 1, total + event['amount'])
    return rows


def flip(path, at):
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Three days of events, a start and a checkpoint each; every test damages a copy."""
        cls.scratch = tempfile.mkdtemp(prefix='millrace-damage-')
        dev = cluster.Dev(BINARY, os.path.join(cls.scratch, 'origin'))
        for day in (1, 2, 3):
            if not dev.start():
                raise AssertionError('millrace dev does not start')
            if day == 1:
                dev.command('apply', cls.file('base.sql', STREAM + VIEW % 'per_minute'))
            cls.send(dev, day)
            dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)
            cls.before = dev.command('results', 'per_minute', '--meta', '--format', 'csv').stdout
            dev.stop()
            dev.process.stdout.close()
            shutil.copytree(os.path.join(dev.data_dir, 'log'), os.path.join(cls.scratch, f'log-{day}'))
        dev.log.close()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.scratch)

    @classmethod
    def file(cls, name, content):
        path = os.path.join(cls.scratch, name)
        with open(path, 'w') as out:
            out.write(content)
        return path

    @classmethod
    def send(cls, dev, day):
        lines = ''.join(json.dumps(event) + '\n' for event in events(day))
        dev.command('produce', 'orders', '--input', cls.file(f'day-{day}.jsonl', lines), timeout=PATIENCE)

    def setUp(self):
        self.dev = cluster.Dev(BINARY, os.path.join(self.scratch, 'copy'))
        self.dev.log.truncate(0)
        shutil.copytree(os.path.join(self.scratch, 'origin'), self.dev.data_dir)

    def tearDown(self):
        if self.dev.process:
            if self.dev.running():
                self.dev.kill()
            self.dev.process.stdout.close()
        self.dev.log.close()
        shutil.rmtree(self.dev.data_dir)

    def said(self):
        with open(self.dev.log.name) as log:
            return log.read()

    def manifests(self):
        """Cut number to path."""
        found = glob.glob(os.path.join(self.dev.data_dir, 'objects/default/state/*/p0/m-*'))
        return {int(os.path.basename(path).split('-')[2]): path for path in found}

    def newest_only(self):
        """State files that the newest manifest names and no older one does, the largest first."""
        manifests = self.manifests()
        newest = manifests.pop(max(manifests))
        texts = [pathlib.Path(path).read_bytes() for path in manifests.values()]
        text = pathlib.Path(newest).read_bytes()
        found = [path for path in glob.glob(os.path.join(os.path.dirname(newest), '*.sst'))
                 if os.path.basename(path).encode() in text
                 and not any(os.path.basename(path).encode() in other for other in texts)]
        return sorted(found, key=os.path.getsize, reverse=True)

    def rows_after_two_more_days(self):
        """The third day once more, which counts nothing, the fourth, and the end: orders and amount by shop and begin."""
        for day in (3, 4):
            self.send(self.dev, day)
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        text = self.dev.command('results', 'per_minute', '--wait', '--format', 'csv', timeout=PATIENCE).stdout
        return {(row['shop'], row['window_start']): (int(row['orders']), int(row['amount']))
                for row in csv.DictReader(io.StringIO(text))}

    def goes_on_from(self, cut):
        """Starts: rows are as before, from the given checkpoint (None: the log's start); new events count once."""
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)
        self.assertEqual(self.dev.command('results', 'per_minute', '--meta', '--format', 'csv').stdout, self.before)
        if cut is None:
            self.assertIn('a shard begins at its start', self.said())
        else:
            self.assertIn(f'epoch=4 cut={cut} ', self.said())
        self.assertEqual(self.rows_after_two_more_days(), aggregate((1, 2, 3, 4)))
        self.dev.stop()

    def test_undamaged_files_restore_the_newest_checkpoint(self):
        self.assertEqual(sorted(self.manifests()), [1, 2, 3])
        self.goes_on_from(3)
        self.assertNotIn(FALLBACK, self.said())

    def restores_the_newest_again(self):
        """What was lost once is not named by the checkpoints that were made since."""
        before = self.said().count(FALLBACK)
        self.dev.process.stdout.close()
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)
        self.assertEqual(self.said().count(FALLBACK), before, self.said())
        self.assertNotIn('a shard begins at its start', self.said())
        self.dev.stop()

    def falls_back(self, path, cut):
        self.goes_on_from(cut)
        lines = [line for line in self.said().splitlines() if FALLBACK in line]
        self.assertEqual(len(lines), 1, self.said())
        self.assertIn('shard=default/per_minute@', lines[0])
        self.assertIn(os.path.basename(path), lines[0])

    def test_a_deleted_state_file_falls_back(self):
        path = self.newest_only()[0]
        os.remove(path)
        self.falls_back(path, 2)

    def test_checkpoints_after_a_loss_do_without_what_was_lost(self):
        lost = self.newest_only()
        self.assertGreater(len(lost), 1)
        for path in lost:
            os.remove(path)
        self.goes_on_from(2)
        self.restores_the_newest_again()

    def test_a_bit_flipped_in_a_state_file_falls_back(self):
        path = self.newest_only()[0]
        flip(path, os.path.getsize(path) // 2)
        self.falls_back(path, 2)

    def test_a_state_file_that_was_cut_short_falls_back(self):
        path = self.newest_only()[0]
        os.truncate(path, os.path.getsize(path) - 1)
        self.falls_back(path, 2)

    def test_a_deleted_manifest_falls_back(self):
        path = self.manifests()[3]
        os.remove(path)
        self.falls_back(path, 2)

    def test_a_bit_flipped_in_a_manifest_falls_back(self):
        path = self.manifests()[3]
        flip(path, os.path.getsize(path) // 2)
        self.falls_back(path, 2)

    def test_without_any_checkpoint_the_log_is_read_again(self):
        shutil.rmtree(os.path.join(self.dev.data_dir, 'objects/default/state'))
        self.goes_on_from(None)
        self.assertEqual(self.said().count(FALLBACK), 3)

    def test_local_state_may_be_lost(self):
        shutil.rmtree(os.path.join(self.dev.data_dir, 'state'))
        self.goes_on_from(3)

    def test_a_lost_serving_store_is_filled_again(self):
        for path in glob.glob(os.path.join(self.dev.data_dir, 'serving.db*')):
            os.remove(path)
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('results', 'per_minute', '--wait', timeout=PATIENCE)
        self.assertEqual(self.dev.command('results', 'per_minute', '--meta', '--format', 'csv').stdout, self.before)
        self.dev.stop()

    def halts_with_the_log_of(self, day):
        """The log is put back by days, all else stays. Gives what the shard says."""
        log = os.path.join(self.dev.data_dir, 'log')
        shutil.rmtree(log)
        shutil.copytree(os.path.join(self.scratch, f'log-{day}'), log)
        self.assertTrue(self.dev.start(), self.said())
        done = self.dev.command('results', 'per_minute', '--wait', check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
        shard = json.loads(self.dev.command('shard', 'list', '--format', 'json').stdout)
        self.assertEqual(shard['state'], 'halted')
        self.assertEqual(self.dev.command('results', 'per_minute', '--meta', '--format', 'csv').stdout, self.before)
        self.assertIn('log is older than the', shard['message'])
        return shard

    def test_a_log_older_than_the_serving_store_halts_the_shard(self):
        self.halts_with_the_log_of(1)
        self.assertIn('restore the log', self.said())

    def test_a_log_that_makes_less_than_is_stored_halts_the_shard_and_skip_goes_on(self):
        # Starts have made up for the epochs that the older log lacks; its rows would be taken for the stored ones.
        shard = self.halts_with_the_log_of(2)
        self.assertIn('output=results held=', shard['message'])
        to = re.search(r'--to (\d+) ', shard['message']).group(1)
        self.dev.command('shard', 'skip', shard['shard'], '--to', to, '--reason', 'the log of yesterday')
        rows = self.rows_after_two_more_days()
        wanted = aggregate((4,))
        self.assertEqual({key: row for key, row in rows.items() if key in wanted}, wanted)
        self.dev.stop()

    def log_files(self, pattern='*'):
        return sorted(glob.glob(os.path.join(self.dev.data_dir, 'log', pattern)))

    def test_a_log_whose_topics_are_damaged_twice_does_not_open(self):
        for path in self.log_files('topics*'):
            flip(path, os.path.getsize(path) - 2)
        done = subprocess.run([BINARY, 'dev', '--data-dir', self.dev.data_dir, '--listen', '127.0.0.1:0', '--admin',
                               '127.0.0.1:0'], capture_output=True, text=True, timeout=PATIENCE)
        for path in self.log_files('topics*'):
            flip(path, os.path.getsize(path) - 2)
        self.assertEqual((done.returncode, done.stdout), (1, ''), done.stderr)
        last = done.stderr.splitlines()[-1]
        self.assertRegex(last, '^millrace dev: the log does not open')
        self.assertIn(os.path.join(self.dev.data_dir, 'log', 'topics'), last)
        self.assertIn('damaged', last)
        self.assertIn('restore', last)
        self.goes_on_from(3)

    def test_one_flipped_bit_in_each_other_file_of_the_log_changes_nothing(self):
        # Of the segment it is the head, which no record needs.
        for path in self.log_files():
            if not path.endswith(('LOCK.millrace', 'topics.copy')):
                flip(path, min(20, os.path.getsize(path) - 1))
        self.goes_on_from(3)
        self.assertIn('log', self.said())

    def flip_records(self, wanted=None):
        """Flips a bit in the values of the given event records of the first stream; None: of all of them. Gives how many
        events each has, by offset."""
        found = {}
        for path in self.log_files('*.log'):
            with open(path, 'rb') as file:
                segment = file.read()
            at = 32
            while at + 48 <= len(segment):
                magic, _, _, first, second, kind, topic, _, offset, _ = struct.unpack_from('<7Iiqq', segment, at)
                self.assertEqual(magic, 0x324c524d, 'docs/formats/log.md')
                # The control log is topic 1.
                if kind == 1 and topic == 2 and second > 1000:
                    value = at + 48 + (first + 7) // 8 * 8
                    self.assertEqual(segment[value:value + 4], b'MRB1', 'docs/formats/block.md')
                    found[offset], = struct.unpack_from('<I', segment, value + 24)
                    if wanted is None or offset in wanted:
                        flip(path, value + second // 2)
                at += 48 + (first + 7) // 8 * 8 + (second + 7) // 8 * 8
        return found

    def test_with_every_record_damaged_all_streams_are_written(self):
        damaged = self.flip_records()
        self.assertGreater(len(damaged), 2)
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('apply', self.file('other.sql', (STREAM + VIEW % 'others').replace('orders', 'other')))
        lines = self.file('all.jsonl', ''.join(json.dumps(event) + '\n' for event in events(5)))
        for stream in ('orders', 'other'):
            self.dev.command('produce', stream, '--input', lines, timeout=PATIENCE)
            self.dev.command('stream', 'advance', stream, '--to', 'end')
        self.dev.command('results', 'others', '--wait', timeout=PATIENCE)
        self.assertEqual(self.dev.command('results', 'per_minute', '--wait', check=False, timeout=PATIENCE).returncode, 0)
        self.dev.command('apply', self.file('again.sql', VIEW % 'again'))
        for _ in damaged:
            done = self.dev.command('results', 'again', '--wait', check=False, timeout=PATIENCE)
            if done.returncode == 0:
                break
            shard = next(s for s in map(json.loads, self.dev.command('shard', 'list', '--format', 'json').stdout.splitlines())
                         if '/again@' in s['shard'])
            to = re.search(r'--to (\d+) ', shard['message']).group(1)
            self.dev.command('shard', 'skip', shard['shard'], '--to', to, '--reason', 'flipped')
        text = self.dev.command('results', 'again', '--wait', '--format', 'csv', timeout=PATIENCE).stdout
        rows = {(row['shop'], row['window_start']): (int(row['orders']), int(row['amount']))
                for row in csv.DictReader(io.StringIO(text))}
        self.assertEqual(rows, aggregate((5,)))
        self.dev.stop()

    def test_an_end_that_was_cut_off_is_told(self):
        self.assertTrue(self.dev.start(), self.said())
        self.send(self.dev, 4)
        self.dev.kill()
        path = self.log_files('*.log')[-1]
        os.truncate(path, os.path.getsize(path) - 5)
        self.dev.process.stdout.close()
        self.assertTrue(self.dev.start(), self.said())
        lines = [line for line in self.said().splitlines() if 'the end of the log was not whole' in line]
        self.assertEqual(len(lines), 1, self.said())
        dropped = int(re.search(r'bytes=(\d+)', lines[0]).group(1))
        self.assertGreater(dropped, 0)
        text = urllib.request.urlopen(f'http://{self.dev.admin}/metrics', timeout=10).read().decode()
        self.assertEqual(re.findall(r'^millrace_log_dropped_bytes (\S+)$', text, re.MULTILINE), [str(dropped)])
        self.dev.stop()

    def shards(self):
        listed = self.dev.command('shard', 'list', '--format', 'json').stdout.splitlines()
        return {shard['shard']: shard for shard in map(json.loads, listed)}

    def test_a_damaged_record_halts_the_shard_that_needs_it(self):
        records = self.flip_records(())
        second = list(records)[1]
        self.flip_records((second,))
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('apply', self.file('again.sql', VIEW % 'again'))
        done = self.dev.command('results', 'again', '--wait', check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
        self.assertIn('millrace shard list', done.stderr)
        # The other one may still be opening: it was not waited for.
        cluster.wait_until('every shard is opened', lambda: 'opening' not in {s['state'] for s in self.shards().values()})
        shards = self.shards()
        halted = next(name for name in shards if '/again@' in name)
        self.assertEqual([s['state'] for name, s in shards.items() if name != halted], ['running'])
        self.assertEqual(shards[halted]['state'], 'halted')
        message = shards[halted]['message']
        damaged = int(re.search(r'partition=0 offset=(\d+)', message).group(1))
        self.assertIn(f'millrace shard skip {halted} --to {damaged + 1} --reason TEXT', message)
        self.assertEqual(shards[halted]['next_offset'], damaged, 'records before the damaged one are read')
        with self.assertRaises(urllib.error.HTTPError) as ready:
            urllib.request.urlopen(f'http://{self.dev.admin}/readyz', timeout=10)
        self.assertEqual(ready.exception.code, 503)
        self.assertIn(halted, ready.exception.read().decode())
        ready.exception.close()
        done = self.dev.command('shard', 'skip', halted, '--to', str(damaged + 1), '--reason', 'the disk flipped a bit')
        self.assertRegex(done.stderr, rf'at most 1; old .* at most 0 .* lowest={damaged + 1} highest=')
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        text = self.dev.command('results', 'again', '--wait', '--meta', '--format', 'csv', timeout=PATIENCE).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(sum(int(row['orders']) for row in rows), 3 * EVENTS - records[second])
        self.assertIn('true', {row['_gap'] for row in rows})
        self.dev.stop()

    def test_damaged_records_are_skipped_one_after_another(self):
        records = self.flip_records(())
        lost = list(records)[:2]
        self.flip_records(lost)
        self.assertTrue(self.dev.start(), self.said())
        self.dev.command('apply', self.file('again.sql', VIEW % 'again'))
        skips = 0
        while self.dev.command('results', 'again', '--wait', check=False, timeout=PATIENCE).returncode == UNAVAILABLE:
            shards = [json.loads(line) for line in self.dev.command('shard', 'list', '--format', 'json').stdout.splitlines()]
            shard = next(shard for shard in shards if '/again@' in shard['shard'])
            self.assertEqual(shard['state'], 'halted')
            self.assertLess(skips, 2, shard['message'])
            if skips == 1:
                back = self.dev.command('shard', 'skip', shard['shard'], '--to', '0', '--reason', 'a mistake', check=False)
                self.assertIn('count twice', back.stderr)
            self.dev.command('shard', 'skip', shard['shard'], '--to', str(shard['next_offset'] + 1), '--reason', 'damage')
            skips += 1
        self.assertEqual(skips, 2)
        for _ in range(2):
            self.dev.command('stream', 'advance', 'orders', '--to', 'end')
            text = self.dev.command('results', 'again', '--wait', '--format', 'csv', timeout=PATIENCE).stdout
            self.assertEqual(sum(int(row['orders']) for row in csv.DictReader(io.StringIO(text))),
                             3 * EVENTS - sum(records[offset] for offset in lost))
            self.dev.stop()
            self.dev.process.stdout.close()
            self.assertTrue(self.dev.start(), self.said())
        self.dev.stop()


if __name__ == '__main__':
    BINARY = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
