"""The demo room: a simulated bookkeeping app whose truths are known.

`simulate` makes the events, `truths` says what was planted in them, `model` holds every parameter of the generator.
"""
