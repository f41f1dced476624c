"""What runs in the child: loading a plugin, serving its seat, its way out."""
