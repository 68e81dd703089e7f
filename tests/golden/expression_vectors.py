"""The vectors of expressions: text to double, and what the quarantine says of those that fail."""
import sys

ZERO, RANGE = 'division by zero', 'value out of range'
BAD_TEXT = 'text cannot be read as the type it is cast to'

# CAST of text to double precision, as max() of one gives it, so -0 is 0; None: an error.
DOUBLES = [
    ('5', 5.0), ('+5', 5.0), ('-5', -5.0), ('.5', 0.5), ('5.', 5.0), ('-.5', -0.5), ('007', 7.0),
    ('5e3', 5000.0), ('5E+3', 5000.0), ('5.e-1', 0.5), ('-0', 0.0), (' 5', 5.0),
    ('5\t\n\r\f\v', 5.0), ('1e-400', 0.0), ('-1e-400', 0.0), ('4.9e-324', 5e-324),
    ('1.7976931348623157e308', sys.float_info.max), ('9007199254740993', 2.0**53), ('0.1', 0.1),
    ('1e400', None), ('-1e400', None), ('1e99999999999999999999', None),
    ('1e-99999999999999999999', 0.0), ('nan', 'NaN'), ('NaN', 'NaN'), (' NAN ', 'NaN'),
    ('inf', 'Infinity'), ('+inf', 'Infinity'), ('-INF', '-Infinity'), ('Infinity', 'Infinity'),
    ('+infinity', 'Infinity'), ('-infinity', '-Infinity'), ('', None), (' ', None), ('.', None),
    ('-', None), ('+', None), ('+-5', None), ('-+5', None), ('--5', None), ('++5', None),
    ('- 5', None), ('+ 5', None), ('5 5', None), ('5,0', None), ('1_000', None), ('1e', None),
    ('1e+', None), ('e5', None), ('.e5', None), ('1.2.3', None), ('0x10', None), ('0x1p4', None),
    ('1p4', None), ('5f', None), ('5d', None), ('-nan', None), ('+nan', None), ('nan(x)', None),
    ('nan()', None), ('-nan(x)', None), ('infin', None), ('infinityx', None), ('- inf', None),
    ('+-inf', None), ('--inf', None), ('in f', None), ('\u0661', None), ('5\u00a0', None),
    ('\uff15', None), ('five', None), ('true', None)]
TOO_LARGE = ('1e400', '-1e400', '1e999')
events = [
    {'offset': i, 'kind': 'event', 'append_time': 0, 'producer': 'p', 'seq': i + 1,
     'acked_below': 0, 'values': {'ts': 0, 'k': f'{i:03}', 'v': text}}
    for i, (text, _) in enumerate(DOUBLES)]
good = [(f'{i:03}', value) for i, (_, value) in enumerate(DOUBLES) if value is not None]
TEXT_TO_DOUBLE = {
    'name': 'text-to-double', 'rules': ['expressions'],
    'sql': "CREATE TABLE s (ts timestamptz NOT NULL, k text, v text) "
           "WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '0 milliseconds');\n"
           'CREATE MATERIALIZED VIEW r AS\n'
           'SELECT k, window_start, window_end, max(CAST(v AS double precision)) AS d\n'
           "FROM tumble(s, ts, INTERVAL '10 milliseconds')\nGROUP BY k, window_start, window_end;",
    'records': events + [{'offset': len(events), 'kind': 'advance', 'append_time': 0,
                          'to': 'infinity'}],
    'expected': {
        'rows': [{'_seq': n + 1, '_revision': 1, 'window_start': 0, 'window_end': 10_000, 'k': k,
                  'd': value, 'at_offset': len(events)} for n, (k, value) in enumerate(good)],
        'late': [],
        'quarantine': [
            {'offset': i, 'reason': 'EVALUATION_ERROR',
             'detail': f'{RANGE if text.startswith(TOO_LARGE) else BAD_TEXT} in an argument: '
                       'CAST(v AS double precision)'}
            for i, (text, value) in enumerate(DOUBLES) if value is None]}}


def add(vectors, vector):
    """Appends to `vectors`; `vector` adds one to it, as vectors.py describes."""
    vectors.append(TEXT_TO_DOUBLE)

    # The detail of EVALUATION_ERROR: which expression failed.
    def culprit(name, detail, event='a@1 v=0', **clauses):
        """One event, refused with this detail."""
        vector(f'failed-{name}', 'tumble 10', [event, 'end'], [],
               quarantine=[f'@0 EVALUATION_ERROR {detail}'], **clauses)

    culprit('where', f'{ZERO} in WHERE: 1 / v', where='j = 1 OR 1 / v > 2')
    culprit('where-first', f'{ZERO} in WHERE: 2 / v', where='2 / v > 2', select='sum(1 / v) AS n')
    culprit('filter', f'{ZERO} in FILTER: 10 % v',
            select='sum(j) AS j2, sum(3 / v) FILTER (WHERE (10 % v) IN (1, 2)) AS n')
    culprit('argument', f'{ZERO} in an argument: (j + 1) / v', event='a@1 v=0 j=4',
            select='avg(j * 2) AS a, max(-((j + 1) / v)) AS b')
    culprit('argument-order', f'{ZERO} in an argument: 1 / v', having='sum(2 / v) > 0',
            select='sum(1 / v) AS a, sum(3 / v) AS b')
    culprit('overflow', f'{RANGE} in an argument: v * 2', event='a@1 v=2147483647',
            select='sum(1 + v * 2) AS n')
    culprit('negation', f'{RANGE} in an argument: -v', event='a@1 v=-2147483648',
            select='max(-v) AS n')
    culprit('cast-of-text', f"{BAD_TEXT} in WHERE: CAST(coalesce(v, '') AS bigint)", v='text',
            event='a@1 v=x', where="CAST(coalesce(v, '') AS bigint) BETWEEN 1 AND 2")
    culprit('cast-of-double', f'{RANGE} in an argument: CAST(v * CAST(j AS double precision) AS int)',
            v='double precision', event='a@1 v=1e9 j=5', select='sum(CAST(v * j AS int)) AS n')
    culprit('case', f"{ZERO} in an argument: CASE WHEN k = 'it''s' THEN 7 ELSE 1 END / v",
            select="sum(CASE WHEN v <> 0 THEN 5 / v "
                   "ELSE CASE WHEN k = 'it''s' THEN 7 ELSE 1 END / v END) AS n")
    # Cut at 200 bytes, before a character of two: "v / CASE WHEN k = '" has 19.
    culprit('cut', f"{ZERO} in an argument: v / CASE WHEN k = '{'é' * 90}...",
            select=f"sum(v / CASE k WHEN '{'é' * 120}' THEN 1 ELSE 0 END) AS n")
    vector('failed-key', 'tumble 10', ['a@1 v=0', 'a@2 v=3', 'end'], ['[0,10) a,m:2 r1 n=1 @2'],
           keys='k, m', quarantine=[f'@0 EVALUATION_ERROR {ZERO} in GROUP BY: 10 % v'])
    vectors[-1]['sql'] = vectors[-1]['sql'].replace('SELECT k, m,', 'SELECT k, 10 % v + 1 AS m,')
    few = 'sum(v) FILTER (WHERE v > 1)'
    vector('failed-select', 'tumble 10', ['a@1 v=0', 'b@1 v=2', 'end'], ['[0,10) b r1 x=3 @2'],
           select=f'count(*) * 6 / coalesce({few}, 0) AS x',
           row_errors=[f'[0,10) a @2 {ZERO} in SELECT: '
                       f'(count(*) * 6) / coalesce({few}, 0)'])
    vector('failed-having', 'tumble 10', ['a@1 v=0', 'b@1 v=2', 'end'], ['[0,10) b r1 n=1 @2'],
           having='10 / sum(v) > 1', row_errors=[f'[0,10) a @2 {ZERO} in HAVING: '
                                                 '10 / sum(v)'])
