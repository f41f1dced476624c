class Orphan:
    def ping(self) -> int:
        return 1
