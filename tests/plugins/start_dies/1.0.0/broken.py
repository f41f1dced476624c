import os

from hookspecs import Context, hookimpl


class Broken:
    @hookimpl
    def start(self, context: Context) -> None:
        os._exit(9)
