#!/usr/bin/env python3
"""in_turns.py ROUNDS NAME=COMMAND BUNDLE [NAME=COMMAND BUNDLE ...]

Times two ways through a container's life, with each runtime in turn: `run`, and `create start
delete` with the wait for the end between the last two. Prints medians, and the medians of the
ratios to the first runtime, round by round."""

import os
import select
import statistics
import sys
import time

null = os.open(os.devnull, os.O_RDWR)


def call(argv):
    actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1)]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    if status:
        sys.exit(f"{' '.join(argv)}: ended with wait status {status}")


def run(runtime, bundle, name):
    call(runtime + ["run", "--bundle", bundle, name])


def step_by_step(runtime, bundle, name):
    pid_file = os.path.join(bundle, "pid")
    call(runtime + ["create", "--bundle", bundle, "--pid-file", pid_file, name])
    with open(pid_file) as file:
        init = os.pidfd_open(int(file.read()))
    call(runtime + ["start", name])
    select.select([init], [], [])
    os.close(init)
    call(runtime + ["delete", name])


def main():
    rounds = int(sys.argv[1])
    runtimes = []
    for spec, bundle in zip(sys.argv[2::2], sys.argv[3::2]):
        name, command = spec.split("=", 1)
        runtimes.append((name, command.split(), bundle))
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for way in (run, step_by_step):
        times = {name: [] for name, _, _ in runtimes}
        for turn in range(-2, rounds):  # two to warm up
            first = turn % len(runtimes)
            for name, command, bundle in runtimes[first:] + runtimes[:first]:
                began = time.perf_counter()
                way(command, bundle, f"bench{os.getpid()}-{turn + 2}")
                if turn >= 0:
                    times[name].append(time.perf_counter() - began)
        base = times[runtimes[0][0]]
        for name, _, _ in runtimes:
            took = times[name]
            ratio = statistics.median(mine / its for mine, its in zip(took, base))
            print(f"{way.__name__:13} {name:12} median {statistics.median(took) * 1e3:6.1f} ms"
                  f"  least {min(took) * 1e3:6.1f} ms  ratio {ratio:5.2f}")


main()
