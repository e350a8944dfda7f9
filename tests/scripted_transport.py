"""A transport that answers from a list: each request takes the next answer, errors are raised."""

import contextlib

from gpuyard.kube.client import Client


class Scripted:
    """The answers still to give, and the requests that came."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.is_closed = False

    @contextlib.asynccontextmanager
    async def open(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        yield answer

    async def close(self):
        self.is_closed = True


class Said:
    """An answer: status, body in pieces, headers; an exception among the pieces breaks it off."""

    def __init__(self, status, *pieces, **headers):
        self.status = status
        self.headers = {name.replace("_", "-").title(): value for name, value in headers.items()}
        self._pieces = pieces

    async def chunks(self):
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


def scripted_client(*answers, **how):
    """Return a client over scripted answers, and the list of its pauses in seconds."""
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)

    transport = Scripted(*answers)
    client = Client(transport, server="https://api", pause=pause, chance=lambda: 1.0, **how)
    return client, pauses
