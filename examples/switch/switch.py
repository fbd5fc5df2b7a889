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
            services = question["plan"]["services"]
            if sum(len(service["servers"]) for service in services.values()) > room:
                answer["refused"] = f"there is room for {room} servers"
            else:
                held["plan"] = question["plan"]
        case "poll":
            pass
        case other:
            sys.exit(f"`{other}` is not known here: upgrade {sys.argv[0]}")
    save(path, held)
    json.dump(answer, sys.stdout)


main()
