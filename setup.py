"""What pyproject.toml cannot say: the bundled plugins, and an optional extension."""

from setuptools import Extension, find_packages, setup

setup(
    packages=[
        *find_packages(include=["hookspecs", "hookspecs.*", "noodle_host", "noodle_host.*"]),
        # The folder of plugins is data: its versions are not packages.
        "noodle_host.bundled",
    ],
    package_dir={"noodle_host.bundled": "plugins"},
    package_data={
        "hookspecs": ["py.typed"],
        "noodle_host": ["py.typed", "router/_lane.pyi"],
        "noodle_host.bundled": ["*/*/component.toml", "*/*/**/*.py"],
    },
    # Without a compiler the package works, slower.
    ext_modules=[
        Extension(
            "noodle_host.router._lane",
            ["noodle_host/router/_lane.c"],
            extra_compile_args=["-O2", "-std=c11", "-Wall"],
            optional=True,
        )
    ],
)
