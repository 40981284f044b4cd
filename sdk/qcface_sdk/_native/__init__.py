"""Modules compiled from native/: alignment, detector input and output, gallery search. Private, checks nothing.

Arguments are checked by the Python functions that call these (`qcface_sdk.checks`). Every function releases the GIL
and writes into arrays its caller owns, so one array must not be written by two threads at once; nothing else is shared.

The instruction set is chosen when a function is first called; the environment variable ``QCFACE_SIMD`` forces one, and
importing a module raises ImportError if this processor does not have it.
"""
