"""Upgrades: what an operator asks for, made of swaps."""
