"""Who gets in: ACLs, policies, ownership and the public access block, on a real server."""

import json
import re
import socket

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from stratum.adapters.s3.operations import UNREACHABLE, Operation
from tests.support.refusals import refused
from tests.support.users import add_user, every_operation

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
OWN_BUSINESS = {
    Operation.LIST_BUCKETS,  # shows the caller's own
    Operation.CREATE_BUCKET,  # answers 409
    Operation.PREFLIGHT_REQUEST,
    Operation.DELETE_OBJECTS,  # refuses each entry: tested below
    Operation.POST_OBJECT,  # who asks stands in the form: tested with the forms
}
UNROUTED = {Operation.WRITE_GET_OBJECT_RESPONSE, Operation.PREFLIGHT_REQUEST, *UNREACHABLE}


@pytest.fixture(scope="module")
def alice(server):
    return add_user(server, "access-alice")


@pytest.fixture(scope="module")
def mallory(server):
    return add_user(server, "access-mallory")


@pytest.fixture(scope="module")
def own(alice):
    with alice.client() as client:
        yield client


@pytest.fixture(scope="module")
def other(mallory):
    with mallory.client() as client:
        yield client


@pytest.fixture(scope="module")
def nobody(server):
    config = Config(
        signature_version=UNSIGNED,
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
    )
    with server.client(config=config) as client:
        yield client


@pytest.fixture
def private(own, request):
    """A new bucket of alice's with the object `k`."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-") + "-1"
    own.create_bucket(Bucket=name)
    own.put_object(Bucket=name, Key="k", Body=b"secret")
    return name


def policy(bucket, *statements):
    plain = {"Principal": "*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{**plain, **each} for each in statements]}
    )


def body_of(answer):
    return answer["Body"].read()


# -- deny by default ----------------------------------------------------------------------------
def test_shapes_reach_every_operation():
    shapes = {shape.operation for shape in every_operation("bucket", "k", "bucket/k")}
    assert shapes == set(Operation) - UNROUTED


def test_nobody_does_anything_to_the_bucket_of_another(own, mallory, private):
    for shape in every_operation(private, "k", f"{private}/k"):
        if shape.operation in OWN_BUSINESS:
            continue
        target = shape.path + (f"?{shape.query}" if shape.query else "")
        body = b"x" if shape.method in ("PUT", "POST") else b""
        headers = mallory.server.signed(
            shape.method, shape.path, body, shape.headers, query=shape.query
        )
        for sent in (headers, shape.headers):
            status, _, answer = mallory.server.request(shape.method, target, body or None, sent)
            assert status == 403, (shape, status, answer)
            assert shape.method == "HEAD" or b"<Code>AccessDenied</Code>" in answer
    assert body_of(own.get_object(Bucket=private, Key="k")) == b"secret"
    assert own.get_bucket_acl(Bucket=private)["Grants"][0]["Permission"] == "FULL_CONTROL"


def test_deleting_many_refuses_each(own, other, private):
    wanted = {"Objects": [{"Key": "k"}, {"Key": "other"}]}
    answer = other.delete_objects(Bucket=private, Delete=wanted)
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"] * 2
    own.head_object(Bucket=private, Key="k")
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(
            private,
            {
                "Effect": "Allow",
                "Action": "s3:DeleteObject",
                "Resource": f"arn:aws:s3:::{private}/o*",
            },
        ),
    )
    answer = other.delete_objects(Bucket=private, Delete=wanted)
    assert [done["Key"] for done in answer["Deleted"]] == ["other"]
    assert [error["Key"] for error in answer["Errors"]] == ["k"]


def test_a_copy_needs_the_right_to_read_its_source(own, other, private, bucket):
    theirs = f"{private}-theirs"
    other.create_bucket(Bucket=theirs)
    source = {"Bucket": private, "Key": "k"}
    with refused("AccessDenied", 403):
        other.copy_object(Bucket=theirs, Key="stolen", CopySource=source)
    started = other.create_multipart_upload(Bucket=theirs, Key="stolen")
    part = {"Bucket": theirs, "Key": "stolen", "UploadId": started["UploadId"], "PartNumber": 1}
    with refused("AccessDenied", 403):
        other.upload_part_copy(**part, CopySource=source)
    own.put_object_acl(Bucket=private, Key="k", ACL="authenticated-read")
    other.upload_part_copy(**part, CopySource=source)
    other.copy_object(Bucket=theirs, Key="given", CopySource=source)
    assert body_of(other.get_object(Bucket=theirs, Key="given")) == b"secret"


def test_only_who_may_list_learns_that_a_key_is_missing(own, other, private):
    with refused("403", 403):
        other.head_object(Bucket=private, Key="missing")
    with refused("AccessDenied", 403):
        other.get_object(Bucket=private, Key="missing")
    own.put_bucket_acl(Bucket=private, ACL="public-read")
    with refused("NoSuchKey", 404):
        other.get_object(Bucket=private, Key="missing")
    with refused("AccessDenied", 403):
        other.get_object(Bucket=private, Key="k")


def test_the_root_acts_for_every_owner(s3, own, private):
    assert body_of(s3.get_object(Bucket=private, Key="k")) == b"secret"
    s3.put_object(Bucket=private, Key="from-root", Body=b"help")
    assert body_of(own.get_object(Bucket=private, Key="from-root")) == b"help"
    assert private not in [each["Name"] for each in s3.list_buckets()["Buckets"]]


def test_a_refused_upload_is_refused_before_its_body_is_sent(mallory, private):
    path = f"/{private}/big"
    headers = mallory.server.signed("PUT", path, payload_hash="UNSIGNED-PAYLOAD")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Content-Length: 1000000000", "Expect: 100-continue"]
    head = f"PUT {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    with socket.create_connection(mallory.server.address, 30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_the_expected_owner_must_be_the_owner(own, alice, mallory, private):
    own.head_bucket(Bucket=private, ExpectedBucketOwner=alice.id)
    own.head_bucket(Bucket=private, ExpectedBucketOwner=alice.account)
    with refused("403", 403):
        own.head_bucket(Bucket=private, ExpectedBucketOwner=mallory.id)
    with refused("AccessDenied", 403):
        own.copy_object(
            Bucket=private,
            Key="copy",
            CopySource=f"{private}/k",
            ExpectedSourceBucketOwner=mallory.id,
        )


# -- ACLs ---------------------------------------------------------------------------------------
def test_an_acl_lets_in_whom_it_names(own, other, nobody, mallory, private):
    own.put_object(Bucket=private, Key="public", Body=b"all", ACL="public-read")
    own.put_object(Bucket=private, Key="named", Body=b"one", GrantRead=f'id="{mallory.id}"')
    own.put_object(
        Bucket=private, Key="mail", Body=b"m", GrantRead='emailAddress="access-mallory@example.com"'
    )
    assert body_of(nobody.get_object(Bucket=private, Key="public")) == b"all"
    for key in ("public", "named", "mail"):
        other.get_object(Bucket=private, Key=key)
    for key in ("named", "mail", "k"):
        with refused("AccessDenied", 403):
            nobody.get_object(Bucket=private, Key=key)
    granted = own.get_object_acl(Bucket=private, Key="mail")["Grants"]
    assert [each["Grantee"]["ID"] for each in granted] == [mallory.id]
    own.put_object_acl(Bucket=private, Key="public", ACL="private")
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=private, Key="public")


def test_acls_belong_to_versions(own, nobody, private):
    own.put_bucket_versioning(Bucket=private, VersioningConfiguration={"Status": "Enabled"})
    first = own.put_object(Bucket=private, Key="v", Body=b"1", ACL="public-read")["VersionId"]
    own.put_object(Bucket=private, Key="v", Body=b"2")
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=private, Key="v")
    assert body_of(nobody.get_object(Bucket=private, Key="v", VersionId=first)) == b"1"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"ACL": "public"}, "InvalidArgument"),
        ({"GrantRead": "id=unknown"}, "InvalidArgument"),
        ({"GrantRead": "emailAddress=no@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"GrantRead": 'uri="http://example.com/"'}, "InvalidArgument"),
        ({"ACL": "private", "GrantRead": f'uri="{ALL_USERS}"'}, "InvalidRequest"),
    ],
)
def test_acls_that_are_refused(own, private, asked, code):
    with refused(code, 400):
        own.put_object_acl(Bucket=private, Key="k", **asked)
    with refused(code, 400):
        own.put_object(Bucket=private, Key="k", Body=b"x", **asked)


def test_an_acl_does_not_change_the_owner(own, mallory, private):
    acl = own.get_bucket_acl(Bucket=private)
    acl["Owner"] = {"ID": mallory.id}
    with refused("AccessDenied", 403):
        own.put_bucket_acl(
            Bucket=private,
            AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]},
        )


# -- ownership ----------------------------------------------------------------------------------
def test_what_others_write_is_theirs_unless_ownership_says_otherwise(own, other, alice, private):
    own.put_bucket_acl(Bucket=private, ACL="public-read-write")
    other.put_object(Bucket=private, Key="theirs", Body=b"mine")
    with refused("AccessDenied", 403):
        own.get_object(Bucket=private, Key="theirs")
    listed = own.list_objects(Bucket=private)["Contents"]
    owners = {entry["Key"]: entry["Owner"]["DisplayName"] for entry in listed}
    assert owners == {"k": "access-alice", "theirs": "access-mallory"}
    own.put_bucket_acl(Bucket=private, ACL="private")
    own.put_bucket_ownership_controls(
        Bucket=private, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    assert body_of(own.get_object(Bucket=private, Key="theirs")) == b"mine"
    with refused("AccessDenied", 403):
        other.get_object(Bucket=private, Key="theirs")
    with refused("AccessControlListNotSupported", 400):
        own.put_object(Bucket=private, Key="k", Body=b"x", ACL="public-read")
    own.put_object(Bucket=private, Key="k", Body=b"x", ACL="bucket-owner-full-control")


def test_an_owner_deletes_what_others_wrote(own, other, private):
    own.put_bucket_acl(Bucket=private, ACL="public-read-write")
    other.put_object(Bucket=private, Key="theirs", Body=b"mine")
    own.delete_object(Bucket=private, Key="theirs")
    with refused("NoSuchKey", 404):
        own.get_object(Bucket=private, Key="theirs")


# -- policies -----------------------------------------------------------------------------------
def test_a_policy_is_kept_as_it_was_put(own, private):
    with refused("NoSuchBucketPolicy", 404):
        own.get_bucket_policy(Bucket=private)
    text = policy(private, {"Effect": "Allow", "Action": "s3:GetObject"}).replace(" ", "  ")
    own.put_bucket_policy(Bucket=private, Policy=text)
    assert own.get_bucket_policy(Bucket=private)["Policy"] == text
    own.delete_bucket_policy(Bucket=private)
    own.delete_bucket_policy(Bucket=private)
    with refused("MalformedPolicy", 400):
        own.put_bucket_policy(Bucket=private, Policy="{}")
    with refused("MalformedPolicy", 400):
        own.put_bucket_policy(Bucket=private, Policy=text + " " * 21_000)


def test_a_policy_counts_from_the_next_request_on(own, nobody, private):
    allow = policy(private, {"Effect": "Allow", "Action": "s3:GetObject"})
    for _ in range(3):
        with refused("AccessDenied", 403):
            nobody.get_object(Bucket=private, Key="k")
        own.put_bucket_policy(Bucket=private, Policy=allow)
        assert body_of(nobody.get_object(Bucket=private, Key="k")) == b"secret"
        own.delete_bucket_policy(Bucket=private)


def test_wildcards_end_where_they_say(own, nobody, private):
    for key in ("public/a", "publica", "private/public/a"):
        own.put_object(Bucket=private, Key=key, Body=b"x")
    allow = {"Effect": "Allow", "Action": "s3:Get?bject"}
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(private, {**allow, "Resource": f"arn:aws:s3:::{private}/public/*"}),
    )
    nobody.get_object(Bucket=private, Key="public/a")
    for key in ("publica", "private/public/a", "k"):
        with refused("AccessDenied", 403):
            nobody.get_object(Bucket=private, Key=key)
    with refused("AccessDenied", 403):
        nobody.list_objects_v2(Bucket=private)


def test_conditions_see_the_request(own, other, private):
    own.put_object(Bucket=private, Key="home/x", Body=b"x")
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(
            private,
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Condition": {
                    "StringLike": {"s3:prefix": "home/*"},
                    "NumericLessThanEquals": {"s3:max-keys": "10"},
                    "IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
                },
            },
            {
                "Effect": "Deny",
                "Action": "s3:PutObject",
                "Condition": {"StringLike": {"s3:x-amz-acl": "public-*"}},
            },
        ),
    )
    listed = other.list_objects_v2(Bucket=private, Prefix="home/", MaxKeys=10)
    assert listed["KeyCount"] == 1
    for asked in ({"Prefix": "", "MaxKeys": 10}, {"Prefix": "home/"}):
        with refused("AccessDenied", 403):
            other.list_objects_v2(Bucket=private, **asked)
    own.put_object(Bucket=private, Key="k", Body=b"x", ACL="private")
    with refused("AccessDenied", 403):
        own.put_object(Bucket=private, Key="k", Body=b"x", ACL="public-read")


def test_an_owner_gets_back_in(s3, own, private):
    deny = policy(private, {"Effect": "Deny", "Action": "s3:*"})
    own.put_bucket_policy(Bucket=private, Policy=deny)
    with refused("AccessDenied", 403):
        own.get_object(Bucket=private, Key="k")
    own.delete_bucket_policy(Bucket=private)
    own.put_bucket_policy(Bucket=private, Policy=deny, ConfirmRemoveSelfBucketAccess=True)
    with refused("AccessDenied", 403):
        own.delete_bucket_policy(Bucket=private)
    s3.delete_bucket_policy(Bucket=private)
    own.get_object(Bucket=private, Key="k")


# -- public access block ------------------------------------------------------------------------
def test_the_four_switches(own, other, private):
    own.put_object(Bucket=private, Key="public", Body=b"x", ACL="public-read")

    def block(**switches):
        own.put_public_access_block(Bucket=private, PublicAccessBlockConfiguration=switches)

    allow = policy(private, {"Effect": "Allow", "Action": "s3:ListBucket"})
    block(BlockPublicAcls=True, BlockPublicPolicy=True)
    with refused("AccessDenied", 403):
        own.put_object(Bucket=private, Key="k", Body=b"x", ACL="public-read")
    with refused("AccessDenied", 403):
        own.put_bucket_acl(Bucket=private, ACL="public-read")
    with refused("AccessDenied", 403):
        own.put_bucket_policy(Bucket=private, Policy=allow)
    other.get_object(Bucket=private, Key="public")
    block(IgnorePublicAcls=True)
    with refused("AccessDenied", 403):
        other.get_object(Bucket=private, Key="public")
    own.put_bucket_policy(Bucket=private, Policy=allow)
    other.list_objects_v2(Bucket=private)
    assert own.get_bucket_policy_status(Bucket=private)["PolicyStatus"]["IsPublic"]
    block(RestrictPublicBuckets=True)
    with refused("AccessDenied", 403):
        other.list_objects_v2(Bucket=private)
    own.list_objects_v2(Bucket=private)
    own.delete_public_access_block(Bucket=private)
    with pytest.raises(ClientError, match="NoSuchPublicAccessBlockConfiguration"):
        own.get_public_access_block(Bucket=private)


# -- anonymous ----------------------------------------------------------------------------------
def test_what_is_written_anonymously_is_the_bucket_owners(own, nobody, private):
    own.put_bucket_acl(Bucket=private, ACL="public-read-write")
    nobody.put_object(Bucket=private, Key="left", Body=b"behind")
    assert body_of(own.get_object(Bucket=private, Key="left")) == b"behind"
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=private, Key="left")
    with refused("AccessDenied", 403):
        nobody.put_bucket_acl(Bucket=private, ACL="public-read")


def test_anonymous_has_no_buckets(nobody):
    with refused("AccessDenied", 403):
        nobody.list_buckets()
    with refused("AccessDenied", 403):
        nobody.create_bucket(Bucket="of-nobody")
    with refused("NoSuchBucket", 404):
        nobody.get_object(Bucket="there-is-no-such-bucket", Key="k")


# -- ways around --------------------------------------------------------------------------------
def test_a_version_in_the_query_is_not_that_of_a_copys_source(own, other, mallory, private):
    """Who may list but not read must not get at the current version by naming another one."""
    theirs = f"{private}-theirs"
    other.create_bucket(Bucket=theirs)
    own.put_bucket_acl(Bucket=private, ACL="public-read")
    copying = {"x-amz-copy-source": f"/{private}/k"}
    for query in ("", "versionId=null", "versionId=00000000000000000000000000000000"):
        path = f"/{theirs}/k"
        headers = mallory.server.signed("PUT", path, b"", copying, query=query)
        status, _, body = mallory.server.request("PUT", f"{path}?{query}", b"", headers)
        assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True), (query, body)


def test_what_is_not_there_is_never_let_through(own, other, private):
    own.put_bucket_acl(Bucket=private, ACL="public-read")
    theirs = f"{private}-theirs"
    other.create_bucket(Bucket=theirs)
    with refused("NoSuchKey", 404):
        other.copy_object(Bucket=theirs, Key="x", CopySource=f"{private}/missing")
    with refused("NoSuchKey", 404):
        other.get_object_acl(Bucket=private, Key="missing")
    with refused("NoSuchVersion", 404):
        other.get_object(Bucket=private, Key="k", VersionId="0" * 32)


def test_tags_in_a_body_count_as_those_in_a_header(own, other, private):
    only_blue = {"StringEquals": {"s3:RequestObjectTag/team": "blue"}}
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(
            private, {"Effect": "Allow", "Action": "s3:PutObjectTagging", "Condition": only_blue}
        ),
    )

    def tag(client, team):
        tags = {"TagSet": [{"Key": "team", "Value": team}]}
        client.put_object_tagging(Bucket=private, Key="k", Tagging=tags)

    tag(other, "blue")
    with refused("AccessDenied", 403):
        tag(other, "red")
    tags = own.get_object_tagging(Bucket=private, Key="k")["TagSet"]
    assert tags == [{"Key": "team", "Value": "blue"}]
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(
            private,
            {
                "Effect": "Deny",
                "Action": "s3:PutObjectTagging",
                "Condition": {"StringNotEquals": {"s3:RequestObjectTag/team": "blue"}},
            },
        ),
    )
    tag(own, "blue")
    with refused("AccessDenied", 403):
        tag(own, "red")


def test_keys_do_not_escape_their_prefix_by_dots_or_escapes(own, mallory, private):
    own.put_bucket_policy(
        Bucket=private,
        Policy=policy(
            private,
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{private}/public/*",
            },
        ),
    )
    for path in (
        f"/{private}/public/../k",
        f"/{private}/public%2F..%2Fk",
        f"/{private}//public/k",
        f"/{private}/k?x=/public/",
        f"/{private}/public",
    ):
        raw, _, query = path.partition("?")
        headers = mallory.server.signed("GET", raw, query=query)
        status, _, body = mallory.server.request("GET", path, None, headers)
        assert status == 403, (path, status, body)


def test_a_presigned_url_is_its_signers_right_and_not_the_readers(mallory, private):
    """Mallory can sign a URL for alice's object; it opens nothing."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    with mallory.client(config=config) as signing:
        url = signing.generate_presigned_url("get_object", {"Bucket": private, "Key": "k"})
    status, _, body = mallory.server.request("GET", "/" + url.split("/", 3)[3])
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)
