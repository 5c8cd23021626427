"""Which operations are built: the one table everything else asks."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.s3.operations import Operation
from stratum.adapters.web.absent_handlers import absent_handlers
from stratum.adapters.web.access_handlers import AccessHandlers
from stratum.adapters.web.bucket_handlers import BucketHandlers
from stratum.adapters.web.cors_handlers import CorsHandlers
from stratum.adapters.web.delivery_handlers import DeliveryHandlers
from stratum.adapters.web.encryption_handlers import EncryptionHandlers
from stratum.adapters.web.front import Handler
from stratum.adapters.web.lifecycle_handlers import LifecycleHandlers
from stratum.adapters.web.lock_handlers import LockHandlers
from stratum.adapters.web.object_handlers import ObjectHandlers
from stratum.adapters.web.post_handlers import FormSigners, PostHandlers
from stratum.adapters.web.restore_handlers import RestoreHandlers
from stratum.adapters.web.tagging_handlers import TaggingHandlers
from stratum.adapters.web.upload_handlers import UploadHandlers
from stratum.adapters.web.website_handlers import WebsiteHandlers
from stratum.app.buckets import Buckets
from stratum.app.lifecycle import LifecycleWorker
from stratum.app.locks import Locks
from stratum.app.notifications import Notifications
from stratum.app.objects import Objects
from stratum.app.storage_classes import StorageClasses
from stratum.app.uploads import Uploads


def handler_table(
    buckets: Buckets,
    objects: Objects,
    uploads: Uploads,
    signers: FormSigners,
    notifications: Notifications,
    locks: Locks,
    lifecycle: LifecycleWorker,
    classes: StorageClasses,
) -> Mapping[Operation, Handler]:
    """Operation to handler; an operation that isn't here answers 501 NotImplemented."""
    return {
        **_storing(buckets, objects, uploads, signers, classes),
        **_configuring(buckets, objects, notifications),
        **absent_handlers(buckets),
        **_properties(
            TaggingHandlers(buckets, objects),
            LockHandlers(buckets, objects, locks),
            LifecycleHandlers(buckets, lifecycle),
        ),
    }


def _storing(
    buckets: Buckets,
    objects: Objects,
    uploads: Uploads,
    signers: FormSigners,
    classes: StorageClasses,
) -> dict[Operation, Handler]:
    of_buckets = BucketHandlers(buckets, objects)
    of_objects = ObjectHandlers(buckets, objects, classes)
    of_uploads = UploadHandlers(buckets, objects, uploads, classes)
    of_forms = PostHandlers(of_objects, signers)
    return {
        Operation.LIST_BUCKETS: of_buckets.list_buckets,
        Operation.CREATE_BUCKET: of_buckets.create,
        Operation.HEAD_BUCKET: of_buckets.head,
        Operation.DELETE_BUCKET: of_buckets.delete,
        Operation.GET_BUCKET_LOCATION: of_buckets.location,
        Operation.GET_BUCKET_VERSIONING: of_buckets.versioning,
        Operation.PUT_BUCKET_VERSIONING: of_buckets.put_versioning,
        Operation.LIST_OBJECT_VERSIONS: of_buckets.list_versions,
        Operation.LIST_OBJECTS: of_buckets.list_objects,
        Operation.LIST_OBJECTS_V2: of_buckets.list_objects,
        Operation.GET_OBJECT: of_objects.get,
        Operation.HEAD_OBJECT: of_objects.head,
        Operation.GET_OBJECT_ATTRIBUTES: of_objects.attributes,
        Operation.PUT_OBJECT: of_objects.put,
        Operation.COPY_OBJECT: of_objects.copy,
        Operation.DELETE_OBJECT: of_objects.delete,
        Operation.DELETE_OBJECTS: of_objects.delete_many,
        Operation.CREATE_MULTIPART_UPLOAD: of_uploads.create,
        Operation.UPLOAD_PART: of_uploads.put_part,
        Operation.UPLOAD_PART_COPY: of_uploads.copy_part,
        Operation.COMPLETE_MULTIPART_UPLOAD: of_uploads.complete,
        Operation.ABORT_MULTIPART_UPLOAD: of_uploads.abort,
        Operation.LIST_PARTS: of_uploads.list_parts,
        Operation.LIST_MULTIPART_UPLOADS: of_uploads.list,
        Operation.RESTORE_OBJECT: RestoreHandlers(classes).restore,
        Operation.POST_OBJECT: of_forms.post,
    }


def _configuring(
    buckets: Buckets, objects: Objects, notifications: Notifications
) -> dict[Operation, Handler]:
    """Sub-resources of buckets and objects, and preflights, which ask what one of them says."""
    of_access = AccessHandlers(buckets, objects)
    of_cors = CorsHandlers(buckets)
    of_deliveries = DeliveryHandlers(buckets, notifications)
    of_encryption = EncryptionHandlers(buckets, objects)
    of_websites = WebsiteHandlers(buckets)
    return {
        Operation.GET_BUCKET_ENCRYPTION: of_encryption.get,
        Operation.PUT_BUCKET_ENCRYPTION: of_encryption.put,
        Operation.DELETE_BUCKET_ENCRYPTION: of_encryption.delete,
        Operation.UPDATE_OBJECT_ENCRYPTION: of_encryption.update_object,
        Operation.GET_BUCKET_CORS: of_cors.get,
        Operation.PUT_BUCKET_CORS: of_cors.put,
        Operation.DELETE_BUCKET_CORS: of_cors.delete,
        Operation.PREFLIGHT_REQUEST: of_cors.preflight,
        Operation.GET_BUCKET_LOGGING: of_deliveries.get_logging,
        Operation.PUT_BUCKET_LOGGING: of_deliveries.put_logging,
        Operation.GET_BUCKET_NOTIFICATION_CONFIGURATION: of_deliveries.get_notification,
        Operation.PUT_BUCKET_NOTIFICATION_CONFIGURATION: of_deliveries.put_notification,
        Operation.GET_BUCKET_WEBSITE: of_websites.get_website,
        Operation.PUT_BUCKET_WEBSITE: of_websites.put_website,
        Operation.DELETE_BUCKET_WEBSITE: of_websites.delete_website,
        Operation.GET_BUCKET_REQUEST_PAYMENT: of_websites.get_payment,
        Operation.PUT_BUCKET_REQUEST_PAYMENT: of_websites.put_payment,
        Operation.GET_BUCKET_ACL: of_access.get_bucket_acl,
        Operation.PUT_BUCKET_ACL: of_access.put_bucket_acl,
        Operation.GET_OBJECT_ACL: of_access.get_object_acl,
        Operation.PUT_OBJECT_ACL: of_access.put_object_acl,
        Operation.GET_BUCKET_POLICY: of_access.get_policy,
        Operation.PUT_BUCKET_POLICY: of_access.put_policy,
        Operation.DELETE_BUCKET_POLICY: of_access.delete_policy,
        Operation.GET_BUCKET_POLICY_STATUS: of_access.policy_status,
        Operation.GET_BUCKET_OWNERSHIP_CONTROLS: of_access.get_ownership,
        Operation.PUT_BUCKET_OWNERSHIP_CONTROLS: of_access.put_ownership,
        Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS: of_access.delete_ownership,
        Operation.GET_PUBLIC_ACCESS_BLOCK: of_access.get_public_access_block,
        Operation.PUT_PUBLIC_ACCESS_BLOCK: of_access.put_public_access_block,
        Operation.DELETE_PUBLIC_ACCESS_BLOCK: of_access.delete_public_access_block,
    }


def _properties(
    of_tags: TaggingHandlers, of_locks: LockHandlers, of_lifecycle: LifecycleHandlers
) -> Mapping[Operation, Handler]:
    return {
        Operation.GET_OBJECT_TAGGING: of_tags.get_object,
        Operation.PUT_OBJECT_TAGGING: of_tags.put_object,
        Operation.DELETE_OBJECT_TAGGING: of_tags.delete_object,
        Operation.GET_BUCKET_TAGGING: of_tags.get_bucket,
        Operation.PUT_BUCKET_TAGGING: of_tags.put_bucket,
        Operation.DELETE_BUCKET_TAGGING: of_tags.delete_bucket,
        Operation.GET_OBJECT_LOCK_CONFIGURATION: of_locks.get_configuration,
        Operation.PUT_OBJECT_LOCK_CONFIGURATION: of_locks.put_configuration,
        Operation.GET_OBJECT_RETENTION: of_locks.get_retention,
        Operation.PUT_OBJECT_RETENTION: of_locks.put_retention,
        Operation.GET_OBJECT_LEGAL_HOLD: of_locks.get_legal_hold,
        Operation.PUT_OBJECT_LEGAL_HOLD: of_locks.put_legal_hold,
        Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION: of_lifecycle.get,
        Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION: of_lifecycle.put,
        Operation.DELETE_BUCKET_LIFECYCLE: of_lifecycle.delete,
    }
