"""The command noodle-host. Needs the extra ``cli``: click and rich."""
