#!/usr/bin/env python3
"""Folds the log of a case as the semantics say and prints what has to come out.

    oracle.py CASE.json     prints the members of `expected` as one JSON object

It works record by record and keeps every window of every event apart. Exit status 0; 3 for two
stages, which it does not fold; 2 for a case that it cannot read.
"""
import heapq
import json
import math
import sys
from datetime import timedelta

from expressions import EvalError
from minisql import EPOCH, SqlError, parse, parse_time
from view import BadValue, Group, View, column_value
from windows import assigner

PULSE_EVENTS = 10_000
SEQUENCE_SPAN = 65_536
FORGET_PRODUCER = 7 * 86_400 * 10**6
HOUR = 3600 * 10**6
MAX_ELAPSED = 2 * 10**6
FILE_ROWS = 1_000_000
FIRST_TIME = -62_135_596_800_000_000  # 0001-01-01
LAST_TIME = 253_402_300_799_999_999   # 9999-12-31T23:59:59.999999
MINUS_INFINITY, INFINITY = -math.inf, math.inf


class TwoStages(Exception):
    """The case needs a second stage."""


class Producer:
    def __init__(self):
        self.acked_below, self.seen, self.last_read = 0, set(), 0


class Window:
    def __init__(self, closed):
        self.closed, self.groups = closed, {}


class Fold:
    """The state of the only shard, and its outputs."""

    def __init__(self, case):
        if 'partitions' in case:
            raise TwoStages('two stages are not folded here')
        self.spec = spec = parse(case['sql'])
        self.view, self.assign = View(spec), assigner(spec.window)
        self.sessions = self.assign is None
        if self.sessions and (spec.lateness or spec.updates):
            raise SqlError('sessions take no allowed_lateness and no updates')
        self.create_time = case.get('create_time', False)
        self.start = MINUS_INFINITY
        if spec.start is not None:
            self.start = case['defined_at'] if spec.start == 'latest' else parse_time(spec.start)
        self.largest_time, self.watermark = MINUS_INFINITY, MINUS_INFINITY  # T, W
        self.last_tick, self.idle, self.fresh = None, 0, False
        self.logged, self.appended, self.stepped_back = 0, None, 0
        self.events_since_pulse, self.producers = 0, {}
        self.windows, self.due = {}, []   # (end, start) -> Window; heap of (W, end, start)
        self.pending = {}                 # closed groups with a revision due, by order
        self.changed = {}                 # open groups changed since the last pulse, by order
        self.open_sessions, self.floors = {}, {}  # sessions and E by key
        self.file = None                  # interval of the unfinished file
        self.rows, self.provisional, self.file_rows, self.files = [], [], [], []
        self.late, self.quarantine, self.row_errors, self.counters = [], [], [], {}

    def count(self, name, n=1):
        if n:
            self.counters[name] = self.counters.get(name, 0) + n

    # One record.

    def step(self, record, offset, seq):
        """Rules 1 to 5 and 7, then what the new W and the pulse bring about."""
        self.offset, pulse, ends_quiet_file = offset, False, False
        if not self.create_time:
            self.pass_time(self.since_last(record['append_time']))
        if record['kind'] == 'event':
            self.count('read')
            self.count(self.event(record, seq))
            self.events_since_pulse += 1
            pulse = self.events_since_pulse == PULSE_EVENTS
        elif record['kind'] == 'tick':
            self.count('control')
            pulse = ends_quiet_file = self.tick(record)
            self.count('ignored_ticks', not pulse)
        else:
            self.count('control')
            to = INFINITY if record['to'] == 'infinity' else record['to']
            self.watermark, ends_quiet_file = max(self.watermark, to), True
        self.emit(pulse)
        if self.file is not None and ends_quiet_file and self.idle >= self.spec.file_idle:
            self.end_file()
        if pulse:
            self.events_since_pulse = 0

    def event(self, record, seq):
        """The event's place in the ledger."""
        if self.is_duplicate(record, seq):
            return 'duplicate'
        row, reason = self.admit(record, seq)
        if reason:
            return self.refuse(reason)
        t = row[self.spec.event_time]
        self.largest_time = max(self.largest_time,
                                t if self.create_time else min(t, record['append_time']))
        self.watermark = max(self.watermark, self.largest_time - self.spec.delay)
        self.idle, self.fresh = 0, True
        try:
            if not self.view.accepts(row):
                return 'filtered'
            key, additions = self.view.key(row), self.view.additions(row)
        except EvalError as error:
            return self.refuse('EVALUATION_ERROR', detail=error.detail())
        take = self.take_session if self.sessions else self.take_windows
        taken, missed, before = take(t, key, additions)
        self.count('assigned', taken + len(missed) + before)
        self.count('taken', taken)
        self.count('too_late', len(missed))
        self.count('before_start_pairs', before)
        if missed:
            self.late.append({'offset': self.offset, 'missed': len(missed),
                              'first_missed_end': min(missed), 'last_missed_end': max(missed)})
        return 'aggregated' if taken else 'late' if missed else 'before_start'

    def refuse(self, reason, **detail):
        self.quarantine.append({'offset': self.offset, 'reason': reason, **detail})
        return 'quarantined'

    def is_duplicate(self, record, seq):
        """Rule 1. The sequence is entered here, unless it lies too far above acked_below."""
        if seq is None:
            return False
        producer = self.producers.setdefault(record['producer'], Producer())
        producer.last_read = self.logged
        producer.acked_below = max(producer.acked_below, record.get('acked_below') or 0)
        if seq < producer.acked_below or seq in producer.seen:
            return True
        if seq < producer.acked_below + SEQUENCE_SPAN:
            producer.seen.add(seq)
        return False

    def admit(self, record, seq):
        """Rule 2 up to WRONG_PARTITION: (the row, None) or (None, the first reason that holds)."""
        if seq is not None and (
                seq >= self.producers[record['producer']].acked_below + SEQUENCE_SPAN):
            return None, 'SEQUENCE_SPAN'
        if 'raw' in record:
            return None, 'UNREADABLE'
        given, time = record['values'], self.spec.event_time
        if any(required and name != time and given.get(name) is None
               for name, (_, required) in self.view.columns):
            return None, 'MISSING_COLUMN'
        try:
            row = {name: None if given.get(name) is None else column_value(kind, given[name])
                   for name, (kind, _) in self.view.columns}
        except BadValue:
            return None, 'WRONG_TYPE'
        if row[time] is None:
            return None, 'NULL_EVENT_TIME'
        if not FIRST_TIME <= row[time] <= LAST_TIME:
            return None, 'EVENT_TIME_OUT_OF_RANGE'
        if not self.create_time and row[time] > record['append_time'] + self.spec.max_ahead:
            return None, 'TOO_FAR_AHEAD'
        return row, None

    def tick(self, record):
        """Rule 4: whether the tick is valid."""
        first = self.last_tick is None
        if not first and record['prev'] != self.last_tick:
            return False
        elapsed = 0 if first else min(max(record['elapsed'], 0), MAX_ELAPSED)
        self.last_tick = self.offset
        self.idle += 0 if self.fresh else elapsed
        self.fresh = False
        if self.create_time:
            self.pass_time(elapsed)
        if self.idle >= self.spec.idle_timeout and self.windows:
            held_until = max(end for end, _ in self.windows) + self.spec.lateness
            self.watermark = max(self.watermark, min(
                self.largest_time + self.idle - self.spec.delay, held_until))
        return True

    def since_last(self, append_time):
        """Rule 4: what a record adds to logged time."""
        last, self.appended = self.appended, append_time
        step = 0 if last is None else append_time - last
        if step < 0:
            self.stepped_back = min(self.stepped_back + min(-step, HOUR), HOUR)
            return 0
        step = min(step, HOUR)
        made_up = min(step, self.stepped_back)
        self.stepped_back -= made_up
        return step - made_up

    def pass_time(self, elapsed):
        hour, self.logged = self.logged // HOUR, self.logged + elapsed
        if self.logged // HOUR > hour:
            self.producers = {name: p for name, p in self.producers.items()
                              if self.logged - p.last_read < FORGET_PRODUCER}

    # Windows.

    def take_windows(self, t, key, additions):
        """Rules 7 and 11, window by window: (taken, ends of the missed ones, before the start)."""
        taken, missed, before = 0, [], 0
        for start, end in self.assign(t):
            if start < self.start:
                before += 1
            elif self.watermark >= end + self.spec.lateness:
                missed.append(end)
            else:
                group = self.group(start, end, key)
                group.add(additions)
                taken += 1
                if self.watermark >= end:
                    self.count('accepted_late')
                    self.pending[group.order] = group
                else:
                    self.changed[group.order] = group
        return taken, missed, before

    def group(self, start, end, key):
        order = self.view.key_bytes(key)
        window = self.windows.get((end, start))
        if window is None:
            window = self.windows[end, start] = Window(closed=self.watermark >= end)
            heapq.heappush(self.due, (end, end, start))
            heapq.heappush(self.due, (end + self.spec.lateness, end, start))
        if order not in window.groups:
            window.groups[order] = Group(self.view, start, end, key, order)
        return window.groups[order]

    def take_session(self, t, key, additions):
        """The same for a session, which makes one pair."""
        if t < self.start:
            return 0, [], 1
        gap, order = self.spec.window.gap, self.view.key_bytes(key)
        sessions = self.open_sessions.get(order, [])
        floor = self.floors.get(order)
        if floor is not None and not sessions and self.watermark >= floor + gap:
            floor = None
        touched = [s for s in sessions if s.start < t + gap and t < s.end]
        start = min([t] + [s.start for s in touched])
        end = max([t + gap] + [s.end for s in touched])
        if end <= self.watermark or floor is not None and t < floor:
            return 0, [t + gap], 0
        self.floors[order] = self.watermark - gap if floor is None else floor
        for session in touched:
            del self.windows[session.end, session.start].groups[order]
            if not self.windows[session.end, session.start].groups:
                del self.windows[session.end, session.start]
        merged = self.group(start, end, key)
        for session in touched:
            merged.merge(session)
        merged.add(additions)
        self.open_sessions[order] = [s for s in sessions if s not in touched] + [merged]
        return 1, [], 0

    def close_sessions(self, groups):
        for group in groups:
            order = group.order[2]
            self.open_sessions[order].remove(group)
            self.floors[order] = max(group.end, self.floors[order])

    # Output of one record: rules 6, 8, 9, 10.

    def emit(self, pulse):
        results, expired = {}, []
        while self.due and self.due[0][0] <= self.watermark:
            _, end, start = heapq.heappop(self.due)
            window = self.windows.get((end, start))
            if window is None:
                continue
            if not window.closed:
                window.closed = True
                results.update({group.order: group for group in window.groups.values()})
                if self.sessions:
                    self.close_sessions(window.groups.values())
            if self.watermark >= end + self.spec.lateness:
                del self.windows[end, start]
                expired += window.groups.values()
        for order in list(self.pending) if pulse else [group.order for group in expired]:
            if order in self.pending:
                results[order] = self.pending.pop(order)
        withdrawn = [group for _, group in sorted(results.items()) if self.emit_result(group)]
        if self.spec.updates:
            self.emit_provisional(withdrawn, pulse)
        if pulse:
            self.changed = {}
        for group in sorted(expired, key=lambda group: group.order):
            if group.file_result is not None:
                self.add_file_row(group)
        if self.file is not None and self.watermark >= self.file_end():
            self.end_file()

    def emit_result(self, group):
        """A result that is due; true if it leaves a provisional row without successor."""
        self.count('due')
        group.file_result = None
        lone, group.provisional_stands = group.provisional_stands, False
        try:
            result = self.view.result(group)
        except EvalError as error:
            self.count('row_errors')
            self.row_errors.append({**group.named(), 'at_offset': self.offset,
                                    'detail': error.detail()})
            return lone
        if result is None and not group.stands:
            self.count('withheld')
            return lone
        self.count('emitted')
        group.revision += 1
        group.stands = result is not None
        row = {'_seq': len(self.rows) + 1, '_revision': group.revision}
        if group.stands:
            group.file_result = row['_seq']
        self.append_row(self.rows, row, group, result)
        return False

    def append_row(self, rows, row, group, result):
        deleted = {'_deleted': True} if result is None else {}
        rows.append({**row, **deleted, **group.named(), **(result or {}),
                     'at_offset': self.offset})

    def emit_provisional(self, withdrawn, pulse):
        """Provisional rows of open windows at a pulse; deletions of those that nothing replaces."""
        rows = {group.order: (group, None) for group in withdrawn}
        for group in self.changed.values() if pulse else ():
            if self.watermark >= group.end:
                continue
            try:
                result = self.view.result(group)
            except EvalError:
                result = None
            if result is not None or group.provisional_stands:
                rows[group.order] = group, result
            group.provisional_stands = result is not None
        for _, (group, result) in sorted(rows.items()):
            self.append_row(self.provisional, {'_seq': len(self.provisional) + 1}, group, result)

    def file_end(self):
        return (self.file + 1) * self.spec.file_interval + self.spec.lateness

    def add_file_row(self, group):
        interval = (group.end - 1) // self.spec.file_interval
        if self.file is not None and self.file != interval:
            self.end_file()
        seq = len(self.file_rows) + 1
        if self.file is None:
            self.file = interval
            begins = EPOCH + timedelta(microseconds=interval * self.spec.file_interval)
            self.files.append({'date': begins.date().isoformat(), 'first_seq': seq,
                               'last_seq': seq, 'ended_at': None})
        self.files[-1]['last_seq'] = seq
        self.file_rows.append({'_seq': seq, 'result_seq': group.file_result,
                               'file': len(self.files), 'at_offset': self.offset})
        if seq - self.files[-1]['first_seq'] + 1 == FILE_ROWS:
            self.end_file()

    def end_file(self):
        self.files[-1]['ended_at'], self.file = self.offset, None

    def outputs(self):
        result = {'rows': self.rows}
        if self.spec.updates:
            result['provisional'] = self.provisional
        result |= {'file_rows': self.file_rows, 'files': self.files, 'late': self.late,
                   'quarantine': self.quarantine}
        if self.row_errors:
            result['row_errors'] = self.row_errors
        watermark = {MINUS_INFINITY: None, INFINITY: 'infinity'}.get(self.watermark, self.watermark)
        return result | {'counters': self.counters, 'watermark': watermark}


def fold(case):
    """The members of `expected` for a case."""
    state = Fold(case)
    for record in case['records']:
        for n in range(record.get('repeat', 1)):
            seq = record.get('seq')
            if record['offset'] + n >= case.get('start_offset', 0):
                state.step(record, record['offset'] + n, None if seq is None else seq + n)
    return state.outputs()


def write(result, out):
    """One element of a list a line."""
    members = []
    for name, value in result.items():
        if isinstance(value, list) and value:
            lines = ',\n'.join('  ' + json.dumps(element, ensure_ascii=False) for element in value)
            members.append(f' {json.dumps(name)}: [\n{lines}\n ]')
        else:
            members.append(f' {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}')
    out.write('{\n' + ',\n'.join(members) + '\n}\n')


def main():
    if len(sys.argv) != 2:
        print('usage: oracle.py CASE.json', file=sys.stderr)
        return 2
    sys.stdout.reconfigure(encoding='utf-8', errors='surrogatepass')
    try:
        with open(sys.argv[1], encoding='utf-8') as file:
            result = fold(json.load(file))
    except TwoStages as refusal:
        print(f'{sys.argv[1]}: {refusal}', file=sys.stderr)
        return 3
    except (OSError, ValueError, KeyError, SqlError) as error:
        print(f'{sys.argv[1]}: {type(error).__name__}: {error}', file=sys.stderr)
        return 2
    write(result, sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())
