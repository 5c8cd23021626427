"""Handlers for restores, and what answers say of a version's storage class."""

from __future__ import annotations

from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.s3.xml_restore import parse_restore, restore_header
from stratum.adapters.web.messages import S3Request, S3Response
from stratum.adapters.web.payloads import document
from stratum.app.storage_classes import StorageClasses
from stratum.domain.storage_class import STANDARD, shown_class
from stratum.domain.volume import ObjectVersion

STORAGE_CLASS_HEADER = "x-amz-storage-class"


class RestoreHandlers:
    def __init__(self, classes: StorageClasses) -> None:
        self._classes = classes

    async def restore(self, request: S3Request) -> S3Response:
        """202 if it begins, 200 if only the days are others."""
        days = parse_restore(await document(request, XML_LENGTH_MAX_BYTES))
        begins = await self._classes.restore(
            request.caller, request.bucket, request.key, request.version_id, days
        )
        return S3Response(202 if begins else 200)


def class_headers(classes: StorageClasses, version: ObjectVersion) -> dict[str, str]:
    """What GET and HEAD say: the class, but for STANDARD, as Amazon does; and of a restore."""
    headers = {}
    shown = shown_class(version.attributes.storage_class, version.tier)
    if shown != STANDARD:
        headers[STORAGE_CLASS_HEADER] = shown
    restored = classes.restored(version)
    if restored is not None:
        headers["x-amz-restore"] = restore_header(restored.ongoing, restored.until_ms)
    return headers
