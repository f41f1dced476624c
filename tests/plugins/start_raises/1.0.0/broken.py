from hookspecs import Context, hookimpl


class Broken:
    @hookimpl
    def start(self, context: Context) -> None:
        raise ValueError("port 80 is taken")

    @hookimpl
    def stop(self) -> None:
        print("stopped without a start", flush=True)
