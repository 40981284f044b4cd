"""Training and measuring of our five-point face detector.

It speaks the output layout of YuNet (see `layout`), so one decoder serves both; architecture and weights are our own.
"""
