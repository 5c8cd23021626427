"""What requests ask of a new version besides its bytes, and what answers say of a version."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3.lifecycle_headers import abort_headers, expiration_header
from stratum.adapters.s3.xml_object_lock import asked_protection, protection_headers
from stratum.adapters.s3.xml_tagging import object_tags
from stratum.adapters.web.messages import S3Request
from stratum.domain.attributes import VersionAttributes
from stratum.domain.catalog import Bucket
from stratum.domain.lifecycle_schedule import abortion_of, expiration_of
from stratum.domain.object_lock import UNPROTECTED
from stratum.domain.volume import NULL_VERSION, ObjectVersion, Upload


def asked_attributes(request: S3Request, tags: dict[str, str] | None = None) -> VersionAttributes:
    """The attributes of the version to be; `tags` replace those of the headers.

    Raises InvalidArgument, InvalidTag and what `Guard.new_attributes` raises.
    """
    headers = request.head.headers
    own_tags = object_tags(headers) if tags is None else tags
    born = request.new_attributes()
    if own_tags:
        born = replace(born, tags=own_tags)
    protection = asked_protection(headers)
    return born if protection is UNPROTECTED else born.protected(protection)


def version_header(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    """x-amz-version-id, where versioning was ever switched on: only then do clients hear of it."""
    if bucket.settings.versioning is None:
        return {}
    return {"x-amz-version-id": version.version_id}


def new_version_header(version: ObjectVersion) -> dict[str, str]:
    """The id of a version just written. Amazon S3 does not name the `null` version here, not even
    where versioning is suspended; in answers to reads it does."""
    return {} if version.version_id == NULL_VERSION else {"x-amz-version-id": version.version_id}


def expires_header(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    """x-amz-expiration, if a lifecycle rule of the bucket says so."""
    lifecycle = bucket.settings.lifecycle
    if lifecycle is None:
        return {}
    tags = version.attributes.tags
    at_ms = version.modified_at_ms
    return expiration_header(expiration_of(lifecycle, version.key, version.size_bytes, tags, at_ms))


def aborts_headers(bucket: Bucket, upload: Upload) -> dict[str, str]:
    """x-amz-abort-date and x-amz-abort-rule-id of an upload, if a lifecycle rule says so."""
    lifecycle = bucket.settings.lifecycle
    if lifecycle is None:
        return {}
    return abort_headers(abortion_of(lifecycle, upload.key, upload.started_at_ms))


def attribute_headers(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    """What GET and HEAD say of a version's attributes."""
    tags = version.attributes.tags
    return {
        **({"x-amz-tagging-count": str(len(tags))} if tags else {}),
        **protection_headers(version.attributes.protection),
        **expires_header(bucket, version),
    }
