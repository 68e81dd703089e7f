"""Window assignment of the oracle: the windows (start, end) that an event time belongs to."""
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from minisql import DAY, EPOCH, SqlError

SECOND = 10**6
MONDAY = 4 * DAY  # 1970-01-05
LAST_ZONED_SECOND = 4_133_980_800 - 1  # 2100-12-31T23:59:59Z


def aligned_offset(size, offset):
    if offset is None:
        return MONDAY if size % (7 * DAY) == 0 else 0
    return offset


class LocalDays:
    """Windows of `days` local calendar days, numbered from 1970-01-01 local."""

    def __init__(self, zone, days):
        self.days, self.starts = days, {}
        try:
            self.zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SqlError(f'time zone not known: {zone!r}') from error

    def utc_offset(self, second):
        """Seconds east of UTC; outside 1970..2100 the nearest one holds."""
        inside = min(max(second, 0), LAST_ZONED_SECOND)
        moment = (EPOCH + timedelta(seconds=inside)).astimezone(self.zone)
        return moment.utcoffset() // timedelta(seconds=1)

    def start(self, day):
        """The first instant, a UTC second, whose local time is at or after midnight of `day`."""
        if day not in self.starts:
            midnight = day * 86400
            reached = lambda second: second + self.utc_offset(second) >= midnight
            low = midnight - 2 * 86400
            while not reached(low + 60):  # midnight stands for a minute, whatever follows
                low += 60
            high = low + 60
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if reached(middle) else (middle, high)
            self.starts[day] = high
        return self.starts[day]

    def __call__(self, t):
        second = t // SECOND
        day = (second + self.utc_offset(second)) // 86400 + 2
        while self.start(day) > second:
            day -= 1
        first = day - (day - (4 if self.days % 7 == 0 else 0)) % self.days
        return [(self.start(first) * SECOND, self.start(first + self.days) * SECOND)]


def assigner(window):
    """A function of t that lists its windows by rising start, then end; None for sessions."""
    sizes = [getattr(window, name, None) for name in ('size', 'slide', 'step', 'gap')]
    if any(size is not None and size <= 0 for size in sizes):
        raise SqlError('a window needs a positive size')
    if window.kind == 'session':
        return None
    size = window.size
    if window.timezone is not None:
        if size % DAY or window.offset is not None:
            raise SqlError('a time zone needs whole days and no offset')
        return LocalDays(window.timezone, size // DAY)
    if window.kind == 'tumble':
        offset = aligned_offset(size, window.offset)

        def tumble(t):
            start = t - (t - offset) % size
            return [(start, start + size)]
        return tumble
    if window.kind == 'hop':
        slide = window.slide
        if slide > size or size > 1440 * slide:
            raise SqlError('slide is at most size and at least size / 1440')
        offset = aligned_offset(slide, window.offset)

        def hop(t):
            last = t - (t - offset) % slide
            starts = range(last, t - size, -slide)
            return [(start, start + size) for start in reversed(starts)]
        return hop
    step = window.step
    if size % step or size > 1440 * step:
        raise SqlError('size is a multiple of step, at most 1440 of them')
    offset = aligned_offset(size, None)

    def cumulate(t):
        start = t - (t - offset) % size
        return [(start, start + n * step) for n in range(1, size // step + 1)
                if start + n * step > t]
    return cumulate
