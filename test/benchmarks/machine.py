# SPDX-License-Identifier: Apache-2.0
"""What both benchmarks need of the machine: its name and ceilings, processes that are timed, their peak memory."""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class BenchmarkError(Exception):
    """Something that the benchmark needs is missing or failed; the text says what."""


def cpu_name():
    """Model name, the levels of vector instructions that matter here, and the number of processors."""
    fields = {}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()
    return (f"{fields.get('model name', platform.machine())} (family {fields.get('cpu family', '?')}, "
            f"model {fields.get('model', '?')}), {vectors}, {os.cpu_count()} processors")


class Runner:
    """Starts processes, with real-time priority if asked, so that other work on the machine does not preempt them."""

    def __init__(self, realtime=False):
        self.before = ["chrt", "-r", "20"] if realtime else []
        if realtime and (not shutil.which("chrt")
                         or subprocess.run([*self.before, "true"], capture_output=True).returncode):
            raise BenchmarkError("--realtime needs the program chrt and the right to set real-time priorities")

    def run(self, command, stdin=None, environment=None):
        """Standard output of a command that must succeed."""
        return self.measured(command, stdin, environment, poll=False)[0]

    def measured(self, command, stdin=None, environment=None, poll=True):
        """(standard output, wall seconds, peak resident bytes). A polled process gets no priority: it would stop who polls."""
        start = time.perf_counter()
        process = subprocess.Popen([*([] if poll else self.before), *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
        peak, done = [0], threading.Event()

        def watch():
            while not done.wait(0.005):
                peak[0] = max(peak[0], high_water(process.pid))

        if poll:
            watcher = threading.Thread(target=watch)
            watcher.start()
        out, error = process.communicate(stdin)
        wall = time.perf_counter() - start
        if poll:
            done.set()
            watcher.join()
            if not peak[0] and not process.returncode:
                raise BenchmarkError(f"{os.path.basename(str(command[0]))} ended before its memory could be read")
        if process.returncode:
            name = os.path.basename(str(command[0]))
            raise BenchmarkError(f"{name} {' '.join(map(str, command[1:4]))} failed: {error.strip()[-600:]}")
        return out, wall, peak[0]


def high_water(pid="self", field="VmHWM"):
    """Peak resident bytes of a process so far; 0 if it is gone. (What wait4 reports would include the parent's.)"""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


class Ceilings:
    """Compiles ceilings.c for this processor; measures it as often as asked and keeps the best."""

    def __init__(self, runner, folder):
        self.runner, self.program = runner, os.path.join(folder, "ceilings")
        compiler = next((c for c in ("clang-22", "clang", "gcc", "cc") if shutil.which(c)), None)
        if not compiler:
            raise BenchmarkError("expected a C compiler (clang or gcc) for the machine's ceilings, found none")
        subprocess.run([compiler, "-O3", "-march=native", "-ffp-contract=fast", "-pthread",
                        os.path.join(HERE, "ceilings.c"), "-o", self.program], check=True)

    def measure(self, threads, known=None):
        now = json.loads(self.runner.run([self.program, threads]))
        return {k: max(v, (known or {}).get(k, 0)) for k, v in now.items()}


def median(values):
    return statistics.median(values)


def ms(value):
    """Milliseconds with three significant digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows]) + "\n"


def say(text):
    print(text, file=sys.stderr, flush=True)
