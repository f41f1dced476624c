print("about to break")
raise RuntimeError("no such table: users")
