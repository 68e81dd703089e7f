#!/usr/bin/python3
"""Checks the rules of the code base that no compiler checks: lint.py [--root DIR].

Prints `file:line: rule: message` for each finding and exits with 1 where there is one. What each
rule is for stands at its function; docs/architecture.md tells the reasons for the ranks.
"""

import argparse
import os
import pathlib
import re
import sys

# A module includes modules of lower ranks only, never up or sideways.
RANKS = {
    0: ["base"],
    1: ["metrics", "model", "wire"],
    2: ["window"],
    3: ["log", "state", "objectstore", "resultfile", "serving", "block", "record",
        "sql", "rocksdb_log"],
    4: ["checkpoint", "control", "doctor", "operations"],
    5: ["ingest", "runtime"],
    6: ["driver", "rpc", "admin", "config", "log_kafka", "log_embedded", "state_rocksdb",
        "objectstore_arrow", "objectstore_s3", "resultfile_parquet", "block_arrow", "record_simdjson",
        "serving_sqlite", "serving_postgres", "metrics_prometheus"],
    7: ["adapters", "client", "cli"],
    8: ["process"],
    9: ["gateway", "coordinator", "worker", "millrace"],
}
RANK = {module: rank for rank, modules in RANKS.items() for module in modules}
SERVICES = RANKS[9]
# `millrace dev` starts the roles of the other three in one process.
MAY_INCLUDE_SERVICES = "millrace"
# Lets its headers be generated, so it need not have a folder of public ones.
GENERATED = "wire"

# Who may include the headers that start with these words; each technology has one home.
OWNERS = [
    (("rocksdb/",), ["state_rocksdb", "rocksdb_log"]),
    (("arrow/", "parquet/"), ["block_arrow", "objectstore_arrow", "objectstore_s3", "resultfile_parquet"]),
    (("curl/",), ["objectstore_s3"]),
    (("simdjson",), ["record_simdjson"]),
    (("grpc/", "grpcpp/", "grpc++/", "absl/"), ["rpc", "client"]),
    (("google/rpc/",), ["rpc", "client"]),
    (("google/protobuf/",), ["wire", "rpc", "sql"]),
    (("librdkafka/",), ["log_kafka"]),
    (("sqlite3",), ["serving_sqlite"]),
    (("libpq", "pg_config"), ["serving_postgres"]),
    (("prometheus/",), ["metrics_prometheus"]),
    (("spdlog/", "fmt/"), ["base"]),
    (("openssl/",), ["base", "objectstore_s3"]),
    (("yaml-cpp/",), ["config"]),
    (("zstd", "zlib"), ["cli"]),
    (("CLI/",), SERVICES + ["process"]),
    (("pg_query", "date/"), ["sql"]),
]
# Dear to compile or to replace: in one file of their owners only.
ONE_FILE = ["pg_query", "date/"]
SYSTEM_FOLDERS = ("sys/", "netinet/", "arpa/", "net/", "linux/", "sanitizer/")
SYSTEM_HEADERS = set(
    "assert ctype errno fenv float inttypes limits locale math setjmp signal stdarg stddef stdint "
    "stdio stdlib string time wchar dirent dlfcn fcntl fnmatch glob grp ifaddrs link netdb poll "
    "pthread pwd sched semaphore spawn strings syslog termios ucontext unistd cxxabi execinfo "
    "immintrin x86intrin nmmintrin arm_neon malloc elf getopt libgen features endian "
    "byteswap".split())

# The pure part: everything below the driver except the facade that the driver fills.
IMPURE_FROM_RANK = 6
IMPURE = re.compile(
    r"\b(?:system|steady|high_resolution|utc|file)_clock\b|\bthis_thread\b"
    r"|\bstd::(?:j?thread|async|future|promise|packaged_task|barrier|latch|counting_semaphore)\b"
    r"|\bstd::(?:recursive_|shared_|timed_|recursive_timed_|shared_timed_)?mutex\b"
    r"|\bstd::(?:lock_guard|unique_lock|scoped_lock|shared_lock|condition_variable(?:_any)?)\b"
    r"|#\s*include\s*<(?:thread|mutex|shared_mutex|condition_variable|future|random|locale)>"
    r"|\bpthread_\w+|\bs?rand\s*\(|\brandom_device\b|\bmt19937\w*|\bdefault_random_engine\b"
    r"|\btime\s*\(\s*(?:NULL|nullptr|0|&\s*\w+)\s*\)|\b(?:gettimeofday|clock_gettime)\s*\("
    r"|\b(?:nano|u)?sleep\s*\(|\bsleep_(?:for|until)\b|\b(?:secure_)?getenv\s*\("
    r"|\b(?:localtime|mktime|strftime)(?:_r)?\s*\(|\bstd::locale\b|\bsetlocale\s*\(")
ORDERED = ["window", "sql", "control", "checkpoint"]
ORDER_FREE = "lint: order-free"

CODE = (".cc", ".h")
TEXT = CODE + (".py", ".sh", ".cmake", ".proto", ".md", ".txt", ".sql", ".yml", ".yaml", ".toml",
               ".html", ".js")
TEXT_NAMES = ("CMakeLists.txt", "CMakePresets.json", "run")
TREES = ("libs", "services", "proto", "tests", "deploy", "docs", "cmake", ".ci")
SKIPPED = ("__pycache__", "node_modules")
LONG = 500
LONG_KINDS = CODE + (".py", ".sh", ".cmake", ".proto")
LONG_LIST = "tests/lint/long_files.txt"
README_LINES = 30

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
OUTSIDE = re.compile(r"(?<![\w./-])(?:\.\./)*shar" r"ed/\w|/shar" r"ed/(?:data|cases|recipes)\b")
REGISTRY = re.compile(
    r"\b(?:py[p]i|python[h]osted|np[m]js|crate[s]|mave[n]|repo1?\.mave[n]\.apache|proxy\.golan[g]"
    r"|rubygem[s])\.(?:org|io|com)\b")
SLEEP = re.compile(r"\bsleep_(?:for|until)\b|\bu?sleep\s*\(|\bnanosleep\b")
SHELL_SLEEP = re.compile(r"^\s*sleep\s+[\d$]")
MAY_SLEEP = ("tests/e2e/", "tests/bench/")
CATCH = "tests/support/catch.h"
TEST_NAME = re.compile(r'\s*TEST_CASE(?:_METHOD\(\w+, |\()"([^"]*)"')
FAST_MATH = re.compile(r"-ffast-mat" r"h|-Ofas" r"t\b|-ffp-contract=(?!off\b)\w+")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')
NOISE = re.compile(
    r'R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"|//[^\n]*|/\*.*?\*/'
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)

RULES = ("rank", "module", "owner", "public", "unowned", "generated", "one-file", "pure", "order",
         "once", "long", "sleep", "unfinished", "outside", "registry", "fast-math", "catch", "facts",
         "bracket", "dangling")


# The arguments of an error up to a text that ends with `key=` and is glued to a value.
GLUED = re.compile(
    r'\b(?:InvalidArgument|NotFound|Conflict|Fenced|Unavailable|ResourceExhausted|Corruption|Internal)'
    r'\((?:"(?:\\.|[^"\\\n])*"|[^";{}])*?"(?:\\.|[^"\\\n])*?(?<!\w)[a-z_]+=(?:\\")?"\s*\+')


FOR = re.compile(r"\bfor\s*\(")
# Of ranges `F()->y`, where what F gave is gone before the first round, this one is not meant.
NAMED = re.compile(r"\(\*\w+\)->")


# What stands behind the colon of the range for whose header begins at `start`; empty: it is no range for.
def range_of(code, start):
    depth, colon = 1, None
    for at in range(start, len(code)):
        c = code[at]
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return code[colon:at] if colon else ""
        if depth == 1 and c == ":" and ":" not in (code[at - 1], code[at + 1]):
            colon = at + 1
    return ""


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(text):
    return NOISE.sub(lambda m: blank(m) if m.group().startswith("/") else m.group(), text)


class File:
    def __init__(self, root, path):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        parts = self.name.split("/")
        in_module = parts[0] in ("libs", "services") and len(parts) > 2
        self.module = parts[1] if in_module else None
        self.home = root / parts[0] / parts[1] if in_module else None
        self.is_header = self.name.endswith(".h")
        self.is_public = in_module and parts[0] == "libs" and parts[2] == "include"

    def is_code(self):
        return self.name.endswith(CODE)


class Lint:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.files = [File(root, p) for p in self.paths()]
        self.users = {prefix: [] for prefix in ONE_FILE}

    def paths(self):
        found = [p for p in self.root.iterdir() if p.is_file() and self.is_text(p.name)]
        for tree in TREES:
            for folder, folders, names in os.walk(self.root / tree):
                folders[:] = sorted(f for f in folders if f not in SKIPPED)
                found += [pathlib.Path(folder, n) for n in names if self.is_text(n)]
        return sorted(found)

    @staticmethod
    def is_text(name):
        return name.endswith(TEXT) or name in TEXT_NAMES

    def report(self, where, line, rule, message):
        self.findings.append((where, line, rule, message))

    def run(self):
        self.check_modules()
        for file in self.files:
            self.check_text(file)
            if file.is_code():
                self.check_code(file)
        self.check_one_file()
        self.check_long_files()
        return sorted(self.findings)

    # The module list is the folder list is the documented list.
    def check_modules(self):
        documented = self.documented_words()
        for tree in ("libs", "services"):
            base = self.root / tree
            for folder in sorted(base.iterdir()) if base.is_dir() else []:
                if folder.is_dir():
                    self.check_module(tree, folder, documented)

    def check_module(self, tree, folder, documented):
        where, module = f"{tree}/{folder.name}", folder.name
        if module not in RANK or (tree == "services") != (module in SERVICES):
            self.report(where, 1, "module", f"{module} has no rank: add it to RANKS in lint.py")
        if not (folder / "CMakeLists.txt").is_file():
            self.report(where, 1, "module", "no CMakeLists.txt: one module is one target")
        if tree == "services":
            return
        readme = folder / "README.md"
        if not readme.is_file():
            self.report(where, 1, "module", "no README.md: say what the module is for")
        elif len(readme.read_text(encoding="utf-8").splitlines()) > README_LINES:
            self.report(f"{where}/README.md", README_LINES + 1, "module",
                        f"longer than {README_LINES} lines: move details to docs/ or headers")
        public = folder / "include" / "millrace"
        if module != GENERATED and not (public / module).is_dir():
            self.report(where, 1, "module", f"no include/millrace/{module}: its surface lies there")
        for other in sorted(public.iterdir()) if public.is_dir() else []:
            if other.name != module:
                self.report(f"{where}/include/millrace/{other.name}", 1, "module",
                            f"public headers of {module} lie in include/millrace/{module} only")
        if module not in documented:
            self.report(where, 1, "module",
                        f"`{module}` is not in the list of README.md or docs/architecture.md")

    def documented_words(self):
        words = set()
        for file in self.files:
            if file.name in ("README.md", "docs/architecture.md"):
                quoted = re.findall(r"```.*?```|`[^`\n]+`", file.text, re.S)
                words.update(w for q in quoted for w in re.findall(r"\w+", q))
        return words

    # What no text of the project may hold.
    def check_text(self, file):
        sleeps = file.name.startswith("tests/") and not file.name.startswith(MAY_SLEEP)
        builds = file.name.endswith(("CMakeLists.txt", "CMakePresets.json", ".cmake"))
        for number, line in enumerate(file.lines, 1):
            if UNFINISHED.search(line):
                self.report(file.name, number, "unfinished", "finish it or write an issue")
            if OUTSIDE.search(line):
                self.report(file.name, number, "outside", "names a folder outside the repository")
            if REGISTRY.search(line):
                self.report(file.name, number, "registry",
                            "names a package registry's host: leave that to the client's settings")
            if sleeps and file.name.endswith(".sh") and SHELL_SLEEP.search(line):
                self.report(file.name, number, "sleep", "wait for a condition with a deadline")
            if builds and FAST_MATH.search(line):
                self.report(file.name, number, "fast-math",
                            "results must not depend on the compiler: only -ffp-contract=off")
        if file.is_code() and sleeps:
            self.check_pattern(file, NOISE.sub(blank, file.text), SLEEP, "sleep",
                               lambda found: f"{found}: wait for a condition with a deadline")

    def check_pattern(self, file, text, pattern, rule, message):
        for number, line in enumerate(text.split("\n"), 1):
            match = pattern.search(line)
            if match:
                self.report(file.name, number, rule, message(" ".join(match.group().split())))

    def check_code(self, file):
        self.check_dangling(file)
        if file.is_header and "#pragma once" not in file.text:
            self.report(file.name, 1, "once", "a header starts with #pragma once")
        if file.module is None:
            self.check_catch(file)
            self.check_bracket(file)
            return
        for number, line in enumerate(without_comments(file.text).split("\n"), 1):
            match = INCLUDE.match(line)
            if match:
                self.check_include(file, number, match.group(1) or match.group(2),
                                   quoted=match.group(2) is not None)
        self.check_facts(file)
        code = NOISE.sub(blank, file.text)
        in_memory = re.search(r"/in_memory_\w+\.(?:h|cc)$", str(file.path))  # bodies for tests, with one lock
        if file.module != "base" and RANK.get(file.module, 0) < IMPURE_FROM_RANK and not in_memory:
            self.check_pattern(file, code, IMPURE, "pure", lambda found: (
                f"{found}: only base and rank {IMPURE_FROM_RANK} and above own threads or read "
                "clocks, randomness or the environment: take it as an argument or an effect"))
        if file.module in ORDERED:
            self.check_order(file, code)

    # C++20 keeps a temporary of a range for only if the range itself is it, or a part of it.
    def check_dangling(self, file):
        code = NAMED.sub("named->", NOISE.sub(blank, file.text))
        for match in FOR.finditer(code):
            if re.search(r"\)\s*->", range_of(code, match.end())):
                self.report(file.name, code.count("\n", 0, match.start()) + 1, "dangling",
                            "the range is what a temporary points to, which is gone: name it first")

    # What varies in a message is a fact behind it, quoted where it must be.
    def check_facts(self, file):
        for match in GLUED.finditer(without_comments(file.text)):
            self.report(file.name, file.text.count("\n", 0, match.end()) + 1, "facts",
                        'write the facts as {{"key", value}} (base/facts.h), not as text')

    # Catch2 2 and 3 have other headers; one file knows both.
    def check_catch(self, file):
        for number, line in enumerate(file.lines, 1):
            match = INCLUDE.match(line)
            if match and (match.group(1) or "").startswith("catch2/") and file.name != CATCH:
                self.report(file.name, number, "catch", f"include {CATCH}, which fits both Catch2 2 and 3")

    # CMake's lists keep what stands in brackets together: such a test and those behind it become one that runs none.
    def check_bracket(self, file):
        for number, line in enumerate(file.lines, 1):
            match = TEST_NAME.match(line)
            if match and set(match.group(1)) & set("[]"):
                self.report(file.name, number, "bracket", "a test's name with a bracket is not found by ctest")

    # Iteration over hash tables has no order that two machines share.
    def check_order(self, file, code):
        for number, line in enumerate(code.split("\n"), 1):
            near = file.lines[max(0, number - 2):number]
            if "std::unordered_" in line and not any(ORDER_FREE in n for n in near):
                self.report(file.name, number, "order",
                            "std::unordered_ in a module whose output has an order: sort, or say "
                            f"why none reaches the output (`// {ORDER_FREE}: reason`)")

    def check_include(self, file, number, header, quoted):
        if header.startswith("millrace/"):
            self.check_own_include(file, number, header)
        elif quoted and self.check_relative_include(file, number, header):
            pass
        elif not self.is_system(header):
            self.check_third_party(file, number, header)

    def check_own_include(self, file, number, header):
        if header.endswith(".pb.h"):
            self.check_generated(file, number, header)
        else:
            self.check_rank(file, number, header.split("/")[1], header)

    def check_generated(self, file, number, header):
        if file.is_header:
            self.report(file.name, number, "generated",
                        f"{header} is generated and slow to compile: only .cc files include it")
        if header.endswith(".grpc.pb.h") and file.module not in ("rpc", "client"):
            self.report(file.name, number, "owner", f"{header} holds gRPC: only rpc and client may")
        self.check_rank(file, number, GENERATED, header)

    def check_rank(self, file, number, target, header):
        if target == file.module:
            return
        if target not in RANK:
            self.report(file.name, number, "rank", f"{header}: {target} has no rank in lint.py")
            return
        mine, theirs = RANK.get(file.module, -1), RANK[target]
        siblings = file.module == MAY_INCLUDE_SERVICES and target in SERVICES
        if theirs >= mine and not siblings:
            self.report(file.name, number, "rank",
                        f"{file.module} (rank {mine}) includes {header} (rank {theirs}): only "
                        "lower ranks may be included")

    # Returns whether the header is a file of this repository.
    def check_relative_include(self, file, number, header):
        for base in (file.path.parent, file.home / "src", file.home, self.root):
            found = pathlib.Path(os.path.normpath(base / header))
            if not found.is_file() or self.root not in found.parents:
                continue
            parts = found.relative_to(self.root).parts
            if parts[0] in ("libs", "services"):
                self.check_rank(file, number, parts[1], header)
            else:
                self.report(file.name, number, "rank",
                            f"{header} is {parts[0]}'s: the product has libs and services only")
            return True
        return False

    @staticmethod
    def is_system(header):
        if header.startswith(SYSTEM_FOLDERS) or not re.search(r"[./]", header):
            return True
        return header.endswith(".h") and header[:-2] in SYSTEM_HEADERS

    # A third-party header stays in the module that owns it, and never in a public header.
    def check_third_party(self, file, number, header):
        owned = [(prefix, owners) for prefixes, owners in OWNERS for prefix in prefixes
                 if header.startswith(prefix)]
        if not owned:
            self.report(file.name, number, "unowned",
                        f"{header} has no owner: give the technology a module in OWNERS of lint.py")
            return
        prefix, owners = owned[0]
        if file.module not in owners:
            self.report(file.name, number, "owner",
                        f"{header} belongs to {', '.join(owners)}: go through its surface")
            return
        if file.is_public or (file.is_header and file.module == "base"):
            self.report(file.name, number, "public",
                        f"{header} in a header that others include: keep it in .cc files")
        if prefix in self.users:
            self.users[prefix].append((file.name, number))

    def check_one_file(self):
        for prefix, users in self.users.items():
            first = users[0][0] if users else None
            for name, number in users:
                if name != first:
                    self.report(name, number, "one-file",
                                f"{prefix}* is included by {first} already: one file only")

    # Long files may only get shorter: the list holds each one's present length.
    def check_long_files(self):
        allowed, lines = {}, {}
        listing = self.root / LONG_LIST
        entries = listing.read_text().splitlines() if listing.is_file() else []
        for number, line in enumerate(entries, 1):
            if line.strip() and not line.startswith("#"):
                name, length = line.split()
                allowed[name], lines[name] = int(length), number
        for file in self.files:
            if not file.name.endswith(LONG_KINDS):
                continue
            length, most = file.text.count("\n"), allowed.pop(file.name, None)
            if length > LONG and most is None:
                self.report(file.name, LONG + 1, "long", f"{length} lines, past {LONG}: split it")
            elif most is not None and length > most:
                self.report(file.name, most + 1, "long", f"{length} lines, it had {most}: split it")
            elif most is not None and length < most:
                what = f"set it to {length}" if length > LONG else "take it off the list"
                self.report(LONG_LIST, lines[file.name], "long", f"{file.name} got shorter: {what}")
        for name in allowed:
            self.report(LONG_LIST, lines[name], "long",
                        f"{name} does not exist: take it off the list")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--root", type=pathlib.Path, default=default)
    lint = Lint(parser.parse_args(arguments).root.resolve())
    findings = lint.run()
    for where, line, rule, message in findings:
        print(f"{where}:{line}: {rule}: {message}")
    print(f"lint: {len(lint.files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
