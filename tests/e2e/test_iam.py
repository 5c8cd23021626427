"""IAM and STS as boto3 speaks them, and what the credentials they give may do."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.forms import content_type, encode_form
from tests.support.refusals import refused
from tests.support.users import add_user

NO_RETRY = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


@pytest.fixture(scope="module")
def alice(server):
    return add_user(server, "iam-alice")


@pytest.fixture(scope="module")
def client_of(server):
    """Makes clients: (service, access key id, secret, session token)."""
    opened = []

    def make(service, key_id, secret, token=None):
        client = boto3.client(
            service,
            endpoint_url=server.url,
            region_name=server.region,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=NO_RETRY,
        )
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def account(alice, client_of):
    """IAM as the account itself."""
    own = alice.server
    return client_of("iam", own.access_key_id, own.secret_access_key)


@pytest.fixture(scope="module")
def s3(alice, client_of):
    """S3 as the account itself, with a bucket and an object."""
    own = alice.server
    client = client_of("s3", own.access_key_id, own.secret_access_key)
    client.create_bucket(Bucket="iam-bucket")
    client.put_object(Bucket="iam-bucket", Key="k", Body=b"content")
    return client


def credentials(account, client_of, name):
    """A user with a key, and S3 as this user."""
    account.create_user(UserName=name)
    key = account.create_access_key(UserName=name)["AccessKey"]
    return key, client_of("s3", key["AccessKeyId"], key["SecretAccessKey"])


def test_a_user_may_what_its_policies_say_from_the_next_request_on(account, client_of, s3):
    key, carol = credentials(account, client_of, "carol")
    read = {"Bucket": "iam-bucket", "Key": "k"}
    with refused("AccessDenied", 403):
        carol.get_object(**read)
    account.put_user_policy(
        UserName="carol",
        PolicyName="read",
        PolicyDocument=policy(Action="s3:GetObject", Resource="arn:aws:s3:::iam-bucket/*"),
    )
    assert carol.get_object(**read)["Body"].read() == b"content"
    with refused("AccessDenied", 403):
        carol.put_object(**read, Body=b"changed")
    account.delete_user_policy(UserName="carol", PolicyName="read")
    account.attach_user_policy(UserName="carol", PolicyArn=READ_ONLY)
    carol.list_objects_v2(Bucket="iam-bucket")
    account.detach_user_policy(UserName="carol", PolicyArn=READ_ONLY)
    account.create_group(GroupName="readers")
    account.attach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    account.add_user_to_group(GroupName="readers", UserName="carol")
    carol.get_object(**read)
    account.update_access_key(UserName="carol", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with refused("InvalidAccessKeyId", 403):
        carol.get_object(**read)


def test_what_a_user_makes_is_the_accounts(account, client_of, s3, alice):
    _, dave = credentials(account, client_of, "dave")
    account.put_user_policy(
        UserName="dave", PolicyName="all", PolicyDocument=policy(Action="s3:*", Resource="*")
    )
    dave.create_bucket(Bucket="iam-daves")
    assert "iam-daves" in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_acl(Bucket="iam-daves")["Owner"]["ID"] == alice.id
    s3.delete_bucket(Bucket="iam-daves")


def test_users_do_not_raise_themselves(account, client_of):
    key, _ = credentials(account, client_of, "eve")
    eve = client_of("iam", key["AccessKeyId"], key["SecretAccessKey"])
    everything = policy(Action="*", Resource="*")
    for call in (
        lambda: eve.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=everything),
        lambda: eve.attach_user_policy(UserName="eve", PolicyArn=READ_ONLY),
        lambda: eve.create_access_key(UserName="carol"),
        lambda: eve.create_user(UserName="mallory"),
        lambda: eve.list_users(),
        lambda: eve.get_user(),
    ):
        with refused("AccessDenied", 403):
            call()


def test_accounts_do_not_see_each_other(account, server, client_of):
    other = add_user(server, "iam-bob").server
    bob = client_of("iam", other.access_key_id, other.secret_access_key)
    account.create_user(UserName="only-alices")
    assert "only-alices" not in [user["UserName"] for user in bob.list_users()["Users"]]
    with refused("NoSuchEntity", 404):
        bob.get_user(UserName="only-alices")
    with refused("NoSuchEntity", 404):
        bob.delete_user(UserName="only-alices")


def test_the_account_shows_itself(account, alice, client_of):
    user = account.get_user()["User"]
    assert user["Arn"] == f"arn:aws:iam::{alice.account}:root"
    sts = client_of("sts", alice.server.access_key_id, alice.server.secret_access_key)
    identity = sts.get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (alice.account, user["Arn"])
    summary = account.get_account_summary()["SummaryMap"]
    assert summary["Users"] == len(account.list_users()["Users"])


def test_policies_come_back_as_they_were_put(account):
    account.create_user(UserName="frank", Path="/team/")
    document = policy(Action=["s3:Get*"], Resource="*")
    account.put_user_policy(UserName="frank", PolicyName="p", PolicyDocument=document)
    answer = account.get_user_policy(UserName="FRANK", PolicyName="p")
    assert json.dumps(answer["PolicyDocument"]) == document
    with pytest.raises(account.exceptions.MalformedPolicyDocumentException):
        account.put_user_policy(UserName="frank", PolicyName="p", PolicyDocument="{}")
    with pytest.raises(account.exceptions.DeleteConflictException):
        account.delete_user(UserName="frank")
    paths = account.list_users(PathPrefix="/team/")["Users"]
    assert [user["Arn"].rpartition(":")[2] for user in paths] == ["user/team/frank"]


def test_a_role_is_taken_on_for_a_while(account, client_of, s3, alice):
    key, _ = credentials(account, client_of, "grace")
    arn = account.get_user(UserName="grace")["User"]["Arn"]
    trust = policy(Action="sts:AssumeRole", Principal={"AWS": arn})
    role = account.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]
    account.put_role_policy(
        RoleName="reader",
        PolicyName="read",
        PolicyDocument=policy(Action="s3:*", Resource="arn:aws:s3:::iam-bucket*"),
    )
    sts = client_of("sts", key["AccessKeyId"], key["SecretAccessKey"])
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "shift"}
    lent = sts.assume_role(**asked)["Credentials"]
    session = client_of("s3", lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    assert session.get_object(Bucket="iam-bucket", Key="k")["Body"].read() == b"content"
    url = session.generate_presigned_url("get_object", {"Bucket": "iam-bucket", "Key": "k"})
    assert "token" in url.lower()
    with refused("AccessDenied", 403):
        session.list_buckets()

    limit = policy(Action="s3:ListBucket", Resource="*")
    less = sts.assume_role(**asked, Policy=limit)["Credentials"]
    limited = client_of("s3", less["AccessKeyId"], less["SecretAccessKey"], less["SessionToken"])
    limited.list_objects_v2(Bucket="iam-bucket")
    with refused("AccessDenied", 403):
        limited.get_object(Bucket="iam-bucket", Key="k")

    own = client_of("sts", alice.server.access_key_id, alice.server.secret_access_key)
    with refused("AccessDenied", 403):
        own.assume_role(**asked)  # the trust policy names grace alone
    account.delete_role_policy(RoleName="reader", PolicyName="read")
    with refused("AccessDenied", 403):
        session.get_object(Bucket="iam-bucket", Key="k")
    account.delete_role(RoleName="reader")
    with refused("InvalidToken", 400):
        session.get_object(Bucket="iam-bucket", Key="k")


def test_session_tokens_that_are_wrong(alice, client_of, s3):
    own = alice.server
    sts = client_of("sts", own.access_key_id, own.secret_access_key)
    lent = sts.get_session_token(DurationSeconds=900)["Credentials"]
    key, secret, token = lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"]
    client_of("s3", key, secret, token).list_buckets()
    for credentials_given, code, status in (
        ((key, secret, None), "InvalidAccessKeyId", 403),
        ((key, secret, token[:-8] + "AAAAAAA="), "InvalidToken", 400),
        ((key, "wrong" + secret, token), "SignatureDoesNotMatch", 403),
        ((own.access_key_id, own.secret_access_key, token), "InvalidToken", 400),
    ):
        with refused(code, status):
            client_of("s3", *credentials_given).list_buckets()
    with refused("InvalidClientTokenId", 403):
        client_of("sts", key, secret, "nonsense").get_caller_identity()


def test_sessions_of_the_root_do_not_command_the_server(server, client_of):
    sts = client_of("sts", server.access_key_id, server.secret_access_key)
    lent = sts.get_session_token()["Credentials"]
    session = client_of("s3", lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    with refused("AccessDenied", 403):
        session.get_object(Bucket="iam-bucket", Key="k")


def test_calls_that_are_refused(account, server, alice):
    account.create_user(UserName="twice")
    with pytest.raises(account.exceptions.EntityAlreadyExistsException):
        account.create_user(UserName="twice")
    for call, code in (
        (lambda: account.create_user(UserName="two words"), "ValidationError"),
        (lambda: account.create_user(UserName="x", Path="nowhere"), "ValidationError"),
        (lambda: account.list_users(MaxItems=1000, Marker="gone"), ""),
        (lambda: account.list_virtual_mfa_devices(), "InvalidAction"),
        (
            lambda: account.attach_user_policy(
                UserName="twice", PolicyArn="arn:aws:iam::aws:policy/NotThere"
            ),
            "NoSuchEntity",
        ),
    ):
        try:
            call()
            answered = ""
        except ClientError as error:
            answered = error.response["Error"]["Code"]
        assert answered == code
    form = {"content-type": "application/x-www-form-urlencoded"}
    status, _, body = server.request("POST", "/", b"Action=ListUsers&Version=2010-05-08", form)
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)
    status, _, body = server.request("POST", "/", b"Action=" + b"x" * 200_000, form)
    assert b"<Code>MaxMessageLengthExceeded</Code>" in body


def test_a_session_signs_forms_and_urls(alice, client_of, s3, server):
    own = alice.server
    sts = client_of("sts", own.access_key_id, own.secret_access_key)
    lent = sts.get_session_token()["Credentials"]
    session = client_of("s3", lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    made = session.generate_presigned_post("iam-bucket", "by-form", ExpiresIn=60)
    for token, status in ((lent["SessionToken"], 204), ("", 403), ("nonsense", 400)):
        fields = {**made["fields"], "x-amz-security-token": token}
        body = encode_form(list(fields.items()), b"sent", "file")
        answered, _, said = server.request(
            "POST", "/iam-bucket", body, {"content-type": content_type()}
        )
        assert answered == status, said
    assert s3.get_object(Bucket="iam-bucket", Key="by-form")["Body"].read() == b"sent"


def test_forms_ask_like_any_other_request(alice, client_of, s3, account):
    """Whoever may not put an object may not post it either."""
    _key, grace = credentials(account, client_of, "heidi")
    made = grace.generate_presigned_post("iam-bucket", "by-heidi", ExpiresIn=60)
    body = encode_form(list(made["fields"].items()), b"sent", "file")
    status, _, said = alice.server.request(
        "POST", "/iam-bucket", body, {"content-type": content_type()}
    )
    assert (status, b"<Code>AccessDenied</Code>" in said) == (403, True)
    for acl, expected in (("private", 403), ("public-read-write", 204)):
        s3.put_bucket_acl(Bucket="iam-bucket", ACL=acl)
        body = encode_form([("key", "by-nobody")], b"sent", "file")
        status, _, _ = alice.server.request(
            "POST", "/iam-bucket", body, {"content-type": content_type()}
        )
        assert status == expected
    s3.put_bucket_acl(Bucket="iam-bucket", ACL="private")
