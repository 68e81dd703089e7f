"""Random logs: disorder, duplicates, faults, ticks good and bad, bounds hit to the microsecond."""
import random
import struct
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HOUR = 3_600_000_000
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
TEXTS = ['a', 'a', 'b', 'b', 'c', '', 'Z', 'aa', 'é', '日本', '\0', 'a\0', 'a\0b', 'ﬀ', '\uffff', '😀',
         '12', ' 7 ', '-3', '2147483648', '1e3', 'NaN', 'true', 'x' * 40, '\n', '"\\']
KEYS = {'text': TEXTS, 'int': [0, 1, 2, -1, 2147483647, -2147483648],
        'bigint': [0, 1, -1, 2**40, '9223372036854775807', '-9223372036854775808']}
WRONG = {'int': ['x', 1.5, True, 2147483648, -2147483649, {}], 'text': [7, False, [1], 1.5],
         'bigint': ['x', 1.5, False, '9223372036854775808', '1.5'], 'boolean': [1, 'true', 0.5],
         'double precision': ['x', True, [], ''], 'timestamptz': ['x', True, {}]}


class Log:
    """The records of one case, near the bounds that its definition makes interesting."""

    def __init__(self, rng, case):
        self.rng, self.case = rng, case
        self.now, self.offset, self.last_tick, self.ticks = case.base, 0, None, []
        self.next_seq, self.acked, self.sent = {'p': 1, 'q': 1}, {'p': 0, 'q': 0}, []
        self.keys = rng.sample(KEYS[case.columns['k']], 3) + [None]
        self.keys = self.keys[-rng.choice([1, 2, 2, 3, 4]):]
        self.times = []  # event times again and again: revisions of few windows
        self.again = rng.choice([0, 0.15, 0.5])
        if case.revising:
            self.keys, self.again, self.step = self.keys[-2:], 0.6, case.slide // 20 + 1
            self.dull = True
        self.dull = rng.random() < 0.5  # few different values, so that groups are shared
        self.step = rng.choice([case.slide // 7, case.slide // 2, case.size // 3, case.slide]) + 1

    @staticmethod
    def time_text(micros):
        moment = EPOCH + timedelta(microseconds=micros)
        return moment.replace(tzinfo=None).isoformat(timespec='microseconds') + 'Z'

    def records(self):
        rng, result = self.rng, []
        shape = rng.choice(['mixed', 'mixed', 'mixed', 'events', 'ticks'])
        shape = 'revising' if self.case.revising else shape
        if self.case.feature('repeat', 0.04):
            shape = 'repeat'
        elif self.case.feature('silence', 0.08):
            shape = 'silence'
        length = rng.randrange(10, 70)
        ticks, advances, bursts = {'events': (0.02, 0.02, [1]), 'ticks': (0.3, 0.06, [1, 1, 2, 6]),
                                   'revising': (0.15, 0.02, [1])}.get(
                                       shape, (0.08, 0.05, [1, 1, 1, 2, 6, 15]))
        for number in range(length):
            action = rng.random()
            if shape == 'repeat' and number in (length // 3, length // 2):
                result.append(self.event(repeat=rng.choice([9_990, 9_999, 10_000, 10_001])))
            elif shape == 'silence' and number == length // 2:
                result += self.silence()
            elif action < ticks:
                result += [self.tick() for _ in range(rng.choice(bursts))]
            elif action < ticks + advances:
                result.append(self.advance())
            else:
                result.append(self.event())
        if rng.random() < 0.6:
            result.append(self.record('advance', to='infinity'))
            result += [self.event() for _ in range(rng.choice([0, 0, 1]))]
        return result

    def record(self, kind, **members):
        self.offset += 1
        return {'offset': self.offset - 1, 'kind': kind, 'append_time': self.now} | members

    def bound(self):
        """A time at which something may happen, to the microsecond."""
        case, rng = self.case, self.rng
        offset = case.offset or 0
        aligned = self.now - (self.now - offset) % case.slide
        time = aligned + rng.choice([0, 0, case.slide, case.size, -case.slide, -case.size])
        time += rng.choice([0, 0, case.delay, case.lateness, case.delay + case.lateness])
        return time + rng.choice([-1, 0, 0, 0, 1])

    def tick(self):
        rng, prev = self.rng, self.last_tick
        self.now += rng.choice([0, 0, self.step])
        if rng.random() < 0.12:  # a zombie, or a writer that has missed a tick
            prev = rng.choice([None, self.offset - 1, *self.ticks[-3:]])
        elapsed = rng.choice([1_000_000] * 6 + [300_000, 1_500_000, 2_000_000, 2_000_001, 0,
                                                -1_000_000, 10**12])
        if self.case.revising and rng.random() < 0.9:
            elapsed = 1000
        record = self.record('tick', prev=prev, elapsed=elapsed)
        if self.last_tick is None or prev == self.last_tick:
            self.last_tick = record['offset']
        self.ticks.append(record['offset'])
        return record

    def silence(self):
        """Seven days or nearly, in which clocks jump; what was sent before is sent again later."""
        ticks = []
        for _ in range(self.rng.choice([168, 175, 190])):
            self.now += self.rng.choice([HOUR] * 60 + [HOUR - 1, 9 * HOUR, -HOUR])
            ticks.append(self.tick())
        return ticks

    def advance(self):
        to = self.bound() if self.rng.random() < 0.8 else self.now + self.rng.randrange(
            -3 * self.case.size, self.case.size)
        return self.record('advance', to='infinity' if self.rng.random() < 0.02 else to)

    def event_time(self):
        if self.times and self.rng.random() < self.again:
            return self.rng.choice(self.times[-8:])
        self.times.append(self.new_time())
        return self.times[-1]

    def new_time(self):
        rng, case = self.rng, self.case
        way = rng.random()
        if way < 0.4:
            time = self.now - rng.randrange(case.size + 1)
        elif way < 0.75:
            time = self.bound()
            if time > self.now and rng.random() < 0.6:
                self.now = time
        elif way < 0.9:
            time = self.now - rng.randrange(2 * (case.delay + case.lateness + case.size) + 1)
        elif way < 0.95:
            time = self.now - rng.randrange(20 * case.size)
        else:
            time = self.now + case.max_ahead + rng.choice([-1, 0, 1, -case.size])
        return min(max(time, FIRST_TIME), LAST_TIME)

    def value(self, kind):
        rng = self.rng
        if rng.random() < 0.12:
            return None
        if kind == 'int':
            return rng.choice([1, 2, 1, 2, 0, -1, 3] if self.dull else [
                0, 1, -1, 2, 10, 2**31 - 1, -2**31, rng.randrange(-2**31, 2**31)])
        if kind == 'bigint':
            value = rng.choice([1, 2] if self.dull else [
                0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -2**63, rng.randrange(-2**63, 2**63)])
            return str(value) if abs(value) > 2**53 else value
        if kind == 'double precision':
            if self.dull and rng.random() < 0.8:
                return rng.choice([0.5, 1, 0.1, 2.5])
            bits = struct.unpack('>d', rng.randbytes(8))[0]
            return rng.choice([0.0, -0.0, 1e308, -1e308, 1.7976931348623157e308, 5e-324, 0.1,
                               1e-300, 'NaN', 'Infinity', '-Infinity', 2.0**53, -1.5,
                               bits if abs(bits) < float('inf') else 1e16,
                               rng.uniform(-1e3, 1e3)])
        if kind == 'boolean':
            return rng.random() < 0.6
        if kind == 'timestamptz':
            return rng.choice([min(self.now, LAST_TIME), self.case.base, 0, -1, 978307200000000,
                               FIRST_TIME, LAST_TIME])
        return rng.choice(TEXTS[:4] if self.dull else TEXTS)

    def values(self):
        rng, case = self.rng, self.case
        result = {'ts': self.event_time()}
        for name, kind in case.columns.items():
            if name == 'k':
                result[name] = rng.choice(self.keys)
            elif name != 'ts':
                result[name] = self.value(kind)
            if result[name] is None and name in case.required and rng.random() < 0.9:
                result[name] = {'text': 'a'}.get(kind, 1)
            elif result[name] is None and rng.random() < 0.3:
                del result[name]
        if rng.random() < 0.08:
            self.spoil(result)
        return result

    def spoil(self, values):
        rng, columns = self.rng, self.case.columns
        for _ in range(rng.choice([1, 1, 2])):
            name = rng.choice(['ts', 'ts', *columns])
            if name == 'ts' and rng.random() < 0.6:
                values[name] = rng.choice([None, FIRST_TIME - 1, LAST_TIME + 1])
            elif rng.random() < 0.25:
                values.pop(name, None)
            elif rng.random() < 0.25:
                values[name] = None
            else:
                values[name] = rng.choice(WRONG[columns[name]])

    def identity(self):
        """(producer, sequence, acked_below), now and then one that was there before."""
        rng = self.rng
        way = rng.random()
        if way < 0.15:
            return None, None, 0
        if way < 0.27 and self.sent:
            producer, seq = rng.choice(self.sent)
            return producer, seq, rng.choice([self.acked[producer], 0])
        producer = rng.choice('ppq')
        if rng.random() < 0.1:
            self.next_seq[producer] += rng.choice([1, 2, 100])
        seq = self.next_seq[producer]
        if rng.random() < 0.15:
            self.acked[producer] = rng.randrange(self.acked[producer], seq + 1)
        if rng.random() < 0.02:
            acked = self.acked[producer]
            return producer, acked + 65_536 + rng.choice([-1, 0, 1]), acked
        self.next_seq[producer] += 1
        self.sent.append((producer, seq))
        return producer, seq, self.acked[producer]

    def event(self, repeat=1):
        rng = self.rng
        if rng.random() < 0.7:
            self.now += rng.randrange(self.step)
        elif rng.random() < 0.03:  # append times are the broker's, who may step back
            self.now -= rng.randrange(self.step)
        producer, seq, acked = self.identity()
        body = {'raw': rng.choice(['{not json', '[1]', 'nonsense'])} if rng.random() < 0.015 else {
            'values': self.values()}
        record = self.record('event', producer=producer, seq=seq, acked_below=acked, **body)
        if repeat > 1:
            record['repeat'] = repeat
            self.offset += repeat - 1
            if seq is not None and seq + 1 == self.next_seq[producer]:
                self.next_seq[producer] += repeat - 1
        return record
