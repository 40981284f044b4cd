"""People and their templates: enrol, identify (1:N), remove, and keep in order.

`Gallery.open` gives an `EmbeddedGallery`, one encrypted file searched in memory, or a `MilvusGallery`, a collection of
a vector server; `sync` keeps the one like the other.
"""

from qcface_sdk.gallery.embedded import EmbeddedGallery
from qcface_sdk.gallery.gallery import Gallery
from qcface_sdk.gallery.judgement import EnrolmentIssue
from qcface_sdk.gallery.migration import Reenrolled, migrate, reenroll
from qcface_sdk.gallery.milvus import MilvusGallery
from qcface_sdk.gallery.moving import Imported
from qcface_sdk.gallery.records import AuditEntry, Enrolment, Removal, Statistics, SubjectReport
from qcface_sdk.gallery.restoring import Restored, restore
from qcface_sdk.gallery.review import Review
from qcface_sdk.gallery.reviewing import review
from qcface_sdk.gallery.sync import Synced, sync

__all__ = [
    "AuditEntry",
    "EmbeddedGallery",
    "Enrolment",
    "EnrolmentIssue",
    "Gallery",
    "Imported",
    "MilvusGallery",
    "Reenrolled",
    "Removal",
    "Restored",
    "Review",
    "Statistics",
    "SubjectReport",
    "Synced",
    "migrate",
    "reenroll",
    "restore",
    "review",
    "sync",
]
