"""An incremental parser of one HTTP/1.1 response."""


class HttpParser:
    """Takes bytes as they arrive; gives status, headers and body."""

    def __init__(self):
        self._unread = b""
        self._state = "head"
        self._status = 0
        self._headers = {}
        self._left = None
        self._body = []
        self._error = 0

    def execute(self, data, length):
        """Consumes `length` bytes; answers fewer if they are no HTTP."""
        self._unread += bytes(data[:length])
        try:
            while self._step():
                pass
        except (ValueError, IndexError):
            self._error = 1
            return 0
        return length

    def get_errno(self):
        return self._error

    def get_status_code(self):
        return self._status

    def get_headers(self):
        return self._headers

    def is_headers_complete(self):
        return self._state != "head"

    def is_chunked(self):
        return self._headers.get("Transfer-Encoding", "").lower() == "chunked"

    def is_partial_body(self):
        return bool(self._body)

    def is_message_complete(self):
        return self._state == "end"

    def recv_body(self):
        body, self._body = b"".join(self._body), []
        return body

    def _step(self):
        return getattr(self, "_" + self._state)()

    def _head(self):
        head, found, rest = self._unread.partition(b"\r\n\r\n")
        if not found:
            return False
        self._unread = rest
        lines = head.decode("latin-1").split("\r\n")
        self._status = int(lines[0].split(" ")[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self._headers[name.strip().title()] = value.strip()
        if self.is_chunked():
            self._state = "size"
        else:
            length = self._headers.get("Content-Length")
            self._left = None if length is None else int(length)
            self._state = "plain"
        return True

    def _plain(self):
        taken = self._take()
        if self._left == 0:
            self._state = "end"
        return taken

    def _size(self):
        line, found, rest = self._unread.partition(b"\r\n")
        if not found:
            return False
        self._unread = rest
        self._left = int(line.split(b";")[0], 16)
        self._state = "chunk" if self._left else "trailer"
        return True

    def _chunk(self):
        if self._left:
            return self._take()
        if len(self._unread) < 2:
            return False
        if not self._unread.startswith(b"\r\n"):
            raise ValueError("a chunk must end with a line break")
        self._unread = self._unread[2:]
        self._state = "size"
        return True

    def _trailer(self):
        line, found, rest = self._unread.partition(b"\r\n")
        if not found:
            return False
        self._unread = rest
        if not line:
            self._state = "end"
        return True

    def _end(self):
        return False

    def _take(self):
        taken = self._unread if self._left is None else self._unread[: self._left]
        self._unread = self._unread[len(taken):]
        if self._left is not None:
            self._left -= len(taken)
        if taken:
            self._body.append(taken)
        return bool(taken)
