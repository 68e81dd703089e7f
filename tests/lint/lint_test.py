#!/usr/bin/python3
"""Every rule of lint.py finds what it forbids, where it is, and lets its lawful neighbour pass."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lint  # noqa: E402

HEADER = "#pragma once\n"
TASK = "TO" + "DO"

# (rule, file, text, line): the text breaks the rule at that line and nothing else.
FORBIDDEN = [
    ("facts", "libs/sql/src/a.cc", 'auto e = Conflict("it; waits key=" + k);\n', 1),
    ("facts", "libs/sql/src/a.cc", 'auto e = Conflict("waits: " + why +\n    " a=\\"" + a + "\\"");\n', 2),
    ("rank", "libs/window/src/a.cc", '#include "millrace/log/log.h"\n', 1),
    ("rank", "libs/window/src/a.cc", '\n#include <millrace/runtime/shard.h>\n', 2),
    ("rank", "libs/model/src/a.cc", '#include "millrace/wire/wire.h"\n', 1),
    ("rank", "libs/log_embedded/src/a.cc", '#include "millrace/rpc/server.h"\n', 1),
    ("rank", "libs/window/src/a.cc", '#include "millrace/unheard/of.h"\n', 1),
    ("rank", "libs/window/src/a.cc", '#include "../../log/include/millrace/log/log.h"\n', 1),
    ("rank", "libs/window/src/a.cc", '#include "tests/support/fake.h"\n', 1),
    ("rank", "libs/base/src/a.cc", '#include "millrace/ingest/v1/ingest.pb.h"\n', 1),
    ("rank", "services/gateway/a.cc", '#include "services/worker/worker.h"\n', 1),
    ("rank", "libs/cli/src/a.cc", '#include "millrace/gateway/gateway.h"\n', 1),
    ("owner", "libs/runtime/src/a.cc", "#include <rocksdb/db.h>\n", 1),
    ("owner", "libs/runtime/src/a.cc", '#include "arrow/api.h"\n', 1),
    ("owner", "libs/serving/src/a.cc", "#include <sqlite3.h>\n", 1),
    ("owner", "libs/window/src/a.cc", "#include <fmt/format.h>\n", 1),
    ("owner", "libs/driver/src/a.cc", '#include "millrace/ingest/v1/ingest.grpc.pb.h"\n', 1),
    ("owner", "libs/admin/src/a.cc", "#include <CLI/CLI.hpp>\n", 1),
    ("owner", "services/worker/a.cc", "#include <grpcpp/grpcpp.h>\n", 1),
    ("unowned", "libs/window/src/a.cc", "#include <boost/any.hpp>\n", 1),
    ("unowned", "libs/window/src/a.cc", '#include "nowhere.h"\n', 1),
    ("public", "libs/state_rocksdb/include/millrace/state_rocksdb/a.h",
     HEADER + "#include <rocksdb/db.h>\n", 2),
    ("public", "libs/base/src/a.h", HEADER + "#include <spdlog/spdlog.h>\n", 2),
    ("generated", "libs/control/src/a.h", HEADER + '#include "millrace/control/v1/c.pb.h"\n', 2),
    ("one-file", "libs/sql/src/z.cc", "#include <pg_query.h>\n", 1),
    ("pure", "libs/window/src/a.cc", "auto t = std::chrono::steady_clock::now();\n", 1),
    ("pure", "libs/runtime/src/a.cc", "\n\nstd::mutex m;\n", 3),
    ("pure", "libs/log/src/a.cc", "std::lock_guard<M> l(m);\n", 1),
    ("pure", "libs/ingest/src/a.cc", "std::this_thread::yield();\n", 1),
    ("pure", "libs/ingest/src/a.cc", "std::jthread t;\n", 1),
    ("pure", "libs/ingest/src/a.cc", "#include <random>\n", 1),
    ("pure", "libs/sql/src/a.cc", 'auto z = std::getenv("TZ");\n', 1),
    ("pure", "libs/model/src/a.cc", "int x = rand();\n", 1),
    ("pure", "libs/model/src/a.cc", "auto x = std::time(nullptr);\n", 1),
    ("pure", "libs/model/src/a.cc", "localtime_r(&t, &b);\n", 1),
    ("order", "libs/window/src/a.cc", "\nstd::unordered_map<int, int> m;\n", 2),
    ("order", "libs/checkpoint/src/a.cc", "std::unordered_set<int> m;\n", 1),
    ("catch", "tests/unit/window/a_test.cc", "\n#include <catch2/catch.hpp>\n", 2),
    ("dangling", "tests/unit/a.cc", "int a;\nfor (auto& x :\n     F(1)->value())\n", 2),
    ("dangling", "libs/window/src/a.cc", "for (int x : s.f().g()->h) {\n", 1),
    ("bracket", "tests/unit/window/a_test.cc", "\nTEST_CASE(\"in [0, 1)\") {\n", 2),
    ("once", "libs/window/src/a.h", "struct A {};\n", 1),
    ("once", "tests/support/b.h", "struct A {};\n", 1),
    ("long", "libs/window/src/a.cc", "int a;\n" * 501, 501),
    ("long", "tests/lint/long_files.txt", "libs/window/src/gone.cc 600\n", 1),
    ("long", "tests/lint/long_files.txt", "# c\nlibs/window/src/window.cc 600\n", 2),
    ("sleep", "tests/unit/a.cc", "std::this_thread::sleep_for(1s);\n", 1),
    ("sleep", "tests/sim/a.cc", "usleep(5);\n", 1),
    ("sleep", "tests/a.sh", "sleep 5\n", 1),
    ("unfinished", "docs/a.md", f"one\n{TASK}: two\n", 2),
    ("unfinished", "proto/millrace/a.proto", "// FIX" + "ME\n", 1),
    ("outside", "docs/a.md", "see shar" + "ed/design.md\n", 1),
    ("outside", "deploy/a.sh", "cp ../shar" + "ed/data/x .\n", 1),
    ("registry", "deploy/a.sh", "curl https://py" + "pi.org/simple\n", 1),
    ("fast-math", "CMakeLists.txt", "add_compile_options(-ffast-" + "math)\n", 1),
    ("module", "libs/window/README.md", "line\n" * 31, 31),
    ("module", "libs/novel/CMakeLists.txt", "", 1),
    ("module", "libs/window/include/millrace/other/a.h", HEADER, 1),
    ("module", "README.md", "no list\n", 1),
]

# (file, text): close to what is forbidden, and right.
LAWFUL = [
    ("libs/sql/src/a.cc", 'auto e = Conflict("it; waits: " + why, {{"key", k}});\n'
                          'auto s = "key=" + k;\n// Conflict("a key=" + k)\n'),
    ("libs/window/src/a.cc", '#include "millrace/model/model.h"\n#include <vector>\n'),
    ("libs/window/src/a.cc", '#include "millrace/window/window.h"\n#include "local.h"\n'),
    ("libs/window/src/a.cc", '// #include "millrace/log/log.h"\n'),
    ("libs/window/src/a.cc", "// no std::mutex, no system_clock\nstd::chrono::seconds s;\n"),
    ("libs/window/src/a.cc", 'auto s = "std::mutex // rand()";\n'),
    ("libs/window/src/a.cc", 'auto s = R"(std::mutex "rand()")";\n'),
    ("libs/window/src/a.cc", "EventTime time() const;\nint Strand();\nint brand(int);\n"),
    ("libs/window/src/a.cc", "// lint: order-free: looked up\nstd::unordered_map<int, int> m;\n"),
    ("libs/window/src/a.cc", "std::unordered_map<int, int> m;  // lint: order-free: counted\n"),
    ("libs/runtime/src/a.cc", "std::unordered_map<int, int> m;\n"),
    ("libs/window/src/a.cc", "std::shared_ptr<int> p;\nint n = 1'000'000;\n"),
    ("libs/window/src/a.cc", "int a;\n" * 500),
    ("libs/control/src/a.cc", '#include "millrace/control/v1/c.pb.h"\n'),
    ("libs/rpc/src/a.cc", '#include "millrace/a/v1/i.grpc.pb.h"\n#include <grpcpp/grpcpp.h>\n'),
    ("libs/base/src/a.cc", "#include <spdlog/spdlog.h>\n#include <thread>\n#include <unistd.h>\n"),
    ("libs/driver/src/a.cc", "std::thread t;\nauto n = std::chrono::steady_clock::now();\n"),
    ("libs/state_rocksdb/src/a.h", HEADER + "#include <rocksdb/db.h>\n"),
    ("services/millrace/a.cc", '#include "services/worker/worker.h"\n#include "millrace/rpc/s.h"'),
    ("services/worker/a.cc", '#include "worker.h"\n#include "millrace/serving_sqlite/s.h"\n'),
    ("tests/e2e/a.cc", "std::this_thread::sleep_for(1s);\n"),
    ("tests/unit/a.cc", "// never sleep_for()\n#include <arrow/api.h>\nstd::mutex m;\n"),
    ("docs/a.md", "a std::shared_ptr, lib/shared/x, mktemp XXXXXX\n"),
    ("CMakeLists.txt", "add_compile_options(-ffp-contract=off)\n"),
]


class LintTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        self.write("README.md", "```\nwindow log log_embedded\n```\n`novel`, `sql`\n")
        for module in ("window", "log", "sql"):
            self.write(f"libs/{module}/README.md", "# what it is for\n")
            self.write(f"libs/{module}/CMakeLists.txt", "")
            self.write(f"libs/{module}/include/millrace/{module}/{module}.h", HEADER)
        self.write("libs/window/src/local.h", HEADER)
        self.write("libs/window/src/window.cc", "int a;\n")
        self.write("libs/sql/src/parser.cc", "#include <pg_query.h>\n")
        for service in ("worker", "millrace"):
            self.write(f"services/{service}/CMakeLists.txt", "")
        self.write("services/worker/worker.h", HEADER)
        self.write("services/millrace/flags.cc", "#include <CLI/CLI.hpp>\n")
        self.write("tests/support/fake.h", HEADER)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    # Left out unless asked for: a case may put one file into a module that has nothing else.
    def findings(self, case_rule=None):
        found = lint.Lint(self.root).run()
        return [f for f in found if f[2] != "module" or case_rule == "module"]

    def test_the_bare_tree_has_no_findings(self):
        self.assertEqual(self.findings("module"), [])

    def test_each_rule_finds_what_it_forbids_where_it_is(self):
        for rule, name, text, line in FORBIDDEN:
            with self.subTest(rule=rule, file=name, text=text[:60]):
                self.setUp()
                self.write(name, text)
                rules = {(f[2], f[1]) for f in self.findings(rule)}
                self.assertIn((rule, line), rules)
                self.assertEqual({r for r, _ in rules}, {rule})

    def test_the_lawful_neighbour_passes(self):
        for name, text in LAWFUL:
            with self.subTest(file=name, text=text[:60]):
                self.setUp()
                self.write(name, text)
                self.assertEqual(self.findings(), [])

    def test_every_rule_is_shown_to_find_something(self):
        self.assertEqual({case[0] for case in FORBIDDEN}, set(lint.RULES))

    def test_a_module_needs_a_readme_a_target_and_a_surface(self):
        self.write("libs/log_embedded/src/a.cc", "int a;\n")
        text = " ".join(f[3] for f in self.findings("module") if f[0] == "libs/log_embedded")
        for part in ("README.md", "CMakeLists.txt", "include/millrace/log_embedded"):
            self.assertIn(part, text)

    def test_a_long_file_may_keep_its_length_and_only_shrink(self):
        self.write("libs/window/src/a.cc", "int a;\n" * 600)
        for length, expected in ((600, []), (599, ["long"]), (601, ["long"])):
            self.write("tests/lint/long_files.txt", f"libs/window/src/a.cc {length}\n")
            self.assertEqual([f[2] for f in self.findings()], expected, length)

    def test_findings_are_printed_one_a_line_and_set_the_status(self):
        self.write("libs/window/src/a.cc", "int a = rand();\n")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            status = lint.main(["--root", str(self.root)])
        self.assertEqual(status, 1)
        self.assertRegex(out.getvalue(), r"(?m)^libs/window/src/a\.cc:1: pure: rand\(: only base")


if __name__ == "__main__":
    unittest.main()
