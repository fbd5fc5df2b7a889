#!/bin/sh
# Tells the sluice agent beside this application what happens, by socat:
#   notify.sh ready
#   notify.sh failed the disk is full
# Where sluice itself is installed, `sluice notify` does the same.
set -eu

socket=${SLUICE_NOTIFY_SOCKET:-/run/sluice-agent/notify.sock}

answer=$(printf '%s\n' "$*" | socat -t 10 - "UNIX-CONNECT:$socket")
echo "$answer"
case $answer in
    ok\ *) ;;
    *) exit 1 ;;
esac
