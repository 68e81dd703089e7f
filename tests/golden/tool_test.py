#!/usr/bin/env python3
"""Checks how millrace-fold reads cases and writes values: tool_test.py TOOL"""
import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

TABLE = ("CREATE TABLE s (ts timestamptz NOT NULL, k text, d double precision, v bigint) WITH "
         "(partition_key = 'k', event_time = 'ts', watermark_delay = '0 seconds');\n")
VIEW = ("CREATE MATERIALIZED VIEW r {} AS SELECT k, window_start, window_end, {} FROM "
        "tumble(s, ts, INTERVAL '10 seconds') GROUP BY k, window_start, window_end;")
T = 978_307_200_000_000
EVENT = {'offset': 0, 'kind': 'event', 'append_time': T, 'producer': 'p', 'seq': 1,
         'acked_below': 0, 'values': {'ts': T, 'k': 'a'}}
TICK = {'offset': 1, 'kind': 'tick', 'append_time': T, 'prev': None, 'elapsed': 1_000_000}
END = {'offset': 2, 'kind': 'advance', 'append_time': T, 'to': 'infinity'}
ABSENT = object()


def case(records=(EVENT, TICK, END), select='count(*) AS n', options='', **members):
    return {'sql': TABLE + VIEW.format(options, select), 'records': list(records)} | members


def changed(record, **members):
    result = copy.deepcopy(record) | members
    return {name: value for name, value in result.items() if value is not ABSENT}


def run(text, *arguments):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'case.json')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        return subprocess.run([TOOL, *arguments, path], capture_output=True, text=True, timeout=60)


class Tool(unittest.TestCase):
    def fold(self, text, *arguments):
        done = run(text, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, text, *wanted):
        done = run(text)
        self.assertEqual((done.returncode, done.stdout), (1, ''), done.stderr)
        for words in wanted:
            self.assertIn(words, done.stderr)

    def test_a_good_case_is_folded(self):
        for records in ((EVENT, TICK, END), (EVENT, changed(TICK, prev=0), END), (EVENT, changed(TICK, prev=ABSENT), END),
                        (changed(EVENT, raw=None, repeat=None), TICK, END),
                        (changed(EVENT, producer=None, seq=None, acked_below=None), TICK, END),
                        (changed(EVENT, producer=ABSENT, seq=ABSENT, acked_below=ABSENT), TICK, END),
                        (changed(EVENT, seq=2**63 - 2, acked_below=2**63 - 2, repeat=2,
                                 offset=7),
                         changed(TICK, offset=9), changed(END, offset=10, to=-5))):
            out = self.fold(case(records))
            self.assertEqual(out['counters']['control'], 2)
            self.assertEqual(out['counters']['aggregated'], records[0].get('repeat') or 1)

    def test_a_malformed_record_is_refused_by_its_name(self):
        wrong = {
            'offset': [(EVENT, offset) for offset in (ABSENT, None, '0', 0.5, -1, 2**63)]
                      + [(TICK, offset) for offset in (0, 2, -1)],
            'kind': [(EVENT, kind) for kind in (ABSENT, None, 'mark', 7)],
            'append_time': [(record, time) for record in (EVENT, TICK, END)
                            for time in (ABSENT, None, 'infinity', 1.5, 2**63)],
            'producer': [(EVENT, producer) for producer in (1, True, {})],
            'seq': [(EVENT, seq) for seq in (ABSENT, None, '1', 1.5, -1, 2**63)],
            'acked_below': [(EVENT, acked) for acked in ('1', 1.5, -1, 2**63)],
            'repeat': [(EVENT, repeat) for repeat in (0, -1, '2', 1.5, 10**9)],
            'values': [(EVENT, values) for values in (ABSENT, None, [], 'x')],
            'prev': [(TICK, prev) for prev in ('x', 1.5, 2**63)],
            'elapsed': [(TICK, elapsed) for elapsed in (ABSENT, None, 'infinity', 1.5)],
            'to': [(END, to) for to in (ABSENT, None, 'x', '-infinity', 1.5, 2**63)],
        }
        for member, pairs in wrong.items():
            for record, value in pairs:
                with self.subTest(member=member, kind=record['kind'], value=str(value)):
                    records = [EVENT, TICK, END]
                    number = records.index(record)
                    records[number] = changed(record, **{member: value})
                    self.refused(case(records), f'record={number + 1}', member)
        self.refused(case([changed(EVENT, producer=None), TICK, END]), 'record=1', 'seq')
        self.refused(case([changed(EVENT, raw='x'), TICK, END]), 'record=1', 'values or raw')
        self.refused(case([changed(EVENT, seq=2**63 - 1, repeat=2), TICK, END]), 'record=1')
        self.refused(case([EVENT, 7]), 'record=2', 'object')
        self.refused(case([EVENT, changed(TICK, offset=2)]), 'record=2 offset=2', 'offset', ': 1')

    def test_a_malformed_case_is_refused(self):
        self.refused(case() | {'sql': TABLE}, 'CREATE MATERIALIZED VIEW')
        self.refused(case() | {'sql': VIEW.format('', 'count(*) AS n')}, 'unknown stream')
        self.refused(case() | {'sql': TABLE + TABLE.replace(' s ', ' t ')}, 'sql must be')
        self.refused(case() | {'sql': 7}, 'sql must be')
        self.refused({'sql': case()['sql']}, 'records must be a list')
        self.refused(case() | {'records': {}}, 'records must be a list')
        self.refused(case(create_time='yes'), 'create_time')
        self.refused(case(start_offset='1'), 'start_offset')
        self.refused(case(defined_at='now'), 'defined_at')
        self.refused(case(options="WITH (start = '+10000-01-01T00:00:00Z')"), 'out of range')
        good = json.dumps(case())
        for text in ('', '7', '[]', good[:-1], good + '}', good.replace('"a"', '01'),
                     good.replace('"a"', 'nul'), good.replace('"a"', '"\\x"'),
                     good.replace('"a"', '[01]')):
            with self.subTest(text=text):
                self.refused(text)

    def test_several_partitions_are_not_built_yet(self):
        self.assertEqual(run({'sql': case()['sql'], 'partitions': [[EVENT]]}).returncode, 3)

    def test_a_batch_is_a_whole_number_from_1(self):
        for batch in ('0', '-1', 'x', '3x', '', '99999999999999999999'):
            done = run(case(), '--batch', batch)
            self.assertEqual((done.returncode, done.stdout), (2, ''), batch)
            self.assertIn('usage:', done.stderr)
        self.assertEqual(self.fold(case(), '--batch', '2'), self.fold(case()))

    def test_times_are_numbers_everywhere_and_other_large_integers_are_texts(self):
        far = 253_402_300_799_999_999
        events = [changed(EVENT, append_time=far, values={'ts': far, 'k': 'a', 'v': 2**53 + 1}),
                  changed(EVENT, offset=1, seq=2, append_time=far,
                          values={'ts': far - 60_000_000, 'k': 'a', 'v': 1})]
        records = [*events, changed(TICK, offset=2, append_time=far),
                   changed(END, offset=3, append_time=far)]
        out = self.fold(case(records, 'max(ts) AS t, max(v) AS v', "WITH (emit = 'updates')"))
        start = far // 10_000_000 * 10_000_000
        for row in (*out['rows'], *out['provisional']):
            self.assertEqual((row['window_start'], row['window_end'], row['t'], row['v']),
                             (start, start + 10_000_000, far, str(2**53 + 1)))
        self.assertEqual((len(out['rows']), len(out['provisional'])), (1, 1))
        self.assertEqual([row['first_missed_end'] for row in out['late']], [start - 50_000_000])

    def test_event_times_of_any_size_are_out_of_range_not_of_a_wrong_type(self):
        for time in (2**63 - 1, 2**63 - 2, -2**63, -2**63 + 1, 2**63, -2**63 - 1, 10**30):
            out = self.fold(case([changed(EVENT, values={'ts': time, 'k': 'a'})]))
            self.assertEqual(out['quarantine'],
                             [{'offset': 0, 'reason': 'EVENT_TIME_OUT_OF_RANGE'}], time)
        for time in (1.5, True, 'x', '2001-01-01T00:00:00Z', [1]):
            out = self.fold(case([changed(EVENT, values={'ts': time, 'k': 'a'})]))
            self.assertEqual(out['quarantine'], [{'offset': 0, 'reason': 'WRONG_TYPE'}], time)

    def test_numbers_reach_the_engine_digit_by_digit(self):
        good = json.dumps(case([changed(EVENT, values={'ts': T, 'k': 'a', 'd': 'HERE'}), TICK, END],
                               'sum(d) AS x'))
        for digits in ('18446744073709551616', '-18446744073709551616', '1' + '0' * 300, '1e300',
                       '123456789012345678901234567890.5'):
            out = self.fold(good.replace('"HERE"', digits))
            self.assertEqual(out['rows'][0]['x'], float(digits))
        for digits in ('1e400', '1' + '0' * 400):
            out = self.fold(good.replace('"HERE"', digits))
            self.assertEqual(out['quarantine'], [{'offset': 0, 'reason': 'WRONG_TYPE'}])


if __name__ == '__main__':
    TOOL = os.path.abspath(sys.argv.pop())
    unittest.main()
