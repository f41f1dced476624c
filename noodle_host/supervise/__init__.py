"""Starting, watching, settling and restarting workers; all on one thread."""
