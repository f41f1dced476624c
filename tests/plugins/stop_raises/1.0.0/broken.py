from hookspecs import hookimpl


class Broken:
    @hookimpl
    def stop(self) -> None:
        raise ValueError("cannot let go")

    def ping(self) -> str:
        return "pong"
