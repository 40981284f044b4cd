"""Measure speed: the stages of the engine, and the native kernels beside what one would use without them."""
