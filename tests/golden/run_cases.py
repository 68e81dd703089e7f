#!/usr/bin/env python3
"""Runs cases through millrace-fold in every way of running and compares what comes out.

    run_cases.py --fold build/dev/bin/millrace-fold [--oracle] [--disk] CASE_OR_DIR...

Every case runs as json records and in blocks, with batches of any size, 1, 2 and 3, without and
with a restart after every record (cases of more than --restart-records records: without).
--disk adds restarts whose checkpoints go through RocksDB and files.
`expected` and `note` are taken out before. With --oracle the oracle is one more way; without --fold
the only one. Exit status 3 of a tool means that it refuses the case, which is right only for
sessions, cumulate and two stages. The last line is `N passed, M failed`; the exit status is 0 if
nothing failed.
"""
import argparse
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ORACLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'oracle', 'oracle.py')
REFUSED = 3
SHOWN_DIFFERENCES = 8
ABSENT = '(absent)'


def read_json(text):
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == '-0' else int(digits))


def same_scalar(expected, actual):
    numbers = (int, float)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, numbers) and isinstance(actual, numbers):
        if isinstance(expected, int) and isinstance(actual, int):
            return expected == actual
        try:
            return struct.pack('>d', expected) == struct.pack('>d', actual)
        except OverflowError:
            return False
    if isinstance(expected, int) and isinstance(actual, str):
        expected, actual = actual, expected
    if isinstance(expected, str) and isinstance(actual, int):  # both spell what is beyond 2^53
        return abs(actual) > 2**53 and expected == str(actual)
    return type(expected) is type(actual) and expected == actual


def differences(expected, actual, path):
    """Readable lines, one for each place where the two differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if path == 'counters':
            expected, actual = ({name: n for name, n in counts.items() if n != 0}
                                for counts in (expected, actual))
        for name in list(expected) + [name for name in actual if name not in expected]:
            yield from differences(expected.get(name, ABSENT), actual.get(name, ABSENT),
                                   f'{path}.{name}')
    elif isinstance(expected, list) and isinstance(actual, list):
        pairs = itertools.zip_longest(expected, actual, fillvalue=ABSENT)
        for n, (left, right) in enumerate(pairs):
            yield from differences(left, right, f'{path}[{n}]')
    elif not same_scalar(expected, actual):
        yield (f'{path}: expected {json.dumps(expected, ensure_ascii=False)}, '
               f'got {json.dumps(actual, ensure_ascii=False)}')


def compare(expected, actual):
    """Only the members that `expected` has are compared."""
    for name, value in expected.items():
        yield from differences(value, actual.get(name, ABSENT), name)


def may_be_refused(case):
    """Sessions, cumulate, two stages (a view that does not group by the partition key)."""
    if 'partitions' in case or re.search(r'\bfrom\s+(session|cumulate)\s*\(', case['sql'], re.I):
        return True
    key = re.search(r"\bpartition_key\s*=\s*'([^']*)'", case['sql'], re.I)
    groups = re.search(r'\bgroup\s+by\b(.*)', case['sql'], re.I | re.S)
    return bool(key and groups and not re.search(rf'\b{re.escape(key[1])}\b', groups[1]))


def record_count(case):
    logs = case.get('partitions') or [case['records']]
    return sum(record.get('repeat', 1) for log in logs for record in log)


def ways(case, options):
    """(name, command) of every way of running the case."""
    result = [('oracle', [sys.executable, ORACLE])] if options.oracle else []
    if options.fold:
        restarts = record_count(case) <= options.restart_records
        for blocks, batch, restart in itertools.product((False, True), (None, 1, 2, 3),
                                                        (False, True) if restarts else (False,)):
            arguments = (['--blocks'] if blocks else []) + (
                ['--restart-everywhere'] if restart else []) + (
                ['--batch', str(batch)] if batch else [])
            result.append((' '.join(arguments) or 'plain', [options.fold] + arguments))
            if not restart:
                arguments = arguments + ['--part', '1']
                result.append((' '.join(arguments), [options.fold] + arguments))
        if options.disk and restarts:
            arguments = ['--restart-everywhere', '--disk']
            result.append((' '.join(arguments), [options.fold] + arguments))
    return result


def run_case(path, options):
    """(failures as lines, ways run, ways refused, whether restarts were left out)."""
    failures, refused = [], 0
    with open(path, encoding='utf-8') as file:
        case = read_json(file.read())
    expected = case.pop('expected')
    case.pop('note', None)
    with tempfile.TemporaryDirectory() as directory:
        stripped = os.path.join(directory, 'case.json')
        with open(stripped, 'w', encoding='utf-8') as file:
            json.dump(case, file, ensure_ascii=False)
        commands = ways(case, options)
        for name, command in commands:
            try:
                done = subprocess.run(command + [stripped], capture_output=True, cwd=directory,
                                      timeout=options.timeout)
            except subprocess.TimeoutExpired:
                failures.append(f'{path} [{name}]: no answer after {options.timeout} s')
                continue
            if done.returncode == REFUSED and may_be_refused(case):
                refused += 1
                continue
            message = done.stderr.decode(errors='replace').strip()[-600:]
            if done.returncode != 0:
                failures.append(f'{path} [{name}]: exit status {done.returncode}: {message}')
                continue
            try:
                lines = list(compare(expected, read_json(done.stdout.decode())))
            except ValueError as error:
                failures.append(f'{path} [{name}]: the output cannot be read: {error}')
                continue
            if lines:
                more = len(lines) - SHOWN_DIFFERENCES
                failures.append(f'{path} [{name}]:\n    ' + '\n    '.join(
                    lines[:SHOWN_DIFFERENCES] + ([f'... and {more} more'] if more > 0 else [])))
    left_out = bool(options.fold) and record_count(case) > options.restart_records
    return failures, len(commands), refused, left_out


def find_cases(paths):
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for root, directories, files in os.walk(path):
            directories.sort()
            yield from (os.path.join(root, name) for name in sorted(files)
                        if name.endswith('.json'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--fold', metavar='TOOL', type=os.path.abspath)
    parser.add_argument('--oracle', action='store_true', help='run the oracle, too')
    parser.add_argument('--disk', action='store_true', help='also restart through RocksDB and files')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--timeout', type=float, default=120, help='seconds for one run')
    parser.add_argument('--restart-records', type=int, default=500)
    parser.add_argument('paths', nargs='+', metavar='CASE_OR_DIR')
    options = parser.parse_args()
    if not options.fold and not options.oracle:
        parser.error('nothing to run: give --fold, --oracle or both')
    if options.fold and not os.access(options.fold, os.X_OK):
        parser.error(f'--fold: not an executable: {options.fold}')
    paths = list(find_cases(options.paths))
    if not paths:
        parser.error('no case files found')
    passed = failed = runs = all_refused = without_restart = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for failures, count, refused, left_out in pool.map(lambda path: run_case(path, options),
                                                           paths):
            runs += count
            all_refused += refused
            without_restart += left_out
            failed += bool(failures)
            passed += not failures and refused < count
            for failure in failures:
                print('FAILED ' + failure)
    print(f'{len(paths)} cases, {runs} runs, {all_refused} runs refused (sessions, cumulate, two '
          f'stages), {without_restart} cases too long for restarts')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
