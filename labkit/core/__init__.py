"""Foundations: what every subject of the course stands on."""
