#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Small things agent_lib.sh needs and sh has not.

  agent_helper.py qmp SOCKET COMMAND [ARGUMENTS]   prints what QEMU returns
  agent_helper.py say PORT LINE                    sends LINE (- : 1 MB without an
                                                   end), prints what comes back
  agent_helper.py local SOCKET LINES               sends LINES to an agent's own socket,
                                                   prints what comes back within 1 s
  agent_helper.py converse PORT                    as another agent, in the clear: what
                                                   stands on stdin, see converse()
  agent_helper.py vmm SOCKET FILE HUSH             what seems to be a paused QEMU: each
                                                   command is a line in FILE; it accepts
                                                   nobody while HUSH exists, and
                                                   refuses `cont` while HUSH.cont does
  agent_helper.py datagrams SOCKET FILE            a line in FILE for each that comes to
                                                   SOCKET, @NAME: an abstract one
  agent_helper.py proxy LISTEN PORT WORD WHEN FILE
      passes connections on from LISTEN to PORT. When WORD comes by from whoever
      connected, everything is cut, "before" the line is passed on or "after", and
      connections are refused as long as FILE exists (it is made by the cut).
  agent_helper.py alter LISTEN PORT HOW            passes connections on, in the clear.
                                                   old: neither agent hears that the other
                                                   packs device state; of packed state
                                                   comes garble: garbage, short: a piece;
                                                   noplan: a plan's connection is cut as
                                                   soon as it is let in
"""
import asyncio
import json
import os
import socket
import sys
import time


def qmp(path, command, arguments="{}"):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    f = s.makefile("rw")
    f.readline()
    for msg in ({"execute": "qmp_capabilities"},
                {"execute": command, "arguments": json.loads(arguments)}):
        f.write(json.dumps(msg) + "\n")
        f.flush()
        answer = json.loads(f.readline())
        while "event" in answer:
            answer = json.loads(f.readline())
    print(json.dumps(answer.get("return", answer)))


def say(port, line):
    s = socket.create_connection(("127.0.0.1", int(port)))
    s.settimeout(5)
    try:
        s.sendall(b"x" * 1000000 if line == "-" else line.encode() + b"\n")
        while True:
            data = s.recv(4096)
            if not data:
                break
            sys.stdout.write(data.decode(errors="replace"))
    except (ConnectionError, socket.timeout) as e:
        print(type(e).__name__)


def local(path, lines):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    s.connect(path)
    s.sendall(lines.encode() + b"\n")
    try:
        while data := s.recv(65536):
            sys.stdout.write(data.decode())
    except socket.timeout:
        pass


def converse(port):
    """Lines "NAME {...}": asked on the control connection NAME, which is made when it
    is not there; what comes back is printed. "NAME -": it is closed. "NAME +N": lane N of
    the link that NAME was told of last, as the pretended kernel greets. "- SECONDS"."""
    peers, tokens = {}, {}

    def ask(f, msg):
        f.write(json.dumps(msg) + "\n")
        f.flush()
        return f.readline()

    def connect(name, agent, **first):
        with socket.create_connection(("127.0.0.1", int(port))) as s:
            s.settimeout(60)
            peers[name] = s.makefile("rw")
        ask(peers[name], {"telepage": 1, "version": 1, "agent": agent, **first})

    for line in sys.stdin:
        name, what = line.split(None, 1)
        if name == "-":
            time.sleep(float(what))
        elif what.strip() == "-":
            peers.pop(name).close()
        elif what[0] == "+":
            lane = name + what.strip()
            connect(lane, name, role="lane", link=tokens[name], lane=int(what))
            print("FAKE a 1", file=peers[lane], flush=True)
        else:
            if name not in peers:
                connect(name, name, role="control")
            answer = ask(peers[name], json.loads(what))
            while '"re"' not in answer and answer:
                answer = peers[name].readline()
            tokens[name] = json.loads(answer or "{}").get("token", tokens.get(name))
            print(name, answer.strip() or "hung up", flush=True)


def vmm(path, out, hush):
    runs = False
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(5)
    while True:
        while os.path.exists(hush):
            time.sleep(0.05)
        f = s.accept()[0].makefile("rw")
        negotiated = False
        try:
            print('{"QMP": {}}', file=f, flush=True)
            for line in f:
                cmd = json.loads(line)
                with open(out, "a", encoding="ascii") as log:
                    log.write(cmd["execute"] + "\n")
                negotiated |= cmd["execute"] == "qmp_capabilities"
                if not negotiated:
                    print(json.dumps({"error": {"desc": "not yet"}, "id": cmd["id"]}), file=f, flush=True)
                    continue
                if cmd["execute"] == "cont" and os.path.exists(hush + ".cont"):
                    print(json.dumps({"error": {"desc": "locked"}, "id": cmd["id"]}), file=f, flush=True)
                    continue
                runs |= cmd["execute"] == "cont"
                ret = {"running": runs, "status": "running" if runs else "paused"}
                print(json.dumps({"return": ret, "id": cmd["id"]}), file=f, flush=True)
                if cmd["execute"] == "quit":
                    os.unlink(path)
                    return
        except ConnectionError:
            pass


def datagrams(path, out):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("\0" + path[1:] if path[0] == "@" else path)
    with open(out, "w", encoding="ascii") as f:
        while True:
            f.write(s.recv(4096).decode() + "\n")
            f.flush()


async def proxy(listen, port, word, when, flag):
    word = word.encode()
    writers = set()
    done = False

    def cut():
        nonlocal done
        done = True
        with open(flag, "w", encoding="ascii"):
            pass
        for w in list(writers):
            w.transport.abort()

    async def pump(r, w, watch):
        try:
            while True:
                data = await r.read(65536)
                if not data:
                    break
                hit = watch and not done and word in data
                if hit and when == "before":
                    cut()
                    return
                w.write(data)
                await w.drain()
                if hit:
                    await asyncio.sleep(0.05)
                    cut()
                    return
            w.write_eof()
        except (ConnectionError, OSError):
            w.transport.abort()

    async def client(r, w):
        if os.path.exists(flag):
            w.transport.abort()
            return
        try:
            r2, w2 = await asyncio.open_connection("127.0.0.1", int(port))
        except OSError:
            w.transport.abort()
            return
        writers.update((w, w2))
        await asyncio.gather(pump(r, w2, True), pump(r2, w, False))
        writers.difference_update((w, w2))
        w.transport.abort()
        w2.transport.abort()

    server = await asyncio.start_server(client, "127.0.0.1", int(listen))
    async with server:
        await server.serve_forever()


def altered(how, state, data):
    """what of data goes on, and is there more after that?"""
    if how == "noplan":
        cut = state["plan"][0]
        state["plan"][0] |= b'"role":"plan"' in data
        return data, not cut
    if how == "old":
        return data.replace(b'"zstd":true', b'"other":1').replace(b'"live":true', b'"other":2'), True
    mark = data.find(b"\x28\xb5\x2f\xfd") if state["is"] and not state["seen"] else -1
    if mark < 0 and not state["seen"]:
        state["is"] |= b'"role":"state"' in data
        return data, True
    state["seen"] = True
    if how == "short":
        return data[:mark + 100], False
    return data[:max(mark, 0)] + b"U" * (len(data) - max(mark, 0)), True


async def alter(listen, port, how):
    async def pump(r, w, state):
        try:
            more = True
            while more and (data := await r.read(65536)):
                data, more = altered(how, state, data)
                w.write(data)
                await w.drain()
            w.write_eof()
            while not more and await r.read(65536):
                pass
        except (ConnectionError, OSError):
            w.transport.abort()

    async def client(r, w):
        try:
            r2, w2 = await asyncio.open_connection("127.0.0.1", int(port))
        except OSError:
            w.transport.abort()
            return
        plan = [False]
        await asyncio.gather(pump(r, w2, {"is": False, "seen": False, "plan": plan}),
                             pump(r2, w, {"is": False, "seen": False, "plan": plan}))
        w.transport.abort()
        w2.transport.abort()

    server = await asyncio.start_server(client, "127.0.0.1", int(listen))
    async with server:
        await server.serve_forever()


if sys.argv[1] == "qmp":
    qmp(*sys.argv[2:])
elif sys.argv[1] == "say":
    say(*sys.argv[2:])
elif sys.argv[1] == "converse":
    converse(*sys.argv[2:])
elif sys.argv[1] == "local":
    local(*sys.argv[2:])
elif sys.argv[1] == "vmm":
    vmm(*sys.argv[2:])
elif sys.argv[1] == "datagrams":
    datagrams(*sys.argv[2:])
elif sys.argv[1] == "alter":
    asyncio.run(alter(*sys.argv[2:]))
else:
    asyncio.run(proxy(*sys.argv[2:]))
