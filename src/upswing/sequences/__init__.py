"""Compiled passes over (user, time, code) arrays. Knows numpy and numba, nothing of ours."""
