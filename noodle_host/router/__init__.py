"""The data plane: lanes in shared memory, channels, slabs, bells, routes, calls.

Imports nothing of noodle_host but its errors: host and workers share it.
"""
