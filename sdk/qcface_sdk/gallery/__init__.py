"""People and their templates in one file: enrol, identify (1:N), remove, list.

The file is an SQLite database and the only record of what is enrolled; what a search scans in memory is read from it
and can be thrown away at any time.
"""

from qcface_sdk.gallery.gallery import Gallery
from qcface_sdk.gallery.store import Enrolment

__all__ = ["Enrolment", "Gallery"]
