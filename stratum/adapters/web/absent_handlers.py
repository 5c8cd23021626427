"""Sub-resources a bucket cannot have here: reading them says that nothing is configured.

Tools that manage buckets read all sub-resources, and take "not implemented" for a broken server.
Configuring one is refused as not implemented, by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.xml_responses import document, element
from stratum.adapters.web.front import Handler
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.app.buckets import Buckets

EMPTY_DOCUMENTS = {Operation.GET_BUCKET_ACCELERATE_CONFIGURATION: "AccelerateConfiguration"}
EMPTY_LISTS = {
    Operation.LIST_BUCKET_ANALYTICS_CONFIGURATIONS: "ListBucketAnalyticsConfigurationResult",
    Operation.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS: (
        "ListBucketIntelligentTieringConfigurationsOutput"
    ),
    Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS: "ListInventoryConfigurationsResult",
    Operation.LIST_BUCKET_METRICS_CONFIGURATIONS: "ListMetricsConfigurationsResult",
}
"""Operation to the root of the document that says so."""
NOT_FOUND = {
    Operation.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    Operation.GET_BUCKET_ANALYTICS_CONFIGURATION: "NoSuchConfiguration",
    Operation.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "NoSuchConfiguration",
    Operation.GET_BUCKET_INVENTORY_CONFIGURATION: "NoSuchConfiguration",
    Operation.GET_BUCKET_METRICS_CONFIGURATION: "NoSuchConfiguration",
    Operation.DELETE_BUCKET_ANALYTICS_CONFIGURATION: "NoSuchConfiguration",
    Operation.DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "NoSuchConfiguration",
    Operation.DELETE_BUCKET_INVENTORY_CONFIGURATION: "NoSuchConfiguration",
    Operation.DELETE_BUCKET_METRICS_CONFIGURATION: "NoSuchConfiguration",
}
"""Operation to the error that says so."""
NOTHING_TO_DELETE = (Operation.DELETE_BUCKET_REPLICATION,)


def absent_handlers(buckets: Buckets) -> Mapping[Operation, Handler]:
    """Handlers for all of them. Raises NoSuchBucket, as the others do."""

    async def answer(request: S3Request) -> S3Response:
        buckets.get(request.bucket)
        operation = request.target.operation
        if operation in NOT_FOUND:
            raise S3Error(NOT_FOUND[operation], fields={"BucketName": request.bucket})
        if operation in EMPTY_LISTS:
            return xml(document(EMPTY_LISTS[operation], element("IsTruncated", "false")))
        if operation in EMPTY_DOCUMENTS:
            return xml(document(EMPTY_DOCUMENTS[operation]))
        return S3Response(204)

    return dict.fromkeys((*EMPTY_DOCUMENTS, *EMPTY_LISTS, *NOT_FOUND, *NOTHING_TO_DELETE), answer)
