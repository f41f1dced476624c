# The interface is that of the specification in Python.
from .bell import Sleeper as Sleeper
from .bell import fence as fence
from .lane import LaneMemory as LaneMemory
from .lane import LaneReader as LaneReader
from .lane import LaneWriter as LaneWriter
