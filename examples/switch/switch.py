#!/usr/bin/env python3
"""A switch of Sluice's that is a JSON file: what it should hold is what it holds.

A program of this kind stands between the manager and a switch that it has no
dialect for. It is run once for each question, which comes as JSON on standard
input, and answers as JSON on standard output; README.md has both. Here the switch
is the file that the first argument names, and a reboot is the file's removal. It has
room for 64 servers, or for as many as the second argument says.
"""

import json
import os
import sys
import tempfile


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        # A switch that has just started: empty, and under another name than before.
        return {"start": os.urandom(8).hex(), "plan": {"services": {}}}


def save(path, held):
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", dir=os.path.dirname(os.path.abspath(path)), delete=False, encoding="utf-8"
    ) as file:
        json.dump(held, file, indent=2)
    os.replace(file.name, path)


def servers(plan):
    services = plan["services"].items()
    return [(name, address) for name, service in services for address in service["servers"]]


def fit(plan, held, room):
    """As much of a plan as there is room for, and the servers that are left out of it.
    Those that are here already come first."""
    here = set(servers(held))
    left = sorted(servers(plan), key=lambda server: server not in here)[room:]
    for name, address in left:
        del plan["services"][name]["servers"][address]
    return plan, left


def main():
    path = sys.argv[1]
    room = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    question = json.load(sys.stdin)
    if question["version"] != 1:
        sys.exit(f"version {question['version']} is not known here: upgrade {sys.argv[0]}")
    held = load(path)
    answer = {"start": held["start"], "description": f"the file {path}"}
    match question["ask"]:
        case "read":
            answer["plan"] = held["plan"]
        case "apply":
            held["plan"], left = fit(question["plan"], held["plan"], room)
            if left:
                names = ", ".join(f"{address} of {name}" for name, address in left)
                answer["refused"] = f"no room for {len(left)} servers: {names}"
        case "poll":
            pass
        case other:
            sys.exit(f"`{other}` is not known here: upgrade {sys.argv[0]}")
    save(path, held)
    json.dump(answer, sys.stdout)


main()
