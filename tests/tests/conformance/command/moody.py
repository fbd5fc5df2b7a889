"""The example of a switch's program, in the mood that a file names.

`moody.py PROGRAM DIRECTORY`: what the switch holds is in DIRECTORY/held.json, how many
connections its servers have in `counts`, and its mood, none of the time, in `mood`.
"""

import contextlib
import fcntl
import io
import json
import os
import runpy
import signal
import sys
import time

program, directory = sys.argv[1:]
held = os.path.join(directory, "held.json")


def read(name):
    try:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def example(question):
    """What the example answers."""
    sys.argv = [program, held]
    sys.stdin = io.StringIO(json.dumps(question))
    with contextlib.redirect_stdout(io.StringIO()) as answer:
        runpy.run_path(program)
    return json.loads(answer.getvalue())


def die_within(plan):
    """Has the first service that changes live, and no other."""
    before = json.loads(read("held.json"))["plan"]["services"]
    done = dict(before)
    for name, service in plan["services"].items():
        if before.get(name) != service:
            done[name] = service
            break
    example({"version": 1, "ask": "apply", "plan": {"services": done}})
    with open(os.path.join(directory, "cuts"), "a", encoding="utf-8") as cuts:
        cuts.write("x")
    os.remove(os.path.join(directory, "mood"))
    os.kill(os.getpid(), signal.SIGKILL)


def counts():
    """Of every server that is held, of most none."""
    connections = json.loads(read("counts") or "{}")
    services = json.loads(read("held.json"))["plan"]["services"]
    return [
        {"service": name, "backend": server, "connections": connections.get(f"{name}/{server}", 0)}
        for name, service in services.items()
        for server in service["servers"]
    ]


def noise(piece):
    # 64 MiB is without end for whoever gives up before.
    for _ in range(1 << 12):
        sys.stdout.buffer.write(piece)


def main():
    question = json.load(sys.stdin)
    mood = read("mood")
    match mood:
        case "silent":
            time.sleep(600)
        case "huge":
            return noise(b"A" * (16 << 10))
        case "endless":
            return noise(b"1\n" * (8 << 10))
        case "binary":
            return noise(os.urandom(16 << 10))
    # Whoever changes the file has it alone.
    with open(os.path.join(directory, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = ""
        if mood == "odd name":
            question["ask"] = "read"
        if question["ask"] == "apply":
            if mood == "dying":
                die_within(question["plan"])
            if mood.startswith("refuses "):
                _, name, refused = mood.split(" ", 2)
                service = question["plan"]["services"].get(name, {})
                refused = refused if service.get("servers") else ""
                service["servers"] = {}
        answer = example(question)
    if refused:
        answer["refused"] = refused
    if question["ask"] == "poll":
        answer["counts"] = counts()
    if mood == "odd name":
        # All that it does is talk.
        service = {"address": "192.0.2.1", "port": 80, "protocol": "tcp"}
        answer["plan"] = {"services": {'www"}}}\n{"plan": {"services": {}}}\n': service}}
    json.dump(answer, sys.stdout)


main()
