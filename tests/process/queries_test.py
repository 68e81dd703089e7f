#!/usr/bin/env python3
"""Queries of tables that are larger than the memory the server may take for them.

    queries_test.py MILLRACE [unittest arguments]

Every test talks to a real `millrace dev` on free ports over a data directory of its own.
"""
import resource
import subprocess
import time

import cluster

KEYS, KEY_BYTES, AT_A_TIME = 20_000, 2_000, 12
MORE_MEMORY = 250 << 20

SQL = '''CREATE TABLE events (at timestamptz NOT NULL, k text, n bigint)
WITH (event_time = 'at', watermark_delay = '1 minute', partition_key = 'k', partitions = 1);
CREATE MATERIALIZED VIEW per_key AS SELECT k, window_start, window_end, sum(n) AS n
FROM tumble(events, at, INTERVAL '1 hour') GROUP BY k, window_start, window_end;
'''


class LargeTable(cluster.DevCase):
    """A view of KEYS rows, about KEYS * KEY_BYTES bytes."""

    def setUp(self):
        super().setUp()
        self.dev.command('apply', self.file('events.sql', SQL))
        lines = ''.join('{"at":"2001-01-01T00:00:00Z","k":"%s%06d","n":%d}\n' % ('k' * KEY_BYTES, i, i)
                        for i in range(KEYS))
        self.dev.command('produce', 'events', '--input', self.file('events.jsonl', lines), '--end')
        self.dev.command('results', 'per_key', '--wait', '--key', 'k=none')

    def ask(self):
        return subprocess.Popen([self.binary, '--server', self.dev.grpc, 'results', 'per_key', '--format', 'csv'],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def rest_of(self, one, code):
        """The numbers of the rows behind the header, and what was said."""
        out, err = one.stdout.read(), one.stderr.read()
        self.assertEqual(one.wait(), code, err)
        one.stdout.close()
        one.stderr.close()
        return [int(line.rsplit(',', 1)[1]) for line in out.splitlines()], err


class Queries(LargeTable):
    def allow_memory(self, more):
        """From now on the server may take so many bytes more than it has."""
        with open(f'/proc/{self.dev.process.pid}/status') as status:
            data = next(int(line.split()[1]) << 10 for line in status if line.startswith('VmData:'))
        resource.prlimit(self.dev.process.pid, resource.RLIMIT_DATA, (data + more, data + more))

    def test_many_large_answers_at_once_take_a_page_each(self):
        self.allow_memory(MORE_MEMORY)
        # None is read before all have begun: a server that takes whole answers has all of them by then.
        asked = [self.ask() for _ in range(AT_A_TIME)]
        headers = [one.stdout.readline() for one in asked]
        self.assertEqual(headers, ['k,window_start,window_end,n\n'] * AT_A_TIME)
        for one in asked:
            self.assertEqual(self.rest_of(one, 0)[0], list(range(KEYS)))
        self.assertTrue(self.dev.running())


class SlowReaders(LargeTable):
    """In their own time, because the bound on a reader's pause is the subject."""

    def test_a_reader_that_pauses_for_50_seconds_gets_everything(self):
        one = self.ask()
        one.stdout.readline()
        time.sleep(50)
        self.assertEqual(self.rest_of(one, 0)[0], list(range(KEYS)))

    def test_a_reader_that_does_not_read_is_told_why_it_is_cut_off(self):
        for pause in (75, 150):  # before and after the server gives up what is on its way
            with self.subTest(pause):
                one = self.ask()
                one.stdout.readline()
                time.sleep(pause)
                numbers, said = self.rest_of(one, 5)
                self.assertEqual(numbers, list(range(len(numbers))))
                self.assertLess(len(numbers), KEYS)
                self.assertIn('rows were not taken for', said)


if __name__ == '__main__':
    cluster.run()
