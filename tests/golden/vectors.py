#!/usr/bin/env python3
"""The vectors of the semantics for one stage, as cases.

    vectors.py --emit DIR      writes one case file a vector

What has to come out is written here by hand; no program computed it. Input, a word each (times in
milliseconds since the epoch, to three decimals, or RFC 3339):
  a@12        an event of key a; `-@12` has a NULL key; members may follow in the same string: `v=5`
              `j=1` `seq=3` `acked=2` `at=20` (append time; else as late as needed) `by=q` (the producer; else p)
  tick        a valid tick of half a second; `tick prev=3 elapsed=2000` says it otherwise
  advance 12  / end           an Advance; `end` goes to infinity. Both, and ticks, take `at=`
Output: rows `[0,10) a r1 n=2 @3` (revision, aggregates or `deleted`,
                                   offset of the causing record), late
`@4 1 10 10` (missed, first and last missed end), quarantine `@4 REASON`, file_rows `1 1 @4`
(result_seq, file, offset).
"""
import argparse
import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone

import expression_vectors

VECTORS = []
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(text):
    if text in ('infinity', None):
        return text
    if 'T' in text:
        moment = datetime.fromisoformat(text.replace('Z', '+00:00'))
        return (moment - EPOCH) // timedelta(microseconds=1)
    sign = -1 if text.startswith('-') else 1
    whole, _, part = text.lstrip('-').partition('.')
    return sign * (int(whole) * 1000 + int(part.ljust(3, '0') or '0'))


def scalar(text):
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def records(words):
    result, now, last_tick, seq = [], 0, None, 0
    for offset, line in enumerate(words):
        what, *rest = line.split()
        members = dict(word.split('=', 1) for word in rest if '=' in word)
        if '@' not in what and 'at' in members:
            now = micros(members['at'])
        if '@' in what:
            key, _, time = what.partition('@')
            seq = int(members.pop('seq', seq + 1))
            acked = int(members.pop('acked', 0))
            producer = members.pop('by', 'p')
            append = members.pop('at', None)
            now = micros(append) if append else max(now, micros(time))
            values = {'ts': micros(time), 'k': None if key == '-' else key.strip("'"), 'v': 1}
            values |= {name: scalar(value) for name, value in members.items()}
            record = {'kind': 'event', 'append_time': now, 'producer': producer, 'seq': seq,
                      'acked_below': acked, 'values': values}
        elif what == 'tick':
            prev = int(members['prev']) if 'prev' in members else last_tick
            record = {'kind': 'tick', 'append_time': now, 'prev': prev,
                      'elapsed': micros(members.get('elapsed', '500'))}
            last_tick = offset if prev == last_tick else last_tick
        else:
            record = {'kind': 'advance', 'append_time': now,
                      'to': 'infinity' if what == 'end' else micros(rest[0])}
        result.append({'offset': offset} | record)
    return result


def row(text, seq):
    bounds, key, revision, *rest = text.split()
    start, end = (micros(bound) for bound in bounds.strip('[)').split(','))
    result = {'_seq': seq, '_revision': int(revision[1:])}
    if 'deleted' in rest:
        result['_deleted'] = True
    result |= {'window_start': start, 'window_end': end}
    names = dict(part.split(':') if ':' in part else ('k', part) for part in key.split(','))
    result |= {name: None if part == '-' else part.strip("'") if name == 'k' else scalar(part)
               for name, part in names.items()}
    result |= {name: scalar(value) for name, value in
               (word.split('=') for word in rest if '=' in word)}
    return result | {'at_offset': int(rest[-1][1:])}


def late(text):
    at, missed, first, last = text.split()
    return {'offset': int(at[1:]), 'missed': int(missed), 'first_missed_end': micros(first),
            'last_missed_end': micros(last)}


def refused(text):
    at, reason, *detail = text.split(' ', 2)
    result = {'offset': int(at[1:]), 'reason': reason}
    return result | ({'detail': detail[0]} if detail else {})


def failed(text):
    bounds, key, at, detail = text.split(' ', 3)
    start, end = (micros(bound) for bound in bounds.strip('[)').split(','))
    return {'window_start': start, 'window_end': end, 'k': key, 'at_offset': int(at[1:]),
            'detail': detail}


def file_row(text, seq):
    result, file, at = text.split()
    return {'_seq': seq, 'result_seq': int(result), 'file': int(file), 'at_offset': int(at[1:])}


def vector(name, window, events, rows, *, B='0', L='0', table='', where='', having='', keys='k',
           select='count(*) AS n', v='int', late_rows=(), quarantine=(), counters=None,
           watermark='', file_rows=None, row_errors=()):
    """Adds a vector. B, L: watermark_delay and allowed_lateness in milliseconds."""
    kind, *sizes = window.split()
    arguments = ''.join(f", INTERVAL '{size} milliseconds'" if size.lstrip('-').isdigit() else
                        f', {size}' for size in sizes)
    options = f" WITH (allowed_lateness = '{L} milliseconds')" if L != '0' else ''
    sql = (f'CREATE TABLE s (ts timestamptz NOT NULL, k text, j int, v {v}) WITH ('
           f"partition_key = 'k', event_time = 'ts', watermark_delay = '{B} milliseconds'"
           f'{table});\n'
           f'CREATE MATERIALIZED VIEW r{options} AS\n'
           f'SELECT {keys}, window_start, window_end, {select}\nFROM {kind}(s, ts{arguments})\n'
           f'{where and f"WHERE {where}{chr(10)}"}GROUP BY {keys}, window_start, window_end'
           f'{having and f"{chr(10)}HAVING {having}"};')
    expected = {'rows': [row(text, seq) for seq, text in enumerate(rows, 1)],
                'late': [late(text) for text in late_rows],
                'quarantine': [refused(text) for text in quarantine]}
    if row_errors:
        expected['row_errors'] = [failed(text) for text in row_errors]
    if file_rows is not None:
        expected['file_rows'] = [file_row(text, seq) for seq, text in enumerate(file_rows, 1)]
    if counters:
        expected['counters'] = counters
    if watermark != '':
        expected['watermark'] = micros(watermark)
    VECTORS.append({'name': name, 'rules': [re.sub('-.*', '', name)], 'sql': sql,
                    'records': records(events), 'expected': expected})


FAR = '1000000'  # a watermark_delay that keeps everything open until the end

# Assignment.
for label, t, start, end in [
        ('', '9999', '0', '10000'), ('-next', '10000', '10000', '20000'),
        ('-last', '9999.999', '0', '10000'), ('-below', '-0.001', '-10000', '0'),
        ('-first', '0', '0', '10000'), ('-after', '10000.001', '10000', '20000')]:
    vector('V1' + label, 'tumble 10000', [f'a@{t}', 'end'], [f'[{start},{end}) a r1 n=1 @1'], B=FAR)
for offset in ('-960000', '-360000', '240000'):
    for label, t, start, end in [('', '4000', '-360000', '240000'),
                                 ('-first', '-360000', '-360000', '240000'),
                                 ('-below', '-360000.001', '-960000', '-360000'),
                                 ('-last', '239999.999', '-360000', '240000'),
                                 ('-next', '240000', '240000', '840000')]:
        vector(f'V2-offset{offset}{label}', f'tumble 600000 {offset}', [f'a@{t}', 'end'],
               [f'[{start},{end}) a r1 n=1 @1'], B=FAR)
for label, t, start, end in [('', '-1', '-10', '0'), ('-last', '-0.001', '-10', '0'),
                             ('-next', '0', '0', '10'), ('-first', '-10', '-10', '0'),
                             ('-below', '-10.001', '-20', '-10')]:
    vector('V3' + label, 'tumble 10', [f'a@{t}', 'end'], [f'[{start},{end}) a r1 n=1 @1'], B=FAR)
for name, t, windows in [
        ('V4', '1000', ['-3000,2000', '0,5000']), ('V4-last', '1999.999', ['-3000,2000', '0,5000']),
        ('V4-gone', '2000', ['0,5000']), ('V4-first', '0', ['-3000,2000', '0,5000']),
        ('V4-below', '-0.001', ['-3000,2000']), ('V5', '4999', ['0,5000', '3000,8000']),
        ('V5-next', '5000', ['3000,8000']), ('V5-last', '4999.999', ['0,5000', '3000,8000']),
        ('V5-first', '3000', ['0,5000', '3000,8000']), ('V5-below', '2999.999', ['0,5000'])]:
    vector(name, 'hop 3000 5000', [f'a@{t}', 'end'], [f'[{w}) a r1 n=1 @1' for w in windows], B=FAR)

# Closing, and who is too late.
V6 = ['a@1', 'a@11998', 'a@11999']
FIRST = '[0,10000) a r1 n=1 @3'
vector('V6', 'tumble 10000', V6, [], B='2000', watermark='9999')
vector('V6-last', 'tumble 10000', V6 + ['a@11999.999'], [], B='2000', watermark='9999.999')
vector('V7', 'tumble 10000', V6 + ['a@12000'], [FIRST], B='2000', watermark='10000')
vector('V7-after', 'tumble 10000', V6 + ['a@12000.001'], [FIRST], B='2000', watermark='10000.001')
for label, t in [('', '9999'), ('-last', '9999.999')]:
    vector('V8' + label, 'tumble 10000', V6 + ['a@12000', f'a@{t}', 'end'],
           [FIRST, '[10000,20000) a r1 n=3 @5'], B='2000', late_rows=['@4 1 10000 10000'],
           counters={'read': 5, 'late': 1, 'aggregated': 4, 'assigned': 5, 'taken': 4,
                     'too_late': 1, 'due': 2, 'emitted': 2, 'control': 1})
vector('V8-next', 'tumble 10000', V6 + ['a@12000', 'a@10000', 'end'],
       [FIRST, '[10000,20000) a r1 n=4 @5'], B='2000')
vector('V9', 'tumble 10000', V6 + ['a@9999', 'a@12000'], ['[0,10000) a r1 n=2 @4'], B='2000')
vector('V9-last', 'tumble 10000', V6 + ['a@11999.999', 'a@9999.999', 'a@12000'],
       ['[0,10000) a r1 n=2 @5'], B='2000')
for label, t in [('', '12'), ('-at', '10')]:
    vector('V10' + label, 'hop 5 10', ['a@1', f'a@{t}', 'a@6', 'end'],
           ['[-5,5) a r1 n=1 @1', '[0,10) a r1 n=1 @1', '[5,15) a r1 n=2 @3',
            '[10,20) a r1 n=1 @3'],
           late_rows=['@2 1 10 10'],
           counters={'read': 3, 'aggregated': 3, 'assigned': 6, 'taken': 5, 'too_late': 1, 'due': 4,
                     'emitted': 4, 'control': 1})
vector('V10-below', 'hop 5 10', ['a@1', 'a@9.999', 'a@6', 'end'],
       ['[-5,5) a r1 n=1 @1', '[0,10) a r1 n=3 @3', '[5,15) a r1 n=2 @3'])

# Revisions.
for label, t in [('', '13000'), ('-after', '13000.001')]:
    vector('V16' + label, 'tumble 10000', ['a@1', 'a@10000', 'a@5000', 'tick', f'a@{t}', 'a@5001',
                                           'end'],
           ['[0,10000) a r1 n=1 @1', '[0,10000) a r2 n=2 @3', '[10000,20000) a r1 n=2 @6'],
           L='3000', late_rows=['@5 1 10000 10000'], file_rows=['2 1 @4', '3 1 @6'])
vector('V16-below', 'tumble 10000',
       ['a@1', 'a@10000', 'a@5000', 'tick', 'a@12999.999', 'a@5001', 'end'],
       ['[0,10000) a r1 n=1 @1', '[0,10000) a r2 n=2 @3', '[0,10000) a r3 n=3 @6',
        '[10000,20000) a r1 n=2 @6'], L='3000', file_rows=['3 1 @6', '4 1 @6'])
vector('V16-open', 'tumble 10000', ['a@1', 'a@9999.999', 'a@5000', 'tick', 'a@13000', 'a@5001',
                                    'end'],
       ['[0,10000) a r1 n=3 @4', '[10000,20000) a r1 n=1 @6'], L='3000',
       late_rows=['@5 1 10000 10000'])
vector('V17', 'tumble 10', ['a@1 v=null', 'end'],
       ['[0,10) a r1 n=1 c=0 s=null lo=null hi=null m=null @1'],
       select='count(*) AS n, count(v) AS c, sum(v) AS s, min(v) AS lo, max(v) AS hi, avg(v) AS m')
H = '2021-11-07T0'
vector('V18', 'tumble 3600000', [f'a@{H}8:30:00Z', f'a@{H}9:30:00Z', 'end'],
       [f'[{H}8:00:00Z,{H}9:00:00Z) a r1 n=1 @2',
        f'[{H}9:00:00Z,2021-11-07T10:00:00Z) a r1 n=1 @2'],
       B='86400000')
vector('V18-bound', 'tumble 3600000', [f'a@{H}8:59:59.999999Z', f'a@{H}9:00:00Z', 'end'],
       [f'[{H}8:00:00Z,{H}9:00:00Z) a r1 n=1 @2',
        f'[{H}9:00:00Z,2021-11-07T10:00:00Z) a r1 n=1 @2'],
       B='86400000')


def local_days(label, zone, bounds):
    """Events at both ends of the middle one of three days, and one microsecond outside."""
    before, start, end, after = (bound + ':00Z' for bound in bounds)

    def shifted(text, by):
        moment = datetime.fromisoformat(text.replace('Z', '+00:00')) + timedelta(microseconds=by)
        return moment.replace(tzinfo=None).isoformat(timespec='microseconds') + 'Z'
    vector('V19-' + label, f"tumble 86400000 timezone=>'{zone}'",
           [f'a@{shifted(start, -1)}', f'a@{start}', f'a@{shifted(end, -1)}', f'a@{end}', 'end'],
           [f'[{before},{start}) a r1 n=1 @4', f'[{start},{end}) a r1 n=2 @4',
            f'[{end},{after}) a r1 n=1 @4'], B='864000000')


local_days('los-angeles-23h', 'America/Los_Angeles',
           ('2021-03-13T08:00', '2021-03-14T08:00', '2021-03-15T07:00', '2021-03-16T07:00'))
local_days('los-angeles-25h', 'America/Los_Angeles',
           ('2021-11-06T07:00', '2021-11-07T07:00', '2021-11-08T08:00', '2021-11-09T08:00'))
local_days('sao-paulo-no-midnight', 'America/Sao_Paulo',
           ('2018-11-03T03:00', '2018-11-04T03:00', '2018-11-05T02:00', '2018-11-06T02:00'))
local_days('sao-paulo-25h', 'America/Sao_Paulo',
           ('2018-02-16T02:00', '2018-02-17T02:00', '2018-02-18T03:00', '2018-02-19T03:00'))
local_days('st-johns-two-midnights', 'America/St_Johns',
           ('2006-10-28T02:30', '2006-10-29T02:30', '2006-10-30T03:30', '2006-10-31T03:30'))
local_days('apia-skipped-date', 'Pacific/Apia',
           ('2011-12-28T10:00', '2011-12-29T10:00', '2011-12-30T10:00', '2011-12-31T10:00'))

# Event time ahead of append time.
V20 = [f'a@2001-01-01T{t}Z at=2001-01-01T10:00:00Z' for t in
       ('12:00:00', '09:59:59', '10:00:00', '11:00:00', '11:00:00.000001')]
NINE = '[2001-01-01T09:00:00Z,2001-01-01T10:00:00Z) a r1 n=1 @2'
vector('V20', 'tumble 3600000', V20, [NINE], table=", max_ahead = '1 hour'",
       quarantine=['@0 TOO_FAR_AHEAD', '@4 TOO_FAR_AHEAD'], watermark='2001-01-01T10:00:00Z',
       counters={'read': 5, 'quarantined': 2, 'aggregated': 3, 'assigned': 3, 'taken': 3, 'due': 1,
                 'emitted': 1})
vector('V20-end', 'tumble 3600000', V20 + ['end'],
       [NINE, '[2001-01-01T10:00:00Z,2001-01-01T11:00:00Z) a r1 n=1 @5',
        '[2001-01-01T11:00:00Z,2001-01-01T12:00:00Z) a r1 n=1 @5'],
       quarantine=['@0 TOO_FAR_AHEAD', '@4 TOO_FAR_AHEAD'])

# The log's clock is an hour ahead for one record, and then right again: what is judged by the append time is judged by
# the record's own.
V20_STEP = ['a@2001-01-01T10:00:00Z at=2001-01-01T10:00:00Z', 'a@2001-01-01T10:20:00Z at=2001-01-01T11:00:00Z',
            'a@2001-01-01T10:45:00Z at=2001-01-01T10:00:02Z', 'a@2001-01-01T11:00:02.000001Z at=2001-01-01T10:00:02Z',
            'a@2001-01-01T11:00:02Z at=2001-01-01T10:00:02Z', 'a@2001-01-01T10:30:00Z at=2001-01-01T10:30:00Z']
vector('V20-step', 'tumble 600000', V20_STEP,
       ['[2001-01-01T10:00:00Z,2001-01-01T10:10:00Z) a r1 n=1 @1', '[2001-01-01T10:20:00Z,2001-01-01T10:30:00Z) a r1 n=1 @5'],
       table=", max_ahead = '1 hour'", quarantine=['@3 TOO_FAR_AHEAD'], watermark='2001-01-01T10:30:00Z')

# Late but accepted.
vector('V24', 'tumble 10000', ['a@10000', 'a@5000', 'tick'], ['[0,10000) a r1 n=1 @2'], L='3000',
       watermark='10000', counters={'read': 2, 'aggregated': 2, 'assigned': 2, 'taken': 2,
                                    'accepted_late': 1, 'due': 1, 'emitted': 1, 'control': 1})
vector('V24-last', 'tumble 10000', ['a@12999.999', 'a@5000', 'tick'], ['[0,10000) a r1 n=1 @2'],
       L='3000')
vector('V24-gone', 'tumble 10000', ['a@13000', 'a@5000', 'tick'], [], L='3000',
       late_rows=['@1 1 10000 10000'])
vector('V25', 'tumble 10000', ['a@1', 'a@10000', 'a@5000', 'a@13000'],
       ['[0,10000) a r1 n=1 @1', '[0,10000) a r2 n=2 @3'], L='3000', file_rows=['2 1 @3'])
vector('V25-below', 'tumble 10000', ['a@1', 'a@10000', 'a@5000', 'a@12999.999', 'a@13000.001'],
       ['[0,10000) a r1 n=1 @1', '[0,10000) a r2 n=2 @4'], L='3000', file_rows=['2 1 @4'])
for label, t in [('', '99000'), ('-at', '13000')]:
    vector('V26' + label, 'tumble 10000', ['a@1', f'a@{t}', 'a@5'], ['[0,10000) a r1 n=1 @1'],
           L='3000', late_rows=['@2 1 10000 10000'], file_rows=['1 1 @1'])
vector('V26-below', 'tumble 10000', ['a@1', 'a@12999.999', 'a@5', 'tick'],
       ['[0,10000) a r1 n=1 @1', '[0,10000) a r2 n=2 @3'], L='3000', file_rows=[])
for label, t in [('', '14'), ('-at', '13')]:
    vector('V27' + label, 'hop 5 10', ['a@1', 'a@12', 'a@6', f'a@{t}', 'a@7', 'tick'],
           ['[-5,5) a r1 n=1 @1', '[0,10) a r1 n=1 @1', '[0,10) a r2 n=2 @3'], L='3',
           late_rows=['@4 1 10 10'], watermark=t,
           counters={'read': 5, 'aggregated': 5, 'assigned': 10, 'taken': 9, 'too_late': 1,
                     'accepted_late': 1, 'due': 3, 'emitted': 3, 'control': 1})
vector('V27-below', 'hop 5 10', ['a@1', 'a@12', 'a@6', 'a@12.999', 'a@7', 'tick'],
       ['[-5,5) a r1 n=1 @1', '[0,10) a r1 n=1 @1', '[0,10) a r2 n=3 @5'], L='3')

# Duplicates.
vector('V28', 'tumble 10', ['a@1 seq=1', 'a@2 seq=1', 'a@3 seq=3', 'a@4 seq=2', 'a@5 seq=2',
                            'a@99000 seq=1', 'end'], ['[0,10) a r1 n=3 @6'],
       counters={'read': 6, 'duplicate': 3, 'aggregated': 3, 'assigned': 3, 'taken': 3, 'due': 1,
                 'emitted': 1, 'control': 1})
vector('V28-watermark', 'tumble 10', ['a@1 seq=1', 'a@3 seq=3', 'a@4 seq=2', 'a@99000 seq=1'], [],
       watermark='4')
vector('V29', 'tumble 10', ['a@1 seq=1', 'a@1 seq=5000', 'a@1 seq=905', 'a@1 seq=904',
                            'a@1 acked=5001 seq=903', 'end'], ['[0,10) a r1 n=4 @5'],
       counters={'read': 5, 'duplicate': 1, 'aggregated': 4, 'assigned': 4, 'taken': 4, 'due': 1,
                 'emitted': 1, 'control': 1})
vector('V29-bounds', 'tumble 10', ['a@1 seq=5 acked=5', 'a@1 seq=4', 'a@1 seq=6 acked=7',
                                   'a@1 seq=7', 'end'], ['[0,10) a r1 n=2 @4'])
vector('V29-span', 'tumble 10',
       ['a@1 seq=65535', 'a@1 seq=65536', 'a@1 seq=65536', 'a@1 seq=65536 acked=1', 'a@1 seq=65536',
        'a@1 seq=65537 acked=1', 'end'], ['[0,10) a r1 n=2 @6'],
       quarantine=['@1 SEQUENCE_SPAN', '@2 SEQUENCE_SPAN', '@5 SEQUENCE_SPAN'],
       counters={'read': 6, 'duplicate': 1, 'quarantined': 3, 'aggregated': 2, 'assigned': 2,
                 'taken': 2, 'due': 1, 'emitted': 1, 'control': 1})

# Producers that are forgotten: 7 days of logged time are 168 hours.
HOUR = 3_600_000


def silence(name, appended, counted, **options):
    """Event 1 of p, one of q at each time of `appended`, and event 1 of p again: counted or not."""
    events = (['a@0 seq=1 at=0'] + [f'a@0 by=q seq={n} at={at}' for n, at in enumerate(appended)] +
              [f'a@0 seq=1 at={appended[-1]}', f'end at={appended[-1]}'])
    n = len(appended) + 1 + counted
    vector(name, 'tumble 10', events, [f'[0,10) a r1 n={n} @{len(appended) + 2}'], B=FAR,
           counters={'read': len(appended) + 2, 'aggregated': n, 'assigned': n, 'taken': n,
                     'due': 1, 'emitted': 1, 'control': 1}
           | ({} if counted else {'duplicate': 1}), **options)


HOURS = [n * HOUR for n in range(1, 169)]
for label, table in ('', ''), ('-no-ticks', ", ticks = 'off'"):
    silence('V45' + label, HOURS, True, table=table)
    silence(f'V45-before{label}', HOURS[:-1] + [f'{168 * HOUR - 1}.999'], False, table=table)
silence('V45-full-hour', ['0.001'] + HOURS[:-1] + [168 * HOUR - 1], False)
silence('V45-jump', HOURS[:100] + [1_000 * HOUR], False)
silence('V45-jump-and-on', HOURS[:100] + [n * HOUR for n in range(1_000, 1_068)], True)
silence('V45-jump-and-on-before', HOURS[:100] + [n * HOUR for n in range(1_000, 1_067)], False)
silence('V45-to-and-fro', [n % 2 * 500 * HOUR for n in range(1, 400)], False)
silence('V45-two-clocks', [n * HOUR // 4 + n % 2 * 2_000 for n in range(1, 4 * 167)], False)
silence('V45-behind', [HOUR // 2 * (n % 2) for n in range(6)] + HOURS, True)
vector('V45-duplicate-is-read', 'tumble 10',
       ['a@0 seq=1 at=0', f'a@0 seq=1 at={HOUR}'] + [f'tick at={at}' for at in HOURS[1:]] +
       [f'a@0 seq=1 at={168 * HOUR}', 'end'], ['[0,10) a r1 n=1 @170'], B=FAR)

# Ticks.
SECOND = 'tick elapsed=1000'
vector('V30-before', 'tumble 60000', ['a@0'] + [SECOND] * 30, [], B='5000', watermark='-5000')
vector('V30-short', 'tumble 60000', ['a@0'] + [SECOND] * 30 + ['tick elapsed=999.999'], [],
       B='5000', watermark='-5000')
vector('V30-reached', 'tumble 60000', ['a@0'] + [SECOND] * 31, [], B='5000', watermark='25000')
vector('V30-over', 'tumble 60000', ['a@0'] + [SECOND] * 30 + ['tick elapsed=1000.001'], [],
       B='5000', watermark='25000.001')
vector('V30', 'tumble 60000', ['a@0'] + [SECOND] * 31 + ['a@20000'], [], B='5000',
       watermark='25000',
       counters={'read': 2, 'aggregated': 2, 'assigned': 2, 'taken': 2, 'control': 31})
V31 = ['a@0', SECOND, 'tick prev=1 elapsed=1000', 'tick prev=1 elapsed=1000',
       'tick prev=2 elapsed=50000']
for label, idle, upto, watermark in [
        ('', '3000', 5, '3000'), ('-below', '3000.001', 5, '0'), ('-first', '0.001', 2, '0'),
        ('-second', '1000', 3, '1000'), ('-ignored', '1000', 4, '1000'),
        ('-less', '1000.001', 4, '0')]:
    vector('V31' + label, 'tumble 60000', V31[:upto], [], watermark=watermark,
           table=f", idle_timeout = '{micros(idle)} microseconds'",
           counters={'read': 1, 'aggregated': 1, 'assigned': 1, 'taken': 1, 'control': upto - 1}
           | ({'ignored_ticks': 1} if upto > 3 else {}))
vector('V31-negative', 'tumble 60000', ['a@0', SECOND, 'tick elapsed=-5000', SECOND], [],
       watermark='1000', table=", idle_timeout = '1 second'")
for label, t, rows in [('', '12', ['[0,10) a r1 n=1 @41']), ('-at', '10', ['[0,10) a r1 n=1 @41']),
                       ('-below', '9.999', [])]:
    vector('V32' + label, 'tumble 10', ['tick elapsed=2000'] * 40 + ['a@5', f'a@{t}'], rows,
           watermark=t)

# Filters, order, fast clocks.
vector('V36', 'tumble 10', ['a@1', 'a@12 v=0', 'a@4', 'a@5 v=-5'], ['[0,10) a r1 n=1 @1'],
       where='v > 0', late_rows=['@2 1 10 10'], watermark='12',
       counters={'read': 4, 'filtered': 2, 'late': 1, 'aggregated': 1, 'assigned': 2, 'taken': 1,
                 'too_late': 1, 'due': 1, 'emitted': 1})
vector('V36-null', 'tumble 10', ['a@1', 'a@10 v=null', 'a@9.999'], ['[0,10) a r1 n=1 @1'],
       where='v > 0', late_rows=['@2 1 10 10'])
vector('V38', 'tumble 10', ['b@1 j=2', 'b@1 j=-1', '-@1 j=5', "''@1 j=0", 'aa@1 j=0', 'a@1 j=null',
                            'é@1 j=0', 'Z@1 j=0', 'a@1 j=0', 'end'],
       [f'[0,10) {key} r1 n=1 @9' for key in
        ('k:-,j:5', "k:'',j:0", 'k:Z,j:0', 'k:a,j:null', 'k:a,j:0', 'k:aa,j:0', 'k:b,j:-1',
         'k:b,j:2', 'k:é,j:0')], keys='k, j', B='5')
for label, b, second in [('', '10.5', '20.5'), ('-at', '10', '20')]:
    vector('V39' + label, 'tumble 10',
           ['a@1', 'c@1', f'b@{b}', 'a@2', f'a@{second}', 'a@11', 'c@3', 'tick'],
           ['[0,10) a r1 n=1 @2', '[0,10) c r1 n=1 @2', '[10,20) b r1 n=1 @4', '[0,10) a r2 n=2 @7',
            '[0,10) c r2 n=2 @7', '[10,20) a r1 n=1 @7'], L='100')
vector('V40', 'tumble 60000',
       ['a@3540000 at=0'] + [f'a@{n}000 at={n}000' for n in range(1, 131)] + ['end'],
       ['[0,60000) a r1 n=59 @65', '[60000,120000) a r1 n=60 @125',
        '[120000,180000) a r1 n=11 @131', '[3540000,3600000) a r1 n=1 @131'], B='5000')
vector('V40-bound', 'tumble 60000', ['a@3540000 at=0', 'a@59999.999 at=64999.999', 'a@64999.999',
                                     'a@59999.999', 'a@65000', 'a@59999.999'],
       ['[0,60000) a r1 n=2 @4'], B='5000', late_rows=['@5 1 60000 60000'])

# Sums.
BIG = '9223372036854775807'
vector('V41', 'tumble 10', [f'a@1 v={v}' for v in (BIG, BIG, '-1', BIG)] + ['end'],
       ['[0,10) a r1 x="27670116110564327420" @4'], v='bigint', select='sum(v) AS x')
vector('V41-below', 'tumble 10', [f'a@1 v=-{BIG}', f'a@1 v=-{BIG}', 'a@1 v=-3', 'end'],
       ['[0,10) a r1 x="-18446744073709551617" @3'], v='bigint', select='sum(v) AS x')
INF = '"Infinity"'
for number, (order, left, right) in enumerate([(('1e308', '1e308', '-1e308'), INF, '0'),
                                               (('1e308', '-1e308', '1e308'), '0', '0'),
                                               (('-1e308', '1e308', '1e308'), '0', INF)], 1):
    vector(f'V42-order{number}', 'tumble 10', [f'a@1 v={v}' for v in order] + ['end'],
           ['[0,10) a r1 x=1e308 @3'], v='double precision', select='sum(v) AS x')
    vector(f'V42-slices{number}', 'hop 5 15',
           [f'a@{5 * n} v={v}' for n, v in enumerate(order)] + ['end'],
           [f'[-10,5) a r1 x={order[0]} @3', f'[-5,10) a r1 x={left} @3',
            '[0,15) a r1 x=1e308 @3', f'[5,20) a r1 x={right} @3',
            f'[10,25) a r1 x={order[2]} @3'],
           v='double precision', select='sum(v) AS x', B='100')
vector('V43', 'tumble 10', ['a@1', 'a@10', 'a@5', 'tick'],
       ['[0,10) a r1 n=1 @1', '[0,10) a r2 deleted @3'], L='10', having='count(*) < 2',
       file_rows=[])
vector('V43-below', 'tumble 10', ['a@1', 'a@9.999', 'a@5', 'tick', 'end'], [], L='10',
       having='count(*) < 2', file_rows=[],
       counters={'read': 3, 'aggregated': 3, 'assigned': 3, 'taken': 3, 'due': 1, 'withheld': 1,
                 'control': 2})

# Sessions and cumulating windows.
vector('V11', 'session 5', ['a@0', 'a@4', 'end'], ['[0,9) a r1 n=2 @2'], B='100')
vector('V11-last', 'session 5', ['a@0', 'a@4.999', 'end'], ['[0,9.999) a r1 n=2 @2'], B='100')
vector('V12', 'session 5', ['a@0', 'a@5', 'end'], ['[0,5) a r1 n=1 @2', '[5,10) a r1 n=1 @2'],
       B='100')
vector('V13', 'session 5', ['a@0', 'b@5', 'a@5', 'end'],
       ['[0,5) a r1 n=1 @1', '[5,10) a r1 n=1 @3', '[5,10) b r1 n=1 @3'])
V14 = ['[0,5) a r1 n=1 @1', '[10,15) a r1 n=1 @4', '[11,16) b r1 n=1 @4']
for label, t, end in [('', '5', '10'), ('-below', '4.999', '9.999')]:
    vector('V14' + label, 'session 5', ['a@0', 'a@10', 'b@11', f'a@{t}', 'end'], V14,
           late_rows=[f'@3 1 {end} {end}'])
for label, t in [('', '6'), ('-touches', '5.001')]:
    vector('V15' + label, 'session 5', ['a@0', 'a@10', 'b@11', f'a@{t}', 'end'],
           ['[0,5) a r1 n=1 @1', f'[{t},15) a r1 n=2 @4', '[11,16) b r1 n=1 @4'])
vector('V33', 'session 5', ['a@0', 'b@7', 'a@3', 'end'],
       ['[0,5) a r1 n=1 @1', '[7,12) b r1 n=1 @3'], late_rows=['@2 1 8 8'])
vector('V34', 'session 5', ['a@0', 'a@6', 'a@3', 'end'],
       ['[0,5) a r1 n=1 @1', '[6,11) a r1 n=1 @3'], late_rows=['@2 1 8 8'])
vector('V35', 'session 5', ['a@12', 'a@4', 'a@8', 'end'], ['[4,17) a r1 n=3 @3'], B='100')
vector('V37', 'cumulate 60000 300000', ['a@0', 'a@300000'],
       [f'[0,{n}0000) a r1 n=1 @1' for n in (6, 12, 18, 24, 30)])

expression_vectors.add(VECTORS, vector)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--emit', metavar='DIR', required=True)
    directory = parser.parse_args().emit
    os.makedirs(directory, exist_ok=True)
    names = {case['name'] for case in VECTORS}
    if len(names) != len(VECTORS):
        sys.exit('two vectors have the same name')
    for case in VECTORS:
        with open(os.path.join(directory, case['name'] + '.json'), 'w', encoding='utf-8') as file:
            json.dump(case, file, ensure_ascii=False, indent=1)
            file.write('\n')
    print(f'{len(VECTORS)} vectors written to {directory}')


if __name__ == '__main__':
    main()
