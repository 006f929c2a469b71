#!/usr/bin/env python3
"""reviewed.py LIST INSIDE HOST: what read-files printed in a container and on the host, against the
list of reviewed files. Prints what nobody has looked at, and what shows the host; ends with 1 then."""
import itertools
import re
import sys


def alternatives(pattern):
    """a{b,c}d as [abd, acd]"""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def expression(pattern):
    texts = []
    for one in alternatives(pattern):
        text = re.escape(one).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        texts.append(text)
    return re.compile("|".join(texts))


def read_list(path):
    rules = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            verdict, pattern, reason = line.split(maxsplit=2)
            if verdict not in ("other", "any") or not reason.strip():
                sys.exit(f"{path}:{number}: not a rule")
            rules.append((verdict, expression(pattern), pattern))
    return rules


def read_results(path):
    results = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 4:
                results[fields[0]] = fields[1:]
    return results


def main():
    rules = read_list(sys.argv[1])
    inside, host = read_results(sys.argv[2]), read_results(sys.argv[3])
    complaints = []
    for path, (result, size, digest) in inside.items():
        if result not in ("ok", "long") or size == "0":
            continue
        rule = next((rule for rule in rules if rule[1].fullmatch(path)), None)
        if rule is None:
            complaints.append(f"{path}: nobody has reviewed it")
        elif rule[0] == "other" and host.get(path, [None] * 3)[2] == digest:
            complaints.append(f"{path}: shows what it shows on the host")
    print("\n".join(complaints[:40]))
    readable = sum(result in ("ok", "long") for result, _, _ in inside.values())
    print(f"{readable} readable files, {len(complaints)} complaints")
    if readable < 1000:
        sys.exit("too few files: the walk was not complete")
    sys.exit(1 if complaints else 0)


main()
