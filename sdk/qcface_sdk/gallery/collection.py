"""One collection of a Milvus server: what its rows are, and every request that reads or writes them.

A request that fails is sent again a limited number of times; all of them may be repeated without harm.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import BackendUnavailableError, GalleryUnreachableError
from qcface_sdk.gallery.address import Address

_log = logging.getLogger("qcface_sdk")
_Answer = TypeVar("_Answer")

MOST_ROWS = 16_384
"""Most rows of one answer, a limit of Milvus."""

_PAGE = 1000
_FIRST_PAUSE_S = 0.1
_NEVER = -1.0
_FIELDS = ("uid", "person", "subject", "contract", "magnitude", "count", "created", "enrolled", "quality", "expires")
_INSTALL = 'a vector server needs pymilvus: pip install "qcface-sdk[milvus]"'


class Collection:
    """The requests. Thread-safe, as pymilvus' client is."""

    def __init__(self, address: Address, *, token: str, timeout: float, retries: int, index: str) -> None:
        self.address = address
        self._token, self._timeout, self._retries, self._index = token, timeout, retries, index
        self._client: Any = None

    def ask(self, request: Callable[[Any], _Answer]) -> _Answer:
        """Send a request, again after a pause if it fails.

        Raises
        ------
        GalleryUnreachableError
            If it failed as often as is allowed.
        BackendUnavailableError
            If pymilvus is not installed.
        """
        pause = _FIRST_PAUSE_S
        for attempt in range(self._retries + 1):
            try:
                return request(self._connected())
            except BackendUnavailableError:
                raise
            except Exception as error:  # pymilvus lets errors of grpc, of sockets and its own through
                self._drop()
                if attempt == self._retries:
                    raise GalleryUnreachableError(
                        f"{self.address.text} did not answer in {attempt + 1} tries ({_first_line(error)}); check the "
                        "server and the network. Nobody is let in meanwhile, unless a fallback is configured"
                    ) from error
                _log.warning("%s: %s; trying again in %.1f s", self.address.text, _first_line(error), pause)
                time.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")

    def _connected(self) -> Any:
        if self._client is None:
            try:
                from pymilvus import MilvusClient
            except ImportError as error:
                raise BackendUnavailableError(_INSTALL) from error
            self._client = MilvusClient(self.address.uri, token=self._token, timeout=self._timeout)
        return self._client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except Exception:  # noqa: BLE001 - it is given up either way
                _log.debug("closing a broken connection failed", exc_info=True)

    def exists(self) -> bool:
        """Whether the collection is there."""
        return self.ask(lambda client: bool(client.has_collection(self.address.collection, timeout=self._timeout)))

    def create(self, dimension: int) -> None:
        """Make the collection unless another client was faster."""

        def request(client: Any) -> None:
            from pymilvus import DataType

            if client.has_collection(self.address.collection, timeout=self._timeout):
                return
            schema = client.create_schema(auto_id=False, description="people of a QCFace gallery")
            schema.add_field("uid", DataType.VARCHAR, is_primary=True, max_length=64)
            for name, length in (("person", 64), ("subject", 1024), ("contract", 128), ("consent", 4000)):
                schema.add_field(name, DataType.VARCHAR, max_length=length)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            for name in ("magnitude", "created", "quality", "expires"):
                schema.add_field(name, DataType.DOUBLE)
            for name in ("count", "enrolled"):
                schema.add_field(name, DataType.INT64)
            indices = client.prepare_index_params()
            indices.add_index("vector", index_type=self._index, metric_type="IP")
            client.create_collection(
                self.address.collection,
                schema=schema,
                index_params=indices,
                # A person removed or enrolled must show in the next search, whoever asks.
                consistency_level="Strong",
                timeout=self._timeout,
            )

        self.ask(request)

    def put(self, row: Mapping[str, Any]) -> None:
        """Write one row; the same `uid` again replaces it, so that a lost answer may be asked for again."""
        self.ask(lambda client: client.upsert(self.address.collection, [dict(row)], timeout=self._timeout))

    def delete_person(self, subject: str) -> None:
        """Delete the rows of a subject."""
        condition = f'person == "{person_of(subject)}"'
        self.ask(lambda client: client.delete(self.address.collection, filter=condition, timeout=self._timeout))

    def count(self) -> int:
        """Return the number of rows."""
        found = self._query("", ["count(*)"])
        return int(found[0]["count(*)"])

    def nearest(self, vectors: Sequence[NDArray[np.float32]], limit: int, now: float) -> list[list[dict[str, Any]]]:
        """Return the nearest rows of people whose time is not over, for each vector."""
        found = self.ask(
            lambda client: client.search(
                self.address.collection,
                data=[vector.tolist() for vector in vectors],
                anns_field="vector",
                limit=limit,
                filter=f"expires < 0 or expires > {now!r}",
                output_fields=["subject", "contract", "vector", "enrolled", "count"],
                search_params={"metric_type": "IP"},
                consistency_level="Strong",
                timeout=self._timeout,
            )
        )
        return [[dict(hit["entity"]) for hit in hits] for hits in found]

    def of_person(self, subject: str) -> list[dict[str, Any]]:
        """Return the rows of a subject, oldest first."""
        rows = self._query(f'person == "{person_of(subject)}"', [*_FIELDS, "consent", "vector"], limit=MOST_ROWS)
        return sorted(rows, key=lambda row: int(row["enrolled"]))

    def by_uid(self, uids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows with these uids."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(uids), _PAGE):
            listed = json.dumps(list(uids[start : start + _PAGE]))
            found += self._query(f"uid in {listed}", [*_FIELDS, "consent", "vector"], limit=MOST_ROWS)
        return found

    def any_row(self) -> dict[str, Any] | None:
        """Return one row, or ``None`` of an empty collection."""
        found = self._query('uid != ""', ["contract", "vector"], limit=1)
        return found[0] if found else None

    def listing(self, fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return some fields of every row; all pages, or an error."""

        def request(client: Any) -> list[dict[str, Any]]:
            return list(_pages(client, self.address.collection, list(fields), self._timeout))

        return self.ask(request)

    def _query(self, condition: str, fields: list[str], limit: int | None = None) -> list[dict[str, Any]]:
        options = {} if limit is None else {"limit": limit}
        found = self.ask(
            lambda client: client.query(
                self.address.collection,
                filter=condition,
                output_fields=fields,
                consistency_level="Strong",
                timeout=self._timeout,
                **options,
            )
        )
        return [dict(row) for row in found]

    def close(self) -> None:
        """Close the connection. Harmless when repeated."""
        self._drop()


def person_of(subject: str) -> str:
    """Return what a subject is filtered by: free of quotes and of one length."""
    return hashlib.sha256(subject.encode("utf-8")).hexdigest()


def end_of(expires: float | None) -> float:
    """Return an end as it is stored."""
    return _NEVER if expires is None else expires


def _pages(client: Any, collection: str, fields: list[str], timeout: float) -> Iterator[dict[str, Any]]:
    pages = client.query_iterator(
        collection, batch_size=_PAGE, filter="", output_fields=fields, consistency_level="Strong", timeout=timeout
    )
    try:
        while page := pages.next():
            yield from (dict(row) for row in page)
    finally:
        pages.close()


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
