"""Export of trained networks to the formats that the SDK runs.

Needs the packages of the extra ``export``.
"""
