#!/usr/bin/python3
"""The command line against a real `millrace dev`: cli_process_test.py MILLRACE [unittest option...]

Every verb, its output to the byte where it is fixed, its exit codes, and what users get wrong.
"""

import csv
import gzip
import io
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

MILLRACE = sys.argv.pop(1)
DEADLINE_S = 60

SQL = """
CREATE TABLE trips (at timestamptz NOT NULL, city text, note text, km int, fare double precision)
WITH (partition_key = 'city', event_time = 'at', watermark_delay = '1 hour');
CREATE MATERIALIZED VIEW hourly AS
SELECT city, window_start, window_end, count(*) AS trips, count(note) AS notes, sum(km) AS km,
       max(fare) AS fare, min(note) AS note
FROM tumble(trips, at, INTERVAL '1 hour') GROUP BY city, window_start, window_end;
"""
TRIPS = """at,city,note,km,fare
2001-01-01T00:10:00Z,Oslo,"a ""quoted"", one",3,1.5
2001-01-01T00:20:00Z,Oslo,,4,
2001-01-01T00:30:00Z,,"",1,0.1
2001-01-01T01:10:00Z,Rome,"two
lines",,2e300
"""
HEADER = "city,window_start,window_end,trips,notes,km,fare,note\n"
HOURLY = (
    HEADER +
    ",2001-01-01T00:00:00.000000Z,2001-01-01T01:00:00.000000Z,1,1,1,0.1,\"\"\n"
    "Oslo,2001-01-01T00:00:00.000000Z,2001-01-01T01:00:00.000000Z,2,1,7,1.5,\"a \"\"quoted\"\", one\"\n"
    "Rome,2001-01-01T01:00:00.000000Z,2001-01-01T02:00:00.000000Z,1,1,,2e+300,\"two\nlines\"\n")


class Dev:
    """One `millrace dev` on free ports."""

    def __init__(self, directory, listen="127.0.0.1:0", crash_at=""):
        environment = dict(os.environ)
        if crash_at:
            environment["MILLRACE_CRASH_AT"] = crash_at
        self.process = subprocess.Popen(
            [MILLRACE, "dev", "--data-dir", directory, "--listen", listen, "--admin", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        words = self.process.stdout.readline().split()
        assert words and words[0] == "ready", words
        facts = dict(word.split("=", 1) for word in words[1:])
        self.grpc, self.admin, self.data_dir = facts["grpc"], facts["admin"], facts["data_dir"]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ledger(self, pipeline, result):
        total = 0
        family = "events_read" if result == "read" else "events"
        for line in self.get("/metrics")[1].splitlines():
            if (line.startswith(f"millrace_worker_ledger_{family}{{") and f'pipeline="{pipeline}"' in line
                    and (result == "read" or f'result="{result}"' in line)):
                total += int(float(line.split()[-1]))
        return total

    def wait_for_ledger(self, pipeline, result, count):
        """The gauges of the ledger follow the shards within a second or so."""
        deadline = time.monotonic() + DEADLINE_S
        while (seen := self.ledger(pipeline, result)) < count:
            assert time.monotonic() < deadline, f"{result}={seen}, expected {count}"
            time.sleep(0.02)
        return seen

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)


class Base(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-cli-")
        self.dir = pathlib.Path(self.folder.name)
        self.dev = Dev(str(self.dir / "data"))

    def tearDown(self):
        if self.dev.process.poll() is None:
            self.dev.stop(signal.SIGKILL)
        self.folder.cleanup()

    def file(self, name, content):
        path = self.dir / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def run_millrace(self, *words, code=0, stdin="", server=None):
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment["MILLRACE_SERVER"] = server or self.dev.grpc
        done = subprocess.run([MILLRACE, *words], input=stdin, capture_output=True, text=True,
                              timeout=DEADLINE_S, env=environment, check=False)
        self.assertEqual(code, done.returncode, f"{words}\n{done.stdout}\n{done.stderr}")
        return done

    def out(self, *words, **options):
        return self.run_millrace(*words, **options).stdout

    def err(self, *words, **options):
        done = self.run_millrace(*words, **options)
        self.assertEqual("", done.stdout, words)
        return done.stderr

    def apply(self, sql=SQL):
        return self.out("apply", self.file("script.sql", sql))

    def produce(self, content, *words, name="trips.csv", code=0):
        return self.err("produce", "trips", "--input", self.file(name, content), *words, code=code)


class Basics(Base):
    def test_a_process_that_is_ready_says_so_everywhere_and_stops_cleanly(self):
        self.assertEqual(self.dev.data_dir, str(self.dir / "data"))
        self.assertEqual(200, self.dev.get("/livez")[0])
        status, ready = self.dev.get("/readyz")
        self.assertEqual((200, True), (status, json.loads(ready)["ready"]))
        version = json.loads(self.dev.get("/version")[1])["version"]
        self.assertTrue(self.out("version").startswith(f"millrace {version} "))
        self.assertEqual(404, self.dev.get("/nothing")[0])
        self.assertEqual(0, self.dev.stop())

    def test_a_port_or_directory_in_use_is_a_configuration_error_that_names_it(self):
        other = str(self.dir / "other")
        for flag, address in (("--listen", self.dev.grpc), ("--admin", self.dev.admin)):
            free = "--admin" if flag == "--listen" else "--listen"
            said = self.err("dev", "--data-dir", other, flag, address, free, "127.0.0.1:0", code=78)
            self.assertIn(address, said)
        said = self.err("dev", "--data-dir", self.dev.data_dir, "--listen", "127.0.0.1:0", "--admin",
                        "127.0.0.1:0", code=78)
        self.assertIn(self.dev.data_dir, said)
        said = self.err("dev", "--data-dir", "/proc/millrace", code=78)
        self.assertIn("/proc/millrace", said)

    def test_nobody_at_the_address_is_unavailable_and_a_wrong_address_is_usage(self):
        self.dev.stop()
        said = self.err("stream", "list", code=5)
        self.assertIn(self.dev.grpc, said)
        self.assertEqual(1, said.count("\n"), said)
        self.err("stream", "list", "--server", "nonsense", code=2)
        self.err("stream", "list", server="nonsense", code=78)

    def test_apply_creates_once_and_refuses_changes(self):
        self.assertEqual("created stream trips\ncreated pipeline hourly\n", self.apply())
        self.assertEqual("unchanged stream trips\nunchanged pipeline hourly\n", self.apply())
        said = self.err("apply", self.file("changed.sql", SQL.replace("max(fare)", "min(fare)")),
                        code=4)
        self.assertIn("millrace pipeline drop hourly", said)
        said = self.err("apply", self.file("wrong.sql", SQL.replace("city text", "city txt")), code=1)
        self.assertRegex(said, r"wrong\.sql:2:\d+: ")
        self.assertIn("^", said)
        self.assertEqual("unchanged stream trips\nunchanged pipeline hourly\n",
                         self.out("apply", "-", "--yes", stdin=SQL))

    def test_a_paused_pipeline_says_so_and_reads_on_when_it_is_resumed(self):
        self.apply()
        self.err("pipeline", "pause", "hourly")
        trips = self.file("trips.csv", TRIPS)
        self.err("produce", "trips", "--input", trips, "--end")
        self.assertIn(",paused,", self.out("pipeline", "list", "--format", "csv"))
        self.assertIn("millrace pipeline resume", self.err("results", "hourly", "--wait", code=4))
        self.assertIn("hourly,paused,on", self.out("cluster", "settings", "--format", "csv"))
        self.err("pipeline", "resume", "hourly")
        self.assertEqual(HOURLY, self.out("results", "hourly", "--wait", "--quiet", "--format", "csv"))
        self.err("cluster", "set", "balance", "sideways", code=2)
        self.err("pipeline", "pause", "none", code=3)

    def test_a_topic_belongs_to_one_stream_also_after_a_restart(self):
        """Two streams once shared one: columns were read by the other's places, and both views lied."""
        sql = """
CREATE TABLE {name} (at timestamptz NOT NULL, shop text, {columns})
WITH (event_time = 'at', watermark_delay = '5 seconds', partitions = 1, format = '{format}'{topic});
CREATE MATERIALIZED VIEW {name}_v AS
SELECT shop, window_start, window_end, sum(price) AS price, sum(quantity) AS quantity
FROM tumble({name}, at, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
"""
        event = '{"at":"2024-03-10T10:00:01Z","shop":"north","price":500,"quantity":2}\n'
        for number, form in enumerate(("arrow", "json")):
            first, second = f"sales{number}", f"more.sales{number}"
            self.apply(sql.format(name=first, columns="price int, quantity int", format=form, topic=""))
            self.err("produce", first, "--input", self.file("1.jsonl", event))
            changed = self.file("second.sql", sql.format(
                name=second, columns="quantity int, price int", format=form,
                topic=f", topic = 'default.{first}'"))
            for _ in range(2):
                said = self.err("apply", changed, code=4)
                self.assertIn("the topic belongs to another stream", said)
                self.assertIn(f"stream={first}", said)
                self.dev.stop(signal.SIGKILL)
                self.dev = Dev(self.dev.data_dir)
            self.err("stream", "describe", second, code=3)
            self.err("stream", "advance", first, "--to", "end")
            self.assertIn("north,2024-03-10T10:00:00.000000Z,2024-03-10T10:01:00.000000Z,500,2\n",
                          self.out("results", f"{first}_v", "--wait", "--format", "csv"))
            self.assertEqual(1, len(self.out("quarantine", f"{first}_v", "--format", "csv").splitlines()))

    def test_lists_and_descriptions(self):
        self.apply()
        self.apply(SQL.replace("TABLE trips", "TABLE air.trips")
                   .replace("VIEW hourly", "VIEW air.hourly").replace("(trips,", "(air.trips,"))
        self.assertEqual(
            "namespace,name,format,partitions\nair,trips,arrow,4\ndefault,trips,arrow,4\n",
            self.out("stream", "list", "--format", "csv"))
        described = json.loads(self.out("stream", "describe", "air.trips", "--format", "json"))
        self.assertEqual("air", described["namespace"])
        self.assertEqual({"name": "at", "type": "timestamptz", "not_null": True},
                         described["columns"][0])
        self.assertEqual(3_600_000_000, described["watermark_delay_us"])
        pipelines = [json.loads(line) for line in
                     self.out("pipeline", "list", "--format", "json").splitlines()]
        self.assertEqual(["air", "default"], sorted(p["namespace"] for p in pipelines))
        self.assertEqual(["namespace", "name", "incarnation", "stream", "state", "watermark", "message"],
                         list(pipelines[0]))
        self.assertEqual("running", pipelines[0]["state"])
        self.assertIn("tumble", self.out("pipeline", "describe", "hourly"))
        self.assertEqual(8, len(self.out("shard", "list", "--format", "json").splitlines()))
        for words in (("stream", "describe", "x"), ("pipeline", "describe", "x"),
                      ("pipeline", "drop", "x"), ("stream", "advance", "x", "--to", "end"),
                      ("results", "x"), ("late", "x"), ("quarantine", "x")):
            self.err(*words, code=3)
        shard = json.loads(self.out("shard", "list", "--format", "json").splitlines()[0])["shard"]
        self.err("shard", "skip", shard, "--to", "0", "--reason", "test", code=4)


class Events(Base):
    def setUp(self):
        super().setUp()
        self.apply()

    def results(self, *words, view="hourly"):
        return self.out("results", view, "--wait", "--format", "csv", *words)

    def test_a_csv_file_becomes_results_in_every_format(self):
        said = self.produce(TRIPS, "--end")
        self.assertRegex(said, r"(?m)^acknowledged=4 refused=0 resent=0 seconds=[0-9.]+$")
        self.assertIn("no later event counts", said)
        self.assertEqual(HOURLY, self.results())
        rows = [json.loads(line) for line in
                self.out("results", "hourly", "--format", "json").splitlines()]
        self.assertEqual({"city": None, "window_start": "2001-01-01T00:00:00.000000Z",
                          "window_end": "2001-01-01T01:00:00.000000Z", "trips": 1, "notes": 1,
                          "km": 1, "fare": 0.1, "note": ""}, rows[0])
        self.assertIsNone(rows[2]["km"])
        table = self.out("results", "hourly")
        self.assertIn("two\\nlines", table)
        self.assertEqual(5, table.count("\n"))
        meta = next(csv.DictReader(io.StringIO(self.results("--meta"))))
        self.assertEqual("1", meta["_revision"])
        with sqlite3.connect(f"file:{self.dev.data_dir}/serving.db?mode=ro", uri=True) as database:
            self.assertEqual([(2,)], database.execute(
                "SELECT trips FROM hourly WHERE city = 'Oslo'").fetchall())

    def test_filters_choose_rows_and_wrong_ones_are_usage(self):
        self.produce(TRIPS, "--end")
        lines = HOURLY.split("\n")
        self.assertEqual(HEADER + lines[2] + "\n", self.results("--key", "city=Oslo"))
        self.assertEqual(HEADER, self.results("--key", "city=Oslo", "--from", "2001-01-01T01:00:00Z"))
        self.assertEqual(HEADER + "\n".join(lines[1:3]) + "\n",
                         self.results("--from", "2001-01-01", "--to", "2001-01-01T01:00:00Z"))
        self.err("results", "hourly", "--key", "nothing=1", code=2)
        self.err("results", "hourly", "--from", "noon", code=2)

    def test_compressed_and_json_files_count_like_plain_ones(self):
        self.produce(gzip.compress(TRIPS.encode()), name="trips.csv.gz")
        lines = ['{"at": "2001-01-01T00:15:00Z", "city": "Oslo", "km": 10}', "",
                 '{"at": "2001-01-01T00:16:00Z", "city": "Oslo", "km": 10, "unknown": [1]}']
        self.produce("\n".join(lines), "--end", name="trips.jsonl")
        oslo = next(csv.DictReader(io.StringIO(self.results("--key", "city=Oslo"))))
        self.assertEqual(("4", "27"), (oslo["trips"], oslo["km"]))

    def test_rate_lets_so_many_events_a_second_through(self):
        said = self.produce("at,city\n" + "2001-01-01T00:00:00Z,Oslo\n" * 61, "--rate", "100")
        self.assertGreaterEqual(float(said.split("seconds=")[1]), 0.6)

    def test_the_same_file_again_counts_once(self):
        self.produce(TRIPS)
        self.produce(TRIPS, "--end", name="copy.csv")
        self.assertEqual(HOURLY, self.results())
        self.assertEqual(8, self.dev.wait_for_ledger("hourly", "read", 8))
        self.assertEqual(4, self.dev.ledger("hourly", "duplicate"))
        stdin = TRIPS.replace("Oslo", "Bern")
        for _ in range(2):
            self.run_millrace("produce", "trips", "--input", "-", "--format", "csv", "--producer-id",
                              "till", stdin=stdin)
        self.assertEqual(16, self.dev.wait_for_ledger("hourly", "read", 16))
        self.assertEqual(8, self.dev.ledger("hourly", "duplicate"))

    def test_refused_events_are_told_by_line_and_the_others_count(self):
        bad = TRIPS + ("2001-01-01T01:20:00Z,Rome,x,many,1\n"
                       "not a time,Rome,x,1,1\n"
                       ",Rome,x,1,1\n"
                       "2001-01-01T01:30:00Z,Rome\n")
        said = self.produce(bad, "--end", code=1)
        self.assertRegex(said, r"(?m)^acknowledged=4 refused=4 resent=0 ")
        self.assertRegex(said, r"trips\.csv line 7: WRONG_TYPE: .*column=km")
        self.assertRegex(said, r"trips\.csv line 8: WRONG_TYPE: .*at")
        self.assertRegex(said, r"trips\.csv line 9: NULL_EVENT_TIME: ")
        self.assertRegex(said, r"trips\.csv line 10: UNREADABLE: ")
        self.assertIn("not brought to its end, because records were refused", said)
        self.run_millrace("stream", "advance", "trips", "--to", "end")
        self.assertEqual(HOURLY, self.results())
        said = self.produce("{broken\n", name="broken.json", code=1)
        self.assertRegex(said, r"broken\.json line 1: UNREADABLE: ")
        said = self.produce("city,km\nOslo,1\n", code=1)
        self.assertIn("these must be among them: at", said)
        self.err("produce", "nothing", "--input", self.file("a.csv", TRIPS), code=3)

    def test_late_and_future_events_are_shown(self):
        self.produce(TRIPS, "--end")
        self.produce("at,city\n2001-01-01T00:05:00Z,Oslo\n9000-01-01T00:00:00Z,Oslo\n", name="more.csv")
        late = list(csv.DictReader(io.StringIO(
            self.out("late", "hourly", "--wait", "--format", "csv"))))
        self.assertEqual(1, len(late))
        self.assertEqual(["partition", "offset", "row", "event_time", "missed", "first_missed_end",
                          "last_missed_end", "at", "city", "note", "km", "fare"], list(late[0]))
        self.assertEqual("2001-01-01T01:00:00.000000Z", late[0]["first_missed_end"])
        quarantined = list(csv.DictReader(io.StringIO(
            self.out("quarantine", "hourly", "--wait", "--format", "csv"))))
        self.assertEqual(["TOO_FAR_AHEAD"], [row["reason"] for row in quarantined])
        self.assertEqual(["partition", "offset", "row", "kind", "reason", "detail", "payload"],
                         list(quarantined[0]))

    def test_advance_closes_windows_and_drop_takes_the_name_away(self):
        self.produce(TRIPS)
        self.assertEqual(HEADER, self.results())
        self.err("stream", "advance", "trips", "--to", "2001-01-01T01:00:00Z")
        self.assertEqual("\n".join(HOURLY.split("\n")[:3]) + "\n", self.results())
        self.err("stream", "advance", "trips", "--to", "end")
        self.assertEqual(HOURLY, self.results())
        self.err("pipeline", "drop", "hourly")
        self.err("results", "hourly", code=3)
        self.assertEqual("unchanged stream trips\ncreated pipeline hourly\n", self.apply())
        self.assertEqual(HOURLY, self.results())

    def test_a_dropped_stream_frees_its_name_also_if_the_server_dies_in_between(self):
        self.produce(TRIPS, "--end")
        self.assertEqual(HOURLY, self.results())
        drop = self.file("drop.sql", "DROP TABLE trips;")
        said = self.err("apply", drop, "--yes", code=4)
        self.assertIn("stream=trips", said)
        self.assertIn("views=hourly", said)
        both = self.file("both.sql", "DROP MATERIALIZED VIEW hourly; DROP TABLE trips;")
        said = self.err("apply", both, code=2)
        self.assertIn("pipeline hourly, stream trips with its events", said)
        self.assertIn("--yes", said)
        for point in ("stream.drop.recorded", "log_embedded.topic.before_remove",
                      "log_embedded.topic.removed", "stream.drop.topic_removed"):
            with self.subTest(point):
                self.dev.stop()
                self.dev = Dev(self.dev.data_dir, crash_at=point + ":1")
                self.err("apply", both, "--yes", code=5)
                self.assertEqual(-signal.SIGKILL, self.dev.process.wait(DEADLINE_S))
                self.dev.process.stdout.close()
                self.dev = Dev(self.dev.data_dir)
                self.err("stream", "describe", "trips", code=3)
                self.err("pipeline", "describe", "hourly", code=3)
                self.assertEqual("created stream trips\ncreated pipeline hourly\n", self.apply())
                self.assertEqual(HEADER, self.results())
                self.assertEqual([0, 0, 0, 0], json.loads(
                    self.out("stream", "describe", "trips", "--format", "json"))["end_offsets"])
                # The same file, of the same ID: the stream has none of its events yet.
                self.produce(TRIPS, "--end")
                self.assertEqual(HOURLY, self.results())
        self.assertEqual("dropped pipeline hourly\ndropped stream trips\n",
                         self.out("apply", both, "--yes"))
        gone = "absent stream trips\n"
        self.assertEqual(gone, self.out("apply", self.file("again.sql", "DROP TABLE IF EXISTS trips;")))
        self.err("apply", drop, "--yes", code=3)

    def test_what_a_stream_keeps_is_set_by_sql_and_shown(self):
        self.apply()
        self.produce(TRIPS)

        def described():
            return json.loads(self.out("stream", "describe", "trips", "--format", "json"))

        shown = described()
        self.assertEqual([0, 0, 0, 0], shown["start_offsets"])
        self.assertTrue(all(floor <= end for floor, end in
                            zip(shown["floor_offsets"], shown["end_offsets"])), shown)
        self.assertGreater(sum(shown["bytes"]), 0)
        self.assertIsNone(shown["keep_for_us"])
        alter = self.file("alter.sql", "ALTER TABLE trips SET (keep_for = '7 days', keep_bytes = '1 GB');")
        both = "{0} setting trips.keep_for\n{0} setting trips.keep_bytes\n"
        self.assertEqual(both.format("set"), self.out("apply", alter))
        self.assertEqual(both.format("unchanged"), self.out("apply", alter))
        # The script that declares the stream says nothing of them.
        self.assertIn("unchanged stream trips", self.apply())
        self.assertEqual((7 * 86_400_000_000, 1 << 30),
                         (described()["keep_for_us"], described()["keep_bytes"]))
        self.assertEqual("set setting trips.keep_for\n",
                         self.out("apply", "-", stdin="ALTER TABLE trips RESET (keep_for)"))
        self.assertIsNone(described()["keep_for_us"])
        said = self.err("apply", "-", stdin="ALTER TABLE trip SET (keep_for = '1 day')", code=3)
        self.assertIn("trips", said)

    def test_killing_the_producer_and_the_server_changes_nothing(self):
        rows = "".join(f"2001-01-01T{i // 3600 % 4:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z,"
                       f"city-{i % 17},,{i},0.5\n" for i in range(14_400))
        name = self.file("many.csv", "at,city,note,km,fare\n" + rows)
        produce = [MILLRACE, "--server", self.dev.grpc, "produce", "trips", "--input", name, "--rate"]
        first = subprocess.Popen([*produce, "4000"], stderr=subprocess.DEVNULL)
        self.dev.wait_for_ledger("hourly", "read", 2_000)
        first.kill()
        first.wait(DEADLINE_S)
        second = subprocess.Popen([*produce, "20000", "--end"], stderr=subprocess.PIPE, text=True)
        self.dev.wait_for_ledger("hourly", "read", 5_000)
        self.dev.stop(signal.SIGKILL)
        self.dev = Dev(self.dev.data_dir, self.dev.grpc)
        said = second.communicate(timeout=DEADLINE_S)[1]
        self.assertEqual(0, second.returncode, said)
        self.assertIn("acknowledged=14400 refused=0", said)
        results = list(csv.DictReader(io.StringIO(self.results())))
        self.assertEqual(4 * 17, len(results))
        self.assertEqual(14_400, sum(int(row["trips"]) for row in results))
        self.assertEqual(sum(range(14_400)), sum(int(row["km"]) for row in results))
        self.dev.wait_for_ledger("hourly", "duplicate", 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
