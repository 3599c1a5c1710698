"""A service with a token endpoint, and an API that takes only its present token: a real peer over sockets."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any
from urllib.parse import parse_qs, unquote

from tidings.testing import Reaction, Receiver
from tidings.testing.receiver import Received

JSON = {"Content-Type": "application/json"}


class Service:
    """Answers `/token` and everything below `/api` by the state of its tokens."""

    def __init__(self, peer: Receiver, *, lives_seconds: int | None = 3600, rotates: bool = False) -> None:
        self.peer, self.lives_seconds, self.rotates = peer, lives_seconds, rotates
        self.lock = threading.Lock()
        self.made = 0
        self.refresh = "refresh-0"
        self.valid = ""
        self.asked: list[dict[str, str]] = []
        self.wrong: Reaction | None = None
        """What the token endpoint answers instead of a token."""
        peer.answer_by(self.react)

    def expire(self) -> None:
        """The present token is no longer accepted."""
        with self.lock:
            self.valid = "none"

    def react(self, got: Received) -> Reaction | int:
        """The answer to a request."""
        if got.path.startswith("/token"):
            return self.token(got)
        with self.lock:
            accepted = got.headers.get("authorization") == f"Bearer {self.valid}" or self.valid in got.body.decode()
        return 204 if accepted and self.valid else 401

    def token(self, got: Received) -> Reaction:
        """A token, or why there is none."""
        form = {name: values[0] for name, values in parse_qs(got.body.decode()).items()}
        if got.headers.get("authorization", "").startswith("Basic "):
            pair = base64.b64decode(got.headers["authorization"][6:]).decode().split(":")
            form |= {"basic_id": unquote(pair[0]), "basic_secret": unquote(pair[1])}
        with self.lock:
            self.asked.append(form)
            if self.wrong is not None:
                return self.wrong
            if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
                return answer(400, {"error": "invalid_grant", "error_description": "used before"})
            self.made += 1
            self.valid = f"token-{self.made}"
            body: dict[str, Any] = {"access_token": self.valid, "token_type": "Bearer"}
            if self.lives_seconds is not None:
                body["expires_in"] = self.lives_seconds
            if self.rotates:
                self.refresh = f"refresh-{self.made}"
                body["refresh_token"] = self.refresh
        return answer(200, body)


def answer(status: int, body: Any) -> Reaction:
    """A JSON answer."""
    return Reaction(status=status, body=json.dumps(body).encode(), headers=JSON)
