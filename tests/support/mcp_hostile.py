"""MCP servers that behave badly: `python mcp_hostile.py WAY`. By hand: the library would not say such things."""

import json
import signal
import sys
import time

WAY = sys.argv[1]


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(asked, result):
    say({"jsonrpc": "2.0", "id": asked["id"], "result": result})


def greet(asked):
    answer(
        asked,
        {
            "protocolVersion": asked["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "hostile", "version": "1"},
        },
    )


TOOLS = {
    "lies": [
        {"name": "banana", "inputSchema": {"type": "object", "properties": {"a": {"type": "banana"}}}},
        {"name": "a b/../c" * 40, "inputSchema": {"type": "object"}},
        {"name": "huge", "description": "d" * 100_000, "inputSchema": {"type": "object", "description": "s" * 100_000}},
        {"name": "twice", "inputSchema": {"type": "object"}},
        {"name": "twice", "inputSchema": {"type": "object"}},
    ],
    "hangs": [{"name": "wait", "inputSchema": {"type": "object"}}],
    "chatters": [{"name": "talk", "inputSchema": {"type": "object"}}],
}

if WAY == "silent":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(600)
if WAY == "dies":
    sys.stderr.write("no licence found\n")
    sys.exit(4)
if WAY == "garbage":
    while True:
        sys.stdout.write("this is no JSON " * 1000 + "\n")

for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "initialize":
        greet(asked)
    elif asked.get("method") == "tools/list":
        more = {"nextCursor": "again"} if WAY == "endless" else {}
        answer(asked, {"tools": TOOLS.get(WAY, [{"name": "one", "inputSchema": {"type": "object"}}]), **more})
    elif asked.get("method") == "tools/call" and WAY == "chatters":
        while True:
            say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}})
    elif asked.get("method") == "tools/call" and WAY == "hangs":
        continue
    elif "id" in asked and "method" in asked:
        say({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "unknown"}})
