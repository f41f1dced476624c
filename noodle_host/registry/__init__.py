"""Which components exist: manifests, the plugin path, requirements.

Modules are imported one by one: a worker needs the manifest and nothing else.
"""
