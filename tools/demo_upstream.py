#!/usr/bin/env python3
"""The service behind the demonstration proxy: answers what it was sent, as JSON.

usage: tools/demo_upstream.py [PORT]

/healthz answers 200, /status/NNN answers that status, every other path answers 200 with the request.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATUS_PATH = re.compile(r"/status/([2-5][0-9][0-9])(?:\?.*)?$")
WITHOUT_BODY = (204, 304)


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo-upstream"
    sys_version = ""
    # One write an answer: two small ones would wait for each other's acknowledgement.
    wbufsize = -1

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return len(self.rfile.read(int(self.headers.get("content-length") or 0)))
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return total

    def answer(self):
        status = STATUS_PATH.match(self.path)
        status = int(status[1]) if status else 200
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        document = {"method": self.command, "path": self.path, "headers": headers, "body_bytes": self.read_body()}
        body = json.dumps({"status": "ok"} if self.path == "/healthz" else document, indent=2).encode() + b"\n"
        self.send_response(status)
        if status not in WITHOUT_BODY:
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status not in WITHOUT_BODY and self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
    try:
        Server(("127.0.0.1", port), Upstream).serve_forever()
    except KeyboardInterrupt:
        pass
