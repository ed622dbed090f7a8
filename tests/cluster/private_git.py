"""A git server over HTTP that gives its repositories to who has the token: a pod runs this file.

``python3 private_git.py FOLDER TOKEN PORT``; git itself answers, by its CGI program.
"""

import base64
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Handler(BaseHTTPRequestHandler):
    """Hands a request to ``git http-backend``, or asks for the password."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        pair = base64.b64encode(f"x-access-token:{sys.argv[2]}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        done = subprocess.run(["git", "http-backend"], input=body, env=self._cgi(), capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _cgi(self) -> dict[str, str]:
        address = urlsplit(self.path)
        return {
            **os.environ,
            "GIT_PROJECT_ROOT": sys.argv[1],
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[3])), Handler).serve_forever()
