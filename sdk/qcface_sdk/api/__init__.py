"""REST API and web console over one engine and one gallery; needs ``pip install 'qcface-sdk[server]'``.

`create_app` makes the ASGI application, `ApiServer` serves it. Nothing here decides anything: pictures go to the
engine and the gallery, and what they answer is passed on.
"""

from qcface_sdk.api.keys import ApiKey, KeyFile, Role
from qcface_sdk.api.settings import ApiSettings, TlsFiles

__all__ = ["ApiKey", "ApiSettings", "KeyFile", "Role", "TlsFiles"]
