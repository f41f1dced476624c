"""A host under load in a process of its own: ``python -m harness.hosting PLUGINS VERSION``.

It prints a line of JSON once everything is called, ``{component: process id}``, goes on
until its standard input ends, and then prints the violations as a second line. With two
more arguments, COMPONENT and STEP, it swaps that component to 2.0.0 when a line comes in,
keeping the old version if STEP is ``bake``, and kills itself when the swap is at STEP.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from harness.checker import violations
from harness.load import COMPONENTS, Load, final_state

from noodle_host import Host, HostConfig
from noodle_host.supervise.swap import SwapEvent


def main(plugins: str, version: str, component: str = "", step: str = "") -> None:
    with Host(plugins, config=HostConfig(stop_timeout_s=2.0)) as host:
        host.start_all(dict.fromkeys(COMPONENTS, version))
        load = Load(host)
        with load.running():
            load.wait_for(200)
            pids = {
                info.name: seat.worker.pid
                for info in host.components()
                for seat in info.seats
                if seat.worker is not None
            }
            sys.stdout.write(json.dumps(pids) + "\n")
            sys.stdout.flush()
            if component:
                sys.stdin.readline()
                _die_swapping(host, component, step)
            sys.stdin.read()
        found = violations(load.stop(), final_state(host))
        sys.stdout.write(json.dumps(found) + "\n")


def _die_swapping(host: Host, component: str, step: str) -> None:
    def on_event(event: SwapEvent) -> None:
        if event.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    host.swap(component, ">=2", bake=step == "bake", on_event=on_event)


if __name__ == "__main__":
    main(*sys.argv[1:])
