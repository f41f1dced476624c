"""Ways to send bytes to another process and have them back, behind one protocol."""
