#!/usr/bin/env python3
"""Tells the sluice agent beside this application what happens.

    notify.py ready
    notify.py failed the disk is full
"""

import os
import socket
import sys

SOCKET = os.environ.get("SLUICE_NOTIFY_SOCKET", "/run/sluice-agent/notify.sock")


class Refused(Exception):
    """The agent did not take an event, and says why."""


def notify(event, argument="", target="", path=SOCKET):
    """Sends one event, such as notify("weight", "50%", "@www").

    Returns what the agent says, for people. Raises Refused, or OSError where
    no agent answers within ten seconds.
    """
    line = " ".join(part for part in (event, target, str(argument)) if part)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(10)
        agent.connect(path)
        # A line end in a cause would end the line.
        agent.sendall(line.replace("\n", " ").encode() + b"\n")
        with agent.makefile("r", encoding="utf-8") as answers:
            answer = answers.readline().rstrip("\n")
    word, _, text = answer.partition(" ")
    if word != "ok":
        raise Refused(text or "no answer")
    return text


if __name__ == "__main__":
    try:
        print("ok", notify(sys.argv[1] if len(sys.argv) > 1 else "", " ".join(sys.argv[2:])))
    except (Refused, OSError) as error:
        sys.exit(f"error {error}")
