#!/usr/bin/env python3
"""Makes a case of the flights: flights_case.py FLIGHTS.csv[.zst] FILE.sql > CASE.json

The flights keep the order in which they arrived. Nothing is from the future: the append time of all
is after the last of them. The log ends with an Advance to infinity.
"""
import csv
import io
import json
import subprocess
import sys

from minisql import parse, parse_time


def main():
    path, sql_path = sys.argv[1:]
    with open(path, 'rb') as file:
        data = file.read()
    if path.endswith('.zst'):
        data = subprocess.run(['zstd', '-dc', path], check=True, capture_output=True).stdout
    with open(sql_path, encoding='utf-8') as file:
        sql = file.read()
    columns = {name: kind for name, (kind, _) in parse(sql).columns.items()}
    convert = {'timestamptz': parse_time, 'int': int, 'bigint': int, 'double': float}
    append_time = parse_time('2001-03-01T00:00:00Z')
    records = []
    for offset, line in enumerate(csv.DictReader(io.StringIO(data.decode()))):
        values = {name: convert.get(columns[name], str)(text) if text else None
                  for name, text in line.items() if name in columns}
        records.append({'offset': offset, 'kind': 'event', 'append_time': append_time,
                        'producer': 'flights', 'seq': offset + 1, 'acked_below': offset + 1,
                        'values': values})
    records.append({'offset': len(records), 'kind': 'advance', 'append_time': append_time,
                    'to': 'infinity'})
    sys.stdout.write(f'{{"name": "flights", "rules": [], "sql": {json.dumps(sql)}, "records": [\n')
    sys.stdout.write(',\n'.join(json.dumps(record) for record in records) + ']}\n')


if __name__ == '__main__':
    main()
