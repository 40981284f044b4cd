"""The service behind `qcface run`: doors, events, metrics and the API, from one configuration file.

`load_config` reads and checks the file, `Service` runs it.
"""

from qcface_sdk.service.config import ServiceConfig
from qcface_sdk.service.loader import load_config
from qcface_sdk.service.service import Service

__all__ = ["Service", "ServiceConfig", "load_config"]
