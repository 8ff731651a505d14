#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who an agent talks to, as slow and as unwilling as a test wants it.

  agent_stub.py qmp DIR SOCKET FILE SIZE   a QEMU whose RAM is FILE
  agent_stub.py peer DIR PORT              the agent of a destination

DIR/log gets a line for each command that was carried out, DIR/vm is what the VM does.
These files say what happens otherwise:

  DIR/hold.COMMAND     its answer waits until this is gone. QEMU does nothing else
                       meanwhile; the peer does, and an abort ends the waiting
  DIR/refuse.COMMAND   it is refused, with what is in there: words, of a peer JSON
  DIR/hold.migrated    device state is not through before this is gone
  DIR/hmp.WORD         what QEMU tells people who ask for "info WORD", WORD.stopped when it is
  DIR/start            what the VM does at first, else running
  DIR/busy             QEMU has another client
  DIR/state            what the peer says of the move when asked, else unknown
  DIR/complete         all pages are there

DIR/warm has a line of JSON for each list of pages that the peer was told, DIR/prepare what it
was asked to prepare, the last time.
DIR/got is the device state that came to the peer, as it came.
"""
import json
import os
import select
import socket
import sys
import threading
import time

where = sys.argv[2]


def path(name):
    return os.path.join(where, name)


def there(name):
    return os.path.exists(path(name))


def read(name):
    with open(path(name), encoding="utf-8") as f:
        return f.read().strip()


def wait_while(name, more=lambda: True):
    while there(name) and more():
        time.sleep(0.02)


def log(what):
    with open(path("log"), "a", encoding="ascii") as f:
        f.write(what + "\n")


def gone(s):
    """the client has closed, whatever of its lines is still unread"""
    p = select.poll()
    p.register(s, select.POLLHUP)
    return bool(p.poll(0))


class Writer:
    def __init__(self, s):
        self.s = s
        self.lock = threading.Lock()

    def __call__(self, obj):
        with self.lock:
            try:
                self.s.sendall(json.dumps(obj).encode() + b"\n")
            except OSError:
                pass


class Qemu:
    def __init__(self, ram, size):
        self.ram, self.size = ram, int(size)
        self.status = "running"
        self.migration = None
        self.set(read("start") if there("start") else "running")

    def set(self, status):
        self.status = status
        with open(path("vm.new"), "w", encoding="ascii") as f:
            f.write(status + "\n")
        os.rename(path("vm.new"), path("vm"))

    def migrate(self, say, uri):
        def event(status):
            self.migration = status
            say({"event": "MIGRATION", "data": {"status": status}})

        wait_while("hold.migrated", lambda: self.migration == "active")
        if self.migration != "active":
            event("cancelled")
            return
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(uri.removeprefix("unix:"))
            s.sendall(b"state" * 1000)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            event("failed")
            return
        self.set("postmigrate")
        event("completed")
        s.recv(1)

    def do(self, say, cmd, args):
        if cmd == "query-status":
            return {"running": self.status == "running", "status": self.status}
        if cmd == "qom-list":
            return [{"name": "ram0", "type": "child<memory-backend-file>"}]
        if cmd == "qom-get":
            return {"type": "pc", "mem-path": self.ram, "share": True,
                    "size": self.size}[args["property"]]
        if cmd == "query-migrate":
            return {"status": self.migration} if self.migration else {}
        if cmd == "human-monitor-command":
            word = "hmp." + args["command-line"].split()[1]
            stopped = word + ".stopped"
            word = stopped if self.status != "running" and there(stopped) else word
            return read(word) + "\n" if there(word) else {}
        if cmd == "stop" and self.status == "running":
            self.set("paused")
        if cmd == "cont":
            self.set("running")
        if cmd == "migrate":
            self.migration = "active"
            threading.Thread(target=self.migrate, args=(say, args["uri"]), daemon=True).start()
        if cmd == "migrate_cancel" and self.migration == "active":
            self.migration = "cancelling"
        if cmd == "quit":
            os._exit(0)
        return {}

    def client(self, s):
        say = Writer(s)
        wait_while("busy", lambda: not gone(s))
        say({"QMP": {}})
        for line in s.makefile("r"):
            if gone(s):
                return      # as QEMU: what it has not read is lost
            m = json.loads(line)
            cmd = m["execute"]
            if there("refuse." + cmd):
                log(cmd + " refused")
                say({"error": {"desc": read("refuse." + cmd)}, "id": m.get("id")})
                continue
            log(cmd)
            wait_while("hold." + cmd)
            ret = self.do(say, cmd, m.get("arguments"))
            say({"return": ret, "id": m.get("id")})

    def serve(self, at):
        listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(at):
            os.unlink(at)
        listener.bind(at)
        listener.listen(5)
        while True:
            s, _ = listener.accept()
            try:
                self.client(s)
            except OSError:
                pass
            s.close()


ANSWERS = {
    "prepare": {"token": "c" * 32, "regions": ["vm0"]},
    "commit": {"state": "running"},
    "abort": {"state": "aborted"},
}


class Control:
    """one control connection"""

    def __init__(self, s, lines):
        self.say = Writer(s)
        self.held = []
        self.lock = threading.Lock()
        self.move = None
        for line in lines:
            self.request(json.loads(line))

    def release(self, entry=None):
        with self.lock:
            now = [e for e in self.held if entry in (None, e)]
            self.held = [e for e in self.held if e not in now]
        for e in now:
            self.say(e)

    def later(self, op, answer):
        wait_while("hold." + op)
        self.release(answer)

    def completed(self):
        while not there("complete"):
            time.sleep(0.02)
        self.say({"op": "complete", "move": self.move, "counters": {
            "total": 256, "absent": 0, "zero": 256, "demand": 0, "push": 0, "rx_bytes": 0}})

    def request(self, m):
        op = m["op"]
        log(op)
        if op == "prepare":
            with open(path("prepare"), "w", encoding="ascii") as f:
                json.dump(m, f)
        if op == "warm":
            with open(path("warm"), "a", encoding="ascii") as f:
                f.write(json.dumps(m) + "\n")
            # the one that is to be waited for goes by another name in these files
            op = "warm.wait" if m["wait"] else op
        answer = dict(ANSWERS.get(op, {}))
        if op == "status":
            answer["state"] = read("state") if there("state") else "unknown"
        if there("refuse." + op):
            answer = json.loads(read("refuse." + op))
        answer["re"] = m["id"]
        self.move = m.get("move")
        if op == "abort":
            self.release()
        if there("hold." + op):
            with self.lock:
                self.held.append(answer)
            threading.Thread(target=self.later, args=(op, answer), daemon=True).start()
            return
        self.say(answer)
        if answer.get("state") == "running":
            threading.Thread(target=self.completed, daemon=True).start()


def swallow_state(f, n):
    while n:
        block = f.read(min(1024, n))
        if not block:
            return
        n = 0 if block[0] else n - len(block)


def connection(s):
    f = s.makefile("rb")
    hello = json.loads(f.readline())
    s.sendall(b'{"telepage":1,"version":1,"ok":true}\n')
    if hello["role"] == "control":
        Control(s, f)
    elif hello["role"] == "plan":
        # takes what comes, and says nothing
        while f.read1(65536):
            pass
        log("plan cut")
    elif hello["role"] == "lane":
        s.sendall(b"FAKE b 1\n")
        f.read()
    else:
        swallow_state(f, hello["warm"])
        s.sendall(b".")
        with open(path("got"), "wb") as out:
            out.write(f.read())
        s.shutdown(socket.SHUT_WR)


def guarded(s):
    try:
        connection(s)
    except (OSError, ValueError):
        pass            # it may say nothing at all
    s.close()


def peer(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(20)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=guarded, args=(s,), daemon=True).start()


if sys.argv[1] == "qmp":
    Qemu(*sys.argv[4:]).serve(sys.argv[3])
else:
    peer(sys.argv[3])
