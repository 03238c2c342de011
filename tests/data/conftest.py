"""Hypothesis without a time limit for each example: how fast a machine is says nothing here."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
